"""Output buffers that an engine owns: allocated once for a combination of shapes, kept for a bounded number of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import numpy as np

from saccade.engines.base import Array, OutputSpec

CACHED_SHAPES = 8
"""Frames of more sizes than this make the longest unused buffers go."""

Bound = TypeVar("Bound")


class BufferCache(Generic[Bound]):
    """Arrays for the outputs of each combination of input and output shapes, with what ``bind`` made of them."""

    def __init__(self, bind: Callable[[Mapping[str, Array]], Bound]) -> None:
        self._bind = bind
        self._kept: OrderedDict[Any, tuple[Bound, dict[str, Array]]] = OrderedDict()

    def get(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> tuple[Bound, dict[str, Array]]:
        key = (
            tuple((name, array.shape, array.dtype) for name, array in inputs.items()),
            tuple((name, spec.shape, spec.dtype) for name, spec in outputs.items()),
        )
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        arrays: dict[str, Array] = {name: np.empty(spec.shape, spec.dtype) for name, spec in outputs.items()}
        self._kept[key] = (self._bind(arrays), arrays)
        if len(self._kept) > CACHED_SHAPES:
            self._kept.popitem(last=False)
        return self._kept[key]

    def clear(self) -> None:
        self._kept.clear()


class InputBuffers:
    """Arrays for inputs that are not ready as they come, by name, shape and type."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, Array] = OrderedDict()

    def get(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> Array:
        key = (name, shape, dtype)
        if key not in self._kept:
            self._kept[key] = np.empty(shape, dtype)
        self._kept.move_to_end(key)
        if len(self._kept) > CACHED_SHAPES:
            self._kept.popitem(last=False)
        return self._kept[key]
