"""Options that several commands take, with one meaning."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from saccade.engines import DEVICES, ENGINES

Command = TypeVar("Command", bound=Callable[..., Any])

BundlePath = click.Path(path_type=Path)


class FiniteRange(click.FloatRange):
    """A range that NaN and infinity are outside of; they pass ``click.FloatRange``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")(command)


def engine_options(command: Command) -> Command:
    """``--engine --device --variant --threads``: what to run a bundle with."""
    for option in (
        click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: all usable cores]"),
        click.option("--variant", default="auto", help="Variant by name; auto takes the one made for the device."),
        click.option("--device", type=click.Choice(("auto", *DEVICES)), default="auto", help="Used or refused."),
        click.option("--engine", type=click.Choice(("auto", *ENGINES)), default="auto", help="Inference library."),
    ):
        command = option(command)
    return command
