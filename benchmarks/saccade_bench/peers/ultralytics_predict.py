"""``YOLO(...).predict`` of Ultralytics on its own export. It is run as its users run it; none of its code is here."""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from saccade_bench.serving import Way, serve


def open_way(spec: dict[str, Any]) -> Way:
    """``spec``: frames, network, image, confidence, iou, max_detections, suppression, threads."""
    folder = TemporaryDirectory(prefix="ultralytics-")
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_CONFIG_DIR=folder.name)
    if spec["threads"]:
        limit_threads(spec["threads"])
    import ultralytics  # pyright: ignore[reportMissingImports]

    # It takes frames as OpenCV gives them, BGR.
    frames = np.ascontiguousarray(np.load(spec["frames"])[..., ::-1])
    model: Any = ultralytics.YOLO(spec["network"], task="detect")
    asked = {
        "imgsz": spec["image"]["size_hw"],
        "conf": spec["confidence"],
        "iou": spec["iou"],
        "max_det": spec["max_detections"],
        "agnostic_nms": spec["suppression"] == "agnostic",
        "device": "cpu",
        "verbose": False,
    }
    last: list[Any] = [None]

    def run(index: int) -> None:
        last[0] = model.predict(frames[index % len(frames)], **asked)[0]

    return Way(
        run,
        engine_ns=lambda: round(1e6 * last[0].speed["inference"]),
        result=lambda path: np.savez(path, **arrays_of(last[0])),
        about={
            "task": "detect",
            "engine": "onnxruntime" if spec["network"].endswith(".onnx") else "openvino",
            "ultralytics": ultralytics.__version__,
            "threads": spec["threads"],
        },
        close=folder.cleanup,
    )


def arrays_of(found: Any) -> dict[str, Any]:
    boxes = found.boxes.cpu().numpy()
    return {"boxes": boxes.xyxy, "confidence": boxes.conf, "classes": boxes.cls.astype(np.int64)}


def limit_threads(count: int) -> None:
    """Give every library under it so many threads, for which it has no setting of its own."""
    import cv2
    import onnxruntime
    import openvino  # pyright: ignore[reportMissingTypeStubs]
    import torch

    cv2.setNumThreads(count)
    torch.set_num_threads(count)
    libraries: Any = (onnxruntime, openvino)
    session_of, core_of = onnxruntime.InferenceSession, openvino.Core

    def session(path: Any, options: Any = None, **more: Any) -> Any:
        options = options or onnxruntime.SessionOptions()
        options.intra_op_num_threads = count
        return session_of(path, options, **more)

    def core() -> Any:
        made: Any = core_of()
        made.set_property("CPU", {"INFERENCE_NUM_THREADS": count})
        return made

    libraries[0].InferenceSession, libraries[1].Core = session, core


if __name__ == "__main__":
    serve(open_way)
