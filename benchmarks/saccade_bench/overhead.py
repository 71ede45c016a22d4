"""What Saccade adds to the bare engine: time for each frame, and memory over frames of many sizes.

python -m saccade_bench.overhead models/bundles/road-camvid.saccade --source drive.mp4
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import psutil

import saccade
from saccade.cli import emit_json, run_command
from saccade.errors import RequestError
from saccade.sources import SourceFrame, open_source

Frame = npt.NDArray[np.uint8]

TEN_SIZES_HW = tuple((90 + 45 * step, 160 + 80 * step) for step in range(10))
WARM_FRAMES = 5


@dataclass(frozen=True)
class Overhead:
    """Medians over ``frames`` frames, in milliseconds. ``outside_ms`` is all but ONNX Runtime's own run."""

    frames: int
    width: int
    height: int
    total_ms: float
    engine_ms: float
    outside_ms: float
    outside_share: float


@dataclass(frozen=True)
class Memory:
    """Resident memory in MB after a quarter of the frames and at the end."""

    frames: int
    sizes: int
    early_mb: float
    late_mb: float

    @property
    def growth_mb(self) -> float:
        return self.late_mb - self.early_mb


class TimedSession:
    """An ONNX Runtime session that remembers how long its last run took; everything else is passed on."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.last_ns = 0

    def run_with_iobinding(self, binding: Any) -> None:
        started = time.perf_counter_ns()
        self._session.run_with_iobinding(binding)
        self.last_ns = time.perf_counter_ns() - started

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def measure_overhead(task: saccade.SegmentTask | saccade.DetectTask, frames: Sequence[Frame]) -> Overhead:
    """Time ``task`` on ``frames`` of one size, after a few to warm up. Needs the onnxruntime engine."""
    engine: Any = task._engine
    engine._session = timed = TimedSession(engine._session)
    totals: list[float] = []
    engines: list[float] = []
    for index, frame in enumerate(itertools.chain(frames[:WARM_FRAMES], frames)):
        started = time.perf_counter_ns()
        task(frame)
        elapsed = time.perf_counter_ns() - started
        if index >= WARM_FRAMES:
            totals.append(elapsed / 1e6)
            engines.append(timed.last_ns / 1e6)
    engine._session = timed._session
    outside = statistics.median(total - inside for total, inside in zip(totals, engines, strict=True))
    total = statistics.median(totals)
    height, width, _ = frames[0].shape
    return Overhead(len(totals), width, height, total, statistics.median(engines), outside, outside / total)


def measure_memory(task: saccade.Task, count: int, sizes: Sequence[tuple[int, int]] = TEN_SIZES_HW) -> Memory:
    """Run ``count`` random frames of ``sizes`` in turn and watch this process's resident memory."""
    random = np.random.default_rng(0)
    frames = [random.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    process = psutil.Process()
    early = 0
    for index in range(count):
        task(frames[index % len(frames)])
        if index == count // 4:
            early = process.memory_info().rss
    return Memory(count, len(sizes), early / 1e6, process.memory_info().rss / 1e6)


def read_frames(source: str, count: int) -> list[Frame]:
    """The first ``count`` frames of a source."""
    with open_source(source) as opened:
        return [item.image for item in itertools.islice(opened, count) if isinstance(item, SourceFrame)]


def frames_of_one_size(source: str, count: int) -> list[Frame]:
    """The first ``count`` frames of a source. Raises ``RequestError`` for none, and for several sizes."""
    frames = read_frames(source, count)
    if not frames:
        raise RequestError(f"{source} has no frames")
    if len({frame.shape for frame in frames}) > 1:
        raise RequestError(f"the frames of {source} have several sizes; one size is measured at a time")
    return frames


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--source", default="scenes:size=960x540", show_default=True, help="Where the timed frames come from.")
@click.option("--frames", type=click.IntRange(10), default=200, show_default=True, help="Timed frames.")
@click.option("--memory-frames", type=click.IntRange(0), default=2000, show_default=True, help="0 leaves memory out.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def main(bundle: Path, source: str, frames: int, memory_frames: int, as_json: bool) -> None:
    """Measure time outside the engine on SOURCE, and memory over frames of ten sizes."""
    with saccade.open(bundle, device="cpu") as task:
        if isinstance(task, saccade.RestoreTask):
            raise RequestError(f"{bundle} restores frames; its time is that of its steps, and is measured elsewhere")
        overhead = measure_overhead(task, read_frames(source, frames))
        memory = measure_memory(task, memory_frames) if memory_frames else None
    if as_json:
        emit_json({"overhead": asdict(overhead), "memory": asdict(memory) if memory else None})
        return
    click.echo(
        f"{overhead.frames} frames {overhead.width}x{overhead.height}: {overhead.total_ms:.2f} ms a frame, "
        f"{overhead.engine_ms:.2f} in the engine, {overhead.outside_ms:.3f} outside ({overhead.outside_share:.2%})"
    )
    if memory is not None:
        click.echo(
            f"{memory.frames} frames of {memory.sizes} sizes: {memory.early_mb:.1f} MB after a quarter, "
            f"{memory.late_mb:.1f} MB at the end, growth {memory.growth_mb:+.1f} MB"
        )


if __name__ == "__main__":
    run_command(main, "python -m saccade_bench.overhead", "ort,bench")
