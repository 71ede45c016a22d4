"""The losses of detection heads: nothing for what is right, more for what is wrong, and always a finite gradient."""

from __future__ import annotations

import math

import pytest
import torch

from saccade_models.train.assignment import Objects
from saccade_models.train.box_losses import (
    detection_loss,
    distilled_loss,
    paired_giou,
    paired_iou,
    task_aligned_loss,
    yolox_loss,
)
from saccade_models.yolox import YOLOX
from saccade_models.yolox_head import Cells, RawOutput

pytestmark = pytest.mark.torch

CELLS = Cells.of((64, 64))
COUNT = len(CELLS.corner)
CELL, BOX, CLASS = 9, (4.0, 8.0, 20.0, 16.0), 1
SURE = 20.0


def truth(*boxes: tuple[float, ...], class_id: int = CLASS) -> Objects:
    return Objects(torch.tensor(boxes).reshape(-1, 4), torch.full((len(boxes),), class_id))


def perfect(with_objectness: bool) -> RawOutput:
    """One cell is sure of the object in ``BOX``. Others of nothing: the last frames itself, the rest lie far away."""
    offsets = torch.tensor([-40.0, -40.0, 0.0, 0.0]).repeat(1, COUNT, 1)
    offsets[0, -1, :2] = 0.5
    centre = torch.tensor([(BOX[0] + BOX[2]) / 2, (BOX[1] + BOX[3]) / 2])
    offsets[0, CELL, :2] = (centre - CELLS.corner[CELL]) / 8
    offsets[0, CELL, 2:] = torch.tensor([math.log((BOX[2] - BOX[0]) / 8), math.log((BOX[3] - BOX[1]) / 8)])
    classes, objectness = torch.full((1, COUNT, 3), -SURE), torch.full((1, COUNT, 1), -SURE)
    classes[0, CELL, CLASS] = objectness[0, CELL] = SURE
    return RawOutput(offsets.requires_grad_(), classes, objectness if with_objectness else None)


def loss_of(output: RawOutput, objects: Objects) -> float:
    return detection_loss((output, output) if output.objectness is None else (output,), CELLS, [objects]).item()


@pytest.mark.parametrize("with_objectness", [False, True], ids=["task-aligned", "yolox"])
def test_a_perfect_prediction_costs_nothing_and_another_does(with_objectness: bool) -> None:
    output = perfect(with_objectness)
    assert loss_of(output, truth(BOX)) < 1e-3
    assert loss_of(output, truth((6, 8, 22, 16))) > 0.1
    assert loss_of(output, truth(BOX, class_id=0)) > 1
    assert loss_of(output, truth()) > 1
    assert loss_of(output, truth(BOX, (32, 32, 60, 60))) > 1


def test_the_two_heads_of_a_dual_detector_are_both_counted() -> None:
    output = perfect(False)
    many, one = (task_aligned_loss(output, CELLS, [truth((6, 8, 22, 16))], k) for k in (10, 1))
    assert detection_loss((output, output), CELLS, [truth((6, 8, 22, 16))]).item() == pytest.approx((many + one).item())


@pytest.mark.parametrize(
    ("a", "b", "iou", "giou"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1, 1),
        ((0, 0, 2, 2), (1, 1, 3, 3), 1 / 7, 1 / 7 - 2 / 9),
        ((0, 0, 1, 1), (2, 0, 3, 1), 0, -1 / 3),
        ((0, 0, 4, 4), (1, 1, 3, 3), 1 / 4, 1 / 4),
    ],
    ids=["equal", "shifted", "apart", "inside"],
)
def test_overlaps_of_pairs_worked_out_by_hand(
    a: tuple[float, ...], b: tuple[float, ...], iou: float, giou: float
) -> None:
    first, second = torch.tensor([a, b]).float(), torch.tensor([b, a]).float()
    torch.testing.assert_close(paired_iou(first, second), torch.full((2,), float(iou)))
    torch.testing.assert_close(paired_giou(first, second), torch.full((2,), float(giou)))


@pytest.mark.parametrize("one_to_one", [False, True], ids=["yolox", "dual"])
@pytest.mark.parametrize(
    "objects",
    [
        [truth(), truth()],
        [truth(), truth((5, 5, 30, 30))],
        [truth((0, 0, 64, 64)), truth((10, 10, 10.5, 10.5), (10, 10, 10.5, 10.5))],
        [truth(*[(float(i), 8.0, i + 9.0, 20.0) for i in range(40)]), truth((63, 63, 64, 64))],
    ],
    ids=["no objects", "one image without", "whole image and specks", "a crowd"],
)
def test_the_gradient_is_finite_whatever_is_in_the_images(one_to_one: bool, objects: list[Objects]) -> None:
    torch.manual_seed(0)
    network = YOLOX(3, one_to_one=one_to_one)
    loss = detection_loss(network.raw(torch.rand(2, 3, 64, 64) * 255), CELLS, objects)
    loss.backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert torch.isfinite(loss)
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert any(gradient.any() for gradient in gradients)


def test_yolox_counts_each_image_of_a_batch() -> None:
    one = perfect(True)
    assert one.objectness is not None
    batch = RawOutput(*(part.repeat(2, 1, 1) for part in (one.offsets, one.classes, one.objectness)))
    shifted = truth((6, 8, 22, 16))
    both = yolox_loss(batch, CELLS, [shifted, shifted]).item()
    assert both == pytest.approx(yolox_loss(one, CELLS, [shifted]).item(), rel=1e-5)


def crowded(*sure: tuple[int, float]) -> RawOutput:
    """The cells in ``sure`` see the object in ``BOX`` with a confidence; the others see nothing far away."""
    output = perfect(False)
    offsets, classes = output.offsets.detach().clone(), torch.full((1, COUNT, 3), -SURE)
    for cell, confidence in sure:
        offsets[0, cell] = offsets[0, CELL]
        offsets[0, cell, :2] += (CELLS.corner[CELL] - CELLS.corner[cell]) / 8
        classes[0, cell, CLASS] = math.log(confidence / (1 - confidence))
    return RawOutput(offsets, classes, None)


def test_of_boxes_that_suppression_leaves_out_the_one_to_one_head_learns_to_leave_out_the_same() -> None:
    many = crowded((CELL, 0.9), (CELL + 1, 0.8), (CELL + 8, 0.7))
    begun = RawOutput(many.offsets, many.classes.clone().requires_grad_(), None)
    distilled_loss(begun, many, CELLS).backward()
    assert begun.classes.grad is not None
    wanted = begun.classes.grad[0, :, CLASS]
    assert wanted[[CELL + 1, CELL + 8]].min() > 0.1  # less of these
    assert abs(wanted[CELL].item()) < 1e-4  # and of the best as much as there is
    learnt = crowded((CELL, 0.9))
    assert distilled_loss(learnt, many, CELLS) < distilled_loss(begun, many, CELLS) / 2
    assert distilled_loss(learnt, many, CELLS) < distilled_loss(crowded((CELL, 0.5)), many, CELLS)


def test_where_the_many_see_nothing_there_is_nothing_to_learn() -> None:
    nothing = crowded()
    assert distilled_loss(nothing, nothing, CELLS) < 1e-3
    assert distilled_loss(crowded((CELL, 0.9)), nothing, CELLS) > 1
