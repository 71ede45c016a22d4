"""Boxes and labels: in their colours, around their objects, whole, and legible on any colour."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.draw import draw_boxes
from saccade.errors import FrameError, RequestError

Pixels = npt.NDArray[np.uint8]
RED = (200, 10, 30)


def grey(height: int = 360, width: int = 480) -> Pixels:
    return np.full((height, width, 3), 90, np.uint8)


def boxes_of(*rows: tuple[float, ...]) -> npt.NDArray[np.float32]:
    return np.array(rows, np.float32).reshape(-1, 4)


def changed_box(before: Pixels, after: Pixels) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of what differs, the ends open."""
    rows = np.flatnonzero((before != after).any((1, 2)))
    columns = np.flatnonzero((before != after).any((0, 2)))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def has_color(image: Pixels, color: tuple[int, ...]) -> bool:
    return bool((image == np.array(color, np.uint8)).all(2).any())


def luminance(color: Any) -> float:
    """The relative luminance of WCAG 2.1."""
    share = np.asarray(color, float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


class TestLines:
    def test_the_line_is_around_the_object_not_on_it(self) -> None:
        drawn = draw_boxes(grey(), boxes_of((100, 80, 220, 160)), [RED])
        assert (drawn[80:160, 100:220] == 90).all()
        top, bottom, left, right = changed_box(grey(), drawn)
        assert 75 <= top < 80
        assert 160 < bottom <= 165
        assert 95 <= left < 100
        assert 220 < right <= 225
        assert has_color(drawn, RED)

    def test_it_shows_on_its_own_colour(self) -> None:
        image = np.full((360, 480, 3), RED, np.uint8)
        assert (draw_boxes(image, boxes_of((100, 80, 220, 160)), [RED]) != image).any()

    def test_the_width_follows_the_picture(self) -> None:
        widths: list[int] = []
        for height, width in ((360, 480), (1080, 1440), (2160, 3840)):
            image = grey(height, width)
            drawn = draw_boxes(image, boxes_of((width / 4, height / 4, width / 2, height / 2)), [RED])
            widths.append(round(height / 4) - changed_box(image, drawn)[0])
        assert widths[0] < widths[1] < widths[2] <= 12

    def test_the_first_box_is_on_top(self) -> None:
        same = boxes_of((100, 80, 220, 160), (100, 80, 220, 160))
        drawn = draw_boxes(grey(), same, [RED, (0, 255, 0)])
        assert has_color(drawn, RED)
        assert not has_color(drawn, (0, 255, 0))

    def test_boxes_at_the_edge_keep_their_line(self) -> None:
        drawn = draw_boxes(grey(), boxes_of((0, 0, 480, 360)), [RED])
        for side in (drawn[:3], drawn[-3:], drawn[:, :3], drawn[:, -3:]):
            assert has_color(side, RED)

    @pytest.mark.parametrize("row", [(np.nan, 0, 9, 9), (0, 0, np.inf, 9), (480, 0, 500, 20), (-30, -30, 0, 0)])
    def test_what_cannot_be_seen_is_left_out(self, row: tuple[float, ...]) -> None:
        np.testing.assert_array_equal(draw_boxes(grey(), boxes_of(row), [RED], ["car"]), grey())

    def test_without_boxes_it_is_a_copy(self) -> None:
        image = grey()
        drawn = draw_boxes(image, boxes_of(), np.zeros((0, 3), np.uint8), [])
        np.testing.assert_array_equal(drawn, image)
        assert not np.shares_memory(drawn, image)

    def test_the_image_stays_as_it_is_and_strides_do_not_matter(self) -> None:
        image = np.random.default_rng(0).integers(0, 256, (360, 480, 3), dtype=np.uint8)
        kept, row = image.copy(), boxes_of((100, 80, 220, 160))
        turned = np.ascontiguousarray(image[:, ::-1])[:, ::-1]
        drawn = draw_boxes(turned, row, [RED], ["car"])
        np.testing.assert_array_equal(drawn, draw_boxes(image, row, [RED], ["car"]))
        np.testing.assert_array_equal(image, kept)


def label_of(row: tuple[float, ...], text: str = "car 0.87", size_hw: tuple[int, int] = (360, 480)) -> Pixels:
    """The rectangle that a label alone changes, cut out of the picture."""
    plain = draw_boxes(grey(*size_hw), boxes_of(row), [RED])
    named = draw_boxes(grey(*size_hw), boxes_of(row), [RED], [text])
    top, bottom, left, right = changed_box(plain, named)
    return named[top:bottom, left:right]


class TestLabels:
    @pytest.mark.parametrize(
        "row",
        [(0, 0, 8, 8), (472, 0, 480, 8), (0, 352, 8, 360), (472, 352, 480, 360), (470, 200, 475, 205)],
        ids=["top left", "top right", "bottom left", "bottom right", "right"],
    )
    def test_a_label_is_whole_wherever_its_box_is(self, row: tuple[float, ...]) -> None:
        np.testing.assert_array_equal(label_of(row), label_of((200, 200, 208, 208)))

    @pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (255, 255, 0), (0, 0, 255), RED])
    def test_text_is_legible_on_any_colour(self, color: tuple[int, int, int]) -> None:
        drawn = draw_boxes(grey(), boxes_of((100, 100, 200, 200)), [color], ["MMMMMMMM"])
        background, label = luminance(color), drawn[78:98, 98:160].reshape(-1, 3)
        assert (label == color).all(1).any()
        found = max(
            (max(background, luminance(p)) + 0.05) / (min(background, luminance(p)) + 0.05)
            for p in np.unique(label, axis=0)
        )
        assert found >= 4.5

    def test_its_size_follows_the_picture(self) -> None:
        small, large = label_of((200, 200, 208, 208)), label_of((600, 600, 608, 608), size_hw=(1080, 1440))
        assert 2.5 < large.shape[0] / small.shape[0] < 3.5

    def test_labels_of_neighbours_do_not_cover_each_other(self) -> None:
        # Given boxes so close that their labels would lie on each other.
        rows = boxes_of(*((100 + 6 * index, 150 + 3 * index, 180 + 6 * index, 200) for index in range(4)))
        colors = [(250, 10, 10), (10, 250, 10), (10, 10, 250), (250, 250, 10)]
        labels = [f"licence plate 0.{index}1" for index in range(4)]
        # When they are drawn together, then each has about as many pixels of its colour as alone.
        together = draw_boxes(grey(), rows, colors, labels)
        for index, color in enumerate(colors):
            alone = draw_boxes(grey(), rows[[index]], [color], [labels[index]])
            plain = draw_boxes(grey(), rows[[index]], [color])
            in_label = (alone == np.array(color, np.uint8)).all(2).sum() - (plain == np.array(color, np.uint8)).all(
                2
            ).sum()
            assert (together == np.array(color, np.uint8)).all(2).sum() >= in_label > 300

    def test_where_there_is_no_place_the_first_boxes_have_theirs(self) -> None:
        rows = boxes_of(*[(10, 10, 50, 30)] * 30)
        colors = [(index, 255 - index, 7) for index in range(30)]
        drawn = draw_boxes(grey(60, 80), rows, colors, ["car 0.87"] * 30)
        assert has_color(drawn, colors[0])
        assert not has_color(drawn, colors[29])

    def test_a_long_name_is_cut_to_the_picture(self) -> None:
        drawn = draw_boxes(grey(), boxes_of((100, 100, 200, 200)), [RED], ["a far too long name " * 20])
        assert has_color(drawn, RED)

    @pytest.mark.parametrize("size_hw", [(1, 1), (8, 8), (12, 200), (200, 6)])
    def test_a_picture_too_small_for_text_has_none(self, size_hw: tuple[int, int]) -> None:
        row = boxes_of((0, 0, size_hw[1], size_hw[0]))
        np.testing.assert_array_equal(
            draw_boxes(grey(*size_hw), row, [RED], ["license plate 0.87"]), draw_boxes(grey(*size_hw), row, [RED])
        )

    @given(
        st.lists(st.tuples(*[st.floats(-100, 400, width=32)] * 4), max_size=6), st.integers(1, 120), st.integers(1, 160)
    )
    @settings(max_examples=80, deadline=None)
    def test_any_boxes_on_any_picture(self, rows: list[tuple[float, ...]], height: int, width: int) -> None:
        drawn = draw_boxes(
            grey(height, width), boxes_of(*rows), [RED] * len(rows) or np.zeros((0, 3), int), ["car"] * len(rows)
        )
        assert (drawn.shape, drawn.dtype) == ((height, width, 3), np.uint8)


class TestRefusals:
    def test_what_does_not_fit_together_is_refused(self) -> None:
        rows = boxes_of((0, 0, 9, 9), (5, 5, 9, 9))
        with pytest.raises(FrameError, match=r"boxes must be \(n, 4\)"):
            draw_boxes(grey(), rows[:, :3], [RED, RED])
        with pytest.raises(RequestError, match="colours must be one for each of the 2 boxes, but are 1"):
            draw_boxes(grey(), rows, [RED])
        with pytest.raises(RequestError, match="labels must be one for each of the 2 boxes, but are 3"):
            draw_boxes(grey(), rows, [RED, RED], ["a", "b", "c"])
        with pytest.raises(FrameError, match="image must be uint8"):
            draw_boxes(np.zeros((4, 4), np.uint8), rows, [RED, RED])

    def test_without_pillow_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "PIL", None)
        with pytest.raises(RequestError, match=r"pip install saccade\[video\]"):
            draw_boxes(grey(), boxes_of((0, 0, 9, 9)), [RED])
