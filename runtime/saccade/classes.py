"""Class lists: names and colours in a text file, for training and export alike."""

from __future__ import annotations

import colorsys
import re
from pathlib import Path

from saccade.errors import InputError, RequestError
from saccade.spec import MAX_CLASSES

Color = tuple[int, int, int]


def read_classes(path: Path) -> tuple[tuple[str, ...], tuple[Color, ...]]:
    """Names and colours from a text file: ``name`` or ``name #rrggbb`` a line, in the order of the network's scores.

    Empty lines are skipped; classes without a colour get one that differs from the others.
    Raises ``InputError`` for an unreadable or empty file, ``RequestError`` for repeated names.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"class list {path} cannot be read: {error}") from error
    names: list[str] = []
    colors: list[Color] = []
    for line in filter(None, lines):
        name, color = re.fullmatch(r"(.*?)(?:\s+#([0-9a-fA-F]{6}))?", line).groups()  # type: ignore[union-attr]
        names.append(name)
        colors.append(_from_hex(color) if color else spread_color(len(colors)))
    if not names:
        raise InputError(f"class list {path} names no class; write one a line")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated or len(names) > MAX_CLASSES:
        raise RequestError(f"class list {path} must hold at most {MAX_CLASSES} different names; repeated: {repeated}")
    return tuple(names), tuple(colors)


def spread_color(index: int) -> Color:
    """A colour for the class at ``index``: hues a golden ratio apart, so that neighbours differ."""
    red, green, blue = colorsys.hsv_to_rgb((index * 0.618034) % 1, 0.65 + 0.25 * (index % 2), 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)


def _from_hex(text: str) -> Color:
    return int(text[0:2], 16), int(text[2:4], 16), int(text[4:6], 16)
