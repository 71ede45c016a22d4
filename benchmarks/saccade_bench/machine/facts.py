"""What this machine is: all that a reader of its figures has to know."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil

import saccade
from saccade import machine
from saccade.cli.doctor import PACKAGES, package_version
from saccade_bench.machine import nvidia
from saccade_bench.machine.caches import last_cache_bytes
from saccade_bench.machine.readings import ROOT, Reading, text_of

INSTRUCTIONS = (
    "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8",
    "amx_bf16", "asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip
"""What decides how fast networks are computed, by Linux's names: x86 first, then Arm."""

CORES = "sys/devices/system/cpu"


@dataclass(frozen=True)
class Facts:
    """``cores`` are the machine's, ``usable_cores`` those that this process may run on.

    ``instructions`` are those of ``INSTRUCTIONS`` that the processor has. ``governors`` and ``turbo`` are what decides
    its clock. ``power_mode`` is a Jetson's, as ``nvpmodel`` names it.
    """

    saccade: str
    processor: str
    architecture: str
    cores: int
    usable_cores: int
    last_cache_bytes: int | None
    memory_bytes: int
    instructions: tuple[str, ...]
    is_virtual: bool
    system: str
    python: str
    packages: dict[str, str]
    governors: Reading[tuple[str, ...]]
    turbo: Reading[bool]
    gpus: Reading[tuple[nvidia.Gpu, ...]]
    driver: str | None
    jetson: str | None
    power_mode: Reading[str]


def facts(root: Path = ROOT) -> Facts:
    """Read from files: no engine is loaded. ``root`` is where the system's files are."""
    flags = _flags()
    return Facts(
        saccade=saccade.__version__,
        processor=machine.processor(),
        architecture=platform.machine(),
        cores=os.cpu_count() or 1,
        usable_cores=machine.usable_cores(),
        last_cache_bytes=last_cache_bytes(root),
        memory_bytes=psutil.virtual_memory().total,
        instructions=tuple(name for name in INSTRUCTIONS if name in flags),
        is_virtual="hypervisor" in flags,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages={name: found for name in (*PACKAGES, "psutil") if (found := package_version(name)) is not None},
        governors=_governors(root),
        turbo=_turbo(root),
        gpus=nvidia.gpus(),
        driver=machine.gpu_description(),
        jetson=machine.jetson_name() if machine.is_jetson() else None,
        power_mode=_power_mode(root),
    )


def _flags() -> frozenset[str]:
    """What the first core can do."""
    lines = (line.partition(":") for line in machine.cpuinfo().splitlines())
    listed = next((value for name, _, value in lines if name.strip() in ("flags", "Features")), "")
    return frozenset(listed.split())


def _governors(root: Path) -> Reading[tuple[str, ...]]:
    found = {text_of(path) for path in root.glob(f"{CORES}/cpu*/cpufreq/scaling_governor")} - {None}
    named = tuple(sorted(name for name in found if name))
    return Reading(named) if named else Reading(None, "the system governs no clocks (no cpufreq)")


def _turbo(root: Path) -> Reading[bool]:
    if (off := text_of(root / CORES / "intel_pstate/no_turbo")) is not None:
        return Reading(off == "0")
    if (boost := text_of(root / CORES / "cpufreq/boost")) is not None:
        return Reading(boost == "1")
    return Reading(None, "the system does not say")


def _power_mode(root: Path) -> Reading[str]:
    """``nvpmodel`` writes "pmode:0002", and its table has < POWER_MODEL ID=2 NAME=MODE_30W >."""
    status = text_of(root / "var/lib/nvpmodel/status")
    if status is None:
        return Reading(None, "there is no nvpmodel here")
    number = status.rpartition(":")[2].lstrip("0") or "0"
    for line in (text_of(root / "etc/nvpmodel.conf") or "").splitlines():
        words = line.strip("<> ").split()
        if words[:2] == ["POWER_MODEL", f"ID={number}"] and len(words) > 2:
            return Reading(words[2].removeprefix("NAME="))
    return Reading(number)
