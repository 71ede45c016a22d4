"""The limit of a machine and of a graph: work is counted as others count it, and no engine is beyond its limit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import saccade
from saccade import scenes
from saccade.engines import installed
from saccade.errors import EngineError, RequestError

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from saccade_bench.roofline import peaks as peaks_module  # noqa: E402
from saccade_bench.roofline.__main__ import main  # noqa: E402
from saccade_bench.roofline.limits import share_of_limit, share_of_work  # noqa: E402
from saccade_bench.roofline.peak_graphs import LAYERS, PRODUCTS, float_graph, int8_graph, x_of  # noqa: E402
from saccade_bench.roofline.peaks import Peak, Peaks, measure_peaks  # noqa: E402
from saccade_bench.roofline.runs import measure  # noqa: E402
from saccade_bench.roofline.work import Work, count  # noqa: E402

pytestmark = pytest.mark.torch

FLOAT = TensorProto.FLOAT


class Attention(nn.Module):
    """Matrix products of values with values, beside those with weights."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Linear(24, 48)
        self.out = nn.Linear(24, 5)

    def forward(self, x: Any) -> Any:
        queries, keys = self.queries(x.flatten(2).transpose(1, 2)).chunk(2, -1)
        return self.out(torch.softmax(queries @ keys.transpose(1, 2), -1) @ keys)


def small_networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "convolutions": nn.Sequential(
            nn.Conv2d(24, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.SiLU(),
            nn.Conv2d(16, 16, 3, padding=2, dilation=2, groups=16), nn.ReLU(), nn.MaxPool2d(2),
        ),
        "upwards": nn.Sequential(nn.ConvTranspose2d(24, 8, 4, stride=2, padding=1), nn.Upsample(scale_factor=2)),
        "linear": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10)),
        "attention": Attention(),
    }  # fmt: skip


