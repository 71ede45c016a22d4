"""Accuracy against latency: by each score, or by how near results are to the first arm's where there are none."""

from __future__ import annotations

from collections.abc import Callable

from saccade_bench.document import ArmReport, Document
from saccade_bench.report.cells import UNITS, median_ms, score_names, task_of, work_words
from saccade_bench.report.plots.colors import key, shapes, styles
from saccade_bench.report.plots.scales import scale_over
from saccade_bench.report.plots.svg import LEFT, RIGHT, Figure, marker, path, x_axis, y_axis

TOP, BOTTOM, HEIGHT = 36, 250, 294
LOWER_IS_BETTER = {"gmsd", "noise_correlation"}

Value = Callable[[ArmReport], float | None]


def figures(made: Document) -> list[Figure]:
    """A figure for each score that differs between arms; one for agreement where arms have no scores."""
    names = score_names(made)
    chosen: list[tuple[str, str, Value]] = [
        (f"Accuracy against latency: {name}", name, lambda arm, name=name: (arm.scores or {}).get(name))
        for name in names
    ]
    if not chosen:
        chosen = [("Agreement against latency", _agreement_name(made), lambda arm: _agreement(made, arm))]
    return [figure for title, name, value in chosen if (figure := _figure(made, title, name, value)) is not None]


def front_of(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of (milliseconds, goodness) those that no other beats in both, the fastest first."""
    front: list[tuple[float, float]] = []
    for each in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or each[1] > front[-1][1]:
            front.append(each)
    return front


def _figure(made: Document, title: str, name: str, value: Value) -> Figure | None:
    known = [
        (arm, middle, found)
        for arm in made.by_role("arm")
        if (middle := median_ms(arm, "wall")) is not None and (found := value(arm)) is not None
    ]
    if len({found for _, _, found in known}) < 2:
        return None
    style, shape = styles(made), shapes(made)
    sign = -1 if name in LOWER_IS_BETTER else 1
    x = scale_over([middle for _, middle, _ in known], LEFT, RIGHT, room=0.1)
    y = scale_over([found for _, _, found in known], BOTTOM, TOP, is_log=False, room=0.1)
    front = front_of([(middle, sign * found) for _, middle, found in known])
    steps = [(x(front[0][0]), y(sign * front[0][1]))]
    for middle, good in front[1:]:
        steps += [(x(middle), steps[-1][1]), (x(middle), y(sign * good))]
    marks = [marker(shape[arm.name], x(middle), y(found), f"dot {style[arm.name]}", 6) for arm, middle, found in known]
    return Figure(
        title,
        f"Left is faster, {'lower' if sign < 0 else 'higher'} is better. Nothing is faster and better at once than the "
        "arms on the grey line.",
        " ".join(f"{arm.name}: {middle:.2f} ms, {found:.4g} {name}." for arm, middle, found in known),
        HEIGHT,
        x_axis(x, TOP, BOTTOM, f"milliseconds {work_words(made)}, median" + (", logarithmic" if x.is_log else ""))
        + y_axis(y, LEFT, RIGHT, name)
        + path(steps, "front")
        + "".join(marks),
        tuple((key(style[arm.name], shape[arm.name]), arm.name) for arm, _, _ in known),
    )


def _agreement_name(made: Document) -> str:
    name = UNITS.get(task_of(made), "agreement")
    return name if task_of(made) == "restore" else f"{name}, %"


def _agreement(made: Document, arm: ArmReport) -> float | None:
    if arm.agreement is None:
        return None
    return arm.agreement if task_of(made) == "restore" else 100 * arm.agreement
