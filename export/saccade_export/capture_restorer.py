"""Turn a bridge's network into ONNX graphs: all of N steps in one, and a single evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn

from saccade.errors import CaptureError
from saccade_export.capture import OPSET, anonymised, at_opset, first_line, without_chatter

STATE, MAP, TIME = "state", "map", "time"
_LARGEST_SIDE = 1 << 14
_EXAMPLE_SIDE = 4


class Unrolled(nn.Module):
    """A step of the bridge from each of ``times`` to the next, and from the last to 0; the times become constants.

    One time serves all of a batch, so that all that follows from it is a constant too, unless the network
    ``needs_each``, a time for each state.
    """

    def __init__(self, network: nn.Module, times: Sequence[float], *, needs_each: bool = False) -> None:
        super().__init__()
        self.network, self.times, self.needs_each = network, tuple(times), needs_each

    def forward(self, state: Tensor, map: Tensor) -> Tensor:  # noqa: A002 - the input's name
        for time, following in pairwise((*self.times, 0.0)):
            told = torch.full((1,), time)
            velocity = self.network(state, map, told.expand(state.shape[0]) if self.needs_each else told)
            state = state - (time - following) * velocity
        return state


@dataclass(frozen=True)
class CapturedRestorer:
    """Graphs of a network for any N, H and W that are multiples of what it asks for.

    ``unrolled`` by the number of steps: ``state`` float32 (N, 3, H, W) and ``map`` (N, 1, H, W) to the clean state.
    ``step``: these and ``time`` (N,) to the velocity.
    """

    unrolled: dict[int, ir.Model]
    step: ir.Model


def capture_restorer(network: nn.Module, times: Sequence[Sequence[float]], multiple: int) -> CapturedRestorer:
    """The graphs of ``network`` (state, map, time) to velocity, unrolled over each of ``times``, and stepwise.

    Raises ``CaptureError`` when the network does not take or give what a bridge does, or cannot be captured.
    """
    network.eval()
    needs_each = not _takes_one_time(network, multiple, _check(network, multiple))
    unrolled = {
        len(times_): _captured(Unrolled(network, times_, needs_each=needs_each), multiple, has_time=False)
        for times_ in times
    }
    return CapturedRestorer(unrolled, _captured(network, multiple, has_time=True))


def _examples(multiple: int) -> tuple[Tensor, Tensor, Tensor]:
    height, width = _EXAMPLE_SIDE * multiple, (_EXAMPLE_SIDE + 1) * multiple
    return torch.zeros(2, 3, height, width), torch.full((2, 1, height, width), 0.5), torch.ones(2)


@torch.inference_mode()
def _takes_one_time(network: nn.Module, multiple: int, velocity: Tensor) -> bool:
    """Whether one time (1,) for the examples gives the velocity that a time for each, (2,), gave."""
    state, map_, time = _examples(multiple)
    try:
        return torch.allclose(network(state, map_, time[:1]), velocity, rtol=1e-4, atol=1e-5)
    except Exception:  # it does not take it, however it says so
        return False


@torch.inference_mode()
def _check(network: nn.Module, multiple: int) -> Tensor:
    """The velocity of the examples. Raises ``CaptureError`` where it is none."""
    given = _examples(multiple)
    try:
        velocity = network(*given)
    except Exception as error:
        raise CaptureError(
            f"a restorer takes state (N, 3, H, W), map (N, 1, H, W) and time (N,), with H and W multiples of "
            f"{multiple}; this network fails on them: {first_line(error)}"
        ) from error
    if not isinstance(velocity, Tensor) or velocity.shape != given[0].shape:
        found = tuple(velocity.shape) if isinstance(velocity, Tensor) else type(velocity).__name__
        raise CaptureError(
            f"a restorer gives the velocity of its state, {tuple(given[0].shape)}, but this network gives {found}"
        )
    return velocity


def _captured(network: nn.Module, multiple: int, *, has_time: bool) -> ir.Model:
    state, map_, time = _examples(multiple)
    batch = torch.export.Dim("N")
    height, width = (torch.export.Dim(name, min=1, max=_LARGEST_SIDE // multiple) for name in ("h", "w"))
    sides: dict[int, Any] = {0: batch, 2: multiple * height, 3: multiple * width}
    examples, dynamic, names = [state, map_], [sides, sides], [STATE, MAP]
    if has_time:
        examples, dynamic, names = [*examples, time], [*dynamic, {0: batch}], [*names, TIME]
    try:
        with without_chatter():
            program = torch.onnx.export(
                network,
                tuple(examples),
                dynamo=True,
                input_names=names,
                output_names=["captured"],
                opset_version=OPSET,
                dynamic_shapes=tuple(dynamic),
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # torch raises errors of many kinds here
        raise CaptureError(f"the network cannot be captured for any height and width: {first_line(error)}") from error
    assert program is not None
    model = anonymised(at_opset(program.model_proto))
    _check_free(model)
    return _without_shapes(model)


def _check_free(model: ir.Model) -> None:
    """Raise ``CaptureError`` where capture made the example's batch, height or width the only ones."""
    for value in model.graph.inputs:
        for side, name in ((0, "batch"), (2, "height"), (3, "width")):
            if value.shape is not None and side < len(value.shape) and isinstance(value.shape[side], int):
                raise CaptureError(
                    f"the network cannot be captured for any {name}: it fixes that of {value.name!r} at "
                    f"{value.shape[side]}; take sizes as x.shape[{side}], and do not make numbers of them"
                )


def _without_shapes(model: ir.Model) -> ir.Model:
    """The model without the shapes that capture guessed between nodes: engines infer them, and names would clash."""
    for node in model.graph:
        for value in node.outputs:
            value.shape = None
    return model
