"""Take bundles apart and put them together without the code under test, with or without its rules."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(
    members: dict[str, bytes] | Iterable[tuple[str, bytes]], *, alignment: int = 64, mode: int = 0o100644
) -> bytes:
    """A stored zip, written byte by byte. A dict is sorted; pairs keep their order. The last member gets ``mode``."""
    pairs = sorted(members.items()) if isinstance(members, dict) else list(members)
    body, directory = bytearray(), bytearray()
    for index, (name, data) in enumerate(pairs):
        encoded, offset, crc = name.encode(), len(body), zlib.crc32(data)
        padding = -(offset + 30 + len(encoded) + 4) % alignment
        extra = b"SC" + struct.pack("<H", padding) + bytes(padding)
        common = (0, 0, 0, 0x21, crc, len(data), len(data), len(encoded), len(extra))
        body += b"PK\x03\x04" + struct.pack("<H", 20) + struct.pack("<HHHHIIIHH", *common) + encoded + extra + data
        permissions = (mode if index == len(pairs) - 1 else 0o100644) << 16
        directory += b"PK\x01\x02" + struct.pack("<HH", 0x0314, 20) + struct.pack("<HHHHIIIHH", *common)
        directory += struct.pack("<HHHII", 0, 0, 0, permissions, offset) + encoded + extra
    end = struct.pack("<HHHHIIH", 0, 0, len(pairs), len(pairs), len(directory), len(body), 0)
    return bytes(body + directory + b"PK\x05\x06" + end)
