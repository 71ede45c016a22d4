"""What the kinds of ``saccade eval`` have alike: what they give, and the progress they show."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from saccade.evaluation.report import Evaluation


@dataclass(frozen=True)
class Outcome:
    """An evaluation, what was wrong with the boxes that were left out of it, and the files that were written."""

    evaluation: Evaluation
    left_out: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


@contextmanager
def progress_bar(length: int) -> Generator[Callable[[int], None]]:
    """A bar on standard error, and what to call after each image."""
    with click.progressbar(length=length, label="images", file=sys.stderr) as bar:
        yield lambda _: bar.update(1)
