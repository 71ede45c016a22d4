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
    names = columns(made)
    aligned = ["---" if name in WORDS else "---:" for name in names]
    lines = [_line([_plain(name) for name in names]), _line(aligned)]
    lines += [_line([_plain(cell) for cell in row]) for row in rows(made)]
    said = "; ".join([conditions(made), *notes(made)])
    return "\n".join([*lines, "", _plain(f"{said[0].upper()}{said[1:]}.")]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """``text`` such that Markdown shows it and reads nothing in it: no markup, cell, comment or line ends there."""
    return SPECIAL.sub(r"\\\1", text.translate(ENTITIES))
