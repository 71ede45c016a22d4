"""Large frames in tiles: every pixel once, no seam, padding of any size."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.tiles import blend, padded, spans


@given(st.integers(1, 5000), st.integers(64, 256), st.integers(0, 31), st.sampled_from([1, 4, 8]))
def test_spans_cover_an_axis_and_start_where_the_network_does(
    length: int, tile: int, overlap: int, multiple: int
) -> None:
    found = spans(length, tile, overlap, multiple)
    assert (found[0].start, found[0].shared, found[-1].stop) == (0, 0, length)
    for before, span in pairwise(found):
        assert span.shared == before.stop - span.start >= overlap
        assert span.start > before.start
    for span in found:
        assert span.start % multiple == 0
        assert span.shared < span.stop - span.start <= tile


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([np.uint8, np.float32]))
def test_equal_tiles_blend_to_the_whole(height: int, width: int, dtype: type[np.generic]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, height, width, 3)).astype(dtype)
    canvas = np.zeros_like(image)
    for row in spans(height, 128, 32, 8):
        band = np.zeros_like(image[:, row.start : row.stop])
        for column in spans(width, 128, 32, 8):
            blend(band, image[:, row.start : row.stop, column.start : column.stop], column, axis=2)
        blend(canvas, band, row, axis=1)
    np.testing.assert_allclose(canvas, image, atol=0 if dtype == np.uint8 else 1e-3)


def test_a_step_between_tiles_becomes_a_slope() -> None:
    left, right = spans(232, 128, 24, 8)
    canvas = np.zeros((1, 64, 232, 3), np.uint8)
    blend(canvas, np.zeros((1, 64, 128, 3), np.uint8), left, axis=2)
    blend(canvas, np.full((1, 64, 128, 3), 200, np.uint8), right, axis=2)
    assert right.shared == 24
    assert int(np.abs(np.diff(canvas[0, 0, :, 0].astype(int))).max()) <= 200 // 6 + 1
    assert (canvas[0, :, : right.start + 9] == 0).all()
    assert (canvas[0, :, left.stop - 9 :] == 200).all()


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 9), (7, 3), (8, 16)])
def test_padding_mirrors_frames_of_any_size(size_hw: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (2, *size_hw, 3)).astype(np.uint8)
    found = padded(image, 8)
    assert found.shape[1] % 8 == found.shape[2] % 8 == 0
    np.testing.assert_array_equal(found[:, : size_hw[0], : size_hw[1]], image)
    assert (found is image) == (size_hw == (8, 16))
    if size_hw == (7, 3):
        np.testing.assert_array_equal(found[:, :7, 3], image[:, :, 2])
