"""A segmenter with care: one multiplication and one addition normalise, all classes are resized at once, argmax last.

OpenCV rounds a resized frame of bytes to whole grey levels, which moves edges of the class map. With ``resize``
"float32" the frame is made floats before it is resized, and the result is Saccade's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from saccade_bench.peers.onnx_session import OnnxSession
from saccade_bench.peers.session import Session
from saccade_bench.serving import Way, serve


def open_way(spec: dict[str, Any]) -> Way:
    """``spec``: frames, network, image, threads, resize."""
    return way_around(spec, OnnxSession(spec["network"], spec["threads"]))


def way_around(spec: dict[str, Any], session: Session) -> Way:
    """Class maps from a session of whichever engine."""
    import cv2

    if spec["threads"]:
        cv2.setNumThreads(spec["threads"])
    frames, image = np.load(spec["frames"]), spec["image"]
    height, width = image["size_hw"]
    mean, std = (np.array(image[name], np.float32) for name in ("mean", "std"))
    factor, offset = (1 / (np.float32(image["scale"]) * std)).astype(np.float32), -mean / std
    normalised = np.empty((height, width, 3), np.float32)
    tensor = np.empty((1, 3, height, width), np.float32)
    last: list[Any] = [None]

    def run(index: int) -> None:
        frame = frames[index % len(frames)]
        pixels = frame if spec["resize"] == "uint8" else frame.astype(np.float32)
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
        if image["channel_order"] == "bgr":
            pixels = pixels[..., ::-1]
        np.multiply(pixels, factor, out=normalised)
        np.add(normalised, offset, out=normalised)
        tensor[0] = normalised.transpose(2, 0, 1)
        scores = np.ascontiguousarray(session(tensor)[0].transpose(1, 2, 0))
        resized = cv2.resize(scores, (frame.shape[1], frame.shape[0]), interpolation=cv2.INTER_LINEAR)
        last[0] = resized.argmax(axis=-1).astype(np.uint8)

    return Way(
        run,
        engine_ns=lambda: session.took_ns,
        result=lambda path: np.savez(path, class_map=last[0]),
        about={**session.about, "task": "segment", "opencv": cv2.__version__, "resize": spec["resize"]},
    )


if __name__ == "__main__":
    serve(open_way)
