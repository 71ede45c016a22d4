"""What OpenVINO made of a graph is kept and read again: the same results, and only for what it was made for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino  # type: ignore[reportMissingTypeStubs]
import pytest
from tests.engines.test_engines import inputs_of, outputs_of

import saccade
import saccade.engines.openvino as openvino_engine
from saccade.engines.base import EngineOptions, Graph
from saccade.engines.cache import SUFFIX, EngineCache
from saccade.engines.openvino import CORE, OpenVinoEngine
from saccade.opening import graph_of


@pytest.fixture
def graph(tiny_bundle: Path) -> Graph:
    bundle = saccade.open_bundle(tiny_bundle)
    return graph_of(bundle, bundle.variant("fp32-cpu"))


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which of OpenVINO's two ways to a compiled model were taken, in order."""
    taken: list[str] = []

    class Core:
        def __getattr__(self, name: str) -> Any:
            return getattr(CORE, name)

        def compile_model(self, *given: Any, **named: Any) -> Any:
            taken.append("compiled")
            return CORE.compile_model(*given, **named)

        def import_model(self, *given: Any, **named: Any) -> Any:
            taken.append("read")
            return CORE.import_model(*given, **named)

    monkeypatch.setattr("saccade.engines.openvino.CORE", Core())
    return taken


def map_of(graph: Graph, folder: Path | None, **options: Any) -> np.ndarray:
    engine = OpenVinoEngine(graph, EngineOptions(threads=1, cache=folder, **options))
    return engine.run(inputs_of(1), outputs_of())["class_map"].copy()


def test_a_second_opening_reads_what_the_first_kept(graph: Graph, tmp_path: Path, compiled: list[str]) -> None:
    first, second = map_of(graph, tmp_path), map_of(graph, tmp_path)
    assert compiled == ["compiled", "read"]
    assert np.array_equal(first, second)
    ((_, _, key),) = EngineCache(tmp_path).entries()
    assert (key["kind"], key["library"]["name"]) == ("compiled", "openvino")


def test_what_is_read_has_the_precision_and_threads_that_were_asked_for(
    tmp_path: Path, shipped_bundle: Path, compiled: list[str]
) -> None:
    bundle = saccade.open_bundle(shipped_bundle)
    asked = EngineOptions(threads=1, cache=tmp_path, settings={"INFERENCE_PRECISION_HINT": "f32"})
    engines = [OpenVinoEngine(graph_of(bundle, bundle.variant("fp32-cpu")), asked) for _ in range(2)]
    assert compiled == ["compiled", "read"]
    for engine in engines:
        assert engine._models is not None
        model = engine._models.single
        assert model.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
        assert model.get_property("INFERENCE_NUM_THREADS") == 1
        assert model.get_property("ENABLE_CPU_PINNING") is False


CHANGES: dict[str, Callable[[pytest.MonkeyPatch], dict[str, Any]]] = {
    "threads": lambda _: {"threads": 2},
    "version": lambda patch: patch.setattr(openvino, "__version__", "2031.1.0") or {},
    "processor": lambda patch: patch.setattr("saccade.engines.openvino.processor", lambda: "another") or {},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_for_anything_else_it_is_compiled_anew(
    graph: Graph,
    tmp_path: Path,
    compiled: list[str],
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[pytest.MonkeyPatch], dict[str, Any]],
) -> None:
    map_of(graph, tmp_path)
    changed = {"threads": 1, **change(monkeypatch)}
    OpenVinoEngine(graph, EngineOptions(cache=tmp_path, **changed))
    assert compiled == ["compiled", "compiled"]


def test_another_graph_is_compiled_anew(
    graph: Graph, shipped_bundle: Path, tmp_path: Path, compiled: list[str]
) -> None:
    map_of(graph, tmp_path)
    bundle = saccade.open_bundle(shipped_bundle)
    map_of(graph_of(bundle, bundle.variant("fp32-cpu")), tmp_path)
    assert compiled == ["compiled", "compiled"]


@pytest.mark.parametrize("damage", ["a flipped bit", "cut off"])
def test_what_is_damaged_is_compiled_anew_and_kept(
    graph: Graph, tmp_path: Path, compiled: list[str], damage: str
) -> None:
    expected = map_of(graph, tmp_path)
    ((path, _, _),) = EngineCache(tmp_path).entries()
    data = bytearray(path.read_bytes())
    if damage == "a flipped bit":
        data[-100] ^= 1
    path.write_bytes(data if damage == "a flipped bit" else data[:-100])
    assert np.array_equal(map_of(graph, tmp_path), expected)
    assert np.array_equal(map_of(graph, tmp_path), expected)
    assert compiled == ["compiled", "compiled", "read"]


def test_what_the_library_cannot_read_or_write_is_compiled(
    graph: Graph, tmp_path: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("Check failed")

    expected = map_of(graph, tmp_path / "kept")
    for name, owner, folder in (
        ("import_model", openvino_engine.CORE, tmp_path / "kept"),
        ("export_model", openvino.CompiledModel, tmp_path / "new"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, refuse)
            assert np.array_equal(map_of(graph, folder), expected)
    assert compiled == ["compiled"] * 3
    assert not list((tmp_path / "new").rglob(f"*{SUFFIX}"))


def test_where_nothing_can_be_kept_it_works_all_the_same(graph: Graph, tmp_path: Path, compiled: list[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    open_to_all = tmp_path / "open"
    (open_to_all / "engines").mkdir(parents=True)
    (open_to_all / "engines").chmod(0o777)
    maps = [map_of(graph, folder) for folder in (blocked, open_to_all, None)]
    assert all(np.array_equal(maps[0], each) for each in maps)
    assert compiled == ["compiled"] * 3
    assert not list(open_to_all.rglob(f"*{SUFFIX}"))


def test_a_bundle_that_is_opened_keeps_it_where_it_is_told_to(
    tiny_bundle: Path, tmp_path: Path, compiled: list[str]
) -> None:
    for _ in range(2):
        with saccade.open(tiny_bundle, engine="openvino", threads=1, cache=tmp_path) as task:
            task(inputs_of(1)["frames"][0])
    assert compiled == ["compiled", "read"]


def test_several_frames_at_once_are_compiled_for_when_they_come(
    graph: Graph, tmp_path: Path, compiled: list[str]
) -> None:
    """The same map for each frame, alone and among others, in any order, and in a clone."""
    engine = OpenVinoEngine(graph, EngineOptions(threads=1, cache=tmp_path))
    frames = np.concatenate([inputs_of(seed)["frames"] for seed in (1, 2, 3)])
    singles = [engine.run(inputs_of(seed), outputs_of())["class_map"].copy() for seed in (1, 2, 3)]
    assert compiled == ["compiled"]
    outputs = {name: replace(spec, shape=(3, *spec.shape[1:])) for name, spec in outputs_of().items()}
    for each in (engine, engine.clone()):
        found = each.run({**inputs_of(1), "frames": frames}, outputs)["class_map"]
        assert np.array_equal(found, np.concatenate(singles))
        assert np.array_equal(each.run(inputs_of(2), outputs_of())["class_map"], singles[1])
    assert compiled == ["compiled", "compiled"]
    again = OpenVinoEngine(graph, EngineOptions(threads=1, cache=tmp_path))
    assert np.array_equal(again.run({**inputs_of(1), "frames": frames}, outputs)["class_map"], np.concatenate(singles))
    assert compiled == ["compiled", "compiled", "read", "read"]
