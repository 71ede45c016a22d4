"""Train a segmentation network: config, data, model, loop, score; read it from top to bottom.

A run is a folder, see ``run_folder``; the weights kept are those with the best validation mIoU, averaged or not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from saccade.datasets import SegmentationFolder
from saccade.errors import RequestError
from saccade.metrics import ConfusionMatrix
from saccade.scenes.classes import CLASSES
from saccade_models.networks import SEGMENTATION
from saccade_models.train import run_folder
from saccade_models.train.augment import IGNORED, Augmentation, random_view
from saccade_models.train.batches import Key, batches
from saccade_models.train.losses import class_weights, cross_entropy, lovasz_softmax
from saccade_models.train.run_folder import State

LOG_COLUMNS = ("epoch", "loss", "val_miou", "seconds")

# Statistics of ImageNet, the field's usual normalisation of RGB in 0..1.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Config:
    """Everything that decides a run's result. Learning rate: linear warm-up, then a half cosine to zero."""

    data: str
    network: str = "edanet"
    network_arguments: tuple[tuple[str, int | float], ...] = ()
    classes: tuple[str, ...] = CLASSES
    epochs: int = 300
    batch: int = 8
    crop_hw: tuple[int, int] = (288, 384)
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup_steps: int = 300
    lovasz: float = 0.5
    averaging: float = 0.998
    score_every: int = 10
    bfloat16: bool = False
    seed: int = 0


def train(
    config: Config,
    out: Path,
    *,
    resume: bool = False,
    compiled: bool = False,
    time_limit_s: float = math.inf,
    device: str = "cpu",
) -> float:
    """Train into the folder ``out`` and return the best validation mIoU.

    ``resume`` goes on from ``last.pt``; ``compiled`` uses torch.compile; a run that meets ``time_limit_s`` stops
    after an epoch and can be resumed. Raises ``CheckError`` when a gradient is not finite.
    """
    run_folder.check_folder(out, resume)
    torch.manual_seed(config.seed)
    started = time.monotonic()

    training, validation = (SegmentationFolder(Path(config.data), split) for split in ("train", "val"))
    weights = class_weights(training.class_frequency(len(config.classes))).to(device)

    state = _new_state(config, device)
    run_folder.open_run(out, state, config, resume)
    forward = torch.compile(state.network) if compiled else state.network

    return run_folder.run_epochs(
        state,
        config,
        out,
        lambda: _run_epoch(state, forward, training, weights, config),
        lambda: {"val_miou": f"{_keep_best(state, validation, config, out, device):.4f}"},
        columns=LOG_COLUMNS,
        stop_at=started + time_limit_s,
    )


def _run_epoch(
    state: State, forward: Callable[[Tensor], Tensor], images: SegmentationFolder, weights: Tensor, config: Config
) -> float:
    """One view an image, a batch a step; returns the mean loss. Raises ``CheckError`` on a bad gradient."""
    torch.manual_seed(config.seed + state.epoch)  # dropout: the same epoch draws the same, resumed or not
    state.network.train()
    epoch = batches(_Views(images, config), len(images), config.batch, config.seed, state.epoch)

    def loss_of(batch: tuple[Tensor, Tensor]) -> Tensor:
        views, labels = batch[0].to(weights.device), batch[1].to(weights.device).long()
        with torch.autocast(weights.device.type, torch.bfloat16, enabled=config.bfloat16):
            logits = forward(normalise(views, config))
        return _loss(logits.float(), labels, weights, config)

    return run_folder.train_epoch(state, config, epoch, loss_of, clip=5.0)


def _keep_best(state: State, validation: SegmentationFolder, config: Config, out: Path, device: str) -> float:
    return run_folder.keep_best(
        state,
        config,
        out,
        lambda network: score(network, validation, len(config.classes), device),
        value=lambda confusion: confusion.mean_iou,
        metrics=lambda confusion: _metrics(confusion, config.classes),
    ).mean_iou


