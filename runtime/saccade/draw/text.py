"""Text on pictures: a size that follows the picture, and what fits into how much room."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from saccade.errors import RequestError

if TYPE_CHECKING:
    from PIL import ImageFont

SMALLEST_FONT = 9
"""The height of the smallest text that is legible, in pixels."""


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, ``size`` pixels high."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def font_size(height: int, width: int) -> int:
    """The height of text on a picture of this size, in pixels."""
    return max(SMALLEST_FONT, round(min(height, 0.75 * width) / 32))


def text_width(line: str, size: int) -> int:
    """How many pixels ``line`` takes, rounded up."""
    return -int(-font(size).getlength(line) // 1)


def cut(line: str, size: int, room: int) -> str:
    """``line``, or as much of its beginning as fits into ``room`` pixels with dots behind it; nothing if none does."""
    if text_width(line, size) <= room:
        return line
    kept = next((n for n in range(len(line), 0, -1) if text_width(line[:n] + "...", size) <= room), 0)
    return line[:kept] + "..." if kept else ""


def require_pillow() -> None:
    """Raises ``RequestError`` that says how to get Pillow where it is missing."""
    try:
        import PIL.Image  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise RequestError("text is drawn with Pillow, which is missing: pip install saccade[video]") from error
