"""Built engines on disk: private, bounded, made once however many processes ask.

An engine is code. The folder is the user's own with mode 0700, or it is refused; a file is used only if it is a plain
file of the user's own whose every byte agrees with its header, and whose header names exactly what was asked for. What
is not used is set aside, one file at most, and made again. Builds are taken in turns: they measure what they choose.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.engines.container import MAX_HEADER_BYTES, Key, RefusedError, key_of, name_of, packed, unpacked
from saccade.errors import EngineError, OutputError
from saccade.machine import cache_folder

SUFFIX = ".kept"
REFUSED = "last.refused"
LIMIT_BYTES = 4 << 30
LOCK_SECONDS = 3600.0
_PARTIAL = ".partial"
_LOCK = "lock"
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Found:
    """Content from the cache. ``is_new`` where it was made for this call; ``refused`` says why an older file was not
    used."""

    content: bytes
    path: Path
    is_new: bool
    refused: str | None = None


class EngineCache:
    """Files by key in ``folder/engines``, the longest unused ones removed beyond ``limit_bytes``.

    Methods raise ``OutputError`` for a folder that cannot be used or written, ``EngineError`` where another process
    keeps the folder locked for longer than ``lock_seconds``.
    """

    def __init__(
        self, folder: Path | None = None, *, limit_bytes: int = LIMIT_BYTES, lock_seconds: float = LOCK_SECONDS
    ) -> None:
        self.folder = (folder or cache_folder()) / "engines"
        self._limit_bytes, self._lock_seconds = limit_bytes, lock_seconds

    def read(self, key: Key) -> bytes | None:
        """What is kept for ``key``, or None; a file that is not as it was written counts as none."""
        with self._opened() as folder, suppress(RefusedError):
            return self._checked(folder, key)
        return None

    def write(self, key: Key, content: bytes) -> Path:
        """Keep ``content`` for ``key``, in place of what was."""
        with self._opened() as folder, self._locked(folder):
            self._write(folder, key, content)
        return self._path(key)

    def get(self, key: Key, make: Callable[[], bytes], *, unless: bytes | None = None, always: bool = False) -> Found:
        """What is kept for ``key``, else what ``make`` gives: called once, whoever else asks at the same time.

        ``unless`` is content that proved to be of no use: if it is still what is kept, it is set aside and made again.
        ``always`` makes it again in any case.
        """
        with self._opened() as folder:
            with suppress(RefusedError):
                kept = None if always else self._checked(folder, key)
                if kept is not None and kept != unless:
                    return Found(kept, self._path(key), is_new=False)
            with self._locked(folder):
                if always:
                    content = make()
                    self._write(folder, key, content)
                    return Found(content, self._path(key), is_new=True)
                return self._get_locked(folder, key, make, unless)

    def entries(self) -> list[tuple[Path, int, dict[str, Any]]]:
        """Path, size in bytes and key of what is kept, the longest unused first."""
        with self._opened() as folder:
            listed = [(name, size) for name, size, _ in self._listed(folder)]
            return [(self.folder / name, size, self._key(folder, name)) for name, size in listed]

    def clear(self) -> int:
        """Remove everything that is kept. Gives the number of files."""
        with self._opened() as folder, self._locked(folder):
            names = [name for name in _names(folder) if name.endswith((SUFFIX, REFUSED))]
            for name in names:
                os.unlink(name, dir_fd=folder)
        return len(names)

    def _get_locked(self, folder: int, key: Key, make: Callable[[], bytes], unless: bytes | None) -> Found:
        refused = None
        try:
            kept = self._checked(folder, key)
            if kept is not None and kept != unless:
                return Found(kept, self._path(key), is_new=False)
            if kept is not None:
                refused = "the library could not use it"
        except RefusedError as error:
            refused = str(error)
        if refused is not None:
            self._set_aside(folder, key)
        content = make()
        self._write(folder, key, content)
        return Found(content, self._path(key), is_new=True, refused=refused)

    def _path(self, key: Key) -> Path:
        return self.folder / (name_of(key) + SUFFIX)

    @contextmanager
    def _opened(self) -> Generator[int, None, None]:
        """The folder, held open and checked, so that nobody can put another in its place."""
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                self.folder.mkdir(mode=0o700)
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise OutputError(
                f"engines cannot be kept in {self.folder}: {error.strerror}; choose a folder of your own by "
                "--cache or the environment variable SACCADE_CACHE"
            ) from error
        try:
            _check_private(self.folder, os.fstat(folder))
            yield folder
        finally:
            os.close(folder)

    @contextmanager
    def _locked(self, folder: int) -> Generator[None, None, None]:
        lock = self._open_lock(folder)
        try:
            until = time.monotonic() + self._lock_seconds
            while not _try_lock(lock):
                if time.monotonic() > until:
                    holder = os.pread(lock, 64, 0).decode(errors="replace").strip() or "unknown"
                    raise EngineError(
                        f"another process (id {holder}) has been building in {self.folder} for more than "
                        f"{self._lock_seconds:g} s; wait for it, end it, or choose another folder by SACCADE_CACHE"
                    )
                time.sleep(_POLL_SECONDS)
            with _writing(self.folder):
                os.ftruncate(lock, 0)
                os.pwrite(lock, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(lock)  # which unlocks

    def _open_lock(self, folder: int) -> int:
        with _writing(self.folder):
            lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
        if not _is_own_file(os.fstat(lock)):
            os.close(lock)
            raise OutputError(f"{self.folder / _LOCK} is no plain file of this user's; remove it")
        return lock

    def _checked(self, folder: int, key: Key) -> bytes | None:
        """What is kept for ``key``; None where nothing is. Raises ``RefusedError`` for what must not be used."""
        name = name_of(key) + SUFFIX
        try:
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RefusedError(f"it cannot be opened as a plain file: {error.strerror}") from error
        with os.fdopen(file, "rb") as opened:
            if not _is_own_file(os.fstat(file)):
                raise RefusedError("it is no plain file of this user's alone")
            try:
                content = unpacked(opened.read(), key)
            except OSError as error:
                raise RefusedError(f"it cannot be read: {error.strerror}") from error
            with suppress(OSError):
                os.utime(file)  # when it was last used
        return content

    def _write(self, folder: int, key: Key, content: bytes) -> None:
        name = name_of(key) + SUFFIX
        parts = packed(key, content)
        with _writing(self.folder):
            for stale in _names(folder):  # of processes that ended while they wrote: this one holds the lock
                if stale.endswith(_PARTIAL):
                    os.unlink(stale, dir_fd=folder)
            self._make_room(folder, sum(len(part) for part in parts), name)
            partial = name + _PARTIAL
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                with os.fdopen(os.open(partial, flags, 0o600, dir_fd=folder), "wb") as file:
                    for part in parts:
                        file.write(part)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(partial, name, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError:
                with suppress(OSError):
                    os.unlink(partial, dir_fd=folder)
                raise
            os.fsync(folder)

    def _make_room(self, folder: int, needed: int, keeping: str) -> None:
        """Remove the longest unused files until ``needed`` bytes fit; the one to be written may exceed the limit."""
        listed = [entry for entry in self._listed(folder) if entry[0] != keeping]
        used = sum(size for _, size, _ in listed)
        for name, size, _ in listed:
            if used + needed <= self._limit_bytes:
                break
            os.unlink(name, dir_fd=folder)
            used -= size

    def _set_aside(self, folder: int, key: Key) -> None:
        """Keep what was refused, for a person to look at: one file, under a name that nothing reads."""
        name = name_of(key) + SUFFIX
        with _writing(self.folder):
            if stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                os.replace(name, REFUSED, src_dir_fd=folder, dst_dir_fd=folder)
            else:
                os.unlink(name, dir_fd=folder)

    def _listed(self, folder: int) -> list[tuple[str, int, int]]:
        """Name, size and time of last use of what is kept, the longest unused first."""
        found: list[tuple[str, int, int]] = []
        for name in _names(folder):
            with suppress(FileNotFoundError):
                state = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if name.endswith(SUFFIX) and stat.S_ISREG(state.st_mode):
                    found.append((name, state.st_size, state.st_mtime_ns))
        return sorted(found, key=lambda entry: entry[2])

    def _key(self, folder: int, name: str) -> dict[str, Any]:
        try:
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            with os.fdopen(file, "rb") as opened:
                return key_of(opened.read(MAX_HEADER_BYTES))
        except (OSError, RefusedError):
            return {}


def _names(folder: int) -> list[str]:
    return os.listdir(folder)  # held open, it has no path to iterate over


def _check_private(path: Path, state: os.stat_result) -> None:
    if state.st_uid != os.geteuid():
        raise OutputError(
            f"engines cannot be kept in {path}: it belongs to user {state.st_uid}, not to {os.geteuid()}, who runs "
            "this; choose a folder of your own by --cache or the environment variable SACCADE_CACHE"
        )
    if state.st_mode & 0o077:
        raise OutputError(
            f"engines cannot be kept in {path}: others may enter it (mode {stat.S_IMODE(state.st_mode):04o}), and an "
            f"engine is code; run chmod 700 {path} if nobody else has written there, else remove it"
        )


def _is_own_file(state: os.stat_result) -> bool:
    return stat.S_ISREG(state.st_mode) and state.st_uid == os.geteuid() and state.st_nlink == 1


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _writing(folder: Path) -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write to {folder}: {error.strerror}; free space there, or choose another folder by --cache or "
            "the environment variable SACCADE_CACHE"
        ) from error
