"""What an arm costs before its frames: the time to its first result, and memory."""

from __future__ import annotations

from saccade_bench.document import ArmReport, Document
from saccade_bench.report.plots.colors import styles
from saccade_bench.report.plots.scales import scale_from_zero
from saccade_bench.report.plots.svg import Figure, box, element, short, text, x_axis

LEFT, END = 14, 396
ROW, BAR, TOP = 46, 18, 8
STAGES = ("imports", "opening", "first result")


def figures(made: Document) -> list[Figure]:
    arms = made.by_role("arm")
    starts = {arm.name: _stages(arm) for arm in arms}
    told = ", ".join(STAGES[:-1]) + f" and {STAGES[-1]}"
    return [
        _bars(
            made,
            "Cold start",
            f"From the start of a process to its first result, while the other arms rest: {told}.",
            starts,
            "ms",
            " ".join(f"{arm.name}: {_stage_words(starts[arm.name])}." for arm in arms),
        ),
        _bars(
            made,
            "Memory",
            "The most that an arm's process held at once.",
            {arm.name: (arm.peak_mb,) for arm in arms},
            "MB",
            " ".join(f"{arm.name}: {arm.peak_mb:.0f} MB." for arm in arms),
        ),
    ]


def _bars(
    made: Document, title: str, caption: str, parts: dict[str, tuple[float, ...]], unit: str, description: str
) -> Figure:
    style = styles(made)
    x = scale_from_zero([sum(each) for each in parts.values()], LEFT, END)
    content, bottom = [], TOP + ROW * len(parts)
    for index, (name, lengths) in enumerate(parts.items()):
        top, at = TOP + ROW * index + 20, 0.0
        content.append(text(short(name), LEFT, top - 6, "name"))
        for stage, length in enumerate(lengths):
            content.append(box(x(at), top, x(at + length) - x(at), BAR, f"bar{stage} {style[name]}"))
            at += length
        content.append(text(f"{at:,.0f} {unit}", x(at) + 6, top + 14, "value"))
    names = {"ms": "milliseconds", "MB": "megabytes"}
    axes = x_axis(x, TOP, bottom, names[unit])
    return Figure(title, caption, description, bottom + 44, axes + "".join(content), _stage_keys(parts))


def _stages(arm: ArmReport) -> tuple[float, ...]:
    return (arm.imported_ms, max(0.0, arm.opened_ms - arm.imported_ms), max(0.0, arm.first_ms - arm.opened_ms))


def _stage_words(lengths: tuple[float, ...]) -> str:
    said = ", ".join(f"{name} {length:.0f} ms" for name, length in zip(STAGES, lengths, strict=True))
    return f"{said}, together {sum(lengths):.0f} ms"


def _stage_keys(parts: dict[str, tuple[float, ...]]) -> tuple[tuple[str, str], ...]:
    if all(len(lengths) == 1 for lengths in parts.values()):
        return ()
    boxes = [box(0, 1, 24, 12, f"bar{stage} grey") for stage in range(len(STAGES))]
    return tuple(
        (element("svg", shown, class_="key", viewBox="0 0 24 14", aria_hidden="true"), name)
        for shown, name in zip(boxes, STAGES, strict=True)
    )
