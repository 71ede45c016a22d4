"""What exporting a bundle needs to know of its task; ``segmentation`` and ``detection`` each give it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from saccade.spec import Scalar, TaskSpec
from saccade.tasks import Task
from saccade_export.source import NetworkRequest

Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Expected:
    """What the eager twin gave for a frame: arrays by the names that golden frames have, and the call's scalars.

    ``inputs`` are what the call is given beside the frame.
    """

    results: dict[str, npt.NDArray[Any]]
    parameters: dict[str, Scalar]
    inputs: dict[str, npt.NDArray[Any]] = field(default_factory=dict[str, npt.NDArray[Any]])


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
    """A variant to make: for which target, a maker of each stage's graph, and what tells it apart."""

    name: str
    target: str
    stages: Mapping[str, Callable[[], ir.Model]]
    parameters: Mapping[str, Scalar]


@dataclass(frozen=True)
class Prepared:
    """A network as export goes on with it.

    ``network`` computes it outside our graphs, ``control`` is the same with its weights shuffled. ``metrics`` are
    scores that training recorded in the weights; ``capture_fallback`` says why dynamo could not capture, or is empty.
    """

    network: Any
    control: Any
    variants: Sequence[PlannedVariant]
    provenance: Mapping[str, str]
    metrics: Mapping[str, float]
    capture_fallback: str = ""


class Plan(Protocol):
    """One task's part of an export."""

    @property
    def spec(self) -> TaskSpec: ...

    @property
    def tolerances(self) -> dict[str, float]: ...

    @property
    def agreement_noun(self) -> str:
        """What ``Agreement.share`` counts: "pixels equal to PyTorch"."""
        ...

    def prepare(self, request: NetworkRequest, say: Callable[[str], None]) -> Prepared:
        """Load and capture the network, and plan its graphs. Raises a ``SaccadeError`` where it does not fit."""
        ...

    def frame_for_proof(self, frame: Frame) -> Frame:
        """A frame of a scene or of the user's as the task's proof takes it."""
        ...

    def expect(self, network: Any, frame: Frame) -> Expected:
        """What the task gives for an RGB frame, computed eagerly with ``network``."""
        ...

    def agree(self, task: Task, frame: Frame, expected: Expected) -> Agreement:
        """Run ``task`` as ``expected`` was computed, and compare."""
        ...
