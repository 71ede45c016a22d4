"""The options of ``saccade train``, a group a task; each knows the tasks that it is for. Nothing here needs PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from saccade.cli.options import FiniteRange
from saccade.errors import DeviceError, RequestError
from saccade.spec import RESTORING

Command = TypeVar("Command", bound=Callable[..., Any])
AnyPath = click.Path(path_type=Path)

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

TASKS = {"segment": "Segmentation", "detect": "Detection", "restore": "Restoration"}
"""The tasks, and what the help calls them."""

NETWORKS = {
    "segment": ("edanet", "unet", "fcn"),
    "detect": ("yolox-nano", "yolox-tiny", "yolox-s"),
    "restore": ("bridge-unet", "bridge-unet-small"),
}
"""Of each task, its usual network first."""


class TaskOption(click.Option):
    """An option that means nothing to other tasks than ``tasks``, which its help begins with."""

    def __init__(self, *arguments: Any, tasks: tuple[str, ...], **settings: Any) -> None:
        names = ", ".join(TASKS[task] for task in tasks).capitalize()
        super().__init__(*arguments, **{**settings, "help": f"{names}: {settings['help']}"})
        self.tasks = tasks


def refuse_options_of_other_tasks(task: str, network: str | None) -> None:
    """Raises ``RequestError`` for an option on this command line, or a network, that is not for ``task``."""
    context = click.get_current_context()
    for option in context.command.params:
        if not isinstance(option, TaskOption) or task in option.tasks:
            continue
        if context.get_parameter_source(option.name) is not ParameterSource.DEFAULT:
            raise RequestError(
                f"{option.opts[0]} is for --task {' or '.join(option.tasks)}, but the task is {task}; drop it, or "
                "change the task"
            )
    if network is not None and network not in NETWORKS[task]:
        raise RequestError(f"--network for --task {task} must be one of {', '.join(NETWORKS[task])}, but got {network}")


def data_options(command: Command) -> Command:
    """``--task --data --classes --network --init --out``: what is trained, on what, and where to."""
    return _with(
        command,
        click.option(
            "--task",
            type=click.Choice(tuple(TASKS)),
            default="segment",
            help="Class maps, boxes, or images made better.",
        ),
        click.option(
            "--data",
            required=True,
            type=AnyPath,
            help="Folder with train/ and val/, each images/ and labels/. "
            "Detection: what to train on, a COCO json or a folder with images/ and labels/*.txt (YOLO). "
            "Restoration: a folder of clean images, the first and every 50th of which are kept to score on.",
        ),
        _option(
            "--classes",
            "segment",
            "detect",
            type=AnyPath,
            help="text file, a class a line; for detection of YOLO folders.  [default: CamVid's eleven]",
        ),
        click.option(
            "--network",
            type=click.Choice([name for names in NETWORKS.values() for name in names]),
            metavar="|".join(f"[{'|'.join(names)}]" for names in NETWORKS.values()),
            help="EDANet is the real-time one. Detection: the size of YOLOX. Restoration: of 1.4 M parameters, or of "
            "0.44 M.  [default: edanet; yolox-nano; bridge-unet]",
        ),
        _option(
            "--init",
            "detect",
            "restore",
            type=AnyPath,
            help="weights of this network to start from, .safetensors; of a YOLOX also official .onnx and .pth.",
        ),
        click.option("-o", "--out", required=True, type=AnyPath, help="Folder of the run."),
    )


def schedule_options(command: Command) -> Command:
    """``--epochs --batch --crop --lr --warmup --averaging --score-every``: how training goes."""
    return _with(
        command,
        click.option(
            "--epochs",
            type=click.IntRange(1),
            help="The learning rate falls to zero over these.  [default: 300; detection, restoration: 100]",
        ),
        click.option("--batch", type=click.IntRange(1), default=8, help="Views a step."),
        click.option(
            "--crop",
            nargs=2,
            type=click.IntRange(32),
            metavar="HEIGHT WIDTH",
            help="Size of a training view; restoration: a square, in multiples of 16.  "
            "[default: 288 384; detection: as --imgsz; restoration: 128 128]",
        ),
        click.option(
            "--lr",
            type=FiniteRange(0, min_open=True),
            help="Highest learning rate.  [default: 0.002; detection, restoration: 0.001]",
        ),
        _option(
            "--warmup", "detect", "restore", type=click.IntRange(1), default=300, help="steps until --lr is reached."
        ),
        _option(
            "--averaging",
            "detect",
            "restore",
            type=FiniteRange(0, 1),
            help="how much of the average a step keeps.  [default: 0.998; restoration: 0.999]",
        ),
        click.option(
            "--score-every", type=click.IntRange(1), help="Epochs between validations.  [default: 10; restoration: 5]"
        ),
    )


def segment_options(command: Command) -> Command:
    """``--width --lovasz``."""
    return _with(
        command,
        _option("--width", "segment", type=click.IntRange(4, 256), help="channels of the first stage (unet, fcn)."),
        _option(
            "--lovasz",
            "segment",
            type=FiniteRange(0),
            default=0.5,
            help="weight of the Lovász loss beside cross-entropy.",
        ),
    )


def detect_options(command: Command) -> Command:
    """``--val --images --imgsz``, the one-to-one head, and how views are made."""
    return _with(
        command,
        _option("--val", "detect", type=AnyPath, help="what to score on, in the form of --data."),
        _option("--images", "detect", type=AnyPath, help="folder of a COCO json's images.  [default: beside it]"),
        _option("--drop-bad-boxes", "detect", is_flag=True, help="leave out boxes without area or out of their image."),
        _option(
            "--imgsz",
            "detect",
            default="416",
            metavar="HEIGHTxWIDTH",
            help="the network's input in use; multiples of 32.",
        ),
        _option(
            "--one-to-one/--no-one-to-one",
            "detect",
            default=True,
            help="with a head that gives each object one box, so that no suppression follows.",
        ),
        _option(
            "--only-one-to-one",
            "detect",
            is_flag=True,
            help="teach that head what suppression leaves of the other head of --init, which stays as it is.",
        ),
        _option("--mosaic", "detect", type=FiniteRange(0, 1), default=0.6, help="share of views made of four images."),
        _option("--mixup", "detect", type=FiniteRange(0, 1), default=0.0, help="share of views averaged with another."),
        _option("--calm", "detect", type=FiniteRange(0, 1), default=0.15, help="last share of epochs without either."),
        _option(
            "--scale",
            "detect",
            nargs=2,
            type=FiniteRange(0, min_open=True),
            default=(0.5, 1.6),
            metavar="LOW HIGH",
            help="a view's pixels for one of the image.",
        ),
    )


def restore_options(command: Command) -> Command:
    """``--mode --views-per-image --at-one --squared --perceptual --adversarial``."""
    return _with(
        command,
        _option("--mode", "restore", type=click.Choice(RESTORING), default="denoise", help="what it undoes."),
        _option(
            "--views-per-image", "restore", type=click.IntRange(1), default=10, help="crops of each image in an epoch."
        ),
        _option(
            "--at-one",
            "restore",
            type=FiniteRange(0, 1),
            default=0.5,
            help="share of crops that are fully degraded, as in one-step restoration; the others are so in part.",
        ),
        _option(
            "--squared",
            "restore",
            is_flag=True,
            help="count squared errors, as PSNR does, not absolute ones: for the end of a training.",
        ),
        _option(
            "--perceptual",
            "restore",
            type=FiniteRange(0),
            default=0.0,
            help="weight of the distance of features, in a second stage that begins with --init.",
        ),
        _option(
            "--adversarial",
            "restore",
            type=FiniteRange(0),
            default=0.0,
            help="weight of a judge that learns to tell restored images from clean ones, likewise.",
        ),
    )


def run_options(command: Command) -> Command:
    """``--bfloat16 --compile --device --seed --time-limit --resume``: how the run is done."""
    return _with(
        command,
        click.option(
            "--bfloat16", is_flag=True, help="Mixed precision: about 1.5 times faster on CPUs with AVX512-BF16."
        ),
        click.option("--compile", "compiled", is_flag=True, help="Use torch.compile (a minute to start, then faster)."),
        click.option("--device", default="cpu", help="cpu, or cuda where PyTorch has it."),
        click.option("--seed", type=click.IntRange(0), default=0),
        click.option(
            "--time-limit",
            type=FiniteRange(0, min_open=True),
            metavar="MINUTES",
            help="Stop after the epoch that ends past this; resume later.",
        ),
        click.option("--resume", is_flag=True, help="Go on with the run in --out."),
    )


def _option(name: str, *tasks: str, **settings: Any) -> Decorator:
    """An option for some tasks alone."""
    return click.option(name, cls=TaskOption, tasks=tasks, **settings)


def _with(command: Command, *options: Decorator) -> Command:
    """``command`` with ``options``, which its help shows in their order."""
    decorated: Any = command
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def check_device(device: str) -> None:
    """Raise ``RequestError`` for a device that PyTorch does not know, ``DeviceError`` for one that is not here."""
    import torch

    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise RequestError(f"--device must be cpu or cuda, but got {device!r}") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"device {device!r} was asked for, but PyTorch {torch.__version__} finds no GPU; take cpu")
