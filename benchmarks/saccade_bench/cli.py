"""``saccade bench``: variants and engines side by side in one run, with the noise of the machine beside them."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from saccade.cli import emit_json
from saccade.cli.options import FiniteRange, json_option
from saccade.errors import OutputError, RequestError

if TYPE_CHECKING:
    from saccade_bench.against import Change
    from saccade_bench.document import Document

TIERS = ("smoke", "quick", "publish")
SCENARIOS = ("single-stream", "multi-stream", "offline", "constant-stream")
BATCHES = {"multi-stream": 8, "offline": 32}
FRAMES = 8
DEFAULT_FPS = 30.0
PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%?")


class Percent(click.ParamType[float]):
    """A share written as a percentage: 3%, or 3."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = PERCENT.fullmatch(str(value))
        if found is None or not 0 < float(found[1]) < 1000:
            self.fail(f"{value!r} is not a percentage above 0, such as 3%", param, ctx)
        return float(found[1]) / 100


@click.command(short_help="Measure variants and engines side by side, with the noise beside them.")
@click.argument("arms", nargs=-1)
@click.option("--peer", "peers", multiple=True, metavar="NAME[=NETWORK]", help="Another way beside them; repeatable.")
@click.option(
    "--torch",
    "torch_weights",
    type=click.Path(path_type=Path),
    metavar="WEIGHTS",
    help="The first bundle's network in PyTorch beside it: eager, channels last, compiled.",
)
@click.option("--bare", is_flag=True, help="The first bundle's network alone beside it, on ready tensors.")
@click.option("--list-peers", is_flag=True, help="Tell which peers there are, and how to install them.")
@click.option("--source", default="scenes:size=1280x720", show_default=True, help="Where the frames come from.")
@click.option("--frames", type=click.IntRange(1), default=FRAMES, show_default=True, help="Different frames to run.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads of each arm.  [default: all usable cores]")
@click.option("--smoke", "tier", flag_value="smoke", help="64 samples, at most 6 s an arm.")
@click.option("--quick", "tier", flag_value="quick", default="quick", help="662 samples, at most 45 s.  [default]")
@click.option("--publish", "tier", flag_value="publish", help="6,636 samples, at most 10 minutes.")
@click.option(
    "--scenario",
    type=click.Choice(SCENARIOS),
    help="MLPerf's: a frame after the other; queries of several; throughput; a camera.  "
    "[default: single-stream, with --fps constant-stream]",
)
@click.option("--fps", type=FiniteRange(0, 1000, min_open=True), help="constant-stream: the camera's rate.  [30]")
@click.option(
    "--policy",
    type=click.Choice(["newest", "fifo"]),
    default="newest",
    show_default=True,
    help="constant-stream: a newer frame takes the waiting one's place, or all wait.",
)
@click.option("--deadline", type=FiniteRange(0, min_open=True), help="constant-stream: ms of age.  [two frames]")
@click.option("--batch", type=click.IntRange(1), help="multi-stream and offline: frames at once.  [8 and 32]")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Score the arms too, on what saccade quantize takes as --data."
)
@click.option("--split", default="val", show_default=True, help="Class maps: the folder in --data.")
@click.option("--images", type=click.Path(path_type=Path), help="Folder of a COCO json's images.  [beside it]")
@click.option("--limit", type=click.IntRange(1), help="Score only the first images.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder for bench.json, .md and .html.")
@click.option("--against", type=click.Path(path_type=Path), help="An earlier bench.json to compare CPU time with.")
@click.option("--fail-over", type=Percent(), default="3%", show_default=True, help="More CPU time than that fails.")
@json_option
def bench(
    arms: tuple[str, ...],
    peers: tuple[str, ...],
    torch_weights: Path | None,
    bare: bool,
    list_peers: bool,
    source: str,
    frames: int,
    threads: int | None,
    tier: str,
    scenario: str | None,
    fps: float | None,
    policy: str,
    deadline: float | None,
    batch: int | None,
    data: Path | None,
    split: str,
    images: Path | None,
    limit: int | None,
    output: Path | None,
    against: Path | None,
    fail_over: float,
    as_json: bool,
) -> None:
    """Time ARMS from frame to result: BUNDLE.saccade[:VARIANT][@ENGINE][*THREADS].

    A bundle alone stands for all of its variants and engines that can run here. Each arm has a process of its own; they
    take turns, so what the machine does meanwhile it does to all. A second process of the first arm gives the noise
    floor: what is below twice that is no difference. Peers run the first bundle's network, or the file NETWORK, as
    their users do. An arm of another result than the first one's is marked. Exit code 1: with --against, an arm needs
    more CPU time than --fail-over allows.
    """
    if list_peers:
        _list_peers(as_json)
        return
    if not arms:
        raise click.UsageError("Missing argument 'ARMS...'.")
    from saccade_bench import against as earlier
    from saccade_bench import document
    from saccade_bench.accuracy import Labelled
    from saccade_bench.progress import shown_progress
    from saccade_bench.report.files import write
    from saccade_bench.running import Request, run

    before = None if against is None else document.read(against)
    if output is not None and output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file; --output names a folder")
    work = _work(scenario, fps, policy, deadline, batch)
    labelled = None if data is None else Labelled(data, images, split, limit)
    request = Request(arms, peers, source, frames, threads, tier, work, labelled, torch_weights, bare)
    with shown_progress() as tell:
        made = run(request, tell)
    if output is not None:
        write(made, output)
    found = [] if before is None else earlier.changes(made, before)
    slower = [change for change in found if change.is_slower_than(fail_over)]
    if as_json:
        emit_json(document.as_content(made) | {"changes": [vars(change) for change in found], "passed": not slower})
    else:
        _print(made, found, slower, fail_over, against)
    if slower:
        raise SystemExit(1)


