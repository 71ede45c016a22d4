"""The page's style: light and dark, wide, on a phone and on paper."""

SCREEN = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1a1a1a; --soft: #5a5a5a; --rule: #d9d9d9; --band: #00000014;
  --grey: #8a8a8a; --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b8609a; --c4: #c78500; --c5: #2e9bd6; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181b; --ink: #ececec; --soft: #a9adb3; --rule: #3a3e44;
  --band: #ffffff17; --grey: #8d9299; --c0: #4fa8e0; --c1: #f0833a; --c2: #2cc295; --c3: #e29cc4; --c4: #f2b632;
  --c5: #9ad4f5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.45;
  font: 16px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 1.2rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; }
h2 { font-size: 1.05rem; margin: 0 0 .4rem; overflow-wrap: anywhere; }
.conditions, figcaption { color: var(--soft); font-size: .875rem; }
.summary { padding: .8rem 1rem .8rem 2rem; border-left: 4px solid var(--c0); background: var(--band);
  overflow-wrap: anywhere; }
.summary li:first-child { font-size: 1.15rem; font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .4rem .4rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
td { white-space: nowrap; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
th:first-child, .words { text-align: left; }
tbody th { font-weight: 600; overflow-wrap: anywhere; min-width: 11rem; }
.key { width: 24px; height: 14px; vertical-align: -1px; }
.figures { columns: 26rem 2; column-gap: 2.5rem; margin-top: 1.5rem; }
figure { margin: 0 0 2.2rem; break-inside: avoid; }
figure > svg { display: block; width: 100%; max-width: 620px; height: auto; }
figcaption { margin-top: .3rem; }
.legend { list-style: none; margin: 0 0 .4rem; padding: 0; font-size: .875rem; overflow-wrap: anywhere; }
.legend li { display: inline-block; margin-right: 1.1rem; }
svg text { font-size: 13px; fill: var(--ink); paint-order: stroke; stroke: var(--paper); stroke-width: 3px;
  stroke-linejoin: round; }
svg .tick, svg .label { fill: var(--soft); font-variant-numeric: tabular-nums; }
svg .head { font-weight: 600; }
.grid { stroke: var(--rule); fill: none; }
.axis { stroke: var(--ink); fill: none; }
.band { fill: var(--band); }
.front { stroke: var(--grey); stroke-width: 1.5; fill: none; }
.roof { stroke: var(--ink); stroke-width: 1.5; fill: none; }
.line { stroke: var(--arm); stroke-width: 2; fill: none; stroke-linejoin: round; }
.interval { stroke: var(--arm); stroke-width: 3; fill: none; stroke-linecap: round; }
.dashed { stroke-dasharray: 5 4; }
.dot { fill: var(--arm); stroke: var(--paper); stroke-width: 1; stroke-dasharray: none; }
.dots { stroke: var(--arm); stroke-width: 2; stroke-linecap: round; stroke-dasharray: none; fill: none; }
.large { stroke-width: 4; }
.bar0, .bar1, .bar2 { fill: var(--arm); stroke: none; }
.bar1 { fill-opacity: .62; }
.bar2 { fill-opacity: .34; }
.grey { --arm: var(--grey); }
.c0 { --arm: var(--c0); }
.c1 { --arm: var(--c1); }
.c2 { --arm: var(--c2); }
.c3 { --arm: var(--c3); }
.c4 { --arm: var(--c4); }
.c5 { --arm: var(--c5); }
section { margin-top: 1.6rem; }
details { border-top: 1px solid var(--rule); padding: .5rem 0; overflow-wrap: anywhere; }
summary { cursor: pointer; font-weight: 600; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .2rem 1rem; font-size: .875rem; }
dt { color: var(--soft); }
dd { margin: 0; }
"""

NARROW_OR_PAPER = """
@media screen and (max-width: 480px) { main { padding: 1rem; } svg text { font-size: 15px; } }
@media print {
  :root { color-scheme: light; --paper: #fff; --ink: #1a1a1a; --soft: #5a5a5a; --rule: #d9d9d9; --band: #00000014;
    --grey: #8a8a8a; --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b8609a; --c4: #c78500; --c5: #2e9bd6; }
  body { font-size: 10pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main { max-width: none; padding: 0; }
  table { font-size: 7.5pt; }
  th, td { padding: .2rem .25rem; }
  tbody th { min-width: 7rem; }
  .words { white-space: normal; min-width: 6rem; }
  .figures { columns: 2; }
  svg text { font-size: 15px; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""


def _stacked(table: str, below_px: int) -> str:
    """A table's rows as blocks of a line a cell, where the window is narrower than the table needs."""
    return f"""@media screen and (max-width: {below_px}px) {{
  {table} thead {{ position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }}
  {table}, {table} :is(tbody, tr, th, td) {{ display: block; text-align: left; border: 0; }}
  {table} tr {{ border-top: 1px solid var(--rule); padding: .6rem 0; }}
  {table} td {{ display: grid; grid-template-columns: 9rem 1fr; padding: .12rem .5rem; white-space: normal; }}
  {table} td::before {{ content: attr(data-of); color: var(--soft); }}
  {table} td:has(span:empty) {{ display: none; }}
}}
"""


STYLE = SCREEN + _stacked("table.many", 1100) + _stacked("table", 700) + NARROW_OR_PAPER
