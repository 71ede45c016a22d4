"""Variants of less precision in a bundle: made, scored, chosen within a budget, held to tolerances, and sealed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from PIL import Image
from tests.commands import call

import saccade
from saccade import scenes
from saccade.errors import CheckError, RequestError
from saccade.opening import open_task
from saccade.verify import verify
from saccade_export.precision.adding import Made, open_made, with_variants
from saccade_export.precision.calls import calls_for, levels_of
from saccade_export.precision.exporting import seal_with
from saccade_export.precision.graphs import model_of
from saccade_export.precision.reduced import Recipe, Reducer
from saccade_export.precision.tolerances import with_tolerances
from saccade_export.quantize import search as searching
from saccade_export.quantize.profile import profile
from saccade_export.quantize.report import front_of
from saccade_export.quantize.scoring import Scorer, lost, scorer_of
from saccade_export.quantize.search import Candidate, Findings, Search, Settings
from saccade_export.quantize.sensitivity import blocks_of, measure_sensitivity
from saccade_export.quantize.timing import AGAIN, Timing, time_variants
from saccade_export.seal import seal
from saccade_export.session import open_session

pytestmark = pytest.mark.torch

IMAGES = 36


def street(count: int, size_hw: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    return [scenes.render(seed=index, frame=7 * index, size_hw=size_hw).image for index in range(count)]


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> saccade.Bundle:
    return saccade.open_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def data(bundle: saccade.Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Road scenes whose labels are what the network in float32 says: it has an IoU of 1, and less precision less."""
    root = tmp_path_factory.mktemp("data")
    for name in ("images", "labels"):
        (root / "val" / name).mkdir(parents=True)
    with open_task(bundle, device="cpu", variant="fp32-cpu") as task:
        for index, frame in enumerate(street(IMAGES)):
            Image.fromarray(frame).save(root / "val" / "images" / f"{index:02}.png")
            Image.fromarray(task(frame).class_map).save(root / "val" / "labels" / f"{index:02}.png")
    return root


@pytest.fixture(scope="module")
def reducer(bundle: saccade.Bundle) -> Reducer:
    return Reducer(bundle, street(8), lambda _: {})


@pytest.fixture
def scorer(bundle: saccade.Bundle, data: Path) -> Scorer:
    return scorer_of(bundle.manifest, data, None, "val", None)


def made_of(reducer: Reducer, recipe: Recipe) -> Made:
    return reducer.make(recipe, reducer.bases(recipe)[0])


INT8 = Recipe("int8", method="minmax")
EVERY = [
    INT8,
    Recipe("int8", engine="openvino", method="percentile"),
    Recipe("int8", "gpu", method="mse"),
    Recipe("fp16", "gpu"),
    Recipe("fp32", engine="openvino"),
    Recipe("bf16", engine="openvino"),
]


def in_order(found: saccade.Detections) -> np.ndarray:
    """Class and corners of boxes, sorted: in flat parts of a frame the best have one confidence, in any order."""
    rows = np.column_stack([found.class_id, found.xyxy])
    return rows[np.lexsort(rows.round().T)]


