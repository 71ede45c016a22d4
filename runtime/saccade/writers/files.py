"""How a file is written so that only a whole one is ever seen, and what a failure to write becomes.

A writer fills ``.<name>.part`` beside the target and renames it at the end.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from saccade.errors import OutputError

_ADVICE = {
    errno.ENOSPC: "free some space or choose another disk",
    errno.EDQUOT: "free some space or choose another disk",
    errno.EFBIG: "write a smaller file or raise the limit on file sizes",
    errno.ENOENT: "create its folder first",
    errno.ENOTDIR: "a part of the path is a file; choose another folder",
    errno.EEXIST: "a file is in the way; choose another folder",
    errno.EISDIR: "a folder of this name is in the way; choose another name",
}


def ensure_folder(path: str | os.PathLike[str]) -> Path:
    """The folder at ``path``, created with its parents if missing. Raises ``OutputError`` if it is not writable."""
    folder = Path(path)
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    return folder


def part_path(path: Path) -> Path:
    """Where the file for ``path`` grows until it is whole."""
    return path.with_name(f".{path.name}.part")


def begin_part(path: Path) -> Path:
    """An empty ``part_path``, so that a place that cannot be written shows before the work. Raises ``OutputError``."""
    with output_errors(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        part = part_path(path)
        part.write_bytes(b"")
    return part


@contextmanager
def output_errors(path: Path, *also: type[Exception]) -> Generator[None]:
    """Turns an ``OSError``, or one of ``also``, into an ``OutputError`` that names ``path`` and what to do."""
    try:
        yield
    except (OSError, *also) as error:
        reason = getattr(error, "strerror", None) or str(error)
        advice = _ADVICE.get(getattr(error, "errno", None) or 0, "choose a place that you may write to")
        raise OutputError(f"{path} cannot be written: {reason}; {advice}") from error
