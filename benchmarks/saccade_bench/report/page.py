"""The document as one page that needs nothing else: summary, table, plots, and all settings at its end."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from saccade_bench.document import Document
from saccade_bench.report.cells import columns, conditions, notes, rows
from saccade_bench.report.plots import bars, latency, ratios, roofline, stream, timeline, tradeoff
from saccade_bench.report.plots.colors import key, shapes, styles
from saccade_bench.report.plots.svg import Figure
from saccade_bench.report.sheet import figures_of, folded, sheet, table
from saccade_bench.report.summary import summary

SECTIONS: tuple[Callable[[Document], list[Figure]], ...] = (
    stream.figures, latency.figures, ratios.figures, timeline.figures, tradeoff.figures, roofline.figures, bars.figures,
)  # fmt: skip
"""In the order of the page; those of one scenario have no figures for documents of another."""


def page(made: Document) -> str:
    """HTML of one file. Every text of the document is escaped."""
    title = f"saccade bench: {', '.join(arm.name for arm in made.by_role('arm'))}"
    figures = [figure for section in SECTIONS for figure in section(made)]
    return sheet(
        title,
        [
            "<h1>Frame to result, side by side</h1>",
            f'<p class="conditions">{escape(conditions(made))}</p>',
            f'<ul class="summary">{"".join(f"<li>{escape(said)}</li>" for said in summary(made))}</ul>',
            _table(made),
            f'<p class="conditions">{escape(_below(made))} Percentiles have the '
            "bound that the true value does not exceed with 99 % confidence, and a dash where samples are too few.</p>",
            figures_of(figures),
            folded("Settings", made.settings),
            folded("Machine", made.machine),
            *(folded(arm.name, arm.about) for arm in made.arms),
        ],
    )


def _below(made: Document) -> str:
    return " ".join(f"{said[0].upper()}{said[1:]}." for said in notes(made))


def _table(made: Document) -> str:
    style, shape = styles(made), shapes(made)
    shown = [
        (f"{key(style[name], shape.get(name))} {escape(name)}", [_breakable(cell) for cell in cells])
        for name, *cells in rows(made)
    ]
    return table(columns(made), shown, {"against the first": "words"}, "many")


def _breakable(cell: str) -> str:
    """A cell is one line, or two with what is in brackets on the second."""
    return escape(cell).replace(" (", " <wbr>(")
