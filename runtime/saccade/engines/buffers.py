"""Output buffers that an engine owns: allocated once for a combination of shapes, kept for a bounded number of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import numpy as np

from saccade.engines.base import Array, OutputSpec

CACHED_SHAPES = 8
"""Frames of more sizes than this make the longest unused buffers go."""

Kept = TypeVar("Kept")
Bound = TypeVar("Bound")


class BoundedCache(Generic[Kept]):
    """What was made for each key, for the ``CACHED_SHAPES`` keys used last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, Kept] = OrderedDict()

    def get(self, key: Any, make: Callable[[], Kept]) -> Kept:
        if key not in self._kept:
            self._kept[key] = make()
        self._kept.move_to_end(key)
        if len(self._kept) > CACHED_SHAPES:
            self._kept.popitem(last=False)
        return self._kept[key]

    def clear(self) -> None:
        self._kept.clear()


class BufferCache(Generic[Bound]):
    """Arrays for the outputs of each combination of input and output shapes, with what ``bind`` made of them."""

    def __init__(self, bind: Callable[[Mapping[str, Array]], Bound]) -> None:
        self._bind = bind
        self._cache: BoundedCache[tuple[Bound, dict[str, Array]]] = BoundedCache()

    def get(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> tuple[Bound, dict[str, Array]]:
        key = (
            tuple((name, array.shape, array.dtype) for name, array in inputs.items()),
            tuple((name, spec.shape, spec.dtype) for name, spec in outputs.items()),
        )

        def allocate() -> tuple[Bound, dict[str, Array]]:
            arrays: dict[str, Array] = {name: np.empty(spec.shape, spec.dtype) for name, spec in outputs.items()}
            return self._bind(arrays), arrays

        return self._cache.get(key, allocate)

    def clear(self) -> None:
        self._cache.clear()


class InputBuffers:
    """Arrays for inputs that are not ready as they come, by name, shape and type."""

    def __init__(self) -> None:
        self._cache: BoundedCache[Array] = BoundedCache()

    def get(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> Array:
        return self._cache.get((name, shape, dtype), lambda: np.empty(shape, dtype))
