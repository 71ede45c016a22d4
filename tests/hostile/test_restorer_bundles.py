"""Restoration bundles whose manifest breaks a rule: each is refused when it is opened, by an error naming the field."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.hostile.test_bundles import refusal, with_manifest

import saccade
from saccade.errors import EngineError
from saccade.manifest import MANIFEST_NAME
from saccade.spec import RestoreSpec

pytestmark = pytest.mark.torch

Content = dict[str, Any]
Change = Callable[[Content], Any]

UNROLLED, STEPWISE = 0, 3
"""Where a variant of each form stands in the bundle's list."""


def table(steps: str = "2", **fields: Any) -> Change:
    return lambda m: m["task"]["tables"][steps].update(fields)


def row(step: int, column: int, weight: Any, steps: str = "2") -> Change:
    return lambda m: m["task"]["tables"][steps]["rows"][step].__setitem__(column, weight)


def task(**fields: Any) -> Change:
    return lambda m: m["task"].update(fields)


def tiling(**fields: Any) -> Change:
    return lambda m: m["task"]["tiling"].update(fields)


def image(**fields: Any) -> Change:
    return lambda m: m["task"]["image"].update(fields)


def variant(index: int, **parameters: Any) -> Change:
    return lambda m: m["variants"][index]["parameters"].update(parameters)


def graphs(index: int, change: Callable[[dict[str, str]], Any]) -> Change:
    return lambda m: change(m["variants"][index]["graphs"])


def tolerances(**values: Any) -> Change:
    return lambda m: m["variants"][UNROLLED].update(tolerances=values)


def golden(part: str, name: str, **fields: Any) -> Change:
    return lambda m: m["golden"][0][part][name].update(fields)


def golden_parameters(**values: Any) -> Change:
    return lambda m: m["golden"][0]["parameters"].update(values)


