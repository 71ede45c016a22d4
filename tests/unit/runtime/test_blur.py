"""Blurring: nothing but a few mean colours leaves a box, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from saccade.blur import CELLS, blur_all, blur_boxes
from saccade.errors import FrameError

Pixels = npt.NDArray[np.uint8]


def noise(height: int = 90, width: int = 120, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def one(*xyxy: float) -> npt.NDArray[np.float32]:
    return np.array([xyxy], np.float32)


def plate(text: str) -> Pixels:
    """A white plate with black letters, 300x60."""
    picture = Image.new("RGB", (300, 60), (240, 240, 240))
    ImageDraw.Draw(picture).text((150, 30), text, fill=(10, 10, 10), font=ImageFont.load_default(52), anchor="mm")
    return np.array(picture)


class TestWhatIsLeft:
    def test_pixels_that_change_places_within_a_cell_leave_no_trace(self) -> None:
        # Given two pictures that differ in every detail, but not in the mean of any cell.
        random = np.random.default_rng(1)
        image = noise(60, 90)
        other = image.copy()
        for top in range(0, 60, 30):  # a box of 60x90 has 2x3 cells of 30x30
            for left in range(0, 90, 30):
                cell = other[top : top + 30, left : left + 30].reshape(-1, 3)
                other[top : top + 30, left : left + 30] = random.permutation(cell).reshape(30, 30, 3)
        assert (image != other).any(2).mean() > 0.9
        # When both are blurred, then nobody can tell which it was.
        np.testing.assert_array_equal(blur_all(image), blur_all(other))

    def test_cells_that_change_places_do_leave_one(self) -> None:
        image = np.zeros((60, 90, 3), np.uint8)
        image[:, :30] = 200
        assert not np.array_equal(blur_all(image), blur_all(image[:, ::-1]))

    def test_two_plates_look_alike(self) -> None:
        first, second = plate("ULM 4711"), plate("HAM 8036")
        assert np.abs(first.astype(int) - second).max() > 200
        boxes = one(0, 0, 300, 60)
        difference = np.abs(blur_boxes(first, boxes).astype(int) - blur_boxes(second, boxes))
        assert difference.max() <= 16  # one step of the rounding
        assert len(np.unique(blur_boxes(first, boxes).reshape(-1, 3), axis=0)) <= 40

    @given(st.integers(1, 200), st.integers(1, 200))
    @settings(max_examples=60, deadline=None)
    def test_it_is_flat_whatever_the_size(self, height: int, width: int) -> None:
        """Neighbours differ by no more than a ramp between cells of three quarters of a third of the longer side."""
        blurred = blur_all(noise(height, width)).astype(int)
        assert blurred.shape == (height, width, 3)
        steepest = 255 * CELLS / (0.75 * max(height, width)) + 1
        for axis in (0, 1):
            assert np.abs(np.diff(blurred, axis=axis)).max(initial=0) <= steepest

    def test_plates_in_real_frames_lose_their_letters(self, data: Path) -> None:
        listed = json.loads((data / "plates" / "annotations.json").read_text())
        names = {entry["id"]: Path(entry["file_name"]).name for entry in listed["images"]}
        largest = sorted(listed["annotations"], key=lambda entry: -entry["bbox"][2] * entry["bbox"][3])[:5]
        for entry in largest:
            frame = np.array(Image.open(data / "plates" / "images" / names[entry["image_id"]]).convert("RGB"))
            left, top, width, height = entry["bbox"]
            blurred = blur_boxes(frame, one(left, top, left + width, top + height))
            inside = slice(round(top), round(top + height)), slice(round(left), round(left + width))
            assert sharpness(blurred[inside]) < 0.1 * sharpness(frame[inside])


def sharpness(image: Pixels) -> float:
    """The mean difference between neighbours along a line, where letters are."""
    return float(np.abs(np.diff(image.astype(int), axis=1)).mean())


class TestWhere:
    def test_the_box_and_its_margin_change_and_nothing_else(self) -> None:
        image = noise()
        kept = image.copy()
        blurred = blur_boxes(image, one(40, 30, 80, 50))
        changed = (blurred != image).any(2)
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        # 15 % of 40 and of 20 pixels on each side.
        assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == (27, 53, 34, 86)
        assert changed[30:50, 40:80].mean() > 0.95
        np.testing.assert_array_equal(image, kept)

    def test_without_a_box_nothing_changes_but_it_is_a_copy(self) -> None:
        image = noise()
        blurred = blur_boxes(image, np.zeros((0, 4), np.float32))
        np.testing.assert_array_equal(blurred, image)
        assert not np.shares_memory(blurred, image)

    @pytest.mark.parametrize(
        "xyxy",
        [(0, 0, 0, 0), (119.6, 89.6, 120, 90), (0, 40, 120, 41), (-50, -50, 10, 10), (60, 45, 60, 45)],
    )
    def test_boxes_at_the_edge_and_tiny_ones_are_blurred_too(self, xyxy: tuple[float, ...]) -> None:
        assert (blur_boxes(noise(), one(*xyxy)) != noise()).any()

    def test_boxes_outside_change_nothing(self) -> None:
        np.testing.assert_array_equal(blur_boxes(noise(), one(500, 500, 600, 600)), noise())

    def test_a_box_that_is_not_finite_could_be_anywhere(self) -> None:
        for broken in (np.nan, np.inf):
            np.testing.assert_array_equal(blur_boxes(noise(), one(0, 0, broken, 5)), blur_all(noise()))

    def test_strides_do_not_matter(self) -> None:
        image = noise()
        boxes = one(20, 30, 60, 50)
        turned = np.ascontiguousarray(image[:, ::-1])[:, ::-1]
        np.testing.assert_array_equal(blur_boxes(turned, boxes), blur_boxes(image, boxes))

    @given(
        st.lists(st.tuples(*[st.floats(-200, 300, width=32)] * 4), max_size=5), st.integers(1, 60), st.integers(1, 60)
    )
    @settings(max_examples=100, deadline=None)
    def test_any_boxes_on_any_image(self, rows: list[tuple[float, ...]], height: int, width: int) -> None:
        image = noise(height, width)
        blurred = blur_boxes(image, np.array(rows, np.float32).reshape(-1, 4))
        assert (blurred.shape, blurred.dtype) == (image.shape, np.uint8)

    def test_what_are_no_boxes_is_refused(self) -> None:
        with pytest.raises(FrameError, match=r"boxes must be \(n, 4\)"):
            blur_boxes(noise(), np.zeros((2, 5), np.float32))
