"""Step tables: a bridge's by its formula, a scheduler's of diffusers by probing, so that the runtime needs neither.

A scheduler's own loop is walked with unit vectors in place of the start, of each output and of each noise. What it
makes of them are the weights of ``saccade.step_table.StepTable``. A second walk, with random numbers, must agree.

The table is what diffusers does, as it does it. DDIM takes 1000 // steps as the distance to the next time whatever the
list of times says, so where steps do not divide 1000 its last step ends short of the clean image.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from saccade.errors import RequestError
from saccade.step_table import LARGEST_NUMBER, MAX_STEPS, StepTable

TOLERANCE = 1e-5
"""How far the table may be from the scheduler on random numbers, as a share of the largest value."""

INVISIBLE = 1e-9
"""Shares below this are lost in float32's rounding, 6e-8."""

NOT_LINEAR = {
    "clip_sample": ((True,), "clips its estimate of the image", "clip_sample=False"),
    "thresholding": ((True,), "scales its estimate of the image by a quantile of it", "thresholding=False"),
    "variance_type": (
        ("learned", "learned_range"),
        "takes the strength of its noise from the network",
        "variance_type='fixed_small'",
    ),
}
"""Settings with which a step is no weighted sum: their values, what a scheduler does then, what to set instead."""


class Scheduler(Protocol):
    """What every scheduler of diffusers has. Some also scale the network's input, or have a scale of initial noise."""

    @property
    def config(self) -> Mapping[str, Any]: ...

    @property
    def timesteps(self) -> Tensor: ...

    @property
    def set_timesteps(self) -> Callable[..., None]: ...

    @property
    def step(self) -> Callable[..., Any]: ...


def probe(scheduler: Scheduler, steps: int, *, sigmas: Sequence[float] | None = None) -> StepTable:
    """The table of a scheduler for 1 to 50 steps, its times as in ``scheduler.timesteps``. It is probed on copies.

    ``sigmas`` are explicit noise levels for schedulers that take some, falling from the start on. Numbers are float64
    where the scheduler lets them be. Raises ``RequestError`` for a step that is not linear, that evaluates the network
    more than once or that draws noise more than once, and for a schedule that begins at a nearly clean image.

    Not safe beside another thread that samples with diffusers: noise is intercepted in its modules.
    """
    _check_request(scheduler, steps)
    try:
        ready = _prepared(scheduler, steps, sigmas)
        _check_schedule(ready, steps)
        table = _read_off(ready)
        _prove(table, _prepared(scheduler, steps, sigmas))
    except (ValueError, NotImplementedError) as error:
        raise RequestError(f"{_name(scheduler)} as it is set refuses steps={steps}: {error}") from error
    except (TypeError, KeyError, AttributeError, IndexError, ZeroDivisionError, RuntimeError) as error:
        raise RequestError(
            f"{_name(scheduler)} cannot be probed: its loop is not set_timesteps(steps), then step(output, time, "
            f"state) for each time ({type(error).__name__}: {error})"
        ) from error
    return table


def bridge_table(times: int | Sequence[float]) -> StepTable:
    """The table of a bridge from a degraded image at t = 1 to the clean one at 0: x_{k+1} = x_k - (t_k - t_{k+1}) v_k.

    ``times`` is the number of equal steps, or t_0 = 1 > t_1 > … > 0; the end, 0, is not among them. The network is told
    these times as they are.

    The same as flow matching with explicit sigmas: FlowMatchEulerDiscreteScheduler of shift 1 steps to
    x + (sigma_{k+1} - sigma_k) o. The bridge puts the degraded image where flow matching has noise, its velocity
    v = y - x is the output o, and t is sigma; diffusers would tell the network 1000 t.
    Sources: InDI (Delbracio and Milanfar 2023, section 3), rectified flow (Liu et al. 2023).
    Raises ``RequestError`` for other than 1 to 50 steps and for times that do not fall so.
    """
    steps = times if isinstance(times, int) else len(times)
    _check_steps(steps)
    chosen = tuple(1 - k / steps for k in range(steps)) if isinstance(times, int) else tuple(map(float, times))
    falls = [time - following for time, following in itertools.pairwise((*chosen, 0.0))]
    if chosen[0] != 1 or not all(fall > 0 for fall in falls):
        raise RequestError(f"the times of a bridge must fall from 1 and stay above 0, but are {chosen}")
    rows = tuple(
        (1.0, *(-fall if taken <= step else 0.0 for taken, fall in enumerate(falls)), *(0.0,) * steps)
        for step in range(steps)
    )
    return StepTable(times=chosen, input_scales=(1.0,) * steps, rows=rows, initial_scale=1.0)


