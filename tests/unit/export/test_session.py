"""Graphs in ONNX Runtime, for what is to be learnt of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from saccade_export.session import open_session

pytestmark = pytest.mark.torch
GIVEN = {"x": np.array([1.0, -2.0], np.float32)}


def graph() -> bytes:
    """|x|, behind a node that an optimiser leaves out."""
    nodes = [helper.make_node(kind, [given], [given + "."]) for kind, given in [("Identity", "x"), ("Abs", "x.")]]
    given, made = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "x.."))
    model = helper.make_model(
        helper.make_graph(nodes, "absolute", [given], [made]), opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


def profiled(folder: Path, **options: Any) -> list[str]:
    """The operations that ran."""
    session = open_session(graph(), threads=1, profile_prefix=str(folder / "run"), **options)
    session.run(None, GIVEN)
    events = json.loads(Path(session.end_profiling()).read_text())
    return [event["args"]["op_name"] for event in events if event["name"].endswith("_kernel_time")]


def test_it_computes_the_graph() -> None:
    assert open_session(graph()).run(None, GIVEN)[0].tolist() == [1.0, 2.0]


def test_a_node_that_an_optimiser_leaves_out_runs_where_it_is_off(tmp_path: Path) -> None:
    assert profiled(tmp_path) == ["Abs"]
    assert profiled(tmp_path, optimised=False) == ["Identity", "Abs"]


def test_without_a_prefix_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_session(graph()).run(None, GIVEN)
    assert not list(tmp_path.iterdir())
