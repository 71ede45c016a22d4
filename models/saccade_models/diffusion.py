"""Diffusion between images and noise: x_t = sqrt(a_t)·x + sqrt(1 - a_t)·z at timesteps t of 0 to 999.

The classic path (DDPM: Ho, Jain, Abbeel, arXiv 2006.11239), as a reference: a network sees x_t and t, and says the
noise z, or the image x, or the velocity sqrt(a_t)·z - sqrt(1 - a_t)·x (Salimans and Ho, arXiv 2202.00512, section 4).
Tables and sampling steps are diffusers' own. Images are float32 (N, C, H, W), black -1, white 1.

A network's error in the noise is one in the image times sqrt((1 - a_t) / a_t), which at t = 999 is 157 on the linear
schedule, 14.6 on the scaled-linear and 20,291 on the cosine one: there an image taken from the noise means nothing
before it is clipped. The image itself and the velocity are never amplified.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor

from saccade.errors import RequestError

TIMESTEPS = 1000

SCHEDULES: dict[str, dict[str, Any]] = {
    "linear": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
    "scaled-linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}
"""By name, diffusers' settings: of DDPM, of Stable Diffusion, and of Nichol and Dhariwal, arXiv 2102.09672."""

PARAMETERISATIONS = {"epsilon": "epsilon", "x0": "sample", "v": "v_prediction"}
"""What a network says, and diffusers' name for it."""

SAMPLERS = {"ddpm": DDPMScheduler, "ddim": DDIMScheduler}
"""DDPM draws noise at each step; DDIM (Song, Meng, Ermon, arXiv 2010.02502), with eta 0, does not."""

Scheduler = DDPMScheduler | DDIMScheduler

Network = Callable[[Tensor, Tensor], Tensor]
"""(state (N, C, H, W), timesteps (N,)) to an output (N, C, H, W), as ``PixelUNet``."""


