"""YOLOX as tutorials run it: letterbox and suppression by OpenCV, every cell decoded in numpy (arXiv 2107.08430)."""

from __future__ import annotations

from typing import Any

import numpy as np

from saccade_bench.peers.letterbox import letterbox, placed, suppressed
from saccade_bench.peers.onnx_session import OnnxSession
from saccade_bench.peers.session import Session
from saccade_bench.serving import Way, serve

STRIDES = (8, 16, 32)


def open_way(spec: dict[str, Any]) -> Way:
    """``spec``: frames, network, image, confidence, iou, max_detections, suppression, threads."""
    return way_around(spec, OnnxSession(spec["network"], spec["threads"]))


def way_around(spec: dict[str, Any], session: Session) -> Way:
    """Boxes from a session of whichever engine."""
    import cv2

    if spec["threads"]:
        cv2.setNumThreads(spec["threads"])
    frames, image = np.load(spec["frames"]), spec["image"]
    corners, strides = cells(*image["size_hw"])
    last: list[Any] = [None]

    def run(index: int) -> None:
        frame = frames[index % len(frames)]
        tensor, ratio, start_xy = letterbox(frame, image)
        rows = session(tensor)[0]
        centre = (rows[:, :2] + corners) * strides
        half = np.exp(rows[:, 2:4]) * strides / 2
        boxes = np.concatenate((centre - half, centre + half), axis=1)
        found = suppressed(boxes, rows[:, 4:5] * rows[:, 5:], spec)
        last[0] = {**found, "boxes": placed(found["boxes"], ratio, start_xy, frame.shape)}

    return Way(
        run,
        engine_ns=lambda: session.took_ns,
        result=lambda path: np.savez(path, **last[0]),
        about={**session.about, "task": "detect", "opencv": cv2.__version__},
    )


def cells(height: int, width: int) -> tuple[Any, Any]:
    """The cells of all grids, finest first: corner x y in strides (n, 2), and stride (n, 1)."""
    grids = [np.mgrid[: height // stride, : width // stride][::-1].reshape(2, -1).T for stride in STRIDES]
    strides = [np.full((len(grid), 1), stride) for grid, stride in zip(grids, STRIDES, strict=True)]
    return np.concatenate(grids).astype(np.float32), np.concatenate(strides).astype(np.float32)


if __name__ == "__main__":
    serve(open_way)
