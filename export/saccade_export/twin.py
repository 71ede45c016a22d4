"""The eager twin: the task contract in plain PyTorch, from raw frame to result, sharing no code with the lowerings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from saccade.spec import SegmentSpec


class SegmentTwin:
    """What a segmentation bundle must do, computed by the network it was made from.

    Called with an RGB frame uint8 (H, W, 3), it gives the class map uint8 (H, W).
    """

    def __init__(self, network: nn.Module, spec: SegmentSpec) -> None:
        self.network = network.eval()
        self.spec = spec

    @torch.inference_mode()
    def __call__(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        scores = self.network(self._image(frame))
        scores = functional.interpolate(scores, size=frame.shape[:2], mode="bilinear", align_corners=False)[0]
        if self.spec.decision == "argmax":
            return scores.argmax(0).to(torch.uint8).numpy()
        assert self.spec.threshold is not None
        if self.spec.scores == "probabilities":
            return (scores[0] >= self.spec.threshold).to(torch.uint8).numpy()
        threshold = torch.logit(torch.tensor(self.spec.threshold, dtype=torch.float64)).float()
        return (scores[0] >= threshold).to(torch.uint8).numpy()

    def _image(self, frame: npt.NDArray[np.uint8]) -> Tensor:
        contract = self.spec.image
        rgb = torch.from_numpy(np.array(frame)).permute(2, 0, 1)[None].float()
        image = rgb if contract.channel_order == "rgb" else rgb.flip(1)
        image = functional.interpolate(image, size=contract.size_hw, mode="bilinear", align_corners=False)
        mean, std = (torch.tensor(values)[None, :, None, None] for values in (contract.mean, contract.std))
        return (image / contract.scale - mean) / std
