"""NVIDIA's own parser and builder, which need no GPU, on the graphs made for GPUs. Running them does need one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.rtx import build_graph
from tests.tiny import export_tiny, export_tiny_detector, tiny_spec

import saccade

pytestmark = pytest.mark.torch

SMALL, USUAL, LARGE = (1, 32, 32, 3), (1, 540, 960, 3), (4, 1080, 1920, 3)


def build(bundle: Path, variant: str) -> int:
    """Bytes of the engine that TensorRT-RTX builds from a variant. Raises ``ValueError`` with the parser's reasons."""
    return build_graph(saccade.open_bundle(bundle), variant, shapes_of=lambda _name, _shape: (SMALL, USUAL, LARGE))


def test_the_shipped_gpu_graph_builds(shipped_bundle: Path) -> None:
    assert build(shipped_bundle, "fp32-gpu") > 1_000_000


def test_the_cpu_graph_does_not(shipped_bundle: Path) -> None:
    with pytest.raises(ValueError, match="UInt8"):
        build(shipped_bundle, "fp32-cpu")


def test_one_class_and_confidence_build_too(tmp_path: Path) -> None:
    spec = tiny_spec(1, has_confidence=True, threshold=0.4)
    assert build(export_tiny(tmp_path, spec=spec, arguments={"classes": 1}), "fp32-gpu") > 1000
    (tmp_path / "many").mkdir()
    assert build(export_tiny(tmp_path / "many", spec=tiny_spec(has_confidence=True)), "fp32-gpu") > 1000


def test_the_detectors_gpu_graph_builds_and_its_cpu_graph_does_not(tmp_path: Path) -> None:
    for head in ("yolox", "yolox-one-to-one", "yolov8"):
        path = export_tiny_detector(tmp_path, head, name=head)
        assert build(path, "fp32-gpu") > 1000
        with pytest.raises(ValueError, match=r"(?i)uint8"):
            build(path, "fp32-cpu")
