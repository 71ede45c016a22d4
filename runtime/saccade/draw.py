"""Results made visible: class colours over a frame, a legend, a line of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from saccade.errors import FrameError, RequestError

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

_SMALLEST_FONT = 9
_PANEL_RGB = (16, 16, 16)
_PANEL_OPACITY = 0.65
_TEXT_RGB = (245, 245, 245)


def overlay(
    image: npt.NDArray[np.uint8], class_map: npt.NDArray[Any], colors: npt.ArrayLike, opacity: float = 0.5
) -> npt.NDArray[np.uint8]:
    """``image`` uint8 (H, W, 3) tinted by the colour (C, 3) of each pixel's class in ``class_map`` (H, W).

    ``opacity`` 0 shows the image, 1 the colours. Pixels whose id is not in 0..C-1 stay as they are.
    Raises ``FrameError`` for arrays that do not fit, ``RequestError`` for an opacity or colours that do not.
    """
    _check_image(image)
    table = _check_colors(colors)
    if class_map.shape != image.shape[:2] or class_map.dtype.kind not in "uib":
        raise FrameError(
            f"class_map must be integers of the image's size {image.shape[:2]}, "
            f"but got {class_map.dtype} {class_map.shape}"
        )
    if not 0 <= opacity <= 1:
        raise RequestError(f"opacity must be 0 to 1, but got {opacity}")
    # Fixed point with 8 fraction bits: 255 * 256 + 128 is the largest value, so 16 bits suffice.
    weight = round(256 * opacity)
    untouched = (class_map < 0) | (class_map >= len(table))
    has_untouched = bool(untouched.any())
    ids = np.where(untouched, 0, class_map) if has_untouched else class_map
    blended = np.take((table * weight + 128).astype(np.uint16), ids, axis=0)
    blended += np.multiply(image, np.uint16(256 - weight), dtype=np.uint16)
    blended >>= 8
    tinted = blended.astype(np.uint8)
    if has_untouched:
        tinted[untouched] = image[untouched]
    return tinted


def legend(
    image: npt.NDArray[np.uint8], names: Sequence[str], colors: npt.ArrayLike, present: Iterable[int] | None = None
) -> npt.NDArray[np.uint8]:
    """``image`` uint8 (H, W, 3) with a panel at the top left that names the classes and shows their colours (C, 3).

    ``present`` limits it to these class ids; ids without a name are left out. The text follows the image's size;
    a long list takes several columns, and what does not fit even so is counted in a last line.
    Raises ``FrameError`` for another kind of image, ``RequestError`` if names and colours differ in number.
    """
    _require_pillow()
    _check_image(image)
    table = _check_colors(colors)
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
    _require_pillow()
    _check_image(image)
    height, width = image.shape[:2]
    size = _font_size(height, width)
    pad = size // 2
    line = _cut(" ".join(text.splitlines()), size, width - 2 * pad)
    if not line:
        return np.array(image)
    panel_hw = (min(height, size + 2 * pad), min(width, _text_width(line, size) + 2 * pad))
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
    for size in range(_font_size(height, width), _SMALLEST_FONT - 1, -1):
        layout = _lay_out_at(entries, size, height)
        if layout.panel_hw[1] + 2 * layout.pad <= width:
            return layout
    for kept in range(len(entries) - 1, 0, -1):
        more: _Entry = (f"+{len(entries) - kept} more", None)
        layout = _lay_out_at([*entries[:kept], more], _SMALLEST_FONT, height)
        if layout.panel_hw[1] + 2 * layout.pad <= width:
            return layout
    return _lay_out_at([(f"{len(entries)} classes", None)], _SMALLEST_FONT, height)


def _lay_out_at(entries: list[_Entry], size: int, height: int) -> _Layout:
    row_height = round(1.5 * size)
    caption_height = size + 2 * (size // 2)
    room = max(1, (height - 4 * (size // 2) - caption_height) // row_height)
    columns = -(-len(entries) // room)
    rows = -(-len(entries) // columns)
    longest = max(_text_width(name, size) for name, _ in entries)
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
        self._draw.text((left, middle), line, fill=_TEXT_RGB, font=_font(size), anchor="lm")

    def image(self) -> npt.NDArray[np.uint8]:
        return np.array(self._picture)


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _font_size(height: int, width: int) -> int:
    return max(_SMALLEST_FONT, round(min(height, 0.75 * width) / 32))


def _text_width(line: str, size: int) -> int:
    return -int(-_font(size).getlength(line) // 1)


def _cut(line: str, size: int, room: int) -> str:
    """``line``, or as much of its beginning as fits into ``room`` pixels with dots behind it."""
    if _text_width(line, size) <= room:
        return line
    kept = next((n for n in range(len(line), 0, -1) if _text_width(line[:n] + "...", size) <= room), 0)
    return line[:kept] + "..." if kept else ""


def _require_pillow() -> None:
    try:
        import PIL.Image  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise RequestError("text is drawn with Pillow, which is missing: pip install saccade[video]") from error


def _check_image(image: npt.NDArray[np.uint8]) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise FrameError(f"image must be uint8 (H, W, 3), but got {image.dtype} {image.shape}")


def _check_colors(colors: npt.ArrayLike) -> npt.NDArray[np.int64]:
    table = np.asarray(colors)
    if table.ndim != 2 or table.shape[1] != 3 or not len(table) or table.dtype.kind not in "ui":
        raise RequestError(f"colors must be whole numbers (C, 3), but got {table.dtype} {table.shape}")
    if table.min() < 0 or table.max() > 255:
        raise RequestError(f"colors must be in 0..255, but got {table.min()}..{table.max()}")
    return table.astype(np.int64)
