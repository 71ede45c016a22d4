"""What every report says of a document, as text: the table's columns and rows, what ran it, and its noise."""

from __future__ import annotations

from statistics import median

from saccade_bench.agreement import LEAST, is_same_result
from saccade_bench.document import ArmReport, Difference, Document
from saccade_bench.samples import FLOORS_APART, PERCENTS, Percentile
from saccade_bench.stream_report import StreamReport

TIMES = ("p90", "p99", "p99.9", "engine", "CPU", "first result", "memory")
UNITS = {"segment": "equal pixels", "detect": "equal boxes", "restore": "dB to the first"}
WHAT_WORDS = {"wall": "by the clock", "cpu": "of CPU time", "engine": "in the engine"}
STREAM = ("frames", "dropped", "missed", "longest outage", "age p50", "age p99", "run p50", "run p99", "result")
"""What a camera found: percentiles in milliseconds, of the age of results and of the time that runs took."""

LIMIT = "of the limit"
NONE = "-"
ANOTHER = "another result"


def columns(made: Document) -> list[str]:
    """The names of the table's columns; the first is the arm's, and the last its comparison with the first arm."""
    if is_stream(made):
        return ["arm", *STREAM]
    time = work_words(made).removeprefix("from ").removeprefix("for ")
    agreed, limit = UNITS.get(task_of(made), "agreement"), [LIMIT] if has_limits(made) else []
    return ["arm", time, *TIMES, *limit, agreed, *score_names(made), "against the first"]


def rows(made: Document) -> list[list[str]]:
    """A row for each arm, with a cell for each of ``columns``."""
    if is_stream(made):
        return [
            [arm.name, *_stream(found), ANOTHER if _is_another(arm) else "the first's"]
            for arm in made.arms
            if (found := arm.stream) is not None
        ]
    scores = score_names(made)
    return [
        [
            arm.name,
            *_times(arm),
            *([_limit(arm)] if has_limits(made) else []),
            agreement_words(arm.agreement, task_of(made)),
            *(_score(arm, name) for name in scores),
            _against(made, arm),
        ]
        for role in ("arm", "network")
        for arm in made.by_role(role)
    ]


def notes(made: Document) -> list[str]:
    """What stands below the table: frames a second where there are several at once, and the noise."""
    said, batch = [], made.settings.get("batch", 1)
    if batch > 1:
        rates = (f"{arm.name} {1000 * batch / median(arm.samples('wall')):.1f}" for arm in made.by_role("arm"))
        said.append(f"frames a second: {', '.join(rates)}")
    task = task_of(made)
    if any(map(_is_another, made.arms)):
        least = agreement_words(LEAST[task], task) + (" dB" if task == "restore" else "")
        said.append(f"an arm of another result agrees with the first by less than {least}: its time is for other work")
    if reasons := made.machine.get("disturbed"):
        said.append(f"the machine was disturbed: {'; '.join(reasons) if isinstance(reasons, list) else reasons}")
    if made.floors:
        floors = ", ".join(f"{what} {100 * floor:.1f} %" for what, floor in made.floors.items())
        apart = f"{FLOORS_APART:g} times that is a difference"
        said.append(f"noise floor: {floors}, between two processes of the first arm; {apart}")
    return said


def is_stream(made: Document) -> bool:
    """Whether a camera of constant rate was in front of the arms."""
    return made.arms[0].stream is not None


def work_words(made: Document) -> str:
    """What times are of."""
    batch = made.settings.get("batch", 1)
    return f"for {batch} frames" if batch > 1 else "from frame to result"


def task_of(made: Document) -> str:
    return str(made.arms[0].about.get("task"))


def score_names(made: Document) -> list[str]:
    return list(dict.fromkeys(name for arm in made.by_role("arm") for name in arm.scores or {}))