CHANGES: dict[str, tuple[Change, str]] = {
    # The task.
    "unknown mode": (task(mode="sharpen"), "task.mode"),
    "mode that is a list": (task(mode=["denoise"]), "task.mode"),
    "mode that takes a mask": (task(mode="inpaint"), "golden[0].inputs"),
    "mode without the scale for it": (task(mode="super-resolution"), "task.scale"),
    "range that falls": (task(sigma_range=[60, 0]), "task.sigma_range"),
    "range below nothing": (task(sigma_range=[-1, 60]), "task.sigma_range"),
    "range beyond white": (task(sigma_range=[0, 256]), "task.sigma_range"),
    "range of one number": (task(sigma_range=[60]), "task.sigma_range"),
    "range that is text": (task(sigma_range="0 to 60"), "task.sigma_range"),
    "default out of the range": (task(sigma=60.5), "task.sigma"),
    "default below nothing": (task(sigma=-1), "task.sigma"),
    "default that is text": (task(sigma="measured"), "task.sigma"),
    "blur without a default": (task(mode="deblur"), "task.sigma"),
    "negative dead zone": (task(dead_zone=-3), "task.dead_zone"),
    "dead zone beyond the range": (task(dead_zone=61), "task.dead_zone"),
    "dead zone that is true": (task(dead_zone=True), "task.dead_zone"),
    "scale of a denoiser": (task(scale=2), "task.scale"),
    "scale of nothing": (task(scale=0), "task.scale"),
    "negative unit of the map": (task(map_per_sigma=-1), "task.map_per_sigma"),
    "huge unit of the map": (task(map_per_sigma=1e30), "task.map_per_sigma"),
    "negative noise in holes": (task(hole_spread=-0.5), "task.hole_spread"),
    "classes of a detector": (task(classes=["car"]), "task"),
    "no default at all": (lambda m: m["task"].pop("sigma"), "task.sigma"),
    "size of a fixed input": (image(size_hw=[64, 64]), "task.image"),
    "sides of no multiple": (image(multiple=0), "task.image.multiple"),
    "sides of a huge multiple": (image(multiple=512), "task.image.multiple"),
    "half a multiple": (image(multiple=7.5), "task.image.multiple"),
    "pixel format that is not built": (image(pixel_formats=["nv12"]), "task.image.pixel_formats"),
    "order of four channels": (image(channel_order="rgba"), "task.image.channel_order"),
    "tiny tiles": (tiling(size=8), "task.tiling.size"),
    "huge tiles": (tiling(size=1 << 20), "task.tiling.size"),
    "tiles that share half": (tiling(overlap=64), "task.tiling.overlap"),
    "tiles that share less than nothing": (tiling(overlap=-1), "task.tiling.overlap"),
    "no tiling": (task(tiling=None), "task.tiling"),
    # The steps.
    "no tables": (task(tables={}), "task.tables"),
    "tables in a list": (task(tables=[]), "task.tables"),
    "table of another number of steps": (
        lambda m: m["task"]["tables"].update({"2": m["task"]["tables"]["4"]}),
        "task.tables.2",
    ),
    "table named by words": (
        lambda m: m["task"]["tables"].update(two=m["task"]["tables"].pop("2")),
        "task.tables.two",
    ),
    "table named with a zero": (lambda m: m["task"]["tables"].update({"02": m["task"]["tables"]["2"]}), "tables.02"),
    "table that a variant needs is gone": (lambda m: m["task"]["tables"].pop("2"), "parameters.steps"),
    "table that nothing needs": (
        lambda m: m["task"]["tables"].update({"1": {**m["task"]["tables"]["1"], "name": "euler"}}),
        "task.tables.1",
    ),
    "weight that is no number": (row(0, 0, float("nan")), MANIFEST_NAME),
    "weight that is infinite": (row(0, 0, float("inf")), MANIFEST_NAME),
    "weight that is text": (row(0, 0, "1"), "task.tables.2.rows.0[0]"),
    "weight that is nothing": (row(1, 4, None), "task.tables.2.rows.1[4]"),
    "huge weight": (row(0, 0, 1e7), "task.tables.2.rows.0"),
    "weight of a later step": (row(0, 2, 0.5), "task.tables.2.rows.0"),
    "weight of a noise": (row(1, 3, 0.5), "task.tables.2"),
    "ragged rows": (lambda m: m["task"]["tables"]["2"]["rows"][1].pop(), "task.tables.2.rows.1"),
    "longer rows": (lambda m: m["task"]["tables"]["2"]["rows"][1].append(0.0), "task.tables.2.rows.1"),
    "a row too few": (lambda m: m["task"]["tables"]["2"]["rows"].pop(), "task.tables.2.rows"),
    "rows that are numbers": (table(rows=[1.0, 2.0]), "task.tables.2.rows.0"),
    "times of one step": (table(times=[1.0]), "task.tables.2"),
    "times beyond all": (table(times=[1.0, 1e9]), "task.tables.2.times"),
    "no times": (table(times=[]), "task.tables.2.times"),
    "inputs scaled to nothing": (table(input_scales=[1.0, 0.0]), "task.tables.2.input_scales"),
    "start scaled to nothing": (table(initial_scale=-1.0), "task.tables.2.initial_scale"),
    # The variants.
    "unknown form": (variant(UNROLLED, form="looped"), "variants[0].parameters.form"),
    "no form": (lambda m: m["variants"][UNROLLED]["parameters"].pop("form"), "variants[0].parameters.form"),
    "form that is a number": (variant(UNROLLED, form=1), "variants[0].parameters.form"),
    "form of other stages": (variant(UNROLLED, form="stepwise"), "variants[0].graphs"),
    "stepwise that says it is unrolled": (variant(STEPWISE, form="unrolled"), f"variants[{STEPWISE}].graphs"),
    "stage of another name": (graphs(STEPWISE, lambda g: g.update(middle=g.pop("step"))), "stages"),
    "stage that is gone": (graphs(STEPWISE, lambda g: g.pop("finish")), f"variants[{STEPWISE}].graphs"),
    "stages in a list of their own": (lambda m: m["stages"].append("decode"), "manifest.stages"),
    "stage not in the list": (lambda m: m["stages"].remove("step"), "manifest.stages"),
    "image's stage of other tasks": (
        lambda m: (m["stages"].append("image"), m["variants"][UNROLLED]["graphs"].update(image="graphs/x.onnx")),
        "manifest.variants[0].graphs",
    ),
    "two stages in one graph": (
        graphs(STEPWISE, lambda g: g.update(step=g["prepare"])),
        f"variants[{STEPWISE}]",
    ),
    "unknown entry": (variant(UNROLLED, entry="float16"), "variants[0].parameters.entry"),
    "no entry": (lambda m: m["variants"][UNROLLED]["parameters"].pop("entry"), "variants[0].parameters.entry"),
    "entry that is true": (variant(UNROLLED, entry=True), "variants[0].parameters.entry"),
    "steps that no table has": (variant(UNROLLED, steps=3), "variants[0].parameters.steps"),
    "steps that are text": (variant(UNROLLED, steps="1"), "variants[0].parameters.steps"),
    "steps that are true": (variant(UNROLLED, steps=True), "variants[0].parameters.steps"),
    "steps that are a fraction": (variant(UNROLLED, steps=1.0), "variants[0].parameters.steps"),
    "no steps": (lambda m: m["variants"][UNROLLED]["parameters"].pop("steps"), "variants[0].parameters.steps"),
    "tolerance of a segmenter": (tolerances(equal_pixels=0.9), "variants[0].tolerances"),
    "tolerance that anything meets": (tolerances(grey_levels=255), "variants[0].tolerances.grey_levels"),
    "negative tolerance": (tolerances(grey_levels=-1), "variants[0].tolerances.grey_levels"),
    # The golden frames.
    "golden of another size": (golden("results", "images", shape=[3, 95, 128, 3]), "golden[0].results.images"),
    "golden of fewer steps": (golden("results", "images", shape=[2, 96, 128, 3]), "golden[0].results.images"),
    "golden of four channels": (golden("results", "images", shape=[3, 96, 96, 4]), "golden[0].results.images"),
    "golden of one image": (golden("results", "images", shape=[288, 128, 3]), "golden[0].results.images"),
    "golden of floats": (golden("results", "images", dtype="float32"), "golden[0].results.images"),
    "golden frame of another size": (golden("inputs", "frame", shape=[96, 127, 3]), "golden[0].inputs.frame"),
    "golden frame without pixels": (golden("inputs", "frame", shape=[0, 128, 3]), "golden[0].inputs.frame"),
    "golden frame turned": (golden("inputs", "frame", shape=[128, 96, 3]), "golden[0].results.images"),
    "golden with a class map": (
        lambda m: m["golden"][0]["results"].update(class_map=m["golden"][0]["inputs"]["frame"]),
        "golden[0].results",
    ),
    "golden with a mask": (
        lambda m: m["golden"][0]["inputs"].update(mask={**m["golden"][0]["inputs"]["frame"], "shape": [96, 128]}),
        "golden[0].inputs",
    ),
    "golden without its frame": (lambda m: m["golden"][0]["inputs"].clear(), "golden[0].inputs"),
    "golden without sigma": (lambda m: m["golden"][0]["parameters"].pop("sigma"), "golden[0].parameters"),
    "golden sigma that is text": (golden_parameters(sigma="measured"), "golden[0].parameters.sigma"),
    "golden sigma that is true": (golden_parameters(sigma=True), "golden[0].parameters.sigma"),
    "golden sigma below nothing": (golden_parameters(sigma=-1.0), "golden[0].parameters.sigma"),
    "golden sigma that the network does not know": (golden_parameters(sigma=100.0), "golden[0].parameters.sigma"),
}


