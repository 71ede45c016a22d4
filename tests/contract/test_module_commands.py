"""Commands of modules answer as ``saccade`` does: an error without a traceback, its exit code, JSON where asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUNDLE = "models/bundles/road-camvid.saccade"
SOURCE = "scenes:frames=1,size=96x64"
WEIGHTS = "models/saccade_models/weights/edanet-camvid.safetensors"

CALLS = {
    "no bundle": (("saccade_bench.overhead", "absent.saccade"), 3, "absent.saccade"),
    "another task": (("saccade_bench.few_step", BUNDLE, "--weights", "w.safetensors"), 2, "must be a denoiser"),
    "a size that is none": (("saccade_bench.bare", BUNDLE, "--size", "720"), 2, "--size must be HEIGHTxWIDTH"),
    "no bundle to build": (("saccade_bench.engines", "absent.saccade"), 3, "absent.saccade"),
    "no bundle to hold to a limit": (("saccade_bench.roofline", "absent.saccade"), 3, "absent.saccade"),
    "no such variant": (("saccade_bench.roofline", BUNDLE, "--variant", "fp64", "--source", SOURCE), 2, "fp64"),
    "nothing to slow down": (("saccade_bench.sensitivity", "absent.saccade"), 3, "absent.saccade"),
    "a share that is none": (("saccade_bench.sensitivity", BUNDLE, "--planted", "some"), 2, "is not a percentage"),
    "no bundle to grow": (("saccade_bench.growth", "absent.saccade", "--source", SOURCE), 3, "absent.saccade"),
    "no such axis": (("saccade_bench.growth", BUNDLE, "--source", SOURCE, "--axis", "age"), 2, "age"),
    "no document": (("saccade_bench.report", "absent.json", "-o", "run"), 2, "absent.json"),
    "no report": (("saccade_bench.report", "absent.json"), 2, "tell --output FOLDER"),
    "no digits": (("saccade_models.digits", "absent", "-o", "run"), 3, "absent"),
    "no device": (("saccade_models.digits", "absent", "-o", "run", "--device", "abacus"), 2, "--device must be cpu or"),
    "no plates": (("saccade_models.plates", "absent", "-o", "run"), 3, "annotations.json"),
    "no such option": (("saccade_bench.overhead", "--loud"), 2, "--loud"),
}


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.torch
@pytest.mark.parametrize(("arguments", "code", "said"), CALLS.values(), ids=CALLS.keys())
def test_errors_are_said_in_a_line(arguments: tuple[str, ...], code: int, said: str) -> None:
    done = run(*arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (ROOT / "run").exists()


@pytest.mark.torch
def test_json_is_json_in_errors_too() -> None:
    done = run("saccade_bench.few_step", "absent.saccade", "--weights", WEIGHTS, "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["error"]["kind"] == "BundleError"


@pytest.mark.torch
def test_weights_without_their_config_are_refused() -> None:
    bundle = "models/bundles/denoise.saccade"
    done = run("saccade_bench.few_step", bundle, "--weights", WEIGHTS, "--json")
    assert done.returncode == 3
    assert "saccade train writes" in json.loads(done.stdout)["error"]["message"]
