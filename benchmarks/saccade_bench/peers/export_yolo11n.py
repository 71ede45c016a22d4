"""YOLO11n of random weights as Ultralytics exports it: yolo11n.onnx and yolo11n_openvino_model, in a folder.

.venv-ultralytics/bin/python benchmarks/saccade_bench/peers/export_yolo11n.py yolo11n/

Speed does not depend on what the weights know, but suppression needs boxes: batch norms are given the statistics of
smooth noise, and the last layers are scaled so that a few boxes in a thousand pass the usual confidence. Nothing is
fetched.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SEED = 2
SIZE = 640
PASSES = 8
CONTRAST = 0.5
"""Of the pictures that scores are scaled for."""
CONFIDENCE, LIKELY, SPREAD = 0.25, 0.004, 1.5
"""The share of boxes that pass a confidence, and the standard deviation of the classes' logits."""


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_CONFIG_DIR=str(folder / "settings"))
    os.chdir(folder)
    import torch
    from ultralytics import YOLO  # pyright: ignore[reportMissingImports]

    torch.manual_seed(SEED)
    model: Any = YOLO("yolo11n.yaml")
    _awaken(model.model)
    torch.save(model.model.state_dict(), "yolo11n.pth")
    for form in ("onnx", "openvino"):
        model.export(format=form, imgsz=SIZE, device="cpu")


def _awaken(network: Any) -> None:
    """Give a new network activations and scores as a trained one has them."""
    import torch

    with torch.inference_mode():
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = None  # the mean of all passes
        network.train()
        for _ in range(PASSES):
            network(_noise())
        network.eval()
        ends = [branch[-1] for branch in network.model[-1].cv3]
        for layer in ends:
            layer.weight *= SPREAD / _logits(network, [layer]).std()
        best = _logits(network, ends).amax(0)
        missing = torch.logit(torch.tensor(CONFIDENCE)) - best.sort().values[int((1 - LIKELY) * len(best))]
        for layer in ends:
            layer.bias += missing


def _logits(network: Any, layers: Sequence[Any]) -> Any:
    """What ``layers`` give for noise, (classes, cells)."""
    import torch

    found: list[Any] = []
    hooks = [
        layer.register_forward_hook(lambda *given: found.append(given[2].transpose(0, 1).flatten(1)))
        for layer in layers
    ]
    network(_noise(CONTRAST))
    for hook in hooks:
        hook.remove()
    return torch.cat(found, dim=1)


def _noise(contrast: float = 1.0) -> Any:
    """Noise of a contrast, coarse to fine, as pictures have it: (6, 3, size, size) in 0..1."""
    import torch
    from torch.nn import functional

    sides = (5, 10, 20, 40, 80, 160)
    drawn = [torch.rand(1, 3, side, side).round() for side in sides]
    smooth = torch.cat([functional.interpolate(each, size=(SIZE, SIZE), mode="bilinear") for each in drawn])
    return 0.5 + contrast * (smooth - 0.5)


if __name__ == "__main__":
    main()
