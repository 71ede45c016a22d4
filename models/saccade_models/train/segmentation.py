"""Train a segmentation network: config, data, model, loop, score, save; read it from top to bottom.

A run is a folder: ``config.json``, ``log.csv`` (one row an epoch), ``last.pt`` (all that resuming needs) and
``best.safetensors`` (the weights with the best validation mIoU, averaged or not, with their config as metadata).
"""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

from saccade.errors import CheckError, RequestError
from saccade.metrics import ConfusionMatrix
from saccade.scenes.classes import CLASSES
from saccade_models.datasets.segmentation_folder import SegmentationFolder
from saccade_models.networks import SEGMENTATION
from saccade_models.train.augment import IGNORED, Augmentation, random_view
from saccade_models.train.losses import class_weights, cross_entropy, lovasz_softmax

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


@dataclass
class State:
    """What changes while training; all of it is in ``last.pt``."""

    network: nn.Module
    averaged: AveragedModel
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    best_miou: float = 0.0


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
    if (out / "last.pt").exists() and not resume:
        raise RequestError(f"{out} already holds a run; pass --resume to go on, or another --out")
    torch.manual_seed(config.seed)
    started = time.monotonic()

    training, validation = (SegmentationFolder(Path(config.data), split) for split in ("train", "val"))
    weights = class_weights(training.class_frequency(len(config.classes))).to(device)

    state = _new_state(config, device)
    if resume:
        _load(state, config, out / "last.pt")
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(asdict(config), indent=2) + "\n")
    forward = torch.compile(state.network) if compiled else state.network

    while state.epoch < config.epochs:
        epoch_started = time.monotonic()
        loss = _run_epoch(state, forward, training, weights, config)
        row: dict[str, object] = {"epoch": state.epoch, "loss": f"{loss:.4f}"}
        if state.epoch % config.score_every == 0 or state.epoch == config.epochs:
            row["val_miou"] = f"{_keep_best(state, validation, config, out, device):.4f}"
        row["seconds"] = f"{time.monotonic() - epoch_started:.1f}"
        _log(row, out / "log.csv")
        _save(state, config, out / "last.pt")
        if time.monotonic() - started > time_limit_s:
            break
    return state.best_miou


def _run_epoch(
    state: State, forward: Callable[[Tensor], Tensor], images: SegmentationFolder, weights: Tensor, config: Config
) -> float:
    """One view of every image, a batch a step; returns the mean loss. Raises ``CheckError`` on a bad gradient."""
    torch.manual_seed(config.seed + state.epoch)  # dropout: the same epoch draws the same, resumed or not
    state.network.train()
    losses: list[float] = []
    batches = _batches(images, config, state.epoch)
    for step, (views, labels) in enumerate(tqdm(batches, desc=f"epoch {state.epoch + 1}/{config.epochs}")):
        _set_learning_rate(state.optimizer, config, state.epoch * len(batches) + step, len(batches))
        views, labels = views.to(weights.device), labels.to(weights.device).long()
        with torch.autocast(weights.device.type, torch.bfloat16, enabled=config.bfloat16):
            logits = forward(normalise(views, config))
        loss = _loss(logits.float(), labels, weights, config)
        state.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(state.network.parameters(), 5.0)
        if not torch.isfinite(norm):
            raise CheckError(f"gradient norm is {norm.item()} in epoch {state.epoch + 1}; try without --bfloat16")
        state.optimizer.step()
        state.averaged.update_parameters(state.network)
        losses.append(loss.item())
    state.epoch += 1
    return float(np.mean(losses))


def _keep_best(state: State, validation: SegmentationFolder, config: Config, out: Path, device: str) -> float:
    """Score the weights and their average (it trails behind early and leads late); keep the best so far on disk."""
    candidates = (state.averaged.module, state.network)
    scored = [(score(network, validation, len(config.classes), device), network) for network in candidates]
    confusion, network = max(scored, key=lambda pair: pair[0].mean_iou)
    if confusion.mean_iou > state.best_miou:
        state.best_miou = confusion.mean_iou
        save_weights(network, config, confusion, out / "best.safetensors")
    return confusion.mean_iou


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