@pytest.mark.parametrize(("change", "field"), CHANGES.values(), ids=CHANGES.keys())
def test_manifests_of_restorers_that_break_a_rule_are_refused(
    tiny_restorer_bundle: Path, tmp_path: Path, change: Change, field: str
) -> None:
    def changed(manifest: Content) -> None:
        before = json.dumps(manifest)
        change(manifest)
        assert json.dumps(manifest) != before

    error = refusal(with_manifest(tiny_restorer_bundle, tmp_path / "x.saccade", changed))
    assert field in error.field
    assert len(str(error)) < 500


def light(**fields: Any) -> Change:
    return lambda m: m["task"]["light"].update(fields)


DARK: dict[str, tuple[Change, str]] = {
    "no light": (task(light=None), "task.light"),
    "light of another mode": (task(mode="denoise"), "task.light"),
    "dead zone in the dark": (task(dead_zone=2), "task.dead_zone"),
    "light that is a list": (task(light=[1, 2]), "task.light"),
    "gains that fall": (light(gain_range=[16, 1]), "task.light.gain_range"),
    "gain of nothing": (light(gain_range=[0, 16]), "task.light.gain_range"),
    "huge gain": (light(gain_range=[1, 1e6]), "task.light.gain_range"),
    "gamma of nothing": (light(gamma_range=[0, 1]), "task.light.gamma_range"),
    "negative shot": (light(shot_range=[-1, 1]), "task.light.shot_range"),
    "shot that is text": (light(shot_range="0 to 1"), "task.light.shot_range"),
    "gamma out of its range": (light(gamma=1.5), "task.light.gamma"),
    "no exposure": (light(exposure=0), "task.light.exposure"),
    "exposure of white": (light(exposure=1), "task.light.exposure"),
    "exposure that is true": (light(exposure=True), "task.light.exposure"),
    "a number too many": (light(iso=100), "task.light"),
    "golden gain out of the range": (golden_parameters(gain=17.0), "golden[0].parameters.gain"),
    "golden gamma that is text": (golden_parameters(gamma="0.45"), "golden[0].parameters.gamma"),
    "golden shot below nothing": (golden_parameters(shot=-0.1), "golden[0].parameters.shot"),
}


