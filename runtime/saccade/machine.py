"""What this machine is, read from files: no library is loaded and no driver is woken."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def gpu_description() -> str | None:
    """The NVIDIA driver's own line about itself, or the Jetson's name; None where no NVIDIA GPU can be used."""
    if is_jetson():
        return jetson_name()
    version = Path("/proc/driver/nvidia/version")
    if not version.exists():
        return None
    return version.read_text(errors="replace").splitlines()[0]


def is_jetson() -> bool:
    return Path("/etc/nv_tegra_release").exists()


def jetson_name() -> str:
    model = Path("/proc/device-tree/model")
    return model.read_text(errors="replace").strip("\0\n ") if model.exists() else "Jetson"


NUMBERS = (
    (("cpu family", "family"), ("model", "model")),
    (("CPU implementer", "implementer"), ("CPU part", "part")),
)
"""What tells processors of one name apart, as Linux calls it and as is said here: on x86, on Arm."""


def processor() -> str:
    """The processor's name as the system gives it, and its numbers: in a virtual machine many have one name."""
    name = _of_first_core("model name") or platform.processor() or platform.machine()
    for numbers in NUMBERS:
        found = [f"{said} {number}" for key, said in numbers if (number := _of_first_core(key)) is not None]
        if len(found) == len(numbers):
            return f"{name} ({', '.join(found)})"
    return name


def has_vnni() -> bool | None:
    """Whether an x86 processor sums products of 8 bits in 32; None for another, or where the system does not say.

    Without it engines sum pairs of them in 16 bits, which they may overflow (OpenVINO, "Saturation issue workaround").
    """
    flags = (_of_first_core("flags") or "").split()
    return None if not flags else not {"avx512_vnni", "avx_vnni"}.isdisjoint(flags)


def cpuinfo() -> str:
    """What Linux says of the cores; nothing elsewhere."""
    path = Path("/proc/cpuinfo")
    return path.read_text(errors="replace") if path.exists() else ""


def _of_first_core(name: str) -> str | None:
    for line in cpuinfo().splitlines():
        if line.partition(":")[0].strip() == name:
            return line.partition(":")[2].strip()
    return None


def usable_cores() -> int:
    """Cores that this process may run on, which in a container are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cache_folder() -> Path:
    """Where engines and measurements are kept: ``$SACCADE_CACHE``, else ``saccade`` in the user's cache folder."""
    if chosen := os.environ.get("SACCADE_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "saccade"