def _work(
    scenario: str | None, fps: float | None, policy: str, deadline: float | None, batch: int | None
) -> dict[str, Any]:
    """What is done with the frames. Raises ``RequestError`` for options of another scenario."""
    chosen = scenario or ("single-stream" if fps is None else "constant-stream")
    if chosen == "constant-stream":
        if batch is not None:
            raise RequestError("--batch is for multi-stream and offline; a camera gives one frame after the other")
        rate = fps or DEFAULT_FPS
        return {"scenario": chosen, "fps": rate, "policy": policy, "deadline_ms": deadline or 2000 / rate, "batch": 1}
    if fps is not None or deadline is not None:
        raise RequestError(f"--fps and --deadline are for --scenario constant-stream, but {chosen} was asked for")
    if batch is not None and chosen not in BATCHES:
        raise RequestError("--batch is for --scenario multi-stream or offline")
    return {"scenario": chosen, "batch": batch or BATCHES.get(chosen, 1)}


def _list_peers(as_json: bool) -> None:
    from saccade_bench.peers.registry import INSTALL, as_rows

    if as_json:
        emit_json({"peers": as_rows(), "install": INSTALL})
        return
    for row in as_rows():
        click.echo(f"{row['name']:22}{row['installed'] or 'not installed':16}{row['what']}")
    click.echo(f"to install them {INSTALL}")


def _print(
    made: Document, found: Sequence[Change], slower: Sequence[Change], fail_over: float, against: Path | None
) -> None:
    from rich.console import Console

    from saccade_bench.report.terminal import show

    settings, machine = made.settings, made.machine
    click.echo(
        f"{settings['scenario']}, {settings['width']}x{settings['height']}, {machine['cores']} cores of "
        f"{machine['processor']}, {settings['tier']}"
    )
    show(made, Console(width=None if _is_terminal() else 200))
    for change in found:
        verdict = "more than" if change in slower else "within"
        click.echo(
            f"{change.name}: {change.middle:.3f} times the CPU time in {against} ({change.low:.3f} to "
            f"{change.high:.3f}), {verdict} --fail-over {100 * fail_over:g}%"
        )


def _is_terminal() -> bool:
    return sys.stdout.isatty()
