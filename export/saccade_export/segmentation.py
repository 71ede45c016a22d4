"""Export a segmentation network: its contract, its graphs, and when two class maps agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from saccade.errors import CaptureError, RequestError
from saccade.spec import SegmentSpec
from saccade.tasks import SegmentTask, Task
from saccade.verify import equal_share
from saccade_export.image_variants import ImageVariant, prepared_images
from saccade_export.lower.segment_cpu import lower_segment_cpu
from saccade_export.lower.segment_gpu import lower_segment_gpu
from saccade_export.plan import Agreement, Expected, Frame, Prepared
from saccade_export.source import NetworkRequest, load_network
from saccade_export.twin import Network, SegmentTwin

EQUAL_PIXELS = 0.999
LOWERINGS = {"cpu": lower_segment_cpu, "gpu": lower_segment_gpu}


@dataclass(frozen=True)
class SegmentPlan:
    """See ``Plan``. ``equal_pixels`` is the least share of each frame's pixels that must have PyTorch's class."""

    spec: SegmentSpec
    equal_pixels: float = EQUAL_PIXELS
    agreement_noun: str = "pixels equal to PyTorch"

    @property
    def tolerances(self) -> dict[str, float]:
        return {"equal_pixels": self.equal_pixels}

    def prepare(self, request: NetworkRequest, say: Callable[[str], None]) -> Prepared:
        loaded = load_network(request, self.spec.image.size_hw, ("scores",), say)
        if loaded.captured.single_images:
            raise RequestError("the network takes one image at a time; export it with a dynamic batch")
        _check_scores(self.spec, loaded.captured.shapes[0])
        return prepared_images(
            loaded,
            [
                ImageVariant(f"fp32-{target}", target, partial(lower, spec=self.spec))
                for target, lower in LOWERINGS.items()
            ],
        )

    def frame_for_proof(self, frame: Frame) -> Frame:
        return frame

    def expect(self, network: Network, frame: Frame) -> Expected:
        return Expected({"class_map": SegmentTwin(network, self.spec)(frame)}, {"pixel_format": "rgb24"})

    def agree(self, task: Task, frame: Frame, expected: Expected) -> Agreement:
        assert isinstance(task, SegmentTask)
        share = equal_share(task(frame).class_map, expected.results["class_map"])
        sentence = f"{share:.4%} of the pixels are equal, but {self.equal_pixels:.4%} must be"
        return Agreement(share, share >= self.equal_pixels, sentence, {})


def _check_scores(spec: SegmentSpec, shape: tuple[int, ...]) -> None:
    if len(shape) != 3:
        raise CaptureError(
            f"the network must return float scores (N, classes, h, w), but it returned {('N', *shape)}; "
            "choose another --output, or another --task"
        )
    found = shape[0]
    if found == spec.score_channels:
        return
    if spec.decision == "threshold":
        raise RequestError(
            f"one class is decided by a threshold on one score, but this network gives {found}; name a class for each "
            "in --classes"
        )
    raise RequestError(
        f"{len(spec.classes)} classes were given ({', '.join(spec.classes[:4])}, …), "
        f"but the network gives {found} scores; the class list must have one line for each"
    )
