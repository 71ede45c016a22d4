"""OpenVINO's model_api: preparation in its graph, results by its own definition in numpy and OpenCV.

Its segmenter takes the class of each of the network's own pixels and enlarges that map to the nearest, where Saccade
resizes the scores: edges are as coarse as the network's output. Its detectors round boxes to whole pixels. It is told
to compute in ``precision``, without one it takes what OpenVINO prefers, bfloat16 where the CPU has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from saccade_bench.serving import Way, serve


def open_way(spec: dict[str, Any]) -> Way:
    """``spec``: frames, network, outputs, image, threads, precision, and a detector's thresholds and suppression."""
    import openvino  # pyright: ignore[reportMissingTypeStubs]
    from model_api import models  # pyright: ignore[reportMissingImports]
    from model_api.adapters import OpenvinoAdapter  # pyright: ignore[reportMissingImports]

    frames = np.load(spec["frames"])
    config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if spec["threads"]:
        config["INFERENCE_NUM_THREADS"] = spec["threads"]
    if spec.get("precision"):
        config["INFERENCE_PRECISION_HINT"] = spec["precision"]
    adapter: Any = OpenvinoAdapter(openvino.Core(), spec["network"], plugin_config=config)
    kind, asked, arrays_of = KINDS[spec["outputs"][0]]
    model: Any = getattr(models, kind)(adapter, {**normalised(spec["image"]), **asked(spec)}, preload=True)
    precision = adapter.compiled_model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    last: list[Any] = [None]

    def run(index: int) -> None:
        last[0] = model(frames[index % len(frames)])

    return Way(
        run,
        result=lambda path: np.savez(path, **arrays_of(last[0])),
        about={
            "task": "segment" if kind == "SegmentationModel" else "detect",
            "engine": "openvino",
            "engine_version": openvino.get_version().partition("-")[0],
            "precision": precision,
            "threads": spec["threads"],
        },
    )


def normalised(image: dict[str, Any]) -> dict[str, Any]:
    """Its settings for how pixels become numbers; it subtracts and divides grey levels."""
    return {
        "reverse_input_channels": image["channel_order"] == "bgr",
        "mean_values": [image["scale"] * each for each in image["mean"]],
        "scale_values": [image["scale"] * each for each in image["std"]],
    }


def _segmenter(_: dict[str, Any]) -> dict[str, Any]:
    return {"return_soft_prediction": False}


def _detector(spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "confidence_threshold": spec["confidence"],
        "iou_threshold": spec["iou"],
        "nms_max_predictions": spec["max_detections"],
        "agnostic_nms": spec["suppression"] == "agnostic",
    }


def _class_map(found: Any) -> dict[str, Any]:
    return {"class_map": found.astype(np.uint8)}


def _boxes(found: Any) -> dict[str, Any]:
    boxes = found.bboxes.astype(np.float32).reshape(-1, 4)
    return {"boxes": boxes, "confidence": found.scores, "classes": found.labels.astype(np.int64)}


KINDS = {
    "scores": ("SegmentationModel", _segmenter, _class_map),
    "boxes_and_scores": ("YOLO11", _detector, _boxes),
}
"""Its class for each kind of network by its output, what it is told, and what it gives.

Its YOLOX is not here: in 0.4.7 preparation moved into the graph, and it fails with KeyError: 'scale'.
"""


if __name__ == "__main__":
    serve(open_way)
