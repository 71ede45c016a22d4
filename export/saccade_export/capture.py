"""Turn a PyTorch network into an ONNX graph: image tensor in, raw outputs out, nothing of this machine in it."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import onnx
import onnx_ir as ir
import torch
from onnx_ir.passes import common
from torch import Tensor, nn

from saccade.errors import CaptureError

OPSET = 18
"""What TensorRT 10.3 reads without reserve, and the lowest that torch's dynamo capture writes."""

IR_VERSION = 10
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""How PyTorch colours what it writes to terminals."""

IMAGE = "image"


@dataclass(frozen=True)
class Captured:
    """A network as a graph with the input ``image`` float32 (N, 3, h, w) and named float outputs (N, ...).

    ``shapes`` are the outputs' without N. ``single_images`` says that the graph takes one image at a time.
    ``fallback_reason`` is empty, or says why the dynamo capture failed and TorchScript's was used.
    """

    model: ir.Model
    shapes: tuple[tuple[int, ...], ...]
    fallback_reason: str = ""
    single_images: bool = False


class ChosenOutputs(nn.Module):
    """A network whose outputs are narrowed to those asked for, as a tuple of tensors.

    ``chosen`` are keys or indices ("out", "0"), in the order wanted; without any, the network must give ``count``.
    """

    def __init__(self, network: nn.Module, chosen: Sequence[str] = (), count: int = 1) -> None:
        super().__init__()
        self.network = network
        self.chosen, self.count = tuple(chosen), count

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        outputs = self.network(image)
        if self.chosen:
            return tuple(select_output(outputs, name) for name in self.chosen)
        if self.count == 1:
            return (select_output(outputs, None),)
        found = _named_outputs(outputs)
        if len(found) != self.count:
            choices = ", ".join(f"{name} {_describe(value)}" for name, value in found.items())
            raise CaptureError(
                f"{self.count} outputs are needed, but the network returns {choices}; choose with --output"
            )
        return tuple(select_output(value, None) for value in found.values())


def select_output(outputs: Any, output: str | None) -> Tensor:
    """The tensor that ``output`` names. Raises ``CaptureError`` with what there is to choose from."""
    if isinstance(outputs, Tensor):
        if output not in (None, "0"):
            raise CaptureError(f"output {output!r} was asked for, but the network returns one tensor; drop --output")
        return outputs
    found = _named_outputs(outputs)
    if output is None and len(found) == 1:
        output = next(iter(found))
    if output is None or output not in found:
        choices = ", ".join(f"{name} {_describe(value)}" for name, value in found.items())
        raise CaptureError(f"the network returns several outputs ({choices}); choose one with --output")
    return select_output(found[output], None)


def capture(network: ChosenOutputs, size_hw: tuple[int, int], names: Sequence[str]) -> Captured:
    """The graph of ``network`` (one image batch in, evaluation mode) for images of ``size_hw``, outputs as ``names``.

    The batch is dynamic, height and width are fixed. The dynamo capture is used; where it fails, TorchScript's, with
    the reason in the result. Raises ``CaptureError`` if both fail or an output is no float tensor of the batch.
    """
    network.eval()
    example = torch.zeros(2, 3, *size_hw)
    shapes = _output_shapes(network, example)
    reason = ""
    try:
        model = _capture_dynamo(network, example, names)
    except Exception as dynamo_error:  # torch raises errors of many kinds here
        reason = first_line(dynamo_error)
        try:
            model = _capture_torchscript(network, example, names)
        except Exception as error:
            raise CaptureError(
                f"the network cannot be captured: dynamo: {reason}; TorchScript: {first_line(error)}"
            ) from error
    return Captured(anonymised(model), shapes, reason)


@contextmanager
def without_chatter() -> Generator[None]:
    """What PyTorch's exporter warns and logs of itself, such as a torchvision that is not here, is not the user's."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def anonymised(model: ir.Model) -> ir.Model:
    """The model without source paths, code lines, docstrings and names of the machine that captured it."""
    common.ClearMetadataAndDocStringPass()(model)
    model.producer_name, model.producer_version, model.domain = "saccade", "", ""
    model.graph.name = "main"
    return model


def _output_shapes(network: nn.Module, example: Tensor) -> tuple[tuple[int, ...], ...]:
    with torch.inference_mode():
        try:
            outputs = network(example)
        except CaptureError:
            raise
        except Exception as error:
            raise CaptureError(
                f"the network fails on an image batch of shape {tuple(example.shape)}: {first_line(error)}; "
                "check --imgsz, and that the network takes float32 (N, 3, H, W)"
            ) from error
    for output in outputs:
        if output.ndim < 2 or len(output) != len(example) or not output.is_floating_point():
            raise CaptureError(
                f"the network must return float tensors (N, ...), but for {tuple(example.shape)} "
                f"it returned {_describe(output)}"
            )
    return tuple(tuple(output.shape[1:]) for output in outputs)


def _capture_dynamo(network: nn.Module, example: Tensor, names: Sequence[str]) -> ir.Model:
    with without_chatter():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            input_names=[IMAGE],
            output_names=list(names),
            opset_version=OPSET,
            dynamic_shapes=({0: torch.export.Dim("N")},),
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return at_opset(program.model_proto)


def _capture_torchscript(network: nn.Module, example: Tensor, names: Sequence[str]) -> ir.Model:
    buffer = io.BytesIO()
    with without_chatter():
        torch.onnx.export(
            network,
            (example,),
            buffer,  # type: ignore[arg-type]  # TorchScript's exporter takes files too
            dynamo=False,
            input_names=[IMAGE],
            output_names=list(names),
            opset_version=OPSET,
            dynamic_axes={name: {0: "N"} for name in (IMAGE, *names)},
        )
    return at_opset(onnx.load_from_string(buffer.getvalue()))


def at_opset(proto: onnx.ModelProto) -> ir.Model:
    """The model converted to ``OPSET``, as a model to edit."""
    found = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
    if found != OPSET:
        proto = onnx.version_converter.convert_version(proto, OPSET)
    proto.ir_version = IR_VERSION
    return ir.from_proto(proto)


def _named_outputs(outputs: Any) -> dict[str, Any]:
    if isinstance(outputs, Mapping):
        return {str(key): value for key, value in outputs.items()}
    if isinstance(outputs, (tuple, list)):
        return {str(index): value for index, value in enumerate(outputs)}
    raise CaptureError(f"the network must return tensors, but returned {type(outputs).__name__}")


def _describe(value: Any) -> str:
    return (
        f"{value.dtype} {tuple(value.shape)}".removeprefix("torch.")
        if isinstance(value, Tensor)
        else type(value).__name__
    )


def first_line(error: Exception) -> str:
    """The kind of an error, or of what it came from, and the first line of what that says."""
    first: BaseException = error
    while first.__cause__ is not None:
        first = first.__cause__
    lines = [line.strip() for line in _COLOUR.sub("", str(first)).splitlines() if line.strip()]
    return f"{type(first).__name__}: {lines[0] if lines else 'no message'}"
