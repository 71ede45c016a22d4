"""An ONNX file made elsewhere in the place of a PyTorch network."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from tests.tiny import DETECTOR_SIZE_HW, TinyDetector, detector_spec, seeded

import saccade
from saccade.errors import CaptureError, FrameError, RequestError, WeightsError
from saccade_export.detection import DetectPlan
from saccade_export.exporting import ExportRequest, export_bundle
from saccade_export.onnx_network import read_onnx
from saccade_export.source import NetworkRequest

pytestmark = pytest.mark.torch

FRAME = np.kron(np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8), np.ones((8, 8, 1), np.uint8))


def elsewhere(path: Path, head: str = "yolox", *, opset: int = 11, dynamic: bool = False) -> Path:
    """A tiny detector as another exporter writes it: an old opset, a fixed batch, names of its own."""
    names = ["out0", "out1"] if head == "xyxy+scores" else ["out0"]
    axes = {name: {0: "batch"} for name in ("images", *names)} if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            seeded(TinyDetector, head=head),
            (torch.zeros(1, 3, *DETECTOR_SIZE_HW),),
            str(path),
            dynamo=False,
            input_names=["images"],
            output_names=names,
            opset_version=opset,
            dynamic_axes=axes,
        )
    return path


def bundle_of(path: Path, head: str = "yolox", outputs: tuple[str, ...] = ()) -> Path:
    request = ExportRequest(NetworkRequest(str(path), outputs=outputs), DetectPlan(detector_spec(head), head), "made")
    return export_bundle(request, path.with_suffix(".saccade")).bundle.path


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("opset", [11, 18])
def test_a_file_gives_what_its_network_gives(opset: int, dynamic: bool, tmp_path: Path) -> None:
    from tests.tiny import export_tiny_detector

    with (
        saccade.open(bundle_of(elsewhere(tmp_path / "a.onnx", opset=opset, dynamic=dynamic))) as theirs,
        saccade.open(export_tiny_detector(tmp_path)) as ours,
    ):
        one, other = theirs(FRAME), ours(FRAME)
        assert isinstance(one, saccade.Detections)
        assert isinstance(other, saccade.Detections)
        assert len(one) > 3
        np.testing.assert_allclose(one.xyxy, other.xyxy, atol=0.05)
        # A fixed batch of one was set free: each frame of a batch has its own boxes.
        pair = theirs([FRAME, FRAME[::-1].copy()])
        assert isinstance(pair, list)
        np.testing.assert_allclose(pair[0].xyxy, one.xyxy, atol=0.05)
        assert not np.array_equal(pair[1].xyxy, pair[0].xyxy)


def test_outputs_are_chosen_by_name_in_the_heads_order(tmp_path: Path) -> None:
    path = elsewhere(tmp_path / "a.onnx", "xyxy+scores", opset=13)
    bundle_of(path, "xyxy+scores", ("out0", "out1"))
    with pytest.raises(RequestError, match=r"expects \(N, A, 4\) and \(N, A, 3\), in this order"):
        bundle_of(path, "xyxy+scores", ("out1", "out0"))
    with pytest.raises(RequestError, match="has no output 'boxes'; it has out0 float"):
        bundle_of(path, "xyxy+scores", ("boxes", "scores"))
    with pytest.raises(RequestError, match=r"needs 2 outputs \(boxes, scores\).*--output"):
        bundle_of(path, "xyxy+scores", ("out0",))


def test_a_batch_that_cannot_be_freed_stays_one_and_says_so(tmp_path: Path) -> None:
    # Given a file whose arithmetic depends on its batch of one: it sums over the batch.
    path = elsewhere(tmp_path / "a.onnx", opset=13)
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("ReduceMax", ["out0"], ["mixed"], axes=[0], keepdims=1))
    model.graph.node.append(helper.make_node("Add", ["out0", "mixed"], ["doubled"]))
    half = helper.make_tensor("half", TensorProto.FLOAT, [], [0.5])
    model.graph.initializer.append(half)
    model.graph.node.append(helper.make_node("Mul", ["doubled", "half"], ["out"]))
    model.graph.output[0].name = "out"
    onnx.save(model, path)
    with saccade.open(bundle_of(path)) as task:
        assert len(task(FRAME)) > 0  # type: ignore[arg-type]
        with pytest.raises(FrameError, match="one frame at a time, but got 2"):
            task([FRAME, FRAME])


def one_node(
    path: Path, operator: str, domain: str = "", opset: int = 18, shape: tuple[int, ...] = (1, 3, 64, 96)
) -> Path:
    graph = helper.make_graph(
        [helper.make_node(operator, ["images"], ["out"], domain=domain)],
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)],
    )
    imports = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    onnx.save(helper.make_model(graph, opset_imports=imports), path)
    return path


def test_what_cannot_be_used_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(WeightsError, match="cannot be read as ONNX"):
        read_onnx(tmp_path / "text.onnx", DETECTOR_SIZE_HW, ["cells"])
    with pytest.raises(WeightsError, match=r"absent\.onnx cannot be read"):
        read_onnx(tmp_path / "absent.onnx", DETECTOR_SIZE_HW, ["cells"])
    with pytest.raises(CaptureError, match=r"uses com\.microsoft\.Gelu, which are not ONNX's own"):
        read_onnx(one_node(tmp_path / "b.onnx", "Gelu", "com.microsoft"), DETECTOR_SIZE_HW, ["cells"])
    with pytest.raises(
        RequestError, match=r"takes images float \(1, 3, 64, 96\), but --imgsz asks for \(N, 3, 64, 64\)"
    ):
        read_onnx(one_node(tmp_path / "c.onnx", "Relu"), (64, 64), ["cells"])
    with pytest.raises(RequestError, match="takes images"):
        read_onnx(one_node(tmp_path / "d.onnx", "Relu", shape=(4, 3, 64, 96)), DETECTOR_SIZE_HW, ["cells"])
    request = NetworkRequest(str(one_node(tmp_path / "e.onnx", "Relu")), tmp_path / "w.pth")
    with pytest.raises(RequestError, match=r"drop --weights"):
        export_bundle(ExportRequest(request, DetectPlan(detector_spec(), "yolox"), "x"), tmp_path / "x.saccade")
    assert not list(tmp_path.glob("*.saccade"))


def test_an_output_that_is_not_the_heads_names_both_shapes(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"head 'yolox' expects \(N, 126, 8\).*gives \(N, 3, 64, 96\)"):
        bundle_of(one_node(tmp_path / "a.onnx", "Relu"))
