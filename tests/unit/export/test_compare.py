"""Two variants or engines on the same frames: how far their results are apart, and in which tensor that begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from tests.commands import call

import saccade
from saccade import scenes
from saccade.errors import RequestError
from saccade_export.compare.bisect import bisect, usual_tolerance
from saccade_export.compare.sides import Side, check_alike, read_side
from saccade_export.precision.adding import Made, with_variants
from saccade_export.precision.graphs import model_of
from saccade_export.precision.recorded import Feed, record_inputs
from saccade_export.precision.reduced import Recipe, Reducer
from saccade_export.precision.tolerances import with_tolerances
from saccade_export.seal import seal

pytestmark = pytest.mark.torch


def street(count: int) -> list[np.ndarray]:
    return [scenes.render(seed=index, frame=0, size_hw=(48, 64)).image for index in range(count)]


@pytest.fixture(scope="module")
def several(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny segmenter with 8 bits, half, and a fault: one of its convolutions has other weights."""
    reducer = Reducer(saccade.open_bundle(tiny_bundle), street(8), lambda _: {})
    recipes = (Recipe("int8", method="minmax"), Recipe("fp16", "gpu"))
    made = [reducer.make(recipe, reducer.bases(recipe)[0]) for recipe in recipes]
    base = reducer.bundle.variant("fp32-cpu")
    model = model_of(reducer.bundle, base)
    second = [node for node in model.graph if node.op_type == "Conv"][1]
    weights = second.inputs[1]
    weights.const_value = ir.tensor(weights.const_value.numpy() * np.float32(1.2), name=weights.name)
    faulty = Made(replace(base, name="faulty-cpu"), {"main": ir.to_proto(model).SerializeToString()})
    path = tmp_path_factory.mktemp("compare") / "several.saccade"
    added = [*with_tolerances(reducer.bundle, made), faulty]
    seal(*with_variants(reducer.bundle, [], added), path)
    return path


def feeds_of(*sides: Side) -> tuple[list[Feed], list[Feed]]:
    one, other = (record_inputs(side.bundle, side.variant, street(2), lambda _: {})["main"] for side in sides)
    return one, other


class TestSides:
    def test_a_side_is_a_bundle_and_what_of_it(self, several: Path) -> None:
        plain, variant, engine, both = (
            read_side(f"{several}{what}") for what in ("", ":int8-cpu", "@openvino", ":fp32-gpu@openvino")
        )
        assert [(side.variant.name, side.engine) for side in (plain, variant, engine, both)] == [
            ("fp32-cpu", "onnxruntime"), ("int8-cpu", "onnxruntime"),
            ("fp32-cpu", "openvino"), ("fp32-gpu", "openvino"),
        ]  # fmt: skip

    def test_a_folder_may_have_an_at(self, several: Path, tmp_path: Path) -> None:
        folder = tmp_path / "me@home"
        folder.mkdir()
        (folder / "x.saccade").write_bytes(several.read_bytes())
        assert read_side(f"{folder}/x.saccade").engine == "onnxruntime"
        assert read_side(f"{folder}/x.saccade:int8-cpu@openvino").engine == "openvino"

    def test_names_may_have_an_at_and_folders_a_colon(self, several: Path, tmp_path: Path) -> None:
        folder = tmp_path / "old.saccade:new"
        folder.mkdir()
        (folder / "road@2.saccade").write_bytes(several.read_bytes())
        assert read_side(f"{folder}/road@2.saccade:int8-cpu").variant.name == "int8-cpu"
        assert read_side(f"{tmp_path}/old.saccade:new/road@2.saccade:fp32-gpu@openvino").engine == "openvino"

    def test_what_is_not_there_is_named(self, several: Path) -> None:
        with pytest.raises(RequestError, match=r"'int4' was asked for, but several.saccade holds fp32-cpu"):
            read_side(f"{several}:int4")
        with pytest.raises(RequestError, match="engine 'caffe' is not known"):
            read_side(f"{several}@caffe")

    def test_two_kinds_of_work_are_not_compared(self, several: Path, tiny_restorer_bundle: Path) -> None:
        with pytest.raises(RequestError, match=r"is for segment, but .* for restore"):
            check_alike(read_side(str(several)), read_side(str(tiny_restorer_bundle)))
        steps = [read_side(f"{tiny_restorer_bundle}:fp32-cpu-n{steps}") for steps in (1, 4)]
        with pytest.raises(RequestError, match=r"has steps 1, but .* 4; compare two alike"):
            check_alike(*steps)


