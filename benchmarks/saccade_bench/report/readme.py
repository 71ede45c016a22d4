"""A generated part of a document written by hand: what stands between two HTML comments that name it."""

from __future__ import annotations

import re

from saccade.errors import RequestError

MARK = re.compile(r"<!-- (?P<end>/?)(?P<kind>bench|growth):(?P<name>[\w.-]+) -->")
"""The kind is that of the document whose table it is."""


def filled(text: str, name: str | None, content: str, kind: str = "bench") -> str:
    """``text`` with ``content`` between ``<!-- KIND:NAME -->`` and ``<!-- /KIND:NAME -->``.

    Without ``name`` the only marks there are. Raises ``RequestError`` for marks that are missing, doubled or crossed.
    """
    name = _only_name(text, kind) if name is None else name
    begin, end = _place(text, kind, name)
    return f"{text[:begin]}\n{content.strip()}\n{text[end:]}"


def _only_name(text: str, kind: str) -> str:
    names = _names(text, kind)
    if len(names) != 1:
        had, told = _had(kind, names), _told(kind, "NAME")
        raise RequestError(f"there must be one table's marks where none is named, but {had}; {told}")
    return names[0]


def _place(text: str, kind: str, name: str) -> tuple[int, int]:
    """Where the content of a name begins and ends."""
    found = [mark for mark in MARK.finditer(text) if (mark["kind"], mark["name"]) == (kind, name)]
    if not found:
        raise RequestError(f"there is no mark of {kind}:{name}, {_had(kind, _names(text, kind))}; {_told(kind, name)}")
    if [mark["end"] for mark in found] != ["", "/"]:
        had = " ".join(mark[0] for mark in found)
        raise RequestError(f"the marks of {kind}:{name} must be two, a beginning and an end, but got {had}")
    begin, end = found[0].end(), found[1].start()
    if inside := MARK.search(text, begin, end):
        raise RequestError(f"{inside[0]} stands inside of {kind}:{name}, which would be replaced; move it out of there")
    return begin, end


def _names(text: str, kind: str) -> list[str]:
    return list(dict.fromkeys(mark["name"] for mark in MARK.finditer(text) if mark["kind"] == kind))


def _had(kind: str, names: list[str]) -> str:
    return f"it has {', '.join(f'{kind}:{name}' for name in names)}" if names else "it has none"


def _told(kind: str, name: str) -> str:
    return f"write <!-- {kind}:{name} --> and <!-- /{kind}:{name} --> where the table belongs, or tell --name"