@dataclass(frozen=True)
class ForwardProcess:
    """From images to noise, and back from what a network says.

    ``signal`` and ``noise``, (1000,), are what x and z are multiplied by at each timestep: taken in float64 from
    diffusers' table, and rounded once. Timesteps are int64 (N,), one an image; all else is float32 (N, C, H, W).
    """

    parameterisation: str
    signal: Tensor
    noise: Tensor

    def state_at(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """x_t, from images and noise of one shape."""
        return _at(self.signal, timesteps) * clean + _at(self.noise, timesteps) * noise

    def target(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What a network should say of ``state_at`` the same."""
        if self.parameterisation == "epsilon":
            return noise
        if self.parameterisation == "x0":
            return clean
        return _at(self.signal, timesteps) * noise - _at(self.noise, timesteps) * clean

    def clean_from(self, output: Tensor, state: Tensor, timesteps: Tensor) -> Tensor:
        """The image that ``output`` means; not clipped."""
        if self.parameterisation == "x0":
            return output
        if self.parameterisation == "epsilon":
            return (state - _at(self.noise, timesteps) * output) / _at(self.signal, timesteps)
        return _at(self.signal, timesteps) * state - _at(self.noise, timesteps) * output

    def noise_from(self, output: Tensor, state: Tensor, timesteps: Tensor) -> Tensor:
        """The noise that ``output`` means."""
        if self.parameterisation == "epsilon":
            return output
        if self.parameterisation == "x0":
            return (state - _at(self.signal, timesteps) * output) / _at(self.noise, timesteps)
        return _at(self.signal, timesteps) * output + _at(self.noise, timesteps) * state


def forward_process(schedule: str, parameterisation: str) -> ForwardProcess:
    """Raises ``RequestError`` for a name that is not known."""
    table = new_scheduler("ddpm", schedule, parameterisation).alphas_cumprod.double()
    return ForwardProcess(parameterisation, table.sqrt().float(), (1 - table).sqrt().float())


def new_scheduler(sampler: str, schedule: str, parameterisation: str, *, clip: bool = True) -> Scheduler:
    """diffusers' scheduler of these names, with trailing timesteps: the first is 999 for any number of steps.

    ``clip`` keeps the image that each step is taken towards in -1 to 1. Raises ``RequestError``.
    """
    given = {"sampler": sampler, "schedule": schedule, "parameterisation": parameterisation}
    for (kind, name), known in zip(given.items(), (SAMPLERS, SCHEDULES, PARAMETERISATIONS), strict=True):
        if name not in known:
            raise RequestError(f"{kind} {name!r} of diffusion is not known; choose from {', '.join(known)}")
    return SAMPLERS[sampler](
        num_train_timesteps=TIMESTEPS,
        prediction_type=PARAMETERISATIONS[parameterisation],  # type: ignore[arg-type]
        clip_sample=clip,
        timestep_spacing="trailing",
        **SCHEDULES[schedule],
    )


@torch.inference_mode()
def sample(
    network: Network,
    scheduler: Scheduler,
    shape: tuple[int, ...],
    timesteps: int | Sequence[int],
    generator: torch.Generator,
) -> Tensor:
    """Noise of ``shape``, stepped from each timestep to the next and from the last to an image.

    ``timesteps`` fall, or are a number of steps, spaced as the scheduler says. The image is on the generator's device,
    and not clipped where the scheduler does not. Raises ``RequestError`` for timesteps that do not lead from noise to
    an image.
    """
    asked = spaced_timesteps(scheduler, timesteps) if isinstance(timesteps, int) else list(timesteps)
    steps = respaced(scheduler, asked)
    # DDIM else steps from where the clipped image is along noise that belongs to the unclipped one.
    arguments: dict[str, Any] = {"use_clipped_model_output": True} if isinstance(steps, DDIMScheduler) else {}
    state = torch.randn(shape, generator=generator, device=generator.device)
    for index, timestep in zip(reversed(range(len(asked))), asked, strict=True):
        output = network(state, torch.full(shape[:1], timestep, device=state.device))
        state = steps.step(output, index, state, generator=generator, return_dict=False, **arguments)[0]
    return state


def spaced_timesteps(scheduler: Scheduler, steps: int) -> list[int]:
    """The timesteps of so many steps, as ``scheduler`` spaces them. Raises ``RequestError`` for none or too many."""
    if not 1 <= steps <= len(scheduler.alphas_cumprod):
        raise RequestError(f"steps must be 1 to {len(scheduler.alphas_cumprod)}, but are {steps}")
    spaced = _like(scheduler)
    spaced.set_timesteps(steps)
    return spaced.timesteps[:steps].tolist()  # numpy.arange rounds: for 62 numbers of steps trailing adds a last -1


def respaced(scheduler: Scheduler, timesteps: Sequence[int]) -> Scheduler:
    """A scheduler of these falling timesteps alone, which it counts down to 0: the last is its 0.

    The step from one leads to the next, as in Nichol and Dhariwal (arXiv 2102.09672, section 4), and from the last to
    the image. diffusers' DDIM on its own steps from t to t - 1000 // N, whichever timestep comes next. Raises
    ``RequestError``.
    """
    _check(timesteps, len(scheduler.alphas_cumprod))
    short = _like(scheduler, num_train_timesteps=len(timesteps), timestep_spacing="trailing")
    short.set_timesteps(len(timesteps))
    # Not by way of betas: one of 1 - 1e-7, as the cosine schedule has, is lost in float32.
    short.alphas_cumprod = scheduler.alphas_cumprod[list(reversed(timesteps))]
    if isinstance(scheduler, DDIMScheduler):
        short.final_alpha_cumprod = scheduler.final_alpha_cumprod
    return short


def _like(scheduler: Scheduler, **changes: Any) -> Any:
    """A new scheduler of the same settings but ``changes``."""
    return type(scheduler).from_config(scheduler.config, **changes)


def _check(timesteps: Sequence[int], count: int) -> None:
    if not timesteps or any(here <= after for here, after in pairwise(timesteps)):
        raise RequestError(f"timesteps must fall from each to the next, but are {list(timesteps)}")
    if timesteps[0] >= count or timesteps[-1] < 0:
        raise RequestError(f"timesteps must lie in 0 to {count - 1}, but are {list(timesteps)}")
    if timesteps[0] < count / 2:
        raise RequestError(
            f"timesteps must begin at {count // 2} or later, but begin at {timesteps[0]}: pure noise would be "
            "taken for an image with a little of it; space them trailing"
        )


def _at(table: Tensor, timesteps: Tensor) -> Tensor:
    return table.to(timesteps.device)[timesteps][:, None, None, None]
