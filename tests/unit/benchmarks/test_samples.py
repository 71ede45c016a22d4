"""Percentiles with bounds that hold, ratios with intervals that hold, and the noise that decides what is said."""

from __future__ import annotations

import numpy as np
import pytest

from saccade_bench.samples import Ratio, least_samples, percentile, percentiles, ratio_of

TRIALS = 1500


def rounds(random: np.random.Generator, middle: float, noise: float, count: int = 60) -> list[list[float]]:
    return [list(middle * random.normal(1, noise, 4)) for _ in range(count)]


@pytest.mark.parametrize(("percent", "count"), [(90.0, 64), (99.0, 662), (99.9, 6636)])
def test_a_percentile_needs_so_many_samples(percent: float, count: int) -> None:
    assert least_samples(percent) == count
    assert percentile(range(count - 1), percent) is None
    known = percentile(range(1, count + 1), percent)
    assert known is not None
    assert known.upper == count - 1  # not the largest: one accident is no bound


def test_only_what_the_samples_allow_is_given() -> None:
    assert [each.percent for each in percentiles(range(700))] == [50.0, 90.0, 99.0]
    assert percentiles([1.0, 2.0]) == []


@pytest.mark.parametrize(("percent", "count"), [(50.0, 30), (90.0, 64), (90.0, 300)])
def test_the_bound_holds_in_99_of_100_cases_and_the_value_itself_does_not(percent: float, count: int) -> None:
    random = np.random.default_rng(1)
    truth = -np.log(1 - percent / 100)
    found = [percentile(random.exponential(size=count), percent) for _ in range(TRIALS)]
    too_low = np.mean([each is not None and each.upper < truth for each in found])
    assert too_low <= 0.015
    assert np.mean([each is not None and each.value < truth for each in found]) > 0.3


def test_a_ratio_is_known_better_than_the_machine_that_drifts() -> None:
    random = np.random.default_rng(2)
    drift = np.linspace(1, 2, 60)
    ours, theirs = (
        [[sample * now for sample in turn] for turn, now in zip(rounds(random, middle, 0.02), drift, strict=True)]
        for middle in (1.05, 1.0)
    )
    ratio = ratio_of(ours, theirs)
    assert ratio.low < 1.05 < ratio.high
    assert ratio.high - ratio.low < 0.03


def test_the_interval_holds_in_most_cases() -> None:
    random = np.random.default_rng(3)
    found = [ratio_of(rounds(random, 1.1, 0.05, 20), rounds(random, 1.0, 0.05, 20)) for _ in range(200)]
    assert np.mean([each.low <= 1.1 <= each.high for each in found]) > 0.95


def test_what_is_within_twice_the_floor_is_no_difference() -> None:
    assert not Ratio(1.03, 1.02, 1.04).is_detected(0.02)
    assert Ratio(1.05, 1.03, 1.07).is_detected(0.02)
    assert Ratio(0.9, 0.88, 0.92).is_detected(0.02)
    assert not Ratio(1.2, 0.9, 1.5).is_detected(0.02)  # its own interval has 1 in it


@pytest.mark.parametrize("floor", [0.02, 0.3, 0.6])
def test_a_difference_is_one_whichever_arm_comes_first(floor: float) -> None:
    ratio, turned = Ratio(2.1, 1.9, 2.3), Ratio(1 / 2.1, 1 / 2.3, 1 / 1.9)
    assert ratio.is_detected(floor) == turned.is_detected(floor) == (floor < 0.55)


def test_the_floor_is_as_far_as_the_interval_reaches() -> None:
    assert Ratio(1.0, 1 / 1.03, 1.01).floor == pytest.approx(0.03)
    assert Ratio(1.01, 1.005, 1.02).floor == pytest.approx(0.02)
