"""A probed table does what the scheduler's own loop does; what no table can do is refused."""

from __future__ import annotations

import copy
import inspect
import json
import sys
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from saccade.errors import RequestError
from saccade.fields import Fields
from saccade.step_table import Floats, StepTable, read_step_table, replay
from saccade_export.step_tables import bridge_table, probe

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # of diffusers under NumPy 2
]

diffusers: Any = pytest.importorskip("diffusers", reason="diffusers is not installed")
DDIMScheduler = diffusers.DDIMScheduler
DDPMScheduler = diffusers.DDPMScheduler
DPMSolverMultistepScheduler = diffusers.DPMSolverMultistepScheduler
EulerAncestralDiscreteScheduler = diffusers.EulerAncestralDiscreteScheduler
EulerDiscreteScheduler = diffusers.EulerDiscreteScheduler
FlowMatchEulerDiscreteScheduler = diffusers.FlowMatchEulerDiscreteScheduler
HeunDiscreteScheduler = diffusers.HeunDiscreteScheduler
LCMScheduler = diffusers.LCMScheduler
TCDScheduler = diffusers.TCDScheduler
UniPCMultistepScheduler = diffusers.UniPCMultistepScheduler

SHAPE = (2, 3, 16, 16)
STEPS = (1, 2, 3, 4, 8)
TRAILING = {"timestep_spacing": "trailing"}
STABLE_DIFFUSION = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
PREDICTIONS = ("epsilon", "sample", "v_prediction")

