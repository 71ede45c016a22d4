"""What a run found, in sentences: which arm is the fastest, what the noise hides, whether the machine was at rest."""

from __future__ import annotations

from collections.abc import Sequence

from saccade_bench.document import ArmReport, Document
from saccade_bench.report.cells import UNITS, WHAT_WORDS, agreement_words, median_ms, share_words, task_of, work_words
from saccade_bench.samples import FLOORS_APART, Ratio, ratio_of


def summary(made: Document) -> list[str]:
    return [*_stream(made), *_speed(made), *_noise(made), *_results(made), _machine(made)]


def fastest(made: Document) -> tuple[ArmReport, list[ArmReport]] | None:
    """The arm of the least time by the clock, and those that no difference to it is detected of; None without times."""
    arms = [arm for arm in made.by_role("arm") if arm.samples("wall")]
    if not arms or "wall" not in made.floors:
        return None
    leader = max(arms, key=lambda arm: _over_first(made, arm).middle)
    return leader, [arm for arm in arms if arm is not leader and not _is_detected(made, leader, arm)]


def _is_detected(made: Document, leader: ArmReport, other: ArmReport) -> bool:
    """What the document says of the first arm and another; the same by its noise floor of two others."""
    first = made.arms[0]
    if leader is first or other is first:
        known = [each for each in made.differences if each.what == "wall"]
        return any(each.is_detected for each in known if each.name in (leader.name, other.name))
    return ratio_of(leader.wall, other.wall).is_detected(made.floors["wall"])


def _stream(made: Document) -> list[str]:
    return [
        f"{arm.name} dropped {share_words(found.dropped, found.published)} of a camera's {found.published:,} frames at "
        f"{found.fps:g} a second; {share_words(found.missed, found.processed)} of its results were older than "
        f"{found.deadline_ms:.0f} ms."
        for arm in made.by_role("arm")
        if (found := arm.stream) is not None
    ]


def _speed(made: Document) -> list[str]:
    found = fastest(made)
    if found is None:
        return []
    leader, tied = found
    slower = [arm for arm in made.by_role("arm") if arm.samples("wall") and arm not in (leader, *tied)]
    alike = f"{_names([leader, *tied])}: {_medians([leader, *tied])}"
    if not slower and not tied:
        return [f"{leader.name} takes {_middle(leader)} {work_words(made)}, the median of {_count(leader)} samples."]
    if not slower:
        return [f"No difference detected between {alike}."]
    if tied:
        return [f"The fastest are {alike}, with no difference detected.", _lead(made, leader, slower)]
    return [f"{leader.name} is the fastest: {_middle(leader)} {work_words(made)}.", _lead(made, leader, slower)]


def _lead(made: Document, leader: ArmReport, slower: Sequence[ArmReport]) -> str:
    """How far the fastest arm is before the first one, or before the next where it is not slower."""
    is_first = made.arms[0] in slower
    place = "the first arm" if is_first else "the next"
    other = made.arms[0] if is_first else max(slower, key=lambda arm: _over_first(made, arm).middle)
    ratio = ratio_of(other.wall, leader.wall)
    return (
        f"{leader.name} is {ratio.middle:.2f} times as fast as {other.name}, {place} "
        f"({ratio.low:.2f} to {ratio.high:.2f}; {_middle(other)})."
    )


def _noise(made: Document) -> list[str]:
    if not made.floors:
        return []
    floors = ", ".join(f"{100 * floor:.1f} % {WHAT_WORDS[what]}" for what, floor in made.floors.items())
    return [
        f"Noise floor: two processes of the first arm, which do the same, differed by up to {floors}. "
        f"Less than {FLOORS_APART:g} times that counts as no difference."
    ]


def _results(made: Document) -> list[str]:
    """How near the fastest arm's results are to the first one's."""
    found = fastest(made)
    if found is None or found[0] is made.arms[0] or found[0].agreement is None:
        return []
    words, task = agreement_words(found[0].agreement, task_of(made)), task_of(made)
    return [f"Results of {found[0].name} against the first arm's: {words} {UNITS.get(task, 'agreement')}."]


def _machine(made: Document) -> str:
    """``disturbed`` is whether, or the reasons themselves."""
    disturbed = made.machine.get("disturbed")
    if disturbed is None:
        return "Whether anything disturbed the machine meanwhile was not watched."
    if not disturbed:
        return "Nothing disturbed the machine meanwhile."
    reasons = [disturbed] if isinstance(disturbed, str) else disturbed if isinstance(disturbed, list | tuple) else []
    said = "The machine was disturbed while this was measured"
    return f"{said}: {'; '.join(map(str, reasons))}." if reasons else f"{said}."


def _over_first(made: Document, arm: ArmReport) -> Ratio:
    known = (each.ratio for each in made.differences if each.name == arm.name and each.what == "wall")
    return next(known, Ratio(1.0, 1.0, 1.0))


def _middle(arm: ArmReport) -> str:
    return f"{median_ms(arm, 'wall'):.2f} ms"


def _medians(arms: Sequence[ArmReport]) -> str:
    return ", ".join(_middle(arm) for arm in arms)


def _count(arm: ArmReport) -> str:
    return f"{len(arm.samples('wall')):,}"


def _names(arms: Sequence[ArmReport]) -> str:
    *most, last = [arm.name for arm in arms]
    return f"{', '.join(most)} and {last}" if most else last