def normalise(images: Tensor, config: Config) -> Tensor:
    """uint8 (N, H, W, 3) RGB to float32 (N, 3, H, W), normalised.

    The result is channels-last (faster) in float32 only: on AVX512-BF16 CPUs torch 2.13 computes garbage weight
    gradients for dilated convolutions in channels-last bfloat16.
    """
    mean, std = (torch.tensor(values, device=images.device) * 255 for values in (MEAN, STD))
    normalised = ((images.float() - mean) / std).movedim(-1, 1)
    return normalised.contiguous() if config.bfloat16 else normalised


@torch.inference_mode()
def predict(network: nn.Module, image: npt.NDArray[np.uint8], device: str = "cpu") -> npt.NDArray[np.uint8]:
    """Class map (H, W) of one RGB image (H, W, 3) at its own size, the way training sees images."""
    batch = normalise(torch.from_numpy(image)[None].to(device), Config(data=""))
    logits = functional.interpolate(network(batch), size=image.shape[:2], mode="bilinear", align_corners=False)
    return logits.argmax(1)[0].to(torch.uint8).cpu().numpy()


def score(network: nn.Module, dataset: SegmentationFolder, classes: int, device: str = "cpu") -> ConfusionMatrix:
    """The confusion matrix over a whole split."""
    network.eval()
    confusion = ConfusionMatrix.empty(classes)
    for index in range(len(dataset)):
        image, labels = dataset[index]
        confusion = confusion.add(predict(network, image, device), labels)
    return confusion


def _metrics(confusion: ConfusionMatrix, classes: tuple[str, ...]) -> dict[str, float]:
    per_class = zip(classes, confusion.class_iou, strict=True)
    iou = {f"val_iou.{name}": round(float(value), 4) for name, value in per_class if np.isfinite(value)}
    return {"val_miou": round(confusion.mean_iou, 4), **iou}


def _new_state(config: Config, device: str) -> State:
    if config.network not in SEGMENTATION:
        raise RequestError(f"network {config.network!r} is not known; choose from {', '.join(SEGMENTATION)}")
    network = SEGMENTATION[config.network](len(config.classes), **dict(config.network_arguments)).to(device)
    if not config.bfloat16:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = run_folder.new_state(network, config.learning_rate, config.weight_decay, config.averaging)
    if config.bfloat16:
        _keep_dilated_in_float32(network)
    return state


def _keep_dilated_in_float32(network: nn.Module) -> None:
    """Compute dilated convolutions in float32 under autocast.

    On CPUs with AVX512-BF16, torch 2.13 gives garbage (0, NaN or 1e31) as their bfloat16 weight gradients wherever the
    tensors are channels-last, which torch.compile makes them.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and max(module.dilation) > 1:
            module.forward = partial(_float32_forward, module)


def _float32_forward(convolution: nn.Conv2d, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
    with torch.autocast(input.device.type, enabled=False):
        return convolution._conv_forward(input.float(), convolution.weight, convolution.bias)


def _loss(logits: Tensor, labels: Tensor, weights: Tensor, config: Config) -> Tensor:
    loss = cross_entropy(logits, labels, weights)
    if config.lovasz:
        # At a quarter of the size: sorting every pixel's error would take longer than the network.
        size = tuple(-(-length // 4) for length in labels.shape[-2:])
        quarter = functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        nearest = functional.interpolate(labels[:, None].float(), size=size, mode="nearest-exact")
        loss = loss + config.lovasz * lovasz_softmax(quarter, nearest[:, 0].long())
    return loss


class _Views:
    """Random views as a torch dataset: the key (epoch, index) decides the view, whatever process makes it."""

    def __init__(self, images: SegmentationFolder, config: Config) -> None:
        self.images, self.config = images, config
        self.augmentation = Augmentation(config.crop_hw)

    def __getitem__(self, key: Key) -> tuple[Tensor, Tensor]:
        epoch, index = key
        random = np.random.default_rng((self.config.seed, epoch, index))
        image, labels = random_view(*self.images[index], self.augmentation, random)
        labels = np.where(labels < len(self.config.classes), labels, IGNORED).astype(np.uint8)
        return torch.from_numpy(image), torch.from_numpy(labels)