SCHEDULERS: dict[str, tuple[Any, dict[str, Any], tuple[str, ...]]] = {
    "ddpm": (DDPMScheduler, {"clip_sample": False, **TRAILING}, PREDICTIONS),
    "ddim": (DDIMScheduler, {"clip_sample": False, **TRAILING}, PREDICTIONS),
    "dpm++ 2m": (DPMSolverMultistepScheduler, {}, PREDICTIONS),
    "dpm++ 2m karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True, **STABLE_DIFFUSION}, PREDICTIONS),
    "dpm++ 2m sde": (DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++"}, PREDICTIONS),
    "unipc": (UniPCMultistepScheduler, {}, PREDICTIONS),
    "euler": (EulerDiscreteScheduler, TRAILING, ("epsilon",)),
    "euler ancestral": (EulerAncestralDiscreteScheduler, TRAILING, ("epsilon",)),
    "lcm": (LCMScheduler, {}, PREDICTIONS),
    "tcd": (TCDScheduler, {}, PREDICTIONS),
    "flow matching": (FlowMatchEulerDiscreteScheduler, {}, ("",)),
    "flow matching, shift 3": (FlowMatchEulerDiscreteScheduler, {"shift": 3.0}, ("",)),
}
"""By name: class, settings, predictions. Euler's others are held against its float64 loop, see below."""

CASES = [pytest.param(name, prediction) for name, (_, _, all_) in SCHEDULERS.items() for prediction in all_]
NAMES = [pytest.param(name, all_[0], id=name) for name, (_, _, all_) in SCHEDULERS.items()]


def made(name: str, prediction: str = "") -> Any:
    kind, settings, _ = SCHEDULERS[name]
    return kind(**settings, **({"prediction_type": prediction} if prediction else {}))


def network(state: Floats, time: float) -> Floats:
    return np.tanh(1.3 * state + np.float32(time / 1000))


def given(table: StepTable, seed: int) -> tuple[Floats, list[Floats]]:
    """A start, and the noises that a scheduler draws one after the other from a generator of this seed."""
    generator = torch.Generator().manual_seed(seed)
    noises = [torch.randn(SHAPE, generator=generator).numpy() for _ in range(table.steps)]
    start = table.initial_scale * np.random.default_rng(seed).standard_normal(SHAPE)
    return start.astype(np.float32), noises


def loop(
    scheduler: Any, steps: int, start: Floats, *, sigmas: Any = None, dtype: torch.dtype = torch.float32, seed: int = 0
) -> Floats:
    """Sampling as the documentation of diffusers has it."""
    if sigmas is None:
        scheduler.set_timesteps(steps)
    else:
        scheduler.set_timesteps(sigmas=sigmas)
    draws = "generator" in inspect.signature(scheduler.step).parameters
    more = {"generator": torch.Generator().manual_seed(seed)} if draws else {}
    state = torch.from_numpy(start).to(dtype)
    for time in scheduler.timesteps:
        scale = getattr(scheduler, "scale_model_input", lambda state, _: state)
        output = torch.from_numpy(network(scale(state, time).float().numpy(), float(time))).to(dtype)
        state = scheduler.step(output, time, state, return_dict=False, **more)[0]
    return state.numpy()


def relative(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


class TestParity:
    @pytest.mark.parametrize("steps", STEPS)
    @pytest.mark.parametrize(("name", "prediction"), CASES)
    def test_a_table_does_what_the_loop_does(self, name: str, prediction: str, steps: int) -> None:
        table = probe(made(name, prediction), steps)
        start, noises = given(table, seed=steps)
        expected = loop(made(name, prediction), steps, start, seed=steps)
        assert relative(replay(table, network, start, noises), expected) <= 1e-6

    @pytest.mark.parametrize("steps", STEPS)
    @pytest.mark.parametrize("prediction", ["sample", "v_prediction"])
    def test_where_euler_in_float32_cancels_the_table_is_nearer_to_its_float64_loop(
        self, prediction: str, steps: int
    ) -> None:
        # Given Euler steps that take an image of size 1 out of a start of size 157, all digits of which go.
        table = probe(EulerDiscreteScheduler(prediction_type=prediction, **TRAILING), steps)
        start, _ = given(table, seed=steps)
        exact, coarse = (
            loop(EulerDiscreteScheduler(prediction_type=prediction, **TRAILING), steps, start, dtype=dtype)
            for dtype in (torch.float64, torch.float32)
        )
        # Then it is the scheduler's own loop that is off.
        found = relative(replay(table, network, start), exact)
        assert found <= 1e-6
        if steps == 1:
            assert relative(coarse, exact) > 10 * found

    @pytest.mark.parametrize("steps", [2, 4])
    @pytest.mark.parametrize("sigmas", [(1.0, 0.5), (1.0, 0.9, 0.4, 0.1)])
    def test_explicit_sigmas_give_their_own_times(self, sigmas: tuple[float, ...], steps: int) -> None:
        if len(sigmas) != steps:
            with pytest.raises(RequestError, match=f"for steps={steps} .* would do so {len(sigmas)} times"):
                probe(FlowMatchEulerDiscreteScheduler(), steps, sigmas=sigmas)
            return
        table = probe(FlowMatchEulerDiscreteScheduler(), steps, sigmas=sigmas)
        assert table.times == pytest.approx([1000 * sigma for sigma in sigmas])
        start, _ = given(table, seed=0)
        expected = loop(FlowMatchEulerDiscreteScheduler(), steps, start, sigmas=list(sigmas))
        assert relative(replay(table, network, start), expected) <= 1e-6

    @pytest.mark.parametrize("steps", [2, 4])
    @pytest.mark.parametrize(("name", "prediction"), NAMES)
    def test_a_table_a_little_off_does_not(self, name: str, prediction: str, steps: int) -> None:
        table = probe(made(name, prediction), steps)
        start, noises = given(table, seed=steps)
        expected = loop(made(name, prediction), steps, start, seed=steps)
        last = list(table.rows[-1])
        last[0] += 1e-4 * max(map(abs, last))
        other = replace(table, rows=(*table.rows[:-1], tuple(last)))
        assert relative(replay(other, network, start, noises), expected) > 1e-5

    @pytest.mark.parametrize("name", ["ddpm", "dpm++ 2m sde", "euler ancestral", "lcm", "tcd"])
    def test_other_noise_does_not(self, name: str) -> None:
        table = probe(made(name), 4)
        assert table.takes_noise
        start, noises = given(table, seed=0)
        expected = loop(made(name), 4, start, seed=0)
        assert relative(replay(table, network, start, noises), expected) <= 1e-6
        for others in (noises[::-1], given(table, seed=1)[1]):
            assert relative(replay(table, network, start, others), expected) > 1e-3

    def test_a_table_of_another_spacing_does_not(self) -> None:
        tables = [
            probe(DDIMScheduler(clip_sample=False, timestep_spacing=spacing), 4)
            for spacing in ("trailing", "leading", "linspace")
        ]
        start, _ = given(tables[0], seed=0)
        expected = loop(made("ddim"), 4, start)
        matches = [relative(replay(table, network, start), expected) <= 1e-6 for table in tables]
        assert matches == [True, False, False]


class TestTable:
    @pytest.mark.parametrize(
        ("name", "times"),
        [
            ("ddpm", (999, 749, 499, 249)),
            ("ddim", (999, 749, 499, 249)),
            ("dpm++ 2m", (999, 749, 500, 250)),
            ("dpm++ 2m karras", (999, 687, 146, 0)),
            ("euler", (999, 749, 499, 249)),
            ("lcm", (999, 759, 499, 259)),
            ("tcd", (999, 759, 499, 259)),
            ("flow matching", (1000, 667, 334, 1)),
        ],
    )
    def test_known_times(self, name: str, times: tuple[int, ...]) -> None:
        assert probe(made(name), 4).times == pytest.approx(times)

    def test_euler_scales_its_start_and_what_the_network_sees(self) -> None:
        table = probe(EulerDiscreteScheduler(**TRAILING, **STABLE_DIFFUSION), 4)
        sigmas = np.array([14.6146, 4.0817, 1.6129, 0.6932])  # of Stable Diffusion at 999, 749, 499, 249
        assert table.initial_scale == pytest.approx(sigmas[0], abs=1e-4)
        np.testing.assert_allclose(table.input_scales, (sigmas**2 + 1) ** -0.5, atol=1e-4)
        assert probe(made("ddim"), 2).input_scales == (1.0, 1.0)

    @pytest.mark.parametrize("name", ["ddpm", "ddim", "dpm++ 2m", "lcm"])
    def test_the_last_step_of_a_network_that_tells_the_image_is_that_image(self, name: str) -> None:
        table = probe(made(name, "sample"), 4)
        expected = np.zeros(9)
        expected[4] = 1
        np.testing.assert_allclose(table.rows[-1], expected, atol=1e-6)

    def test_noise_that_nobody_would_see_is_none(self) -> None:
        # DDPM holds its variance above 1e-20, so its last step adds 1e-10 of noise.
        assert not probe(made("ddpm"), 1).takes_noise
        table = probe(made("ddpm"), 4)
        assert [any(row[5:]) for row in table.rows] == [True] * 4
        assert table.rows[-1][-1] == 0
        for name in ("ddim", "dpm++ 2m", "euler", "flow matching"):
            assert not probe(made(name), 4).takes_noise

    def test_wasted_steps_are_kept(self) -> None:
        assert probe(made("flow matching"), 2).times == pytest.approx([1000, 1])
        assert probe(made("dpm++ 2m karras"), 2).times == (999, 0)
        times = probe(made("dpm++ 2m karras"), 50).times
        assert any(time == following for time, following in pairwise(times))

    @pytest.mark.parametrize(("name", "prediction"), NAMES)
    def test_what_is_written_can_be_read(self, name: str, prediction: str) -> None:
        for steps in (1, 4, 50):
            table = probe(made(name, prediction), steps)
            assert read_step_table(Fields(json.loads(json.dumps(asdict(table))), "table")) == table

    def test_a_scheduler_stays_as_it_is_even_in_the_middle(self) -> None:
        table = probe(made("dpm++ 2m"), 4)
        scheduler = made("dpm++ 2m")
        start, _ = given(table, seed=0)
        expected = loop(copy.deepcopy(scheduler), 4, start)
        scheduler.set_timesteps(4)
        state = torch.from_numpy(start)
        for time in scheduler.timesteps:
            assert probe(scheduler, 4) == table
            output = torch.from_numpy(network(state.numpy(), float(time)))
            state = scheduler.step(output, time, state, return_dict=False)[0]
        np.testing.assert_array_equal(state.numpy(), expected)

    def test_schedulers_draw_their_own_noise_afterwards(self) -> None:
        module = sys.modules[LCMScheduler.__module__]
        drawn = module.randn_tensor
        probe(made("lcm"), 4)
        with pytest.raises(RequestError):
            probe(DrawsTwice(), 4)
        assert module.randn_tensor is drawn


class Curved(DDIMScheduler):
    def step(self, model_output: Any, timestep: Any, sample: Any, **more: Any) -> Any:
        (state, *_) = super().step(model_output, timestep, sample, **more)
        return (state + 1e-3 * state.square(),)


class Shifted(DDIMScheduler):
    def step(self, model_output: Any, timestep: Any, sample: Any, **more: Any) -> Any:
        (state, *_) = super().step(model_output, timestep, sample, **more)
        return (state + 0.01,)


class Mixing(DDIMScheduler):
    """Each image of a batch depends on the others."""

    def step(self, model_output: Any, timestep: Any, sample: Any, **more: Any) -> Any:
        (state, *_) = super().step(model_output, timestep, sample, **more)
        return (state - 0.01 * state.mean(0, keepdim=True),)


class OwnNoise(DDIMScheduler):
    def step(self, model_output: Any, timestep: Any, sample: Any, **more: Any) -> Any:
        (state, *_) = super().step(model_output, timestep, sample, **more)
        return (state + 0.01 * torch.randn(state.shape, generator=torch.Generator().manual_seed(0)),)


class CurvedInput(DDIMScheduler):
    def scale_model_input(self, sample: Any, timestep: Any = None) -> Any:
        return sample + 0.01 * sample.square()


class DrawsTwice(LCMScheduler):
    def step(self, model_output: Any, timestep: Any, sample: Any, **more: Any) -> Any:
        sys.modules[LCMScheduler.__module__].randn_tensor(sample.shape)
        return super().step(model_output, timestep, sample, **more)


class TestRefusals:
    @pytest.mark.parametrize("steps", [0, -1, 51, 1000])
    def test_steps_have_a_range(self, steps: int) -> None:
        for ask in (lambda: probe(made("ddim"), steps), lambda: bridge_table(steps)):
            with pytest.raises(RequestError, match=f"steps must be 1 to 50, but got {steps}"):
                ask()
        for times in ((), (1.0,) * 51):
            with pytest.raises(RequestError, match=f"steps must be 1 to 50, but got {len(times)}"):
                bridge_table(times)

    @pytest.mark.parametrize("kind", [DDPMScheduler, DDIMScheduler])
    def test_clipping_is_refused(self, kind: Any) -> None:
        with pytest.raises(RequestError, match=r"clip_sample=True .* clips .* not linear; make it with clip_sample=F"):
            probe(kind(), 2)

    @pytest.mark.parametrize("kind", [DDIMScheduler, DPMSolverMultistepScheduler, LCMScheduler])
    def test_thresholding_is_refused(self, kind: Any) -> None:
        scheduler = kind.from_config({"clip_sample": False, "thresholding": True})
        with pytest.raises(RequestError, match=r"thresholding=True .* by a quantile .* make it with thresholding=F"):
            probe(scheduler, 2)

    def test_learned_noise_is_refused(self) -> None:
        with pytest.raises(RequestError, match=r"variance_type='learned_range' .* make it with .*'fixed_small'"):
            probe(DDPMScheduler(clip_sample=False, variance_type="learned_range"), 2)

    @pytest.mark.parametrize(
        "scheduler",
        [DDPMScheduler(clip_sample=False), DDIMScheduler(clip_sample=False), EulerDiscreteScheduler()],
        ids=["ddpm leading", "ddim leading", "euler linspace"],
    )
    def test_a_schedule_from_a_clean_image_is_refused(self, scheduler: Any) -> None:
        with pytest.raises(RequestError, match=r"steps=1 .* begin at time 0 of 1000.*timestep_spacing='trailing'"):
            probe(scheduler, 1)
        assert probe(scheduler, 2).steps == 2
        trailing = type(scheduler).from_config(scheduler.config, timestep_spacing="trailing")
        assert probe(trailing, 1).times == (999,)

    @pytest.mark.parametrize(
        "scheduler",
        [
            diffusers.EDMEulerScheduler(),
            EulerDiscreteScheduler(
                timestep_type="continuous", sigma_min=0.002, sigma_max=700.0, prediction_type="v_prediction",
                use_karras_sigmas=True, timestep_spacing="leading",
            ),
        ],
        ids=["edm", "stable video diffusion"],
    )  # fmt: skip
    def test_times_that_are_no_indices_say_nothing_of_the_start(self, scheduler: Any) -> None:
        assert probe(scheduler, 3).steps == 3

    def test_another_loop_is_refused(self) -> None:
        with pytest.raises(RequestError, match=r"cannot be probed: its loop is not set_timesteps.* \(TypeError: "):
            probe(diffusers.CogVideoXDPMScheduler(clip_sample=False), 4)

    def test_sigmas_from_a_clean_image_are_refused(self) -> None:
        with pytest.raises(RequestError, match=r"begin at time 400 of 1000.*choose larger sigmas"):
            probe(made("flow matching"), 2, sigmas=[0.4, 0.1])

    @pytest.mark.parametrize("kind", [Curved, Shifted, OwnNoise, CurvedInput, Mixing])
    def test_a_step_that_is_no_weighted_sum_is_found(self, kind: Any) -> None:
        with pytest.raises(RequestError, match=rf"step of {kind.__name__} is not linear: .* miss it by"):
            probe(kind(clip_sample=False), 4)

    def test_two_noises_in_a_step_are_refused(self) -> None:
        with pytest.raises(RequestError, match="one noise a step, but DrawsTwice draws more"):
            probe(DrawsTwice(), 4)

    def test_two_evaluations_in_a_step_are_refused(self) -> None:
        with pytest.raises(RequestError, match="once a step, but for steps=4 HeunDiscreteScheduler would do so 7 time"):
            probe(HeunDiscreteScheduler(), 4)

    def test_noise_alone_at_zero_terminal_snr_is_refused(self) -> None:
        settings = {"clip_sample": False, "rescale_betas_zero_snr": True, **TRAILING}
        with pytest.raises(RequestError, match=r"not finite .* choose prediction_type='v_prediction'"):
            probe(DDIMScheduler(**settings), 2)
        assert probe(DDIMScheduler(**settings, prediction_type="v_prediction"), 2).steps == 2

    def test_what_the_scheduler_refuses_is_refused_in_its_words(self) -> None:
        with pytest.raises(RequestError, match=r"LCMScheduler as it is set refuses steps=8: .*original_steps"):
            probe(LCMScheduler(original_inference_steps=4), 8)
        with pytest.raises(RequestError, match=r"EulerAncestral.* refuses steps=2: prediction_type not implemented"):
            probe(EulerAncestralDiscreteScheduler(prediction_type="sample"), 2)
        with pytest.raises(RequestError, match="DDIMScheduler takes no sigmas; leave them out"):
            probe(made("ddim"), 2, sigmas=[1.0, 0.5])


class TestEquivalences:
    @pytest.mark.parametrize("steps", [1, 2])
    @pytest.mark.parametrize("prediction", PREDICTIONS)
    def test_dpm_solver_is_ddim_for_at_most_two_steps(self, prediction: str, steps: int) -> None:
        """The first and the last step of DPM-Solver++ 2M are of first order, which is DDIM."""
        one = probe(DPMSolverMultistepScheduler(prediction_type=prediction, **TRAILING), steps)
        other = probe(made("ddim", prediction), steps)
        assert one.times == other.times
        start, _ = given(one, seed=steps)
        assert relative(replay(one, network, start), replay(other, network, start)) <= 1e-6

    def test_dpm_solver_is_not_ddim_for_three(self) -> None:
        one, other = probe(DPMSolverMultistepScheduler(**TRAILING), 4), probe(made("ddim"), 4)
        start, _ = given(one, seed=0)
        assert relative(replay(one, network, start), replay(other, network, start)) > 1e-3

    @pytest.mark.parametrize("steps", [1, 2, 4, 5, 8, 10])
    def test_euler_is_ddim_from_a_scaled_start(self, steps: int) -> None:
        """x of Euler is x of DDIM over sqrt(alpha), which is sqrt(sigma_max² + 1) at the start and 1 at the end."""
        euler, ddim = probe(made("euler"), steps), probe(made("ddim"), steps)
        assert euler.times == ddim.times
        start, _ = given(ddim, seed=steps)
        scaled = start * np.float32((euler.initial_scale**2 + 1) ** 0.5)
        assert relative(replay(euler, network, scaled), replay(ddim, network, start)) <= 1e-6

    def test_euler_is_not_ddim_where_steps_do_not_divide_the_times(self) -> None:
        """DDIM goes from 666 to 333, though its next time is 332."""
        euler, ddim = probe(made("euler"), 3), probe(made("ddim"), 3)
        start, _ = given(ddim, seed=3)
        scaled = start * np.float32((euler.initial_scale**2 + 1) ** 0.5)
        assert relative(replay(euler, network, scaled), replay(ddim, network, start)) > 1e-5


class TestBridge:
    @pytest.mark.parametrize("times", [1, 2, 3, 4, 8, (1.0,), (1.0, 0.7, 0.1), (1.0, 0.999, 1e-3)])
    def test_a_bridge_steps_by_its_formula_and_as_flow_matching(self, times: Any) -> None:
        table = bridge_table(times)
        chosen = table.times
        assert chosen == times if isinstance(times, tuple) else chosen == tuple(1 - k / times for k in range(times))
        degraded, _ = given(table, seed=table.steps)
        assert (table.initial_scale, table.takes_noise) == (1.0, False)
        found = replay(table, lambda state, time: network(state, 1000 * time), degraded)
        state = degraded.astype(np.float64)
        for time, following in zip(chosen, (*chosen[1:], 0.0), strict=True):
            state = state - (time - following) * network(state.astype(np.float32), 1000 * time)
        assert relative(found, state) <= 1e-6
        flow = loop(FlowMatchEulerDiscreteScheduler(shift=1.0), table.steps, degraded, sigmas=list(chosen))
        assert relative(found, flow) <= 1e-6
        probed = probe(FlowMatchEulerDiscreteScheduler(shift=1.0), table.steps, sigmas=chosen)
        np.testing.assert_allclose(table.rows, probed.rows, atol=1e-7)
        assert probed.times == pytest.approx([1000 * time for time in chosen])

    def test_a_bridge_of_other_times_does_not(self) -> None:
        degraded, _ = given(bridge_table(2), seed=0)
        flow = loop(FlowMatchEulerDiscreteScheduler(shift=1.0), 2, degraded, sigmas=[1.0, 0.5])
        other = replay(bridge_table((1.0, 0.51)), lambda state, time: network(state, 1000 * time), degraded)
        assert relative(other, flow) > 1e-4

    @pytest.mark.parametrize(
        "times", [(0.9, 0.5), (1.0, 0.5, 0.5), (1.0, 0.2, 0.4), (1.0, 0.0), (1.0, -0.5), (1.5, 1.0), (1.0, np.nan)]
    )
    def test_times_fall_from_one(self, times: tuple[float, ...]) -> None:
        with pytest.raises(RequestError, match="must fall from 1 and stay above 0, but are"):
            bridge_table(times)
