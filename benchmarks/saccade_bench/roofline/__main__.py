"""``python -m saccade_bench.roofline``: see ``main``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

import saccade
from saccade import machine
from saccade.cli import emit_json, run_command
from saccade.errors import RequestError

if TYPE_CHECKING:
    from saccade_bench.roofline.limits import Limit
    from saccade_bench.roofline.peaks import Peaks
    from saccade_bench.roofline.runs import Measured


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--variant", default="auto", help="Variant by name; auto takes the one made for the CPU.")
@click.option("--source", default="scenes:frames=30,size=960x540", show_default=True, help="Frames of one size to run.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: all usable cores]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
def main(bundle: Path, variant: str, source: str, threads: int | None, as_json: bool) -> None:
    """Measure what this machine's CPU computes and copies at best, and the share of it that BUNDLE's engine reaches."""
    from saccade_bench.machine.verdict import verdict
    from saccade_bench.machine.watching import Watcher
    from saccade_bench.overhead import read_frames
    from saccade_bench.roofline.limits import share_of_work
    from saccade_bench.roofline.peaks import measure_peaks
    from saccade_bench.roofline.runs import measure

    opened = saccade.open_bundle(bundle)
    frames = read_frames(source, 100)
    if len({frame.shape for frame in frames}) != 1:
        raise RequestError(f"--source must give frames of one size, but {source} gives none, or several sizes")
    with Watcher(meters_hiccups=False) as watcher:
        measured = measure(opened, frames, variant, threads)
        peaks = measure_peaks(threads)
    found = verdict(watcher.result())
    limit = share_of_work(measured.work, measured.engine_ms / 1000, peaks, measured.precision)
    if as_json:
        parts = {"peaks": peaks, "measured": measured, "limit": limit, "verdict": found}
        about = {"processor": machine.processor(), "cores": machine.usable_cores()}
        emit_json({**about, **{name: asdict(part) for name, part in parts.items()}})
        return
    disturbing = [f"disturbed  {reason}" for reason in found.reasons]
    click.echo("\n".join([*_of_machine(peaks), *_of_bundle(measured), *_of_limit(limit, measured), *disturbing]))


def _of_machine(peaks: Peaks) -> list[str]:
    lines = [f"{machine.processor()}, {peaks.threads} threads"]
    lines += [
        f"peak {peak.precision:5} {peak.gflops:7.0f} GFLOP/s  {peak.engine}, {peak.product}"
        for peak in sorted(peaks.best.values(), key=lambda peak: peak.gflops)
    ]
    lines += [f"no peak of {name}: {reason}" for name, reason in peaks.missing.items()]
    lines.append(f"copy       {peaks.copy_gb_s:7.1f} GB/s     arrays of {peaks.copy_bytes / 1e6:.0f} MB")
    return lines


def _of_bundle(measured: Measured) -> list[str]:
    work = measured.work
    products = ", ".join(f"{flops / 1e9:.3f} in {kind}" for kind, flops in work.products.items())
    uncounted = ", ".join(f"{name} ({times})" for name, times in work.uncounted.items())
    return [
        f"{measured.variant} on {measured.engine} {measured.engine_version}, {measured.width}x{measured.height}",
        f"products   {work.flops / 1e9:7.3f} GFLOP ({products}), beside them {work.others / 1e9:.3f}",
        f"memory     {work.bytes_moved / 1e6:7.1f} MB to move at least",
        *([f"uncounted  {uncounted}"] if uncounted else []),
        f"engine     {measured.engine_ms:7.2f} ms, median of {measured.frames} frames; least {measured.least_ms:.2f}",
    ]


def _of_limit(limit: Limit, measured: Measured) -> list[str]:
    reached = measured.work.flops / measured.engine_ms / 1e6
    return [
        f"limit      {limit.least_ms:7.2f} ms by {limit.bound} (compute {limit.compute_ms:.2f}, memory "
        f"{limit.memory_ms:.2f}); {limit.share:.0%} of it reached, {reached:.0f} GFLOP/s"
    ]


if __name__ == "__main__":
    run_command(main, "python -m saccade_bench.roofline", "ort,export,bench")
