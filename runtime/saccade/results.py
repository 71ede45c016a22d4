"""What a task gives for a frame. Results own their arrays: nothing in them changes when the next frame comes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Timing:
    """Milliseconds spent before, in and after the engine. For a batch: of the whole batch."""

    pre_ms: float
    engine_ms: float
    post_ms: float

    @property
    def total_ms(self) -> float:
        return self.pre_ms + self.engine_ms + self.post_ms


@dataclass(frozen=True)
class Origin:
    """Where a result comes from: the frame, and what computed it.

    ``age_ms`` is the time from ``captured_ns`` (``time.monotonic_ns``) to the finished result, if the caller gave it.
    """

    frame_id: int
    engine: str
    device: str
    variant: str
    age_ms: float | None = None


@dataclass(frozen=True)
class Segmentation:
    """A class for each pixel.

    ``class_map`` is uint8 (H, W) at the frame's size, indexing ``classes``. ``confidence`` is the probability of that
    class, float32 (H, W), in bundles exported with it. ``finite`` is False when the network's scores held NaN or an
    infinity: the class map then means nothing.
    """

    class_map: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.float32] | None
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    finite: bool
    timing: Timing
    origin: Origin

    def class_shares(self) -> dict[str, float]:
        """The share of the frame's pixels that each class has; classes that do not occur are left out."""
        counts = np.bincount(self.class_map.ravel(), minlength=len(self.classes))
        return {name: int(n) / self.class_map.size for name, n in zip(self.classes, counts, strict=False) if n}

    def mask(self, name: str) -> npt.NDArray[np.bool_]:
        """Where the class ``name`` is, (H, W). Raises ``KeyError`` with the classes there are."""
        if name not in self.classes:
            raise KeyError(f"no class {name!r}; there are {', '.join(self.classes)}")
        return self.class_map == self.classes.index(name)
