"""The detector: its size and names as published, what it gives, and which gradient goes where."""

from __future__ import annotations

import math

import pytest
import torch

from saccade_models.yolox import SIZES, YOLOX, Focus
from saccade_models.yolox_head import PRIOR, SILENT, Cells, RawOutput, peaks

pytestmark = pytest.mark.torch

CELLS_64X96 = 8 * 12 + 4 * 6 + 2 * 3


@pytest.mark.parametrize(("size", "parameters"), [("nano", 912_159), ("tiny", 5_055_855), ("s", 8_968_255)])
def test_each_size_has_the_parameters_of_the_official_one(size: str, parameters: int) -> None:
    network = YOLOX(80, size)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize(
    ("size", "names"),
    [
        (
            "nano",
            {
                "backbone.backbone.stem.conv.conv.weight": (16, 12, 3, 3),
                "backbone.backbone.dark2.0.dconv.conv.weight": (16, 1, 3, 3),
                "backbone.backbone.dark2.0.pconv.bn.running_var": (32,),
                "backbone.backbone.dark5.1.conv2.conv.weight": (256, 512, 1, 1),
                "backbone.C3_p4.m.0.conv2.dconv.bn.weight": (64,),
                "backbone.bu_conv2.pconv.bn.num_batches_tracked": (),
                "head.stems.2.conv.weight": (64, 256, 1, 1),
                "head.cls_convs.0.1.dconv.conv.weight": (64, 1, 3, 3),
                "head.obj_preds.1.bias": (1,),
            },
        ),
        (
            "s",
            {
                "backbone.backbone.dark3.1.m.2.conv2.conv.weight": (64, 64, 3, 3),
                "backbone.lateral_conv0.bn.running_mean": (256,),
                "backbone.C3_n4.conv3.conv.weight": (512, 512, 1, 1),
                "head.reg_convs.2.0.conv.weight": (128, 128, 3, 3),
                "head.cls_preds.2.weight": (80, 128, 1, 1),
            },
        ),
    ],
)
def test_tensors_have_the_names_and_shapes_of_the_official_checkpoints(
    size: str, names: dict[str, tuple[int, ...]]
) -> None:
    own = YOLOX(80, size).state_dict()
    assert {name: tuple(own[name].shape) for name in names if name in own} == names


@pytest.mark.parametrize(
    ("one_to_one", "output", "columns"), [(False, "many", 4 + 1 + 3), (True, "one", 4 + 3), (True, "many", 4 + 3)]
)
def test_it_gives_a_row_a_cell(one_to_one: bool, output: str, columns: int) -> None:
    network = YOLOX(3, one_to_one=one_to_one, output=output).eval()
    with torch.inference_mode():
        rows = network(torch.rand(2, 3, 64, 96) * 255)
        raw = network.raw(torch.rand(2, 3, 64, 96) * 255)
    assert rows.shape == (2, CELLS_64X96, columns)
    assert ((rows[..., 4:] > 0) & (rows[..., 4:] < 1)).all()
    assert [part.offsets.shape for part in raw] == [(2, CELLS_64X96, 4)] * (2 if one_to_one else 1)
    assert all((part.objectness is None) == one_to_one for part in raw)


def test_a_fresh_network_finds_nothing() -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        probabilities = YOLOX(3, one_to_one=True).eval()(torch.rand(1, 3, 64, 64) * 255)[..., 4:]
    assert probabilities.mean().item() == pytest.approx(PRIOR, rel=0.5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"size": "huge"}, "size must be one of nano, tiny, s, but got 'huge'"),
        ({"output": "one"}, "output must be 'many', or with one_to_one 'one', but got 'one'"),
        ({"one_to_one": True, "output": "two"}, "but got 'two'"),
    ],
)
def test_other_forms_are_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        YOLOX(1, **arguments)  # type: ignore[arg-type]


def test_the_focus_stacks_the_pixels_of_a_block_column_by_column() -> None:
    focus = Focus(4)
    stacked: list[torch.Tensor] = []
    focus.conv.register_forward_pre_hook(lambda _, inputs: stacked.append(inputs[0]))
    focus(torch.arange(16.0).reshape(1, 1, 4, 4).expand(1, 3, 4, 4))
    first_block = stacked[0][0, ::3, 0, 0].tolist()
    assert first_block == [0.0, 4.0, 1.0, 5.0]  # top left, bottom left, top right, bottom right


