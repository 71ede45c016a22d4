"""Train a generator of images from noise, plain diffusion over MNIST's digits: config, data, network, loop, score.

A run is a folder, see ``run_folder``; the weights kept are those that explain most of the target on held-out digits.
The loss is the plain one, the squared error at uniform timesteps (DDPM, arXiv 2006.11239, equation 14).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from saccade.errors import DatasetError
from saccade_models.diffusion import TIMESTEPS, ForwardProcess, Network, forward_process
from saccade_models.mnist import Digits, read_digits, split
from saccade_models.pixel_unet import PixelUNet
from saccade_models.train import run_folder
from saccade_models.train.image_crops import as_state
from saccade_models.train.run_folder import State

LOG_COLUMNS = ("epoch", "loss", "val_explained", "seconds")
SCORED_AT_ONCE = 250


@dataclass(frozen=True)
class Config:
    """Everything that decides a run's result. Learning rate: linear warm-up, then a half cosine to zero.

    ``schedule`` and ``parameterisation`` are names of ``saccade_models.diffusion``.
    """

    data: str
    schedule: str = "linear"
    parameterisation: str = "epsilon"
    widths: tuple[int, int] = (48, 128)
    blocks: int = 2
    epochs: int = 60
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    warmup_steps: int = 100
    averaging: float = 0.998
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
    """Train into the folder ``out`` and return the best ``score`` on held-out digits.

    ``resume`` goes on from ``last.pt``; ``compiled`` uses torch.compile; a run that meets ``time_limit_s`` stops after
    an epoch and can be resumed. Weights are kept once they score more than 0. Raises ``RequestError`` and
    ``DatasetError`` for what does not fit, ``CheckError`` when a gradient is not finite.
    """
    run_folder.check_folder(out, resume)
    process = forward_process(config.schedule, config.parameterisation)
    torch.manual_seed(config.seed)
    started = time.monotonic()

    training, validation = read_states(Path(config.data))
    network = new_network(config).to(device)
    state = run_folder.new_state(network, config.learning_rate, config.weight_decay, config.averaging, muon=True)
    run_folder.open_run(out, state, config, resume)
    forward = torch.compile(state.network) if compiled else state.network

    return run_folder.run_epochs(
        state,
        config,
        out,
        lambda: _run_epoch(state, forward, process, training, config, device),
        lambda: {"val_explained": f"{_keep_best(state, process, validation, config, out, device):.5f}"},
        columns=LOG_COLUMNS,
        stop_at=started + time_limit_s,
    )


def new_network(config: Config) -> PixelUNet:
    return PixelUNet(widths=config.widths, blocks=config.blocks)


def read_states(folder: Path) -> tuple[Tensor, Tensor]:
    """The digits to train on and those held out, (N, 1, 28, 28). Raises ``DatasetError``."""
    training, held_out = split(read_digits(folder))
    if not len(training):
        raise DatasetError(f"{folder} holds {len(held_out)} digits, too few to train on")
    return states(training), states(held_out)


def states(digits: Digits) -> Tensor:
    """(N, 1, 28, 28), float32, black -1 and white 1."""
    return as_state(torch.from_numpy(digits.images.copy())[:, None])


def _run_epoch(
    state: State, forward: Network, process: ForwardProcess, training: Tensor, config: Config, device: str
) -> float:
    """A batch a step; returns the mean loss. Raises ``CheckError`` on a bad gradient."""
    torch.manual_seed(config.seed * 100_003 + state.epoch)  # the same epoch draws the same, resumed or not
    epoch = torch.randperm(len(training)).split(config.batch)

    def loss_of(chosen: Tensor) -> Tensor:
        return diffusion_loss(forward, process, training[chosen].to(device), config.bfloat16)

    return run_folder.train_epoch(state, config, epoch, loss_of, clip=1.0)


def diffusion_loss(network: Network, process: ForwardProcess, clean: Tensor, bfloat16: bool = False) -> Tensor:
    """The mean squared error on ``clean`` (N, C, H, W), each at a timestep drawn uniformly."""
    timesteps, noise = torch.randint(TIMESTEPS, (len(clean),), device=clean.device), torch.randn_like(clean)
    with torch.autocast(clean.device.type, torch.bfloat16, enabled=bfloat16):
        output = network(process.state_at(clean, noise, timesteps), timesteps)
    return functional.mse_loss(output.float(), process.target(clean, noise, timesteps))


def _keep_best(
    state: State, process: ForwardProcess, validation: Tensor, config: Config, out: Path, device: str
) -> float:
    return run_folder.keep_best(
        state,
        config,
        out,
        lambda network: score(network, process, validation.to(device)),
        value=float,
        metrics=lambda explained: {"val_explained": round(explained, 5)},
    )


@torch.inference_mode()
def score(network: Network, process: ForwardProcess, clean: Tensor) -> float:
    """The share of the target's square that the network explains, at the same timesteps and noise at every call.

    ``clean`` is (N, C, H, W), at evenly spaced timesteps. 1 is perfect, 0 what a network scores that says nothing; for
    the noise it is one minus the loss, nearly.
    """
    timesteps = torch.arange(len(clean), device=clean.device) * TIMESTEPS // len(clean)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)).to(clean.device)
    noisy, target = process.state_at(clean, noise, timesteps), process.target(clean, noise, timesteps)
    parts = zip(noisy.split(SCORED_AT_ONCE), timesteps.split(SCORED_AT_ONCE), strict=True)
    output = torch.cat([network(*part) for part in parts])
    return 1 - ((output - target).square().mean() / target.square().mean()).item()
