"""A bundle from frame to result, as ``saccade.open`` runs it, and the time inside the engine beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import saccade
from saccade.bundle import Bundle
from saccade_bench.serving import Way, serve


def open_way(spec: dict[str, Any]) -> Way:
    """``spec``: bundle, frames, and as they are wanted engine, device, variant, threads, asked, mask."""
    frames, asked = np.load(spec["frames"]), asked_of(spec)
    bundle, task = opened(spec)
    last: list[Any] = [None]

    def run(index: int) -> None:
        last[0] = task(frames[index % len(frames)], **asked)

    return Way(
        run,
        run_many=lambda indices: task([frames[index % len(frames)] for index in indices], **asked),
        engine_ns=lambda: round(1e6 * last[0].timing.engine_ms),
        result=lambda path: np.savez(path, **arrays_of(last[0])),
        about=about_of(bundle, task),
        close=task.close,
    )


def opened(spec: Mapping[str, Any]) -> tuple[Bundle, Any]:
    """The bundle and its task, as ``spec`` chooses them."""
    chosen = {name: spec[name] for name in ("engine", "device", "variant", "threads") if spec.get(name) is not None}
    bundle = saccade.open_bundle(spec["bundle"])
    return bundle, saccade.open(bundle, **chosen)


def asked_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of each call beside its frame."""
    asked = dict(spec.get("asked") or {})
    return {**asked, "mask": np.load(spec["mask"])} if "mask" in spec else asked


def about_of(bundle: Bundle, task: Any) -> dict[str, Any]:
    """What a document says of a bundle's arm."""
    info, variant = task.describe(), bundle.variant(task.variant)
    return {
        "identity": bundle.identity,
        "task": bundle.manifest.task.kind,
        "variant": variant.name,
        "precision": variant.precision,
        "engine": info.name,
        "engine_version": info.version,
        "device": info.device,
        "threads": info.threads,
    }


def arrays_of(result: Any) -> dict[str, Any]:
    """What a result is compared by: a class map, an image, or boxes with their confidence and classes."""
    if hasattr(result, "class_map"):
        return {"class_map": result.class_map}
    if hasattr(result, "image"):
        return {"image": np.asarray(result.image)}
    return {"boxes": result.xyxy, "confidence": result.confidence, "classes": result.class_id}


if __name__ == "__main__":
    serve(open_way)
