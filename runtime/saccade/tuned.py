"""What ``saccade tune`` found fastest on this machine, kept beside the built engines and taken by "auto"."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saccade import engines
from saccade.bundle import Bundle
from saccade.errors import DeviceError, OutputError
from saccade.machine import cache_folder, processor, usable_cores
from saccade.spec import Variant

SCHEMA = 1
MOST_THREADS = 1024


@dataclass(frozen=True)
class Setting:
    """An engine, its threads, None for all usable cores, and settings of the engine's own."""

    engine: str
    threads: int | None = None
    settings: Mapping[str, bool] = field(default_factory=dict[str, bool])

    @property
    def name(self) -> str:
        threads = "all cores" if self.threads is None else f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        own = [f"{name.rpartition('.')[2]} {'on' if is_on else 'off'}" for name, is_on in self.settings.items()]
        return ", ".join((self.engine, threads, *own))


def tuned(bundle: Bundle, variant: Variant, device: str, cache: Path | None = None) -> Setting | None:
    """What was found fastest for ``variant`` on this machine.

    None where nothing was measured, or with another processor, number of cores or version of the engine; a file that
    is not as it should be counts as none.
    """
    try:
        content = json.loads(_path(bundle, variant, device, cache).read_text(encoding="utf-8"))
        chosen = content["chosen"]
        setting = Setting(str(chosen["engine"]), chosen["threads"], dict(chosen["settings"]))
        is_known = setting.engine in engines.installed() and _is_sane(setting)
        return setting if is_known and content["machine"] == machine_key(setting.engine) else None
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, DeviceError):
        return None


def remember(
    bundle: Bundle, variant: Variant, device: str, chosen: Setting, found: Mapping[str, Any], cache: Path | None = None
) -> Path:
    """Keep ``chosen``, with all that was ``found``, whole or not at all. Raises ``OutputError``."""
    path = _path(bundle, variant, device, cache)
    content = {"schema": SCHEMA, "machine": machine_key(chosen.engine), "chosen": vars(chosen), **found}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise OutputError(f"{path} cannot be written: {error}; choose another folder by --cache") from error
    return path


def forget(bundle: Bundle, variant: Variant, device: str, cache: Path | None = None) -> bool:
    """Remove what was found; whether there was any."""
    try:
        _path(bundle, variant, device, cache).unlink()
    except FileNotFoundError:
        return False
    return True


def machine_key(engine: str) -> dict[str, Any]:
    """What a measurement holds for. Raises ``DeviceError`` where the engine cannot be loaded."""
    version = engines.engine_module(engine).version()
    return {"processor": processor(), "cores": usable_cores(), "version": version}


def _path(bundle: Bundle, variant: Variant, device: str, cache: Path | None) -> Path:
    return (cache or cache_folder()) / "tuned" / f"{bundle.identity}.{variant.name}.{device}.json"


def _is_sane(setting: Setting) -> bool:
    threads = setting.threads
    if threads is not None and (type(threads) is not int or not 1 <= threads <= MOST_THREADS):
        return False
    return all(type(value) is bool for value in setting.settings.values())
