"""The wheel: what is in it, how small it is, and that it and its engine are all that a machine needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from configparser import ConfigParser
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PACKAGES = {"saccade": "runtime", "saccade_export": "export", "saccade_models": "models", "saccade_bench": "benchmarks"}
MOST_BYTES = 900_000
NEVER_AT_RUNTIME = {"torch", "onnx", "onnxscript", "safetensors", "pillow", "av", "opencv-python", "tqdm"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def members(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


class TestContent:
    def test_it_is_small_and_for_every_machine(self, wheel: Path) -> None:
        assert wheel.name.endswith("-py3-none-any.whl")
        assert wheel.stat().st_size <= MOST_BYTES

    def test_it_holds_every_module_of_the_four_packages_and_no_other_file(self, members: dict[str, bytes]) -> None:
        sources = {
            path.relative_to(ROOT / folder).as_posix()
            for package, folder in PACKAGES.items()
            for path in (ROOT / folder / package).rglob("*.py")
        }
        assert len(sources) > 60
        found = {name for name in members if ".dist-info/" not in name}
        expected = sources | {"saccade/py.typed"}
        assert found == expected

    def test_it_holds_no_weights_no_bundles_and_no_tests(self, members: dict[str, bytes]) -> None:
        refused = (".safetensors", ".saccade", ".pt", ".pth", ".onnx", ".pyc")
        assert [name for name in members if name.endswith(refused)] == []
        assert [name for name in members if name.startswith("tests") or "/tests/" in name or "test_" in name] == []

    def test_it_holds_the_licence_and_the_type_marker(self, members: dict[str, bytes]) -> None:
        (licence,) = [name for name in members if name.endswith("/licenses/LICENSE")]
        assert members[licence] == (ROOT / "LICENSE").read_bytes()
        assert members["saccade/py.typed"] == b""

    def test_its_entry_points_are_the_commands(self, members: dict[str, bytes]) -> None:
        (name,) = [name for name in members if name.endswith(".dist-info/entry_points.txt")]
        entries = ConfigParser(delimiters=["="])
        entries.read_string(members[name].decode())
        assert dict(entries["console_scripts"]) == {"saccade": "saccade.cli:main"}
        for target in entries["saccade.commands"].values():
            assert f"{target.partition(':')[0].replace('.', '/')}.py" in members
        assert {"export", "train"} <= set(entries["saccade.commands"])


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that had nothing, not even pip, before ``wheel[ort]`` was installed into it."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    # What every environment needs can be had, or else this machine has no index.
    probe = pip(
        python, "download", "--no-deps", "--retries", "0", "--timeout", "15", "--dest", str(folder), "click>=8.1"
    )
    if probe.returncode != 0:
        pytest.skip(f"pip can reach no package index here: {probe.stderr.strip().splitlines()[-1]}")
    done = pip(python, "install", f"{wheel}[ort]")
    assert done.returncode == 0, done.stderr
    return python


def pip(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """This environment's pip, working on the environment of ``python``."""
    command = [sys.executable, "-m", "pip", "--python", str(python), *arguments]
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def alone(python: Path, program: str, folder: Path, *arguments: str) -> str:
    """What a program prints in that environment, from a folder outside the repository."""
    command = [str(python), "-c", program, *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def needed(requirement: str, found: dict[str, Distribution]) -> set[str]:
    """The names of all distributions that ``requirement`` needs, from what each of them states."""
    names: set[str] = set()
    waiting = [Requirement(requirement)]
    while waiting:
        asked = waiting.pop()
        name = canonicalize_name(asked.name)
        if name in names and not asked.extras:
            continue
        names.add(name)
        waiting += _requirements_of(found[name], asked.extras)
    return names


def _requirements_of(distribution: Distribution, extras: set[str]) -> Iterator[Requirement]:
    for text in distribution.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield requirement


class TestInstalled:
    def test_nothing_comes_with_it_but_what_its_engine_needs(self, installed: Path) -> None:
        listed = json.loads(pip(installed, "list", "--format", "json").stdout)
        names = {canonicalize_name(entry["name"]) for entry in listed}
        (packages,) = installed.parents[1].glob("[lL]ib/**/site-packages")
        found = {canonicalize_name(entry.metadata["Name"]): entry for entry in distributions(path=[str(packages)])}
        assert {requirement.name for requirement in _requirements_of(found["saccade"], {"ort"})} == {
            "numpy",
            "click",
            "onnxruntime",
        }
        assert names == needed("saccade[ort]", found)
        assert not names & NEVER_AT_RUNTIME

    @pytest.mark.torch
    def test_it_opens_a_bundle_and_segments_a_frame(self, installed: Path, tiny_bundle: Path, tmp_path: Path) -> None:
        program = """
import json, sys
import numpy as np
import saccade
with saccade.open(sys.argv[1]) as task:
    result = task(np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8))
print(json.dumps([saccade.__file__, list(result.class_map.shape), result.finite, sorted(result.classes)]))
"""
        file, shape, finite, classes = json.loads(alone(installed, program, tmp_path, str(tiny_bundle)))
        assert Path(file).is_relative_to(installed.parents[1])
        assert (shape, finite) == ([70, 90], True)
        assert classes == ["class0", "class1", "class2"]

    @pytest.mark.torch
    def test_its_command_verifies_and_runs_without_any_library_for_pictures(
        self, installed: Path, tiny_bundle: Path, tmp_path: Path
    ) -> None:
        program = "from saccade.cli import main; main()"
        said = json.loads(alone(installed, program, tmp_path, "verify", str(tiny_bundle), "--json"))
        assert said["passed"] is True
        options = ("--source", "scenes:frames=2,size=96x64", "-o", str(tmp_path / "out"), "--no-overlays")
        alone(installed, program, tmp_path, "run", str(tiny_bundle), *options)
        assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 2

    def test_what_needs_another_extra_says_which(self, installed: Path, tmp_path: Path) -> None:
        program = "from saccade.cli import main; main()"
        command = [str(installed), "-c", program, "export", "a:b", "--weights", "w", "--classes", "c", "--imgsz", "8"]
        (tmp_path / "c").write_text("road\nsky\n")
        done = subprocess.run([*command, "-o", "x.saccade"], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 2
        assert "pip install 'saccade[export]'" in done.stderr
