"""Export a detection network: its contract, its graphs, and when two sets of boxes agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from saccade.errors import RequestError
from saccade.kinds.detect import compare_boxes
from saccade.spec import DetectSpec, Scalar
from saccade.tasks import DetectTask, Task
from saccade_export.heads import HEADS, Head
from saccade_export.image_variants import ImageVariant, prepared_images
from saccade_export.lower.detect_cpu import lower_detect_cpu
from saccade_export.lower.detect_gpu import lower_detect_gpu
from saccade_export.plan import Agreement, Expected, Frame, Prepared
from saccade_export.source import NetworkRequest, load_network
from saccade_export.twin import DetectTwin, Network

BOX_PX = 0.5
CONFIDENCE = 0.005
COMPARED_FROM = 0.1
LEAST_COMPARED = 5
"""Where a frame shows fewer boxes than this above ``COMPARED_FROM``, fainter ones are compared too."""

SUPPRESSED_CANDIDATES = {"cpu": 1000, "gpu": 300}
"""Boxes that suppression compares: in the graph on CPUs, in numpy after it on GPUs."""

PLAIN_CANDIDATES = 300


@dataclass(frozen=True)
class DetectPlan:
    """See ``Plan``. Corners may be ``box_px`` frame pixels from PyTorch's, confidences ``confidence`` off."""

    spec: DetectSpec
    head_name: str
    box_px: float = BOX_PX
    confidence: float = CONFIDENCE
    agreement_noun: str = "boxes matched with PyTorch"

    @property
    def head(self) -> Head:
        return HEADS[self.head_name](len(self.spec.classes), self.spec.image.size_hw)

    @property
    def tolerances(self) -> dict[str, float]:
        return {"box_px": self.box_px, "confidence": self.confidence}

    def prepare(self, request: NetworkRequest, say: Callable[[str], None]) -> Prepared:
        loaded = load_network(request, self.spec.image.size_hw, self.head.outputs, say)
        boxes = self.head.check(loaded.captured.shapes)
        planned = []
        for target, lower, end in (("cpu", lower_detect_cpu, "detections"), ("gpu", lower_detect_gpu, "candidates")):
            most = PLAIN_CANDIDATES if self.spec.suppression == "none" else SUPPRESSED_CANDIDATES[target]
            count = min(most, boxes)
            if self.spec.max_detections > count:
                raise RequestError(
                    f"--max-det is {self.spec.max_detections}, but a graph for {target} keeps {count} candidates"
                )
            parameters: dict[str, Scalar] = {"candidates": count, "ends_in": end}
            if loaded.captured.single_images:
                parameters["batch"] = 1
            make = partial(lower, spec=self.spec, head=self.head, candidates=count)
            planned.append(ImageVariant(f"fp32-{target}", target, make, parameters))
        return prepared_images(loaded, planned)

    def frame_for_proof(self, frame: Frame) -> Frame:
        return frame

    def expect(self, network: Network, frame: Frame) -> Expected:
        """Boxes down to half of the floor, so that one at the edge of it is in both results."""
        twin = DetectTwin(network, self.spec, self.head)
        raw = twin.raw(frame)
        every = twin.choose(frame, raw, 0.0, SUPPRESSED_CANDIDATES["gpu"])["confidence"]
        fifth = float(every[LEAST_COMPARED - 1]) if len(every) >= LEAST_COMPARED else 0.0
        floor = min(COMPARED_FROM, fifth)
        found = twin.choose(frame, raw, floor / 2)
        return Expected(
            {
                "xyxy": found["xyxy"].astype(np.float32),
                "confidence": found["confidence"].astype(np.float32),
                "class_id": found["class_id"].astype(np.int64),
            },
            {"pixel_format": "rgb24", "floor": floor, "confidence": floor / 2},
        )

    def agree(self, task: Task, frame: Frame, expected: Expected) -> Agreement:
        assert isinstance(task, DetectTask)
        found = task(frame, confidence=float(expected.parameters["confidence"]))
        wanted = expected.results
        floor = float(expected.parameters["floor"])
        compared = compare_boxes(
            (found.xyxy, found.confidence, found.class_id),
            (wanted["xyxy"], wanted["confidence"], wanted["class_id"]),
            floor=floor,
            box_px=self.box_px,
            confidence=self.confidence,
        )
        count = int((wanted["confidence"] >= floor).sum())
        share = 1 - min(1.0, (compared.missing + compared.extra) / max(count, 1))
        sentence = (
            f"{compared.missing} of {count} boxes are not within {self.box_px:g} px and {self.confidence:g} "
            f"of confidence, and {compared.extra} are too many"
        )
        worst = {"box_px": compared.box_px, "confidence": compared.confidence} if compared.passed else {}
        return Agreement(share, compared.passed, sentence, worst)
