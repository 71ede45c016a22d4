"""Where a frame lands in an input of another shape: inside, with its aspect, anchored as asked."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.letterbox import ANCHORS, NOTHING, WEIGHTS, Anchor, fit, letterboxed

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


def test_pixels_are_mixed_in_1024ths_and_rounded_down() -> None:
    image = np.zeros((1, 3, 1), np.uint8)
    image[0, :, 0] = 0, 100, 201
    # Half-pixel centres: 0.25 and 1.75 of the row, so 256/1024 of the second pixel and 768/1024 of the third.
    rows, columns = fit((1, 3), (1, 2)).sampling((1, 2))
    assert columns.tolist() == [[0, 1], [1, 2], [256, 768]]
    assert rows.tolist() == [[0], [0], [0]]
    assert letterboxed(image, (1, 2), 114).ravel().tolist() == [25, 175]  # 175.75 without rounding down


def test_what_the_frame_does_not_reach_is_grey() -> None:
    image = np.full((10, 20, 3), 7, np.uint8)
    for anchor, first in (("start", 0), ("centre", 4)):
        boxed = letterboxed(image, (16, 16), 114, anchor)
        rows, columns = fit((10, 20), (16, 16), anchor).sampling((16, 16))
        is_frame = np.zeros(16, np.bool_)
        is_frame[first : first + 8] = True
        assert (boxed[is_frame] == 7).all()
        assert (boxed[~is_frame] == 114).all()
        assert ((rows[2] == NOTHING) == ~is_frame).all()
        assert (columns[2] != NOTHING).all()


@given(st.tuples(st.integers(1, 300), st.integers(1, 300)), st.sampled_from([(32, 64), (64, 64)]), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_pixels_are_those_of_float_bilinear_but_for_less_than_two_grey_levels(
    frame_hw: tuple[int, int], size_hw: tuple[int, int], seed: int
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (*frame_hw, 1), dtype=np.uint8)
    placement = fit(frame_hw, size_hw)
    inner_h, inner_w = placement.inner_hw
    found = letterboxed(image, size_hw, 114)[:inner_h, :inner_w, 0]
    at = [
        np.clip((np.arange(inner) + 0.5) * frame / inner - 0.5, 0, frame - 1)
        for frame, inner in zip(frame_hw, placement.inner_hw, strict=True)
    ]
    exact = image[..., 0].astype(np.float64)
    for axis, position in enumerate(at):
        low = np.floor(position).astype(int)
        share = np.expand_dims(position - low, 1 - axis)
        high = np.minimum(low + 1, exact.shape[axis] - 1)
        exact = exact.take(low, axis) * (1 - share) + exact.take(high, axis) * share
    assert (np.abs(exact - found) < 2).all()


@given(sizes, st.sampled_from([(416, 416), (544, 960)]), st.sampled_from(ANCHORS))
@settings(max_examples=100, deadline=None)
def test_samples_are_neighbours_inside_the_frame(
    frame_hw: tuple[int, int], size_hw: tuple[int, int], anchor: Anchor
) -> None:
    placement = fit(frame_hw, size_hw, anchor)
    for axis, (first, second, weight) in enumerate(placement.sampling(size_hw)):
        inside = weight != NOTHING
        assert inside.sum() == placement.inner_hw[axis]
        assert ((first >= 0) & (second < frame_hw[axis]))[inside].all()
        assert (second - first <= 1).all()
        assert ((weight >= 0) & (weight < WEIGHTS))[inside].all()


@given(sizes, st.sampled_from(ANCHORS))
@settings(max_examples=100, deadline=None)
def test_a_box_around_the_frame_comes_back_as_the_frame(frame_hw: tuple[int, int], anchor: Anchor) -> None:
    placement = fit(frame_hw, (416, 416), anchor)
    top, left = placement.offset_yx
    bottom, right = top + placement.inner_hw[0], left + placement.inner_hw[1]
    wider = np.array([[left, top, right, bottom], [left - 9, top - 9, right + 9, bottom + 9]], np.float32)
    height, width = frame_hw
    for box in placement.to_frame(wider):
        np.testing.assert_allclose(box, [0, 0, width, height], rtol=1e-5)
    assert placement.to_frame(wider[:0]).shape == (0, 4)