def _check_request(scheduler: Scheduler, steps: int) -> None:
    _check_steps(steps)
    for setting, (values, does, remedy) in NOT_LINEAR.items():
        if scheduler.config.get(setting) in values:
            raise RequestError(
                f"a step table holds weights of sums, but with {setting}={scheduler.config[setting]!r} "
                f"{_name(scheduler)} {does}, which is not linear; make it with {remedy}"
            )


def _check_steps(steps: int) -> None:
    if not 1 <= steps <= MAX_STEPS:
        raise RequestError(f"steps must be 1 to {MAX_STEPS}, but got {steps}")


def _prepared(scheduler: Scheduler, steps: int, sigmas: Sequence[float] | None) -> Scheduler:
    """A copy of the scheduler, ready for its first step."""
    ready = copy.deepcopy(scheduler)
    if sigmas is None:
        ready.set_timesteps(steps)
    elif "sigmas" in inspect.signature(ready.set_timesteps).parameters:
        ready.set_timesteps(sigmas=list(sigmas))
    else:
        raise RequestError(f"{_name(scheduler)} takes no sigmas; leave them out")
    set_begin_index = getattr(ready, "set_begin_index", None)
    if set_begin_index is not None:
        set_begin_index(0)  # where the first time comes twice, a search for it would find the second
    return ready


def _check_schedule(scheduler: Scheduler, steps: int) -> None:
    name, evaluations = _name(scheduler), len(scheduler.timesteps)
    if evaluations != steps:
        raise RequestError(
            f"a step table evaluates the network once a step, but for steps={steps} {name} would do so {evaluations} "
            "times; choose a scheduler of first order or a multistep one, and where you give sigmas, as many as steps"
        )
    if _begins_nearly_clean(scheduler):
        first, last = float(scheduler.timesteps[0]), scheduler.config["num_train_timesteps"]
        remedy = "timestep_spacing='trailing'" if "timestep_spacing" in scheduler.config else "larger sigmas"
        raise RequestError(
            f"for steps={steps} {name} would begin at time {first:g} of {last}, where an image is nearly clean: "
            f"noise would stay noise; choose {remedy}"
        )


def _begins_nearly_clean(scheduler: Scheduler) -> bool:
    """Whether the first state is more image than noise.

    Where there are sigmas, noise over image, the first of them says so; in flow matching, and where there are none, the
    first time does. Times that go from 1 down are shares of all of them.
    """
    sigmas = getattr(scheduler, "sigmas", None)
    if sigmas is not None and "FlowMatch" not in _name(scheduler) and not scheduler.config.get("use_flow_sigmas"):
        return float(sigmas[0]) < 1
    first = float(scheduler.timesteps[0])
    return first < (scheduler.config["num_train_timesteps"] if first > 1 else 1) / 2


