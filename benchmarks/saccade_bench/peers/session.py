"""A peer's engine as what surrounds it sees it: frames are prepared and results decoded alike for all of them."""

from __future__ import annotations

from typing import Any, Protocol


class Session(Protocol):
    """A network of one input. ``took_ns`` is how long its last run was, ``about`` what the document says of it."""

    took_ns: int
    about: dict[str, Any]

    def __call__(self, tensor: Any) -> Any:
        """The first output for float32 (1, 3, h, w)."""
        ...
