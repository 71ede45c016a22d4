"""What the runtime does its own way for each kind of task; one file a kind, and a table of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.kinds import detect, restore, segment
from saccade.kinds.detect import BoxCheck
from saccade.kinds.restore import ImageCheck
from saccade.kinds.segment import FrameCheck

Check = FrameCheck | BoxCheck | ImageCheck
"""How a golden frame came out: the ``frame``, its ``size_hw``, whether it ``passed``, and a ``sentence`` for people."""


@dataclass(frozen=True)
class Kind:
    """Functions on one kind's task, result or contract.

    ``check(bundle, golden, task)`` repeats a golden frame; ``record(result)`` is what a JSON line says of a result
    beside where it comes from; ``picture(image, result, look)`` shows a result over its frame, uint8 (H, W, 3);
    ``describe(spec)`` are the lines by which ``saccade info`` tells what the task is, and ``held_to(tolerances)`` is
    what a variant's golden frames must reach.
    """

    check: Callable[..., Check]
    record: Callable[..., dict[str, Any]]
    picture: Callable[..., npt.NDArray[np.uint8]]
    describe: Callable[..., list[tuple[str, str]]]
    held_to: Callable[[dict[str, float]], str]
    pictures: tuple[str, str] = ("overlay", "overlays")


KINDS: dict[str, Kind] = {
    "segment": Kind(segment.check, segment.record, segment.picture, segment.describe, segment.held_to),
    "detect": Kind(detect.check, detect.record, detect.picture, detect.describe, detect.held_to),
    "restore": Kind(
        restore.check, restore.record, restore.picture, restore.describe, restore.held_to, ("restored", "restored")
    ),
}
"""The kinds of task by the ``kind`` of their contract."""
