"""From an image to boxes in its pixels, with networks whose predictions are set by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from saccade_models.train.detecting import as_input, detect
from saccade_models.yolox import YOLOX
from saccade_models.yolox_head import Branches, Cells, DualHead

pytestmark = pytest.mark.torch

SIZE_HW = (64, 64)
IMAGE = np.zeros((128, 256, 3), np.uint8)  # fills the upper half of the input, four pixels to one


def constant(output: str, log_size: float = 0.0, probabilities: tuple[float, ...] = (0.1, 0.6)) -> YOLOX:
    """A network that sees in every cell a box on its centre, ``exp(log_size)`` cells wide."""
    network = YOLOX(len(probabilities), one_to_one=output == "one")
    head = network.head.one if isinstance(network.head, DualHead) else network.head
    assert isinstance(head, Branches)
    bias = [math.log(value / (1 - value)) for value in probabilities]
    for predictions, values in (
        (head.reg_preds, [0.5, 0.5, log_size, log_size]),
        (head.cls_preds, bias),
        (head.obj_preds or (), [20.0]),
    ):
        for prediction in predictions:
            torch.nn.init.zeros_(prediction.weight)  # type: ignore[arg-type]
            prediction.bias.data = torch.tensor(values)  # type: ignore[union-attr]
    return network.eval()


def squares() -> set[tuple[float, ...]]:
    """The cells in pixels of the image, clipped to it."""
    cells = Cells.of(SIZE_HW)
    boxes = torch.cat((cells.corner, cells.corner + cells.stride), 1) * 4
    return {tuple(box) for box in boxes.clamp(max=torch.tensor([256.0, 128, 256, 128])).tolist()}


@pytest.mark.parametrize("output", ["one", "many"])
def test_boxes_come_in_pixels_of_the_image_with_their_best_class(output: str) -> None:
    xyxy, confidence, class_id = detect(constant(output), IMAGE, SIZE_HW, most=1000)
    found = {tuple(box) for box in xyxy.round(3).tolist()}
    assert found <= squares()
    assert (0, 0, 32, 32) in found  # a cell of eight pixels
    assert (0, 0, 64, 64) in found
    np.testing.assert_allclose(confidence, 0.6, atol=1e-4)
    assert set(class_id.tolist()) == {1}
    if output == "one":
        assert found == squares()


def test_the_many_are_suppressed_and_the_one_are_not() -> None:
    counts = [len(detect(constant(output, log_size=4.0), IMAGE, SIZE_HW, most=1000)[0]) for output in ("one", "many")]
    assert counts[0] == 84
    assert counts[1] < 5


def test_only_the_most_confident_boxes_above_the_threshold_are_given() -> None:
    assert len(detect(constant("one"), IMAGE, SIZE_HW, most=7)[0]) == 7
    assert len(detect(constant("one"), IMAGE, SIZE_HW, confidence=0.7)[0]) == 0
    network = constant("one")
    cells = torch.zeros(84)
    cells[[5, 60]] = torch.tensor([3.0, 2.0])
    network.head.one.cls_preds[0].register_forward_hook(  # type: ignore[union-attr]
        lambda _, __, output: output + cells[:64].reshape(1, 1, 8, 8)
    )
    _, confidence, _ = detect(network, IMAGE, SIZE_HW)
    assert (np.diff(confidence) <= 0).all()
    assert confidence[0] > confidence[1] > confidence[2]


def test_an_image_is_letterboxed_at_the_upper_left_in_bgr() -> None:
    image = np.zeros((20, 40, 3), np.uint8)
    image[..., 0], image[..., 2] = 200, 50
    network, seen = constant("many"), []
    network.backbone.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    detect(network, image, SIZE_HW)
    (box,) = seen
    assert box.shape == (1, 3, 64, 64)
    assert box[0, :, :32].amin((1, 2)).tolist() == box[0, :, :32].amax((1, 2)).tolist() == [50, 0, 200]
    assert (box[0, :, 32:] == 114).all()


def test_the_network_takes_blue_first() -> None:
    taken = as_input(torch.tensor([[[[1, 2, 3]]]], dtype=torch.uint8))
    assert taken.dtype == torch.float32
    assert taken.flatten().tolist() == [3, 2, 1]