def _read_off(scheduler: Scheduler) -> StepTable:
    """The table, from a walk in which entry i of each batch is the weight of the i-th of (start, outputs, noises)."""
    steps = len(scheduler.timesteps)
    width = 1 + 2 * steps
    units = torch.eye(width, dtype=torch.float64).reshape(width, width, 1, 1, 1)
    inputs, states = _walk(scheduler, units)
    initial_scale = float(getattr(scheduler, "init_noise_sigma", 1.0))
    weights = torch.stack(states[1:]).reshape(steps, width)
    if not bool((weights.abs() <= LARGEST_NUMBER).all()):
        raise RequestError(
            f"weights of {_name(scheduler)} are not finite or above {LARGEST_NUMBER:g}; at zero terminal SNR "
            "noise tells nothing of the image: choose prediction_type='v_prediction'"
        )
    return StepTable(
        times=tuple(float(time) for time in scheduler.timesteps),
        input_scales=tuple(_scale(seen, state) for seen, state in zip(inputs, states, strict=False)),
        rows=tuple(_visible(row, initial_scale) for row in weights),
        initial_scale=initial_scale,
    )


def _scale(seen: Tensor, state: Tensor) -> float:
    at = state.abs().argmax()
    return float(seen.flatten()[at] / state.flatten()[at])


def _visible(row: Tensor, initial_scale: float) -> tuple[float, ...]:
    """The row without weights that vanish in float32 beside the others: where DDPM means no noise, it adds 1e-10."""
    reach = row.abs()
    reach[0] *= initial_scale
    return tuple(torch.where(reach > INVISIBLE * reach.max(), row, 0.0).tolist())


def _prove(table: StepTable, scheduler: Scheduler) -> None:
    """Hold the table against the scheduler on random numbers. Raises ``RequestError`` where they disagree."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(1 + 2 * table.steps, 2, 3, 4, 4, generator=generator, dtype=torch.float64)
    basis[0] *= table.initial_scale
    inputs, states = _walk(scheduler, basis)
    expected = torch.from_numpy(np.tensordot(table.rows, basis.numpy(), 1))
    pairs = [
        *zip(states[1:], expected, strict=True),
        *((seen, scale * state) for seen, scale, state in zip(inputs, table.input_scales, states, strict=False)),
    ]
    worst = max(float((found - told).abs().max() / found.abs().max()) for found, told in pairs)
    if not worst <= TOLERANCE:
        raise RequestError(
            f"a step of {_name(scheduler)} is not linear: on random numbers weights of sums miss it by {worst:.2g} "
            f"of its largest value (at most {TOLERANCE:g}); choose one without clipping and without noise of its own"
        )


def _walk(scheduler: Scheduler, basis: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The scheduler's own loop over (start, outputs, noises): what the network would see, and x_0, x_1, ..."""
    steps = len(scheduler.timesteps)
    scale = getattr(scheduler, "scale_model_input", _unscaled)
    inputs, states = list[Tensor](), [basis[0]]
    for step, time in enumerate(scheduler.timesteps):
        inputs.append(scale(states[-1], time))
        with _drawing(scheduler, basis[1 + steps + step]):
            states.append(scheduler.step(basis[1 + step], time, states[-1], return_dict=False)[0].double())
    return inputs, states


def _unscaled(state: Tensor, _time: Tensor) -> Tensor:
    return state


@contextmanager
def _drawing(scheduler: Scheduler, noise: Tensor) -> Generator[None]:
    """While this is open, ``noise`` is what the scheduler draws, once."""
    left = [noise]

    def draw(*_: Any, dtype: torch.dtype = noise.dtype, **__: Any) -> Tensor:
        if not left:
            raise RequestError(
                f"a step table has one noise a step, but {_name(scheduler)} draws more in one; choose another"
            )
        return left.pop().to(dtype)

    modules = {sys.modules[base.__module__] for base in type(scheduler).__mro__}
    originals = {module: vars(module)["randn_tensor"] for module in modules if "randn_tensor" in vars(module)}
    try:
        for module in originals:
            vars(module)["randn_tensor"] = draw
        yield
    finally:
        for module, original in originals.items():
            vars(module)["randn_tensor"] = original


def _name(scheduler: Scheduler) -> str:
    return type(scheduler).__name__
