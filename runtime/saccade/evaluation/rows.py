"""Numbers as JSON can hold them, and rows of text as a table."""

from __future__ import annotations

import math


def number(value: float) -> float | None:
    """``value`` as JSON can hold it."""
    return value if math.isfinite(value) else None


def shown(value: float, decimals: int = 3) -> str:
    """``value`` for a table, "-" where there is none."""
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"


def aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows of equally many cells as lines whose columns stand below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
