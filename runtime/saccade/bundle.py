"""Open a ``.saccade`` file: read it once, check every byte, and only then look inside.

A bundle is a zip whose members are stored, 64-byte aligned, sorted by name, without gaps, comments, links or
encryption; anything else is refused, never repaired. The whole file is read into memory first, so what was hashed
is what is used, even if the file on disk changes.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from saccade.errors import BundleError, RequestError
from saccade.manifest import MANIFEST_NAME, MEMBER_NAME, read_manifest
from saccade.spec import Manifest, StoredArray, Variant

ALIGNMENT = 64
MAX_BUNDLE_BYTES = (1 << 31) - 1
MAX_MEMBERS = 4096
MAX_ENTRY_BYTES = 512
_END_RECORD_BYTES = 22
_LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")


class _View(io.RawIOBase):
    """Bytes in memory as a file for ``zipfile``, without the copy that ``BytesIO`` makes."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._position = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: len(self._data)}[whence]
        if start + offset < 0:
            raise OSError("seek before the start")
        self._position = start + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        stop = None if size is None or size < 0 else self._position + size
        found = bytes(self._data[self._position : stop])
        self._position += len(found)
        return found


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory, every member of which has the size and SHA-256 that its manifest states."""

    path: Path
    identity: str
    manifest: Manifest
    size_bytes: int
    _members: dict[str, memoryview]

    def member(self, name: str) -> memoryview:
        """The bytes of one member, read-only."""
        return self._members[name]

    def variant(self, name: str) -> Variant:
        """The variant called ``name``. Raises ``RequestError`` with the names there are."""
        for variant in self.manifest.variants:
            if variant.name == name:
                return variant
        names = ", ".join(variant.name for variant in self.manifest.variants)
        raise RequestError(f"variant {name!r} was asked for, but {self.path.name} holds {names}")

    def array(self, stored: StoredArray) -> npt.NDArray[Any]:
        """A stored array, read-only, in this machine's byte order."""
        dtype: np.dtype[Any] = np.dtype(stored.dtype)
        flat = np.frombuffer(self.member(stored.member), cast("np.dtype[Any]", dtype.newbyteorder("<")))
        return flat.reshape(stored.shape).astype(dtype, copy=False)


def open_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read and verify the bundle at ``path``.

    Raises ``BundleError`` naming the member or field at fault: a file that is no bundle, a manifest that breaks a rule,
    a member with other bytes than the manifest states.
    """
    path = Path(path)
    data = _read_file(path)
    infos = _check_archive(data)
    members = {info.filename: _member_bytes(data, info) for info in infos}
    if MANIFEST_NAME not in members:
        raise BundleError(MANIFEST_NAME, "is missing: this zip is no saccade bundle")
    manifest_bytes = bytes(members.pop(MANIFEST_NAME))
    manifest = read_manifest(manifest_bytes)
    _check_members(members, manifest)
    return Bundle(path, hashlib.sha256(manifest_bytes).hexdigest(), manifest, len(data), members)


def _read_file(path: Path) -> memoryview:
    """The file in 64-byte aligned memory, so that a member's alignment in the file holds in memory too."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not 0 < size <= MAX_BUNDLE_BYTES:
                raise BundleError(path.name, f"has {size} bytes: no saccade bundle")
            padded = np.empty(size + ALIGNMENT, np.uint8)
            start = -padded.ctypes.data % ALIGNMENT
            buffer = padded[start : start + size]
            if file.readinto(buffer.data) != size or file.read(1):
                raise BundleError(path.name, "changed its size while it was read")
    except OSError as error:
        raise BundleError(path.name, f"cannot be read: {error.strerror or error}") from error
    buffer.flags.writeable = False
    return buffer.data


