"""Drawing: exact blending, and text that stays on the picture."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from saccade.draw import caption, legend, overlay
from saccade.errors import FrameError, RequestError

Pixels = npt.NDArray[np.uint8]
COLORS = ((200, 10, 30), (0, 255, 0), (255, 255, 255))
NAMES = ("road", "car", "sky")


def noise(height: int = 360, width: int = 480) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def changed_box(before: Pixels, after: Pixels) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of what differs, the ends open."""
    rows = np.flatnonzero((before != after).any((1, 2)))
    columns = np.flatnonzero((before != after).any((0, 2)))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


class TestOverlay:
    @pytest.mark.parametrize("opacity", [0.0, 0.25, 0.5, 0.8, 1.0])
    def test_it_blends_as_floats_would(self, opacity: float) -> None:
        image = noise()
        class_map = np.random.default_rng(1).integers(0, 3, (360, 480), dtype=np.uint8)
        expected = image * (1 - opacity) + np.array(COLORS)[class_map] * opacity
        assert np.abs(overlay(image, class_map, COLORS, opacity) - expected).max() <= 1.5

    def test_opacity_0_and_1_are_exact(self) -> None:
        image, class_map = noise(), np.full((360, 480), 2, np.uint8)
        np.testing.assert_array_equal(overlay(image, class_map, COLORS, 0), image)
        np.testing.assert_array_equal(overlay(image, class_map, COLORS, 1), np.full_like(image, 255))

    @pytest.mark.parametrize(("dtype", "void"), [(np.uint8, 3), (np.uint8, 255), (np.int32, -1), (np.int64, 70_000)])
    def test_ids_without_a_colour_stay_untouched(self, dtype: Any, void: int) -> None:
        image = noise()
        class_map = np.zeros((360, 480), dtype)
        class_map[:100] = void
        drawn = overlay(image, class_map, COLORS)
        np.testing.assert_array_equal(drawn[:100], image[:100])
        np.testing.assert_array_equal(drawn[100:], overlay(image, np.zeros((360, 480), np.uint8), COLORS)[100:])

    def test_the_inputs_stay_as_they_are_and_strides_do_not_matter(self) -> None:
        image, class_map = noise(), np.random.default_rng(1).integers(0, 5, (360, 480), dtype=np.uint8)
        kept, kept_map = image.copy(), class_map.copy()
        drawn = overlay(image[:, ::-1], class_map[:, ::-1], COLORS)
        np.testing.assert_array_equal(drawn, overlay(image, class_map, COLORS)[:, ::-1])
        np.testing.assert_array_equal(image, kept)
        np.testing.assert_array_equal(class_map, kept_map)

    def test_arrays_that_do_not_fit_are_refused(self) -> None:
        with pytest.raises(FrameError, match="image must be uint8"):
            overlay(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8), COLORS)
        with pytest.raises(FrameError, match="class_map must be"):
            overlay(noise(), np.zeros((480, 360), np.uint8), COLORS)
        with pytest.raises(FrameError, match="float32"):
            overlay(noise(), np.zeros((360, 480), np.float32), COLORS)

    @pytest.mark.parametrize("colors", [[], [(1, 2)], [(0, 0, 256)], [(0.5, 0.5, 0.5)]])
    def test_what_are_no_colours_is_refused(self, colors: Any) -> None:
        with pytest.raises(RequestError, match="colors must be"):
            overlay(noise(), np.zeros((360, 480), np.uint8), colors)

    @pytest.mark.parametrize("opacity", [-0.1, 1.1, float("nan")])
    def test_what_is_no_opacity_is_refused(self, opacity: float) -> None:
        with pytest.raises(RequestError, match="opacity"):
            overlay(noise(), np.zeros((360, 480), np.uint8), COLORS, opacity)


