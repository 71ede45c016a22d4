"""What every report says of a document, as text: the table's columns and rows, what ran it, and its noise."""

from __future__ import annotations

from saccade_bench.document import ArmReport, Difference, Document
from saccade_bench.samples import FLOORS_APART, PERCENTS, Percentile

TIMES = ("frame to result", "p90", "p99", "p99.9", "engine", "CPU", "first result", "memory")
UNITS = {"segment": "equal pixels", "detect": "equal boxes", "restore": "dB to the first"}
WHAT_WORDS = {"wall": "by the clock", "cpu": "of CPU time", "engine": "in the engine"}
NONE = "-"


def columns(made: Document) -> list[str]:
    """The names of the table's columns; the first is the arm's and the last its comparison with the first arm."""
    return ["arm", *TIMES, UNITS.get(task_of(made), "agreement"), *score_names(made), "against the first"]


def rows(made: Document) -> list[list[str]]:
    """A row for each arm, with a cell for each of ``columns``."""
    scores = score_names(made)
    return [
        [
            arm.name,
            *_times(arm),
            agreement_words(arm.agreement, task_of(made)),
            *(_score(arm, name) for name in scores),
            _against(made, arm),
        ]
        for arm in made.by_role("arm")
    ]


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
    rounds = len(made.arms[0].wall)
    known = (
        _joined("{}x{}", settings.get("width"), settings.get("height")),
        _joined("{} cores of {}", machine.get("cores"), machine.get("processor")),
        _threads(settings.get("threads")),
        _joined("{} tier", settings.get("tier")),
        f"{rounds} rounds, {len(made.arms[0].samples('wall'))} samples an arm" if rounds else "",
        _joined("saccade {}", machine.get("saccade")),
        _joined("{}", machine.get("when")),
    )
    return ", ".join(each for each in known if each)


def noise(made: Document) -> str:
    floors = ", ".join(f"{what} {100 * floor:.1f} %" for what, floor in made.floors.items())
    return f"noise floor: {floors}, between two processes of the first arm; {FLOORS_APART:g} times that is a difference"


def median_ms(arm: ArmReport, what: str) -> float | None:
    """The middle of an arm's samples, None where it has none."""
    samples = sorted(arm.samples(what))
    return samples[len(samples) // 2] if samples else None


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


def _score(arm: ArmReport, name: str) -> str:
    value = (arm.scores or {}).get(name)
    return NONE if value is None else f"{value:.4g}"


def _against(made: Document, arm: ArmReport) -> str:
    found = next((each for each in made.differences if each.name == arm.name and each.what == "wall"), None)
    return "" if found is None else difference_words(found)


def _threads(count: object) -> str:
    return "" if count is None else f"{count} thread{'' if count == 1 else 's'} an arm"


def _joined(form: str, *parts: object) -> str:
    """``form`` filled in, nothing where one of its parts is not known."""
    return "" if any(part is None for part in parts) else form.format(*parts)
