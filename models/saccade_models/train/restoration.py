"""Train a restorer, a bridge from degraded images to clean ones: config, data, network, loop, score.

A run is a folder, see ``run_folder``; the weights kept are those with the best validation PSNR of one step. Clean
images are all that training needs: they are degraded as it goes, see ``degradations``.
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
from saccade_models.bridge import Network, restore, state_at, uniform_times
from saccade_models.bridge_unet import MULTIPLE, BridgeUNet
from saccade_models.train import run_folder
from saccade_models.train.batches import batches
from saccade_models.train.degradations import DEGRADATIONS, GREY_LEVEL, Degradation, Degraded
from saccade_models.train.image_crops import RandomCrops, as_pixels, as_state, read_split
from saccade_models.train.run_folder import State

LOG_COLUMNS = ("epoch", "loss", "val_psnr", "seconds")
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
    score_every: int = 5
    bfloat16: bool = False
    seed: int = 0


def train(
    config: Config,
    out: Path,
    *,
    resume: bool = False,
    compiled: bool = False,
    time_limit_s: float = math.inf,
    device: str = "cpu",
) -> float:
    """Train into the folder ``out`` and return the best validation PSNR in dB.

    ``resume`` goes on from ``last.pt``; ``compiled`` uses torch.compile; a run that meets ``time_limit_s`` stops after
    an epoch and can be resumed. Raises ``RequestError`` and ``DatasetError`` for what does not fit, ``CheckError`` when
    a gradient is not finite.
    """
    run_folder.check_folder(out, resume)
    _check(config)
    torch.manual_seed(config.seed)
    started = time.monotonic()

    training, validation = read_split(Path(config.data), VALIDATE_EVERY)
    crops = RandomCrops(training, config.crop, config.seed)
    network = BridgeUNet(widths=config.widths, blocks=config.blocks)
    if config.init and not resume:
        run_folder.begin_with(network, Path(config.init))
    network = network.to(device=device)
    state = run_folder.new_state(network, config.learning_rate, config.weight_decay, config.averaging, muon=True)
    run_folder.open_run(out, state, config, resume)
    forward = torch.compile(state.network) if compiled else state.network

    return run_folder.run_epochs(
        state,
        config,
        out,
        lambda: _run_epoch(state, forward, crops, config, device),
        lambda: {"val_psnr": f"{_keep_best(state, validation, config, out, device):.3f}"},
        columns=LOG_COLUMNS,
        stop_at=started + time_limit_s,
    )


def _run_epoch(state: State, forward: Network, crops: RandomCrops, config: Config, device: str) -> float:
    """A batch a step; returns the mean loss. Raises ``CheckError`` on a bad gradient."""
    torch.manual_seed(config.seed * 100_003 + state.epoch)  # the same epoch draws the same, resumed or not
    epoch = batches(crops, len(crops.images) * config.views_per_image, config.batch, config.seed, state.epoch)
    degrade = DEGRADATIONS[config.mode]

    def loss_of(views: Tensor) -> Tensor:
        clean = as_state(views.to(device))
        return bridge_loss(forward, clean, degrade(clean), config)

    return run_folder.train_epoch(state, config, epoch, loss_of, clip=1.0)


def bridge_loss(network: Network, clean: Tensor, degraded: Degraded, config: Config) -> Tensor:
    """The mean error of the clean image, x_t - t·v, at random times, a share ``config.at_one`` of them 1.

    An absolute error is divided by the root of how far the state is off, a squared one by all of it, so that all noise
    levels count about as PSNR counts them.
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
    return (error.square() / off if config.squared else error.abs() / off.sqrt()).mean()


def _keep_best(state: State, validation: list[npt.NDArray[np.uint8]], config: Config, out: Path, device: str) -> float:
    return run_folder.keep_best(
        state,
        config,
        out,
        lambda network: score(network, validation, DEGRADATIONS[config.mode], device),
        value=float,
        metrics=lambda psnr: {"val_psnr": round(psnr, 3)},
    )


@torch.inference_mode()
def score(network: Network, images: list[npt.NDArray[np.uint8]], degrade: Degradation, device: str = "cpu") -> float:
    """Mean PSNR in dB of one step on whole images, each degraded three times, the same ones at every call."""
    found: list[float] = []
    kept = torch.random.get_rng_state()
    torch.manual_seed(0)
    for image in images:
        height, width = (side // (2 * MULTIPLE) * 2 * MULTIPLE for side in image.shape[:2])
        pixels = torch.from_numpy(image[:height, :width].copy()).movedim(-1, 0)[None].to(device)
        for _ in range(3):
            degraded = degrade(as_state(pixels))
            restored = as_pixels(restore(network, degraded.image, degraded.map, uniform_times(1)))
            error = ((restored - pixels.float()) ** 2).mean().item()
            found.append(10 * math.log10(255**2 / max(error, GREY_LEVEL**2)))
    torch.random.set_rng_state(kept)
    return float(np.mean(found))


def _check(config: Config) -> None:
    if config.mode not in DEGRADATIONS:
        raise RequestError(f"mode {config.mode!r} of restoration is not known; choose from {', '.join(DEGRADATIONS)}")
    if config.crop % (2 * MULTIPLE) or config.crop < 4 * MULTIPLE:
        raise RequestError(f"crops must be a multiple of {2 * MULTIPLE} from {4 * MULTIPLE} on, but are {config.crop}")