def _check_archive(data: memoryview) -> list[zipfile.ZipInfo]:
    """The zip's directory, held to the rules of the format."""
    if bytes(data[:4]) != b"PK\x03\x04":
        raise BundleError("archive", "does not start as a zip: this is no saccade bundle")
    if bytes(data[-_END_RECORD_BYTES:][:4]) != b"PK\x05\x06":
        raise BundleError("archive", "does not end as a zip without a comment: truncated, or something was added")
    count = int.from_bytes(data[-_END_RECORD_BYTES:][10:12], "little")
    directory_bytes = int.from_bytes(data[-_END_RECORD_BYTES:][12:16], "little")
    if count > MAX_MEMBERS or directory_bytes > MAX_MEMBERS * MAX_ENTRY_BYTES:
        raise BundleError("archive", f"has {count} members; at most {MAX_MEMBERS} are allowed")
    try:
        with zipfile.ZipFile(_View(data)) as archive:
            infos, directory = archive.infolist(), archive.start_dir
    except (zipfile.BadZipFile, ValueError, struct.error, NotImplementedError, OSError) as error:
        raise BundleError("archive", f"is no whole zip: {error}; the file may be truncated") from error
    if len(infos) > MAX_MEMBERS:
        raise BundleError("archive", f"has {len(infos)} members; at most {MAX_MEMBERS} are allowed")
    names = [info.orig_filename for info in infos]
    if names != sorted(set(names)):
        raise BundleError("archive", "must have members sorted by name, each once")
    position = 0
    for info in infos:
        _check_entry(info)
        if info.header_offset != position:
            raise BundleError(info.filename, f"starts at byte {info.header_offset} instead of {position}")
        position = _data_offset(data, info) + info.file_size
    if position != directory:
        raise BundleError("archive", f"has {directory - position} bytes between its members and its directory")
    return infos


def _check_entry(info: zipfile.ZipInfo) -> None:
    name = info.orig_filename
    if not re.fullmatch(MEMBER_NAME, name) or name != info.filename:
        raise BundleError(name[:120], "is no name that a member may have")
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise BundleError(name, "must be stored, not compressed")
    if info.flag_bits != 0:
        raise BundleError(name, f"has zip flags {info.flag_bits:#x} (encrypted or streamed); must have none")
    if info.external_attr >> 16 not in (0, 0o100644):
        raise BundleError(name, "must be a plain file")


def _data_offset(data: memoryview, info: zipfile.ZipInfo) -> int:
    """Where a member's bytes start, from its local header, which must agree with the directory."""
    start = info.header_offset
    if start + _LOCAL_HEADER.size > len(data):
        raise BundleError(info.filename, "starts beyond the end of the file")
    fields = _LOCAL_HEADER.unpack(data[start : start + _LOCAL_HEADER.size])
    signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = fields
    name = bytes(data[start + _LOCAL_HEADER.size : start + _LOCAL_HEADER.size + name_length])
    agrees = (signature, flags, method, crc, packed, size, name) == (
        b"PK\x03\x04",
        info.flag_bits,
        info.compress_type,
        info.CRC,
        info.compress_size,
        info.file_size,
        info.filename.encode(),
    )
    if not agrees:
        raise BundleError(info.filename, "has a local header that differs from the zip's directory")
    offset = start + _LOCAL_HEADER.size + name_length + extra_length
    if offset % ALIGNMENT:
        raise BundleError(info.filename, f"starts at byte {offset}, which is no multiple of {ALIGNMENT}")
    return offset


def _member_bytes(data: memoryview, info: zipfile.ZipInfo) -> memoryview:
    offset = _data_offset(data, info)
    return data[offset : offset + info.file_size]


def _check_members(members: dict[str, memoryview], manifest: Manifest) -> None:
    if missing := sorted(set(manifest.members) - set(members)):
        raise BundleError(missing[0], "is stated by the manifest, but is not in the file")
    if unknown := sorted(set(members) - set(manifest.members)):
        raise BundleError(unknown[0], "is in the file, but not in the manifest")
    for name, stated in manifest.members.items():
        if len(members[name]) != stated.size:
            raise BundleError(name, f"has {len(members[name])} bytes, but the manifest states {stated.size}")
        if hashlib.sha256(members[name]).hexdigest() != stated.sha256:
            raise BundleError(name, "has other bytes than the manifest states (SHA-256 differs): the file was changed")
