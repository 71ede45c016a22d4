"""From the options of ``saccade train`` to a run: one function a task. PyTorch is imported when they are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from saccade.classes import read_classes
from saccade.datasets import BoxDataset, read_coco, read_yolo
from saccade.datasets.yolo import CLASS_LIST
from saccade.errors import RequestError
from saccade.scenes.classes import CLASSES

Options = Mapping[str, Any]

Prepared = tuple[Any, Callable[..., float]]
"""A run's config, and what trains it into a folder: ``train`` of the task without its last arguments."""

BRIDGE_WIDTHS = {"bridge-unet": (64, 96, 96), "bridge-unet-small": (32, 48, 64)}
"""The networks of restoration by name: widths of their three stages."""


def prepare_segmentation(data: Path, options: Options) -> Prepared:
    """``--task segment``. Raises ``RequestError`` and ``InputError``."""
    from saccade_models.train.segmentation import Config, train

    network = options["network"] or "edanet"
    if options["width"] and network == "edanet":
        raise RequestError("--width is for unet and fcn; edanet has one width, so drop it or choose another --network")
    config = Config(
        data=str(data),
        network=network,
        network_arguments=(("width", options["width"]),) if options["width"] else (),
        classes=read_classes(options["classes"])[0] if options["classes"] else CLASSES,
        epochs=options["epochs"] or 300,
        batch=options["batch"],
        crop_hw=options["crop"] or (288, 384),
        learning_rate=options["lr"] or 2e-3,
        lovasz=options["lovasz"],
        score_every=options["score_every"] or Config.score_every,
        bfloat16=options["bfloat16"],
        seed=options["seed"],
    )
    return config, partial(train, config)


def prepare_detection(data: Path, options: Options) -> Prepared:
    """``--task detect``. Reads the labels, not the images. Raises ``RequestError`` and ``InputError``."""
    from saccade_models.train.detection import Config, train

    training, validation = _read_splits(data, options)
    size_hw = _size(options["imgsz"])
    config = Config(
        data=str(data),
        classes=training.classes,
        size=(options["network"] or "yolox-nano").removeprefix("yolox-"),
        one_to_one=options["one_to_one"],
        init=str(options["init"]) if options["init"] else "",
        size_hw=size_hw,
        view_hw=options["crop"] or size_hw,
        epochs=options["epochs"] or 100,
        batch=options["batch"],
        learning_rate=options["lr"] or 1e-3,
        mosaic=options["mosaic"],
        mixup=options["mixup"],
        calm=options["calm"],
        averaging=Config.averaging if options["averaging"] is None else options["averaging"],
        warmup_steps=options["warmup"],
        scale=options["scale"],
        only_one_to_one=options["only_one_to_one"],
        score_every=options["score_every"] or Config.score_every,
        bfloat16=options["bfloat16"],
        seed=options["seed"],
    )
    return config, partial(train, config, training, validation, say=partial(click.echo, err=True))


def prepare_restoration(data: Path, options: Options) -> Prepared:
    """``--task restore``. Reads no image yet. Raises ``RequestError``."""
    from saccade_models.train.restoration import Config, train

    height, width = options["crop"] or (Config.crop, Config.crop)
    if height != width:
        raise RequestError(
            f"--crop for --task restore must be a square, because crops are turned, but got {height} {width}"
        )
    config = Config(
        data=str(data),
        mode=options["mode"],
        widths=BRIDGE_WIDTHS[options["network"] or "bridge-unet"],
        init=str(options["init"]) if options["init"] else "",
        epochs=options["epochs"] or Config.epochs,
        views_per_image=options["views_per_image"],
        batch=options["batch"],
        crop=height,
        learning_rate=options["lr"] or Config.learning_rate,
        warmup_steps=options["warmup"],
        averaging=Config.averaging if options["averaging"] is None else options["averaging"],
        at_one=options["at_one"],
        squared=options["squared"],
        perceptual=options["perceptual"],
        adversarial=options["adversarial"],
        score_every=options["score_every"] or Config.score_every,
        bfloat16=options["bfloat16"],
        seed=options["seed"],
    )
    return config, partial(train, config)


def _read_splits(data: Path, options: Options) -> tuple[BoxDataset, BoxDataset]:
    validation = options["val"]
    if validation is None:
        raise RequestError("--task detect needs --val, labelled images to score on: a COCO json or a YOLO folder")
    if options["classes"] and not (data.is_dir() or validation.is_dir()):
        raise RequestError("--classes names the classes of YOLO folders; a COCO json names its own, so drop it")
    if options["images"] and data.is_dir() and validation.is_dir():
        raise RequestError("--images is where the images of a COCO json lie; YOLO folders hold theirs, so drop it")
    return _read_boxes(data, options), _read_boxes(validation, options)


def _read_boxes(path: Path, options: Options) -> BoxDataset:
    drop = options["drop_bad_boxes"]
    if path.is_dir():
        dataset = _read_yolo(path, options["classes"], drop)
    else:
        dataset = read_coco(path, options["images"], drop_bad_boxes=drop)
    if dataset.left_out:
        count, first = len(dataset.left_out), dataset.left_out[0]
        click.echo(f"{path}: {count} bad boxes are left out, the first: {first}", err=True)
    return dataset


def _read_yolo(folder: Path, class_list: Path | None, drop: bool) -> BoxDataset:
    names = read_classes(class_list)[0] if class_list else ()
    if not names and not any((place / CLASS_LIST).is_file() for place in (folder, folder / "labels")):
        raise RequestError(
            f"{folder} is a YOLO folder without a {CLASS_LIST}: pass --classes, a text file, a name a line"
        )
    dataset = read_yolo(folder, names, drop_bad_boxes=drop)
    if names and dataset.classes != names:
        raise RequestError(
            f"--classes names {', '.join(names)}, but {folder} holds a {CLASS_LIST} that names "
            f"{', '.join(dataset.classes)}; keep one of the two"
        )
    return dataset


def _size(text: str) -> tuple[int, int]:
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and 0 < len(part) < 6 for part in parts):
        raise RequestError(f"--imgsz must be HEIGHTxWIDTH such as 384x640, or one number, but got {text!r}")
    return int(parts[0]), int(parts[-1])