class TestBisect:
    def test_the_tensor_where_a_fault_begins_is_found(self, several: Path) -> None:
        whole, faulty = read_side(f"{several}:fp32-cpu"), read_side(f"{several}:faulty-cpu")
        found = bisect(whole, faulty, feeds_of(whole, faulty), usual_tolerance(whole, faulty))
        convolutions = [n for n in model_of(whole.bundle, whole.variant).graph if n.op_type == "Conv"]
        assert found.parts is not None
        assert found.parts.tensor == convolutions[1].outputs[0].name
        assert found.parts.difference == pytest.approx(0.2, abs=0.02)
        assert found.agrees is not None
        assert found.agrees.place == found.parts.place - 1
        assert found.agrees.difference == 0
        assert len(found.probes) < found.tensors

    def test_what_does_not_part_says_so(self, several: Path) -> None:
        one, other = read_side(f"{several}:fp32-cpu@onnxruntime"), read_side(f"{several}:fp32-cpu@openvino")
        found = bisect(one, other, feeds_of(one, other), usual_tolerance(one, other))
        assert found.parts is None
        assert 1 <= len(found.probes) < 5
        assert all(0 <= probe.difference < 1e-4 for probe in found.probes)

    @pytest.mark.parametrize(("variant", "allowed"), [("fp16-gpu", 0.01), ("int8-cpu", 0.15)])
    def test_less_precision_agrees_as_far_as_it_can(self, several: Path, variant: str, allowed: float) -> None:
        one, other = read_side(f"{several}:fp32-{variant[-3:]}"), read_side(f"{several}:{variant}")
        assert usual_tolerance(one, other) == allowed
        assert bisect(one, other, feeds_of(one, other), allowed).parts is None
        strict = bisect(one, other, feeds_of(one, other), 1e-5)
        assert strict.parts is not None
        assert strict.parts.difference > 1e-5

    def test_tensors_in_another_layout_are_passed_over(self, several: Path) -> None:
        cpu, gpu = read_side(f"{several}:fp32-cpu"), read_side(f"{several}:fp32-gpu")
        found = bisect(cpu, gpu, feeds_of(cpu, gpu), 1e-3)
        assert found.parts is None
        assert "scores_at_frame" not in [probe.tensor for probe in found.probes]

    def test_boxes_that_part_behind_the_network_are_found(self, tiny_detector_bundle: Path, tmp_path: Path) -> None:
        bundle = saccade.open_bundle(tiny_detector_bundle)
        base = bundle.variant("fp32-cpu")
        model = model_of(bundle, base)
        (shift,) = (node for node in model.graph if node.outputs[0].name == "box_not_below")
        value = shift.inputs[0]
        off = ir.node("Add", [value, ir.val("off", const_value=ir.tensor(np.float32(30), name="off"))], name="shifted")
        model.graph.register_initializer(off.inputs[1])
        off.outputs[0].name = "shifted"
        model.graph.insert_before(shift, off)
        shift.replace_input_with(0, off.outputs[0])
        made = Made(replace(base, name="shifted-cpu"), {"main": ir.to_proto(model).SerializeToString()})
        path = tmp_path / "boxes.saccade"
        seal(*with_variants(bundle, [], [made]), path)
        whole, shifted = read_side(f"{path}:fp32-cpu"), read_side(f"{path}:shifted-cpu")
        found = bisect(whole, shifted, feeds_of(whole, shifted), 1e-3)
        assert found.parts is not None
        assert found.parts.tensor == "box_not_below"
        assert found.agrees is not None

    def test_graphs_in_bfloat16_are_looked_into(self, tiny_bundle: Path, tmp_path: Path) -> None:
        reducer = Reducer(saccade.open_bundle(tiny_bundle), street(4), lambda _: {})
        recipe = Recipe("bf16", "gpu")
        made = with_tolerances(reducer.bundle, [reducer.make(recipe, reducer.bases(recipe)[0])])
        path = tmp_path / "bf16.saccade"
        seal(*with_variants(reducer.bundle, [], made), path)
        whole, half = read_side(f"{path}:fp32-gpu"), read_side(f"{path}:bf16-gpu")
        assert half.engine == "openvino"
        feeds = [record_inputs(s.bundle, s.variant, street(1), lambda _: {}, s.engine)["main"] for s in (whole, half)]
        found = bisect(whole, half, (feeds[0], feeds[1]), usual_tolerance(whole, half))
        assert found.parts is None
        assert max(probe.difference for probe in found.probes) > 1e-4


