"""What a rendered frame holds: the picture, its class map and the boxes of what is seen in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BOX_LABELS = ("car", "pedestrian", "bicyclist", "licence_plate")
"""The labels that a box can have; all but the last are also classes of the class map."""


@dataclass(frozen=True)
class SceneBox:
    """The tight box around what is seen of one object, in frame pixels: x1, y1, and x2, y2 just past its last pixel."""

    label: str
    xyxy: tuple[float, float, float, float]


@dataclass(frozen=True)
class Scene:
    """One frame of a drive: ``image`` (H, W, 3) uint8 RGB, ``class_map`` (H, W) uint8 and the boxes, nearest last.

    A box covers only what is seen of its object, however little that is; the pixels of a licence plate are ``car``.
    """

    image: npt.NDArray[np.uint8]
    class_map: npt.NDArray[np.uint8]
    boxes: tuple[SceneBox, ...]
