"""Shared libraries that hold nothing but functions that return one number, written byte by byte: without a compiler.

They let what needs NVIDIA's libraries be loaded where those are not, so that names, signatures and options can be read.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

PAGE = 0x10000
MACHINES = {
    "x86_64": (62, lambda number: b"\xb8" + struct.pack("<I", number) + b"\xc3"),  # mov eax, number; ret
    "aarch64": (183, lambda number: struct.pack("<II", 0xD2800000 | number << 5, 0xD65F03C0)),  # mov x0, #number; ret
}
"""ELF's number of each machine, and code that returns a number below 65,536."""

_HEADER, _SEGMENT, _SYMBOL = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ"), struct.Struct("<IBBHQQ")
_SECTION, _DYNAMIC = struct.Struct("<IIQQQQIIQQ"), struct.Struct("<qQ")
_DYNAMIC_SECTION, _DYNAMIC_SYMBOLS, _NEEDED = 6, 11, 1
_END, _STRINGS, _SYMBOLS, _STRINGS_SIZE, _SYMBOL_SIZE, _NAME, _HASH = 0, 5, 6, 10, 11, 14, 4


def write_stub_library(path: Path, symbols: Sequence[str], answer: int = 0) -> None:
    """Write an ELF library called as its file, whose ``symbols`` are functions that return ``answer``."""
    machine, returning = MACHINES[platform.machine()]
    code = returning(answer)
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
    dynamic = b"".join(_DYNAMIC.pack(*entry) for entry in entries)

    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = _HEADER.pack(ident, 3, machine, 1, 0, _HEADER.size, 0, 0, _HEADER.size, _SEGMENT.size, 3, 64, 0, 0)
    segments = _SEGMENT.pack(1, 5, 0, 0, 0, size, size, PAGE)
    for kind, alignment in ((1, PAGE), (2, 8)):
        segments += _SEGMENT.pack(kind, 6, dynamic_at, dynamic_at, dynamic_at, len(dynamic), len(dynamic), alignment)
    path.write_bytes((header + segments + body).ljust(dynamic_at, b"\0") + dynamic)


def needs_of(path: Path) -> tuple[list[str], list[str]]:
    """The libraries that an ELF library is linked to, and the symbols that it takes from them."""
    data = path.read_bytes()
    header = _HEADER.unpack_from(data)
    sections = [_SECTION.unpack_from(data, header[6] + index * header[11]) for index in range(header[12])]

    def entries(kind: int, layout: struct.Struct) -> Iterator[tuple[tuple[int, ...], int]]:
        for _, found, _, _, offset, size, link, *_ in sections:
            if found == kind:
                for at in range(offset, offset + size, layout.size):
                    yield layout.unpack_from(data, at), sections[link][4]

    def text(at: int) -> str:
        return data[at : data.index(b"\0", at)].decode()

    libraries = [text(names + value) for (tag, value), names in entries(_DYNAMIC_SECTION, _DYNAMIC) if tag == _NEEDED]
    symbols = [text(names + symbol[0]) for symbol, names in entries(_DYNAMIC_SYMBOLS, _SYMBOL) if symbol[3] == 0]
    return libraries, [name for name in symbols if name]
