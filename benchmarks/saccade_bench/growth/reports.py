"""The document in all its forms: Markdown with a table for each axis, one page with a figure for each, the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rich.console import Console
from rich.markup import escape as as_text
from rich.table import Table

from saccade_bench.growth.cells import (
    OVERVIEW,
    OVERVIEW_WORDS,
    columns,
    conditions,
    disturbance,
    overview,
    rows,
    sentences,
)
from saccade_bench.growth.document import Axis, Document, to_json
from saccade_bench.growth.figures import figures
from saccade_bench.growth.words import WORDS
from saccade_bench.report.markdown import plain, table
from saccade_bench.report.sheet import figures_of, folded, sheet
from saccade_bench.report.sheet import table as page_table


def readme_table(made: Document) -> str:
    """The first and the last point of each axis, then machine and settings, and what disturbed it."""
    said = "; ".join(each for each in (conditions(made), disturbance(made)) if each)
    return "\n".join([table(OVERVIEW, overview(made), OVERVIEW_WORDS), "", plain(f"{said}.")]) + "\n"


def markdown(made: Document) -> str:
    """The sentences, the table of all axes, and one for each. Names are shown as they are, whatever they hold."""
    parts = ["# Cost as work grows", *(f"- {plain(said)}" for said in sentences(made)), "", readme_table(made)]
    for axis in _measured(made):
        parts += [f"## {WORDS[axis.name].title}", "", table(columns(axis), rows(axis), columns(axis)[:1]), ""]
    return "\n".join([parts[0], "", *parts[1:]])


def page(made: Document) -> str:
    """HTML of one file. Every text of the document is escaped."""
    return sheet(
        f"Cost as work grows: {made.settings.get('bundle')}",
        [
            "<h1>Cost as work grows</h1>",
            f'<p class="conditions">{escape(conditions(made))}</p>',
            f'<ul class="summary">{"".join(f"<li>{escape(said)}</li>" for said in sentences(made))}</ul>',
            _table(OVERVIEW, overview(made)),
            figures_of(figures(made)),
            *map(_section, _measured(made)),
            folded("Settings", made.settings),
            folded("Bundle", made.about),
            folded("Machine", made.machine),
        ],
    )


def show(made: Document, console: Console) -> None:
    """The table of each axis, then the sentences."""
    for axis in _measured(made):
        shown = Table(box=None, header_style="bold", title=WORDS[axis.name].title, title_justify="left")
        for name in columns(axis):
            shown.add_column(as_text(name), justify="right")
        for row in rows(axis):
            shown.add_row(*map(as_text, row))
        console.print(shown)
    for said in sentences(made):
        console.print(as_text(said))


FORMS = {"growth.json": to_json, "growth.md": markdown, "growth.html": page}
SHOWN = {name: form for name, form in FORMS.items() if name != "growth.json"}
"""What can be made again from growth.json."""


def _measured(made: Document) -> list[Axis]:
    return [axis for axis in made.axes if axis.points]


def _section(axis: Axis) -> str:
    return f"<section><h2>{escape(WORDS[axis.name].title)}</h2>{_table(columns(axis), rows(axis))}</section>"


def _table(names: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    return page_table(names, [(escape(first), [escape(cell) for cell in rest]) for first, *rest in cells])
