"""The document as a table in Markdown, for a README or a comment."""

from __future__ import annotations

import re
from collections.abc import Sequence

from saccade_bench.document import Document
from saccade_bench.report.cells import columns, conditions, notes, rows

WORDS = ("arm", "against the first")
SPECIAL = re.compile(r"([\\`*_\[\]|~#])")
ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\n": " ", "\r": " "})


def markdown(made: Document) -> str:
    """The arms, a row each, then machine, settings and noise floor. Names are shown as they are, whatever they hold."""
    said = "; ".join([conditions(made), *notes(made)])
    return "\n".join([table(columns(made), rows(made), WORDS), "", plain(f"{said[0].upper()}{said[1:]}.")]) + "\n"


def table(names: Sequence[str], cells: Sequence[Sequence[str]], words: Sequence[str]) -> str:
    """A table of columns ``names``, of which ``words`` hold words and the others numbers."""
    lines = [names, *cells]
    aligned = ["---" if name in words else "---:" for name in names]
    head, *body = (_line([plain(cell) for cell in line]) for line in lines)
    return "\n".join([head, _line(aligned), *body])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def plain(text: str) -> str:
    """``text`` such that Markdown shows it and reads nothing in it: no markup, cell, comment or line ends there."""
    return SPECIAL.sub(r"\\\1", text.translate(ENTITIES))
