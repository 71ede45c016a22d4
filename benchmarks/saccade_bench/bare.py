"""The whole way from frame to result against the bare engine: the same network on a ready tensor, in the same run.

python -m saccade_bench.bare yolox-nano.saccade --source drive.mp4 --size 720x1280

Each arm has a process of its own, since idle threads of two sessions in one process get in each other's way, and they
take turns in the order A B B A. A second process of the whole way shows what the machine's noise alone gives.
"""

from __future__ import annotations

import itertools
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

import saccade
from saccade.cli import emit_json
from saccade.errors import RequestError
from saccade.opening import graph_of
from saccade_bench.overhead import read_frames
from saccade_export.capture import IMAGE
from saccade_export.heads import HEADS

OUTPUTS = {"scores"} | {name for kind in HEADS.values() for name in kind(1, (32, 32)).outputs}
"""Names that export gives to a network's raw outputs."""

WARM_CALLS = 5
Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Comparison:
    """Medians in milliseconds over ``calls`` calls an arm, and what one round's ratio of medians was, middle and ends.

    ``noise`` is the same ratio between two processes that both do the whole: what 1.00 looks like here.
    """

    calls: int
    rounds: int
    width: int
    height: int
    whole_ms: float
    bare_ms: float
    ratio: float
    ratio_lowest: float
    ratio_highest: float
    noise: float


def compare(bundle: Path, frames: list[Frame], rounds: int, threads: int | None = None) -> Comparison:
    """Time ``frames`` through the bundle, and its network alone, ``rounds`` times each in turn."""
    context = multiprocessing.get_context("spawn")
    arms = {
        name: _Arm(context, target, (bundle, frames, threads))
        for name, target in (("whole", _serve_whole), ("bare", _serve_bare), ("again", _serve_whole))
    }
    order = itertools.cycle((("whole", "bare", "again"), ("again", "bare", "whole")))
    taken: dict[str, list[list[float]]] = {name: [] for name in arms}
    try:
        for turn in itertools.islice(order, rounds):
            for name in turn:
                taken[name].append(arms[name].run())
    finally:
        for arm in arms.values():
            arm.close()
    middles = {name: [statistics.median(times) for times in turns] for name, turns in taken.items()}
    ratios = [whole / bare for whole, bare in zip(middles["whole"], middles["bare"], strict=True)]
    again = [other / whole for other, whole in zip(middles["again"], middles["whole"], strict=True)]
    height, width, _ = frames[0].shape
    return Comparison(
        calls=rounds * len(frames),
        rounds=rounds,
        width=width,
        height=height,
        whole_ms=statistics.median(itertools.chain(*taken["whole"])),
        bare_ms=statistics.median(itertools.chain(*taken["bare"])),
        ratio=statistics.median(ratios),
        ratio_lowest=min(ratios),
        ratio_highest=max(ratios),
        noise=statistics.median(again),
    )


class _Arm:
    """A process that times one way of doing the work, a round whenever it is asked."""

    def __init__(self, context: Any, target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
        self._process.start()

    def run(self) -> list[float]:
        """Milliseconds of each call of one round."""
        self._connection.send(True)
        return self._connection.recv()

    def close(self) -> None:
        self._connection.send(False)
        self._process.join(10)


def _serve_whole(connection: Connection, bundle: Path, frames: list[Frame], threads: int | None) -> None:
    with saccade.open(bundle, device="cpu", threads=threads) as task:
        _serve(connection, [lambda frame=frame: task(frame) for frame in frames])


def _serve_bare(connection: Connection, bundle: Path, frames: list[Frame], threads: int | None) -> None:
    session, image, outputs = bare_session(bundle, threads)
    random = np.random.default_rng(0)
    ready = {IMAGE: random.uniform(0, 255, image).astype(np.float32)}
    _serve(connection, [lambda: session.run(outputs, ready)] * len(frames))


def _serve(connection: Connection, calls: list[Callable[[], Any]]) -> None:
    while connection.recv():
        for call in itertools.islice(itertools.cycle(calls), WARM_CALLS):
            call()
        times: list[float] = []
        for call in calls:
            started = time.perf_counter_ns()
            call()
            times.append((time.perf_counter_ns() - started) / 1e6)
        connection.send(times)


def bare_session(bundle: Path, threads: int | None = None) -> tuple[Any, tuple[int, ...], list[str]]:
    """The network of a bundle's CPU variant without what surrounds it: session, shape of ``image``, output names."""
    import onnx
    import onnxruntime
    from onnx.external_data_helper import load_external_data_for_model

    opened = saccade.open_bundle(bundle)
    variant = next(variant for variant in opened.manifest.variants if variant.target == "cpu")
    with graph_of(opened, variant).on_disk() as path:
        model = onnx.load(path, load_external_data=False)
        load_external_data_for_model(model, str(path.parent))
    made = {name for node in model.graph.node for name in node.output}
    outputs = sorted(OUTPUTS & made)
    if IMAGE not in made or not outputs:
        raise RequestError(f"{bundle.name} has no values named {IMAGE} and {', '.join(sorted(OUTPUTS))}")
    shape = (1, 3, *opened.manifest.task.image.size_hw)
    bare = _between(model, IMAGE, shape, outputs)
    options: Any = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(bare.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session, shape, outputs


def _between(model: Any, given: str, shape: tuple[int, ...], outputs: list[str]) -> Any:
    """The nodes that ``outputs`` need, from the value ``given`` on."""
    from onnx import TensorProto, helper

    needed, nodes = set(outputs), []
    for node in reversed(model.graph.node):
        if needed & set(node.output) and given not in node.output:
            nodes.insert(0, node)
            needed |= set(node.input)
    stored = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    graph = helper.make_graph(
        nodes,
        "bare",
        [helper.make_tensor_value_info(given, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        stored,
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def _resized(frame: Frame, size_hw: tuple[int, int]) -> Frame:
    from PIL import Image

    return np.array(Image.fromarray(frame).resize((size_hw[1], size_hw[0]), Image.Resampling.BILINEAR))


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--source", default="scenes:frames=20,size=1280x720", help="Frames to run; the first 20 are used.")
@click.option("--size", metavar="HEIGHTxWIDTH", help="Resize the frames to this first.")
@click.option("--rounds", type=click.IntRange(2), default=20, help="Turns that each arm has.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: all usable cores]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
def main(bundle: Path, source: str, size: str | None, rounds: int, threads: int | None, as_json: bool) -> None:
    """Compare frame to result with the bare engine, on the CPU."""
    height, _, width = (size or "").partition("x")
    frames = read_frames(source, 20)
    if size:
        frames = [_resized(frame, (int(height), int(width))) for frame in frames]
    result = compare(bundle, frames, rounds, threads)
    if as_json:
        emit_json(asdict(result))
        return
    click.echo(
        f"{result.width}x{result.height}: frame to result {result.whole_ms:.2f} ms, bare engine {result.bare_ms:.2f} ms"
        f" (medians of {result.calls} calls)\nratio {result.ratio:.3f}, by round {result.ratio_lowest:.3f} to "
        f"{result.ratio_highest:.3f}; the same against itself {result.noise:.3f}"
    )


if __name__ == "__main__":
    main()
