"""Shared libraries that hold nothing but functions that return 0, written byte by byte: no compiler is needed.

They let NVIDIA's Python bindings be imported where their library is not, so that names and signatures can be read.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Sequence
from pathlib import Path

PAGE = 0x10000
MACHINES = {
    "x86_64": (62, b"\x31\xc0\xc3"),  # xor eax, eax; ret
    "aarch64": (183, b"\x00\x00\x80\xd2\xc0\x03\x5f\xd6"),  # mov x0, #0; ret
}
"""ELF's number of each machine, and code that returns 0."""

_HEADER, _SEGMENT, _SYMBOL = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ"), struct.Struct("<IBBHQQ")
_END, _STRINGS, _SYMBOLS, _STRINGS_SIZE, _SYMBOL_SIZE, _NAME, _HASH = 0, 5, 6, 10, 11, 14, 4


def write_stub_library(path: Path, symbols: Sequence[str]) -> None:
    """Write an ELF library called as its file, whose ``symbols`` are functions that return 0."""
    machine, code = MACHINES[platform.machine()]
    names = b"\0" + b"".join(name.encode() + b"\0" for name in (*symbols, path.name))
    offsets = [names.index(b"\0" + name.encode() + b"\0") + 1 for name in (*symbols, path.name)]
    count = len(symbols) + 1

    # One readable and executable segment: header, segments, code, symbols, hash table, names; then a page of its own
    # for what the loader writes to, the dynamic section.
    code_at = _HEADER.size + 3 * _SEGMENT.size
    symbols_at = -(-(code_at + len(code)) // 8) * 8
    hash_at = symbols_at + count * _SYMBOL.size
    names_at = hash_at + 4 * (2 + 1 + count)
    table = _SYMBOL.pack(0, 0, 0, 0, 0, 0)
    table += b"".join(_SYMBOL.pack(offset, 0x12, 0, 1, code_at, len(code)) for offset in offsets[:-1])
    chain = [0, *(index + 1 if index + 1 < count else 0 for index in range(1, count))]  # one bucket: all in one chain
    hashes = struct.pack(f"<{3 + count}I", 1, count, 1 if symbols else 0, *chain)
    body = code.ljust(symbols_at - code_at, b"\0") + table + hashes + names
    size = code_at + len(body)
    dynamic_at = -(-size // PAGE) * PAGE
    entries = [
        (_NAME, offsets[-1]),
        (_HASH, hash_at),
        (_STRINGS, names_at),
        (_SYMBOLS, symbols_at),
        (_STRINGS_SIZE, len(names)),
        (_SYMBOL_SIZE, _SYMBOL.size),
        (_END, 0),
    ]
    dynamic = b"".join(struct.pack("<qQ", *entry) for entry in entries)

    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = _HEADER.pack(ident, 3, machine, 1, 0, _HEADER.size, 0, 0, _HEADER.size, _SEGMENT.size, 3, 64, 0, 0)
    segments = _SEGMENT.pack(1, 5, 0, 0, 0, size, size, PAGE)
    for kind, alignment in ((1, PAGE), (2, 8)):
        segments += _SEGMENT.pack(kind, 6, dynamic_at, dynamic_at, dynamic_at, len(dynamic), len(dynamic), alignment)
    path.write_bytes((header + segments + body).ljust(dynamic_at, b"\0") + dynamic)
