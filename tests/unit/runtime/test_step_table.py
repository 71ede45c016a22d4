"""A step table gives what its weights say, takes no array that does not fit, and is read strictly."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.errors import BundleError, RequestError
from saccade.fields import Fields, parse_json
from saccade.step_table import MAX_STEPS, Floats, StepTable, read_step_table, replay

RESIDUAL = StepTable((1.0,), (1.0,), ((1.0, -1.0, 0.0),), 1.0)
"""One step: the start less the output."""

NOISY = StepTable(
    times=(800.0, 300.0),
    input_scales=(0.5, 2.0),
    rows=((2.0, -1.0, 0.0, 0.25, 0.0), (0.5, 3.0, -2.0, 1.0, 0.0)),
    initial_scale=4.0,
)
"""Two steps with noise after the first."""

times_of_bridges = st.lists(st.floats(0.01, 0.99), max_size=MAX_STEPS - 1, unique=True).map(
    lambda times: (1.0, *sorted(times, reverse=True))
)


def bridge(times: tuple[float, ...]) -> StepTable:
    """x - (t_k - t_{k+1}) v at each step, down to time 0."""
    steps = len(times)
    strides = np.subtract(times, (*times[1:], 0.0))
    rows = [(1.0, *(-strides[: step + 1]), *[0.0] * (steps - step - 1 + steps)) for step in range(steps)]
    return StepTable(times, (1.0,) * steps, tuple(tuple(map(float, row)) for row in rows), 1.0)


def images(count: int, seed: int = 0) -> list[Floats]:
    return list(np.random.default_rng(seed).standard_normal((count, 1, 3, 4, 5)).astype(np.float32))


def written(table: StepTable) -> Any:
    return json.loads(json.dumps(asdict(table)))


def read(value: Any) -> StepTable:
    return read_step_table(Fields(value, "task.table"))


class TestReplay:
    def test_one_step_is_a_residual(self) -> None:
        (start,) = images(1)
        np.testing.assert_array_equal(replay(RESIDUAL, lambda state, time: 0.25 * state, start), 0.75 * start)

    def test_the_network_sees_scaled_states_at_their_times_and_rows_weigh_start_outputs_and_noises(self) -> None:
        start, first, second, *noises = images(5)
        seen: list[tuple[Floats, float]] = []

        def network(state: Floats, time: float) -> Floats:
            seen.append((state, time))
            return (first, second)[len(seen) - 1]

        result = replay(NOISY, network, start, noises)
        assert [time for _, time in seen] == [800.0, 300.0]
        np.testing.assert_allclose(seen[0][0], 0.5 * start, rtol=1e-6)
        np.testing.assert_allclose(seen[1][0], 2 * (2 * start - first + 0.25 * noises[0]), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(result, 0.5 * start + 3 * first - 2 * second + noises[0], rtol=1e-5, atol=1e-5)
        assert {array.dtype for array in (result, seen[0][0], seen[1][0])} == {np.dtype(np.float32)}

    def test_nothing_given_is_changed(self) -> None:
        start, *noises = images(3)
        before = [array.copy() for array in (start, *noises)]
        replay(NOISY, lambda state, time: state, start, noises)
        np.testing.assert_array_equal([start, *noises], before)

    @given(times_of_bridges, st.integers(0, 2**32 - 1))
    @settings(max_examples=60, deadline=None)
    def test_a_bridge_with_the_exact_velocity_ends_at_the_clean_image(
        self, times: tuple[float, ...], seed: int
    ) -> None:
        clean, degraded = images(2, seed)
        arrived = replay(bridge(times), lambda state, time: (1 / time) * (state - clean), degraded)
        np.testing.assert_allclose(arrived, clean, atol=1e-4)

    @given(st.integers(1, 8), st.integers(0, 2**32 - 1))
    @settings(max_examples=60, deadline=None)
    def test_float32_sums_are_those_of_float64(self, steps: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        weights = random.uniform(-2, 2, (steps, 1 + 2 * steps))
        weights[:, 1 : 1 + steps] = np.tril(weights[:, 1 : 1 + steps])
        weights[:, 1 + steps :] = np.tril(weights[:, 1 + steps :])
        table = StepTable((1.0,) * steps, (1.0,) * steps, tuple(map(tuple, weights.tolist())), 1.0)
        start, *basis = images(1 + 2 * steps, seed)
        outputs = iter(basis[:steps])
        found = replay(table, lambda state, time: next(outputs), start, basis[steps:])
        exact = np.tensordot(weights[-1], np.array([start, *basis], np.float64), 1)
        assert np.abs(found - exact).max() <= 1e-6 * np.abs(exact).max()

    def test_a_weight_of_zero_keeps_out_what_is_not_finite(self) -> None:
        start, output = images(2)
        last_only = replace(RESIDUAL, rows=((0.0, 1.0, 0.0),))
        np.testing.assert_array_equal(
            replay(last_only, lambda state, time: output, np.full_like(start, np.nan)), output
        )


class TestFit:
    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_noise_must_come_for_every_step(self, count: int) -> None:
        start, *noises = images(1 + count)
        with pytest.raises(RequestError, match=f"one array a step, 2, but got {count}; give unit normal noise"):
            replay(NOISY, lambda state, time: state, start, noises)

    def test_a_table_without_noise_ignores_it(self) -> None:
        assert NOISY.takes_noise
        assert not RESIDUAL.takes_noise
        start, noise = images(2)
        for noises in ([], [noise], [noise, noise]):
            result = replay(RESIDUAL, lambda state, time: state, start, noises)
            assert not result.any()

    @pytest.mark.parametrize("change", [lambda image: image[0], lambda image: image.astype(np.float64)])
    def test_noise_and_outputs_are_like_the_start(self, change: Callable[[Floats], Any]) -> None:
        start, *noises = images(3)
        with pytest.raises(RequestError, match=r"noise of step 1 must be float32 \(1, 3, 4, 5\), but is float"):
            replay(NOISY, lambda state, time: state, start, [noises[0], change(noises[1])])
        with pytest.raises(RequestError, match=r"network's output must be float32 \(1, 3, 4, 5\), but is float"):
            replay(NOISY, lambda state, time: change(state), start, noises)

    def test_a_start_of_another_type_is_refused(self) -> None:
        with pytest.raises(RequestError, match=r"the start must be float32 \(2, 2\), but is uint8 \(2, 2\)"):
            replay(RESIDUAL, lambda state, time: state, np.zeros((2, 2), np.uint8))  # type: ignore[arg-type]


class TestRead:
    @pytest.mark.parametrize("table", [RESIDUAL, NOISY, bridge((1.0, 0.7, 0.1)), bridge((1.0,) * MAX_STEPS)])
    def test_what_was_written_is_read(self, table: StepTable) -> None:
        assert read(written(table)) == table
        assert table.steps == len(table.rows)

    def test_whole_numbers_are_numbers(self) -> None:
        value = {"times": [1], "input_scales": [1], "rows": [[1, -1, 0]], "initial_scale": 1}
        assert read(parse_json(json.dumps(value).encode(), "manifest")) == RESIDUAL

    @pytest.mark.parametrize(
        ("name", "value", "at", "reason"),
        [
            ("times", [], "times", "1 to 50 items"),
            ("times", [1.0] * 51, "times", "1 to 50 items"),
            ("times", "12", "times", "a list of 1 to 50 items, but is text"),
            ("times", [800.0, 2000.5], "times", "must be -1 to 2000"),
            ("times", [800.0, -1.5], "times", "must be -1 to 2000"),
            ("times", [800.0, None], "times[1]", "finite number"),
            ("times", [800.0], "input_scales", "1 to 1 items, but is a list of 2"),
            ("input_scales", [1.0], "input_scales", "2 to 2 items"),
            ("input_scales", [1.0, True], "input_scales[1]", "finite number"),
            ("input_scales", [1.0, 0.0], "input_scales", "above 0"),
            ("input_scales", [-1.0, 1.0], "input_scales", "above 0"),
            ("input_scales", [1.0, 2e6], "input_scales", "at most 1e+06"),
            ("initial_scale", 0, "initial_scale", "above 0"),
            ("initial_scale", float("inf"), "initial_scale", "finite number"),
            ("initial_scale", [1.0], "initial_scale", "finite number"),
            ("rows", [[1.0] * 5], "rows", "2 to 2 items"),
            ("rows", [[1.0] * 5] * 3, "rows", "2 to 2 items"),
            ("rows", [[0.0] * 5, [0.0] * 4], "rows.1", "5 to 5 items, but is a list of 4"),
            ("rows", [[0.0] * 5, [0.0] * 6], "rows.1", "5 to 5 items"),
            ("rows", [[0.0] * 5, 7], "rows.1", "5 to 5 items, but is int"),
            ("rows", [[0.0] * 5, [0.0, 0.0, float("nan"), 0.0, 0.0]], "rows.1[2]", "finite number"),
            ("rows", [[0.0] * 5, [0.0, "1", 0.0, 0.0, 0.0]], "rows.1[1]", "finite number"),
            ("rows", [[1.0, 0.0, 0.0, 0.0, 0.0], [-2e6, 0.0, 0.0, 0.0, 0.0]], "rows.1", "within ±1e+06"),
            ("rows", [[1.0, 0.0, 1e-300, 0.0, 0.0], [0.0] * 5], "rows.0", "steps after 0"),
            ("rows", [[1.0, 0.0, 0.0, 0.0, -1.0], [0.0] * 5], "rows.0", "steps after 0"),
        ],
    )
    def test_another_is_refused_by_its_field(self, name: str, value: Any, at: str, reason: str) -> None:
        with pytest.raises(BundleError) as caught:
            read({**written(NOISY), name: value})
        assert caught.value.field == f"task.table.{at}"
        assert reason in caught.value.reason

    @pytest.mark.parametrize("name", ["times", "input_scales", "rows", "initial_scale"])
    def test_every_field_is_needed(self, name: str) -> None:
        value = written(NOISY)
        del value[name]
        with pytest.raises(BundleError, match=f"table.{name}: is missing"):
            read(value)

    def test_no_other_field_is_taken(self) -> None:
        with pytest.raises(BundleError, match="unknown fields: scheduler"):
            read({**written(NOISY), "scheduler": "DDIM"})

    @given(st.integers(1, 6), st.data())
    @settings(max_examples=60, deadline=None)
    def test_a_weight_of_the_future_is_refused_and_no_other(self, steps: int, data: st.DataObject) -> None:
        step, column = data.draw(st.integers(0, steps - 1)), data.draw(st.integers(0, 2 * steps))
        row = [0.0] * (1 + 2 * steps)
        row[column] = 0.5
        rows = [[0.0] * len(row)] * step + [row] + [[0.0] * len(row)] * (steps - step - 1)
        value = {"times": [1.0] * steps, "input_scales": [1.0] * steps, "rows": rows, "initial_scale": 1.0}
        if column == 0 or (column - 1) % steps <= step:
            assert read(value).rows[step][column] == 0.5
        else:
            with pytest.raises(BundleError, match=f"rows.{step}: must not use outputs or noises of steps after {step}"):
                read(value)
