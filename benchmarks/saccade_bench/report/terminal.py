"""The document as a table in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from saccade_bench.document import Document
from saccade_bench.report.cells import columns, notes, rows

WORDS = ("arm", "against the first")


def show(made: Document, console: Console) -> None:
    """The arms, a line each, and how they compare with the first; then what the noise allows to be said."""
    table = Table(box=None, header_style="bold")
    for name in columns(made):
        table.add_column(escape(name), justify="left" if name in WORDS else "right")
    for row in rows(made):
        table.add_row(*map(escape, row))
    console.print(table)
    for said in notes(made):
        console.print(escape(said))
