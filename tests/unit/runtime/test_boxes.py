"""Overlap and suppression, held against what their definitions say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.boxes import iou_matrix, suppress

Floats = npt.NDArray[np.float32]


def boxes_of(*rows: tuple[float, ...]) -> Floats:
    return np.array(rows, np.float32).reshape(-1, 4)


@st.composite
def detections(draw: st.DrawFn, most: int = 12) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Boxes on a coarse grid, so that they often overlap, with confidences that are often equal."""
    count = draw(st.integers(0, most))
    corner, side = st.integers(0, 12), st.integers(0, 8)
    rows = [(draw(corner), draw(corner), draw(side), draw(side)) for _ in range(count)]
    xyxy = boxes_of(*((x, y, x + w, y + h) for x, y, w, h in rows))
    confidence = np.array([draw(st.integers(1, 4)) / 4 for _ in range(count)], np.float32)
    return xyxy, confidence, np.array([draw(st.integers(0, 2)) for _ in range(count)], np.int64)


def suppress_by_the_book(
    xyxy: Floats, confidence: Floats, class_id: npt.NDArray[np.int64], iou: float, agnostic: bool
) -> list[int]:
    """Greedy suppression, one box and one comparison at a time."""
    kept: list[int] = []
    for index in sorted(range(len(xyxy)), key=lambda i: (-confidence[i], i)):
        rivals = [k for k in kept if agnostic or class_id[k] == class_id[index]]
        if all(iou_matrix(xyxy[[index]], xyxy[[k]])[0, 0] <= iou for k in rivals):
            kept.append(index)
    return kept


class TestIou:
    def test_known_overlaps(self) -> None:
        one = boxes_of((0, 0, 10, 10))
        others = boxes_of((0, 0, 10, 10), (5, 0, 15, 10), (10, 0, 20, 10), (2, 2, 4, 4), (50, 50, 60, 60))
        np.testing.assert_allclose(iou_matrix(one, others), [[1, 50 / 150, 0, 4 / 100, 0]], rtol=1e-6)

    def test_boxes_without_area_overlap_nothing_not_even_themselves(self) -> None:
        flat = boxes_of((3, 3, 3, 9), (3, 3, 3, 3))
        assert not iou_matrix(flat, flat).any()
        assert not iou_matrix(flat, boxes_of((0, 0, 10, 10))).any()

    @pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0)])
    def test_nothing_has_the_shape_of_nothing(self, n: int, m: int) -> None:
        assert iou_matrix(np.zeros((n, 4), np.float32), np.zeros((m, 4), np.float32)).shape == (n, m)

    @given(detections(), detections())
    @settings(max_examples=60, deadline=None)
    def test_it_is_symmetric_and_a_share(self, one: tuple[Floats, ...], other: tuple[Floats, ...]) -> None:
        overlaps = iou_matrix(one[0], other[0])
        np.testing.assert_array_equal(overlaps, iou_matrix(other[0], one[0]).T)
        assert ((overlaps >= 0) & (overlaps <= 1)).all()


class TestSuppression:
    def test_classes_are_compared_unless_agnostic(self) -> None:
        xyxy = boxes_of((0, 0, 10, 10), (1, 0, 11, 10), (0, 1, 10, 11))
        confidence, class_id = np.array([0.5, 0.9, 0.7], np.float32), np.array([0, 0, 1])
        assert suppress(xyxy, confidence, class_id, 0.5).tolist() == [1, 2]
        assert suppress(xyxy, confidence, class_id, 0.5, agnostic=True).tolist() == [1]

    def test_a_box_that_fell_suppresses_nothing(self) -> None:
        xyxy = boxes_of((0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10))
        assert suppress(xyxy, np.array([0.9, 0.8, 0.7], np.float32), np.zeros(3, np.int64), 0.4).tolist() == [0, 2]

    @given(detections(), st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans())
    @settings(max_examples=150, deadline=None)
    def test_it_is_the_greedy_one(
        self, found: tuple[Floats, Floats, npt.NDArray[np.int64]], iou: float, agnostic: bool
    ) -> None:
        kept = suppress(*found, iou, agnostic=agnostic).tolist()
        assert kept == suppress_by_the_book(*found, iou, agnostic)

    @given(detections(), st.booleans())
    @settings(max_examples=60, deadline=None)
    def test_what_it_keeps_is_in_order_apart_and_stays(
        self, found: tuple[Floats, Floats, npt.NDArray[np.int64]], agnostic: bool
    ) -> None:
        xyxy, confidence, class_id = found
        kept = suppress(*found, 0.5, agnostic=agnostic)
        # Most confident first, equal ones in the order in which they came.
        assert all(
            (confidence[a], -a) >= (confidence[b], -b) for a, b in zip(kept.tolist(), kept.tolist()[1:], strict=False)
        )
        overlaps = iou_matrix(xyxy[kept], xyxy[kept]) > 0.5
        rivals = np.ones_like(overlaps) if agnostic else class_id[kept][:, None] == class_id[kept][None]
        assert not (overlaps & rivals & ~np.eye(len(kept), dtype=bool)).any()
        # Done twice it changes nothing.
        again = suppress(xyxy[kept], confidence[kept], class_id[kept], 0.5, agnostic=agnostic)
        assert again.tolist() == list(range(len(kept)))

    @given(detections())
    @settings(max_examples=60, deadline=None)
    def test_agnostic_and_by_class_are_one_for_one_class(
        self, found: tuple[Floats, Floats, npt.NDArray[np.int64]]
    ) -> None:
        xyxy, confidence, class_id = found
        same = np.zeros_like(class_id)
        by_class = suppress(xyxy, confidence, same, 0.5)
        assert by_class.tolist() == suppress(xyxy, confidence, class_id, 0.5, agnostic=True).tolist()
        assert set(by_class.tolist()) <= set(range(len(xyxy)))
