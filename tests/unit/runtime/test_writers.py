"""Writers: what is read back, what a broken-off run leaves, and what an unwritable place becomes."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from saccade.errors import FrameError, OutputError, RequestError
from saccade.sources import SourceFrame, open_source
from saccade.writers import JsonLinesWriter, VideoWriter, contact_sheet, ensure_folder, write_png

Pixels = npt.NDArray[np.uint8]


def picture(index: int, height: int = 120, width: int = 160) -> Pixels:
    """A smooth picture whose colours move with ``index``."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 200 // height, x * 200 // width, (x + y + 5 * index) // 2 % 200], -1).astype(np.uint8)


def read_back(path: Path) -> list[Pixels]:
    with open_source(path) as source:
        items = list(source)
    assert all(isinstance(item, SourceFrame) for item in items)
    return [item.image for item in items if isinstance(item, SourceFrame)]


def write_video(path: Path, frames: Iterable[Pixels], then_raise: BaseException | None = None) -> VideoWriter:
    with VideoWriter(path, 25) as writer:
        for frame in frames:
            writer.write(frame)
        if then_raise is not None:
            raise then_raise
    return writer


def write_lines(path: Path, count: int, then_raise: BaseException | None = None) -> None:
    with JsonLinesWriter(path) as writer:
        for index in range(count):
            writer.write({"frame": index})
        if then_raise is not None:
            raise then_raise


