"""A camera's noise from a table, and what a table must be."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import saccade
from saccade.errors import DatasetError, RequestError
from saccade.gain_table import CameraNoise, read_gain_table

ROWS = [{"gain": 100, "sigma": 1.0, "shot": 0.02}, {"gain": 400, "sigma": 3.0, "shot": 0.06}]


def written(folder: Path, content: Any) -> Path:
    path = folder / "gains.json"
    path.write_text(json.dumps(content))
    return path


class TestTable:
    def test_rows_and_what_lies_between_them(self, tmp_path: Path) -> None:
        table = read_gain_table(written(tmp_path, {"gains": ROWS}))
        assert table.at(100) == CameraNoise(1.0, 0.02)
        assert saccade.read_gain_table(str(tmp_path / "gains.json")) == table
        between = table.at(200)  # half way in stops
        assert (between.sigma, between.shot) == (pytest.approx(2.0), pytest.approx(0.04))

    @pytest.mark.parametrize("gain", [50.0, 401.0, float("nan")])
    def test_beyond_the_table_nothing_is_guessed(self, tmp_path: Path, gain: float) -> None:
        with pytest.raises(RequestError, match="goes from 100 to 400"):
            read_gain_table(written(tmp_path, {"gains": ROWS})).at(gain)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ({"gains": []}, "table.gains: must be a list of 1"),
            ({"gains": ROWS[::-1]}, "must rise from row to row"),
            ({"gains": [{**ROWS[0], "sigma": -1}]}, r"table.gains\[0\].sigma: must be 0 to 255"),
            ({"gains": [{**ROWS[0], "iso": 3}]}, "unknown fields: iso"),
            ({"gains": [{"gain": 1, "sigma": 1}]}, "shot: is missing"),
            ([], "must be an object"),
        ],
    )
    def test_a_bad_table_is_refused_by_its_field(self, tmp_path: Path, content: Any, message: str) -> None:
        with pytest.raises(DatasetError, match=message):
            read_gain_table(written(tmp_path, content))

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="cannot be read"):
            read_gain_table(tmp_path / "none.json")


class TestNoise:
    @pytest.mark.parametrize(("sigma", "shot"), [(-1.0, 0.0), (1.0, -0.1), (math.nan, 0.0), (256.0, 0.0), (1.0, 1e9)])
    def test_numbers_that_no_camera_has_are_refused(self, sigma: float, shot: float) -> None:
        with pytest.raises(RequestError, match=r"a camera's (sigma|shot) must be 0 to 255"):
            CameraNoise(sigma, shot)

    def test_the_map_is_what_drawn_noise_has(self) -> None:
        light = np.repeat([20.0, 180.0], 64)[None, :, None] * np.ones((128, 1, 3))
        random = np.random.default_rng(0)
        noise = CameraNoise(3.0, 0.5)
        frame = light + random.normal(0, 1, light.shape) * np.sqrt(3.0**2 + 0.5 * light)
        found = noise.map(frame.astype(np.float32))
        for half in (np.s_[:, :60], np.s_[:, 68:]):
            assert found[half].mean() == pytest.approx((frame - light)[half].std(), rel=0.02)
        assert abs(found[:, :60].mean() / found[:, 68:].mean() - 1) > 0.3

    @pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 3), (7, 2, 3)])
    def test_small_frames(self, shape: tuple[int, int, int]) -> None:
        found = CameraNoise(2.0, 0.1).map(np.full(shape, 100, np.uint8))
        np.testing.assert_allclose(found, np.sqrt(4 + 10), rtol=1e-6)
        assert found.shape == shape[:2]