class TestCommand:
    def test_results_and_the_parting_tensor_are_told(self, capfd: pytest.CaptureFixture[str], several: Path) -> None:
        found = call(capfd, "compare", f"{several}:fp32-cpu", f"{several}:faulty-cpu", "--bisect")
        assert found.code == 1
        assert "several.saccade:fp32-cpu@onnxruntime and several.saccade:faulty-cpu@onnxruntime" in found.out
        assert "they part at '" in found.out
        assert "it is made by Conv " in found.out
        assert ", agrees; " in found.out
        as_json = call(capfd, "compare", f"{several}:fp32-cpu", f"{several}:faulty-cpu", "--bisect", "--json").document
        assert as_json["passed"] is False
        assert as_json["parting"]["parts"]["nodes"][0].startswith("Conv ")
        assert len(as_json["frames"]) == 4

    def test_two_that_agree_pass(self, capfd: pytest.CaptureFixture[str], several: Path) -> None:
        found = call(capfd, "compare", f"{several}:fp32-cpu", f"{several}:int8-cpu")
        assert found.code == 0
        assert found.out.count("agrees: ") == 4
        assert call(capfd, "compare", several, several, "--limit", "2").out.count("agrees: ") == 2
        source = call(
            capfd, "compare", several, f"{several}@openvino", "--source", "scenes:seed=3,frames=5,size=64x48", "--json"
        )
        assert source.code == 0
        assert len(source.document["frames"]) == 5
        assert source.document["parting"] is None

    def test_boxes_and_restored_frames_are_compared_as_such(
        self, capfd: pytest.CaptureFixture[str], tiny_detector_bundle: Path, tiny_restorer_bundle: Path
    ) -> None:
        boxes = call(capfd, "compare", f"{tiny_detector_bundle}:fp32-cpu", f"{tiny_detector_bundle}:fp32-gpu")
        assert boxes.code == 0
        assert "0 missing, 0 extra" in boxes.out
        one, four = f"{tiny_restorer_bundle}:fp32-cpu-n1", f"{tiny_restorer_bundle}:fp32-cpu-n4"
        images = call(capfd, "compare", one, f"{tiny_restorer_bundle}:fp32-gpu-n1@openvino", "--bisect")
        assert images.code == 0
        assert "grey levels apart at most (at most 1)" in images.out
        assert "the tensors do not part" in images.out
        stepwise = f"{tiny_restorer_bundle}:fp32-cpu-stepwise"
        refused = call(capfd, "compare", stepwise, f"{stepwise}@openvino", "--bisect")
        assert refused.code == 2
        assert "has three; give an unrolled variant" in refused.err
        other = call(capfd, "compare", one, four)
        assert other.code == 2
        assert "compare two alike" in other.err
