"""Frames of a video file, with an honest end: frames that are missing or damaged are reported, never invented."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from saccade.errors import RequestError, SourceError
from saccade.sources.base import SourceFault, SourceFrame

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Containers that hold their frames themselves. FFmpeg also opens playlists, which name other files and hosts, and
# text files, which it draws as a picture.
_CONTAINERS = "mp4,matroska,avi,mpegts,mpeg,mpegvideo,h264,hevc,obu,ivf,mjpeg,flv,asf,ogg,gif,mxf,yuv4mpegpipe"
_TOLERATED_FRAMES = 2
_TOLERATED_SHARE = 0.02


class VideoSource:
    """The frames of the video at ``path``, decoded to RGB and upright by its rotation tag; one pass.

    Frames that the decoder could not restore are left out. At the end a fault tells how many those were, or that
    the video ended before the length it declares. Raises ``SourceError`` if it cannot be opened at all.
    """

    def __init__(self, uri: str, path: Path) -> None:
        self.uri = uri
        self.is_video = True
        self._name = path.name
        self._stem = path.stem
        self._container, self._stream = _open(path)
        self._declared = _declared_length(self._container, self._stream)
        self.length = self._declared.frames
        rate = self._stream.average_rate
        self.frame_rate = float(rate) if rate else None
        self._is_fresh = True

    def __iter__(self) -> Iterator[SourceFrame | SourceFault]:
        if not self._is_fresh:
            raise SourceError(f"{self.uri} was read already or is closed; open it again for another pass")
        self._is_fresh = False
        progress = _Progress()
        for frame in _decoded(self._container, self._stream, progress):
            image = _upright_rgb(frame)
            frame_id = progress.delivered
            progress.delivered += 1
            yield SourceFrame(image, "rgb24", frame_id, f"{self._stem}_{frame_id:06d}", time.monotonic_ns())
        reason = _shortfall(self._declared, progress)
        if reason:
            yield SourceFault(self._name, reason)

    def close(self) -> None:
        self._is_fresh = False
        self._container.close()

    def __enter__(self) -> VideoSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class _Declared:
    """What a container says of its video. ``frames`` is an estimate from ``duration_s`` unless ``is_counted``."""

    frames: int | None
    is_counted: bool
    duration_s: float | None
    frame_s: float


@dataclass
class _Progress:
    """What was read so far. ``end_s``: where the last frame ends, in seconds from the start of the video."""

    packets: int = 0
    packets_are_frames: bool = True
    delivered: int = 0
    refused: int = 0
    end_s: float = 0.0
    stopped_by: str = ""

    @property
    def damaged(self) -> int:
        """Frames that were in the file and did not come out, also those that the decoder dropped without a word."""
        return max(self.refused, self.packets - self.delivered if self.packets_are_frames else 0)


def _open(path: Path) -> tuple[InputContainer, VideoStream]:
    try:
        import av
        from av.error import FFmpegError
    except ImportError as error:
        raise RequestError("videos are read with PyAV, which is missing: pip install saccade[video]") from error
    try:
        # An absolute path: FFmpeg would take what stands before a colon for a protocol.
        options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
        container = av.open(str(path.absolute()), "r", options=options)
    except (FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"{path} cannot be opened as a video: {reason}; is it complete, and a video?") from error
    if not container.streams.video:
        container.close()
        raise SourceError(f"{path} has no video stream")
    stream = container.streams.video[0]
    if getattr(stream, "codec_context", None) is None:
        container.close()
        raise SourceError(f"{path} holds video of a kind that this build of FFmpeg cannot decode; convert it to H.264")
    stream.thread_type = "AUTO"
    return container, stream


def _decoded(container: InputContainer, stream: VideoStream, progress: _Progress) -> Iterator[VideoFrame]:
    """The sound frames of ``stream``; ``progress`` is told of all the others."""
    from av.error import FFmpegError

    start_s = float((stream.start_time or 0) * (stream.time_base or 0))
    frame_s = float(1 / stream.average_rate) if stream.average_rate else 0.0
    progress.packets_are_frames = stream.codec_context.name != "vp8"  # its packets may only prepare later frames
    for packet in _packets(container, stream, progress):
        progress.packets += packet.size > 0 and not packet.is_discard
        try:
            frames: list[VideoFrame] = packet.decode()
        except FFmpegError:
            progress.refused += 1
            continue
        for frame in frames:
            progress.packets_are_frames &= not frame.interlaced_frame  # a packet may hold one of its two fields
            if frame.pts is not None:
                progress.end_s = max(progress.end_s, frame.time - start_s + frame_s)
            if frame.is_corrupt:
                progress.refused += 1
            else:
                yield frame


def _packets(container: InputContainer, stream: VideoStream, progress: _Progress) -> Iterator[Any]:
    """The packets of ``stream`` up to the end of what can be read, and the empty one that empties the decoder."""
    from av.error import FFmpegError

    try:
        yield from container.demux(stream)
    except FFmpegError as error:
        progress.stopped_by = error.strerror or str(error)


def _upright_rgb(frame: VideoFrame) -> npt.NDArray[np.uint8]:
    # Without a target of its own, PyAV < 16 takes every matrix for BT.601, also the BT.709 of HD video.
    image: npt.NDArray[Any] = frame.to_ndarray(format="rgb24", dst_colorspace="DEFAULT")
    quarter_turns = round(getattr(frame, "rotation", 0) / 90)  # PyAV < 14.2 does not tell
    return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image


def _declared_length(container: InputContainer, stream: VideoStream) -> _Declared:
    duration_s = _duration_s(container, stream)
    rate = float(stream.average_rate or 0)
    frame_s = 1 / rate if rate else 0.0
    by_time = round(duration_s * rate) if duration_s and rate else None
    # An MP4's edit list may hide frames: they are in the count, but not in the duration.
    most_shown = by_time + _TOLERATED_FRAMES if by_time and "mp4" in container.format.name else stream.frames
    if not stream.frames or stream.frames > most_shown:
        return _Declared(by_time, False, duration_s, frame_s)
    return _Declared(stream.frames, True, duration_s, frame_s)


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    """Seconds of video: the stream's own number, Matroska's tag, or the container's if nothing else is in it."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    tag = stream.metadata.get("DURATION", "").split(":")
    try:
        hours, minutes, seconds = (float(part) for part in tag)
        return 3600 * hours + 60 * minutes + seconds
    except ValueError:
        is_alone = len(container.streams) == 1
        return container.duration / 1e6 if is_alone and container.duration is not None else None


def _shortfall(declared: _Declared, progress: _Progress) -> str:
    """What was wrong with the video that has just ended; empty if nothing was."""
    if progress.stopped_by or not progress.delivered or _ended_early(declared, progress):
        of_all = f" of {declared.frames}" if declared.frames is not None else ""
        because = f" ({progress.stopped_by})" if progress.stopped_by else ""
        return f"ended early: {progress.delivered}{of_all} frames could be read{because}"
    if progress.damaged:
        return f"damaged: {progress.delivered} of {progress.delivered + progress.damaged} frames could be read"
    return ""


def _ended_early(declared: _Declared, progress: _Progress) -> bool:
    if declared.frames is None:
        return False
    if declared.is_counted:
        missing = declared.frames - progress.delivered - progress.damaged
    elif declared.duration_s is not None and declared.frame_s:
        missing = (declared.duration_s - progress.end_s) / declared.frame_s
    else:
        return False
    return missing > max(_TOLERATED_FRAMES, _TOLERATED_SHARE * declared.frames)
