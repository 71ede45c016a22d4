"""Frames into an H.264 MP4 that is playable however the writing ends."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from saccade.errors import FrameError, OutputError, RequestError
from saccade.writers.files import begin_part, output_errors

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_BT709 = 1  # ITU-T H.273: the matrix, primaries and transfer that players assume for HD


class VideoWriter:
    """Writes uint8 (H, W, 3) RGB frames to an MP4 (yuv420p) at ``path``, ``frame_rate`` frames per second.

    ``codec`` is ``libx264``, or ``mpeg4`` where the build of FFmpeg lacks it. ``crf`` is x264's quality, 0 (lossless)
    to 51. The first frame fixes the size; an odd width or height grows by one repeated edge, as yuv420p needs.
    The file appears at ``path`` on ``close``, also when an exception or Ctrl-C ends the ``with``; without a frame,
    nothing appears. Raises ``OutputError`` for what cannot be written, ``RequestError`` for what cannot be asked.
    """

    def __init__(self, path: str | os.PathLike[str], frame_rate: float, crf: int = 20) -> None:
        self.path = Path(path)
        self.codec = _choose_codec()
        self.frames_written = 0
        self._rate = _check_rate(frame_rate)
        self._crf = _check_crf(crf)
        if self.path.suffix.lower() not in (".mp4", ".m4v"):
            raise RequestError(f"a video is written as MP4, but {self.path} does not end in .mp4")
        import av
        from av.error import FFmpegError

        self._encoding_error = FFmpegError
        self._shape: tuple[int, ...] = ()
        self._is_closed = False
        self._part = begin_part(self.path)
        # Any: PyAV's stubs leave the packets between encode and mux unknown.
        self._stream: Any = None
        with output_errors(self.path, FFmpegError):
            self._container: Any = av.open(str(self._part.absolute()), "w", format="mp4")

    def write(self, image: npt.NDArray[np.uint8]) -> None:
        """Appends a frame. Raises ``FrameError`` for another kind of array, ``OutputError`` for another size."""
        self._check(image)
        if self._stream is None:
            self._shape = image.shape
            self._stream = self._add_stream(image.shape[0], image.shape[1])
        with output_errors(self.path, self._encoding_error):
            frame = _encodable(image)
            frame.pts = self.frames_written
            frame.time_base = 1 / self._rate
            self._container.mux(self._stream.encode(frame))
        self.frames_written += 1

    def close(self) -> None:
        """Finishes the file and moves it to ``path``. Raises ``OutputError``, and leaves nothing, if that fails."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            with output_errors(self.path, self._encoding_error):
                if self._stream is not None and self.frames_written:
                    self._container.mux(self._stream.encode(None))
                self._container.close()
                if self.frames_written:
                    self._part.replace(self.path)
        finally:
            self._part.unlink(missing_ok=True)

    def abort(self) -> None:
        """Drops what was written."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._container.close()
        except (self._encoding_error, OSError):
            pass  # the file is thrown away
        finally:
            self._part.unlink(missing_ok=True)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except OutputError:
            if error is None:
                raise

    def _check(self, image: npt.NDArray[np.uint8]) -> None:
        if self._is_closed:
            raise OutputError(f"{self.path} is closed; open another writer for more frames")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise FrameError(f"a video frame must be uint8 (H, W, 3), but got {image.dtype} {image.shape}")
        if self._shape and image.shape != self._shape:
            raise OutputError(
                f"{self.path} holds frames of {self._shape[1]}x{self._shape[0]}, but got one of "
                f"{image.shape[1]}x{image.shape[0]}; resize it or write another file"
            )

    def _add_stream(self, height: int, width: int) -> Any:
        options = _encoder_options(self.codec, self._crf)
        with output_errors(self.path, self._encoding_error):
            stream = self._container.add_stream(self.codec, rate=self._rate, options=options)
            stream.width = width + width % 2
            stream.height = height + height % 2
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            return stream


def _choose_codec() -> str:
    try:
        import av
    except ImportError as error:
        raise RequestError("videos are written with PyAV, which is missing: pip install saccade[video]") from error
    return "libx264" if "libx264" in av.codecs_available else "mpeg4"


def _check_rate(frame_rate: float) -> Fraction:
    if not 0 < frame_rate <= 1000:
        raise RequestError(f"frame_rate must be above 0 and at most 1000 frames per second, but got {frame_rate}")
    return Fraction(frame_rate).limit_denominator(1001)


def _check_crf(crf: int) -> int:
    if not 0 <= crf <= 51:
        raise RequestError(f"crf must be 0 (lossless) to 51, but got {crf}")
    return crf


def _encoder_options(codec: str, crf: int) -> dict[str, str]:
    if codec == "libx264":
        return {"crf": str(crf), "preset": "veryfast"}
    # mpeg4 has a fixed quantiser (1 to 31, times FF_QP2LAMBDA = 118) instead: about a sixth of the crf looks alike.
    return {"flags": "+qscale", "global_quality": str(118 * max(1, crf // 6))}


def _encodable(image: npt.NDArray[np.uint8]) -> VideoFrame:
    import av

    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace="ITU709")
