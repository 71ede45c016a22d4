"""What samples of a digit generator are worth, beside held-out digits, and beside three controls that must fail.

A sample is recognised when a classifier is confident of it and it is about as near to a digit of the training data as
real digits are that were held out. Confidence alone says little: the classifier is sure that noise is an 8 and black
a 1. Copies are as near as can be, so the distances tell: samples much nearer than held-out digits are remembered.
Two digits laid over each other still pass three times in four, so look at the pictures too.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from saccade.errors import CheckError
from saccade_models.diffusion import new_scheduler, sample
from saccade_models.digit_classifier import probabilities
from saccade_models.mnist import CLASSES, SIZE_HW
from saccade_models.train.image_crops import as_pixels, as_state

CONFIDENT = 0.9
"""The least probability of a digit of which the classifier is confident."""

NEAR = 0.99
"""The share of held-out digits that count as near to training digits.

What counts is the distance as a share of the ink of that training digit, which is its distance from black: a thin 1 is
nearer to black in grey levels than most digits are to each other, but black is no nearer to it than nothing is.
"""

MOST_OF_A_CONTROL = 0.05
"""The share of a control that may be recognised."""

CLOSEST = 0.05
"""The share of digits of whose distances the greatest is told: the least one of all would fall with their number."""

AT_ONCE = 100
GRID_COLUMNS = 10
_GRID_GAP = 2


@dataclass(frozen=True)
class Sampler:
    """A way to sample: ``kind`` of ``diffusion.SAMPLERS``, and trailing ``steps``."""

    name: str
    kind: str
    steps: int


SAMPLERS = (
    Sampler("ddpm-1000", "ddpm", 1000),
    Sampler("ddim-50", "ddim", 50),
    Sampler("ddim-20", "ddim", 20),
    Sampler("ddim-10", "ddim", 10),
)
CONTROL = Sampler("shuffled-weights", "ddim", 50)
CONTROLS = (CONTROL.name, "pure-noise", "black")


@dataclass(frozen=True)
class DiffusionModel:
    """A network, and what it was trained for: names of ``saccade_models.diffusion``."""

    network: nn.Module
    schedule: str
    parameterisation: str

    def draw(self, sampler: Sampler, count: int, seed: int, device: str) -> Tensor:
        """Samples (N, 1, 28, 28), black -1 and white 1, on the CPU; the noise each begins with is the seed's alone."""
        scheduler = new_scheduler(sampler.kind, self.schedule, self.parameterisation)
        batches = [(start, min(AT_ONCE, count - start)) for start in range(0, count, AT_ONCE)]
        with tqdm(desc=sampler.name, total=len(batches) * sampler.steps) as progress:

            def counted(state: Tensor, timesteps: Tensor) -> Tensor:
                progress.update()
                return self.network(state, timesteps)

            def batch(start: int, size: int) -> Tensor:
                # A generator each: DDPM draws from it at every step, and DDIM would begin the next batch elsewhere.
                random = torch.Generator(device).manual_seed(seed * 100_003 + start)
                return sample(counted, scheduler, (size, 1, *SIZE_HW), sampler.steps, random).cpu()

            return torch.cat([batch(*one) for one in batches])

    def shuffled(self, seed: int) -> DiffusionModel:
        """The same with each tensor's values in another order: all its numbers, and nothing that it learned."""
        network = copy.deepcopy(self.network)
        random = torch.Generator().manual_seed(seed)
        for parameter in network.parameters():
            values = parameter.data.flatten()
            parameter.data = values[torch.randperm(len(values), generator=random)].view_as(parameter)
        return DiffusionModel(network, self.schedule, self.parameterisation)


@dataclass(frozen=True)
class Findings:
    """``count`` digits: the shares that are ``confident``, ``near`` and both (``recognised``), and how many of each.

    Distances are to the nearest training digit, the root of the mean square over the pixels in grey levels of 0 to
    255: their mean, and up to what the ``CLOSEST`` are.
    """

    name: str
    count: int
    confident: float
    near: float
    recognised: float
    digits: tuple[int, ...]
    distance: float
    closest_distance: float
    seconds_per_100: float | None


@dataclass(frozen=True)
class Judge:
    """Tells digits from what is none. ``reach`` is the greatest distance that counts as near, as a share of the ink."""

    classifier: nn.Module
    training: Tensor
    reach: float

    def findings(self, name: str, states: Tensor, seconds: float | None = None) -> Findings:
        """Of ``states`` (N, 1, 28, 28), taken as whole grey levels, that took ``seconds`` to make."""
        likely = probabilities(self.classifier, as_state(as_pixels(states))).max(dim=1)
        distances, shares = nearest(states, self.training)
        is_confident, is_near = likely.values >= CONFIDENT, shares <= self.reach
        return Findings(
            name,
            len(states),
            is_confident.float().mean().item(),
            is_near.float().mean().item(),
            (is_confident & is_near).float().mean().item(),
            tuple(likely.indices.bincount(minlength=CLASSES).tolist()),
            distances.mean().item(),
            distances.quantile(CLOSEST).item(),
            None if seconds is None else 100 * seconds / len(states),
        )


