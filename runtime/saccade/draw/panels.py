"""Text beside what is shown: a legend of the classes, a line at the bottom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from saccade.draw.checks import check_colors, check_image
from saccade.draw.text import SMALLEST_FONT, cut, font, font_size, require_pillow, text_width
from saccade.draw.tint import overlay
from saccade.errors import RequestError

if TYPE_CHECKING:
    from PIL import ImageDraw

_PANEL_RGB = (16, 16, 16)
_PANEL_OPACITY = 0.65
_TEXT_RGB = (245, 245, 245)


def legend(
    image: npt.NDArray[np.uint8], names: Sequence[str], colors: npt.ArrayLike, present: Iterable[int] | None = None
) -> npt.NDArray[np.uint8]:
    """``image`` uint8 (H, W, 3) with a panel at the top left that names the classes and shows their colours (C, 3).

    ``present`` limits it to these class ids; ids without a name are left out. The text follows the image's size;
    a long list takes several columns, and what does not fit even so is counted in a last line.
    Raises ``FrameError`` for another kind of image, ``RequestError`` if names and colours differ in number.
    """
    require_pillow()
    check_image(image)
    table = check_colors(colors)
    if len(names) != len(table):
        raise RequestError(f"each class needs a name and a colour, but got {len(names)} names, {len(table)} colours")
    shown = range(len(names)) if present is None else sorted({int(i) for i in present if 0 <= i < len(names)})
    swatches = {index: tuple(int(value) for value in table[index]) for index in shown}
    entries: list[_Entry] = [(names[index], color) for index, color in swatches.items()]
    if not entries:
        return np.array(image)
    layout = _lay_out(entries, image.shape[0], image.shape[1])
    return _draw_legend(image, layout)


def caption(image: npt.NDArray[np.uint8], text: str) -> npt.NDArray[np.uint8]:
    """``image`` uint8 (H, W, 3) with ``text`` as one small line at the bottom left, cut if it is too long.

    Raises ``FrameError`` for another kind of image.
    """
    require_pillow()
    check_image(image)
    height, width = image.shape[:2]
    size = font_size(height, width)
    pad = size // 2
    line = cut(" ".join(text.splitlines()), size, width - 2 * pad)
    if not line:
        return np.array(image)
    panel_hw = (min(height, size + 2 * pad), min(width, text_width(line, size) + 2 * pad))
    canvas = _Canvas(image, height - panel_hw[0], 0, panel_hw)
    canvas.text(line, canvas.top + panel_hw[0] // 2, pad, size)
    return canvas.image()


_Entry = tuple[str, "tuple[int, ...] | None"]


@dataclass(frozen=True)
class _Layout:
    """A legend in pixels: ``entries`` fill ``rows`` of ``row_height``, then the next column of ``column_width``."""

    entries: list[_Entry]
    font_size: int
    rows: int
    columns: int
    row_height: int
    column_width: int

    @property
    def pad(self) -> int:
        return self.font_size // 2

    @property
    def panel_hw(self) -> tuple[int, int]:
        return self.rows * self.row_height + 2 * self.pad, self.columns * self.column_width + self.pad


def _lay_out(entries: list[_Entry], height: int, width: int) -> _Layout:
    """The largest text, down to the smallest legible one, at which all entries fit beside the margin."""
    for size in range(font_size(height, width), SMALLEST_FONT - 1, -1):
        layout = _lay_out_at(entries, size, height)
        if layout.panel_hw[1] + 2 * layout.pad <= width:
            return layout
    for kept in range(len(entries) - 1, 0, -1):
        more: _Entry = (f"+{len(entries) - kept} more", None)
        layout = _lay_out_at([*entries[:kept], more], SMALLEST_FONT, height)
        if layout.panel_hw[1] + 2 * layout.pad <= width:
            return layout
    return _lay_out_at([(f"{len(entries)} classes", None)], SMALLEST_FONT, height)


def _lay_out_at(entries: list[_Entry], size: int, height: int) -> _Layout:
    row_height = round(1.5 * size)
    caption_height = size + 2 * (size // 2)
    room = max(1, (height - 4 * (size // 2) - caption_height) // row_height)
    columns = -(-len(entries) // room)
    rows = -(-len(entries) // columns)
    longest = max(text_width(name, size) for name, _ in entries)
    return _Layout(entries, size, rows, columns, row_height, longest + size + 2 * (size // 2))


def _draw_legend(image: npt.NDArray[np.uint8], layout: _Layout) -> npt.NDArray[np.uint8]:
    canvas = _Canvas(image, layout.pad, layout.pad, layout.panel_hw)
    size = layout.font_size
    for index, (name, color) in enumerate(layout.entries):
        middle = canvas.top + layout.pad + round((index % layout.rows + 0.5) * layout.row_height)
        left = canvas.left + layout.pad + index // layout.rows * layout.column_width
        if color is not None:
            canvas.swatch(middle, left, size, color)
        canvas.text(name, middle, left + size + layout.pad, size)
    return canvas.image()


class _Canvas:
    """A copy of ``image`` with a dark, half-transparent panel of ``panel_hw`` pixels to draw on."""

    def __init__(self, image: npt.NDArray[np.uint8], top: int, left: int, panel_hw: tuple[int, int]) -> None:
        from PIL import Image, ImageDraw

        self.top, self.left = top, left
        pixels = np.array(image)
        panel = pixels[top : top + panel_hw[0], left : left + panel_hw[1]]
        if panel.size:
            panel[:] = overlay(panel, np.zeros(panel.shape[:2], np.uint8), [_PANEL_RGB], _PANEL_OPACITY)
        self._picture = Image.fromarray(pixels)
        self._draw: ImageDraw.ImageDraw = ImageDraw.Draw(self._picture)

    def swatch(self, middle: int, left: int, size: int, color: tuple[int, ...]) -> None:
        top = middle - size // 2
        self._draw.rectangle((left, top, left + size - 1, top + size - 1), fill=color, outline=_TEXT_RGB)

    def text(self, line: str, middle: int, left: int, size: int) -> None:
        self._draw.text((left, middle), line, fill=_TEXT_RGB, font=font(size), anchor="lm")

    def image(self) -> npt.NDArray[np.uint8]:
        return np.array(self._picture)


def side_by_side(
    before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], names: tuple[str, str] = ("before", "after")
) -> npt.NDArray[np.uint8]:
    """Two images uint8 (H, W, 3), each under its name, on one; the smaller one is enlarged by whole pixels.

    Raises ``FrameError`` for another kind of image, ``RequestError`` where one is no multiple of the other's size.
    """
    check_image(before)
    check_image(after)
    height, width = (max(sides) for sides in zip(before.shape[:2], after.shape[:2], strict=True))
    parts: list[npt.NDArray[np.uint8]] = []
    for image, name in zip((before, after), names, strict=True):
        factor = height // image.shape[0]
        if image.shape[0] * factor != height or image.shape[1] * factor != width:
            raise RequestError(
                f"images side by side must be multiples of each other, but are {before.shape} and {after.shape}"
            )
        parts.append(caption(image.repeat(factor, axis=0).repeat(factor, axis=1), name))
    return np.concatenate(parts, axis=1)