@pytest.fixture
def small_disk() -> Generator[None]:
    """No file can grow beyond 50 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def noise(seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (240, 320, 3), dtype=np.uint8)


class TestVideo:
    def test_a_round_trip_keeps_count_size_rate_and_colours(self, tmp_path: Path) -> None:
        frames = [picture(index) for index in range(30)]
        with VideoWriter(tmp_path / "out.mp4", 29.97) as writer:
            for frame in frames:
                writer.write(frame)
        assert (writer.codec, writer.frames_written) == ("libx264", 30)
        with open_source(tmp_path / "out.mp4") as source:
            assert source.frame_rate == pytest.approx(29.97)
        decoded = read_back(tmp_path / "out.mp4")
        assert len(decoded) == 30
        error = np.abs(np.stack(decoded).astype(int) - np.stack(frames)).mean((0, 1, 2))
        assert error.max() < 3
        assert list(tmp_path.iterdir()) == [tmp_path / "out.mp4"]

    def test_frames_are_in_order(self, tmp_path: Path) -> None:
        frames = [np.full((64, 64, 3), 8 * index, np.uint8) for index in range(30)]
        write_video(tmp_path / "out.mp4", frames)
        for frame, decoded in zip(frames, read_back(tmp_path / "out.mp4"), strict=True):
            assert abs(int(frame[0, 0, 0]) - decoded.mean()) < 2

    def test_without_libx264_it_is_mpeg4_and_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(av, "codecs_available", frozenset({"mpeg4"}))
        writer = write_video(tmp_path / "out.mp4", [picture(0), picture(1)])
        assert writer.codec == "mpeg4"
        decoded = read_back(tmp_path / "out.mp4")
        assert len(decoded) == 2
        assert np.abs(decoded[0].astype(int) - picture(0)).mean() < 4

    @pytest.mark.parametrize(("size_hw", "stored_hw"), [((121, 161), (122, 162)), ((120, 161), (120, 162))])
    def test_odd_sizes_grow_by_an_edge(
        self, tmp_path: Path, size_hw: tuple[int, int], stored_hw: tuple[int, int]
    ) -> None:
        frame = picture(0, *size_hw)
        write_video(tmp_path / "out.mp4", [frame])
        (decoded,) = read_back(tmp_path / "out.mp4")
        assert decoded.shape[:2] == stored_hw
        assert np.abs(decoded[: size_hw[0], : size_hw[1]].astype(int) - frame).mean() < 4

    def test_a_view_with_strides_is_written_as_it_looks(self, tmp_path: Path) -> None:
        frame = picture(0)
        write_video(tmp_path / "out.mp4", [frame[::-1, ::2]])
        (decoded,) = read_back(tmp_path / "out.mp4")
        assert np.abs(decoded.astype(int) - frame[::-1, ::2]).mean() < 4

    def test_another_size_is_refused_and_the_file_stays_good(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match=r"160x120.*but got one of 80x60"):
            write_video(tmp_path / "out.mp4", [picture(0), picture(0, 60, 80)])
        assert len(read_back(tmp_path / "out.mp4")) == 1

    @pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
    def test_a_run_broken_off_leaves_a_video_of_what_was_written(
        self, tmp_path: Path, stop: type[BaseException]
    ) -> None:
        with pytest.raises(stop):
            write_video(tmp_path / "out.mp4", [picture(index) for index in range(17)], stop())
        assert len(read_back(tmp_path / "out.mp4")) == 17
        assert list(tmp_path.iterdir()) == [tmp_path / "out.mp4"]

    def test_without_a_frame_nothing_appears(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            write_video(tmp_path / "out.mp4", [], KeyboardInterrupt())
        assert list(tmp_path.iterdir()) == []

    def test_nothing_is_at_the_name_before_the_end(self, tmp_path: Path) -> None:
        (tmp_path / "out.mp4").write_bytes(b"the old one")
        with VideoWriter(tmp_path / "out.mp4", 25) as writer:
            writer.write(picture(0))
            assert (tmp_path / "out.mp4").read_bytes() == b"the old one"
            assert (tmp_path / ".out.mp4.part").exists()
        assert len(read_back(tmp_path / "out.mp4")) == 1

    def test_abort_leaves_nothing(self, tmp_path: Path) -> None:
        writer = VideoWriter(tmp_path / "out.mp4", 25)
        writer.write(picture(0))
        writer.abort()
        writer.close()
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(OutputError, match="closed"):
            writer.write(picture(0))

    @pytest.mark.usefixtures("small_disk")
    def test_a_full_disk_is_an_output_error_and_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match=r"out\.mp4 cannot be written"):
            write_video(tmp_path / "out.mp4", map(noise, range(60)))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("name", "rate", "crf"),
        [("o.avi", 25, 20), ("o.mp4", 0, 20), ("o.mp4", float("nan"), 20), ("o.mp4", 25, 52), ("o.mp4", 25, -1)],
    )
    def test_what_cannot_be_asked_is_refused(self, tmp_path: Path, name: str, rate: float, crf: int) -> None:
        with pytest.raises(RequestError):
            VideoWriter(tmp_path / name, rate, crf)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("shape", [(120, 160), (120, 160, 4), (0, 160, 3)])
    def test_what_is_no_frame_is_refused(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        with VideoWriter(tmp_path / "out.mp4", 25) as writer, pytest.raises(FrameError, match="uint8"):
            writer.write(np.zeros(shape, np.uint8))

    def test_without_pyav_the_extra_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "av", None)
        with pytest.raises(RequestError, match=r"pip install saccade\[video\]"):
            VideoWriter(tmp_path / "out.mp4", 25)


class TestPng:
    def test_rgb_is_read_back_exactly(self, tmp_path: Path) -> None:
        write_png(tmp_path / "a.png", noise(0))
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), noise(0))
        assert list(tmp_path.iterdir()) == [tmp_path / "a.png"]

    @pytest.mark.parametrize(("palette", "mode"), [(None, "L"), ([(9, 8, 7)] * 11 + [(1, 2, 3)], "P")])
    def test_class_ids_are_the_pixel_values(self, tmp_path: Path, palette: Any, mode: str) -> None:
        class_map = np.random.default_rng(0).integers(0, 12, (40, 50), dtype=np.uint8)
        write_png(tmp_path / "a.png", class_map, palette)
        opened = Image.open(tmp_path / "a.png")
        assert opened.mode == mode
        np.testing.assert_array_equal(np.asarray(opened), class_map)
        if palette:
            np.testing.assert_array_equal(np.asarray(opened.convert("RGB")), np.array(palette)[class_map])

    @pytest.mark.parametrize("palette", [[(1, 2)], [(1, 2, 300)], [(0, 0, 0)] * 257])
    def test_what_is_no_palette_is_refused(self, tmp_path: Path, palette: Any) -> None:
        with pytest.raises(FrameError, match="palette"):
            write_png(tmp_path / "a.png", np.zeros((4, 4), np.uint8), palette)

    def test_a_palette_for_colours_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(FrameError, match="palette"):
            write_png(tmp_path / "a.png", noise(0), [(1, 2, 3)])

    def test_what_is_no_image_is_refused(self, tmp_path: Path) -> None:
        wrong: Any = np.zeros((4, 4, 3), np.float32)
        with pytest.raises(FrameError, match="float32"):
            write_png(tmp_path / "a.png", wrong)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.usefixtures("small_disk")
    def test_a_full_disk_is_an_output_error_and_leaves_the_old_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(b"the old one")
        with pytest.raises(OutputError, match=r"a\.png cannot be written"):
            write_png(tmp_path / "a.png", noise(0))
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the old one"]


class TestJsonLines:
    def test_records_are_read_back(self, tmp_path: Path) -> None:
        records = [{"frame": index, "name": "Straße"} for index in range(3)]
        with JsonLinesWriter(tmp_path / "a.jsonl") as writer:
            for record in records:
                writer.write(record)
        lines = (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line) for line in lines] == records
        assert list(tmp_path.iterdir()) == [tmp_path / "a.jsonl"]

    def test_each_line_is_on_disk_at_once(self, tmp_path: Path) -> None:
        with JsonLinesWriter(tmp_path / "a.jsonl") as writer:
            writer.write({"frame": 0})
            assert (tmp_path / ".a.jsonl.part").read_text() == '{"frame": 0}\n'
            assert not (tmp_path / "a.jsonl").exists()

    def test_a_run_broken_off_leaves_its_lines(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            write_lines(tmp_path / "a.jsonl", 1, KeyboardInterrupt())
        assert (tmp_path / "a.jsonl").read_text() == '{"frame": 0}\n'

    def test_without_a_line_or_after_abort_nothing_appears(self, tmp_path: Path) -> None:
        with JsonLinesWriter(tmp_path / "a.jsonl"):
            pass
        writer = JsonLinesWriter(tmp_path / "b.jsonl")
        writer.write({"frame": 0})
        writer.abort()
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(OutputError, match="closed"):
            writer.write({"frame": 1})

    @pytest.mark.parametrize("value", [float("nan"), np.zeros(3), {1, 2}])
    def test_what_json_cannot_hold_is_refused_and_leaves_no_line(self, tmp_path: Path, value: object) -> None:
        with JsonLinesWriter(tmp_path / "a.jsonl") as writer:
            writer.write({"value": 1})
            with pytest.raises(RequestError, match="JSON"):
                writer.write({"value": value})
        assert (tmp_path / "a.jsonl").read_text() == '{"value": 1}\n'

    @pytest.mark.usefixtures("small_disk")
    def test_a_full_disk_is_an_output_error(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match=r"a\.jsonl cannot be written"):
            write_lines(tmp_path / "a.jsonl", 10_000)
        assert list(tmp_path.iterdir()) == []


class TestPlaces:
    def test_ensure_folder_creates_it_with_its_parents(self, tmp_path: Path) -> None:
        folder = ensure_folder(tmp_path / "a" / "b")
        assert folder.is_dir()
        assert ensure_folder(folder) == folder
        assert list(folder.iterdir()) == []

    def test_a_file_in_the_path_is_an_output_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        below = tmp_path / "file" / "out"
        with pytest.raises(OutputError, match="choose another folder"):
            ensure_folder(below)
        with pytest.raises(OutputError, match="choose another folder"):
            ensure_folder(tmp_path / "file")
        with pytest.raises(OutputError, match="choose another folder"):
            VideoWriter(below / "a.mp4", 25)
        with pytest.raises(OutputError, match="choose another folder"):
            JsonLinesWriter(below / "a.jsonl")
        with pytest.raises(OutputError, match="choose another folder"):
            write_png(below / "a.png", noise(0))

    def test_a_missing_folder_is_an_output_error(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="create its folder first"):
            VideoWriter(tmp_path / "missing" / "a.mp4", 25)

    def test_a_folder_of_that_name_shows_before_the_work(self, tmp_path: Path) -> None:
        (tmp_path / "a.mp4").mkdir()
        with pytest.raises(OutputError, match="folder of this name"):
            VideoWriter(tmp_path / "a.mp4", 25)


class TestContactSheet:
    def test_tiles_stand_in_rows_with_gaps(self) -> None:
        images = [np.full((60, 80, 3), 50 * (index + 1), np.uint8) for index in range(4)]
        sheet = contact_sheet(images, columns=3, width=308)
        assert sheet.shape == (75 * 2 + 4, 308, 3)
        assert [sheet[30, x, 0] for x in (50, 154, 258)] == [50, 100, 150]
        assert sheet[110, 50, 0] == 200
        assert sheet[30, 101, 0] == sheet[110, 154, 0] == 24

    def test_fewer_images_than_columns_fill_the_width(self) -> None:
        assert contact_sheet([picture(0)], columns=3, width=320).shape == (240, 320, 3)

    def test_another_shape_is_fitted_whole(self) -> None:
        sheet = contact_sheet([np.full((60, 80, 3), 90, np.uint8), np.full((80, 40, 3), 200, np.uint8)], 2, 204)
        assert sheet.shape == (75, 204, 3)
        assert (sheet[:, 104:] == 200).all(2).sum() == pytest.approx(75 * 37.5, rel=0.05)

    def test_what_cannot_be_laid_out_is_refused(self) -> None:
        with pytest.raises(RequestError, match="at least one"):
            contact_sheet([])
        with pytest.raises(RequestError, match="no room"):
            contact_sheet([picture(0)], columns=0)
        with pytest.raises(FrameError, match="uint8"):
            contact_sheet([np.zeros((4, 4), np.uint8)])


def test_the_import_needs_neither_pillow_nor_pyav() -> None:
    check = "import sys, saccade.writers; sys.exit(bool({'PIL', 'av'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0