def counted(network: nn.Module, size: tuple[int, int] = (20, 28)) -> tuple[Work, int]:
    """Our count of a network's graph, and PyTorch's of the network."""
    x = torch.randn(1, 24, *size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(x)
    program = torch.onnx.export(network.eval(), (x,), dynamo=True, verbose=False)
    model = program.model_proto
    return count(model, {model.graph.input[0].name: x.numpy()}), counter.get_total_flops()


@pytest.mark.parametrize("name", small_networks())
def test_products_are_counted_as_pytorch_counts_them(name: str) -> None:
    work, theirs = counted(small_networks()[name])
    assert work.flops == theirs > 0
    assert work.products.keys() == {"float"}
    assert work.uncounted == {}
    assert work.flops != counted(small_networks()["convolutions"], (24, 28))[1]  # the twin: another size


def test_yolox_nano_has_the_operations_that_its_authors_state(data: Path) -> None:
    """1.08 G at 416 (README of YOLOX): twice what thop counts, for which a normalised number takes two MACs.

    Normalisation is within the convolutions here; each that is followed by one is followed by a sigmoid too.
    """
    path = data / "weights" / "yolox_nano_coco.onnx"
    if not path.exists():
        pytest.skip(f"there is no {path}")
    model = onnx.load(path)
    work = count(model, {model.graph.input[0].name: np.zeros((1, 3, 416, 416), np.float32)})
    as_authors = work.flops + 4 * work.by_operator["Sigmoid"]
    assert as_authors / 1e9 == pytest.approx(1.08, abs=0.005)
    assert work.flops / 1e9 != pytest.approx(1.08, abs=0.005)


def model_of(nodes: list[Any], stored: dict[str, Any], shape: tuple[int, ...], kind: int = FLOAT) -> Any:
    """A graph from x of a shape to y."""
    ends = [helper.make_tensor_value_info("x", kind, shape), helper.make_tensor_value_info("y", kind, None)]
    tensors = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


X = np.ones((1, 4, 8, 8), np.float32)
W = np.ones((4, 4, 1, 1), np.float32)


def silu_and_sum(*, shares: bool) -> list[Any]:
    """y = x or conv(x), plus SiLU(conv(conv(x))): with ``shares`` the first convolution is taken twice."""
    return [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Conv", ["a", "w"], ["b"]),
        helper.make_node("Sigmoid", ["b"], ["s"]),
        helper.make_node("Mul", ["b", "s"], ["m"]),
        helper.make_node("Add", ["m", "a" if shares else "x"], ["y"]),
    ]


@pytest.mark.parametrize("shares", [True, False])
def test_fused_values_are_not_moved_and_shared_ones_once(shares: bool) -> None:
    work = count(model_of(silu_and_sum(shares=shares), {"w": W}, X.shape), {"x": X})
    # x is read, a written and read, y written, the weights read: however often x, a and w are taken.
    assert work.bytes_moved == 4 * X.nbytes + W.nbytes
    assert work.others == 3 * X.size


def test_what_is_not_fused_is_written_and_read() -> None:
    nodes = [*silu_and_sum(shares=True)[:3], helper.make_node("Transpose", ["s"], ["t"], perm=[0, 2, 3, 1])]
    nodes += [helper.make_node("Flatten", ["t"], ["y"])]
    work = count(model_of(nodes, {"w": W}, X.shape), {"x": X})
    assert work.bytes_moved == 6 * X.nbytes + W.nbytes


def test_8_bits_are_counted_and_moved_as_such() -> None:
    product = PRODUCTS[1]
    in_8_bits = count(onnx.load_model_from_string(int8_graph(product)), {"x": x_of(product, np.uint8)})
    in_floats = count(onnx.load_model_from_string(float_graph(product)), {"x": x_of(product, np.float32)})
    assert in_8_bits.products == {"int8": product.flops}
    assert in_floats.products == {"float": product.flops}
    assert in_floats.bytes_moved == 4 * (2 * LAYERS * np.prod(product.x) + np.prod(product.weights))
    assert in_8_bits.bytes_moved == pytest.approx(in_floats.bytes_moved / 4, rel=1e-3)


def test_weights_alone_in_8_bits_are_products_of_floats() -> None:
    nodes = [helper.make_node("DequantizeLinear", ["q", "scale"], ["w"]), helper.make_node("Conv", ["x", "w"], ["y"])]
    stored = {"q": W.astype(np.int8), "scale": np.float32(1)}
    assert count(model_of(nodes, stored, X.shape), {"x": X}).products.keys() == {"float"}


def test_operators_without_a_formula_are_listed() -> None:
    nodes = [
        helper.make_node("Einsum", ["x", "x"], ["e"], equation="abcd,abcd->abc"),
        helper.make_node("Neg", ["e"], ["y"]),
    ]
    work = count(model_of(nodes, {}, X.shape), {"x": X})
    assert work.uncounted == {"Einsum": 1}
    assert (work.flops, work.by_operator) == (0, {"Neg": 32})


def test_a_graph_that_does_not_take_what_is_given_is_an_error() -> None:
    with pytest.raises(EngineError, match="whose work is counted"):
        count(model_of(silu_and_sum(shares=True), {"w": W}, X.shape), {"x": X[:, :3]})


def test_counting_changes_nothing_of_the_model() -> None:
    model = model_of(silu_and_sum(shares=True), {"w": W}, X.shape)
    before = model.SerializeToString()
    count(model, {"x": X})
    assert model.SerializeToString() == before


def roofs(**gflops: float) -> Peaks:
    best = {name: Peak(name, "onnxruntime", "MatMul", number) for name, number in gflops.items()}
    return Peaks(2, best, tuple(best.values()), {"bf16, openvino": "this CPU does not compute in bf16"}, 20.0, 1 << 26)


def test_the_share_is_of_the_roof_that_binds() -> None:
    found = share_of_limit(8e9, 100e6, 0.040, roofs(fp32=400.0), "fp32")
    assert (found.bound, found.compute_ms, found.memory_ms, found.share) == ("compute", 20.0, 5.0, 0.5)
    found = share_of_limit(1e9, 100e6, 0.040, roofs(fp32=400.0), "fp32")
    assert (found.bound, found.least_ms, found.share) == ("memory", 5.0, 0.125)


def test_mixed_work_is_held_to_the_peak_of_each_part() -> None:
    work = Work({"int8": 16_000_000_000, "float": 4_000_000_000}, 0, 0, {}, {})
    assert share_of_work(work, 0.1, roofs(fp32=400.0, int8=1600.0), "int8").compute_ms == pytest.approx(20.0)
    assert share_of_work(work, 0.1, roofs(bf16=800.0, int8=1600.0), "bf16").compute_ms == pytest.approx(15.0)


def test_a_precision_without_a_peak_is_refused_with_the_reason() -> None:
    with pytest.raises(RequestError, match=r"no peak of bf16 .*does not compute in bf16.* only: fp32"):
        share_of_limit(1e9, 1e6, 0.1, roofs(fp32=400.0), "bf16")
    with pytest.raises(RequestError, match="more than no time"):
        share_of_limit(1e9, 1e6, 0.0, roofs(fp32=400.0), "fp32")


@pytest.fixture(scope="module")
def machine_peaks() -> Iterator[Peaks]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peaks_module, "ROUNDS", 2)
        yield measure_peaks()