class TestReducer:
    @pytest.mark.parametrize("recipe", EVERY, ids=lambda recipe: recipe.name)
    def test_a_variant_says_what_it_is_and_runs_as_it_says(self, reducer: Reducer, recipe: Recipe) -> None:
        made = made_of(reducer, recipe)
        assert made.variant.name == recipe.name
        assert (made.variant.precision, made.variant.target) == (recipe.precision, recipe.target)
        assert made.variant.engine == recipe.engine
        with open_made(reducer.bundle, [made]) as task:
            assert task.describe().name == (recipe.engine or "onnxruntime")
            assert task(street(1)[0]).origin.variant == recipe.name

    def test_precision_is_in_the_graph_or_in_the_engines_options(self, reducer: Reducer) -> None:
        typed = {recipe.name: set(made_of(reducer, recipe).graphs) for recipe in EVERY}
        assert typed == {
            "int8-cpu": {"main"}, "int8-openvino": {"image", "main"}, "int8-gpu": {"main"}, "fp16-gpu": {"main"},
            "fp32-openvino": {"image", "main"}, "bf16-openvino": {"image", "main"},
        }  # fmt: skip
        options = {
            made.variant.name: made.variant.engine_options for made in (made_of(reducer, each) for each in EVERY)
        }
        assert options["bf16-openvino"] == {"openvino": {"INFERENCE_PRECISION_HINT": "bf16"}}
        assert options["int8-openvino"] == {"openvino": {"INFERENCE_PRECISION_HINT": "f32"}}
        assert options["int8-cpu"] == {}

    def test_an_image_that_is_prepared_wrongly_is_found(self, reducer: Reducer, tmp_path: Path) -> None:
        """The twin: the same variant, its first part's channels in another order."""
        made = made_of(reducer, Recipe("fp32", engine="openvino"))
        sealed = seal_with(reducer.bundle, [made], [], {}, tmp_path / "good.saccade")
        variant = sealed.manifest.variants[0]
        assert set(variant.graphs) == {"image", "main"}
        assert set(sealed.manifest.stages) == {"image", "main"}
        assert [value.name for value in model_of(sealed, variant).graph.inputs] == ["frames", "channel_order"]
        with saccade.open(sealed) as task:
            assert (task.variant, task.describe().name) == ("fp32-openvino", "openvino")
            with task.clone() as other:
                assert np.array_equal(other(street(1)[0]).class_map, task(street(1)[0]).class_map)
        first = ir.from_proto(onnx.load_model_from_string(made.graphs["image"]))
        (mean,) = (each for each in first.graph.initializers.values() if each.name == "mean")
        assert mean.const_value is not None
        mean.const_value = ir.tensor(mean.const_value.numpy() - 90, name="mean")
        wrong = replace(made, graphs={**made.graphs, "image": ir.to_proto(first).SerializeToString()})
        with pytest.raises(CheckError, match="fp32-openvino"):
            seal_with(reducer.bundle, [wrong], [], {}, tmp_path / "wrong.saccade")
        assert not (tmp_path / "wrong.saccade").exists()

    @pytest.mark.parametrize("kind", ["tiny_bundle", "tiny_detector_bundle"])
    def test_both_parts_joined_are_the_graph_that_was_split(
        self, request: pytest.FixtureRequest, kind: str, tmp_path: Path
    ) -> None:
        opened = saccade.open_bundle(request.getfixturevalue(kind))
        made = Reducer(opened, street(4), lambda _: {})
        recipe = Recipe("fp32", engine="openvino")
        base = made.bases(recipe)[0]
        sealed = seal_with(opened, [made.make(recipe, base)], [], {}, tmp_path / "apart.saccade")
        joined = model_of(sealed, sealed.manifest.variants[0])
        (feed, *_) = made.feeds(base)
        expected, found = (
            open_session(ir.to_proto(each).SerializeToString()).run(None, feed)
            for each in (model_of(opened, base), joined)
        )
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_boxes_are_the_same_where_the_image_is_prepared_apart(
        self, tiny_detector_bundle: Path, tmp_path: Path
    ) -> None:
        """Frames larger, smaller and as wide as the image, whose letterbox is in the first part alone."""
        opened = saccade.open_bundle(tiny_detector_bundle)
        made = Reducer(opened, street(4), lambda _: {})
        apart = made_of(made, Recipe("fp32", engine="openvino"))
        assert apart.variant.parameters["ends_in"] == "detections"
        sealed = seal_with(opened, [apart], [], {}, tmp_path / "apart.saccade")
        with saccade.open(sealed) as task, saccade.open(opened) as whole:
            assert (task.variant, whole.variant) == ("fp32-openvino", "fp32-cpu")
            for seed, size in ((1, (200, 300)), (2, (40, 32)), (3, (64, 96))):
                frame = scenes.render(seed, 0, size).image
                found, expected = task(frame, confidence=0.1), whole(frame, confidence=0.1)
                assert len(expected.xyxy) > 0
                assert len(found.xyxy) == len(expected.xyxy)
                np.testing.assert_allclose(*map(in_order, (found, expected)), atol=0.05)

    def test_a_restorer_has_one_for_each_number_of_steps_and_type_of_frames(self, tiny_restorer_bundle: Path) -> None:
        opened = saccade.open_bundle(tiny_restorer_bundle)
        made = Reducer(opened, street(4), lambda _: {"sigma": 25.0})
        names = [made.make(INT8, base).variant.name for base in made.bases(INT8)]
        assert names == [f"int8-cpu-n{steps}{ending}" for ending in ("", "-float32") for steps in (1, 2, 4)]


