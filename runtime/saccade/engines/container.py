"""One kept file: what it was made from and for, and its bytes, so that nothing of it is used unchecked.

    8 bytes    ``MAGIC``
    4 bytes    the header's length, little-endian
    32 bytes   the header's SHA-256
    header     canonical JSON: {"key": {...}, "sha256": of the content, "size": of the content}
    content

Every byte is covered: another length, key or content is found before the content is looked at.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any, cast

MAGIC = b"SACCENG1"
MAX_HEADER_BYTES = 1 << 16
_START = struct.Struct("<8sI32s")

Key = Mapping[str, Any]
"""Everything that content depends on: JSON of texts, whole numbers, lists and objects."""


class RefusedError(Exception):
    """Why a file is not used, as part of a sentence. It never leaves the cache."""


def canonical(key: Key) -> bytes:
    """The one way to write a key down."""
    return json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def name_of(key: Key) -> str:
    """The name of a key's file, without its suffix."""
    return hashlib.sha256(canonical(key)).hexdigest()[:40]


def packed(key: Key, content: bytes) -> tuple[bytes, bytes]:
    """The two parts of a file: what comes before the content, and the content."""
    header = canonical({"key": key, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)})
    return _START.pack(MAGIC, len(header), hashlib.sha256(header).digest()) + header, content


def unpacked(data: bytes, key: Key) -> bytes:
    """The content of a file that was made for ``key``. Raises ``RefusedError`` for any other file."""
    header, content = _parts(data)
    if header["key"] != json.loads(canonical(key)):
        raise RefusedError(f"it was made for something else: {_difference(header['key'], key)}")
    if len(content) != header["size"]:
        raise RefusedError(f"it has {len(content)} bytes of content instead of {header['size']}")
    if hashlib.sha256(content).hexdigest() != header["sha256"]:
        raise RefusedError("its content has changed (SHA-256 differs)")
    return content


def key_of(data: bytes) -> dict[str, Any]:
    """What a file says that it was made for. ``data`` may end before the content. Raises ``RefusedError``."""
    return _parts(data)[0]["key"]


def _parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    if len(data) < _START.size:
        raise RefusedError("it is too short for a kept file")
    magic, length, digest = _START.unpack_from(data)
    if magic != MAGIC:
        raise RefusedError("it does not start as a kept file does")
    header = data[_START.size : _START.size + length]
    if length > MAX_HEADER_BYTES or hashlib.sha256(header).digest() != digest:
        raise RefusedError("its header has changed")
    return _read_header(header), data[_START.size + length :]


def _read_header(text: bytes) -> dict[str, Any]:
    """A header's fields. Whoever writes a file can write any digest beside it."""
    try:
        header = cast(dict[str, Any], json.loads(text))
    except (ValueError, RecursionError) as error:
        raise RefusedError("its header is no JSON") from error
    expected = {"key": dict, "sha256": str, "size": int}
    if type(header) is not dict or {name: type(header.get(name)) for name in expected} != expected:
        raise RefusedError("its header lacks what it must have")
    return header


def _difference(found: dict[str, Any], wanted: Key) -> str:
    """The first thing in which two keys differ."""
    for name in sorted({*found, *wanted}):
        if found.get(name) != wanted.get(name):
            return f"{name} is {str(found.get(name))[:80]} and not {str(wanted.get(name))[:80]}"
    return "nothing that is known"
