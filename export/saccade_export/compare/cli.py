"""``saccade compare``: what two variants, engines or bundles make of the same frames, and where they part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from saccade.cli import emit_json
from saccade.cli.options import FiniteRange, json_option
from saccade.errors import RequestError

if TYPE_CHECKING:
    from saccade_export.compare.bisect import Parting, Probe
    from saccade_export.compare.calls import Call
    from saccade_export.compare.results import Difference
    from saccade_export.compare.sides import Side

MOST_FRAMES = 16
PROBED_FRAMES = 2


@click.command(short_help="Hold two variants or engines against each other, and find where they part.")
@click.argument("first")
@click.argument("second")
@click.option("--source", help="Image, folder, glob, video or scenes: to compare on.  [the golden frames]")
@click.option("--limit", type=click.IntRange(1), default=MOST_FRAMES, help="Most frames, spread over the source.")
@click.option("--bisect", "finds", is_flag=True, help="Find the first tensor in which they part.")
@click.option(
    "--tolerance",
    type=FiniteRange(0),
    help="--bisect: how far tensors may be apart, relative.  [0.001; fp16 0.01, bf16 0.05, int8 0.15]",
)
@json_option
def compare(
    first: str, second: str, source: str | None, limit: int, finds: bool, tolerance: float | None, as_json: bool
) -> None:
    """Run FIRST and SECOND, each BUNDLE[:VARIANT][@ENGINE], on the same frames and compare their results.

    With --bisect it goes on to the tensors inside: those that both graphs have by name are halved until the first that
    differs is found, with the nodes that made it. Exit code 1: a result differs by more than the looser of the two
    variants may, or with --bisect, a tensor does.

    \b
    saccade compare road.saccade:fp32-cpu road.saccade:int8-cpu
    saccade compare road.saccade:fp32-gpu@onnxruntime road.saccade:fp32-gpu@openvino --bisect
    """
    from saccade_export.compare.calls import calls_of
    from saccade_export.compare.results import differences
    from saccade_export.compare.sides import check_alike, read_side

    sides = (read_side(first), read_side(second))
    check_alike(*sides)
    if finds:
        _check_one_graph(sides[0])
    calls = calls_of(sides[0], source, limit)
    found = differences(sides, calls)
    parting = _parting(sides, calls[:PROBED_FRAMES], tolerance) if finds else None
    passed = all(each.passed for each in found) and (parting is None or parting.parts is None)
    if as_json:
        emit_json(_document(sides, found, parting, passed=passed))
    else:
        click.echo("\n".join(_lines(sides, found, parting)))
    if not passed:
        raise SystemExit(1)


def _check_one_graph(side: Side) -> None:
    if side.variant.parameters.get("form") == "stepwise":
        raise RequestError(f"--bisect looks into one graph, but {side.name} has three; give an unrolled variant")


def _parting(sides: tuple[Side, Side], calls: Sequence[Call], tolerance: float | None) -> Parting:
    """Where the tensors of two sides part on the frames of ``calls``, each probe told as it is done."""
    from saccade_export.compare.bisect import bisect, usual_tolerance
    from saccade_export.precision.recorded import record_inputs

    frames = [np.array(call.frame) for call in calls]
    one, other = (
        record_inputs(side.bundle, side.variant, frames, lambda index: calls[index].asked, side.engine)["main"]
        for side in sides
    )
    return bisect(*sides, (one, other), usual_tolerance(*sides) if tolerance is None else tolerance, _say)


def _lines(sides: tuple[Side, Side], found: Sequence[Difference], parting: Parting | None) -> Iterator[str]:
    yield f"{sides[0].name} and {sides[1].name}"
    for each in found:
        yield f"{each.frame}  {'agrees' if each.passed else 'DIFFERS'}: {each.sentence}"
    if parting is not None:
        yield from _lines_of_parting(parting)


def _lines_of_parting(parting: Parting) -> list[str]:
    looked = f"{len(parting.probes)} of {parting.tensors} common tensors were looked at"
    if parting.parts is None:
        most = max(probe.difference for probe in parting.probes)
        return [f"the tensors do not part: the last ones differ by {most:.2g} at most; {looked}"]
    before = "no tensor before it" if parting.agrees is None else f"the one before it, {_named(parting.agrees)}, agrees"
    one, other = parting.parts.nodes
    made = one if one == other else f"{one} and {other}"
    return [
        f"they part at {_named(parting.parts)}, tolerance {parting.tolerance:g}",
        f"it is made by {made}; {before}; {looked}",
    ]


def _named(probe: Probe) -> str:
    return f"{probe.tensor!r} (tensor {probe.place + 1}, off by {probe.difference:.2g})"


def _document(
    sides: tuple[Side, Side], found: Sequence[Difference], parting: Parting | None, *, passed: bool
) -> dict[str, Any]:
    return {
        "first": sides[0].name,
        "second": sides[1].name,
        "passed": passed,
        "frames": [asdict(each) for each in found],
        "parting": parting and _content(parting),
    }


def _content(parting: Parting) -> dict[str, Any]:
    def probe(each: Probe | None) -> dict[str, Any] | None:
        return each and {**asdict(each), "difference": each.difference if np.isfinite(each.difference) else None}

    return {
        "tolerance": parting.tolerance,
        "tensors": parting.tensors,
        "agrees": probe(parting.agrees),
        "parts": probe(parting.parts),
        "probes": [probe(each) for each in parting.probes],
    }


def _say(probe: Probe) -> None:
    click.echo(f"· {probe.tensor}: off by {probe.difference:.2g}", err=True)
