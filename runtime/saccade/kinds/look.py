"""How results are drawn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """``has_names`` shows class names, in a legend or at boxes; ``opacity`` is that of class colours, 0 to 1.

    ``before_after`` shows the frame beside what was restored of it.
    """

    has_names: bool = True
    opacity: float = 0.5
    before_after: bool = False
