"""How small a slowdown `saccade bench --against` sees on this machine: slowdowns of known size, and whether it did.

python -m saccade_bench.sensitivity models/bundles/road-camvid.saccade --planted 5% --planted 1% --times 5
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from saccade.cli import emit_json, run_command
from saccade.errors import RequestError
from saccade_bench.against import Change, changes
from saccade_bench.arms import Arm
from saccade_bench.chosen import bundle_arms, read_asked
from saccade_bench.cli import TIERS, Percent
from saccade_bench.document import Document, document
from saccade_bench.overhead import read_frames
from saccade_bench.running import YARDSTICK_WAY, report_of
from saccade_bench.turns import TIERS as EFFORTS
from saccade_bench.turns import Effort, in_turns

SLOWED_WAY = "saccade_bench.ways.slowed"


@dataclass(frozen=True)
class Seen:
    """A slowdown by the share ``planted`` of CPU time, what was found of it, and whether it was called one."""

    planted: float
    change: Change
    is_called_slower: bool


def look_for(
    arm: Arm, planted: Sequence[float], times: int, effort: Effort, fail_over: float, tell: Callable[[str], None]
) -> Iterator[Seen]:
    """Measure ``arm`` as it is and then with each of the slowdowns, ``times`` over, as two runs of saccade bench."""
    for number in range(times):
        tell(f"{number + 1} of {times}: {arm.name} as it is")
        before = _run(arm, effort)
        for share in planted:
            tell(f"{number + 1} of {times}: {arm.name} with {100 * share:g} % more CPU time")
            slowed = replace(arm, module=SLOWED_WAY, spec={**arm.spec, "more": share})
            (change,) = changes(_run(slowed, effort), before)
            yield Seen(share, change, change.is_slower_than(fail_over))


def _run(arm: Arm, effort: Effort) -> Document:
    """What saccade bench measures of one arm: it, a second process of it, and the yardstick."""
    yardstick = Arm("yardstick", YARDSTICK_WAY, {"threads": arm.spec["threads"]})
    found = in_turns([arm, replace(arm, name=f"{arm.name} again"), yardstick], effort)
    roles = ("arm", "again", "yardstick")
    return document({}, {}, [replace(report_of(each), role=role) for each, role in zip(found, roles, strict=True)])


@click.command()
@click.argument("arm")
@click.option("--planted", type=Percent(), multiple=True, default=("5%", "1%"), show_default=True, help="Repeatable.")
@click.option("--times", type=click.IntRange(1), default=3, show_default=True, help="How often each is looked for.")
@click.option("--fail-over", type=Percent(), default="3%", show_default=True, help="As of saccade bench --against.")
@click.option("--source", default="scenes:size=480x360", show_default=True, help="Where the frames come from.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="CPU threads.")
@click.option("--tier", type=click.Choice(TIERS), default="quick", show_default=True, help="As of saccade bench.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def main(
    arm: str,
    planted: tuple[float, ...],
    times: int,
    fail_over: float,
    source: str,
    threads: int,
    tier: str,
    as_json: bool,
) -> None:
    """Slow ARM, or the first of a bundle's, down by known shares of CPU time, and see which of them are found.

    Exit code 1: a slowdown beyond --fail-over was missed, or a smaller one was called a slowdown.
    """
    frames = read_frames(source, 8)
    if not frames:
        raise RequestError(f"{source} has no frames")
    with TemporaryDirectory(prefix="saccade-bench-") as folder:
        chosen = bundle_arms([read_asked(arm)], frames, Path(folder), threads)[0]
        tell = _quiet if as_json else _say
        seen = list(look_for(chosen, planted, times, EFFORTS[tier], fail_over, tell))
    wrong = [each for each in seen if each.is_called_slower != (each.planted > fail_over)]
    if as_json:
        emit_json({"arm": chosen.name, "fail_over": fail_over, "seen": [asdict(each) for each in seen]})
    else:
        _print(seen)
    if wrong:
        raise SystemExit(1)


def _print(seen: Sequence[Seen]) -> None:
    for each in seen:
        verdict = "called a slowdown" if each.is_called_slower else "not called one"
        found = each.change
        click.echo(
            f"{100 * each.planted:g} % planted: {100 * (found.middle - 1):+.1f} % found "
            f"({100 * (found.low - 1):+.1f} to {100 * (found.high - 1):+.1f}), {verdict}"
        )


def _say(what: str) -> None:
    click.echo(what, err=True)


def _quiet(what: str) -> None:
    """Nothing."""


if __name__ == "__main__":
    run_command(main, "python -m saccade_bench.sensitivity", "ort,bench")
