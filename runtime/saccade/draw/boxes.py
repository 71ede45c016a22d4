"""Boxes over a frame, each with a label that stays on the picture and off the other labels where it can."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from saccade.draw.checks import check_colors, check_image
from saccade.draw.text import cut, font, font_size, require_pillow, text_width
from saccade.errors import FrameError, RequestError

if TYPE_CHECKING:
    from PIL import ImageDraw

_DARK, _LIGHT = (0, 0, 0), (255, 255, 255)
_LINES_ACROSS = 240
"""How often the width of a box's line fits into the picture."""

_STEPS = 4
"""How many of its own heights a label may be away from its box."""

_Rectangle = tuple[int, int, int, int]
"""Left, top, right and bottom pixel, all of them included."""


def draw_boxes(
    image: npt.NDArray[np.uint8],
    xyxy: npt.NDArray[np.floating],
    colors: npt.ArrayLike,
    labels: Sequence[str] | None = None,
) -> npt.NDArray[np.uint8]:
    """``image`` uint8 (H, W, 3) with a line around each box ``xyxy`` (n, 4) in its colour (n, 3), and its label.

    Lines and text follow the picture's size, text is black or white by its background, and the first boxes are on top.
    Boxes that are not finite or outside the picture are left out, and so are labels without a free place at their box.
    Raises ``FrameError`` for another kind of image or boxes, ``RequestError`` if they, colours and labels differ in
    number.
    """
    require_pillow()
    check_image(image)
    _check_boxes(xyxy, colors, labels)
    from PIL import Image, ImageDraw

    height, width = image.shape[:2]
    outlines = _outlines(xyxy, height, width)
    if not outlines:
        return np.array(image)
    table = check_colors(colors)
    picture = Image.fromarray(np.array(image))
    canvas = ImageDraw.Draw(picture)
    for index, outline in reversed(outlines.items()):
        _draw_outline(canvas, outline, _line_width(height, width), tuple(table[index].tolist()))
    taken: list[_Rectangle] = []
    if labels is not None:
        for index, outline in outlines.items():
            _draw_label(canvas, labels[index], outline, tuple(table[index].tolist()), taken, (height, width))
    return np.array(picture)


def _outlines(xyxy: npt.NDArray[np.floating], height: int, width: int) -> dict[int, _Rectangle]:
    """The outer edge of each visible box's line, which lies around the box as far as the picture goes, by its index."""
    around = _line_width(height, width) + 2
    outlines: dict[int, _Rectangle] = {}
    for index, box in enumerate(xyxy):
        if np.isfinite(box).all():
            left, top, right, bottom = (round(float(side)) for side in box)
            if left < width and top < height and right > 0 and bottom > 0:
                right, bottom = max(right, left + 1), max(bottom, top + 1)
                outlines[index] = (
                    max(0, left - around),
                    max(0, top - around),
                    min(width, right + around) - 1,
                    min(height, bottom + around) - 1,
                )
    return outlines


def _draw_outline(canvas: ImageDraw.ImageDraw, outline: _Rectangle, line_width: int, color: tuple[int, ...]) -> None:
    """A line between two thin dark ones, so that it shows on its own colour too."""
    left, top, right, bottom = outline
    canvas.rectangle(outline, outline=_DARK, width=line_width + 2)
    if right - left > 2 and bottom - top > 2:
        canvas.rectangle((left + 1, top + 1, right - 1, bottom - 1), outline=color, width=line_width)


def _draw_label(
    canvas: ImageDraw.ImageDraw,
    label: str,
    outline: _Rectangle,
    color: tuple[int, ...],
    taken: list[_Rectangle],
    size_hw: tuple[int, int],
) -> None:
    """Draw ``label`` at the best place that overlaps none of ``taken``, and add it to them."""
    size = font_size(*size_hw)
    pad = max(2, size // 4)
    line = cut(" ".join(label.splitlines()), size, size_hw[1] - 2 * pad)
    label_hw = (size + 2 * pad, text_width(line, size) + 2 * pad)
    for place in _places(outline, label_hw, size_hw) if line else ():
        if not any(_overlap(place, other) for other in taken):
            taken.append(place)
            canvas.rectangle(place, fill=color)
            middle = (place[1] + place[3] + 1) / 2
            canvas.text((place[0] + pad, middle), line, fill=_text_color(color), font=font(size), anchor="lm")
            return


def _places(outline: _Rectangle, label_hw: tuple[int, int], size_hw: tuple[int, int]) -> Iterator[_Rectangle]:
    """Where a label may be, the best first: above its box, below it, inside, or a few of its heights lower."""
    left, top, right, bottom = outline
    label_h, label_w = label_hw
    for start in (left, right - label_w + 1):
        x = max(0, min(start, size_hw[1] - label_w))
        steps = (step * label_h for step in range(1, _STEPS))
        for y in (top - label_h, bottom + 1, top, bottom - label_h + 1, *(bottom + 1 + step for step in steps)):
            if 0 <= y <= size_hw[0] - label_h:
                yield x, y, x + label_w - 1, y + label_h - 1


def _overlap(one: _Rectangle, other: _Rectangle) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def _text_color(background: tuple[int, ...]) -> tuple[int, int, int]:
    """Black or white, whichever has more contrast by the relative luminance of WCAG 2.1: 4.5 to 1 at least."""
    red, green, blue = ((value / 255) ** 2.2 for value in background)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return _DARK if (luminance + 0.05) ** 2 > 0.05 * 1.05 else _LIGHT


def _line_width(height: int, width: int) -> int:
    return max(1, round(min(height, 0.75 * width) / _LINES_ACROSS))


def _check_boxes(xyxy: npt.NDArray[Any], colors: npt.ArrayLike, labels: Sequence[str] | None) -> None:
    if xyxy.ndim != 2 or xyxy.shape[1] != 4:
        raise FrameError(f"boxes must be (n, 4), but got {xyxy.shape}")
    found = {"colours": len(np.asarray(colors)), **({} if labels is None else {"labels": len(labels)})}
    for name, count in found.items():
        if count != len(xyxy):
            raise RequestError(f"{name} must be one for each of the {len(xyxy)} boxes, but are {count}")
