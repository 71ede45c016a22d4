"""A page that needs nothing else: its head with the style, figures, and facts that are folded away."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from saccade_bench.report.plots.colors import legend
from saccade_bench.report.plots.svg import WIDTH, Figure, element
from saccade_bench.report.style import STYLE

STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; form-action 'none'"
"""Nothing is loaded and nothing runs; the page's own style is told by its hash."""


def sheet(title: str, parts: Sequence[str]) -> str:
    """HTML of one file. ``parts`` are HTML; ``title`` is escaped here."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            "<main>",
            *parts,
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def table(
    names: Sequence[str],
    rows: Iterable[tuple[str, Sequence[str]]],
    classes: Mapping[str, str] | None = None,
    of_class: str = "",
) -> str:
    """A table of ``names`` and, for each row, the HTML of its head and its cells; ``classes`` are columns' own.

    Cells carry their column's name, which a phone shows beside them instead of the head.
    """
    styled = {name: _class(of) for name, of in (classes or {}).items()}
    head = "".join(f'<th scope="col"{styled.get(name, "")}>{escape(name)}</th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{first}</th>'
        + "".join(
            f'<td data-of="{escape(of)}"{styled.get(of, "")}><span>{cell}</span></td>'
            for of, cell in zip(names[1:], cells, strict=True)
        )
        + "</tr>"
        for first, cells in rows
    )
    return f"<table{_class(of_class)}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def figures_of(figures: Sequence[Figure]) -> str:
    """All figures of a page, in columns where it is wide."""
    return f'<div class="figures">{"".join(_figure(each, number) for number, each in enumerate(figures))}</div>'


def folded(title: str, facts: Mapping[str, Any]) -> str:
    """Facts that are shown when their title is opened."""
    lines = "".join(f"<dt>{escape(str(name))}</dt><dd>{escape(_shown(fact))}</dd>" for name, fact in facts.items())
    return f"<details><summary>{escape(title)}</summary><dl>{lines}</dl></details>"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _figure(figure: Figure, number: int) -> str:
    names = f"title{number} text{number}"
    drawn = element(
        "svg",
        f'<title id="title{number}">{escape(figure.title)}</title>'
        f'<desc id="text{number}">{escape(figure.description)}</desc>{figure.content}',
        viewBox=f"0 0 {WIDTH} {figure.height:g}",
        role="img",
        aria_labelledby=names,
    )
    keys = f'<ul class="legend">{legend(figure.legend)}</ul>' if figure.legend else ""
    said = f"<figcaption>{escape(figure.caption)}</figcaption>"
    return f"<figure><h2>{escape(figure.title)}</h2>{keys}{drawn}{said}</figure>"


def _shown(fact: Any) -> str:
    return fact if isinstance(fact, str) else json.dumps(fact, ensure_ascii=False)
