"""One checkpoint gives one bundle, byte for byte, wherever and by whomever it is exported, and tells nothing of it."""

from __future__ import annotations

import getpass
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.archives import members_of

pytestmark = pytest.mark.torch

ROOT = Path(__file__).parents[2]
FOLDERS = ("runtime", "export", "models", "tests")
SHORTEST_TEXT = 4
"""Printable bytes in a row that count as text; fewer are in any array of numbers."""


@dataclass(frozen=True)
class Exported:
    """A bundle, and every text that would tell where, on what and by whom it was made."""

    bundle: Path
    traces: Mapping[str, str]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> tuple[Exported, Exported]:
    """One checkpoint, exported by two users from two copies of the sources, with two seeds of Python's hashes."""
    from tests.tiny import TinyNet, save_weights, seeded

    folder = tmp_path_factory.mktemp("reproducible")
    weights = save_weights(seeded(TinyNet), folder / "tiny.safetensors")
    (folder / "classes.txt").write_text("road #804080\nperson\nsky\n")
    first = exported(folder, folder / "a", weights, user="adaexample", hash_seed="1")
    second = exported(folder, folder / "much" / "longer" / "b", weights, user="bobexample", hash_seed="2")
    return first, second


def exported(folder: Path, copy: Path, weights: Path, *, user: str, hash_seed: str) -> Exported:
    """The bundle that ``saccade export`` makes from a copy of the sources at ``copy``."""
    for name in FOLDERS:
        shutil.copytree(
            ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors", "*.saccade")
        )
    home, bundle = copy / "home" / user, copy / "tiny.saccade"
    home.mkdir(parents=True)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(copy), *(str(copy / name) for name in FOLDERS[:3])]),
        "PYTHONHASHSEED": hash_seed,
        **dict.fromkeys(("USER", "LOGNAME", "USERNAME"), user),
        "HOME": str(home),
    }
    program = "import sys, saccade, tests; print(saccade.__file__, tests.__file__, file=sys.stderr)"
    program += "\nfrom saccade.cli import main; main()"
    options = ("--classes", str(folder / "classes.txt"), "--imgsz", "32x48", "-o", str(bundle))
    done = subprocess.run(
        [sys.executable, "-c", program, "export", "tests.tiny:TinyNet", "--weights", str(weights), *options],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0].count(str(copy)) == 2, "the copy of the sources was not the one used"
    traces = {
        "user": user,
        "home": str(home),
        "copy": str(copy),
        "folder": str(folder),
        "repository": str(ROOT),
        "interpreter": sys.prefix,
        "host": socket.gethostname(),
        "user of the tests": getpass.getuser(),
        "home of the tests": str(Path.home()),
        "temporary folder": tempfile.gettempdir(),
        "packages": "site-packages",
        "code line": 'File "',
    }
    return Exported(bundle, {name: trace for name, trace in traces.items() if trace.strip("/")})


def texts_in(data: bytes) -> str:
    """The runs of printable characters in ``data``, a line each, as ``strings`` prints them."""
    runs = re.findall(rb"[\x20-\x7e]{%d,}" % SHORTEST_TEXT, data)
    return "\n".join(run.decode("ascii") for run in runs)


def traces_in(data: bytes, traces: Mapping[str, str]) -> list[str]:
    """The names of those ``traces`` that ``data`` holds: paths anywhere, single words as words of their own."""
    text = texts_in(data)
    return [name for name, trace in traces.items() if re.search(rf"(?<!\w){re.escape(trace)}(?!\w)", text)]


def test_two_exports_of_one_checkpoint_are_equal_to_the_byte(exports: tuple[Exported, Exported]) -> None:
    first, second = exports
    members, others = members_of(first.bundle), members_of(second.bundle)
    assert [name for name in members if members[name] != others.get(name)] == []
    assert first.bundle.read_bytes() == second.bundle.read_bytes()


def test_another_checkpoint_gives_other_bytes(exports: tuple[Exported, Exported], tiny_bundle: Path) -> None:
    """The control of the test above: the same network with other colours and statistics."""
    assert exports[0].bundle.read_bytes() != tiny_bundle.read_bytes()


def test_a_bundle_tells_nothing_of_the_machine_that_made_it(exports: tuple[Exported, Exported]) -> None:
    for export in exports:
        graphs = {name: data for name, data in members_of(export.bundle).items() if not name.startswith("golden/")}
        assert len(graphs) == 4
        assert {name: found for name, data in graphs.items() if (found := traces_in(data, export.traces))} == {}


def test_whole_paths_are_in_no_byte_of_it(exports: tuple[Exported, Exported]) -> None:
    for export in exports:
        data = export.bundle.read_bytes()
        found = [name for name, trace in export.traces.items() if len(trace) >= 6 and trace.encode() in data]
        assert found == []


def test_the_search_finds_the_paths_in_a_graph_as_pytorch_writes_it() -> None:
    """The control of the two tests above: without the export's cleaning, sources and their lines are in the graph."""
    import torch
    from tests import tiny

    buffer = io.BytesIO()
    network, example = tiny.seeded(tiny.TinyNet), torch.zeros(1, 3, *tiny.SIZE_HW)
    program = torch.onnx.export(network, (example,), dynamo=True, opset_version=18, verbose=False)
    assert program is not None
    program.save(buffer)
    traces = {"source": tiny.__file__, "code line": 'File "', "absent": "/no/such/folder"}
    assert traces_in(buffer.getvalue(), traces) == ["source", "code line"]
    assert tiny.__file__.encode() in buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\x00\x01made by vm\x00", ["host"]),
        (b"\x00/home/vm/x.py\x00", ["host"]),
        (b"\x00vm\x00 \xffvm~", []),
        (b"nvme vmware", []),
        (b'File "/x.py"', ["code line"]),
    ],
)
def test_the_search_takes_words_in_texts_and_not_chance_in_numbers(data: bytes, found: list[str]) -> None:
    assert traces_in(data, {"host": "vm", "code line": 'File "'}) == found
