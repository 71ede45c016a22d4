"""The bench of few steps: every way gives the same pixels, and what cannot be compared is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tests.conftest import ROOT

from saccade import scenes
from saccade.errors import CheckError, RequestError
from saccade_bench.few_step import WAYS, compare

pytestmark = [pytest.mark.torch, pytest.mark.slow]

WEIGHTS = ROOT / "models" / "saccade_models" / "weights" / "bridge-denoise.safetensors"


def frames(height: int, width: int) -> list[np.ndarray]:
    return [scenes.render(5, index, (height, width), light="night").image for index in range(2)]


def test_every_way_is_timed_in_turns(denoise_bundle: Path) -> None:
    pytest.importorskip("diffusers")
    found = compare(denoise_bundle, WEIGHTS, frames(48, 64), steps=2, rounds=2, threads=1)
    assert (found.steps, found.width, found.height, found.calls) == (2, 64, 48, 4)
    assert set(found.milliseconds) == set(found.speedup) == set(WAYS)
    assert all(found.lowest[way] <= found.speedup[way] <= found.highest[way] for way in WAYS)
    assert found.speedup["unrolled"] == found.lowest["unrolled"] == 1.0
    assert min(found.milliseconds.values()) > 0


def test_other_weights_are_not_timed(denoise_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    with safe_open(WEIGHTS, "pt") as file:
        metadata = file.metadata()
    other = tmp_path / "other.safetensors"
    save_file({name: 1.1 * value for name, value in load_file(WEIGHTS).items()}, other, metadata)
    with pytest.raises(CheckError, match="its weights are not those of"):
        compare(denoise_bundle, other, frames(48, 64), steps=2, rounds=2, threads=1)


def test_frames_that_a_loop_cannot_take_are_refused(denoise_bundle: Path) -> None:
    with pytest.raises(RequestError, match="multiples of 8, but are 60x48"):
        compare(denoise_bundle, WEIGHTS, frames(48, 60), steps=2, rounds=2)
