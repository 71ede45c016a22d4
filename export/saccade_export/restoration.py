"""Export a restorer: its contract, its graphs, and when two restored frames agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from saccade.errors import RequestError
from saccade.kinds.restore import LEVELS, compare_images, restore_all
from saccade.spec import MEASURED, RestoreSpec, Scalar
from saccade.tasks import RestoreTask, Task
from saccade.tasks.restore import ENTRIES
from saccade.tasks.restore_job import hole_noise
from saccade_export.capture_restorer import CapturedRestorer, capture_restorer
from saccade_export.lower.restore import Lowering
from saccade_export.network import recorded_config
from saccade_export.plan import Agreement, Expected, Frame, PlannedVariant, Prepared
from saccade_export.shuffling import shuffled
from saccade_export.source import NetworkRequest, build
from saccade_export.twin import Restorer, RestoreTwin

GREY_LEVELS = 1
TARGETS = ("cpu", "gpu")
PROOF_HW = (96, 128)
"""Proofs and golden frames are cut down to this: a restorer looks no further than a few hundred pixels anyway."""

PROOF_SIGMA = 25.0
PROOF_HOLES = 0.25
PROOF_LIGHT = {"gain": 4.0, "gamma": 0.45, "shot": 0.1}


@dataclass(frozen=True)
class RestorePlan:
    """See ``Plan``. No pixel may be more than ``grey_levels`` from PyTorch's, at any number of steps."""

    spec: RestoreSpec
    grey_levels: int = GREY_LEVELS
    agreement_noun: str = "pixels within a grey level of PyTorch's"

    @property
    def tolerances(self) -> dict[str, float]:
        return {"grey_levels": float(self.grey_levels)}

    @property
    def sigma(self) -> float | None:
        """What proofs are computed with: the default, or what is usual, in the range and above the dead zone."""
        if not self.spec.takes_sigma:
            return None
        if self.spec.sigma is not None:
            return self.spec.sigma
        low, high = self.spec.sigma_range
        usual = PROOF_SIGMA if self.spec.light is None else PROOF_SIGMA / PROOF_LIGHT["gain"]
        within = min(max(usual, low), high)
        return within if within > self.spec.dead_zone or not high else (self.spec.dead_zone + high) / 2

    def prepare(self, request: NetworkRequest, say: Callable[[str], None]) -> Prepared:
        if request.is_onnx or request.outputs:
            raise RequestError("a restorer is exported from PyTorch code with --weights, and has one output")
        trained_for = recorded_config(request.weights).get("mode") if request.weights else None
        if trained_for not in (None, self.spec.mode):
            raise RequestError(
                f"{request.weights} was trained for mode {trained_for!r}, but is to be exported as {self.spec.mode!r}; "
                f"say --mode {trained_for}"
            )
        built = build(request, say)
        times = [table.times for table in self.spec.tables.values()]
        say(f"capturing {', '.join(map(str, self.spec.steps))} steps in one graph each, and a single one")
        captured = capture_restorer(built.network, times, self.spec.image.multiple)
        return Prepared(
            built.network,
            shuffled(built.network),
            [variant for target in TARGETS for entry in ENTRIES for variant in self._variants(captured, target, entry)],
            built.provenance,
            built.metrics,
        )

    def frame_for_proof(self, frame: Frame) -> Frame:
        """The middle of the frame, with the noise that the restorer is for."""
        top, left = (max(0, (side - most) // 2) for side, most in zip(frame.shape[:2], PROOF_HW, strict=True))
        middle = frame[top : top + PROOF_HW[0], left : left + PROOF_HW[1]]
        if self.spec.mode not in MEASURED:
            return middle
        if self.spec.light is not None:
            middle = np.clip(middle / PROOF_LIGHT["gain"], 0, 255)
        noise = np.random.default_rng(0).normal(0, self.sigma or 0.0, middle.shape)
        return np.clip(np.rint(middle + noise), 0, 255).astype(np.uint8)

    def expect(self, network: Restorer, frame: Frame) -> Expected:
        """The frame restored with each number of steps, (S, H, W, 3)."""
        twin = RestoreTwin(network, self.spec)
        given: dict[str, Any] = {}
        inputs: dict[str, Any] = {}
        parameters: dict[str, Scalar] = {"pixel_format": "rgb24"}
        if self.sigma is not None:
            given["sigma"] = parameters["sigma"] = self.sigma
        if self.spec.light is not None:
            given |= PROOF_LIGHT
            parameters |= PROOF_LIGHT
        if self.spec.takes_mask:
            mask = (np.random.default_rng(1).random(frame.shape[:2]) < PROOF_HOLES).astype(np.uint8)
            inputs["mask"] = given["mask"] = mask
            given["noise"] = hole_noise((1, *frame.shape), self.spec, seed=0)[0]
        images = np.stack([twin(frame, steps, **given) for steps in self.spec.steps])
        return Expected({"images": images}, parameters, inputs)

    def agree(self, task: Task, frame: Frame, expected: Expected) -> Agreement:
        assert isinstance(task, RestoreTask)
        asked = {name: value for name, value in expected.parameters.items() if name in LEVELS}
        found = restore_all(task, frame, {**asked, **expected.inputs})
        compared = compare_images(found, expected.results["images"], self.spec.steps)
        share = compared.share_within(self.grey_levels)
        sentence = f"a pixel is {compared.most} grey levels off, but {self.grey_levels} is allowed"
        return Agreement(share, share == 1.0, sentence, {"grey_levels": float(compared.most)})

    def _variants(self, captured: CapturedRestorer, target: str, entry: str) -> list[PlannedVariant]:
        lowering = Lowering(self.spec, entry)
        ending = "" if entry == "uint8" else f"-{entry}"
        unrolled = [
            PlannedVariant(
                f"fp32-{target}-n{steps}{ending}",
                target,
                {"main": partial(_lowered, lowering.unrolled, model)},
                {"form": "unrolled", "steps": steps, "entry": entry},
            )
            for steps, model in sorted(captured.unrolled.items())
        ]
        stages = {
            "prepare": lowering.prepare,
            "step": partial(_lowered, lowering.step, captured.step),
            "finish": lowering.finish,
        }
        stepwise: dict[str, Scalar] = {"form": "stepwise", "entry": entry}
        return [*unrolled, PlannedVariant(f"fp32-{target}-stepwise{ending}", target, stages, stepwise)]


def _lowered(lower: Callable[[Any], Any], network: Any) -> Any:
    return lower(network.clone())
