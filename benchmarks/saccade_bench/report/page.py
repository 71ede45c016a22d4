"""The document as one page that needs nothing else: summary, table, plots, and all settings at its end."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from saccade_bench.document import Document
from saccade_bench.report.cells import columns, conditions, notes, rows
from saccade_bench.report.plots import bars, latency, ratios, roofline, stream, timeline, tradeoff
from saccade_bench.report.plots.colors import key, legend, shapes, styles
from saccade_bench.report.plots.svg import WIDTH, Figure, element
from saccade_bench.report.style import STYLE
from saccade_bench.report.summary import summary

SECTIONS: tuple[Callable[[Document], list[Figure]], ...] = (
    stream.figures, latency.figures, ratios.figures, timeline.figures, tradeoff.figures, roofline.figures, bars.figures,
)  # fmt: skip
"""In the order of the page; those of one scenario have no figures for documents of another."""

STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; form-action 'none'"
"""Nothing is loaded and nothing runs; the page's own style is told by its hash."""


def page(made: Document) -> str:
    """HTML of one file. Every text of the document is escaped."""
    title = f"saccade bench: {', '.join(arm.name for arm in made.by_role('arm'))}"
    figures = [figure for section in SECTIONS for figure in section(made)]
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
            "<h1>Frame to result, side by side</h1>",
            f'<p class="conditions">{escape(conditions(made))}</p>',
            f'<ul class="summary">{"".join(f"<li>{escape(said)}</li>" for said in summary(made))}</ul>',
            _table(made),
            f'<p class="conditions">{escape(_below(made))} Percentiles have the '
            "bound that the true value does not exceed with 99 % confidence, and a dash where samples are too few.</p>",
            f'<div class="figures">{"".join(_figure(each, number) for number, each in enumerate(figures))}</div>',
            _folded("Settings", made.settings),
            _folded("Machine", made.machine),
            *(_folded(arm.name, arm.about) for arm in made.arms),
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _below(made: Document) -> str:
    return " ".join(f"{said[0].upper()}{said[1:]}." for said in notes(made))


def _table(made: Document) -> str:
    """Cells carry their column's name, which a phone shows beside them instead of the head."""
    names, style, shape = columns(made), styles(made), shapes(made)
    head = "".join(f'<th scope="col"{_words(name)}>{escape(name)}</th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{key(style[name], shape.get(name))} {escape(name)}</th>'
        + "".join(
            f'<td data-of="{escape(of)}"{_words(of)}><span>{_breakable(cell)}</span></td>'
            for of, cell in zip(names[1:], cells, strict=True)
        )
        + "</tr>"
        for name, *cells in rows(made)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _words(column: str) -> str:
    return ' class="words"' if column == "against the first" else ""


def _breakable(cell: str) -> str:
    """A cell is one line, or two with what is in brackets on the second."""
    return escape(cell).replace(" (", " <wbr>(")


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


def _folded(title: str, facts: Mapping[str, Any]) -> str:
    lines = "".join(f"<dt>{escape(str(name))}</dt><dd>{escape(_shown(fact))}</dd>" for name, fact in facts.items())
    return f"<details><summary>{escape(title)}</summary><dl>{lines}</dl></details>"


def _shown(fact: Any) -> str:
    return fact if isinstance(fact, str) else json.dumps(fact, ensure_ascii=False)
