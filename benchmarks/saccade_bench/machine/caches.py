"""The processor's caches, as Linux lists them."""

from __future__ import annotations

from pathlib import Path

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def last_cache_bytes(root: Path = Path("/")) -> int | None:
    """The size of the first core's largest cache; None where the system does not say."""
    sizes = [_bytes(path) for path in root.glob("sys/devices/system/cpu/cpu0/cache/index*/size")]
    return max((size for size in sizes if size is not None), default=None)


def _bytes(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
        return int(text.rstrip("KMG")) * UNITS.get(text[-1:], 1)
    except (OSError, ValueError):
        return None
