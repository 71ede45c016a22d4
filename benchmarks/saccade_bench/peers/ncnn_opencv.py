"""ncnn in float32, on the network that its own pnnx converted; around it what surrounds ONNX Runtime in other peers."""

from __future__ import annotations

import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from saccade_bench.peers import opencv_careful, opencv_yolov8, opencv_yolox
from saccade_bench.serving import Way, serve

AROUND = {
    "scores": opencv_careful.way_around,
    "cells": opencv_yolox.way_around,
    "boxes_and_scores": opencv_yolov8.way_around,
}
"""What surrounds each kind of network, by its output."""

NARROW = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_packed", "use_bf16_storage")
"""Options by which it computes or stores in 16 bits; those of fp16 are on as it comes, where the CPU has it."""


def open_way(spec: dict[str, Any]) -> Way:
    """``spec``: what surrounds the network needs, and outputs."""
    session = NcnnSession(Path(spec["network"]), spec["image"]["size_hw"], spec["threads"])
    return AROUND[spec["outputs"][0]](spec, session)


class NcnnSession:
    """A network of one input on the CPU. ``took_ns`` is how long its last run was.

    ``network`` is an ONNX file, or a ``.param`` that was converted before, with its ``.bin`` beside it.
    """

    def __init__(self, network: Path, size_hw: tuple[int, int], threads: int | None) -> None:
        import ncnn  # pyright: ignore[reportMissingImports]

        self._ncnn: Any = ncnn
        self._net: Any = ncnn.Net()
        if threads:
            self._net.opt.num_threads = threads
        for name in NARROW:
            setattr(self._net.opt, name, False)
        with TemporaryDirectory(prefix="ncnn-") as folder:
            param = network if network.suffix == ".param" else converted(network, size_hw, Path(folder))
            _expect_done(self._net.load_param(str(param)), f"load {param.name}")
            _expect_done(self._net.load_model(str(param.with_suffix(".bin"))), f"load the weights of {param.name}")
        self._given, self._found = self._net.input_names()[0], self._net.output_names()[0]
        self.took_ns = 0
        self.about = {"engine": "ncnn", "engine_version": ncnn.__version__, "precision": "f32", "threads": threads}

    def __call__(self, tensor: Any) -> Any:
        """The first output for float32 (1, 3, h, w)."""
        started = time.perf_counter_ns()
        extractor = self._net.create_extractor()
        # A copy, as pnnx's own example has it: a first layer that works in place crashes on memory that is not ncnn's.
        _expect_done(extractor.input(self._given, self._ncnn.Mat(tensor[0]).clone()), f"take {self._given}")
        code, output = extractor.extract(self._found)
        self.took_ns = time.perf_counter_ns() - started
        _expect_done(code, f"compute {self._found}")
        return output.numpy()[None]


def converted(network: Path, size_hw: tuple[int, int], folder: Path) -> Path:
    """An ONNX file as ncnn's ``.param`` in ``folder``, weights in float32 beside it.

    The program in pnnx's package is run as it is: importing the package would need PyTorch.
    """
    found = find_spec("pnnx")
    assert found is not None
    assert found.submodule_search_locations
    program = Path(found.submodule_search_locations[0]) / "pnnx"
    (folder / "network.onnx").symlink_to(network)  # it writes beside what it reads
    shape = ",".join(map(str, (1, 3, *size_hw)))
    command = [str(program), "network.onnx", "fp16=0", f"inputshape=[{shape}]"]
    subprocess.run(command, cwd=folder, check=True)  # noqa: S603 - its own program
    return folder / "network.ncnn.param"


def _expect_done(code: int, what: str) -> None:
    if code != 0:
        raise RuntimeError(f"ncnn cannot {what}: code {code}")


if __name__ == "__main__":
    serve(open_way)
