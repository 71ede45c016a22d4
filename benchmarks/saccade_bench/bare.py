"""The whole way from frame to result against the bare engine: the same network on the same frames as ready tensors.

python -m saccade_bench.bare yolox-nano.saccade --network yolox_nano.onnx --source drive.mp4 --size 720x1280

The arms take turns, see ``saccade.turns``. A second process of the whole way shows what the machine's noise gives.
"""

from __future__ import annotations

import itertools
import statistics
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

import saccade
from saccade.cli import emit_json, run_command
from saccade.errors import RequestError
from saccade.letterbox import letterboxed
from saccade.opening import graph_of
from saccade.spec import IMAGE_STAGE, ImageSpec, Letterbox
from saccade.turns import serve, take_turns
from saccade_bench.arms import Arm
from saccade_bench.overhead import read_frames
from saccade_export.capture import IMAGE
from saccade_export.heads import HEADS

BARE_WAY = "saccade_bench.ways.bare"
READY_TENSORS = 2
"""They take four times the memory of frames, which is not the engine's."""

OUTPUTS = (*(kind(1, (32, 32)).outputs for kind in HEADS.values()), ("scores",))
"""Names that export gives to a network's raw outputs: by head, then for segmentation."""

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


def compare(
    bundle: Path, frames: list[Frame], rounds: int, threads: int | None = None, network: Path | None = None
) -> Comparison:
    """Time ``frames`` through the bundle, and a network alone, ``rounds`` times each in turn.

    The network is the ONNX file ``network`` as its author gave it, or the one in the bundle.
    """
    bare_session(bundle, threads, network)  # what is wrong with it shows here, not in the process
    whole = serve_whole, (bundle, frames, threads)
    taken = take_turns(
        {"whole": whole, "bare": (serve_bare, (bundle, frames, threads, network)), "again": whole}, rounds
    )
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


def serve_whole(connection: Connection, bundle: Path, frames: list[Frame], threads: int | None) -> None:
    with saccade.open(bundle, device="cpu", threads=threads) as task:
        serve(connection, [lambda frame=frame: task(frame) for frame in frames])


def serve_bare(
    connection: Connection, bundle: Path, frames: list[Frame], threads: int | None, network: Path | None
) -> None:
    session, image, outputs = bare_session(bundle, threads, network)
    (given,) = session.get_inputs()
    ready = [{given.name: ready_tensor(frame, image)} for frame in frames]
    serve(connection, [lambda given=given: session.run(outputs, given) for given in ready])


def bare_arm(bundle: saccade.Bundle, frames: str, folder: Path, threads: int | None) -> Arm:
    """The network of ``bundle`` alone, on the saved ``frames`` as the tensors that it takes.

    Raises ``RequestError`` for a bundle whose network cannot be told from what surrounds it.
    """
    image = image_spec(bundle)
    network, outputs = network_of(bundle)
    path, tensors = folder / "bare.onnx", folder / "tensors.npy"
    path.write_bytes(network)
    few = np.load(frames)[:READY_TENSORS]
    np.save(tensors, np.concatenate([ready_tensor(frame, image) for frame in few]))
    spec = {"network": str(path), "outputs": outputs, "tensors": str(tensors), "threads": threads}
    return Arm("network alone", BARE_WAY, {**spec, "task": bundle.manifest.task.kind})


def ready_tensor(frame: Frame, image: ImageSpec) -> npt.NDArray[np.float32]:
    """An RGB frame as the network takes it, float32 (1, 3, h, w)."""
    if isinstance(image.resize, Letterbox):
        pixels = letterboxed(frame, image.size_hw, image.resize.pad, image.resize.anchor)
    else:
        pixels = _resized(frame, image.size_hw)
    ordered = pixels if image.channel_order == "rgb" else pixels[..., ::-1]
    normalised = (ordered / image.scale - np.array(image.mean)) / np.array(image.std)
    return np.ascontiguousarray(np.moveaxis(normalised, -1, 0)[None], np.float32)


def bare_session(
    bundle: Path, threads: int | None = None, network: Path | None = None
) -> tuple[Any, ImageSpec, list[str]]:
    """The network alone, see ``compare``: session, what its input is, output names."""
    import onnxruntime

    opened = saccade.open_bundle(bundle)
    options: Any = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    model, outputs = network_of(opened) if network is None else (str(network), None)
    session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session, image_spec(opened), outputs or [output.name for output in session.get_outputs()]


def image_spec(bundle: saccade.Bundle) -> ImageSpec:
    """How the bundle's network takes frames. Raises ``RequestError`` where it has no input of one size."""
    image = bundle.manifest.task.image
    if not isinstance(image, ImageSpec):
        raise RequestError(f"{bundle.manifest.name} takes frames of any size: there is no bare network beside it")
    return image


def network_of(bundle: saccade.Bundle) -> tuple[bytes, list[str]]:
    """The network in float32 of a bundle for CPUs without what surrounds it, serialized, and its outputs' names."""
    import onnx
    from onnx.external_data_helper import load_external_data_for_model

    exact = (each for each in bundle.manifest.variants if (each.target, each.precision) == ("cpu", "fp32"))
    variant = next((each for each in exact if IMAGE_STAGE not in each.graphs), None)
    if variant is None:
        raise RequestError(f"{bundle.manifest.name} has no variant in float32 for CPUs: there is no bare network in it")
    with graph_of(bundle, variant).on_disk() as path:
        model = onnx.load(path, load_external_data=False)
        load_external_data_for_model(model, str(path.parent))
    made = {name for node in model.graph.node for name in node.output}
    outputs = next((list(names) for names in OUTPUTS if made.issuperset(names)), [])
    if IMAGE not in made or not outputs:
        known = ", or ".join(" and ".join(names) for names in OUTPUTS)
        raise RequestError(f"{bundle.manifest.name} has no values named {IMAGE} and {known}")
    bare = _between(model, IMAGE, (1, 3, *image_spec(bundle).size_hw), outputs)
    return bare.SerializeToString(), outputs


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
@click.option("--network", type=click.Path(path_type=Path), help="ONNX file to run alone.  [default: the bundle's]")
@click.option("--rounds", type=click.IntRange(2), default=20, help="Turns that each arm has.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: all usable cores]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
def main(
    bundle: Path,
    source: str,
    size: str | None,
    network: Path | None,
    rounds: int,
    threads: int | None,
    as_json: bool,
) -> None:
    """Compare frame to result with the bare engine, on the CPU."""
    frames = read_frames(source, 20)
    if size:
        height, _, width = size.partition("x")
        if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
            raise RequestError(f"--size must be HEIGHTxWIDTH, such as 720x1280, but got {size!r}")
        frames = [_resized(frame, (int(height), int(width))) for frame in frames]
    result = compare(bundle, frames, rounds, threads, network)
    if as_json:
        emit_json(asdict(result))
        return
    click.echo(
        f"{result.width}x{result.height}: frame to result {result.whole_ms:.2f} ms, bare engine {result.bare_ms:.2f} ms"
        f" (medians of {result.calls} calls)\nratio {result.ratio:.3f}, by round {result.ratio_lowest:.3f} to "
        f"{result.ratio_highest:.3f}; the same against itself {result.noise:.3f}"
    )


if __name__ == "__main__":
    run_command(main, "python -m saccade_bench.bare", "ort,bench")
