"""What importing the runtime costs and brings with it: little, and nothing that an edge device has not."""

from __future__ import annotations

import ast
import json
import statistics
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import walk_packages

import pytest

import saccade
from saccade.cli import COMMANDS

ROOT = Path(__file__).parents[2]
RUNTIME = Path(saccade.__file__).parent
LIBRARIES = ("torch", "onnx", "onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "cuda", "cv2", "PIL", "av")
NEEDS_ITS_LIBRARY = {
    "saccade.engines.onnxruntime",
    "saccade.engines.onnxruntime.cpu",
    "saccade.engines.onnxruntime.gpu",
    "saccade.engines.onnxruntime.placement",
    "saccade.engines.onnxruntime.providers",
    "saccade.engines.onnxruntime.sessions",
    "saccade.engines.onnxruntime_tensorrt",
    "saccade.engines.openvino",
}
MOST_MS_OVER_NUMPY = 150
REPEATS = 5

ALL_COMMANDS = sorted({*COMMANDS, *(entry.name for entry in entry_points(group="saccade.commands"))})


def answer(program: str, *arguments: str) -> str:
    """What a program prints last in a Python of its own; it must succeed."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_the_import_loads_no_library_but_numpy() -> None:
    program = "import json, sys, saccade; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    loaded = set(json.loads(answer(program)))
    assert "numpy" in loaded
    assert not loaded & set(LIBRARIES)


def test_the_import_takes_little_longer_than_numpys() -> None:
    # A machine may be busy for one measurement, but not at every import of two.
    measured = [_milliseconds_over_numpy()]
    if measured[0] > MOST_MS_OVER_NUMPY:
        measured.append(_milliseconds_over_numpy())
    assert min(measured) <= MOST_MS_OVER_NUMPY, f"importing saccade took {measured} ms longer than importing numpy"


def _milliseconds_over_numpy() -> float:
    """The difference of the medians, from runs that alternate so that both meet the same load."""
    program = "import sys, time; s = time.perf_counter(); __import__(sys.argv[1]); print(time.perf_counter() - s)"
    took: dict[str, list[float]] = {"numpy": [], "saccade": []}
    for _ in range(REPEATS):
        for name, seconds in took.items():
            seconds.append(1000 * float(answer(program, name)))
    return statistics.median(took["saccade"]) - statistics.median(took["numpy"])


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in ALL_COMMANDS)], ids=" ".join)
def test_help_loads_neither_pytorch_nor_onnx(arguments: list[str]) -> None:
    program = """
import json, sys
from saccade.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    heavy = {"torch", "onnx", "onnxruntime", "tensorrt", "tensorrt_rtx", "cuda"}
    print(json.dumps([ended.code, sorted(heavy & set(sys.modules))]))
"""
    assert json.loads(answer(program, *arguments)) == [0, []]


def test_every_module_but_the_engines_imports_without_their_libraries_and_without_pictures() -> None:
    names = [module.name for module in walk_packages([str(RUNTIME)], "saccade.")]
    assert set(names) >= NEEDS_ITS_LIBRARY
    assert len(names) > 40
    program = f"""
import importlib, json, sys
for name in {LIBRARIES!r}:
    sys.modules[name] = None
refused = {{}}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError as error:
        refused[name] = str(error)
print(json.dumps(refused))
"""
    refused = json.loads(answer(program, *names))
    assert set(refused) == NEEDS_ITS_LIBRARY, refused


def test_each_of_nvidias_libraries_has_one_importer() -> None:
    """They are imported by name, which import contracts do not see."""
    importers: dict[str, set[str]] = {}
    for path in sorted(RUNTIME.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    found = [name.name for name in names]
                case ast.ImportFrom(module=str(module)):
                    found = [module]
                case ast.Constant(value=str(text)):
                    found = [text]
                case _:
                    continue
            for name in {"tensorrt_rtx", "cuda.bindings.runtime"} & set(found):
                importers.setdefault(name, set()).add(path.relative_to(RUNTIME).as_posix())
    assert importers == {
        "tensorrt_rtx": {"engines/tensorrt/library.py"},
        "cuda.bindings.runtime": {"engines/gpu/cuda.py"},
    }


DANGEROUS_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
DANGEROUS_BUILTINS = {"eval", "exec", "compile", "__import__"}
DANGEROUS_CALLS = {
    ("yaml", "load"),
    ("yaml", "unsafe_load"),
    ("yaml", "full_load"),
    ("torch", "load"),
    ("os", "system"),
}


def dangers_in(source: str) -> list[str]:
    """The imports and calls in a source text that could run what a file holds."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [name.name for name in names if name.name.partition(".")[0] in DANGEROUS_MODULES]
            case ast.ImportFrom(module=str(module), names=names):
                found += [module] if module.partition(".")[0] in DANGEROUS_MODULES else []
                found += [f"{module}.{name.name}" for name in names if (module, name.name) in DANGEROUS_CALLS]
            case ast.Call(func=ast.Name(id=name)) if name in DANGEROUS_BUILTINS:
                found.append(name)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=name)) if (owner, name) in DANGEROUS_CALLS:
                found.append(f"{owner}.{name}")
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=True)):
                found.append("allow_pickle")
    return found


@pytest.mark.parametrize(
    "planted",
    [
        "import pickle",
        "import os, pickle as p",
        "def f():\n    from pickle import loads",
        "x = eval('1')",
        "exec(open('x').read())",
        "import yaml\nyaml.load(text)",
        "from yaml import load",
        "numpy.load('x.npy', allow_pickle=True)",
        "class A:\n    def f(self):\n        return [torch.load(p) for p in self.paths]",
    ],
)
def test_the_scan_finds_what_is_planted(planted: str) -> None:
    assert dangers_in(planted)


@pytest.mark.parametrize(
    "harmless", ["# pickle, eval( and exec(", "'yaml.load'", "network.eval()", "re.compile('x')", "json.load(file)"]
)
def test_the_scan_leaves_alone_what_is_harmless(harmless: str) -> None:
    assert dangers_in(harmless) == []


def test_no_source_file_of_the_runtime_can_run_what_a_file_holds() -> None:
    sources = sorted(RUNTIME.rglob("*.py"))
    assert len(sources) > 40
    found = {str(path.relative_to(RUNTIME)): dangers_in(path.read_text(encoding="utf-8")) for path in sources}
    assert {path: dangers for path, dangers in found.items() if dangers} == {}


@pytest.mark.parametrize(
    "module",
    [path for folder in ("unit/runtime", "device") for path in sorted((ROOT / "tests" / folder).glob("test_*.py"))],
    ids=lambda path: path.stem,
)
def test_tests_that_run_without_pytorch_are_collected_without_it(module: Path) -> None:
    imported = {
        name
        for node in ast.parse(module.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
    }
    heavy = {"torch", "onnx", "safetensors", "saccade_export", "saccade_models", "saccade_bench"}
    assert not {name for name in imported if name.split(".")[0] in heavy or name == "tests.tiny"}
