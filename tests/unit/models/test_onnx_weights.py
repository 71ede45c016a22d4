"""Weights out of ONNX files: a network comes back as it went out, and what does not fit changes nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from saccade.errors import WeightsError
from saccade_models.onnx_weights import estimate_statistics, load_folded, read_convolutions
from saccade_models.yolox import YOLOX

pytestmark = pytest.mark.torch

EXAMPLE = torch.zeros(1, 3, 16, 16)


class Tiny(nn.Module):
    """A normed convolution, a depthwise one, a plain one with bias, and one with both bias and norm."""

    def __init__(self, width: int = 4, last_bias: bool = True) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, bias=False)
        self.first_norm = nn.BatchNorm2d(width, eps=1e-3)
        self.deep = nn.Conv2d(width, width, 3, groups=width, bias=True)
        self.deep_norm = nn.BatchNorm2d(width)
        self.last = nn.Conv2d(width, 2, 1, bias=last_bias)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.silu(self.first_norm(self.first(x)))
        return self.last(torch.relu(self.deep_norm(self.deep(x))))


def tiny(seed: int, **arguments: object) -> Tiny:
    """A tiny network whose norms do something."""
    torch.manual_seed(seed)
    network = Tiny(**arguments)  # type: ignore[arg-type]
    for norm in (network.first_norm, network.deep_norm):
        for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            assert values is not None
            nn.init.uniform_(values, 0.5, 2.0)
    return network.eval()


def export(network: nn.Module, path: Path) -> Path:
    torch.onnx.export(network.eval(), (EXAMPLE,), path, verbose=False, external_data=False)
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tiny(1)`` as the exporter writes it."""
    return export(tiny(1), tmp_path_factory.mktemp("onnx") / "tiny.onnx")


def state_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_an_exported_network_loads_back(file: Path) -> None:
    images = torch.randn(2, 3, 16, 16)
    loaded = tiny(2)
    with torch.no_grad():
        before = loaded(images)
        load_folded(loaded, file, EXAMPLE)
        after, wanted = loaded(images), tiny(1)(images)
    torch.testing.assert_close(after, wanted, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(before, wanted, atol=1e-2)


def test_loading_leaves_the_mode_as_it_was(file: Path) -> None:
    network = tiny(2).train()
    load_folded(network, file, EXAMPLE)
    assert network.training


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: tiny(2, width=8), r"first is \(8, 3, 3, 3\), but .* in its place is \(4, 3, 3, 3\)"),
        (lambda: nn.Sequential(tiny(2), nn.Conv2d(2, 2, 1)), "has 3 convolutions, but the network runs 4"),
        (lambda: tiny(2, last_bias=False), "has a bias, which last has no place for"),
    ],
    ids=["shapes", "count", "bias"],
)
def test_a_file_that_does_not_fit_changes_nothing(file: Path, make: Callable[[], nn.Module], said: str) -> None:
    network = make()
    before = state_of(network)
    with pytest.raises(WeightsError, match=said):
        load_folded(network, file, EXAMPLE)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("content", [b"", b"no ONNX at all", None], ids=["empty", "garbage", "absent"])
def test_files_that_are_no_onnx_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "weights.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights\.onnx"):
        read_convolutions(path)


def test_norms_that_were_not_folded_are_refused(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper, save

    weight = numpy_helper.from_array(np.zeros((2, 3, 1, 1), np.float32), "weight")
    nodes = [
        helper.make_node("Conv", ["x", "weight"], ["y"]),
        helper.make_node("BatchNormalization", ["y", "a", "a", "a", "a"], ["z"]),
    ]
    x, z = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xz")
    save(helper.make_model(helper.make_graph(nodes, "graph", [x], [z], [weight])), tmp_path / "unfolded.onnx")
    with pytest.raises(WeightsError, match="has BatchNorms of its own; export it in evaluation mode"):
        read_convolutions(tmp_path / "unfolded.onnx")


Run = Callable[[nn.Module, Tensor], Tensor]


def training_gap(network: nn.Module, images: Tensor, run: Run = lambda network, images: network(images)) -> float:
    """How far training mode is from evaluation mode, in units of the output's own spread."""
    with torch.no_grad():
        evaluated, trained = (run(copy.deepcopy(network).train(mode), images) for mode in (False, True))
    return ((trained - evaluated).std() / evaluated.std()).item()


def test_estimated_statistics_change_training_and_nothing_else(file: Path) -> None:
    torch.manual_seed(0)
    network, images = tiny(2), torch.rand(16, 3, 16, 16) * 255
    load_folded(network, file, EXAMPLE)
    gap_before = training_gap(network, images)
    with torch.no_grad():
        before = network(images)
        estimate_statistics(network, [images[:8], images[8:]])
        after = network(images)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4 * before.std().item())
    assert not network.training
    assert training_gap(network, images) < 0.01
    assert gap_before > 0.5


@pytest.mark.parametrize("head", [0, 1], ids=["many", "one"])
def test_both_heads_of_a_detector_get_statistics(head: int) -> None:
    torch.manual_seed(0)
    network, images = YOLOX(2, one_to_one=True), torch.rand(8, 3, 64, 64) * 255  # fresh norms normalise nothing either

    def run(network: nn.Module, images: Tensor) -> Tensor:
        assert isinstance(network, YOLOX)
        return network.raw(images)[head].offsets

    gap_before = training_gap(network, images, run)
    estimate_statistics(network, [images], network.raw)
    assert training_gap(network, images, run) < 0.1
    assert gap_before > 0.5


def test_norms_that_do_not_run_are_no_silent_gap() -> None:
    with pytest.raises(ValueError, match=r"norms did not run, head\.cls_convs\."):
        estimate_statistics(YOLOX(2, one_to_one=True), [torch.zeros(1, 3, 64, 64)])


@pytest.mark.data
def test_the_official_weights_give_what_the_official_file_gives(data: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    path = data / "weights" / "yolox_nano_coco.onnx"
    torch.manual_seed(0)
    images = torch.rand(1, 3, 416, 416) * 255
    wanted = torch.from_numpy(onnxruntime.InferenceSession(str(path)).run(None, {"images": images.numpy()})[0])
    network = YOLOX().eval()
    network.load_onnx(path)
    with torch.inference_mode():
        assert (network(images) - wanted).abs().max() < 1e-3
        head = network.head
        head.cls_convs, head.reg_convs = head.reg_convs, head.cls_convs  # equal in shape: only their order tells
        assert (network(images) - wanted).abs().max() > 0.1
        assert (YOLOX().eval()(images) - wanted).abs().max() > 0.1


@pytest.mark.data
def test_the_official_file_is_no_other_size(data: Path) -> None:
    with pytest.raises(WeightsError, match="has 113 convolutions, but the network runs 83"):
        YOLOX(80, "tiny").load_onnx(data / "weights" / "yolox_nano_coco.onnx")
