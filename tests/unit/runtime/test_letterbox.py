"""Where a frame lands in an input of another shape: inside, with its aspect, anchored as asked."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.letterbox import ANCHORS, Anchor, fit

side = st.integers(1, 1 << 14)
sizes = st.tuples(side, side)


@pytest.mark.parametrize(
    ("frame_hw", "size_hw", "anchor", "inner_hw", "offset_yx"),
    [
        ((432, 768), (416, 416), "start", (234, 416), (0, 0)),
        ((432, 768), (416, 416), "centre", (234, 416), (91, 0)),
        ((768, 432), (416, 416), "centre", (416, 234), (0, 91)),
        ((540, 960), (360, 640), "start", (360, 640), (0, 0)),
        ((100, 100), (416, 416), "start", (416, 416), (0, 0)),
        ((10_000, 1), (64, 64), "centre", (64, 1), (0, 31)),
        ((3, 2), (4, 4), "start", (4, 2), (0, 0)),  # 2.67 rounds down
        ((2, 3), (3, 3), "centre", (2, 3), (0, 0)),  # of an odd rest the smaller half is before
    ],
)
def test_known_placements(
    frame_hw: tuple[int, int],
    size_hw: tuple[int, int],
    anchor: Anchor,
    inner_hw: tuple[int, int],
    offset_yx: tuple[int, int],
) -> None:
    placement = fit(frame_hw, size_hw, anchor)
    assert (placement.inner_hw, placement.offset_yx) == (inner_hw, offset_yx)
    assert placement.scale_xy == (inner_hw[1] / frame_hw[1], inner_hw[0] / frame_hw[0])


@given(sizes, sizes, st.sampled_from(ANCHORS))
@settings(max_examples=300, deadline=None)
def test_a_frame_lies_inside_fills_one_side_and_keeps_its_aspect(
    frame_hw: tuple[int, int], size_hw: tuple[int, int], anchor: Anchor
) -> None:
    placement = fit(frame_hw, size_hw, anchor)
    inner, offset = placement.inner_hw, placement.offset_yx
    for axis in (0, 1):
        assert offset[axis] >= 0
        assert 1 <= inner[axis] <= size_hw[axis] - offset[axis]
    assert inner[0] == size_hw[0] or inner[1] == size_hw[1]
    # The exact sides at one scale; the shorter one is less than a pixel off, unless it would vanish.
    scale = min(Fraction(size_hw[axis], frame_hw[axis]) for axis in (0, 1))
    for axis in (0, 1):
        exact = frame_hw[axis] * scale
        assert 0 <= exact - inner[axis] < 1 or (inner[axis] == 1 and exact < 1)


@given(sizes, sizes)
@settings(max_examples=200, deadline=None)
def test_the_centre_leaves_as_much_on_either_side(frame_hw: tuple[int, int], size_hw: tuple[int, int]) -> None:
    placement = fit(frame_hw, size_hw, "centre")
    for axis in (0, 1):
        after = size_hw[axis] - placement.inner_hw[axis] - placement.offset_yx[axis]
        assert after - placement.offset_yx[axis] in (0, 1)
    assert fit(frame_hw, size_hw, "start").offset_yx == (0, 0)


@given(sizes, sizes)
@settings(max_examples=200, deadline=None)
def test_turning_frame_and_input_turns_the_placement(frame_hw: tuple[int, int], size_hw: tuple[int, int]) -> None:
    placement, turned = fit(frame_hw, size_hw, "centre"), fit(frame_hw[::-1], size_hw[::-1], "centre")
    assert turned.inner_hw == placement.inner_hw[::-1]
    assert turned.offset_yx == placement.offset_yx[::-1]
