"""What every source of frames looks like to the code that reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class SourceFrame:
    """One frame as a camera would give it.

    ``image`` is uint8 (H, W, 3) in the order of ``pixel_format`` and owned by the frame. ``frame_id`` counts the
    delivered frames of the source: 0, 1, 2, ... ``captured_ns`` is ``time.monotonic_ns`` at delivery.
    """

    image: npt.NDArray[np.uint8]
    pixel_format: Literal["rgb24"]
    frame_id: int
    name: str
    captured_ns: int


@dataclass(frozen=True)
class SourceFault:
    """Something of the source that could not be read: an image, or the rest of a video. The source goes on or ends."""

    name: str
    reason: str


class Source(Protocol):
    """Frames and faults in order, one pass. Hold it with ``with``: a video keeps its file open."""

    @property
    def uri(self) -> str: ...

    @property
    def length(self) -> int | None:
        """How many frames the source declares; None where it cannot know."""
        ...

    @property
    def frame_rate(self) -> float | None:
        """Frames per second; None for stills."""
        ...

    @property
    def is_video(self) -> bool: ...

    def __iter__(self) -> Iterator[SourceFrame | SourceFault]: ...

    def close(self) -> None: ...

    def __enter__(self) -> Source: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
