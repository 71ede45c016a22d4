"""Precision written into graphs: what is changed, what stays, and what ranges may be measured on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from PIL import Image

import saccade
from saccade import scenes
from saccade.errors import RequestError, SourceError
from saccade_export.precision.body import WEIGHTED, body, layers
from saccade_export.precision.calibration import check_frames, count_distinct, read_calibration
from saccade_export.precision.graphs import model_of
from saccade_export.precision.half import to_half
from saccade_export.precision.histograms import METHODS, least_squares, measure
from saccade_export.precision.int8 import to_int8
from saccade_export.precision.ranges import largest_values, overflowing
from saccade_export.precision.recorded import Feed, record_inputs

pytestmark = pytest.mark.torch


def street(count: int, size_hw: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    return [scenes.render(seed=index, frame=7 * index, size_hw=size_hw).image for index in range(count)]


def run(model: ir.Model, feed: Feed) -> dict[str, np.ndarray]:
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    session: Any = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([each.name for each in session.get_outputs()], session.run(None, dict(feed)), strict=True))


@pytest.fixture(scope="module")
def segmenter(tiny_bundle: Path) -> saccade.Bundle:
    return saccade.open_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def feeds(segmenter: saccade.Bundle) -> list[Feed]:
    return record_inputs(segmenter, segmenter.variant("fp32-cpu"), street(8), lambda _: {})["main"]


@pytest.fixture
def model(segmenter: saccade.Bundle) -> ir.Model:
    return model_of(segmenter, segmenter.variant("fp32-cpu"))


class TestGraphs:
    def test_a_bundles_graph_comes_with_its_weights(
        self, segmenter: saccade.Bundle, model: ir.Model, feeds: list[Feed]
    ) -> None:
        with saccade.open(segmenter, variant="fp32-cpu", device="cpu") as task:
            assert isinstance(task, saccade.SegmentTask)
            expected = task(feeds[0]["frames"][0]).class_map
        np.testing.assert_array_equal(run(model, feeds[0])["class_map"][0], expected)

    def test_the_body_goes_from_the_first_weights_to_the_last(self, model: ir.Model) -> None:
        inside = body(model.graph)
        assert [node.op_type for node in inside] == ["Conv", "Relu", "Conv", "Relu", "Conv"]
        outside = {node.op_type for node in model.graph} - {node.op_type for node in inside}
        assert {"Resize", "ArgMax"} <= outside
        assert not any(node.op_type in WEIGHTED for node in model.graph if node not in inside)


class TestInputs:
    def test_they_are_what_the_task_gives_its_graph(self, feeds: list[Feed]) -> None:
        assert len(feeds) == 8
        for feed, frame in zip(feeds, street(8), strict=True):
            np.testing.assert_array_equal(feed["frames"][0], frame)
            assert feed["channel_order"].tolist() == [0, 1, 2]

    def test_those_of_a_letterbox_are_there_too(self, tiny_detector_bundle: Path) -> None:
        bundle = saccade.open_bundle(tiny_detector_bundle)
        found = record_inputs(bundle, bundle.variant("fp32-gpu"), street(2), lambda _: {"confidence": 0.5})["main"]
        assert [float(feed["least_confidence"][0]) for feed in found] == [0.5, 0.5]
        assert {"rows", "columns"} <= set(found[0])

    def test_every_stage_has_its_own(self, tiny_restorer_bundle: Path) -> None:
        bundle = saccade.open_bundle(tiny_restorer_bundle)
        asked = [{"sigma": 20.0, "steps": 4}, {"sigma": 40.0, "steps": 1}]
        found = record_inputs(bundle, bundle.variant("fp32-cpu-stepwise"), street(2), lambda index: asked[index])
        assert {stage: len(feeds) for stage, feeds in found.items()} == {"prepare": 2, "step": 5, "finish": 2}
        assert [float(feed["time"][0]) for feed in found["step"]] == [1.0, 0.75, 0.5, 0.25, 1.0]
        assert not np.array_equal(found["step"][0]["state"], found["step"][1]["state"])  # copies


class TestHalf:
    def test_the_body_computes_in_half_and_gives_nearly_the_same(self, model: ir.Model, feeds: list[Feed]) -> None:
        expected = run(model.clone(), feeds[0])
        done = to_half(model, "fp16")
        assert done == [node.name for node in body(model.graph)]
        kinds = {str(node.name): node.inputs[1].dtype for node in model.graph if node.op_type == "Conv"}
        assert set(kinds.values()) == {ir.DataType.FLOAT16}
        found = run(model, feeds[0])
        assert {name: array.dtype for name, array in found.items()} == {n: a.dtype for n, a in expected.items()}
        assert (found["class_map"] == expected["class_map"]).mean() > 0.97

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_what_is_kept_stays_in_float32(self, model: ir.Model, feeds: list[Feed], place: int) -> None:
        convolutions = [str(node.name) for node in model.graph if node.op_type == "Conv"]
        done = to_half(model, "fp16", keep={convolutions[place]})
        assert convolutions[place] not in done
        for node in model.graph:
            if node.op_type == "Conv":
                expected = ir.DataType.FLOAT if node.name == convolutions[place] else ir.DataType.FLOAT16
                assert {value.dtype for value in (*node.inputs, *node.outputs) if value is not None} == {expected}
        assert run(model, feeds[0])["finite"].all()

    def test_bfloat16_has_the_range_of_float32_and_fewer_digits(self, model: ir.Model) -> None:
        weights = next(node for node in model.graph if node.op_type == "Conv").inputs[1].const_value.numpy()
        to_half(model, "bf16")
        onnx.checker.check_model(ir.to_proto(model))  # by opset 18 no convolution takes it; TensorRT does
        stored = next(node for node in model.graph if node.op_type == "Conv").inputs[1].const_value.numpy()
        assert str(stored.dtype) == "bfloat16"
        off = np.abs(stored.astype(np.float32) - weights)
        assert 0 < off.max() <= np.abs(weights).max() / 2**8

    def test_casts_to_whole_numbers_stay(self) -> None:
        """Given 1.7 cut to 1 between two layers, half gives 1 too."""
        weight = ir.tensor(np.ones((1, 1, 1, 1), np.float32), name="weight")
        given = ir.val("given", dtype=ir.DataType.FLOAT, shape=[1, 1, 2, 2])
        stored = ir.val("weight", const_value=weight, dtype=ir.DataType.FLOAT, shape=[1, 1, 1, 1])
        first = ir.node("Conv", [given, stored], name="first")
        cut = ir.node("Cast", [first.outputs[0]], attributes={"to": int(ir.DataType.INT32)}, name="cut")
        back = ir.node("Cast", [cut.outputs[0]], attributes={"to": int(ir.DataType.FLOAT)}, name="back")
        last = ir.node("Conv", [back.outputs[0], stored], name="last")
        for node in (first, cut, back, last):
            node.outputs[0].name = f"{node.name}_out"
        last.outputs[0].dtype, last.outputs[0].shape = ir.DataType.FLOAT, ir.Shape([1, 1, 2, 2])
        edges, settings = ([given], [last.outputs[0]]), {"initializers": [stored], "opset_imports": {"": 18}}
        graph = ir.Graph(*edges, nodes=[first, cut, back, last], name="cut", **settings)
        model = ir.Model(graph, ir_version=10)
        assert len(to_half(model, "fp16")) == 4
        found = run(model, {"given": np.full((1, 1, 2, 2), 1.7, np.float32)})["last_out"]
        assert found.tolist() == [[[[1, 1], [1, 1]]]]

    def test_a_graph_without_weights_stays_as_it_is(self, tiny_restorer_bundle: Path) -> None:
        bundle = saccade.open_bundle(tiny_restorer_bundle)
        model = model_of(bundle, bundle.variant("fp32-cpu-stepwise"), "prepare")
        before = ir.to_proto(model).SerializeToString()
        assert to_half(model, "fp16") == []
        assert len(ir.to_proto(model).graph.node) == len(onnx.load_model_from_string(before).graph.node)


def int8(model: ir.Model, feeds: list[Feed], target: str, method: str = "minmax") -> ir.Model:
    return to_int8(model, measure(model, feeds).ranges(method), target)[0]


class TestLayers:
    def test_they_are_named_by_their_weights(self, model: ir.Model) -> None:
        assert list(layers(model.graph)) == [
            str(node.inputs[1].name).removeprefix("network.") for node in model.graph if node.op_type == "Conv"
        ]

    def test_all_steps_and_targets_have_the_same(self, tiny_restorer_bundle: Path) -> None:
        bundle = saccade.open_bundle(tiny_restorer_bundle)
        one, four, gpu = (
            layers(model_of(bundle, bundle.variant(name)).graph)
            for name in ("fp32-cpu-n1", "fp32-cpu-n4", "fp32-gpu-n2-float32")
        )
        assert list(one) == list(four) == list(gpu)
        assert {len(nodes) for nodes in one.values()} == {1}
        assert {len(nodes) for nodes in four.values()} == {4}
        step = layers(model_of(bundle, bundle.variant("fp32-cpu-stepwise"), "step").graph)
        assert set(one) <= set(step)


class TestHistograms:
    def test_each_method_spans_what_was_seen_or_less(self, model: ir.Model, feeds: list[Feed]) -> None:
        found = measure(model, feeds)
        whole = found.ranges("minmax")
        largest = largest_values(model, feeds)
        for name, (low, high) in whole.items():
            assert max(-low, high) == pytest.approx(largest[name], rel=1e-5)
        for method in METHODS:
            ranges = found.ranges(method)
            assert set(ranges) == set(whole)
            spans = [(ranges[name], whole[name]) for name in whole]
            assert all(low <= inner[0] < inner[1] <= high for inner, (low, high) in spans), method
            if method != "minmax":
                assert any(inner != outer for inner, outer in spans), method

    def test_an_unknown_method_is_refused_with_those_there_are(self, model: ir.Model, feeds: list[Feed]) -> None:
        with pytest.raises(RequestError, match="'mean' is not known; choose from minmax, entropy, percentile, mse"):
            measure(model, feeds).ranges("mean")

    def test_no_frame_and_no_weights_are_refused(self, model: ir.Model, tiny_restorer_bundle: Path) -> None:
        with pytest.raises(RequestError, match="nothing to measure"):
            measure(model, [])
        bundle = saccade.open_bundle(tiny_restorer_bundle)
        variant = bundle.variant("fp32-cpu-stepwise")
        given = record_inputs(bundle, variant, street(1), lambda _: {"sigma": 20.0})["prepare"]
        with pytest.raises(RequestError, match="nothing to measure"):
            measure(model_of(bundle, variant, "prepare"), given)

    def test_least_squares_leaves_out_what_is_rare(self) -> None:
        values = np.random.default_rng(0).normal(0, 1, 100_000)
        values[0], values[1] = 12.0, -12.0
        counts, edges = np.histogram(values, 2048, range=(-12, 12))
        low, high = least_squares(counts, edges, -12.0, 12.0)

        def squared_error(end: float) -> float:
            step = 2 * end / 255
            return float(((np.clip(np.rint(values / step), -128, 127) * step - values) ** 2).sum())

        best = min(np.arange(2.4, 12.01, 0.15), key=squared_error)
        assert -low == high == pytest.approx(best, abs=0.6)
        assert squared_error(high) < 0.9 * squared_error(12.0)
        spread = np.random.default_rng(0).uniform(-1, 1, 100_000)
        counts, edges = np.histogram(spread, 2048, range=(-1, 1))
        assert least_squares(counts, edges, -1.0, 1.0) == (-1.0, 1.0)


class TestInt8:
    @pytest.mark.parametrize("target", ["cpu", "gpu"])
    def test_layers_compute_in_8_bits(self, model: ir.Model, feeds: list[Feed], target: str) -> None:
        expected = run(model.clone(), feeds[0])
        quantised, done = to_int8(model, measure(model, feeds).ranges("minmax"), target)
        assert done == list(layers(model.graph))
        found = run(quantised, feeds[0])
        assert (found["class_map"] == expected["class_map"]).mean() > 0.9
        assert not np.array_equal(found["class_map"], expected["class_map"])

    def test_a_cpus_activations_are_unsigned_and_a_gpus_around_zero(self, model: ir.Model, feeds: list[Feed]) -> None:
        cpu, gpu = (int8(model, feeds, target) for target in ("cpu", "gpu"))
        assert zero_points(cpu, "QuantizeLinear") == {np.dtype(np.uint8)}
        assert zero_points(gpu, "QuantizeLinear") == {np.dtype(np.int8)}
        assert np.dtype(np.int32) in zero_points(cpu, "DequantizeLinear")  # biases
        assert zero_points(gpu, "DequantizeLinear") == {np.dtype(np.int8)}
        for node in gpu.graph:
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                assert not ir.convenience.get_const_tensor(node.inputs[2]).numpy().any()

    def test_weights_have_a_scale_for_each_channel(self, model: ir.Model, feeds: list[Feed]) -> None:
        scales = {
            ir.convenience.get_const_tensor(node.inputs[1]).numpy().size
            for node in int8(model, feeds, "gpu").graph
            if node.op_type == "DequantizeLinear" and ir.convenience.get_const_tensor(node.inputs[0]) is not None
        }
        assert scales == {8, 32, 3}

    def test_what_is_kept_stays_in_float32(self, model: ir.Model, feeds: list[Feed]) -> None:
        (first, nodes), *_ = layers(model.graph).items()
        ranges = measure(model, feeds).ranges("minmax")
        quantised, done = to_int8(model, ranges, "cpu", keep={first})
        assert first not in done
        kept = next(node for node in quantised.graph if node.name == nodes[0])
        assert all(value.producer() is None or value.producer().op_type != "DequantizeLinear" for value in kept.inputs)
        with pytest.raises(RequestError, match="no layer is left"):
            to_int8(model, ranges, "cpu", keep=set(layers(model.graph)))

    def test_ranges_follow_the_frames_and_the_method(self, model: ir.Model, feeds: list[Feed]) -> None:
        dark = [{**feed, "frames": feed["frames"] // 8} for feed in feeds]
        bright, dim = (activation_scales(int8(model, given, "cpu")) for given in (feeds, dark))
        assert bright[0] > 2 * dim[0]  # the image
        rare = activation_scales(int8(model, feeds, "cpu", "percentile"))
        assert sum(rare) < sum(bright)

    def test_the_model_that_is_given_stays_as_it_is(self, model: ir.Model, feeds: list[Feed]) -> None:
        before = ir.to_proto(model).SerializeToString()
        int8(model, feeds, "cpu")
        assert ir.to_proto(model).SerializeToString() == before


def zero_points(model: ir.Model, op_type: str) -> set[np.dtype[Any]]:
    nodes = [node for node in model.graph if node.op_type == op_type]
    return {ir.convenience.get_const_tensor(node.inputs[2]).numpy().dtype for node in nodes}


def activation_scales(model: ir.Model) -> list[float]:
    nodes = [node for node in model.graph if node.op_type == "QuantizeLinear"]
    return [float(ir.convenience.get_const_tensor(node.inputs[1]).numpy()) for node in nodes]


class TestCalibrationSet:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for index, frame in enumerate(street(40)):
            Image.fromarray(frame).save(tmp_path / f"{index:02}.png")
        return tmp_path

    def test_frames_are_read_and_their_hash_is_of_their_pixels(self, folder: Path) -> None:
        found = read_calibration(str(folder))
        assert len(found.frames) == 40
        assert found.sha256 == read_calibration(str(folder)).sha256
        image = np.array(Image.open(folder / "07.png"))
        image[3, 4, 1] ^= 1
        Image.fromarray(image).save(folder / "07.png")
        assert read_calibration(str(folder)).sha256 != found.sha256
        assert len(read_calibration(str(folder), least=4, most=10).frames) == 10

    def test_too_few_are_refused(self, folder: Path) -> None:
        for index in range(12):
            (folder / f"{index:02}.png").unlink()
        with pytest.raises(RequestError, match="holds 28 images, but ranges need at least 32; give more"):
            read_calibration(str(folder))
        assert len(read_calibration(str(folder), least=28).frames) == 28

    def test_an_image_that_cannot_be_read_is_named(self, folder: Path) -> None:
        (folder / "05.png").write_bytes(b"no picture")
        with pytest.raises(SourceError, match=r"05.png cannot be used"):
            read_calibration(str(folder))

    def test_random_numbers_are_refused(self) -> None:
        random = np.random.default_rng(0)
        noise = [random.integers(0, 256, (48, 64, 3)).astype(np.uint8) for _ in range(36)]
        with pytest.raises(RequestError, match="36 of 36 images of here look like random numbers"):
            check_frames(noise, "here")
        mixed = [*street(30), *noise[:6]]
        with pytest.raises(RequestError, match="6 of 36 images of here look like random numbers"):
            check_frames(mixed, "here")

    def test_noisy_frames_of_a_night_are_not_random(self) -> None:
        random = np.random.default_rng(0)
        noisy = [np.clip(frame + random.normal(0, 15, frame.shape), 0, 255).astype(np.uint8) for frame in street(36)]
        check_frames(noisy, "here")

    def test_numbers_of_0_to_1_are_refused(self) -> None:
        with pytest.raises(RequestError, match=r"36 of 36 images of here have no grey level above 8 .* of 0 to 1"):
            check_frames([frame // 200 for frame in street(36)], "here")

    def test_a_standing_camera_is_refused(self) -> None:
        random = np.random.default_rng(0)
        scene = street(1)[0]
        same = [np.clip(scene + random.normal(0, 2, scene.shape), 0, 255).astype(np.uint8) for _ in range(40)]
        with pytest.raises(RequestError, match="only 1 of 40 images of here differ, but ranges need at least 32"):
            check_frames(same, "here")
        assert count_distinct([*same, *street(3)]) == 3

    @pytest.mark.parametrize("size_hw", [(1, 1), (1, 40), (40, 1), (5, 7)])
    def test_frames_of_any_size_are_looked_at(self, size_hw: tuple[int, int]) -> None:
        levels = [np.full((*size_hw, 3), 20 + 5 * index, np.uint8) for index in range(36)]
        check_frames(levels, "here")


class TestRanges:
    def test_they_are_those_of_a_run(self, model: ir.Model, feeds: list[Feed]) -> None:
        found = largest_values(model, feeds)
        first = next(node for node in model.graph if node.op_type == "Conv")
        watched = model.clone()
        inside = next(node for node in watched.graph if node.name == first.name)
        for value in (inside.inputs[0], inside.outputs[0]):
            value.type, watched.graph.outputs[:] = ir.TensorType(ir.DataType.FLOAT), [value]
            proto = ir.to_proto(watched)
            session: Any = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
            most = max(float(np.abs(session.run(None, dict(feed))[0]).max()) for feed in feeds)
            assert found[str(value.name)] == pytest.approx(most, rel=1e-5)
        weights = first.inputs[1]
        assert found[str(weights.name)] == pytest.approx(float(np.abs(weights.const_value.numpy()).max()))

    def test_what_overflows_is_found_and_kept(self, model: ir.Model, feeds: list[Feed]) -> None:
        assert overflowing(model, feeds, "fp16") == set()
        second = [node for node in model.graph if node.op_type == "Conv"][1]
        for place in (
            1,
            2,
        ):  # a convolution whose results leave half's range, and the one after it that brings them back
            value = second.inputs[place]
            value.const_value = ir.tensor(value.const_value.numpy() * np.float32(1e6), name=value.name)
        third = [node for node in model.graph if node.op_type == "Conv"][2]
        value = third.inputs[1]
        value.const_value = ir.tensor(value.const_value.numpy() * np.float32(1e-6), name=value.name)
        expected = run(model.clone(), feeds[0])
        found = overflowing(model, feeds, "fp16")
        assert {str(second.name), str(third.name)} <= found
        assert overflowing(model, feeds, "bf16") == set()

        broken, kept = model.clone(), model.clone()
        to_half(broken, "fp16")
        to_half(kept, "fp16", keep=found)
        equal = [(run(each, feeds[0])["class_map"] == expected["class_map"]).mean() for each in (broken, kept)]
        assert equal[0] < 0.9 < 0.97 < equal[1]
