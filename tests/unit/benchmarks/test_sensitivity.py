"""A slowdown of known size is found, and none is found where there is next to none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from saccade_bench import sensitivity
from saccade_bench.turns import Effort

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that tell a large slowdown from none on a busy machine, and no more."""
    monkeypatch.setitem(sensitivity.EFFORTS, "smoke", Effort(samples=160, most_s=1.5))


def measured(bundle: Path, *arguments: str) -> Result:
    fixed = ("--tier", "smoke", "--times", "1", "--source", "scenes:frames=2,size=96x64")
    return CliRunner().invoke(sensitivity.main, [str(bundle), *fixed, *arguments])


def test_a_large_slowdown_is_found_and_a_small_one_is_none(shipped_bundle: Path) -> None:
    done = measured(shipped_bundle, "--planted", "100%", "--planted", "1%", "--fail-over", "40%", "--json")
    large, small = json.loads(done.stdout)["seen"]
    assert (large["planted"], small["planted"]) == (1.0, 0.01)
    assert large["change"]["middle"] > 1.4 > small["change"]["middle"]
    assert (large["is_called_slower"], small["is_called_slower"]) == (True, False)
    assert done.exit_code == 0


def test_a_slowdown_that_was_not_found_is_code_1(shipped_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: a way that adds nothing, whatever it is told to."""
    monkeypatch.setattr(sensitivity, "SLOWED_WAY", "saccade_bench.ways.bundle")
    done = measured(shipped_bundle, "--planted", "100%", "--fail-over", "40%")
    assert done.exit_code == 1
    assert "100 % planted" in done.stdout
    assert "not called one" in done.stdout
    assert "as it is" in done.stderr