class TestLegend:
    def test_it_shows_each_colour_at_the_top_left_and_leaves_the_rest(self) -> None:
        image = np.full((360, 480, 3), 90, np.uint8)
        drawn = legend(image, NAMES, COLORS)
        assert drawn.shape == image.shape
        top, bottom, left, right = changed_box(image, drawn)
        assert 0 < top < 20
        assert 0 < left < 20
        assert bottom < 180
        assert right < 240
        for color in COLORS:
            assert (drawn == np.array(color, np.uint8)).all(2).sum() >= 50
        assert (image == 90).all()

    def test_only_present_classes_are_shown_and_void_is_left_out(self) -> None:
        image = np.full((360, 480, 3), 90, np.uint8)
        present = np.unique(np.array([[1, 1], [1, 11]], np.uint8)).tolist()
        drawn = legend(image, NAMES, COLORS, present)
        assert (drawn == np.array(COLORS[1], np.uint8)).all(2).any()
        assert not (drawn == np.array(COLORS[0], np.uint8)).all(2).any()
        assert changed_box(image, drawn)[1] < changed_box(image, legend(image, NAMES, COLORS))[1]

    def test_without_a_class_the_image_is_returned_whole(self) -> None:
        image = noise()
        np.testing.assert_array_equal(legend(image, NAMES, COLORS, []), image)

    def test_it_grows_with_the_image(self) -> None:
        small, large = np.zeros((360, 480, 3), np.uint8), np.zeros((1080, 1440, 3), np.uint8)
        small_right = changed_box(small, legend(small, NAMES, COLORS))[3]
        large_right = changed_box(large, legend(large, NAMES, COLORS))[3]
        assert 2 < large_right / small_right < 4

    def test_a_long_list_takes_columns_and_stays_inside(self) -> None:
        image = np.full((360, 480, 3), 90, np.uint8)
        colors = [(index, 255 - index, 7) for index in range(40)]
        drawn = legend(image, [f"class {index}" for index in range(40)], colors)
        top, bottom, left, right = changed_box(image, drawn)
        assert min(top, left, 360 - bottom, 480 - right) > 0
        assert all((drawn == np.array(color, np.uint8)).all(2).any() for color in colors)

    @pytest.mark.parametrize("size_hw", [(120, 160), (16, 16), (1, 1)])
    def test_a_small_picture_shows_what_fits(self, size_hw: tuple[int, int]) -> None:
        image = np.full((*size_hw, 3), 90, np.uint8)
        names = [f"a rather long class name {index}" for index in range(80)]
        assert legend(image, names, [(1, 2, 3)] * 80).shape == image.shape

    def test_names_and_colours_must_match(self) -> None:
        with pytest.raises(RequestError, match="3 names, 2 colours"):
            legend(noise(), NAMES, COLORS[:2])

    def test_without_pillow_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "PIL", None)
        with pytest.raises(RequestError, match=r"pip install saccade\[video\]"):
            legend(noise(), NAMES, COLORS)
        with pytest.raises(RequestError, match=r"pip install saccade\[video\]"):
            caption(noise(), "text")


class TestCaption:
    def test_it_is_one_line_at_the_bottom_left(self) -> None:
        image = np.full((360, 480, 3), 90, np.uint8)
        top, bottom, left, right = changed_box(image, caption(image, "frame 12\n8.1 ms"))
        assert (bottom, left) == (360, 0)
        assert top > 330
        assert 40 < right < 240

    def test_a_long_text_is_cut(self) -> None:
        image = np.full((60, 80, 3), 90, np.uint8)
        assert caption(image, "a text that is far too long " * 9).shape == image.shape

    @pytest.mark.parametrize("text", ["", "\n"])
    def test_without_text_the_image_is_returned_whole(self, text: str) -> None:
        image = noise()
        np.testing.assert_array_equal(caption(image, text), image)

    def test_it_does_not_cover_a_full_legend(self) -> None:
        image = np.full((200, 900, 3), 90, np.uint8)
        legend_bottom = changed_box(image, legend(image, [f"{i}" for i in range(30)], [(1, 2, 3)] * 30))[1]
        assert legend_bottom <= changed_box(image, caption(image, "text"))[0]

    def test_what_is_no_image_is_refused(self) -> None:
        with pytest.raises(FrameError, match="image must be uint8"):
            caption(np.zeros((4, 4), np.uint8), "text")


def test_the_import_needs_no_pillow() -> None:
    check = "import sys, saccade.draw; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0