def save_weights(network: nn.Module, config: Config, confusion: ConfusionMatrix, path: Path) -> None:
    """Weights as safetensors, whose metadata says how they were made and what they score.

    Export records what is under ``metrics`` in the bundle.
    """
    per_class = zip(config.classes, confusion.class_iou, strict=True)
    iou = {f"val_iou.{name}": round(float(value), 4) for name, value in per_class if np.isfinite(value)}
    metadata = {
        "config": json.dumps(asdict(replace(config, data=Path(config.data).name))),
        "metrics": json.dumps({"val_miou": round(confusion.mean_iou, 4), **iou}),
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    unfinished = path.with_suffix(".tmp")
    save_file(tensors, unfinished, metadata)
    unfinished.replace(path)


def _new_state(config: Config, device: str) -> State:
    if config.network not in SEGMENTATION:
        raise RequestError(f"network {config.network!r} is not known; choose from {', '.join(SEGMENTATION)}")
    network = SEGMENTATION[config.network](len(config.classes), **dict(config.network_arguments)).to(device)
    if not config.bfloat16:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.averaging), use_buffers=True)
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    if config.bfloat16:
        _keep_dilated_in_float32(network)
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return State(network, averaged, torch.optim.AdamW(groups, lr=config.learning_rate))


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


def _set_learning_rate(optimizer: torch.optim.Optimizer, config: Config, step: int, steps_per_epoch: int) -> None:
    progress = step / (config.epochs * steps_per_epoch)
    rate = config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
    for group in optimizer.param_groups:
        group["lr"] = rate * min(1.0, (step + 1) / config.warmup_steps)


class _Views:
    """Random views as a torch dataset: the key (epoch, index) decides the view, whatever process makes it."""

    def __init__(self, images: SegmentationFolder, config: Config) -> None:
        self.images, self.config = images, config
        self.augmentation = Augmentation(config.crop_hw)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
        epoch, index = key
        random = np.random.default_rng((self.config.seed, epoch, index))
        image, labels = random_view(*self.images[index], self.augmentation, random)
        labels = np.where(labels < len(self.config.classes), labels, IGNORED).astype(np.uint8)
        return torch.from_numpy(image), torch.from_numpy(labels)


def _batches(images: SegmentationFolder, config: Config, epoch: int) -> DataLoader[tuple[Tensor, Tensor]]:
    order = np.random.default_rng((config.seed, epoch)).permutation(len(images))
    count = max(1, len(order) // config.batch)
    keys = [[(epoch, int(i)) for i in chunk] for chunk in np.array_split(order[: count * config.batch], count)]
    return DataLoader(_Views(images, config), batch_sampler=keys, num_workers=1)  # type: ignore[arg-type]


def _save(state: State, config: Config, path: Path) -> None:
    unfinished = path.with_suffix(".tmp")
    content = {
        "network": state.network.state_dict(),
        "averaged": state.averaged.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "epoch": state.epoch,
        "best_miou": state.best_miou,
        "config": asdict(config),
    }
    torch.save(content, unfinished)
    unfinished.replace(path)


def _load(state: State, config: Config, path: Path) -> None:
    if not path.exists():
        raise RequestError(f"nothing to resume: {path} does not exist")
    content = torch.load(path, map_location="cpu", weights_only=True)
    changed = [name for name, value in asdict(config).items() if content["config"][name] != value]
    if changed:
        raise RequestError(f"{path} was made with other settings of {', '.join(changed)}; resume with the same")
    state.network.load_state_dict(content["network"])
    state.averaged.load_state_dict(content["averaged"])
    state.optimizer.load_state_dict(content["optimizer"])
    state.epoch, state.best_miou = content["epoch"], content["best_miou"]


def _log(row: dict[str, object], path: Path) -> None:
    columns = ["epoch", "loss", "val_miou", "seconds"]
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, columns)
        if is_new:
            writer.writeheader()
        writer.writerow(row)
