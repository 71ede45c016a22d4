"""The shipped restorers on the standard test images: their figures, and what a wrong input does to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file
from tests.conftest import ROOT

import saccade
from saccade import scenes
from saccade.evaluation.clean_images import degraded_images, list_images
from saccade.evaluation.degradations import noisy
from saccade.evaluation.restore import LevelScores, evaluate_restoration
from saccade.metrics.psnr import psnr
from saccade.noise import measure_noise
from saccade.spec import Restoring, Tiling
from saccade_export.contract import restore_spec
from saccade_export.exporting import ExportRequest, export_bundle
from saccade_export.restoration import RestorePlan
from saccade_export.source import NetworkRequest
from saccade_export.step_tables import bridge_table
from saccade_export.twin import RestoreTwin
from saccade_models.bridge_unet import BridgeUNet

pytestmark = [pytest.mark.torch, pytest.mark.data, pytest.mark.slow]

WEIGHTS = ROOT / "models" / "saccade_models" / "weights"
FLOOR = {15.0: 33.4, 25.0: 30.8, 50.0: 27.5}
"""PSNR on CBSD68 in one step, the published protocol."""

SMALL = [32, 48, 64]
OTHER_STEPS = {1: 2, 2: 4, 4: 2}


@pytest.fixture(scope="module")
def denoiser(denoise_bundle: Path) -> Iterator[saccade.RestoreTask]:
    with saccade.open(denoise_bundle) as task:
        assert isinstance(task, saccade.RestoreTask)
        yield task


@pytest.fixture
def images(data: Path) -> list[Path]:
    return list_images(data / "restoration" / "CBSD68")


def scored(
    task: saccade.RestoreTask,
    images: list[Path],
    level: float,
    *,
    told: float | str | None = None,
    entry: str = "float32",
    steps: int = 1,
) -> LevelScores:
    samples = degraded_images(images, task.spec.mode, level)
    sigma = (level if task.spec.takes_sigma else None) if told is None else told
    return evaluate_restoration(task, samples, level, entry=entry, sigma=sigma, steps=steps)


@pytest.mark.parametrize("sigma", list(FLOOR))
def test_one_step_reaches_its_floor(denoiser: saccade.RestoreTask, images: list[Path], sigma: float) -> None:
    assert scored(denoiser, images, sigma).scores["psnr"] >= FLOOR[sigma]
    wrongly_told = scored(denoiser, images[::16], sigma, told=sigma / 2).scores["psnr"]
    assert wrongly_told < scored(denoiser, images[::16], sigma).scores["psnr"] - 1


@pytest.mark.parametrize("sigma", list(FLOOR))
def test_more_steps_give_more_texture_for_a_little_error(
    denoiser: saccade.RestoreTask, images: list[Path], sigma: float
) -> None:
    one, two, four = (scored(denoiser, images[::4], sigma, steps=steps).scores for steps in (1, 2, 4))
    assert -0.3 <= two["psnr"] - one["psnr"] <= 0.1
    assert -0.8 <= four["psnr"] - one["psnr"] <= 0.1
    assert one["high_band"] < two["high_band"] < four["high_band"] <= 1.02


@pytest.mark.parametrize("sigma", [15.0, 25.0])
@pytest.mark.parametrize("entry", ["float32", "uint8"])
def test_measured_noise_does_nearly_as_well(
    denoiser: saccade.RestoreTask, images: list[Path], sigma: float, entry: str
) -> None:
    known = scored(denoiser, images[::2], sigma, entry=entry).scores["psnr"]
    measured = scored(denoiser, images[::2], sigma, entry=entry, told="measured").scores["psnr"]
    assert measured >= known - 0.3


@pytest.mark.parametrize(("sigma", "most_bias", "most_spread"), [(15.0, 0.5, 0.5), (25.0, 0.5, 0.5), (50.0, 0.7, 1.0)])
@pytest.mark.parametrize("entry", ["float32", "uint8"])
def test_noise_is_measured(images: list[Path], sigma: float, most_bias: float, most_spread: float, entry: str) -> None:
    samples = degraded_images(images[::2], "denoise", sigma)
    off = [measure_noise(degraded.entering(entry)).sigma - sigma for _, degraded in samples]
    assert abs(np.mean(off)) <= most_bias
    assert np.std(off) <= most_spread


def test_unrolled_stepwise_and_pytorch_give_the_same_floats(denoise_bundle: Path, images: list[Path]) -> None:
    network = BridgeUNet().eval()
    network.load_state_dict(load_file(WEIGHTS / "bridge-denoise.safetensors"))
    frame = noisy(next(degraded_images(images, "denoise", 25.0))[1].clean, 25.0).frame[:200, :250]
    for steps in (1, 2, 4):
        found: list[npt.NDArray[np.float32]] = []
        for variant in (f"fp32-cpu-n{steps}-float32", "fp32-cpu-stepwise-float32"):
            with saccade.open(denoise_bundle, variant=variant, device="cpu") as task:
                assert isinstance(task, saccade.RestoreTask)
                found.append(np.asarray(task(frame, sigma=25.0, steps=steps).image, np.float32))
                twin = RestoreTwin(network, task.spec).exact(torch.from_numpy(frame), steps, sigma=25.0).numpy()
        for image in found:
            assert np.abs(image - twin).max() / 255 <= 5e-6
        wrong = RestoreTwin(network, task.spec).exact(torch.from_numpy(frame), OTHER_STEPS[steps], sigma=25.0).numpy()
        assert np.abs(found[0] - wrong).max() / 255 > 1e-3


def test_tiles_have_no_seam(denoise_bundle: Path) -> None:
    clean = scenes.render(3, 0, (720, 1280)).image
    frame = noisy(clean, 25.0).entering("uint8")
    with saccade.open(denoise_bundle) as task:
        assert isinstance(task, saccade.RestoreTask)
        whole = task(frame, sigma=25.0, tile=0).image.astype(int)
        for tile in (256, 512):
            assert np.abs(task(frame, sigma=25.0, tile=tile).image - whole).max() <= 1
        task.spec = replace(task.spec, tiling=Tiling(256, 0))
        assert np.abs(task(frame, sigma=25.0, tile=256).image - whole).max() > 1


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Restoring], Path]:
    """The small restorers, each exported when it is first asked for."""
    folder = tmp_path_factory.mktemp("restorers")

    def bundle(mode: Restoring) -> Path:
        path = folder / f"{mode}.saccade"
        if not path.exists():
            spec = restore_spec(mode, {str(steps): bridge_table(steps) for steps in (1, 2)})
            weights = WEIGHTS / f"bridge-{mode}.safetensors"
            request = NetworkRequest("saccade_models.bridge_unet:BridgeUNet", weights, {"widths": SMALL})
            export_bundle(ExportRequest(request, RestorePlan(spec), mode), path)
        return path

    return bundle


@pytest.mark.parametrize(("mode", "level", "gain"), [("super-resolution", 2.0, 1.0), ("deblur", 1.6, 2.0)])
@pytest.mark.parametrize("steps", [1, 2])
def test_it_beats_what_one_has_without_it(
    mode: Restoring, level: float, gain: float, steps: int, data: Path, exported: Callable[[Restoring], Path]
) -> None:
    with saccade.open(exported(mode)) as task:
        assert isinstance(task, saccade.RestoreTask)
        for folder in ("CBSD68", "Set12"):
            found = scored(task, list_images(data / "restoration" / folder), level, entry="uint8", steps=steps).scores
            assert found["psnr"] >= found["input_psnr"] + gain, folder


@pytest.mark.parametrize("steps", [1, 2])
def test_dark_frames_are_better_than_their_gain_alone(
    steps: int, data: Path, exported: Callable[[Restoring], Path]
) -> None:
    images = list_images(data / "restoration" / "CBSD68")[::4]
    with saccade.open(exported("low-light")) as task:
        assert isinstance(task, saccade.RestoreTask)
        found, measured, wrongly_told = (
            scored(task, images, 8.0, told=told, entry="uint8", steps=steps).scores for told in (1.0, "measured", 0.0)
        )
    assert found["psnr"] >= found["input_psnr"] + 7
    assert measured["psnr"] >= found["psnr"] - 1
    assert wrongly_told["psnr"] < found["psnr"] - 0.1


def test_it_fills_holes_better_than_telea(data: Path, exported: Callable[[Restoring], Path]) -> None:
    cv2 = pytest.importorskip("cv2")
    with saccade.open(exported("inpaint")) as task:
        assert isinstance(task, saccade.RestoreTask)
        for folder in ("CBSD68", "Set12"):
            ours: list[float] = []
            telea: list[float] = []
            for _, degraded in degraded_images(list_images(data / "restoration" / folder), "inpaint", 0.25):
                mask = degraded.mask
                assert mask is not None
                filled = task(degraded.frame, mask=mask, steps=1).image
                np.testing.assert_array_equal(filled[~mask], degraded.clean[~mask])
                ours.append(psnr(np.asarray(filled, np.uint8), degraded.clean))
                telea.append(
                    psnr(cv2.inpaint(degraded.frame, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA), degraded.clean)
                )
            assert np.mean(ours) >= np.mean(telea) + 2, folder
