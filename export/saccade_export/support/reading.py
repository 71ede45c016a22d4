"""Graphs to check, out of a bundle or an ONNX file, with their weights in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir

from saccade.bundle import open_bundle
from saccade.errors import RequestError, SourceError
from saccade.spec import IMAGE_STAGE
from saccade_export.precision.graphs import model_of
from saccade_export.support.oracle import Shapes, ShapesOf, usual_shapes

FRAMES_HW = ((64, 64), (544, 960), (1024, 1024))
"""Of the smallest, the usual and the largest frame that an engine is built for."""

COUNTS = (1, 1, 4)
SHAPES: dict[str, Callable[[int, int, int], tuple[int, ...]]] = {
    "frames": lambda count, height, width: (count, height, width, 3),
    "noise": lambda count, height, width: (count, height, width, 3),
    "state": lambda count, height, width: (count, 3, height, width),
    "map": lambda count, height, width: (count, 1, height, width),
    "level": lambda count, height, width: (count, 1, height, width),
    "time": lambda count, _height, _width: (count,),
}
"""Inputs of our graphs whose shapes vary. A level may also be one number a frame; what is not here always is."""


@dataclass(frozen=True)
class Given:
    """One graph: ``variant`` and ``stage`` are empty for a file; ``shapes_of`` is what an engine is built for."""

    variant: str
    stage: str
    model: ir.Model
    shapes_of: ShapesOf

    @property
    def title(self) -> str:
        return self.variant if self.stage in ("", "main") else f"{self.variant} ({self.stage})"


def read_graphs(path: Path, variant: str | None = None) -> Iterator[Given]:
    """Every stage of every variant of a bundle, or of ``variant`` alone; or the one graph of an ``.onnx`` file.

    Raises ``BundleError`` or ``SourceError`` for what cannot be read, ``RequestError`` for a variant that is not there.
    """
    if path.suffix.lower() == ".onnx":
        if variant is not None:
            raise RequestError(f"--variant chooses in a bundle, but {path.name} is one graph; leave it out")
        model = read_onnx(path)
        yield Given("", "", model, usual_shapes(model))
        return
    bundle = open_bundle(path)
    for chosen in bundle.manifest.variants if variant is None else (bundle.variant(variant),):
        for stage in chosen.graphs:
            if stage == IMAGE_STAGE:  # it is in the main one's
                continue
            yield Given(chosen.name, stage, model_of(bundle, chosen, stage), frame_shapes)


def read_onnx(path: Path) -> ir.Model:
    """The graph in a file. ONNX's own loader reads weights beside it, and nothing that a path or a link leads to."""
    try:
        model = ir.from_proto(onnx.load(path))
    except Exception as error:  # protobuf, onnx and onnx_ir each have errors of their own
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise SourceError(f"{path} cannot be read as ONNX: {lines[0]}") from error
    if not model.graph.outputs:
        raise SourceError(f"{path} cannot be read as ONNX: it holds no graph")
    return model


def frame_shapes(name: str, shape: tuple[int | None, ...]) -> Shapes:
    """Shapes of our graphs' inputs for frames of ``FRAMES_HW``."""
    of_frames = SHAPES.get(name, lambda count, _height, _width: (count, 1, 1, 1)[: len(shape)])
    least, usual, most = (of_frames(count, *size) for count, size in zip(COUNTS, FRAMES_HW, strict=True))
    return ((1,) * len(shape) if name == "level" else least, usual, most)