def gradients_after(network: YOLOX, output: RawOutput) -> dict[str, bool]:
    """Whether each parameter got a gradient from ``output``."""
    network.zero_grad()
    (output.offsets.square().sum() + output.classes.square().sum()).backward(retain_graph=True)
    return {name: p.grad is not None and bool(p.grad.any()) for name, p in network.named_parameters()}


def test_the_backbone_learns_from_the_many_alone() -> None:
    torch.manual_seed(0)
    network = YOLOX(2, one_to_one=True)
    many, one = network.raw(torch.rand(2, 3, 64, 64) * 255)
    from_one, from_many = gradients_after(network, one), gradients_after(network, many)
    assert {name for name, learns in from_one.items() if learns} == {n for n in from_one if n.startswith("head.one.")}
    assert {name for name, learns in from_many.items() if learns} == {
        n for n in from_many if not n.startswith("head.one.")
    }


def test_every_parameter_of_the_plain_detector_learns() -> None:
    torch.manual_seed(0)
    network = YOLOX(2)
    network(torch.rand(2, 3, 64, 64) * 255).square().sum().backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]


def test_of_seven_by_seven_cells_the_highest_speaks_class_by_class() -> None:
    logits = torch.zeros(1, 2, 9, 12) - 5
    logits[0, 0, 4, 2], logits[0, 0, 4, 5], logits[0, 0, 4, 9] = 3.0, 2.0, 1.0  # the second is within reach of both
    logits[0, 1, 4, 5] = 0.5
    found = peaks(logits)
    loud = (found > SILENT).nonzero().tolist()
    assert [0, 0, 4, 2] in loud
    assert [0, 0, 4, 9] in loud
    assert [0, 0, 4, 5] not in loud
    assert found[0, 1, 4, 5] == 0.5
    assert (found <= logits).all()
    logits[0, 0, 0, 0] = math.nan
    assert peaks(logits).isnan().any()  # so that the bundle says that it is not finite


def test_the_one_to_one_head_in_use_is_the_one_in_training_at_its_peaks() -> None:
    torch.manual_seed(0)
    network = YOLOX(2, one_to_one=True).train()  # fresh norms in evaluation make all cells alike
    images = torch.rand(2, 3, 64, 64) * 255
    with torch.inference_mode():
        used, every, peaked = network(images)[..., 4:], network.raw(images)[1], network.raw(images, only_peaks=True)[1]
    assert torch.equal(used, peaked.classes.sigmoid())
    speaks = peaked.classes > SILENT
    assert 0 < speaks.sum() < speaks.numel() / 4
    assert torch.equal(peaked.classes[speaks], every.classes[speaks])
    assert torch.equal(peaked.offsets, every.offsets)


def test_a_one_to_one_head_that_begins_as_the_many_gives_their_boxes() -> None:
    torch.manual_seed(0)
    network = YOLOX(2, one_to_one=True).eval()
    network.begin_one_as_many()
    with torch.inference_mode():
        many, one = network.raw(torch.rand(1, 3, 64, 64) * 255)
    assert torch.equal(many.offsets, one.offsets)
    assert torch.equal(many.classes, one.classes)


def test_cells_lie_row_by_row_from_the_finest_grid_on() -> None:
    cells = Cells.of((64, 96))
    assert cells.corner.shape == (CELLS_64X96, 2)
    places = {0: (0, 0, 8), 1: (8, 0, 8), 12: (0, 8, 8), 96: (0, 0, 16), 96 + 7: (16, 16, 16), 120 + 5: (64, 32, 32)}
    for index, (x, y, stride) in places.items():
        assert (*cells.corner[index].tolist(), cells.stride[index].item()) == (x, y, stride)
        assert cells.centre[index].tolist() == [x + stride / 2, y + stride / 2]


def test_offsets_decode_to_boxes_worked_out_by_hand() -> None:
    cells = Cells.of((64, 96))
    offsets = torch.zeros(CELLS_64X96, 4)
    offsets[13] = torch.tensor([0.5, 0.5, 0.0, 0.0])
    offsets[96 + 7] = torch.tensor([0.25, -0.5, math.log(2), math.log(3)])
    boxes = cells.decode(offsets)
    assert boxes[13].tolist() == [8, 8, 16, 16]
    torch.testing.assert_close(boxes[96 + 7], torch.tensor([20 - 16.0, 8 - 24.0, 20 + 16.0, 8 + 24.0]))
    torch.testing.assert_close(cells.decode(offsets.expand(2, -1, -1))[1], boxes)


def test_the_sizes_are_those_of_the_paper() -> None:
    assert SIZES == {"nano": (0.33, 0.25), "tiny": (0.33, 0.375), "s": (0.33, 0.50)}
