"""From raw frame to boxes: YOLOX-nano with its official weights, against the published figures and the eager twin.

The published protocol, run on 128 images of COCO's val2017, gives AP 33.8 and AP50 49.7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import saccade
from saccade.classes import read_classes
from saccade.datasets import BoxDataset, read_image
from saccade.datasets.coco import read_coco
from saccade.kinds.detect import BoxDifference, compare_boxes
from saccade.metrics import BoxScores, box_scores
from saccade.spec import DetectSpec, Stretch
from saccade_export.contract import detect_spec
from saccade_export.detection import DetectPlan
from saccade_export.exporting import ExportRequest, export_bundle
from saccade_export.heads import HEADS
from saccade_export.shuffling import shuffled
from saccade_export.source import NetworkRequest
from saccade_export.twin import DetectTwin
from saccade_models.yolox import YOLOX

pytestmark = [pytest.mark.torch, pytest.mark.data, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
AP, AP50 = 0.338, 0.497
FLOOR, BOX_PX, CONFIDENCE = 0.1, 0.5, 0.005
SIZE_HW = (416, 416)


def spec() -> DetectSpec:
    names, colors = read_classes(ROOT / "models" / "coco-classes.txt")
    usual = HEADS["yolox"](80, SIZE_HW).input_defaults
    return detect_spec(
        names,
        colors,
        size_hw=SIZE_HW,
        channel_order=usual.channel_order,
        scale=usual.scale,
        resize=usual.resize,
        confidence=0.25,
        iou=0.65,
        max_detections=300,
        suppression="class",
    )


@pytest.fixture(scope="module")
def official(request: pytest.FixtureRequest) -> Path:
    from tests.conftest import DATA

    path = DATA / "weights" / "yolox_nano_coco.onnx"
    if not path.exists():
        pytest.skip(f"the official YOLOX-nano is not at {path}; set SACCADE_DATA to where it is")
    return path


@pytest.fixture(scope="module")
def dataset(official: Path) -> BoxDataset:
    return read_coco(official.parents[1] / "coco_mini" / "val2017.json")


@pytest.fixture(scope="module")
def images(dataset: BoxDataset) -> list[np.ndarray]:
    return [read_image(image.path) for image in dataset.images]


@pytest.fixture(scope="module")
def network(official: Path) -> YOLOX:
    network = YOLOX(80)
    network.load_onnx(official)
    return network.eval()


@pytest.fixture(scope="module")
def from_pytorch(official: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = NetworkRequest("saccade_models.yolox:YOLOX", official)
    path = tmp_path_factory.mktemp("nano") / "yolox-nano.saccade"
    return export_bundle(ExportRequest(source, DetectPlan(spec(), "yolox"), "yolox-nano"), path).bundle.path


@pytest.fixture(scope="module")
def from_onnx(official: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "yolox-nano.saccade"
    request = ExportRequest(NetworkRequest(str(official)), DetectPlan(spec(), "yolox"), "yolox-nano")
    return export_bundle(request, path).bundle.path


@pytest.fixture(params=["fp32-cpu", "fp32-gpu"])
def task(request: pytest.FixtureRequest, from_pytorch: Path) -> Iterator[saccade.DetectTask]:
    with saccade.open(from_pytorch, variant=request.param) as opened:
        assert isinstance(opened, saccade.DetectTask)
        yield opened


def score(found: list[tuple[np.ndarray, np.ndarray, np.ndarray]], dataset: BoxDataset) -> BoxScores:
    return box_scores(dataset.images, found, 80)


def by_bundle(bundle: Path, images: list[np.ndarray], dataset: BoxDataset, variant: str = "fp32-cpu") -> BoxScores:
    with saccade.open(bundle, variant=variant) as task:
        assert isinstance(task, saccade.DetectTask)
        return score([arrays(task(image, confidence=0.001)) for image in images], dataset)


def arrays(found: saccade.Detections) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return found.xyxy, found.confidence, found.class_id


def by_protocol(network: YOLOX, images: list[np.ndarray], dataset: BoxDataset, prepare: str) -> BoxScores:
    pytest.importorskip("cv2", reason="the published protocol resizes with OpenCV")
    from tests.parity import official_yolox

    @torch.inference_mode()
    def run(image: np.ndarray) -> np.ndarray:
        return network(torch.from_numpy(image)).numpy()

    bgr = [np.ascontiguousarray(image[..., ::-1]) for image in images]
    found = [official_yolox.detect(run, image, getattr(official_yolox, prepare)) for image in bgr]
    return score(found, dataset)


def differences(
    task: saccade.DetectTask, twin: Callable[..., dict[str, np.ndarray]], images: list[np.ndarray]
) -> list[BoxDifference]:
    """Every box of confidence ``FLOOR`` or more, both ways; thresholds are half of it, so that none is at the edge."""
    return [
        compare_boxes(
            arrays(task(image, confidence=FLOOR / 2)),
            tuple(twin(image, FLOOR / 2).values()),  # type: ignore[arg-type]
            floor=FLOOR,
            box_px=BOX_PX,
            confidence=CONFIDENCE,
        )
        for image in images
    ]


@pytest.fixture(scope="module")
def published(network: YOLOX, images: list[np.ndarray], dataset: BoxDataset) -> BoxScores:
    return by_protocol(network, images, dataset, "preprocess")


def test_official_weights_give_the_published_figures(published: BoxScores) -> None:
    assert published.ap == pytest.approx(AP, abs=0.002)
    assert published.ap50 == pytest.approx(AP50, abs=0.003)


def test_without_a_letterbox_they_do_not(network: YOLOX, images: list[np.ndarray], dataset: BoxDataset) -> None:
    assert by_protocol(network, images, dataset, "stretched").ap < AP - 0.02


@pytest.mark.parametrize("variant", ["fp32-cpu", "fp32-gpu"])
def test_the_bundle_gives_them_from_raw_frames(
    variant: str, from_pytorch: Path, published: BoxScores, images: list[np.ndarray], dataset: BoxDataset
) -> None:
    assert by_bundle(from_pytorch, images, dataset, variant).ap == pytest.approx(published.ap, abs=0.003)


def test_the_official_file_gives_the_same_bundle(
    from_pytorch: Path, from_onnx: Path, images: list[np.ndarray], dataset: BoxDataset
) -> None:
    ours, theirs = (by_bundle(bundle, images, dataset) for bundle in (from_pytorch, from_onnx))
    assert theirs.ap == pytest.approx(ours.ap, abs=0.001)


def test_every_box_is_the_eager_twins(task: saccade.DetectTask, network: YOLOX, images: list[np.ndarray]) -> None:
    found = differences(task, DetectTwin(network, spec(), HEADS["yolox"](80, SIZE_HW)), images)
    assert len(found) == 128
    assert all(difference.passed for difference in found)


def test_a_twin_with_other_preprocessing_fails(
    task: saccade.DetectTask, network: YOLOX, images: list[np.ndarray]
) -> None:
    whole = replace(spec(), image=replace(spec().image, resize=Stretch()))
    found = differences(task, DetectTwin(network, whole, HEADS["yolox"](80, SIZE_HW)), images[:16])
    assert not any(difference.passed for difference in found)


def test_a_twin_with_other_weights_fails(task: saccade.DetectTask, network: YOLOX, images: list[np.ndarray]) -> None:
    other = DetectTwin(shuffled(network), spec(), HEADS["yolox"](80, SIZE_HW))
    assert not all(difference.passed for difference in differences(task, other, images[:16]))


def test_the_gpu_lowering_gives_the_cpu_lowerings_boxes(from_pytorch: Path, images: list[np.ndarray]) -> None:
    with saccade.open(from_pytorch, variant="fp32-cpu") as cpu, saccade.open(from_pytorch, variant="fp32-gpu") as gpu:
        for image in images:
            for agnostic in (False, True):
                one, other = (arrays(task(image, agnostic=agnostic)) for task in (cpu, gpu))  # type: ignore[call-arg]
                np.testing.assert_allclose(one[0], other[0], atol=1e-2)
                np.testing.assert_allclose(one[1], other[1], atol=1e-4)
                np.testing.assert_array_equal(one[2], other[2])
