"""How many times as fast as the first arm the others are, with intervals and the noise around 1."""

from __future__ import annotations

from saccade_bench.document import Difference, Document
from saccade_bench.report.cells import WHAT_WORDS, difference_words
from saccade_bench.report.plots.colors import shapes, styles
from saccade_bench.report.plots.scales import Scale, scale_over
from saccade_bench.report.plots.svg import RIGHT, Figure, box, line, marker, short, text, x_axis
from saccade_bench.samples import FLOORS_APART

LEFT = 14
ROW, HEAD = 44, 30


def figures(made: Document) -> list[Figure]:
    """All ways of measuring in one figure, each with its own noise."""
    if not made.differences:
        return []
    kinds = [what for what in WHAT_WORDS if any(each.what == what for each in made.differences)]
    ends = [end for each in made.differences for end in (each.ratio.low, each.ratio.high)]
    bands = [1 + side * FLOORS_APART * made.floors[what] for what in kinds for side in (-1, 1)]
    x = scale_over([*ends, 1.0, *(band for band in bands if band > 0)], LEFT, RIGHT, is_log=True)
    content, top = [], 8.0
    for what in kinds:
        found = [each for each in made.differences if each.what == what]
        content.append(_panel(made, what, found, x, top))
        top += HEAD + ROW * len(found) + 8
    return [
        Figure(
            f"Against {made.arms[0].name}",
            "Right of 1 is faster. Lines are 99 % intervals of the median. The inner band is what two processes of "
            f"the first arm differ by, the outer one {FLOORS_APART:g} times that: inside of it is no difference.",
            " ".join(f"{each.name} {WHAT_WORDS[each.what]}: {difference_words(each)}." for each in made.differences),
            top + 40,
            x_axis(x, 8, top, "times as fast as the first arm, logarithmic") + "".join(content),
        )
    ]


def _panel(made: Document, what: str, found: list[Difference], x: Scale, top: float) -> str:
    style, shape = styles(made), shapes(made)
    height = HEAD + ROW * len(found)
    content = [_band(x, FLOORS_APART * made.floors[what], top, height), _band(x, made.floors[what], top, height)]
    content += [line(x(1.0), top, x(1.0), top + height, "axis"), text(WHAT_WORDS[what], LEFT, top + 17, "head")]
    for index, each in enumerate(found):
        at = top + HEAD + ROW * index + 26
        ink, (low, middle, high) = style[each.name], (each.ratio.low, each.ratio.middle, each.ratio.high)
        content += [
            text(short(each.name), LEFT, at - 12, "name"),
            line(x(low), at, x(high), at, f"interval {ink}"),
            marker(shape[each.name], x(middle), at, f"dot {ink}"),
        ]
    return "".join(content)


def _band(x: Scale, reach: float, top: float, height: float) -> str:
    left = x(max(x.low, 1 - reach))
    return box(left, top, x(min(x.high, 1 + reach)) - left, height, "band")
