"""The document as a table in the terminal."""

from __future__ import annotations

from statistics import median

from rich.console import Console
from rich.table import Table

from saccade_bench.document import ArmReport, Difference, Document
from saccade_bench.samples import PERCENTS, Percentile

COLUMNS = ("p90", "p99", "p99.9", "engine", "CPU", "first result", "memory")
UNITS = {"segment": "equal pixels", "detect": "equal boxes", "restore": "dB to the first"}


def show(made: Document, console: Console) -> None:
    """The arms, a line each, and how they compare with the first; then what the noise allows to be said."""
    if made.arms[0].stream is not None:
        console.print(_stream_table(made))
        return
    task, batch = str(made.arms[0].about.get("task")), made.settings.get("batch", 1)
    table = _table(f"{batch} frames" if batch > 1 else "frame to result", *COLUMNS, UNITS.get(task, ""))
    scored = [name for arm in made.by_role("arm") for name in arm.scores or ()]
    for name in dict.fromkeys(scored):
        table.add_column(name, justify="right")
    table.add_column("against the first")
    for arm in made.by_role("arm"):
        reached = [_score(arm, name) for name in dict.fromkeys(scored)]
        table.add_row(arm.name, *_times(arm), _agreement(arm, task), *reached, _against(made, arm))
    console.print(table)
    if batch > 1:
        rates = (f"{arm.name} {1000 * batch / median(arm.samples('wall')):.1f}" for arm in made.by_role("arm"))
        console.print(f"frames a second: {', '.join(rates)}")
    floors = ", ".join(f"{what} {100 * floor:.1f} %" for what, floor in made.floors.items())
    console.print(f"noise floor: {floors}, between two processes of the first arm; twice that is a difference")


def _stream_table(made: Document) -> Table:
    """What a camera found. Percentiles of the age of results and of the time that runs took, in milliseconds."""
    table = _table("frames", "dropped", "missed", "longest outage", "age p50", "age p99", "run p50", "run p99")
    for arm in made.arms:
        if (found := arm.stream) is not None:
            known = [{each.percent: each for each in kind} for kind in (found.age, found.service)]
            tails = [_bounded(kind.get(percent)) for kind in known for percent in (50.0, 99.0)]
            missed = f"{100 * found.missed / max(1, found.processed):.1f} % > {found.deadline_ms:.0f} ms"
            dropped = f"{100 * found.dropped / found.published:.1f} %"
            outage = f"{found.longest_outage_ms:.0f} ms"
            table.add_row(arm.name, str(found.published), dropped, missed, outage, *tails)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold")
    table.add_column("arm")
    for name in columns:
        table.add_column(name, justify="right")
    return table


def difference_words(found: Difference) -> str:
    """How an arm's time compares with the first one's."""
    if not found.is_detected:
        return "no difference detected"
    return f"{found.ratio.middle:.2f} x as fast ({found.ratio.low:.2f} to {found.ratio.high:.2f})"


def _times(arm: ArmReport) -> list[str]:
    known = {each.percent: each for each in arm.percentiles("wall")}
    tails = [_bounded(known.get(percent)) for percent in PERCENTS[1:]]
    middle = {what: _middle(arm, what) for what in ("wall", "cpu", "engine")}
    memory = f"{arm.peak_mb:.0f} MB"
    return [middle["wall"], *tails, middle["engine"], middle["cpu"], f"{arm.first_ms:.0f} ms", memory]


def _middle(arm: ArmReport, what: str) -> str:
    samples = arm.samples(what)
    return f"{median(samples):.2f} ms" if samples else "-"


def _bounded(found: Percentile | None) -> str:
    return "-" if found is None else f"{found.value:.1f} (≤ {found.upper:.1f})"


def _agreement(arm: ArmReport, task: str) -> str:
    if arm.agreement is None:
        return "-"
    return f"{arm.agreement:.1f}" if task == "restore" else f"{100 * arm.agreement:.2f} %"


def _score(arm: ArmReport, name: str) -> str:
    """In points or dB."""
    reached = (arm.scores or {}).get(name)
    return "-" if reached is None else f"{reached:.2f}"


def _against(made: Document, arm: ArmReport) -> str:
    found = next((each for each in made.differences if each.name == arm.name and each.what == "wall"), None)
    return "" if found is None else difference_words(found)
