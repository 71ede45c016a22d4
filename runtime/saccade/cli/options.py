"""Options that several commands take, with one meaning."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from saccade.engines import DEVICES, ENGINES
from saccade.errors import RequestError
from saccade.tasks.restore_request import Steps

Command = TypeVar("Command", bound=Callable[..., Any])

BundlePath = click.Path(path_type=Path)


class FiniteRange(click.FloatRange):
    """A range that NaN and infinity are outside of; they pass ``click.FloatRange``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


class KindOption(click.Option):
    """An option for bundles of one ``kind`` alone, which its help begins with."""

    def __init__(self, *arguments: Any, kind: str, **settings: Any) -> None:
        super().__init__(*arguments, **{**settings, "help": f"{_KIND_NAMES[kind]}: {settings['help']}"})
        self.kind = kind


_KIND_NAMES = {"segment": "Segmentation", "detect": "Detection", "restore": "Restoration"}


def refuse_options_of_other_kinds(kind: str) -> None:
    """Raises ``RequestError`` for an option on this command line that is for bundles of another kind than ``kind``."""
    context = click.get_current_context()
    for option in context.command.params:
        if not isinstance(option, KindOption) or option.kind == kind:
            continue
        if context.get_parameter_source(option.name) is not ParameterSource.DEFAULT:
            wanted, found = _KIND_NAMES[option.kind].lower(), _KIND_NAMES[kind].lower()
            raise RequestError(f"{option.opts[0]} is for {wanted}, but this bundle's task is {found}; leave it out")


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")(command)


def engine_options(command: Command) -> Command:
    """``--engine --device --variant --threads --cache``: what to run a bundle with."""
    for option in (
        click.option(
            "--cache",
            type=click.Path(path_type=Path),
            show_default="~/.cache/saccade",
            help="Where engines are that saccade build made.",
        ),
        click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: all usable cores]"),
        click.option("--variant", default="auto", help="Variant by name; auto takes the one made for the device."),
        click.option("--device", type=click.Choice(("auto", *DEVICES)), default="auto", help="Used or refused."),
        click.option("--engine", type=click.Choice(("auto", *ENGINES)), default="auto", help="Inference library."),
    ):
        command = option(command)
    return command


def detect_options(command: Command) -> Command:
    """``--conf --iou --max-det --classes --agnostic-nms``: what detection is asked for."""
    own = "the bundle's"
    for option in (
        detect_option("--agnostic-nms", is_flag=True, help="boxes of different classes suppress each other too."),
        detect_option("--classes", multiple=True, help="names or ids to keep, as in car,person.  [default: all]"),
        detect_option("--max-det", type=click.IntRange(1), show_default=own, help="most boxes a frame."),
        detect_option("--iou", type=FiniteRange(0, 1), show_default=own, help="overlap above which a box goes."),
        detect_option("--conf", type=FiniteRange(0, 1), show_default=own, help="least confidence of a box."),
    ):
        command = option(command)
    return command


def restore_options(command: Command) -> Command:
    """``--sigma --gain --gamma --shot --mask --seed --steps --tile --before-after``: what restoration is asked for."""
    own = "the bundle's"
    for option in (
        restore_option("--before-after", is_flag=True, help="pictures show each frame beside the restored one."),
        restore_option("--tile", type=click.IntRange(0), show_default=own, help="side of tiles in pixels; 0: none."),
        restore_option("--steps", metavar="N|auto", default="auto", help="more give more texture and more error."),
        restore_option(
            "--camera-gain", type=FiniteRange(0, min_open=True), help="the camera's setting, for --gain-table."
        ),
        restore_option("--gain-table", type=click.Path(path_type=Path), help="JSON of the camera's noise by its gain."),
        restore_option(
            "--shot",
            type=FiniteRange(0),
            help="low light: variance of noise that a grey level adds, in place of a gain table's.",
        ),
        restore_option(
            "--gamma", type=FiniteRange(0, min_open=True), show_default=own, help="low light: after the gain."
        ),
        restore_option(
            "--gain",
            type=FiniteRange(0, min_open=True),
            show_default="by frame",
            help="low light: what it is multiplied by.",
        ),
        restore_option("--seed", type=click.IntRange(0), show_default="0", help="of the noise that holes begin with."),
        restore_option(
            "--mask",
            type=click.Path(path_type=Path),
            help="picture that is white in holes, for all frames; or a folder of such, named as their frames.",
        ),
        restore_option(
            "--sigma",
            metavar="NUMBER|measured|tiles",
            show_default=own,
            help="noise in grey levels, or blur in pixels; noise can be measured, for each frame or locally.",
        ),
    ):
        command = option(command)
    return command


def parse_steps(text: str) -> Steps:
    """``--steps`` as a restorer takes it. Raises ``RequestError``."""
    if text != "auto" and not (text.isdecimal() and len(text) < 4):
        raise RequestError(f"--steps must be a number or auto, but got {text!r}")
    return "auto" if text == "auto" else int(text)


def restore_option(name: str, **settings: Any) -> Callable[[Command], Command]:
    """An option for restoration bundles alone."""
    return click.option(name, cls=KindOption, kind="restore", **settings)


def detect_option(name: str, **settings: Any) -> Callable[[Command], Command]:
    """An option for detection bundles alone."""
    return click.option(name, cls=KindOption, kind="detect", **settings)


def segment_option(name: str, **settings: Any) -> Callable[[Command], Command]:
    """An option for segmentation bundles alone."""
    return click.option(name, cls=KindOption, kind="segment", **settings)
