"""A restorer in a few steps against the loops that a user would write: the same weights, frames and steps.

python -m saccade_bench.few_step denoise.saccade --weights bridge-denoise.safetensors --steps 4

The loops are as in diffusers' pipelines: the network is called once a step, and a scheduler of diffusers takes the
state to the next. The network runs in PyTorch as it is, through ``torch.compile``, and in ONNX Runtime. The bundle runs
with all steps in one graph, and step by step. Every way takes and gives uint8 frames. On the first frame PyTorch, ONNX
Runtime and the steps one by one must give the bundle's pixels within one grey level before any way is timed. They take
turns, see ``saccade.turns``.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

import saccade
from saccade.cli import emit_json, run_command
from saccade.errors import CheckError, RequestError, WeightsError
from saccade.spec import RestoreSpec
from saccade.turns import serve, take_turns
from saccade_bench.overhead import read_frames

SIGMA = 25.0
FRAMES = 3
WARM_CALLS = 2
GREY_LEVELS = 1
WAYS = ("unrolled", "stepwise", "eager", "compiled", "onnxruntime", "again")

Frame = npt.NDArray[np.uint8]
Restore = Callable[[Frame], Frame]


@dataclass(frozen=True)
class Comparison:
    """Medians in milliseconds by way, over ``calls`` calls each, and how much faster the unrolled bundle is.

    ``speedup`` is the median over rounds of a way's median over the unrolled bundle's, ``lowest`` and ``highest`` the
    ends; that of "again", a second process of the unrolled bundle, is what 1.00 looks like here.
    """

    steps: int
    width: int
    height: int
    calls: int
    milliseconds: dict[str, float]
    speedup: dict[str, float]
    lowest: dict[str, float]
    highest: dict[str, float]


def compare(
    bundle: Path, weights: Path, frames: list[Frame], steps: int, rounds: int, threads: int | None = None
) -> Comparison:
    """Time ``frames`` of one size, multiples of 8, restored by the bundle and by each loop, ``rounds`` times each.

    Raises ``CheckError`` where a loop's pixels are not the bundle's, ``RequestError`` for another bundle or frames of
    another size, ``WeightsError``.
    """
    height, width, _ = frames[0].shape
    if len({frame.shape for frame in frames}) > 1:
        raise RequestError("frames of one size are compared, but these have several; choose another --source")
    if height % 8 or width % 8:
        raise RequestError(f"the loops do not pad: frames must be multiples of 8, but are {width}x{height}")
    _spec(bundle)
    arguments = (bundle, weights, frames, steps, threads)
    wanted = _open("unrolled", *arguments)(frames[0]).astype(int)
    for way in WAYS:
        if way in ("eager", "onnxruntime", "stepwise"):  # compiled is eager's network
            off = int(np.abs(_open(way, *arguments)(frames[0]) - wanted).max())
            if off > GREY_LEVELS:
                raise CheckError(f"{way} is {off} grey levels off the bundle: its weights are not those of {weights}")
    taken = take_turns({way: (serve_way, (way, *arguments)) for way in WAYS}, rounds)
    middles = {way: [statistics.median(times) for times in turns] for way, turns in taken.items()}
    ratios = {
        way: [other / own for other, own in zip(turns, middles["unrolled"], strict=True)]
        for way, turns in middles.items()
    }
    return Comparison(
        steps,
        width,
        height,
        rounds * len(frames),
        milliseconds={way: statistics.median(turns) for way, turns in middles.items()},
        speedup={way: statistics.median(found) for way, found in ratios.items()},
        lowest={way: min(found) for way, found in ratios.items()},
        highest={way: max(found) for way, found in ratios.items()},
    )


def serve_way(
    connection: Connection, way: str, bundle: Path, weights: Path, frames: list[Frame], steps: int, threads: int | None
) -> None:
    """One way of ``WAYS`` in a process of its own."""
    restore = _open(way, bundle, weights, frames, steps, threads)
    serve(connection, [lambda frame=frame: restore(frame) for frame in frames], WARM_CALLS)


def _open(way: str, bundle: Path, weights: Path, frames: list[Frame], steps: int, threads: int | None) -> Restore:
    if way in ("unrolled", "again", "stepwise"):
        variant = "fp32-cpu-stepwise" if way == "stepwise" else "auto"
        task = saccade.open(bundle, device="cpu", variant=variant, threads=threads)
        assert isinstance(task, saccade.RestoreTask)
        return lambda frame: np.asarray(task(frame, sigma=SIGMA, steps=steps).image, np.uint8)
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    unit = _spec(bundle).map_per_sigma
    network: Any = _network(weights)
    if way == "onnxruntime":
        network = _in_onnxruntime(network, frames[0].shape, threads)
    elif way == "compiled":
        network = torch.compile(network)
    return lambda frame: _loop(network, frame, steps, SIGMA * unit)


def _loop(network: Any, frame: Frame, steps: int, level: float) -> Frame:
    """A pipeline's loop: a tensor of the frame, the network and the scheduler step by step, a frame of the result."""
    import torch
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    with torch.inference_mode():
        state = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 127.5 - 1
        map_ = torch.full((1, 1, *frame.shape[:2]), level)
        scheduler: Any = FlowMatchEulerDiscreteScheduler(shift=1.0)
        scheduler.set_timesteps(sigmas=[1 - step / steps for step in range(steps)])
        for timestep in scheduler.timesteps:
            velocity = network(state, map_, timestep[None] / scheduler.config.num_train_timesteps)
            state = scheduler.step(velocity, timestep, state).prev_sample
        pixels = ((state[0] + 1) * 127.5).clamp(0, 255).round().to(torch.uint8)
        return pixels.permute(1, 2, 0).contiguous().numpy()


