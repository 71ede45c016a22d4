"""Frames of the user's own: a few of many, spread over what was given."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from saccade.errors import SourceError
from saccade.sources import open_source
from saccade.sources.base import SourceFault

Frame = npt.NDArray[np.uint8]


def spread_frames(source: str, most: int) -> list[tuple[str, Frame]]:
    """Up to ``most`` frames with their names, spread over an image, a folder, a glob or a video.

    Never more than twice as many are held. Raises ``SourceError`` for one that cannot be read.
    """
    found: list[tuple[str, Frame]] = []
    distance = 1
    with open_source(source) as frames:
        for index, item in enumerate(frames):
            if isinstance(item, SourceFault):
                raise SourceError(f"{item.name} cannot be used: {item.reason}")
            if index % distance == 0:
                found.append((item.name, item.image))
            if len(found) == 2 * most:  # keep every other
                found, distance = found[::2], 2 * distance
    if len(found) <= most:
        return found
    return [found[int(place)] for place in np.linspace(0, len(found) - 1, most)]
