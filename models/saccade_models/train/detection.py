"""Train a detector: config, data, model, loop, score; read it from top to bottom.

A run is a folder, see ``run_folder``; the weights kept are those with the best validation AP, averaged or not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from saccade.datasets import BoxDataset
from saccade.errors import DatasetError, RequestError
from saccade.metrics import BoxScores
from saccade.metrics.boxes import coco_library
from saccade_models.onnx_weights import estimate_statistics
from saccade_models.train import run_folder
from saccade_models.train.assignment import Objects
from saccade_models.train.batches import batches
from saccade_models.train.box_images import BoxImages, RandomViews, collate, refuse_other_sizes
from saccade_models.train.box_losses import detection_loss, distilled_loss
from saccade_models.train.box_views import BoxViews
from saccade_models.train.detecting import as_input, score
from saccade_models.train.initial_weights import is_folded, load_init
from saccade_models.train.run_folder import State
from saccade_models.yolox import SIZES, YOLOX
from saccade_models.yolox_head import STRIDES, Cells

LOG_COLUMNS = ("epoch", "loss", "val_ap", "val_ap50", "seconds")
SHOWN_NAMES = 3

MEASURED_BATCHES = 4
"""Batches over which the statistics of folded initial weights are measured."""


@dataclass(frozen=True)
class Config:
    """Everything that decides a run's result beside the images.

    ``size_hw`` is the network's input in use and for scores, ``view_hw`` that of a training view; ``calm`` is the share
    of epochs at the end without mosaic and mixup. ``only_one_to_one`` trains that head alone, on features as they are:
    it begins as the one-to-many head and learns to leave out what suppression would, see ``distilled_loss``.
    """

    data: str
    classes: tuple[str, ...]
    size: str = "nano"
    one_to_one: bool = True
    init: str = ""
    size_hw: tuple[int, int] = (416, 416)
    view_hw: tuple[int, int] = (416, 416)
    epochs: int = 100
    batch: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup_steps: int = 300
    averaging: float = 0.998
    scale: tuple[float, float] = (0.5, 1.6)
    mosaic: float = 0.6
    mixup: float = 0.0
    calm: float = 0.15
    score_every: int = 10
    bfloat16: bool = False
    seed: int = 0
    only_one_to_one: bool = False


def train(
    config: Config,
    training: BoxDataset,
    validation: BoxDataset,
    out: Path,
    *,
    resume: bool = False,
    compiled: bool = False,
    time_limit_s: float = math.inf,
    device: str = "cpu",
    say: Callable[[str], object] = lambda _: None,
) -> float:
    """Train into the folder ``out`` and return the best validation AP.

    ``resume`` goes on from ``last.pt``; ``compiled`` uses torch.compile; a run that meets ``time_limit_s`` stops after
    an epoch and can be resumed. ``say`` hears what initial weights did not fill. Raises ``RequestError`` and
    ``DatasetError`` for what does not fit, ``WeightsError`` for initial weights, ``CheckError`` when a gradient is not
    finite.
    """
    run_folder.check_folder(out, resume)
    _check(config, training, validation)
    torch.manual_seed(config.seed)
    started = time.monotonic()

    images = BoxImages(training)
    network = YOLOX(len(config.classes), config.size, one_to_one=config.one_to_one)
    if config.init and not resume:
        _begin_with(network, config, images, say)
    network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.only_one_to_one:
        network.requires_grad_(False)
        network.class_branches_of_one().requires_grad_(True)
    state = run_folder.new_state(network, config.learning_rate, config.weight_decay, config.averaging)
    run_folder.open_run(out, state, config, resume)
    raw = partial(network.raw, only_peaks=config.only_one_to_one)
    raw = torch.compile(raw) if compiled else raw

    def logged_scores() -> dict[str, str]:
        scores = _keep_best(state, validation, config, out)
        return {"val_ap": f"{scores.ap:.4f}", "val_ap50": f"{scores.ap50:.4f}"}

    return run_folder.run_epochs(
        state,
        config,
        out,
        lambda: _run_epoch(state, raw, images, config, device),
        logged_scores,
        columns=LOG_COLUMNS,
        stop_at=started + time_limit_s,
    )


def _run_epoch(state: State, raw: Callable[[Tensor], Any], images: BoxImages, config: Config, device: str) -> float:
    """One view an image, a batch a step; returns the mean loss. Raises ``CheckError`` on a bad gradient."""
    state.network.train(not config.only_one_to_one)  # norms of what stays as it is keep their statistics
    cells = Cells.of(config.view_hw, device)

    def loss_of(batch: tuple[Tensor, list[Objects]]) -> Tensor:
        views, objects = batch
        truth = [Objects(o.xyxy.to(device), o.class_id.to(device)) for o in objects]
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=config.bfloat16):
            outputs = raw(as_input(views.to(device)))
        if config.only_one_to_one:
            return distilled_loss(outputs[1], outputs[0], cells)
        return detection_loss(outputs, cells, truth)

    return run_folder.train_epoch(state, config, _batches(images, config, state.epoch), loss_of, clip=10.0)


def _keep_best(state: State, validation: BoxDataset, config: Config, out: Path) -> BoxScores:
    return run_folder.keep_best(
        state,
        config,
        out,
        lambda network: score(network, validation, config.size_hw),
        value=lambda scores: scores.ap,
        metrics=lambda scores: {f"val_{name}": round(getattr(scores, name), 4) for name in ("ap", "ap50", "ap75")},
        keeps_zero=True,
    )


def _batches(images: BoxImages, config: Config, epoch: int) -> DataLoader[Any]:
    lively = BoxViews(config.view_hw, config.scale, mosaic=config.mosaic, mixup=config.mixup)
    calm_from = config.epochs * (1 - config.calm)
    views = RandomViews(images, lively, replace(lively, mosaic=0.0, mixup=0.0), calm_from, config.seed)
    return batches(views, len(images), config.batch, config.seed, epoch, collate)


def _begin_with(network: YOLOX, config: Config, images: BoxImages, say: Callable[[str], object]) -> None:
    path = Path(config.init)
    fresh = load_init(network, path)
    if config.only_one_to_one:
        network.begin_one_as_many()
    more = f" and {len(fresh) - SHOWN_NAMES} more" if len(fresh) > SHOWN_NAMES else ""
    names = ", ".join(fresh[:SHOWN_NAMES]) + more
    say(f"{path.name}: {len(fresh)} tensors start fresh: {names}" if fresh else f"{path.name}: every tensor fits")
    if is_folded(path):
        views = [as_input(batch) for batch, _ in islice(_batches(images, config, 0), MEASURED_BATCHES)]
        estimate_statistics(network, views, network.raw)


def _check(config: Config, training: BoxDataset, validation: BoxDataset) -> None:
    if config.size not in SIZES:
        raise RequestError(f"size {config.size!r} of YOLOX is not known; choose from {', '.join(SIZES)}")
    if config.only_one_to_one and not (config.one_to_one and config.init):
        raise RequestError(
            "training the one-to-one head alone needs a network that has one, and --init with its features"
        )
    if any(length % max(STRIDES) or not length for length in (*config.size_hw, *config.view_hw)):
        size, view = ("x".join(map(str, hw)) for hw in (config.size_hw, config.view_hw))
        raise RequestError(
            f"the network's input {size} and the training view {view} must be multiples of {max(STRIDES)} each way"
        )
    if not config.classes == training.classes == validation.classes:
        raise DatasetError(
            f"training and validation must have the network's classes ({_few(config.classes)}) in its order, "
            f"but have {_few(training.classes)} and {_few(validation.classes)}"
        )
    for name, dataset in (("training", training), ("validation", validation)):
        if not dataset.object_counts().sum():
            raise DatasetError(f"the {name} split has no labelled box in its {len(dataset)} images")
        refuse_other_sizes(dataset)
    coco_library()  # its absence shows before the work


def _few(names: tuple[str, ...]) -> str:
    more = f", … {len(names)} in all" if len(names) > SHOWN_NAMES else ""
    return ", ".join(names[:SHOWN_NAMES]) + more
