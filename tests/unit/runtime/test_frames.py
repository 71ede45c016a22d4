"""What may be handed in as a frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from saccade.errors import FrameError
from saccade.frames import check_frame, check_pixel_format, from_buffer


@pytest.mark.parametrize(
    ("frame", "advice"),
    [
        (np.zeros((4, 5, 3), np.float32), "8-bit"),
        (np.zeros((3, 4, 5), np.float32), "not a network's input"),
        (np.zeros((4, 5), np.uint8), "grey"),
        (np.zeros((4, 5, 4), np.uint8), "alpha"),
        (np.zeros((4, 5, 1), np.uint8), "three channels"),
        (np.zeros((0, 5, 3), np.uint8), "1 to"),
        (np.zeros((4, 0, 3), np.uint8), "1 to"),
        ([[1, 2, 3]], "numpy array"),
        (None, "numpy array"),
    ],
)
def test_other_frames_are_refused_with_advice(frame: Any, advice: str) -> None:
    with pytest.raises(FrameError, match=advice):
        check_frame(frame)


def test_any_strides_are_taken() -> None:
    frame = np.zeros((8, 12, 3), np.uint8)
    for view in (frame[::2], frame[:, ::-1], frame[..., ::-1], np.asfortranarray(frame)):
        assert check_frame(view) is view


@pytest.mark.parametrize(
    ("declared", "reason"), [("nv12", "takes rgb24, bgr24"), ("RGB", "not known"), ("", "not known")]
)
def test_other_pixel_formats_are_refused(declared: str, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        check_pixel_format(declared, ("rgb24", "bgr24"))


def test_a_padded_camera_buffer_becomes_a_frame_without_a_copy() -> None:
    stride, height, width = 64, 5, 20
    buffer = np.random.default_rng(0).integers(0, 256, stride * height, np.uint8)
    frame = from_buffer(buffer, height, width, stride)
    assert np.array_equal(frame, buffer.reshape(height, stride)[:, : 3 * width].reshape(height, width, 3))
    assert np.shares_memory(frame, buffer)
    assert from_buffer(bytes(6 * 3), 2, 3).shape == (2, 3, 3)


@pytest.mark.parametrize(
    ("size", "height", "width", "stride"), [(100, 5, 20, 59), (299, 5, 20, 60), (300, 6, 20, 60), (10, 0, 1, 3)]
)
def test_strides_and_buffers_that_are_too_short_are_refused(size: int, height: int, width: int, stride: int) -> None:
    with pytest.raises(FrameError, match="need"):
        from_buffer(bytes(size), height, width, stride)