def test_peaks_are_of_every_precision_or_say_why_not(machine_peaks: Peaks) -> None:
    asked = {way.precision for way in peaks_module.WAYS}
    absent = {name.partition(",")[0] for name in machine_peaks.missing}
    assert {"fp32", "int8"} <= set(machine_peaks.best)
    assert asked <= set(machine_peaks.best) | absent
    assert all(peak.gflops > 0.1 for peak in machine_peaks.measured)
    assert 0.5 < machine_peaks.copy_gb_s < 5000
    if "openvino" in installed():
        assert {peak.engine for peak in machine_peaks.measured} == {"onnxruntime", "openvino"}
    assert measure_peaks() is machine_peaks, "they are measured once"


MOST_SHARE = 1.15
"""Peaks and a bundle are measured one after the other: a machine may be that much faster the second time."""

TRIES = 3
"""A busy machine may lower the peaks for one measurement, but not for each of three."""


def test_no_engine_is_beyond_the_limit(machine_peaks: Peaks, shipped_bundle: Path) -> None:
    frames = [scenes.render(1, index, (360, 480)).image for index in range(5)]
    measured = measure(saccade.open_bundle(shipped_bundle), frames)
    assert (measured.precision, measured.frames, measured.width, measured.height) == ("fp32", 5, 480, 360)
    assert 5e9 < measured.work.flops < 7e9
    seconds = measured.engine_ms / 1000
    shares = [share_of_work(measured.work, seconds, machine_peaks, measured.precision).share]
    while min(shares) > MOST_SHARE and len(shares) < TRIES:
        peaks_module._measured.cache_clear()
        shares.append(share_of_work(measured.work, seconds, measure_peaks(), measured.precision).share)
    assert 0 < min(shares) <= MOST_SHARE, shares
    peak = machine_peaks.best["fp32"]
    slow = replace(machine_peaks, best={"fp32": replace(peak, gflops=peak.gflops / 100)})  # the twin: a wrong peak
    assert share_of_work(measured.work, seconds, slow, measured.precision).share > MOST_SHARE


def test_all_stages_and_steps_of_a_restorer_count(tiny_restorer_bundle: Path) -> None:
    frames = [scenes.render(1, 0, (64, 64)).image]
    bundle = saccade.open_bundle(tiny_restorer_bundle)
    names = ("fp32-cpu-n1", "fp32-cpu-n2", "fp32-cpu-n4", "fp32-cpu-stepwise")
    one, two, four, stepwise = (measure(bundle, frames, name).work for name in names)
    assert two.flops == pytest.approx(2 * one.flops, rel=0.3)
    assert four.flops == pytest.approx(4 * one.flops, rel=0.4)
    assert stepwise.flops == pytest.approx(four.flops, rel=0.3)


def test_the_command_prints_the_roofs_and_the_share(
    shipped_bundle: Path, monkeypatch: pytest.MonkeyPatch, machine_peaks: Peaks
) -> None:
    monkeypatch.setattr(peaks_module, "_measured", lambda _: machine_peaks)
    call = [str(shipped_bundle), "--source", "scenes:frames=3,size=480x360"]
    shown = CliRunner().invoke(main, call, catch_exceptions=False).stdout
    assert f"GFLOP/s  {machine_peaks.best['fp32'].engine}, " in shown
    assert "fp32-cpu on onnxruntime" in shown
    assert "of it reached" in shown
    document = json.loads(CliRunner().invoke(main, [*call, "--json"], catch_exceptions=False).stdout)
    assert document["verdict"]["disturbed"] == bool(document["verdict"]["reasons"])
    assert document["limit"]["bound"] in ("compute", "memory")
    assert document["measured"]["work"]["products"].keys() == {"float"}
    assert document["peaks"]["best"]["fp32"]["gflops"] > 0