class TestAdding:
    def test_what_the_bundle_had_stays_to_the_byte(self, reducer: Reducer, tmp_path: Path) -> None:
        before = reducer.bundle
        manifest, members = with_variants(before, [made_of(reducer, INT8)], [made_of(reducer, Recipe("fp16", "gpu"))])
        for name in before.manifest.members:
            stored = bytes(before.member(name))
            assert members[name][: len(stored)] == stored
            assert name == "graphs/weights.bin" or members[name] == stored
        assert [variant.name for variant in manifest.variants] == ["int8-cpu", "fp32-cpu", "fp32-gpu", "fp16-gpu"]
        written = seal(manifest, members, tmp_path / "more.saccade")
        for name in ("fp32-cpu", "fp32-gpu"):
            with open_task(written, device="cpu", variant=name) as task:
                assert all(check.passed for check in verify(written, task))

    def test_weights_that_stay_in_float32_are_stored_once(self, reducer: Reducer) -> None:
        kept = replace(INT8, kept=frozenset(reducer.layers[1:]))
        whole = len(reducer.bundle.member("graphs/weights.bin"))
        _, some = with_variants(reducer.bundle, [made_of(reducer, kept)], [])
        _, all_of_them = with_variants(reducer.bundle, [made_of(reducer, INT8)], [])
        assert whole <= len(some["graphs/weights.bin"]) < len(all_of_them["graphs/weights.bin"])

    def test_a_variant_from_memory_gives_what_the_sealed_one_gives(self, reducer: Reducer, tmp_path: Path) -> None:
        made = made_of(reducer, INT8)
        written = seal(*with_variants(reducer.bundle, [made], []), tmp_path / "more.saccade")
        frame = street(12)[-1]
        with open_made(reducer.bundle, [made]) as task, saccade.open(written, device="cpu") as opened:
            assert opened.variant == "int8-cpu"  # the first one for a CPU
            np.testing.assert_array_equal(task(frame).class_map, opened(frame).class_map)

    def test_a_variant_for_one_engine_runs_on_no_other(self, reducer: Reducer, tmp_path: Path) -> None:
        made = [made_of(reducer, Recipe("bf16", engine="openvino"))]
        written = seal(*with_variants(reducer.bundle, made, []), tmp_path / "more.saccade")
        with saccade.open(written, device="cpu") as task:
            assert (task.variant, task.describe().name) == ("bf16-openvino", "openvino")
        with saccade.open(written, device="cpu", engine="onnxruntime") as task:
            assert (task.variant, task.describe().name) == ("fp32-cpu", "onnxruntime")
        with pytest.raises(RequestError, match="'bf16-openvino' is for openvino, but engine 'onnxruntime' was asked"):
            saccade.open(written, device="cpu", engine="onnxruntime", variant="bf16-openvino")

    def test_a_cpu_without_bfloat16_takes_the_next_variant(
        self, reducer: Reducer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = [made_of(reducer, Recipe("bf16", engine="openvino"))]
        written = seal(*with_variants(reducer.bundle, made, []), tmp_path / "more.saccade")
        monkeypatch.setattr("saccade.engines.openvino.CAPABILITIES", {"bf16": "NO_CPU_HAS_IT"})
        with saccade.open(written, device="cpu") as task:
            assert task.variant == "fp32-cpu"
        with pytest.raises(
            saccade.errors.DeviceError, match="cannot run here: this CPU does not compute in bf16; choose"
        ):
            saccade.open(written, device="cpu", variant="bf16-openvino")


class TestTolerances:
    @pytest.mark.parametrize("recipe", [INT8, Recipe("bf16", engine="openvino")], ids=lambda recipe: recipe.name)
    def test_golden_frames_pass_and_other_weights_do_not(
        self, reducer: Reducer, recipe: Recipe, tmp_path: Path
    ) -> None:
        made = with_tolerances(reducer.bundle, [made_of(reducer, recipe)])
        (held,) = made
        assert 0.8 <= held.variant.tolerances["equal_pixels"] < 0.999
        written = seal(*with_variants(reducer.bundle, made, []), tmp_path / "more.saccade")
        assert call_verify(written, recipe.name)
        broken = Made(held.variant, {**held.graphs, "main": shuffled(written, held)})
        assert not call_verify(seal(*with_variants(reducer.bundle, [broken], []), tmp_path / "x.saccade"), recipe.name)

    def test_boxes_and_restored_frames_have_theirs(
        self, tiny_detector_bundle: Path, tiny_restorer_bundle: Path
    ) -> None:
        boxes = Reducer(saccade.open_bundle(tiny_detector_bundle), street(8), lambda _: {"confidence": 0.1})
        (held,) = with_tolerances(boxes.bundle, [made_of(boxes, INT8)])
        assert held.variant.tolerances["box_px"] >= 1
        images = Reducer(saccade.open_bundle(tiny_restorer_bundle), street(8), lambda _: {"sigma": 25.0})
        (held,) = with_tolerances(images.bundle, [made_of(images, INT8)])
        assert 1 <= held.variant.tolerances["grey_levels"] < 64

    def test_a_broken_restorer_is_refused(self, tiny_restorer_bundle: Path) -> None:
        images = Reducer(saccade.open_bundle(tiny_restorer_bundle), street(8), lambda _: {"sigma": 25.0})
        made = made_of(images, INT8)
        model = ir.from_proto(onnx.load_model_from_string(made.graphs["main"]))
        for node in model.graph:
            if node.op_type == "QuantizeLinear":
                scale = node.inputs[1]
                scale.const_value = ir.tensor(scale.const_value.numpy() * np.float32(1e4), name=scale.name)
        broken = Made(made.variant, {"main": ir.to_proto(model).SerializeToString()})
        with pytest.raises(CheckError, match=r"grey levels off PyTorch|not finite"):
            with_tolerances(images.bundle, [broken])

    def test_a_variant_that_says_something_else_is_refused(self, reducer: Reducer) -> None:
        made = made_of(reducer, INT8)
        broken = Made(made.variant, {"main": shuffled(reducer.bundle, made)})
        with pytest.raises(CheckError, match="int8-cpu agrees with PyTorch on"):
            with_tolerances(reducer.bundle, [broken])


def call_verify(bundle: saccade.Bundle, variant: str) -> bool:
    with open_task(bundle, device="cpu", variant=variant) as task:
        return all(check.passed for check in verify(bundle, task))


def shuffled(bundle: saccade.Bundle, made: Made) -> bytes:
    """The variant's graph with the values of its largest weights in another order."""
    if made.graphs:
        model = ir.from_proto(onnx.load_model_from_string(made.graphs["main"]))
    else:
        from saccade_export.precision.graphs import model_of

        model = model_of(bundle, replace(made.variant))
    stored = max(model.graph.initializers.values(), key=lambda value: value.const_value.nbytes)
    values = stored.const_value.numpy().copy()
    np.random.default_rng(0).shuffle(values.reshape(-1))
    stored.const_value = ir.tensor(values, dtype=stored.const_value.dtype, name=stored.name)
    return ir.to_proto(model).SerializeToString()


class TestCalls:
    @pytest.mark.parametrize(
        ("mode", "sigma_range", "dead_zone", "levels"),
        [
            ("denoise", (0.0, 60.0), 3.0, (15.0, 25.0, 50.0)),
            ("denoise", (0.0, 20.0), 3.0, (15.0,)),
            ("denoise", (0.0, 9.0), 3.0, (6.0,)),
            ("deblur", (1.0, 2.2), 0.0, (1.6,)),
            ("deblur", (2.0, 3.0), 0.0, (2.0,)),
        ],
    )
    def test_levels_are_such_as_the_restorer_takes(
        self,
        tiny_restorer_bundle: Path,
        mode: Any,
        sigma_range: tuple[float, float],
        dead_zone: float,
        levels: tuple[float, ...],
    ) -> None:
        spec = saccade.open_bundle(tiny_restorer_bundle).manifest.task
        asked = replace(spec, mode=mode, sigma_range=sigma_range, dead_zone=dead_zone)
        assert levels_of(asked) == levels
        frames, arguments = calls_for(asked, street(5))
        low, high = sigma_range
        told = [arguments(index)["sigma"] for index in range(len(frames))]
        assert all(max(low, dead_zone) <= sigma <= high for sigma in told)


class TestScoring:
    def test_what_is_lost_is_the_most_that_any_score_lost(self) -> None:
        assert lost({"a": 70.0, "b": 30.0}, {"a": 69.5, "b": 29.0}) == 1.0
        assert lost({"a": 70.0}, {"a": 71.0}) == -1.0
        assert lost({"a": 70.0}, {"a": float("nan")}) == float("inf")

    def test_each_kind_has_its_metric(
        self, bundle: saccade.Bundle, data: Path, scorer: Scorer, tiny_restorer_bundle: Path
    ) -> None:
        with open_task(bundle, device="cpu", variant="fp32-cpu") as task:
            assert scorer.score(task) == {"miou": pytest.approx(100)}
        restorer = saccade.open_bundle(tiny_restorer_bundle)
        images = scorer_of(restorer.manifest, data / "val" / "images", None, "val", 3)
        with open_task(restorer, device="cpu") as task:
            scores = images.score(task)
        assert list(scores) == [f"psnr_{level}_n{steps}" for level in (15, 25, 50) for steps in (1, 2, 4)]
        assert all(5 < score < 60 for score in scores.values())
        frames, asked = calls_for(restorer.manifest.task, street(6))
        assert {frame.dtype for frame in frames} == {np.dtype(np.uint8)}
        assert {asked(index)["sigma"] for index in range(6)} == {15.0, 25.0, 50.0, 60.0}

    def test_a_few_images_are_spread_over_all(self, scorer: Scorer, bundle: saccade.Bundle) -> None:
        with open_task(bundle, device="cpu", variant="fp32-cpu") as task:
            scorer.score(task, few=True)
            few = task(street(1)[0]).origin.frame_id
            scorer.score(task)
            every = task(street(1)[0]).origin.frame_id - few - 1
        assert scorer.images == every == IMAGES
        assert 0 < few < every
        assert len(scorer.timed()[0]) == 4


class TestBlocks:
    def test_they_are_as_deep_as_their_number_allows(self) -> None:
        layers = [f"stage.{stage}.conv{number}.weight" for stage in range(3) for number in range(4)]
        names = {most: [block.name for block in blocks_of(layers, most)] for most in (1, 2, 3, 6, 12)}
        assert names[12] == [layer.removesuffix(".weight") for layer in layers]
        assert names[6] == [*(f"stage.0.conv{number}" for number in range(4)), "stage.1", "stage.2"]
        assert names[3] == ["stage.0", "stage.1", "stage.2"]
        assert len(names[2]) == 2  # cut in the middle: no module is so large
        assert len(names[1]) == 1
        for most in names:
            assert [layer for block in blocks_of(layers, most) for layer in block.layers] == layers

    def test_modules_that_take_turns_have_names_of_their_own(self) -> None:
        layers = [f"head.{part}.{level}.{number}.weight" for level in range(2) for part in "ab" for number in range(2)]
        blocks = blocks_of(layers, 4)
        assert [block.name for block in blocks] == ["head.a.0", "head.b.0", "head.a.1", "head.b.1"]

    def test_names_that_say_nothing_are_cut_evenly(self) -> None:
        blocks = blocks_of([f"onnx::Conv_{number}" for number in range(10)], 4)
        assert [len(block.layers) for block in blocks] == [3, 3, 3, 1]
        assert blocks[0].name == "onnx::Conv_0 to onnx::Conv_2"
        assert blocks[-1].name == "onnx::Conv_9"

    def test_a_block_that_was_made_worse_is_found(
        self, bundle: saccade.Bundle, reducer: Reducer, scorer: Scorer
    ) -> None:
        """Given ranges far too wide for one layer, it is the one that loses most."""

        class Spoilt(Reducer):
            def make(self, recipe: Recipe, base: Any) -> Made:
                made = super().make(recipe, base)
                if self.layers[1] in recipe.kept:
                    return made
                model = ir.from_proto(onnx.load_model_from_string(made.graphs["main"]))
                scales = [node.inputs[1] for node in model.graph if node.op_type == "QuantizeLinear"]
                for scale in set(scales):
                    scale.const_value = ir.tensor(scale.const_value.numpy() * np.float32(60), name=scale.name)
                return Made(made.variant, {"main": ir.to_proto(model).SerializeToString()})

        spoilt = Spoilt(bundle, reducer.frames, reducer.asked)
        base = spoilt.bases(INT8)[0]
        with open_task(bundle, device="cpu", variant="fp32-cpu") as task:
            before = scorer.score(task, few=True)
        found = measure_sensitivity(spoilt, scorer, INT8, base, {}, before, lambda: None)
        assert found[0].block.layers == (spoilt.layers[1],)
        assert found[0].lost > 3 * max(each.lost for each in found[1:])

    def test_the_profile_knows_every_layer(self, reducer: Reducer) -> None:
        from saccade_export.precision.graphs import model_of

        base = reducer.bases(INT8)[0]
        graph = ir.to_proto(model_of(reducer.bundle, base)).SerializeToString()
        found = profile(graph, reducer.feeds(base), threads=1, runs=2)
        assert set(found.by_layer) == set(reducer.layers)
        assert all(time > 0 for time in found.by_layer.values())
        assert 0 < found.share("Conv", "FusedConv") < 1
        assert found.share("NoSuchOperation") == 0


def test_variants_are_timed_against_the_first(reducer: Reducer) -> None:
    base = Made(reducer.bases(INT8)[0], {})
    made = {"whole": base, "int8": made_of(reducer, INT8)}
    found = time_variants(reducer.bundle.path, made, (street(2), lambda _: {}), rounds=2, threads=1)
    assert set(found) == {"whole", "int8", AGAIN}
    assert found["whole"].speedup == found["whole"].lowest == found["whole"].highest == 1
    assert all(
        timing.milliseconds > 0 and timing.lowest <= timing.speedup <= timing.highest for timing in found.values()
    )


def timings(speedups: Mapping[str, float], noise: float = 1.02) -> Any:
    """What would be measured if variants were so fast: a search must choose alike on any machine."""

    def time_variants(path: Path, made: Mapping[str, Made], *_: Any) -> dict[str, Timing]:
        found = {name: speedups.get(name, 0.8) for name in made}
        return {
            **{name: Timing(10 / speed, speed, speed, speed) for name, speed in found.items()},
            AGAIN: Timing(10.0, 1.0, 2 - noise, noise),
        }

    return time_variants


class TestSearch:
    def found(
        self,
        reducer: Reducer,
        scorer: Scorer,
        monkeypatch: pytest.MonkeyPatch,
        speedups: Mapping[str, float],
        settings: Settings,
        noise: float = 1.02,
    ) -> Findings:
        monkeypatch.setattr(searching, "time_variants", timings({"fp32-cpu": 1.0, **speedups}, noise))
        return Search(reducer, scorer, settings).run()

    def test_the_fastest_within_the_budget_is_chosen(
        self, reducer: Reducer, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = Settings(100.0, ("int8", "bf16"), ("minmax",))
        found = self.found(reducer, scorer, monkeypatch, {"int8-cpu minmax": 1.5, "bf16-openvino": 2.0}, settings)
        assert found.chosen is not None
        assert found.chosen.name == "bf16-openvino"
        assert [made.variant.name for made in found.first] == ["bf16-openvino"]
        verdicts = {each.name: each.verdict for each in found.candidates}
        assert verdicts["int8-cpu minmax"] == "within"
        assert verdicts["fp32-openvino"] == "rejected"  # 0.8 times as fast
        assert verdicts["fp32-cpu"] == "baseline"
        assert found.first[0].variant.metrics["speedup"] == 2.0

    def test_what_loses_more_than_the_budget_is_rejected_however_fast(
        self, reducer: Reducer, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = Settings(1e-9, ("int8",), ("minmax",))
        found = self.found(reducer, scorer, monkeypatch, {"int8-cpu minmax": 9.0}, settings)
        (plain,) = [each for each in found.candidates if each.name == "int8-cpu minmax"]
        assert plain.verdict == "rejected"
        assert plain.reason.startswith("not worth it here: -8.9 ms, -")
        assert plain.reason.endswith("points of mIoU")
        assert len(found.sensitivities) == 3

    def test_a_mixture_keeps_as_few_blocks_as_the_budget_needs(
        self, reducer: Reducer, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = self.found(reducer, scorer, monkeypatch, {}, Settings(1e-9, ("int8",), ("minmax",)))
        plain, one = (next(e for e in whole.candidates if e.name == f"int8-cpu minmax{k}") for k in ("", " -1"))
        assert one.lost < plain.lost
        budget = (one.lost + plain.lost) / 2
        found = self.found(
            reducer, scorer, monkeypatch, {"int8-cpu minmax -1": 1.4}, Settings(budget, ("int8",), ("minmax",))
        )
        assert found.chosen is not None
        assert found.chosen.name == "int8-cpu minmax -1"
        assert found.chosen.kept_blocks == (found.sensitivities[0].block.name,)
        assert found.chosen.lost <= budget

    def test_what_this_cpu_cannot_compute_is_told_and_the_search_goes_on(
        self, reducer: Reducer, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("saccade.engines.openvino.CAPABILITIES", {"bf16": "NO_CPU_HAS_IT"})
        settings = Settings(100.0, ("int8", "bf16"), ("minmax",))
        found = self.found(reducer, scorer, monkeypatch, {"int8-cpu minmax": 1.5}, settings)
        assert found.chosen is not None
        (refused,) = [each for each in found.candidates if each.name == "bf16-openvino"]
        assert (refused.verdict, refused.timing) == ("rejected", None)
        assert "this CPU does not compute in bf16" in refused.reason

    def test_a_gain_within_the_noise_is_none(
        self, reducer: Reducer, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = Settings(100.0, ("int8",), ("minmax",))
        assert self.found(reducer, scorer, monkeypatch, {"int8-cpu minmax": 1.2}, settings, noise=1.3).chosen is None
        assert (
            self.found(reducer, scorer, monkeypatch, {"int8-cpu minmax": 1.2}, settings, noise=1.1).chosen is not None
        )

    def test_variants_for_gpus_are_scored_and_not_timed(
        self, reducer: Reducer, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = Settings(100.0, ("int8", "fp16"), ("minmax",))
        found = self.found(reducer, scorer, monkeypatch, {"int8-cpu minmax": 1.5}, settings)
        assert [made.variant.name for made in found.last] == ["fp16-gpu", "int8-gpu"]
        added = [each for each in found.candidates if each.verdict == "added"]
        assert [each.timing for each in added] == [None, None]
        assert all("not timed" in each.reason for each in added)
        assert all("miou" in made.variant.metrics and "speedup" not in made.variant.metrics for made in found.last)


def test_the_front_is_what_nothing_beats() -> None:
    def candidate(name: str, loss: float, speed: float) -> Candidate:
        return Candidate(name, Recipe("int8"), {}, loss, Timing(1.0, speed, speed, speed))

    tried = [candidate(*each) for each in (("a", 0.0, 1.0), ("b", 0.1, 2.0), ("c", 0.2, 1.5), ("d", 0.3, 3.0))]
    assert [each.name for each in front_of(tried)] == ["a", "b", "d"]


class TestCommand:
    def arguments(self, bundle: Path, data: Path, out: Path, *more: str) -> list[str]:
        return ["quantize", str(bundle), "--data", str(data), "-o", str(out), "--rounds", "2", "--limit", "8", *more]

    def test_it_writes_a_bundle_that_verifies_and_a_report(
        self,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        tiny_bundle: Path,
        data: Path,
        tmp_path: Path,
    ) -> None:
        speeds = {"fp32-cpu": 1.0, "int8-cpu minmax": 1.5}
        monkeypatch.setattr(searching, "time_variants", timings(speeds))
        out = tmp_path / "fast.saccade"
        options = ("--budget", "100", "--methods", "minmax", "--precision", "int8", "--json")
        found = call(capfd, *self.arguments(tiny_bundle, data, out, *options))
        assert found.code == 0
        assert found.document["chosen"] == "int8-cpu minmax"
        assert found.document["bundle"] == str(out)
        assert len(found.document["calibration_sha256"]) == 64
        opened = saccade.open_bundle(out)
        assert opened.identity == found.document["identity"]
        assert opened.manifest.variants[0].name == "int8-cpu"
        assert opened.manifest.variants[0].metrics["speedup"] == 1.5
        assert "36 images, SHA-256" in opened.manifest.provenance["calibration"]
        assert call(capfd, "verify", out, "--all-variants").code == 0
        assert (tmp_path / "fast-report" / "report.json").stat().st_size > 1000
        assert (tmp_path / "fast-report" / "pareto.svg").read_text().count("int8-cpu minmax") >= 1
        again = call(capfd, *self.arguments(out, data, tmp_path / "x.saccade"))
        assert again.code == 2
        assert "holds int8-cpu, int8-gpu already; give the bundle as it was exported" in again.err

    def test_where_nothing_is_worth_it_nothing_is_written_but_the_report(
        self,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        tiny_bundle: Path,
        data: Path,
        tmp_path: Path,
    ) -> None:
        monkeypatch.setattr(searching, "time_variants", timings({"fp32-cpu": 1.0}))
        out = tmp_path / "fast.saccade"
        found = call(capfd, *self.arguments(tiny_bundle, data, out, "--budget", "0", "--precision", "int8"))
        assert found.code == 1
        assert "nothing is faster on this CPU within the budget: float32 stays" in found.out
        assert "not worth it here: +2.5 ms" in found.out
        assert not out.exists()
        assert (tmp_path / "fast-report" / "report.json").exists()

    def test_variants_for_gpus_are_worth_a_bundle_of_their_own(
        self,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        tiny_bundle: Path,
        data: Path,
        tmp_path: Path,
    ) -> None:
        monkeypatch.setattr(searching, "time_variants", timings({"fp32-cpu": 1.0}))
        out = tmp_path / "fast.saccade"
        found = call(capfd, *self.arguments(tiny_bundle, data, out, "--budget", "100", "--precision", "fp16"))
        assert found.code == 0
        assert "float32 stays" in found.out
        assert [variant.name for variant in saccade.open_bundle(out).manifest.variants] == [
            "fp32-cpu", "fp32-gpu", "fp16-gpu",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--precision", "int4"], "--precision must be of int8, bf16, fp16, but got int4"),
            (["--methods", "mean"], "--methods must be of minmax, entropy, percentile, mse, but got mean"),
            (["--methods", ","], "--methods must be of minmax, entropy, percentile, mse, but got nothing"),
            (["--least-images", "50"], "holds 36 images, but ranges need at least 50"),
        ],
    )
    def test_what_it_cannot_do_is_refused(
        self,
        capfd: pytest.CaptureFixture[str],
        tiny_bundle: Path,
        data: Path,
        tmp_path: Path,
        options: list[str],
        message: str,
    ) -> None:
        found = call(capfd, *self.arguments(tiny_bundle, data, tmp_path / "x.saccade", *options))
        assert found.code == 2
        assert message in found.err
        assert list(tmp_path.iterdir()) == []
