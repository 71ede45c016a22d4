"""Diffusion against diffusers' own schedulers, against formulas, and where the best network is known."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor

from saccade.errors import RequestError
from saccade_models.diffusion import (
    PARAMETERISATIONS,
    SCHEDULES,
    TIMESTEPS,
    Network,
    Scheduler,
    forward_process,
    new_scheduler,
    respaced,
    sample,
    spaced_timesteps,
)

pytestmark = pytest.mark.torch

SHAPE = (4, 1, 6, 6)
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES)
every_parameterisation = pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(seed: int = 0) -> Tensor:
    return torch.randn(SHAPE, generator=seeded(seed))


def clean() -> Tensor:
    return torch.rand(SHAPE, generator=seeded(1)) * 2 - 1


def some_network(state: Tensor, timesteps: Tensor) -> Tensor:
    """Of both inputs, and not linear in them."""
    return torch.tanh(0.7 * state + 0.3) * (1 + timesteps[:, None, None, None] / TIMESTEPS)


@pytest.mark.parametrize(
    ("schedule", "golden"),
    [
        ("linear", {0: 0.999899983, 1: 0.999780059, 499: 0.0785872340, 999: 4.03583035e-5}),
        ("scaled-linear", {0: 0.999149978, 1: 0.998296022, 499: 0.277669430, 999: 0.00466009509}),
        ("cosine", {999: 2.42873e-9}),
    ],
)
def test_tables_hold_the_known_numbers(schedule: str, golden: dict[int, float]) -> None:
    process = forward_process(schedule, "epsilon")
    assert process.signal.shape == process.noise.shape == (TIMESTEPS,)
    assert process.signal.dtype == process.noise.dtype == torch.float32
    for timestep, share in golden.items():
        assert process.signal[timestep].item() ** 2 == pytest.approx(share, rel=2e-6)
        assert process.noise[timestep].item() ** 2 == pytest.approx(1 - share, rel=1e-3)


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [
        ("linear", DDPMScheduler()),
        ("scaled-linear", DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)),
        ("cosine", DDPMScheduler(beta_schedule="squaredcos_cap_v2")),
    ],
)
def test_the_forward_process_is_diffusers_own(schedule: str, theirs: DDPMScheduler) -> None:
    process, timesteps = forward_process(schedule, "v"), torch.tensor([0, 250, 700, 999])
    torch.testing.assert_close(process.signal.double() ** 2, theirs.alphas_cumprod.double(), rtol=1e-6, atol=0)
    state, target = (of(clean(), noise(), timesteps) for of in (process.state_at, process.target))
    wanted = theirs.add_noise(clean(), noise(), timesteps)  # type: ignore[arg-type]
    velocity = theirs.get_velocity(clean(), noise(), timesteps)  # type: ignore[arg-type]
    torch.testing.assert_close(state, wanted)
    torch.testing.assert_close(target, velocity)
    assert not torch.allclose(state, wanted.flip(0), atol=0.1)
    assert not torch.allclose(target, velocity.flip(0), atol=0.1)


@every_schedule
@every_parameterisation
def test_image_and_noise_come_back_from_the_target(schedule: str, parameterisation: str) -> None:
    process, timesteps = forward_process(schedule, parameterisation), torch.tensor([20, 250, 500, 800])
    state, target = (of(clean(), noise(), timesteps) for of in (process.state_at, process.target))
    torch.testing.assert_close(process.clean_from(target, state, timesteps), clean(), rtol=0, atol=2e-5)
    torch.testing.assert_close(process.noise_from(target, state, timesteps), noise(), rtol=0, atol=2e-5)


@pytest.mark.parametrize(("schedule", "other"), [("linear", "cosine"), ("cosine", "linear")])
@every_parameterisation
def test_another_schedule_does_not_give_them_back(schedule: str, other: str, parameterisation: str) -> None:
    process, timesteps = forward_process(schedule, parameterisation), torch.tensor([250, 400, 500, 600])
    state, target = (of(clean(), noise(), timesteps) for of in (process.state_at, process.target))
    wrong = forward_process(other, parameterisation)
    back = torch.cat([wrong.clean_from(target, state, timesteps), wrong.noise_from(target, state, timesteps)])
    assert (back - torch.cat([clean(), noise()])).abs().max() > 0.1


@pytest.mark.parametrize(("schedule", "times"), [("linear", 157), ("scaled-linear", 14.6), ("cosine", 20_291)])
def test_the_last_timestep_amplifies_an_error_in_the_noise_and_in_nothing_else(schedule: str, times: float) -> None:
    last = torch.full((4,), TIMESTEPS - 1)

    def error_for_one(parameterisation: str) -> float:
        process = forward_process(schedule, parameterisation)
        state, target = (of(clean(), noise(), last) for of in (process.state_at, process.target))
        right, wrong = (process.clean_from(output, state, last) for output in (target, target + 1))
        return (wrong - right).abs().mean().item()

    assert error_for_one("epsilon") == pytest.approx(times, rel=5e-3)
    assert error_for_one("x0") == pytest.approx(1)
    assert error_for_one("v") <= 1 + 1e-5


@every_parameterisation
@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("steps", [1, 4, 50])
def test_even_ddim_is_diffusers_own_loop(parameterisation: str, clip: bool, steps: int) -> None:
    scheduler = new_scheduler("ddim", "scaled-linear", parameterisation, clip=clip)
    mine = sample(some_network, scheduler, SHAPE, steps, seeded())
    scheduler.set_timesteps(steps)
    state = noise()
    for timestep in scheduler.timesteps:
        output = some_network(state, timestep.expand(len(state)))
        state = scheduler.step(output, timestep, state, use_clipped_model_output=True).prev_sample  # type: ignore[call-arg]
    torch.testing.assert_close(mine, state, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(sample(some_network, scheduler, SHAPE, steps, seeded(1)), state, atol=0.01)


@every_parameterisation
@pytest.mark.parametrize("timesteps", [[999, 700, 333, 50], [600, 20], list(range(999, -1, -50))])
def test_ddpm_at_chosen_timesteps_is_diffusers_own_loop(parameterisation: str, timesteps: list[int]) -> None:
    scheduler = new_scheduler("ddpm", "linear", parameterisation)
    mine = sample(some_network, scheduler, SHAPE, timesteps, seeded())
    assert isinstance(scheduler, DDPMScheduler)
    scheduler.set_timesteps(timesteps=timesteps)
    random, wanted = seeded(), len(timesteps) - 1
    state = torch.randn(SHAPE, generator=random)
    for timestep in scheduler.timesteps[:wanted]:
        output = some_network(state, timestep.expand(len(state)))
        state = scheduler.step(output, timestep, state, generator=random).prev_sample  # type: ignore[union-attr]
    last = scheduler.timesteps[wanted]
    # diffusers' own adds noise of the variance 1e-20 to an image whose last timestep is not 0.
    state = scheduler.step(some_network(state, last.expand(len(state))), last, state).prev_sample  # type: ignore[union-attr]
    torch.testing.assert_close(mine, state, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(sample(some_network, scheduler, SHAPE, timesteps, seeded(1)), state, atol=0.01)


def ddim_by_formula(network: Network, schedule: str, parameterisation: str, timesteps: Sequence[int]) -> Tensor:
    """Song, Meng, Ermon, arXiv 2010.02502, equation 12 with sigma 0, in float64."""
    table = DDPMScheduler(**SCHEDULES[schedule]).alphas_cumprod.double()
    state = noise().double()
    for here, after in zip(timesteps, [*timesteps[1:], None], strict=True):
        output = network(state, torch.full((len(state),), here))
        signal, spread = table[here].sqrt(), (1 - table[here]).sqrt()
        image, left = {
            "epsilon": ((state - spread * output) / signal, output),
            "x0": (output, (state - signal * output) / spread),
            "v": (signal * state - spread * output, signal * output + spread * state),
        }[parameterisation]
        following = torch.ones(()) if after is None else table[after]
        state = following.sqrt() * image + (1 - following).sqrt() * left
    return state


@every_schedule
@every_parameterisation
@pytest.mark.parametrize("timesteps", [[960, 700, 333, 50], [800, 799, 10], [990, 0]])
def test_ddim_at_chosen_timesteps_follows_the_formula(
    schedule: str, parameterisation: str, timesteps: list[int]
) -> None:
    scheduler = new_scheduler("ddim", schedule, parameterisation, clip=False)
    mine = sample(some_network, scheduler, SHAPE, timesteps, seeded())
    wanted = ddim_by_formula(some_network, schedule, parameterisation, timesteps).float()
    torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-4 * wanted.abs().max().item())


def test_diffusers_ddim_alone_does_not_go_to_the_next_timestep() -> None:
    # The reason for ``respaced``: if this fails, diffusers has changed, and it may not be needed any more.
    timesteps = [960, 700, 333, 50]
    scheduler = new_scheduler("ddim", "linear", "v", clip=False)
    scheduler.set_timesteps(len(timesteps))
    state = noise()
    for timestep in timesteps:
        output = some_network(state, torch.full((len(state),), timestep))
        state = scheduler.step(output, timestep, state).prev_sample  # type: ignore[union-attr]
    wanted = ddim_by_formula(some_network, "linear", "v", timesteps).float()
    assert (state - wanted).abs().max() > 0.05


def test_the_last_step_leaves_the_image_that_the_network_gives() -> None:
    outputs: list[Tensor] = []

    def network(state: Tensor, timesteps: Tensor) -> Tensor:
        outputs.append(some_network(state, timesteps))
        return outputs[-1]

    scheduler = new_scheduler("ddim", "cosine", "x0", clip=False)
    assert torch.equal(sample(network, scheduler, SHAPE, 3, seeded()), outputs[-1])


def test_a_scheduler_keeps_where_its_last_step_ends() -> None:
    settings = SCHEDULES["scaled-linear"]
    theirs = DDIMScheduler(set_alpha_to_one=False, clip_sample=False, **settings)
    assert respaced(theirs, [999, 500]).final_alpha_cumprod == theirs.alphas_cumprod[0]  # type: ignore[union-attr]
    assert respaced(DDIMScheduler(**settings), [999, 500]).final_alpha_cumprod == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 50, 61, 103, 1000])
def test_so_many_steps_are_that_many_from_pure_noise_on(steps: int) -> None:
    timesteps = spaced_timesteps(new_scheduler("ddim", "linear", "epsilon"), steps)
    assert len(timesteps) == steps
    assert timesteps[0] == TIMESTEPS - 1
    assert timesteps == sorted(set(timesteps), reverse=True)
    assert timesteps[-1] >= 0


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
@pytest.mark.parametrize(
    ("timesteps", "reason"),
    [
        ([499, 0], "begin at 500 or later, but begin at 499"),
        ([0], "begin at 500 or later, but begin at 0"),
        ([500, 999], "must fall"),
        ([999, 500, 500], "must fall"),
        ([], "must fall"),
        ([1000, 500], "lie in 0 to 999"),
        ([999, -1], "lie in 0 to 999"),
        (0, "steps must be 1 to 1000, but are 0"),
        (1001, "steps must be 1 to 1000, but are 1001"),
    ],
)
def test_timesteps_that_lead_from_no_noise_to_no_image_are_refused(
    sampler: str, timesteps: int | list[int], reason: str
) -> None:
    with pytest.raises(RequestError, match=reason):
        sample(some_network, new_scheduler(sampler, "linear", "epsilon"), SHAPE, timesteps, seeded())


@pytest.mark.parametrize("scheduler", [DDPMScheduler(), DDIMScheduler()], ids=["ddpm", "ddim"])
def test_one_step_of_leading_spacing_would_do_nothing_and_is_refused(scheduler: Scheduler) -> None:
    with pytest.raises(RequestError, match=r"begin at 0: pure noise .*; space them trailing"):
        sample(some_network, scheduler, SHAPE, 1, seeded())


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("euler", "linear", "epsilon"), "sampler 'euler' .* choose from ddpm, ddim"),
        (("ddpm", "sigmoid", "epsilon"), "schedule 'sigmoid' .* linear, scaled-linear, cosine"),
        (("ddpm", "linear", "sample"), "parameterisation 'sample' .* epsilon, x0, v"),
    ],
)
def test_unknown_names_are_refused(names: tuple[str, str, str], reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        new_scheduler(*names)


def best_network(schedule: str, spread: float) -> Network:
    """The noise to be expected in x_t where images are x ~ N(0, spread²): linear in x_t."""
    process = forward_process(schedule, "epsilon")

    def network(state: Tensor, timesteps: Tensor) -> Tensor:
        signal, left = (table[timesteps][:, None, None, None] for table in (process.signal, process.noise))
        return left * state / ((spread * signal) ** 2 + left**2)

    return network


def spread_of_ddim(network: Network, schedule: str, spread: float, steps: int) -> float:
    """That of the images from unit noise, as a share of what it should be."""
    scheduler = new_scheduler("ddim", schedule, "epsilon", clip=False)
    share = scheduler.alphas_cumprod[-1].item()
    wanted = spread / (share * spread**2 + 1 - share) ** 0.5  # unit noise is not quite what x_999 is distributed as
    return (sample(network, scheduler, SHAPE, steps, seeded()) / noise()).mean().item() / wanted


@every_schedule
@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_ddim_gives_images_the_spread_they_should_have(schedule: str, spread: float) -> None:
    network = best_network(schedule, spread)
    few, many = (spread_of_ddim(network, schedule, spread, steps) for steps in (50, 200))
    assert few == pytest.approx(1, rel=0.07)
    assert 1 - few > 3 * (1 - many) > 0  # of first order in the steps, from below


@pytest.mark.parametrize(
    ("schedule", "other"), [("linear", "cosine"), ("scaled-linear", "linear"), ("cosine", "linear")]
)
def test_a_network_for_another_schedule_does_not(schedule: str, other: str) -> None:
    assert spread_of_ddim(best_network(other, 2.0), schedule, 2.0, 50) != pytest.approx(1, rel=0.3)


def test_ddpm_gives_images_the_spread_they_should_have() -> None:
    scheduler, shape = new_scheduler("ddpm", "linear", "epsilon", clip=False), (1, 1, 60, 60)
    found, twin = (
        sample(best_network(schedule, 2.0), scheduler, shape, 1000, seeded()).std().item()
        for schedule in ("linear", "cosine")
    )
    assert found == pytest.approx(2.0, rel=0.05)
    assert twin != pytest.approx(2.0, rel=0.3)