def _network(weights: Path) -> Any:
    """The network that the weights' own metadata describes."""
    from saccade_export.network import load_weights, recorded_config
    from saccade_models.bridge_unet import BridgeUNet

    config = recorded_config(weights)
    if not {"widths", "blocks"} <= set(config):
        raise WeightsError(f"{weights} must hold a restorer's weights as saccade train writes them, with its config")
    network = BridgeUNet(widths=config["widths"], blocks=config["blocks"])
    load_weights(network, weights)
    return network.eval()


def _in_onnxruntime(network: Any, shape: tuple[int, ...], threads: int | None) -> Callable[[Any, Any, Any], Any]:
    """The network alone as PyTorch exports it, in ONNX Runtime; tensors in, a tensor out."""
    import onnxruntime
    import torch

    height, width, _ = shape
    example = (torch.zeros(1, 3, height, width), torch.ones(1, 1, height, width), torch.ones(1))
    program: Any = torch.onnx.export(network, example, dynamo=True, input_names=["state", "map", "time"], verbose=False)
    options: Any = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    session: Any = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def run(state: Any, map_: Any, time: Any) -> Any:
        given = {"state": state.numpy(), "map": map_.numpy(), "time": time.float().numpy()}
        return torch.from_numpy(session.run(None, given)[0])

    return run


def _spec(bundle: Path) -> RestoreSpec:
    spec = saccade.open_bundle(bundle).manifest.task
    if not isinstance(spec, RestoreSpec) or spec.mode != "denoise":
        raise RequestError(f"{bundle} must be a denoiser, exported with --task restore --mode denoise")
    return spec


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--weights", required=True, type=click.Path(path_type=Path), help="safetensors that it was made from.")
@click.option("--steps", type=click.IntRange(1), default=4, help="Steps of each way.")
@click.option("--source", default="scenes:frames=3,size=512x512", help=f"Frames to run; the first {FRAMES} are used.")
@click.option("--rounds", type=click.IntRange(2), default=10, help="Turns that each way has.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: all usable cores]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
def main(bundle: Path, weights: Path, steps: int, source: str, rounds: int, threads: int | None, as_json: bool) -> None:
    """Compare a denoiser's bundle with the same network in loops of PyTorch and ONNX Runtime, on the CPU."""
    result = compare(bundle, weights, read_frames(source, FRAMES), steps, rounds, threads)
    if as_json:
        emit_json(asdict(result))
        return
    click.echo(f"{result.width}x{result.height}, {result.steps} steps, medians of {result.calls} calls")
    for way, took in result.milliseconds.items():
        ends = f"{result.lowest[way]:.2f} to {result.highest[way]:.2f}"
        click.echo(f"{way:12} {took:8.1f} ms   {result.speedup[way]:.2f} times the unrolled bundle's ({ends} by round)")


if __name__ == "__main__":
    run_command(main, "python -m saccade_bench.few_step", "ort,export,diffusion")
