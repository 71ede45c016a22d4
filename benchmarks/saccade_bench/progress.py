"""How far a benchmark is, told on standard error; standard output is for results."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress

from saccade_bench.turns import Tell


@contextmanager
def shown_progress() -> Generator[Tell, None, None]:
    """A line that is gone at the end, and what to tell it."""
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)

        def tell(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        yield tell
