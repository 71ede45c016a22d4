"""Sources: what a path, a glob or a URI delivers, and what damaged or missing input becomes."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from saccade import scenes
from saccade.errors import RequestError, SourceError
from saccade.sources import SourceFault, SourceFrame, open_source

Pixels = npt.NDArray[np.uint8]


def noise(seed: int, height: int = 48, width: int = 64) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, image: npt.NDArray[Any], **options: Any) -> Path:
    Image.fromarray(image).save(path, **options)
    return path


def encode(path: Path, count: int, container_options: dict[str, str] | None = None, audio_seconds: float = 0) -> Path:
    """A noisy H.264 video of 64x48 at 25 frames per second with a key frame every 10 frames."""
    container: Any = av.open(str(path), "w", options=container_options or {})
    with container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"preset": "ultrafast", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=8000) if audio_seconds else None
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(noise(index), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            mux_silence(container, sound, audio_seconds)
    return path


def mux_silence(container: Any, stream: Any, seconds: float) -> None:
    for start in range(0, int(8000 * seconds), 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def read(uri: str | os.PathLike[str]) -> tuple[list[SourceFrame], list[SourceFault]]:
    with open_source(uri) as source:
        items = list(source)
    return (
        [item for item in items if isinstance(item, SourceFrame)],
        [item for item in items if isinstance(item, SourceFault)],
    )


class TestImages:
    def test_a_file_delivers_its_pixels(self, tmp_path: Path) -> None:
        image = noise(1)
        path = save(tmp_path / "street.png", image)
        with open_source(path) as source:
            assert (source.uri, source.length, source.frame_rate, source.is_video) == (str(path), 1, None, False)
            (frame,) = list(source)
        assert isinstance(frame, SourceFrame)
        assert (frame.frame_id, frame.name, frame.pixel_format) == (0, "street", "rgb24")
        np.testing.assert_array_equal(frame.image, image)
        frame.image[:] = 0  # owned, so writable

    def test_a_folder_delivers_its_images_by_name_and_nothing_else(self, tmp_path: Path) -> None:
        (tmp_path / "deeper").mkdir()
        for name in ("b.PNG", "a.jpg", "c.webp", "d.bmp", "e.tiff", "deeper/f.png"):
            save(tmp_path / name, noise(0))
        (tmp_path / "notes.txt").write_text("not an image")
        frames, faults = read(tmp_path)
        assert [frame.name for frame in frames] == ["a", "b", "c", "d", "e"]
        assert [frame.frame_id for frame in frames] == [0, 1, 2, 3, 4]
        assert faults == []

    def test_a_glob_delivers_its_matches_by_name(self, tmp_path: Path) -> None:
        for name in ("left_2.png", "left_1.png", "right_1.png"):
            save(tmp_path / name, noise(0))
        frames, _ = read(f"{tmp_path}/left_*.png")
        assert [frame.name for frame in frames] == ["left_1", "left_2"]

    def test_a_file_uri_is_a_path(self, tmp_path: Path) -> None:
        path = save(tmp_path / "my street.png", noise(0))
        frames, _ = read(path.as_uri())
        assert [frame.name for frame in frames] == ["my street"]

    def test_a_name_with_a_colon_is_a_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        save(tmp_path / "run:12.png", noise(0))
        monkeypatch.chdir(tmp_path)
        assert len(read("run:12.png")[0]) == 1

    @pytest.mark.parametrize("shape", [(48, 64), (48, 64, 4)])
    def test_grey_and_alpha_become_rgb(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        frames, _ = read(save(tmp_path / "image.png", np.full(shape, 77, np.uint8)))
        np.testing.assert_array_equal(frames[0].image, np.full((48, 64, 3), 77, np.uint8))

    def test_exif_orientation_is_applied(self, tmp_path: Path) -> None:
        image = noise(2)
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it upright
        frames, _ = read(save(tmp_path / "turned.png", image, exif=exif))
        np.testing.assert_array_equal(frames[0].image, np.rot90(image, -1))

    def test_an_unreadable_image_is_a_fault_and_the_next_one_follows(self, tmp_path: Path) -> None:
        save(tmp_path / "1.png", noise(1))
        cut(save(tmp_path / "2.png", noise(2)), 0.5)
        (tmp_path / "3.jpg").write_bytes(b"no JPEG at all")
        (tmp_path / "4.png").write_bytes(b"")
        save(tmp_path / "5.png", noise(5))
        frames, faults = read(tmp_path)
        assert [(frame.name, frame.frame_id) for frame in frames] == [("1", 0), ("5", 1)]
        assert [fault.name for fault in faults] == ["2.png", "3.jpg", "4.png"]
        assert all(fault.reason for fault in faults)

    def test_deep_grey_is_a_fault_because_it_would_be_clipped(self, tmp_path: Path) -> None:
        save(tmp_path / "depth.png", np.full((48, 64), 3000, np.uint16))
        frames, (fault,) = read(tmp_path)
        assert frames == []
        assert "8 bits" in fault.reason

    def test_an_empty_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="no image"):
            open_source(tmp_path)

    @pytest.mark.parametrize("pattern", ["*.png", "*.txt"])
    def test_a_glob_without_images_is_refused(self, tmp_path: Path, pattern: str) -> None:
        (tmp_path / "notes.txt").write_text("not an image")
        with pytest.raises(SourceError, match="matches"):
            open_source(f"{tmp_path}/{pattern}")

    def test_without_pillow_the_extra_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = save(tmp_path / "image.png", noise(0))
        monkeypatch.setitem(sys.modules, "PIL", None)
        with pytest.raises(RequestError, match=r"pip install saccade\[video\]"):
            open_source(path)


class TestVideo:
    def test_a_video_delivers_all_frames_in_order(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "drive.mp4", 30)
        with open_source(path) as source:
            assert (source.length, source.frame_rate, source.is_video) == (30, 25.0, True)
            items = list(source)
        frames = [item for item in items if isinstance(item, SourceFrame)]
        assert len(frames) == len(items) == 30
        assert [frame.frame_id for frame in frames] == list(range(30))
        assert frames[12].name == "drive_000012"
        assert all(frame.image.shape == (48, 64, 3) and frame.image.dtype == np.uint8 for frame in frames)
        assert [frame.captured_ns for frame in frames] == sorted(frame.captured_ns for frame in frames)

    @pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.avi", "fragmented.mp4"])
    def test_a_whole_file_of_any_container_has_no_fault(self, tmp_path: Path, name: str) -> None:
        options = {"movflags": "frag_keyframe+empty_moov"} if name == "fragmented.mp4" else {}
        path = encode(tmp_path / name, 40, options)
        with open_source(path) as source:
            assert source.length == 40
            items = list(source)
        assert len(items) == 40
        assert all(isinstance(item, SourceFrame) for item in items)

    @pytest.mark.parametrize("name", ["a.mkv", "a.avi", "front.mp4", "fragmented.mp4"])
    def test_a_cut_file_delivers_what_is_there_and_a_fault(self, tmp_path: Path, name: str) -> None:
        movflags = {"front.mp4": "faststart", "fragmented.mp4": "frag_keyframe+empty_moov"}
        path = encode(tmp_path / name, 60, {"movflags": movflags[name]} if name in movflags else {})
        frames, (fault,) = read(cut(path, 0.6))
        assert 20 < len(frames) < 45
        assert fault.name == name
        assert fault.reason.startswith(f"ended early: {len(frames)} of ")

    def test_longer_sound_is_no_missing_video(self, tmp_path: Path) -> None:
        frames, faults = read(encode(tmp_path / "sound.mkv", 20, audio_seconds=3))
        assert (len(frames), faults) == (20, [])

    @pytest.mark.parametrize("name", ["a.ts", "a.mp4", "a.mkv"])
    @pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
    def test_damaged_frames_are_left_out_and_counted(self, tmp_path: Path, name: str, place: float) -> None:
        path = encode(tmp_path / name, 40)
        content = bytearray(path.read_bytes())
        start = int(place * len(content))
        content[start : start + 3000] = bytes(3000)
        path.write_bytes(content)
        frames, (fault,) = read(path)
        assert 25 <= len(frames) < 40
        assert fault.reason.startswith(f"damaged: {len(frames)} of ")

    def test_a_cut_mp4_without_its_index_cannot_be_opened(self, tmp_path: Path) -> None:
        path = cut(encode(tmp_path / "drive.mp4", 30), 0.5)
        with pytest.raises(SourceError, match=r"drive\.mp4 cannot be opened"):
            open_source(path)

    @pytest.mark.parametrize("content", [b"", b"text " * 400, b"#EXTM3U\n#EXTINF:5,\nother.ts\n#EXT-X-ENDLIST\n"])
    def test_what_is_no_video_cannot_be_opened(self, tmp_path: Path, content: bytes) -> None:
        encode(tmp_path / "other.ts", 5)
        path = tmp_path / "playlist.m3u8"
        path.write_bytes(content)
        with pytest.raises(SourceError, match="cannot be opened"):
            open_source(path)

    def test_sound_alone_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "sound.mp4"
        container: Any = av.open(str(path), "w")
        with container:
            mux_silence(container, container.add_stream("aac", rate=8000), 1)
        with pytest.raises(SourceError, match="no video stream"):
            open_source(path)

    def test_a_rotation_tag_is_applied(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "phone.mp4", 1)
        upright, _ = read(path)
        identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
        clockwise = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
        content = path.read_bytes()
        at = content.rindex(identity)  # the track's matrix; the film's comes first
        path.write_bytes(content[:at] + clockwise + content[at + len(identity) :])
        turned, _ = read(path)
        np.testing.assert_array_equal(turned[0].image, np.rot90(upright[0].image, -1))

    def test_a_second_pass_is_refused(self, tmp_path: Path) -> None:
        with open_source(encode(tmp_path / "drive.mp4", 5)) as source:
            list(source)
            with pytest.raises(SourceError, match="open it again"):
                list(source)

    def test_a_closed_video_is_refused(self, tmp_path: Path) -> None:
        source = open_source(encode(tmp_path / "drive.mp4", 5))
        source.close()
        source.close()
        with pytest.raises(SourceError, match="closed"):
            list(source)

    def test_without_pyav_the_extra_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = encode(tmp_path / "drive.mp4", 1)
        monkeypatch.setitem(sys.modules, "av", None)
        with pytest.raises(RequestError, match=r"pip install saccade\[video\]"):
            open_source(path)


class TestScenes:
    def test_the_defaults(self) -> None:
        with open_source("scenes:") as source:
            assert (source.length, source.frame_rate, source.is_video) == (100, 25.0, True)
            frame = next(iter(source))
        assert isinstance(frame, SourceFrame)
        assert (frame.image.shape, frame.name) == ((360, 480, 3), "scenes_000000")

    def test_every_setting_reaches_the_scenes(self) -> None:
        with open_source("scenes:seed=3,frames=2,size=96x64,light=night,fps=12.5") as source:
            assert (source.length, source.frame_rate) == (2, 12.5)
            frames = [item for item in source if isinstance(item, SourceFrame)]
        assert [frame.name for frame in frames] == ["scenes_000000", "scenes_000001"]
        expected = scenes.render(3, 1, size_hw=(64, 96), light="night")
        np.testing.assert_array_equal(frames[1].image, expected.image)

    @pytest.mark.parametrize(
        "settings",
        [
            "speed=3",
            "seed",
            "seed=-1",
            "seed=1,seed=2",
            "seed=",
            "frames=0",
            "frames=1.5",
            "frames=" + "9" * 5000,
            "size=960",
            "size=0x0",
            "size=960x540x3",
            "size=99999x99999",
            "light=noon",
            "fps=0",
            "fps=nan",
            "fps=fast",
        ],
    )
    def test_what_does_not_fit_is_refused_with_what_does(self, settings: str) -> None:
        with pytest.raises(RequestError, match=r"valid are seed=0.*frames=.*size=.*light=day.*night.*fps="):
            open_source(f"scenes:{settings}")


class TestOtherUris:
    @pytest.mark.parametrize("uri", ["rtsp://user:secret@camera/1", "v4l2:/dev/video0", "csi:0", "http://host/a.mp4"])
    def test_a_scheme_of_later_is_refused(self, uri: str) -> None:
        with pytest.raises(RequestError, match="not supported yet; supported are") as refusal:
            open_source(uri)
        assert "secret" not in str(refusal.value)

    @pytest.mark.parametrize("name", ["missing.png", "missing.mp4", "missing", "a.png/b.png", "n" * 5000])
    def test_what_does_not_exist_is_refused(self, tmp_path: Path, name: str) -> None:
        save(tmp_path / "a.png", noise(0))
        with pytest.raises(SourceError):
            open_source(tmp_path / name)

    def test_a_pipe_is_refused_instead_of_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(SourceError, match="neither a file nor a folder"):
            open_source(tmp_path / "pipe")

    @pytest.mark.parametrize("uri", ["", "file://server/share/a.png"])
    def test_no_source_and_another_host_are_refused(self, uri: str) -> None:
        with pytest.raises(RequestError):
            open_source(uri)


def test_the_import_needs_neither_pillow_nor_pyav() -> None:
    check = "import sys, saccade.sources; sys.exit(bool({'PIL', 'av'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0
