"""What is rewritten gives the same results, and what only looks like it stays as it is."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from saccade_export.capture import ChosenOutputs, capture
from saccade_export.simplify import fold_focus, spell_out_softmax

pytestmark = pytest.mark.torch


class Focus(nn.Module):
    """Pixels of every block as channels, in the order of ``phases``, then a convolution."""

    def __init__(
        self, phases: tuple[tuple[int, int], ...], kernel: int = 3, step: int = 2, *, before: bool = False, **more: int
    ) -> None:
        super().__init__()
        self.phases, self.step = phases, step
        self.before = nn.Conv2d(3, 3, 1) if before else None
        self.conv = nn.Conv2d(3 * len(phases), 8, kernel, **more)

    def forward(self, image: Tensor) -> Tensor:
        image = image if self.before is None else self.before(image)
        parts = [image[..., row :: self.step, column :: self.step] for row, column in self.phases]
        return self.conv(torch.cat(parts, 1))


ROWS_FIRST = ((0, 0), (0, 1), (1, 0), (1, 1))
COLUMNS_FIRST = ((0, 0), (1, 0), (0, 1), (1, 1))


def graph_of(network: nn.Module, size_hw: tuple[int, int] = (32, 64)) -> ir.Model:
    torch.manual_seed(0)
    return capture(ChosenOutputs(network.eval()), size_hw, ["scores"]).model


def run(model: ir.Model, size_hw: tuple[int, int] = (32, 64)) -> np.ndarray:
    image = np.random.default_rng(0).uniform(0, 255, (2, 3, *size_hw)).astype(np.float32)
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image})[0]


@pytest.mark.parametrize(
    "network",
    [
        Focus(COLUMNS_FIRST, padding=1),
        Focus(ROWS_FIRST, padding=1),
        Focus(ROWS_FIRST[::-1], kernel=1),
        Focus(ROWS_FIRST, kernel=5, padding=2, stride=2),
        Focus(ROWS_FIRST),
        Focus(ROWS_FIRST, padding=1, before=True),
    ],
    ids=["yolox", "rows first", "reversed, 1x1", "5x5, stride 2", "no padding", "after a convolution"],
)
def test_a_focus_becomes_one_convolution_with_the_same_result(network: nn.Module) -> None:
    model = graph_of(network)
    before = run(model)
    assert fold_focus(model) == 1
    operators = [node.op_type for node in model.graph]
    assert "Slice" not in operators
    assert "Concat" not in operators
    np.testing.assert_allclose(run(model), before, rtol=1e-4, atol=1e-3)
    assert fold_focus(model) == 0


@pytest.mark.parametrize(
    ("network", "size_hw"),
    [
        (Focus(((0, 0), (0, 0), (1, 0), (1, 1)), padding=1), (32, 64)),
        (Focus(((0, 0), (1, 1)), padding=1), (32, 64)),
        (Focus(ROWS_FIRST, step=4, padding=1), (32, 64)),
        (Focus(ROWS_FIRST, padding=2, dilation=2), (32, 64)),
        (Focus(ROWS_FIRST, padding=1, groups=4), (32, 64)),
        (nn.Conv2d(3, 8, 3), (32, 64)),
    ],
    ids=["a phase twice", "two phases", "every fourth pixel", "dilated", "grouped", "no slices"],
)
def test_what_only_looks_like_one_stays(network: nn.Module, size_hw: tuple[int, int]) -> None:
    model = graph_of(network, size_hw)
    before = [node.op_type for node in model.graph]
    assert fold_focus(model) == 0
    assert [node.op_type for node in model.graph] == before


def test_a_stack_that_something_else_needs_too_is_kept() -> None:
    class Both(Focus):
        def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
            stacked = torch.cat([image[..., row::2, column::2] for row, column in self.phases], 1)
            return self.conv(stacked), stacked

    torch.manual_seed(0)
    model = capture(ChosenOutputs(Both(ROWS_FIRST, padding=1).eval(), count=2), (32, 64), ["scores", "stack"]).model
    before = run(model)
    assert fold_focus(model) == 1
    assert "Concat" in [node.op_type for node in model.graph]
    np.testing.assert_allclose(run(model), before, rtol=1e-4, atol=1e-3)


class Bins(nn.Module):
    """Softmax along ``axis`` of four dimensions, as means over bins are taken, and one along the last before it."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis, self.conv = axis, nn.Conv2d(3, 16, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        attended = self.conv(image / 255).softmax(-1)
        return (300 * attended).softmax(self.axis)


@pytest.mark.parametrize("axis", [1, 2, -3, -2])
@pytest.mark.parametrize("has_shapes", [True, False], ids=["", "shapes not told"])
def test_a_softmax_over_an_inner_axis_is_spelled_out_with_the_same_result(axis: int, has_shapes: bool) -> None:
    model = graph_of(Bins(axis))
    if not has_shapes:
        for value in (value for node in model.graph for value in node.outputs if value not in model.graph.outputs):
            value.shape = None
    before = run(model)
    assert spell_out_softmax(model) == 1
    operators = [node.op_type for node in model.graph]
    assert [operators.count(name) for name in ("Softmax", "ReduceMax", "Exp", "ReduceSum")] == [1, 1, 1, 1]
    np.testing.assert_allclose(run(model), before, rtol=1e-5, atol=1e-7)
    assert spell_out_softmax(model) == 0


def test_logits_that_are_large_overflow_no_more_than_before() -> None:
    class Large(Bins):
        def forward(self, image: Tensor) -> Tensor:
            return (1000 * self.conv(image)).softmax(self.axis)

    model = graph_of(Large(1))
    before = run(model)
    assert spell_out_softmax(model) == 1
    after = run(model)
    assert np.isfinite(after).all()
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("axis", [3, -1])
def test_a_softmax_over_the_last_axis_stays(axis: int) -> None:
    model = graph_of(Bins(axis))
    assert spell_out_softmax(model) == 0
    assert [node.op_type for node in model.graph].count("Softmax") == 2
