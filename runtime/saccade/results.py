"""What a task gives for a frame. Results own their arrays: nothing in them changes when the next frame comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.errors import RequestError


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


@dataclass(frozen=True)
class Detections:
    """The n boxes of a frame, most confident first.

    ``xyxy`` float32 (n, 4) left, top, right, bottom in the frame's pixels, inside the frame; ``confidence`` float32
    (n,); ``class_id`` int64 (n,), indexing ``classes``. The three have supervision's names and shapes. ``finite`` is
    False when the network gave NaN or an infinity: boxes may then be missing.
    """

    xyxy: npt.NDArray[np.float32]
    confidence: npt.NDArray[np.float32]
    class_id: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    frame_hw: tuple[int, int]
    finite: bool
    timing: Timing
    origin: Origin

    def __len__(self) -> int:
        return len(self.xyxy)

    @property
    def names(self) -> list[str]:
        """The class name of each box."""
        return [self.classes[index] for index in self.class_id]

    def of(self, name: str) -> npt.NDArray[np.float32]:
        """The boxes of the class ``name``, (m, 4). Raises ``KeyError`` with the classes there are."""
        if name not in self.classes:
            raise KeyError(f"no class {name!r}; there are {', '.join(self.classes)}")
        return self.xyxy[self.class_id == self.classes.index(name)]

    def to_coco(self, image_id: int, category_ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """COCO result entries: ``image_id``, ``category_id``, ``bbox`` [x, y, width, height], ``score``.

        ``category_ids`` gives the dataset's id of each class; without it they count from 1 in the order of ``classes``.
        """
        ids = range(1, len(self.classes) + 1) if category_ids is None else category_ids
        if len(ids) != len(self.classes):
            raise ValueError(
                f"category_ids must be one for each of the {len(self.classes)} classes, but are {len(ids)}"
            )
        sizes = self.xyxy[:, 2:] - self.xyxy[:, :2]
        xywh: list[list[float]] = np.concatenate((self.xyxy[:, :2], sizes), axis=1).tolist()
        class_ids: list[int] = self.class_id.tolist()
        scores: list[float] = self.confidence.tolist()
        return [
            {"image_id": image_id, "category_id": int(ids[class_id]), "bbox": box, "score": score}
            for box, class_id, score in zip(xywh, class_ids, scores, strict=True)
        ]

    def to_supervision(self) -> Any:
        """The boxes as ``supervision.Detections``, names under ``data["class_name"]``.

        Raises ``RequestError`` where supervision is not installed.
        """
        try:
            supervision: Any = import_module("supervision")
        except ModuleNotFoundError as error:
            raise RequestError(f"{error.name} is not installed; run pip install supervision") from error
        return supervision.Detections(
            xyxy=self.xyxy,
            confidence=self.confidence,
            class_id=self.class_id,
            data={"class_name": np.array(self.names, dtype=str)},
        )


@dataclass(frozen=True)
class Restoration:
    """A restored frame.

    ``image`` has the frame's type and colour order, (H, W, 3) times the bundle's scale: uint8, or float32 in grey
    levels that may lie beyond 0..255. ``sigma`` is the level of noise (grey levels) or blur (pixels) that was used,
    None where the mode has none, and the root of its mean square where it varies. ``measured`` is what was found where
    noise was measured: it may lie beyond what the network knows, and ``sigma`` then is the nearest that it does.
    ``steps`` are those taken: 0 where sigma is in the bundle's dead zone and the frame was left as it is. ``gain`` is
    what the light of dark frames was multiplied by, None where nothing lifts it. ``finite`` is False when the network
    gave NaN or an infinity: the image then means nothing.
    """

    image: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    sigma: float | None
    measured: float | None
    steps: int
    gain: float | None
    finite: bool
    timing: Timing
    origin: Origin