def new_judge(classifier: nn.Module, training: Tensor, held_out: Tensor) -> Judge:
    """``training`` and ``held_out`` are digits (N, 1, 28, 28), black -1 and white 1."""
    return Judge(classifier, training, nearest(held_out, training)[1].quantile(NEAR).item())


def nearest(states: Tensor, training: Tensor) -> tuple[Tensor, Tensor]:
    """Of each state the distance to the nearest of ``training``, (N,): in grey levels, and as a share of its ink."""
    mine, theirs = (as_pixels(digits).flatten(1) for digits in (states, training))
    # By matrix multiplication, cdist's default, two equal images are up to 0.1 grey levels apart.
    exact = "donot_use_mm_for_euclid_dist"
    found = [torch.cdist(part, theirs, compute_mode=exact).min(dim=1) for part in mine.split(AT_ONCE)]
    distances, indices = (torch.cat(parts) for parts in zip(*found, strict=True))
    return distances / mine.shape[1] ** 0.5, distances / theirs.norm(dim=1).clamp(min=1)[indices]


def report(
    model: DiffusionModel,
    judge: Judge,
    held_out: Tensor,
    out: Path,
    *,
    samplers: Sequence[Sampler] = SAMPLERS,
    count: int = 100,
    seed: int = 0,
    device: str = "cpu",
) -> list[Findings]:
    """Findings on held-out digits, on ``count`` samples of each of ``samplers``, and on the controls.

    Of each a picture is left in the folder ``out``, NAME.png with ten digits a row.
    """
    found: list[Findings] = [judge.findings("held-out", held_out)]
    save_grid(held_out[:count], out / "held-out.png")
    for name, states, seconds in _drawn(model, samplers, count, seed, device):
        found.append(judge.findings(name, states, seconds))
        save_grid(states, out / f"{name}.png")
    return found


def _drawn(
    model: DiffusionModel, samplers: Sequence[Sampler], count: int, seed: int, device: str
) -> Iterator[tuple[str, Tensor, float | None]]:
    """Names, samples and seconds: of the samplers, then of the controls."""
    for maker, sampler in [*((model, sampler) for sampler in samplers), (model.shuffled(seed), CONTROL)]:
        started = time.perf_counter()
        states = maker.draw(sampler, count, seed, device)
        yield sampler.name, states, time.perf_counter() - started
    yield CONTROLS[1], torch.randn(count, 1, *SIZE_HW, generator=torch.Generator().manual_seed(seed)), None
    yield CONTROLS[2], torch.full((count, 1, *SIZE_HW), -1.0), None


def check_controls(found: Sequence[Findings]) -> None:
    """Raise ``CheckError`` where a control is recognised: then what is said of the samples means nothing."""
    for control in found:
        if control.name in CONTROLS and control.recognised > MOST_OF_A_CONTROL:
            raise CheckError(
                f"{control.recognised:.0%} of {control.name} are recognised as digits, but at most "
                f"{MOST_OF_A_CONTROL:.0%} may be; the shares of the samples cannot be trusted"
            )


def table(found: Sequence[Findings]) -> str:
    """The findings as lines of text; distances are in grey levels."""
    head = f"{'':18}{'confident':>10}{'near':>7}{'recognised':>12}{'distance':>10}{'5 %':>7}{'s/100':>8}   0 … 9"
    lines = [head]
    for one in found:
        seconds = "" if one.seconds_per_100 is None else f"{one.seconds_per_100:.2f}"
        shares = f"{one.confident:>10.1%}{one.near:>7.0%}{one.recognised:>12.1%}"
        distances = f"{one.distance:>10.1f}{one.closest_distance:>7.1f}{seconds:>8}"
        lines.append(f"{one.name:18}{shares}{distances}   {' '.join(map(str, one.digits))}")
    return "\n".join(lines)


def save_grid(states: Tensor, path: Path) -> None:
    """A PNG of digits (N, 1, 28, 28), ten a row on grey."""
    pixels = as_pixels(states)[:, 0].numpy().astype(np.uint8)
    height, width = (side + _GRID_GAP for side in pixels.shape[1:])
    rows = -(-len(pixels) // GRID_COLUMNS)
    grid = np.full((rows * height + _GRID_GAP, GRID_COLUMNS * width + _GRID_GAP), 128, np.uint8)
    for index, digit in enumerate(pixels):
        top, left = (
            _GRID_GAP + place * side for place, side in zip(divmod(index, GRID_COLUMNS), (height, width), strict=True)
        )
        grid[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    Image.fromarray(grid).save(path)
