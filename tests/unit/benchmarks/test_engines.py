"""The table of TensorRT-RTX's engines: what is built, what is refused, and what the table says of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import saccade
from saccade.errors import CheckError, RequestError
from saccade_bench.engines import BuiltEngine, build_engines, main, table
from saccade_export.seal import seal
from saccade_export.support.oracle import Answer, Oracle

pytestmark = pytest.mark.torch
pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")


def built(network: str, precision: str, size: int, *seconds: float) -> BuiltEngine:
    return BuiltEngine(network, f"{precision}-gpu", precision, size, seconds)


def test_the_table_has_a_line_for_each_network_and_a_column_for_each_precision_that_is_there() -> None:
    engines = [
        built("road", "int8", 1_260_000, 3.0, 9.0, 4.0),
        built("road", "fp32", 4_040_000, 2.04),
        built("denoise, 4 steps", "fp32", 9_100_000, 8.0),
    ]
    assert table(engines) == [
        "| engine | fp32 | int8 |",
        "| --- | --- | --- |",
        "| road | 4.0 MB, 2.0 s | 1.3 MB, 4.0 s |",
        "| denoise, 4 steps | 9.1 MB, 8.0 s |  |",
    ]


def test_every_number_of_steps_is_built_as_often_as_asked_for(tiny_restorer_bundle: Path) -> None:
    with Oracle() as oracle:
        engines = list(build_engines(tiny_restorer_bundle, oracle, 2))
    assert [(each.network.rpartition(", ")[2], each.variant) for each in engines] == [
        ("1 step", "fp32-gpu-n1"), ("2 steps", "fp32-gpu-n2"), ("4 steps", "fp32-gpu-n4"),
    ]  # fmt: skip
    assert all(each.engine_bytes > 1000 and len(each.seconds) == 2 and min(each.seconds) > 0 for each in engines)


def test_what_is_refused_is_told(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Oracle, "ask", lambda *_: Answer("build", ("no room",), 1.0))
    with Oracle() as oracle, pytest.raises(CheckError, match=r"does not build fp32-gpu of .*\.saccade: no room"):
        list(build_engines(tiny_bundle, oracle, 1))


def test_a_bundle_for_cpus_alone_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = saccade.open_bundle(tiny_bundle)
    variants = tuple(each for each in bundle.manifest.variants if each.target == "cpu")
    members = {name: bytes(bundle.member(name)) for name in bundle.manifest.members if "gpu" not in name}
    path = tmp_path / "for-cpus.saccade"
    seal(replace(bundle.manifest, variants=variants), members, path)
    with Oracle() as oracle, pytest.raises(RequestError, match=r"for-cpus.saccade has no variant for GPUs"):
        list(build_engines(path, oracle, 1))


def test_the_command_prints_the_table_or_json(tiny_bundle: Path) -> None:
    shown = CliRunner().invoke(main, [str(tiny_bundle), "--builds", "1"], catch_exceptions=False).stdout
    assert shown.startswith("| engine | fp32 |\n| --- | --- |\n| tiny | ")
    assert "medians of builds (1 each), which took 1.00 to 1.00 times as long" in shown
    document = json.loads(CliRunner().invoke(main, [str(tiny_bundle), "--builds", "1", "--json"]).stdout)
    assert [engine["variant"] for engine in document["engines"]] == ["fp32-gpu"]
    assert document["engines"][0]["engine_bytes"] > 1000
