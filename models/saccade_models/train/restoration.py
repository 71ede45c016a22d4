"""Train a restorer, a bridge from degraded images to clean ones: config, data, network, loop, score.

A run is a folder, see ``run_folder``; the weights kept are those with the best validation PSNR of one step, in a second
stage those nearest in features. Clean images are all that training needs: they are degraded as it goes, see
``degradations``.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from saccade.errors import RequestError
from saccade.metrics import energy_kept
from saccade_models.bridge import Network, restore, state_at, uniform_times
from saccade_models.bridge_unet import MULTIPLE, BridgeUNet
from saccade_models.train import run_folder
from saccade_models.train.batches import batches
from saccade_models.train.degradations import DEGRADATIONS, GREY_LEVEL, Degradation, Degraded
from saccade_models.train.image_crops import RandomCrops, as_pixels, as_state, read_split
from saccade_models.train.run_folder import State
from saccade_models.train.second_stage import Features, Looks

LOG_COLUMNS = ("epoch", "loss", "val_psnr", "val_high_band", "val_features", "seconds")
VALIDATE_EVERY = 50
"""One image in so many is kept for validation."""

LEAST_TIME = 0.02
EVEN = 0.02
"""States that are less off than this all count alike."""


@dataclass(frozen=True)
class Config:
    """Everything that decides a run's result. Learning rate: linear warm-up, then a half cosine to zero.

    An epoch is ``views_per_image`` crops of each image. ``at_one`` is the share of crops at t = 1, where one-step
    restoration is learned; the others are at times between. ``init`` are weights to begin with. ``squared`` counts
    squared errors, as PSNR does, where the absolute ones of the beginning are steadier.

    ``perceptual`` and ``adversarial`` weigh the terms of a second stage, which begins with the weights of a first, see
    ``second_stage``.
    """

    data: str
    mode: str = "denoise"
    widths: tuple[int, int, int] = (64, 96, 96)
    blocks: tuple[int, int, int] = (2, 2, 2)
    init: str = ""
    epochs: int = 100
    views_per_image: int = 10
    batch: int = 8
    crop: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    warmup_steps: int = 300
    averaging: float = 0.999
    at_one: float = 0.5
    squared: bool = False
    perceptual: float = 0.0
    adversarial: float = 0.0
    score_every: int = 5
    bfloat16: bool = False
    seed: int = 0

    @property
    def is_second_stage(self) -> bool:
        return self.perceptual > 0 or self.adversarial > 0


@dataclass(frozen=True)
class Scores:
    """One step on whole images: PSNR in dB, the energy of the finest octave over the clean image's, NaN where no image
    has texture, and the distance of features, NaN in a first stage.
    """

    psnr: float
    high_band: float
    features: float


def train(
    config: Config,
    out: Path,
    *,
    resume: bool = False,
    compiled: bool = False,
    time_limit_s: float = math.inf,
    device: str = "cpu",
) -> float:
    """Train into the folder ``out`` and return the validation PSNR in dB of the weights kept, 0 before any are.

    ``resume`` goes on from ``last.pt``; ``compiled`` uses torch.compile; a run that meets ``time_limit_s`` stops after
    an epoch and can be resumed. Raises ``RequestError`` and ``DatasetError`` for what does not fit, ``CheckError`` when
    a gradient is not finite.
    """
    run_folder.check_folder(out, resume)
    _check(config)
    torch.manual_seed(config.seed)
    started = time.monotonic()

    training, validation = read_split(Path(config.data), VALIDATE_EVERY, config.crop)
    crops = RandomCrops(training, config.crop, config.seed)
    network = BridgeUNet(widths=config.widths, blocks=config.blocks)
    if config.init and not resume:
        run_folder.begin_with(network, Path(config.init))
    network = network.to(device=device)
    state = run_folder.new_state(network, config.learning_rate, config.weight_decay, config.averaging, muon=True)
    looks = Looks.of(config.perceptual, config.adversarial, device) if config.is_second_stage else None
    if looks is not None and looks.opponent is not None:
        state.beside["opponent"] = looks.opponent
    run_folder.open_run(out, state, config, resume)
    forward = torch.compile(state.network) if compiled else state.network

    run_folder.run_epochs(
        state,
        config,
        out,
        lambda: _run_epoch(state, forward, crops, config, looks, device),
        lambda: _keep_best(state, validation, config, looks, out, device),
        columns=LOG_COLUMNS,
        stop_at=started + time_limit_s,
    )
    return run_folder.kept_metrics(out).get("val_psnr", 0.0)


def _run_epoch(
    state: State, forward: Network, crops: RandomCrops, config: Config, looks: Looks | None, device: str
) -> float:
    """A batch a step; returns the mean loss. Raises ``CheckError`` on a bad gradient."""
    torch.manual_seed(config.seed * 100_003 + state.epoch)  # the same epoch draws the same, resumed or not
    epoch = batches(crops, len(crops.images) * config.views_per_image, config.batch, config.seed, state.epoch)
    degrade = DEGRADATIONS[config.mode]

    def loss_of(views: Tensor) -> Tensor:
        clean = as_state(views.to(device))
        return bridge_loss(forward, clean, degrade(clean), config, looks)

    return run_folder.train_epoch(state, config, epoch, loss_of, clip=1.0)


def bridge_loss(
    network: Network, clean: Tensor, degraded: Degraded, config: Config, looks: Looks | None = None
) -> Tensor:
    """The mean error of the clean image, x_t - t·v, at random times, a share ``config.at_one`` of them 1.

    An absolute error is divided by the root of how far the state is off, a squared one by all of it, so that all noise
    levels count about as PSNR counts them. ``looks`` adds what a second stage asks of those images, and learns.
    """
    count = len(clean)
    times = LEAST_TIME + (1 - LEAST_TIME) * torch.rand(count, device=clean.device)
    times = torch.where(torch.rand(count, device=clean.device) < config.at_one, torch.ones_like(times), times)
    states = state_at(clean, degraded.image, times)
    with torch.autocast(clean.device.type, torch.bfloat16, enabled=config.bfloat16):
        velocity = network(states, degraded.map, times)
    share = times[:, None, None, None]
    error = share * (velocity.float() - (degraded.image - clean))
    off = (share * degraded.map).clamp(min=EVEN)
    loss = (error.square() / off if config.squared else error.abs() / off.sqrt()).mean()
    return loss if looks is None else loss + looks.loss(clean - error, clean)


def _keep_best(
    state: State,
    validation: list[npt.NDArray[np.uint8]],
    config: Config,
    looks: Looks | None,
    out: Path,
    device: str,
) -> dict[str, str]:
    """Score and keep; returns what the log says."""
    degrade, features = DEGRADATIONS[config.mode], None if looks is None else looks.features
    scores = run_folder.keep_best(
        state,
        config,
        out,
        lambda network: score(network, validation, degrade, features, device),
        value=lambda scores: scores.psnr if looks is None else 1 / (1 + scores.features),
        metrics=_metrics,
    )
    return {name: f"{value:.4g}" if name != "val_psnr" else f"{value:.3f}" for name, value in _metrics(scores).items()}


def _metrics(scores: Scores) -> dict[str, float]:
    named = {"val_psnr": (scores.psnr, 3), "val_high_band": (scores.high_band, 3), "val_features": (scores.features, 5)}
    return {name: round(value, digits) for name, (value, digits) in named.items() if not math.isnan(value)}


@torch.inference_mode()
def score(
    network: Network,
    images: list[npt.NDArray[np.uint8]],
    degrade: Degradation,
    features: Features | None = None,
    device: str = "cpu",
) -> Scores:
    """The mean scores of one step on whole images, each degraded three times, the same ones at every call."""
    found: list[tuple[float, float, float]] = []
    kept = torch.random.get_rng_state()
    torch.manual_seed(0)
    for image in images:
        height, width = (side // (2 * MULTIPLE) * 2 * MULTIPLE for side in image.shape[:2])
        pixels = torch.from_numpy(image[:height, :width].copy()).movedim(-1, 0)[None].to(device)
        for _ in range(3):
            clean = as_state(pixels)
            degraded = degrade(clean)
            restored = as_pixels(restore(network, degraded.image, degraded.map, uniform_times(1)))
            error = ((restored - pixels.float()) ** 2).mean().item()
            found.append(
                (
                    10 * math.log10(255**2 / max(error, GREY_LEVEL**2)),
                    energy_kept(restored[0].movedim(0, -1).cpu().numpy(), image[:height, :width]),
                    math.nan if features is None else features.distance(as_state(restored), clean).item(),
                )
            )
    torch.random.set_rng_state(kept)
    return Scores(*(_mean(values) for values in zip(*found, strict=True)))


def _mean(values: tuple[float, ...]) -> float:
    """The mean of the numbers among ``values``: an image without texture has none to keep."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _check(config: Config) -> None:
    if config.is_second_stage and not config.init:
        raise RequestError(
            "the perceptual and the adversarial term are of a second stage, but there are no weights of a first; "
            "give them as --init"
        )
    if config.mode not in DEGRADATIONS:
        raise RequestError(f"mode {config.mode!r} of restoration is not known; choose from {', '.join(DEGRADATIONS)}")
    if config.crop % (2 * MULTIPLE) or config.crop < 4 * MULTIPLE:
        raise RequestError(f"crops must be a multiple of {2 * MULTIPLE} from {4 * MULTIPLE} on, but are {config.crop}")
