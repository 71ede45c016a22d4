"""YOLOv8 and YOLO11 as tutorials run them: letterbox and suppression by OpenCV, boxes from their centres in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from saccade_bench.peers.letterbox import letterbox, placed, suppressed
from saccade_bench.peers.onnx_session import OnnxSession
from saccade_bench.peers.session import Session
from saccade_bench.serving import Way, serve


def open_way(spec: dict[str, Any]) -> Way:
    """``spec``: frames, network, image, confidence, iou, max_detections, suppression, threads."""
    return way_around(spec, OnnxSession(spec["network"], spec["threads"]))


def way_around(spec: dict[str, Any], session: Session) -> Way:
    """Boxes from a session of whichever engine."""
    import cv2

    if spec["threads"]:
        cv2.setNumThreads(spec["threads"])
    frames, image = np.load(spec["frames"]), spec["image"]
    last: list[Any] = [None]

    def run(index: int) -> None:
        frame = frames[index % len(frames)]
        tensor, ratio, start_xy = letterbox(frame, image)
        rows = session(tensor)[0].T
        centre, half = rows[:, :2], rows[:, 2:4] / 2
        boxes = np.concatenate((centre - half, centre + half), axis=1)
        found = suppressed(boxes, rows[:, 4:], spec)
        last[0] = {**found, "boxes": placed(found["boxes"], ratio, start_xy, frame.shape)}

    return Way(
        run,
        engine_ns=lambda: session.took_ns,
        result=lambda path: np.savez(path, **last[0]),
        about={**session.about, "task": "detect", "opencv": cv2.__version__},
    )


if __name__ == "__main__":
    serve(open_way)
