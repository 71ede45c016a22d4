"""A generated part of a document written by hand: what stands between two HTML comments that name it."""

from __future__ import annotations

import re

from saccade.errors import RequestError

MARK = re.compile(r"<!-- (?P<end>/?)bench:(?P<name>[\w.-]+) -->")


def filled(text: str, name: str | None, content: str) -> str:
    """``text`` with ``content`` between ``<!-- bench:NAME -->`` and ``<!-- /bench:NAME -->``.

    Without ``name`` the only marks there are. Raises ``RequestError`` for marks that are missing, doubled or crossed.
    """
    name = _only_name(text) if name is None else name
    begin, end = _place(text, name)
    return f"{text[:begin]}\n{content.strip()}\n{text[end:]}"


def _only_name(text: str) -> str:
    names = _names(text)
    if len(names) != 1:
        raise RequestError(f"there must be one table's marks where none is named, but {_had(names)}; {_told('NAME')}")
    return names[0]


def _place(text: str, name: str) -> tuple[int, int]:
    """Where the content of a name begins and ends."""
    found = [mark for mark in MARK.finditer(text) if mark["name"] == name]
    if not found:
        raise RequestError(f"there is no mark of bench:{name}, {_had(_names(text))}; {_told(name)}")
    if [mark["end"] for mark in found] != ["", "/"]:
        had = " ".join(mark[0] for mark in found)
        raise RequestError(f"the marks of bench:{name} must be two, a beginning and an end, but got {had}")
    begin, end = found[0].end(), found[1].start()
    if inside := MARK.search(text, begin, end):
        raise RequestError(f"{inside[0]} stands inside of bench:{name}, which would be replaced; move it out of there")
    return begin, end


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(mark["name"] for mark in MARK.finditer(text)))


def _had(names: list[str]) -> str:
    return f"it has {', '.join(f'bench:{name}' for name in names)}" if names else "it has none"


def _told(name: str) -> str:
    return f"write <!-- bench:{name} --> and <!-- /bench:{name} --> where the table belongs, or tell --name"
