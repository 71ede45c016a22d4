"""Which cells learn which object, in cases worked out by hand. Inputs are 64x64: 64, 16 and 4 cells."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from saccade_models.train.assignment import Assignment, Objects, pairwise_iou, simota, task_aligned
from saccade_models.yolox_head import Cells

pytestmark = pytest.mark.torch

CELLS = Cells.of((64, 64))
COUNT = len(CELLS.corner)
NOWHERE = (0.0, 0.0, 0.5, 0.5)
CELL_AT_12 = 9
"""The cell of stride 8 whose corner is (8, 8) and whose centre is (12, 12)."""


def objects(*boxes: tuple[float, ...], class_id: tuple[int, ...] | None = None) -> Objects:
    ids = class_id or (0,) * len(boxes)
    return Objects(torch.tensor(boxes).reshape(-1, 4), torch.tensor(ids, dtype=torch.long))


def predicted(places: dict[int, tuple[float, ...]]) -> Tensor:
    """Boxes of all cells: those given, and specks in the corner."""
    boxes = torch.tensor(NOWHERE).repeat(COUNT, 1)
    for cell, box in places.items():
        boxes[cell] = torch.tensor(box)
    return boxes


def own_squares() -> Tensor:
    """Each cell predicts itself."""
    return CELLS.decode(torch.tensor([0.5, 0.5, 0.0, 0.0]).repeat(COUNT, 1))


def pairs(assignment: Assignment) -> list[tuple[int, int]]:
    """(object, cell), sorted."""
    return sorted(zip(assignment.object.tolist(), assignment.cell.tolist(), strict=True))


def even(classes: int = 1) -> Tensor:
    return torch.full((COUNT, classes), 0.5)


def test_overlaps_of_all_pairs() -> None:
    boxes = torch.tensor([[0.0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6]])
    expected = torch.tensor([[1, 1 / 7, 0], [1 / 7, 1, 0], [0, 0, 1]])
    torch.testing.assert_close(pairwise_iou(boxes, boxes), expected)


def test_one_to_one_gives_each_object_the_cell_that_fits_it() -> None:
    found = task_aligned(even(), own_squares(), CELLS, objects((8, 8, 16, 16), (32, 32, 64, 64)), 1)
    assert pairs(found) == [(0, CELL_AT_12), (1, COUNT - 1)]
    torch.testing.assert_close(found.quality, torch.ones(2))


@pytest.mark.parametrize("candidates", [1, 10])
def test_the_best_cell_of_an_object_is_as_good_a_target_as_its_overlap(candidates: int) -> None:
    found = task_aligned(even(), own_squares(), CELLS, objects((8, 8, 16, 20)), candidates)
    best = found.quality.argmax()
    assert found.cell[best] == CELL_AT_12
    assert found.quality[best].item() == pytest.approx(64 / 96)
    assert len(found.cell) == 1 if candidates == 1 else len(found.cell) > 1


def test_one_to_many_takes_the_best_cells_inside_the_object() -> None:
    found = task_aligned(even(), own_squares(), CELLS, objects((8, 8, 24, 24)), 3)
    assert len(found.cell) == 3
    assert ((CELLS.centre[found.cell] > 8) & (CELLS.centre[found.cell] < 24)).all()
    everywhere = task_aligned(even(), own_squares(), CELLS, objects((8, 8, 24, 24)), COUNT)
    assert pairs(everywhere) == [(0, cell) for cell in (9, 10, 17, 18, 80)]  # 80: the first of stride 32


@pytest.mark.parametrize(
    "box", [(20.5, 20.5, 22, 22), (16, 30, 17, 50), (0, 0, 2, 2), (61, 62, 64, 64), (7.5, 40, 8.5, 41)]
)
def test_objects_thinner_than_a_cell_get_one(box: tuple[float, ...]) -> None:
    assert not ((CELLS.centre > torch.tensor(box[:2])) & (CELLS.centre < torch.tensor(box[2:]))).all(1).any()
    found = task_aligned(even(), own_squares(), CELLS, objects(box), 1)
    assert len(found.cell) == 1
    corner, stride = CELLS.corner[found.cell[0]], CELLS.stride[found.cell[0]]
    assert (corner <= torch.tensor(box[2:])).all()
    assert (corner + stride >= torch.tensor(box[:2])).all()


def test_a_contested_cell_goes_to_the_object_that_it_overlaps_more() -> None:
    boxes = predicted({CELL_AT_12: (8, 8, 16, 16)})
    found = task_aligned(even(), boxes, CELLS, objects((9, 9, 17, 17), (8, 8, 16, 17)), 1)
    assert pairs(found) == [(1, CELL_AT_12)]


def test_a_contested_cell_goes_to_one_that_wants_it() -> None:
    boxes = predicted({CELL_AT_12: (8, 8, 24, 24), CELL_AT_12 + 1: (8, 8, 24, 23)})
    probabilities = torch.full((COUNT, 2), 1e-4)
    probabilities[CELL_AT_12] = torch.tensor([0.9, 0.01])
    probabilities[CELL_AT_12 + 1] = torch.tensor([1e-4, 0.9])
    wanting = (8.0, 8, 24, 20), (8.0, 8, 24, 19)
    overlapping_more = (8.0, 8, 24, 24)  # and content with the next cell
    found = task_aligned(probabilities, boxes, CELLS, objects(*wanting, overlapping_more, class_id=(0, 0, 1)), 1)
    assert pairs(found) == [(0, CELL_AT_12), (2, CELL_AT_12 + 1)]


def test_a_more_probable_cell_wins_among_equal_overlaps() -> None:
    box = (8.0, 8, 24, 24)
    probabilities = torch.full((COUNT, 2), 0.1)
    probabilities[18, 1] = 0.9
    found = task_aligned(probabilities, predicted(dict.fromkeys((9, 18), box)), CELLS, objects(box, class_id=(1,)), 1)
    assert pairs(found) == [(0, 18)]


def test_simota_takes_as_many_cells_as_the_overlaps_sum_to() -> None:
    box = (8.0, 8, 24, 24)
    boxes = predicted({9: box, 10: (8, 8, 24, 20.8), 17: (8, 8, 24, 16)})  # overlaps 1, 0.8 and 0.5
    found = simota(even(), boxes, CELLS, objects(box))
    assert pairs(found) == [(0, 9), (0, 10)]
    torch.testing.assert_close(found.quality, torch.tensor([1.0, 0.8]))


def test_simota_gives_an_object_without_overlap_one_cell_inside_it() -> None:
    found = simota(even(), predicted({}), CELLS, objects((40, 40, 56, 56)))
    assert len(found.cell) == 1
    assert ((CELLS.centre[found.cell] > 40) & (CELLS.centre[found.cell] < 56)).all()


def test_simota_gives_a_contested_cell_to_the_cheaper_object() -> None:
    boxes = predicted({CELL_AT_12: (8, 8, 16, 16)})
    found = simota(even(), boxes, CELLS, objects((8, 8, 17, 17), (8, 8, 16, 16)))
    assert (1, CELL_AT_12) in pairs(found)
    assert (0, CELL_AT_12) not in pairs(found)
    assert len(set(found.cell.tolist())) == len(found.cell)


def test_simota_takes_the_probable_cell() -> None:
    box = (8.0, 8, 24, 24)
    probabilities = torch.full((COUNT, 2), 0.1)
    probabilities[18] = torch.tensor([0.1, 0.9])
    boxes = predicted(dict.fromkeys((9, 18), (8, 8, 24, 14)))  # overlaps of 0.375 sum to less than one
    assert pairs(simota(probabilities, boxes, CELLS, objects(box, class_id=(1,)))) == [(0, 18)]


def test_an_object_that_no_cell_is_near_gets_none() -> None:
    assert pairs(simota(even(), predicted({}), CELLS, objects((900, 900, 950, 950)))) == []
    assert pairs(task_aligned(even(), own_squares(), CELLS, objects((900, 900, 950, 950)), 1)) == []


def test_without_objects_no_cell_is_foreground() -> None:
    assert pairs(simota(even(), own_squares(), CELLS, objects())) == []
    assert pairs(task_aligned(even(), own_squares(), CELLS, objects(), 1)) == []