def difference_words(found: Difference) -> str:
    """How an arm's time compares with the first one's."""
    if not found.is_detected:
        return "no difference detected"
    return f"{found.ratio.middle:.2f} x as fast ({found.ratio.low:.2f} to {found.ratio.high:.2f})"


def agreement_words(agreement: float | None, task: str) -> str:
    if agreement is None:
        return NONE
    return f"{agreement:.1f}" if task == "restore" else f"{100 * agreement:.2f} %"


def conditions(made: Document) -> str:
    """Machine and settings in a line; what is not known is left out."""
    settings, machine = made.settings, made.machine
    rounds, counts = len(made.arms[0].wall), sorted(len(arm.samples("wall")) for arm in made.arms)
    samples = f"{counts[-1]}" if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"
    known = (
        joined("{}", settings.get("scenario")),
        joined("{}x{}", settings.get("width"), settings.get("height")),
        joined("{} cores of {}", machine.get("cores"), machine.get("processor")),
        _threads(settings.get("threads")),
        joined("{} tier", settings.get("tier")),
        f"{rounds} rounds, {samples} samples an arm" if rounds else "",
        joined("saccade {}", machine.get("saccade")),
        joined("{}", machine.get("when")),
    )
    return ", ".join(each for each in known if each)


def share_words(part: int, whole: int) -> str:
    return f"{100 * part / max(1, whole):.1f} %"


def median_ms(arm: ArmReport, what: str) -> float | None:
    """The middle of an arm's samples, None where it has none."""
    samples = arm.samples(what)
    return median(samples) if samples else None


def _times(arm: ArmReport) -> list[str]:
    known = {each.percent: each for each in arm.percentiles("wall")}
    tails = [_bounded(known.get(percent)) for percent in PERCENTS[1:]]
    middle = {what: _milliseconds(median_ms(arm, what)) for what in WHAT_WORDS}
    memory = f"{arm.peak_mb:.0f} MB"
    return [middle["wall"], *tails, middle["engine"], middle["cpu"], f"{arm.first_ms:.0f} ms", memory]


def _milliseconds(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f} ms"


def _bounded(found: Percentile | None) -> str:
    return NONE if found is None else f"{found.value:.1f} (≤ {found.upper:.1f})"


def _stream(found: StreamReport) -> list[str]:
    known = [{each.percent: each for each in kind} for kind in (found.age, found.service)]
    return [
        str(found.published),
        share_words(found.dropped, found.published),
        f"{share_words(found.missed, found.processed)} > {found.deadline_ms:.0f} ms",
        f"{found.longest_outage_ms:.0f} ms",
        *(_bounded(kind.get(percent)) for kind in known for percent in (50.0, 99.0)),
    ]


def has_limits(made: Document) -> bool:
    """Whether any arm is held to what the machine can compute and move."""
    return any(arm.limit is not None for arm in made.by_role("arm"))


def _limit(arm: ArmReport) -> str:
    """The share of the machine's limit that its engine reaches, and what the limit is made of."""
    limit = arm.limit or {}
    return f"{100 * limit['share']:.0f} % ({limit['bound']})" if "share" in limit else NONE


def _score(arm: ArmReport, name: str) -> str:
    """In points or dB."""
    value = (arm.scores or {}).get(name)
    return NONE if value is None else f"{value:.2f}"


def _against(made: Document, arm: ArmReport) -> str:
    found = next((each for each in made.differences if each.name == arm.name and each.what == "wall"), None)
    marked = f", {ANOTHER}" if _is_another(arm) else ""
    return "" if found is None else difference_words(found) + marked


def _is_another(arm: ArmReport) -> bool:
    return arm.role == "arm" and not is_same_result(str(arm.about.get("task")), arm.agreement)


def _threads(count: object) -> str:
    return "" if count is None else f"{count} thread{'' if count == 1 else 's'} an arm"


def joined(form: str, *parts: object) -> str:
    """``form`` filled in, nothing where one of its parts is not known."""
    return "" if any(part is None for part in parts) else form.format(*parts)
