"""Few-step sampling as plain numbers: each state is a weighted sum of the start, the network's outputs and noises.

With a fixed number of steps and no clipping, the step of DDPM (Ho et al. 2020), DDIM (Song et al. 2021),
DPM-Solver++ (Lu et al. 2022), Euler (Karras et al. 2022), LCM (Luo et al. 2023), TCD (Zheng et al. 2024) and of flow
matching (Lipman et al. 2023) is linear in all that it is given. So a table replays it, and no scheduler is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from saccade.errors import RequestError
from saccade.fields import Fields

MAX_STEPS = 50
EARLIEST_TIME, LATEST_TIME = -1.0, 2000.0
"""Times are training steps, mostly 0 to 1000, or a share from 0 to 1."""

LARGEST_NUMBER = 1e6
"""Of weights and scales. Noise at zero terminal SNR, the largest in use, is 4096 times the unit."""

Floats = npt.NDArray[np.float32]
Network = Callable[[Floats, float], Floats]
"""Takes a scaled state and its time, gives an output of the state's shape: a new array, for all are kept to the end."""


@dataclass(frozen=True)
class StepTable:
    """``steps`` rows that lead from a start x_0 over x_1, x_2, ... to the result.

    At step k the network is told ``times[k]`` and sees ``input_scales[k] * x_k``. ``rows[k]`` are the weights of the
    start, the outputs of all steps and the noises of all steps, 1 + 2 * steps numbers in this order, whose sum is
    x_{k+1}. ``initial_scale`` is what unit noise is multiplied by to be a start.
    """

    times: tuple[float, ...]
    input_scales: tuple[float, ...]
    rows: tuple[tuple[float, ...], ...]
    initial_scale: float

    @property
    def steps(self) -> int:
        return len(self.times)

    @property
    def takes_noise(self) -> bool:
        return any(weight != 0 for row in self.rows for weight in row[1 + self.steps :])


def replay(table: StepTable, network: Network, start: Floats, noises: Sequence[Floats] = ()) -> Floats:
    """The result of all steps from ``start``, float32 of any shape.

    ``noises`` are unit normal, one array like ``start`` for each step, where the table takes noise; others ignore them.
    Sums are float32, which is enough: up to 8 steps they are within 7e-7 of the largest value of what diffusers gives,
    and float64 sums are no nearer. Raises ``RequestError`` for arrays that do not fit.
    """
    _check_given(table, start, noises)
    outputs: list[Floats] = []
    state = start
    for time, scale, row in zip(table.times, table.input_scales, table.rows, strict=True):
        output = network(scale * state, time)
        _check_array("the network's output", output, start)
        outputs.append(output)
        weights = row[0], *row[1 : 1 + len(outputs)], *row[1 + table.steps :]
        state = _weighted_sum(weights, (start, *outputs, *noises))
    return state


def _weighted_sum(weights: Sequence[float], arrays: Sequence[Floats]) -> Floats:
    total = np.zeros_like(arrays[0])
    for weight, array in zip(weights, arrays, strict=False):  # without noises their weights are zero
        if weight:
            total += weight * array
    return total


def _check_given(table: StepTable, start: Floats, noises: Sequence[Floats]) -> None:
    _check_array("the start", start, start)
    if table.takes_noise and len(noises) != table.steps:
        raise RequestError(
            f"this sampler adds noise and takes one array a step, {table.steps}, but got {len(noises)}; "
            "give unit normal noise of the start's shape for every step"
        )
    for step, noise in enumerate(noises):
        _check_array(f"the noise of step {step}", noise, start)


def _check_array(name: str, array: Floats, start: Floats) -> None:
    if array.dtype != np.float32 or array.shape != start.shape:
        raise RequestError(f"{name} must be float32 {start.shape}, but is {array.dtype} {array.shape}")


def read_step_table(fields: Fields) -> StepTable:
    """The table in ``fields``, as ``dataclasses.asdict`` wrote it. Raises ``BundleError`` that names the field."""
    times = fields.number_list("times", 1, MAX_STEPS)
    steps = len(times)
    table = StepTable(
        times=times,
        input_scales=fields.numbers("input_scales", steps),
        rows=fields.number_rows("rows", steps, 1 + 2 * steps),
        initial_scale=fields.number("initial_scale"),
    )
    fields.finish()
    if not all(EARLIEST_TIME <= time <= LATEST_TIME for time in times):
        raise fields.refusal("times", f"must be {EARLIEST_TIME:g} to {LATEST_TIME:g}, but are {times}")
    for name, scales in (("input_scales", table.input_scales), ("initial_scale", (table.initial_scale,))):
        if not all(0 < scale <= LARGEST_NUMBER for scale in scales):
            raise fields.refusal(name, f"must be above 0 and at most {LARGEST_NUMBER:g}")
    for step, row in enumerate(table.rows):
        _check_row(fields, step, row, steps)
    return table


def _check_row(fields: Fields, step: int, row: tuple[float, ...], steps: int) -> None:
    if max(map(abs, row)) > LARGEST_NUMBER:
        raise fields.refusal(f"rows.{step}", f"must hold weights within ±{LARGEST_NUMBER:g}")
    later = row[2 + step : 1 + steps] + row[2 + step + steps :]
    if any(later):
        raise fields.refusal(f"rows.{step}", f"must not use outputs or noises of steps after {step}")
