"""Turn a PyTorch network into an ONNX graph: image tensor in, scores out, nothing of this machine in it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
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
IMAGE, SCORES = "image", "scores"


@dataclass(frozen=True)
class Captured:
    """A network as a graph with the input ``image`` float32 (N, 3, h, w) and the output ``scores`` (N, C, h', w').

    ``fallback_reason`` is empty, or says why the dynamo capture failed and TorchScript's was used.
    """

    model: ir.Model
    scores_shape: tuple[int, int, int]
    fallback_reason: str = ""


class SingleOutput(nn.Module):
    """A network whose tuple, list or dict of outputs is narrowed to the one asked for.

    ``output`` is a key or an index ("out", "0"); None takes the only one.
    """

    def __init__(self, network: nn.Module, output: str | None = None) -> None:
        super().__init__()
        self.network = network
        self.output = output

    def forward(self, image: Tensor) -> Tensor:
        return select_output(self.network(image), self.output)


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


def capture(network: nn.Module, size_hw: tuple[int, int]) -> Captured:
    """The graph of ``network`` (one image batch in, one tensor out, evaluation mode) for images of ``size_hw``.

    The batch is dynamic, height and width are fixed. The dynamo capture is used; where it fails, TorchScript's, with
    the reason in the result. Raises ``CaptureError`` if both fail or the output is no (N, C, h, w) tensor.
    """
    network = network.eval()
    example = torch.zeros(2, 3, *size_hw)
    shape = _scores_shape(network, example)
    reason = ""
    try:
        model = _capture_dynamo(network, example)
    except Exception as dynamo_error:  # torch raises errors of many kinds here
        reason = _first_line(dynamo_error)
        try:
            model = _capture_torchscript(network, example)
        except Exception as error:
            raise CaptureError(
                f"the network cannot be captured: dynamo: {reason}; TorchScript: {_first_line(error)}"
            ) from error
    return Captured(anonymised(model), shape, reason)


def anonymised(model: ir.Model) -> ir.Model:
    """The model without source paths, code lines, docstrings and names of the machine that captured it."""
    common.ClearMetadataAndDocStringPass()(model)
    model.producer_name, model.producer_version, model.domain = "saccade", "", ""
    model.graph.name = "main"
    return model


def _scores_shape(network: nn.Module, example: Tensor) -> tuple[int, int, int]:
    with torch.inference_mode():
        try:
            scores = network(example)
        except CaptureError:
            raise
        except Exception as error:
            raise CaptureError(
                f"the network fails on an image batch of shape {tuple(example.shape)}: {_first_line(error)}; "
                "check --imgsz, and that the network takes float32 (N, 3, H, W)"
            ) from error
    if scores.ndim != 4 or len(scores) != 2 or not scores.is_floating_point():
        raise CaptureError(
            f"the network must return float scores (N, classes, h, w), but for {tuple(example.shape)} "
            f"it returned {_describe(scores)}"
        )
    return tuple(scores.shape[1:])


def _capture_dynamo(network: nn.Module, example: Tensor) -> ir.Model:
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        input_names=[IMAGE],
        output_names=[SCORES],
        opset_version=OPSET,
        dynamic_shapes=({0: torch.export.Dim("N")},),
        external_data=False,
        verbose=False,
    )
    assert program is not None
    return _at_opset(program.model_proto)


def _capture_torchscript(network: nn.Module, example: Tensor) -> ir.Model:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            buffer,  # type: ignore[arg-type]  # TorchScript's exporter takes files too
            dynamo=False,
            input_names=[IMAGE],
            output_names=[SCORES],
            opset_version=OPSET,
            dynamic_axes={IMAGE: {0: "N"}, SCORES: {0: "N"}},
        )
    return _at_opset(onnx.load_from_string(buffer.getvalue()))


def _at_opset(proto: onnx.ModelProto) -> ir.Model:
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


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
