"""Write a bundle so that it is either whole and right, or not there."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from saccade.bundle import ALIGNMENT, Bundle, open_bundle
from saccade.manifest import MANIFEST_NAME, write_manifest
from saccade.spec import Manifest, Member
from saccade.writers.files import output_errors

_FIXED_TIME = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE = 0o100644 << 16
_UNIX = 3
_LOCAL_HEADER_BYTES = 30
_PADDING_ID = b"SC"


def seal(
    manifest: Manifest, members: Mapping[str, bytes], path: Path, check: Callable[[Bundle], None] | None = None
) -> Bundle:
    """Write the bundle under a temporary name, read it back, ``check`` it, and only then give it its name.

    The manifest's ``members`` are filled in here. Whatever ``check`` raises leaves no file behind, and leaves a bundle
    that was at ``path`` before untouched. Raises ``OutputError`` where nothing can be written.
    """
    stated = {name: Member(len(data), hashlib.sha256(data).hexdigest()) for name, data in members.items()}
    manifest = replace(manifest, members=stated)
    unfinished: Path | None = None
    try:
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = _new_file(path)
            _write_archive({**members, MANIFEST_NAME: write_manifest(manifest)}, unfinished)
        bundle = open_bundle(unfinished)
        if check is not None:
            check(bundle)
        with output_errors(path):
            unfinished.replace(path)
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
    return replace(bundle, path=path)


def _new_file(path: Path) -> Path:
    """An empty file of its own beside ``path``, readable as any file is: two exports at once do not meet."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.fchmod(handle, 0o644)
    os.close(handle)
    return Path(name)


def _write_archive(members: Mapping[str, bytes], path: Path) -> None:
    """Members stored, sorted, aligned, with fixed times and modes: equal members give equal bytes."""
    with path.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted(members):
                info = zipfile.ZipInfo(name, _FIXED_TIME)
                info.create_system = _UNIX
                info.external_attr = _PLAIN_FILE
                info.extra = _padding(file.tell() + _LOCAL_HEADER_BYTES + len(name.encode()))
                archive.writestr(info, members[name])
        file.flush()
        os.fsync(file.fileno())


def _padding(start: int) -> bytes:
    """A zip extra field after which the member's bytes are aligned."""
    length = -(start + 4) % ALIGNMENT
    return _PADDING_ID + length.to_bytes(2, "little") + bytes(length)
