"""From raw frame to class map: the shipped bundle against eager PyTorch, with controls that must fail."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import saccade
from saccade import scenes
from saccade.datasets import SegmentationFolder
from saccade.metrics import ConfusionMatrix
from saccade.sources import SourceFrame, open_source
from saccade.verify import equal_share
from saccade_export.network import load_weights
from saccade_export.shuffling import shuffled
from saccade_export.twin import SegmentTwin
from saccade_models.edanet import EDANet
from saccade_models.train.segmentation import score

pytestmark = pytest.mark.torch

EQUAL_PIXELS = 0.999
WEIGHTS = Path(__file__).parents[2] / "models" / "saccade_models" / "weights" / "edanet-camvid.safetensors"
VARIANTS = ("fp32-cpu", "fp32-gpu")


@pytest.fixture(scope="module")
def network() -> EDANet:
    network = EDANet()
    load_weights(network, WEIGHTS)
    return network.eval()


@pytest.fixture(scope="module")
def twin(network: EDANet, shipped_bundle: Path) -> SegmentTwin:
    return SegmentTwin(network, saccade.open_bundle(shipped_bundle).manifest.task)


@pytest.fixture(params=VARIANTS)
def task(request: pytest.FixtureRequest, shipped_bundle: Path) -> Iterator[saccade.SegmentTask]:
    with saccade.open(shipped_bundle, variant=request.param) as opened:
        yield opened


def shares(task: saccade.SegmentTask, twin: Callable[..., np.ndarray], frames: list[np.ndarray]) -> list[float]:
    return [equal_share(task(frame).class_map, twin(frame)) for frame in frames]


def scene_frames() -> list[np.ndarray]:
    sizes = [(360, 480), (540, 960), (97, 131), (300, 200)]
    lights = itertools.cycle(("day", "dusk", "night"))
    return [scenes.render(50 + i, 5 * i, size, light).image for i, (size, light) in enumerate(zip(sizes, lights))]  # noqa: B905 - lights never end


def camvid_frames(data: Path) -> list[np.ndarray]:
    paths = sorted((data / "camvid" / "val" / "images").iterdir())
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths[:: len(paths) // 30][:30]]


def video_frames(data: Path) -> list[np.ndarray]:
    frames: list[np.ndarray] = []
    for name in ("highway_960x540.mp4", "parking_768x432.mp4"):
        with open_source(data / "video" / name) as source:
            found = [item.image for item in itertools.islice(source, 0, 200, 40) if isinstance(item, SourceFrame)]
        frames += found
    return frames


def test_rendered_frames_give_pytorchs_class_map(task: saccade.SegmentTask, twin: SegmentTwin) -> None:
    assert min(shares(task, twin, scene_frames())) >= EQUAL_PIXELS


def test_other_weights_fail_the_same_check(task: saccade.SegmentTask, twin: SegmentTwin, network: EDANet) -> None:
    other = SegmentTwin(shuffled(network), twin.spec)
    assert max(shares(task, other, scene_frames())) < EQUAL_PIXELS


def test_slightly_other_weights_fail_the_same_check(
    task: saccade.SegmentTask, twin: SegmentTwin, network: EDANet
) -> None:
    import copy

    torch.manual_seed(0)
    near = copy.deepcopy(network)
    with torch.no_grad():
        near.classifier.weight.mul_(1 + 0.1 * torch.randn(near.classifier.weight.shape))
    assert min(shares(task, SegmentTwin(near, twin.spec), scene_frames())) < EQUAL_PIXELS


def test_other_preprocessing_fails_the_same_check(task: saccade.SegmentTask, twin: SegmentTwin) -> None:
    assert min(shares(task, lambda frame: twin(frame[..., ::-1].copy()), scene_frames())) < EQUAL_PIXELS


@pytest.mark.data
def test_real_frames_give_pytorchs_class_map(
    task: saccade.SegmentTask, twin: SegmentTwin, network: EDANet, data: Path
) -> None:
    stills, moving = camvid_frames(data), video_frames(data)
    assert len(stills) == 30
    assert len(moving) == 10
    assert min(shares(task, twin, stills + moving)) >= EQUAL_PIXELS
    other = SegmentTwin(shuffled(network), twin.spec)
    assert max(shares(task, other, (stills + moving)[::8])) < EQUAL_PIXELS


@pytest.mark.data
def test_the_bundle_scores_what_training_scores(shipped_bundle: Path, network: EDANet, data: Path) -> None:
    validation = SegmentationFolder(data / "camvid", "val")
    by_training = score(network, validation, 11)
    by_bundle = ConfusionMatrix.empty(11)
    with saccade.open(shipped_bundle) as task:
        for index in range(len(validation)):
            image, labels = validation[index]
            by_bundle = by_bundle.add(task(image).class_map, labels)
    assert abs(by_bundle.mean_iou - by_training.mean_iou) <= 0.001
    assert by_bundle.mean_iou >= 0.60