@pytest.fixture(scope="module")
def dark_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny import export_tiny_restorer

    return export_tiny_restorer(tmp_path_factory.mktemp("dark"), "low-light")


@pytest.mark.parametrize(("change", "field"), DARK.values(), ids=DARK.keys())
def test_manifests_of_dark_frames_that_break_a_rule_are_refused(
    dark_bundle: Path, tmp_path: Path, change: Change, field: str
) -> None:
    error = refusal(with_manifest(dark_bundle, tmp_path / "x.saccade", change))
    assert field in error.field
    assert len(str(error)) < 500


def test_the_manifest_of_dark_frames_as_it_was_is_not_refused(dark_bundle: Path, tmp_path: Path) -> None:
    bundle = saccade.open_bundle(with_manifest(dark_bundle, tmp_path / "x.saccade", light(gain_range=[1, 17])))
    assert isinstance(bundle.manifest.task, RestoreSpec)
    assert bundle.manifest.task.light is not None
    assert bundle.manifest.task.light.gain_range == (1, 17)


def test_the_manifest_as_it_was_is_not_refused(tiny_restorer_bundle: Path, tmp_path: Path) -> None:
    found: list[Content] = []
    bundle = saccade.open_bundle(with_manifest(tiny_restorer_bundle, tmp_path / "x.saccade", found.append))
    assert found[0]["variants"][UNROLLED]["parameters"] == {"form": "unrolled", "steps": 1, "entry": "uint8"}
    assert found[0]["variants"][STEPWISE]["parameters"] == {"form": "stepwise", "entry": "uint8"}
    assert bundle.manifest.golden[0].results["images"].shape == (3, 96, 128, 3)


HARMLESS: dict[str, Change] = {
    "another range": task(sigma_range=[0, 255]),
    "a default": task(sigma=12.5),
    "no dead zone": task(dead_zone=0),
    "other tiles": task(tiling={"size": 256, "overlap": 0}),
    "a fixed end of the range": golden_parameters(sigma=60),
    "a target of another maker": lambda m: m["variants"][UNROLLED].update(target="npu"),
}


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_breaks_no_rule_is_opened(tiny_restorer_bundle: Path, tmp_path: Path, change: Change) -> None:
    path = with_manifest(tiny_restorer_bundle, tmp_path / "x.saccade", change)
    assert saccade.open_bundle(path).manifest.task.kind == "restore"


@pytest.mark.parametrize("stage", ["prepare", "step", "finish"])
def test_a_stage_that_is_the_graph_of_another_is_an_error_of_the_engine(
    tiny_restorer_bundle: Path, tmp_path: Path, stage: str
) -> None:
    """What the manifest cannot tell, the first call does: no crash, and no restored frame."""

    def swapped(manifest: Content) -> None:
        stages = manifest["variants"][STEPWISE]["graphs"]
        other = next(name for name in stages if name != stage)
        stages[stage], stages[other] = stages[other], stages[stage]

    path = with_manifest(tiny_restorer_bundle, tmp_path / "x.saccade", swapped)
    with saccade.open(path, variant="fp32-cpu-stepwise", device="cpu", threads=1) as opened:
        assert isinstance(opened, saccade.RestoreTask)
        with pytest.raises(EngineError):
            opened(np.zeros((16, 16, 3), np.uint8), sigma=20.0)
