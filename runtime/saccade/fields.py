"""Read one level of JSON strictly: every field has its type and range, unknown and missing fields are refused."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from saccade.errors import BundleError

Choice = TypeVar("Choice", bound=str)

MAX_DEPTH = 16
MAX_TEXT = 4096
MAX_NAME = 200
MAX_INTEGER = 2**53


class Fields:
    """The fields of one JSON object. Each is taken once; ``finish`` refuses what nobody took.

    Every refusal is a ``BundleError`` whose ``field`` is the path, such as ``task.image.mean``.
    """

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise BundleError(path, f"must be an object, but is {_kind(value)}")
        self._left: dict[str, Any] = dict(value)  # type: ignore[reportUnknownArgumentType]
        self.path = path

    def text(self, name: str, pattern: str | None = None) -> str:
        value = self._take(name)
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise self.refusal(name, f"must be text of at most {MAX_TEXT} characters, but is {_kind(value)}")
        if not value.isprintable():
            raise self.refusal(name, "must be printable text: no line breaks, control or lone surrogate characters")
        if pattern is not None and not re.fullmatch(pattern, value):
            raise self.refusal(name, f"must match {pattern}, but is {value[:80]!r}")
        return value

    def choice(self, name: str, choices: Sequence[Choice]) -> Choice:
        value = self._take(name)
        for choice in choices:
            if value == choice:
                return choice
        raise self.refusal(name, f"must be one of {', '.join(choices)}, but is {str(value)[:80]!r}")

    def integer(self, name: str, low: int, high: int) -> int:
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.refusal(name, f"must be a whole number from {low} to {high}, but is {str(value)[:40]}")
        return value

    def number(self, name: str) -> float:
        return self._number(name, self._take(name))

    def optional_number(self, name: str) -> float | None:
        value = self._take(name)
        return None if value is None else self._number(name, value)

    def boolean(self, name: str) -> bool:
        value = self._take(name)
        if not isinstance(value, bool):
            raise self.refusal(name, f"must be true or false, but is {_kind(value)}")
        return value

    def numbers(self, name: str, count: int) -> tuple[float, ...]:
        return tuple(self._number(f"{name}[{i}]", value) for i, value in enumerate(self._list(name, count, count)))

    def integers(self, name: str, count: int, low: int, high: int) -> tuple[int, ...]:
        values = self._list(name, count, count)
        for value in values:
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise self.refusal(name, f"must hold whole numbers from {low} to {high}, but holds {str(value)[:40]}")
        return tuple(values)

    def shape(self, name: str, largest: int) -> tuple[int, ...]:
        """One to six dimensions of 0 to ``largest``."""
        return self.integers(name, len(self._peek_list(name, 1, 6)), 0, largest)

    def rows(self, name: str, least: int, most: int, *, width: int, low: int, high: int) -> list[tuple[int, ...]]:
        rows = self._list(name, least, most)
        indexed = Fields({str(index): row for index, row in enumerate(rows)}, self._at(name))
        return [indexed.integers(str(index), width, low, high) for index in range(len(rows))]

    def number_list(self, name: str, least: int, most: int) -> tuple[float, ...]:
        return self.numbers(name, len(self._peek_list(name, least, most)))

    def number_rows(self, name: str, count: int, width: int) -> tuple[tuple[float, ...], ...]:
        rows = self._list(name, count, count)
        indexed = Fields({str(index): row for index, row in enumerate(rows)}, self._at(name))
        return tuple(indexed.numbers(str(index), width) for index in range(count))

    def texts(self, name: str, low: int, high: int) -> tuple[str, ...]:
        values = self._list(name, low, high)
        for value in values:
            if not isinstance(value, str) or not value or len(value) > MAX_TEXT or not value.isprintable():
                raise self.refusal(name, f"must hold printable, non-empty texts, but holds {_kind(value)}")
        return tuple(values)

    def table(self, name: str) -> Fields:
        return Fields(self._take(name), self._at(name))

    def optional_table(self, name: str) -> Fields | None:
        value = self._take(name)
        return None if value is None else Fields(value, self._at(name))

    def tables(self, name: str, low: int, high: int) -> Iterator[Fields]:
        for index, value in enumerate(self._list(name, low, high)):
            yield Fields(value, f"{self._at(name)}[{index}]")

    def names(self) -> list[str]:
        """The names not taken yet, for objects whose keys are data."""
        for name in self._left:
            if not name or len(name) > MAX_NAME or not name.isprintable():
                raise BundleError(self.path, f"has a name that is not 1 to {MAX_NAME} printable characters")
        return list(self._left)

    def scalar(self, name: str) -> str | int | float | bool:
        value = self._left.get(name)
        if isinstance(value, str):
            return self.text(name)
        value = self._take(name)
        if isinstance(value, bool | int):
            return value
        if not isinstance(value, float):
            raise self.refusal(name, f"must be text, a number or a truth value, but is {_kind(value)}")
        return self._number(name, value)

    def finish(self) -> None:
        if self._left:
            raise BundleError(self.path, f"has unknown fields: {', '.join(sorted(self._left))[:200]}")

    def refusal(self, name: str, reason: str) -> BundleError:
        return BundleError(self._at(name), reason)

    def _take(self, name: str) -> Any:
        if name not in self._left:
            raise self.refusal(name, "is missing")
        return self._left.pop(name)

    def _peek_list(self, name: str, low: int, high: int) -> list[Any]:
        values = self._list(name, low, high)
        self._left[name] = values
        return values

    def _list(self, name: str, low: int, high: int) -> list[Any]:
        value = self._take(name)
        if not isinstance(value, list) or not low <= len(value) <= high:  # type: ignore[reportUnknownArgumentType]
            raise self.refusal(name, f"must be a list of {low} to {high} items, but is {_kind(value)}")
        return value  # type: ignore[reportUnknownVariableType]

    def _number(self, name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.refusal(name, f"must be a finite number, but is {_kind(value)}")
        return float(value)

    def _at(self, name: str) -> str:
        return f"{self.path}.{name}"


def parse_json(data: bytes, path: str) -> Any:
    """JSON without what the standard parser lets through: duplicate keys, NaN, huge numbers, deep nesting.

    Raises ``BundleError`` with ``path`` as its field.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleError(path, f"is not UTF-8: {error.reason} at byte {error.start}") from error
    _check_depth(text, path)

    def refuse_constant(constant: str) -> Any:
        raise BundleError(path, f"holds {constant}, which is not JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            repeated = Counter(key for key, _ in pairs).most_common(1)[0][0]
            raise BundleError(path, f"has the key {repeated[:80]!r} twice in one object")
        return table

    def integer(digits: str) -> int:
        if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
            raise BundleError(path, f"holds a whole number of {len(digits)} digits")
        return int(digits)

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=refuse_constant, parse_int=integer)
    except json.JSONDecodeError as error:
        raise BundleError(path, f"is not JSON: {error.msg} at character {error.pos}") from error


def _check_depth(text: str, path: str) -> None:
    depth = deepest = 0
    is_text = is_escaped = False
    for character in text:
        if is_text:
            is_text = is_escaped or character != '"'
            is_escaped = character == "\\" and not is_escaped
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
        else:
            is_text = character == '"'
    if deepest > MAX_DEPTH:
        raise BundleError(path, f"is nested {deepest} deep; at most {MAX_DEPTH} is allowed")


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return f"text of {len(value)} characters"
    if isinstance(value, list):
        return f"a list of {len(value)}"  # type: ignore[reportUnknownArgumentType]
    return {dict: "an object", bool: "a truth value", type(None): "null"}.get(type(value), type(value).__name__)  # type: ignore[reportUnknownArgumentType]
