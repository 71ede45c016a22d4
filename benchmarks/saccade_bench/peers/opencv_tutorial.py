"""A segmenter as tutorials run it: OpenCV and numpy around ONNX Runtime, each class resized by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from saccade_bench.peers.onnx_session import OnnxSession
from saccade_bench.serving import Way, serve


def open_way(spec: dict[str, Any]) -> Way:
    """``spec``: frames, network, image, threads."""
    import cv2

    if spec["threads"]:
        cv2.setNumThreads(spec["threads"])
    frames, image = np.load(spec["frames"]), spec["image"]
    session = OnnxSession(spec["network"], spec["threads"])
    height, width = image["size_hw"]
    mean, std = (np.array(image[name], np.float32) for name in ("mean", "std"))
    last: list[Any] = [None]

    def run(index: int) -> None:
        frame = frames[index % len(frames)]
        if image["channel_order"] == "bgr":
            frame = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        pixels = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
        tensor = (pixels.astype(np.float32) / np.float32(image["scale"]) - mean) / std
        scores = session(np.ascontiguousarray(tensor.transpose(2, 0, 1)[None]))[0]
        size = (frame.shape[1], frame.shape[0])
        planes = [cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in scores]
        last[0] = np.argmax(np.stack(planes), axis=0).astype(np.uint8)

    return Way(
        run,
        engine_ns=lambda: session.took_ns,
        result=lambda path: np.savez(path, class_map=last[0]),
        about={**session.about, "task": "segment", "opencv": cv2.__version__},
    )


if __name__ == "__main__":
    serve(open_way)
