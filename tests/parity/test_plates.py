"""The shipped plate detector on rides that its training never saw: its figures, and its head without suppression."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import saccade
from saccade.datasets import BoxDataset
from saccade.datasets.coco import read_coco
from saccade.evaluation import DetectionEvaluation, evaluate_detection
from saccade.spec import DetectSpec
from saccade_export.detection import DetectPlan
from saccade_export.exporting import ExportRequest, export_bundle
from saccade_export.source import NetworkRequest
from saccade_models.plates import split

pytestmark = [pytest.mark.torch, pytest.mark.data, pytest.mark.slow]

WEIGHTS = Path(__file__).parents[2] / "models" / "saccade_models" / "weights" / "yolox-nano-plates.safetensors"


@pytest.fixture(scope="module")
def rides() -> dict[str, BoxDataset]:
    from tests.conftest import DATA

    if not DATA.is_dir():
        pytest.skip(f"real data is not at {DATA}; set SACCADE_DATA to where it is")
    return split(read_coco(DATA / "plates" / "annotations.json"))


def scored(bundle: Path, dataset: BoxDataset, variant: str = "fp32-cpu") -> DetectionEvaluation:
    with saccade.open(bundle, variant=variant) as task:
        assert isinstance(task, saccade.DetectTask)
        return evaluate_detection(task, dataset)


@pytest.mark.parametrize("variant", ["fp32-cpu", "fp32-gpu"])
def test_it_finds_plates_of_other_rides(variant: str, plates_bundle: Path, rides: dict[str, BoxDataset]) -> None:
    found = scored(plates_bundle, rides["val"], variant)
    assert found.box_scores.ap50 >= 0.95
    assert found.recall >= 0.85
    assert found.not_finite == 0


@pytest.mark.parametrize("light", ["day", "night"])
def test_by_day_and_by_night(light: str, plates_bundle: Path, rides: dict[str, BoxDataset]) -> None:
    assert scored(plates_bundle, rides[f"val-{light}"]).box_scores.ap50 >= 0.80


def test_frames_that_show_other_plates_score_nothing(plates_bundle: Path, rides: dict[str, BoxDataset]) -> None:
    """A control: the same boxes against the labels of the frame before."""
    images = rides["val"].images
    moved = [replace(image, path=images[index - 1].path) for index, image in enumerate(images)]
    assert scored(plates_bundle, replace(rides["val"], images=tuple(moved))).box_scores.ap50 < 0.3


def test_its_graphs_hold_no_suppression(plates_bundle: Path) -> None:
    import onnx

    bundle = saccade.open_bundle(plates_bundle)
    for variant in bundle.manifest.variants:
        model = onnx.load_from_string(bytes(bundle.member(variant.graphs["main"])))
        assert not [node for node in model.graph.node if node.op_type == "NonMaxSuppression"]


def with_suppression(bundle: Path, path: Path, output: str) -> Path:
    """The network of ``bundle`` exported with suppression after its one-to-one ("one") or one-to-many head ("many")."""
    spec = saccade.open_bundle(bundle).manifest.task
    assert isinstance(spec, DetectSpec)
    source = NetworkRequest("saccade_models.yolox:YOLOX", WEIGHTS, {"classes": 1, "one_to_one": True, "output": output})
    plan = DetectPlan(replace(spec, suppression="class"), "yolox-one-to-one")
    return export_bundle(ExportRequest(source, plan, output), path).bundle.path


def test_suppression_after_its_head_changes_nothing(
    plates_bundle: Path, rides: dict[str, BoxDataset], tmp_path: Path
) -> None:
    suppressed = with_suppression(plates_bundle, tmp_path / "one.saccade", "one")
    one, other = (scored(bundle, rides["val"]).box_scores.ap for bundle in (plates_bundle, suppressed))
    assert abs(one - other) <= 0.005


def test_the_one_to_many_head_with_suppression_is_no_better(
    plates_bundle: Path, rides: dict[str, BoxDataset], tmp_path: Path
) -> None:
    many = with_suppression(plates_bundle, tmp_path / "many.saccade", "many")
    one, other = (scored(bundle, rides["val"]).box_scores.ap for bundle in (plates_bundle, many))
    assert abs(one - other) <= 0.010
