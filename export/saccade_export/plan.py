"""What exporting a bundle needs to know of its task; ``segmentation`` and ``detection`` each give it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from saccade.spec import Scalar, TaskSpec
from saccade.tasks import Task
from saccade_export.twin import Network

Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Expected:
    """What the eager twin gave for a frame: arrays by the names that golden frames have, and the call's scalars."""

    results: dict[str, npt.NDArray[Any]]
    parameters: dict[str, Scalar]


@dataclass(frozen=True)
class Agreement:
    """How a bundle's result agrees with what was expected: ``share`` of 0 to 1, and whether that is enough.

    ``worst`` are the largest deviations by name; ``sentence`` says it for people.
    """

    share: float
    passed: bool
    sentence: str
    worst: dict[str, float]


@dataclass(frozen=True)
class PlannedVariant:
    """A graph to make: for which target, and what tells it apart."""

    name: str
    target: str
    lower: Callable[[ir.Model], ir.Model]
    parameters: Mapping[str, Scalar]


class Plan(Protocol):
    """One task's part of an export. ``shapes`` are the network's outputs without N."""

    @property
    def spec(self) -> TaskSpec: ...

    @property
    def tolerances(self) -> dict[str, float]: ...

    @property
    def output_names(self) -> tuple[str, ...]: ...

    @property
    def agreement_noun(self) -> str:
        """What ``Agreement.share`` counts: "pixels equal to PyTorch"."""
        ...

    def variants(self, shapes: Sequence[tuple[int, ...]], single_images: bool) -> list[PlannedVariant]:
        """The graphs to make. Raises ``RequestError`` when the outputs do not fit the contract."""
        ...

    def expect(self, network: Network, frame: Frame) -> Expected:
        """What the task gives for an RGB frame, computed eagerly with ``network``."""
        ...

    def agree(self, task: Task, frame: Frame, expected: Expected) -> Agreement:
        """Run ``task`` as ``expected`` was computed, and compare."""
        ...
