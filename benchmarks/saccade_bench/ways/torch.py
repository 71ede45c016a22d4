"""The network a bundle was made from, in PyTorch with the same steps before and after it: as it is, or made faster."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import saccade
from saccade.spec import DetectSpec, RestoreSpec, SegmentSpec
from saccade_bench.serving import Way, serve
from saccade_bench.torch_network import built_for, head_of


def open_way(spec: dict[str, Any]) -> Way:
    """``spec``: bundle, weights, frames, form (one of ``torch_network.FORMS``), threads, and for restorers asked."""
    import torch

    if spec["threads"]:
        torch.set_num_threads(spec["threads"])
    frames, bundle = np.load(spec["frames"]), saccade.open_bundle(spec["bundle"])
    asked = dict(spec.get("asked") or {})
    network = _Timed(_formed(built_for(bundle, spec["weights"]), spec["form"]), spec["form"] == "channels-last")
    twin = _twin(bundle, network)
    last: list[Any] = [None]

    def run(index: int) -> None:
        network.took_ns = 0
        last[0] = twin(frames[index % len(frames)], **asked)

    return Way(
        run,
        engine_ns=lambda: network.took_ns,
        result=lambda path: np.savez(path, **_arrays(last[0])),
        about={
            "engine": "pytorch",
            "engine_version": torch.__version__,
            "task": bundle.manifest.task.kind,
            "precision": "fp32",
            "form": spec["form"],
            "threads": torch.get_num_threads(),
        },
    )


class _Timed:
    """A network that adds up how long its calls took, in ``took_ns``."""

    def __init__(self, network: Any, channels_last: bool) -> None:
        self._network, self._channels_last = network, channels_last
        self.took_ns = 0

    def __call__(self, image: Any, *others: Any) -> Any:
        import torch

        started = time.perf_counter_ns()
        if self._channels_last:
            image = image.contiguous(memory_format=torch.channels_last)
        outputs = self._network(image, *others)
        self.took_ns += time.perf_counter_ns() - started
        return outputs


def _formed(network: Any, form: str) -> Any:
    import torch

    if form == "channels-last":
        return network.to(memory_format=torch.channels_last)
    return torch.compile(network) if form == "compile" else network


def _twin(bundle: saccade.Bundle, network: Any) -> Callable[..., Any]:
    from saccade_export.twin import DetectTwin, RestoreTwin, SegmentTwin

    task = bundle.manifest.task
    if isinstance(task, SegmentSpec):
        return SegmentTwin(network, task)
    if isinstance(task, DetectSpec):
        return DetectTwin(network, task, head_of(bundle))
    assert isinstance(task, RestoreSpec)
    return RestoreTwin(network, task)


def _arrays(result: Any) -> dict[str, Any]:
    """As ``ways.bundle.arrays_of``, from what a twin gives."""
    if isinstance(result, dict):
        return {"boxes": result["xyxy"], "confidence": result["confidence"], "classes": result["class_id"]}
    return {"class_map" if result.ndim == 2 else "image": result}


if __name__ == "__main__":
    serve(open_way)
