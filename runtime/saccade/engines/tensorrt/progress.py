"""How far a build has come, from the phases that the library reports."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from saccade.engines.tensorrt.names import NvModule

Show = Callable[["Progress"], None]
"""Called, from the building thread, whenever there is something new."""

LEAST_DONE = 0.05
"""Below this share nothing is said about the time that is left."""


@dataclass
class _Phase:
    steps: int
    parent: str | None
    done: int = 0


@dataclass
class Progress:
    """The phases under way, outermost first, as the library reports them."""

    started: float = field(default_factory=time.monotonic)
    _phases: dict[str, _Phase] = field(default_factory=dict[str, _Phase])

    @property
    def phase(self) -> str:
        """The innermost phase's name."""
        return next(reversed(self._phases), "")

    @property
    def share(self) -> float:
        """How much is done, 0 to 1, if all steps of a phase took equally long, which they do not."""
        share, part = 0.0, 1.0
        for phase in self._phases.values():
            part /= max(phase.steps, 1)
            share += part * min(phase.done, max(phase.steps - 1, 0))
        return min(share, 1.0)

    def seconds_left(self, now: float) -> float | None:
        """A guess at the time that is left; None while it would be a wild one."""
        share = self.share
        return None if share < LEAST_DONE else (now - self.started) * (1 - share) / share

    def start(self, name: str, parent: str | None, steps: int) -> None:
        self._phases[name] = _Phase(steps, parent)

    def step(self, name: str, index: int) -> None:
        if name in self._phases:
            self._phases[name].done = index + 1

    def finish(self, name: str) -> None:
        self._phases.pop(name, None)

    def to_json(self) -> list[list[Any]]:
        """The phases under way, for another process."""
        return [[name, phase.steps, phase.parent, phase.done] for name, phase in self._phases.items()]

    def update(self, phases: list[list[Any]]) -> None:
        """Take over what ``to_json`` gave there."""
        self._phases = {name: _Phase(steps, parent, done) for name, steps, parent, done in phases}


class Interrupted:
    """Whether the user broke off. What is raised within the library's calls to Python is printed and lost."""

    def __init__(self) -> None:
        self.error: KeyboardInterrupt | None = None

    @contextmanager
    def noted(self) -> Generator[None, None, None]:
        """Note an interrupt instead of raising it, and raise it at the end; threads but the main one get none."""
        before = signal.getsignal(signal.SIGINT)
        is_mine = threading.current_thread() is threading.main_thread() and before is not None
        if is_mine:
            signal.signal(signal.SIGINT, self._note)
        try:
            yield
        finally:
            if is_mine:
                signal.signal(signal.SIGINT, before)
            if self.error is not None:
                raise self.error

    def _note(self, *_: object) -> None:
        self.error = KeyboardInterrupt()


def monitor(module: NvModule, show: Show | None, interrupted: Interrupted) -> Any:
    """The library's observer that keeps a ``Progress``, shows it, and ends the build when the user interrupts."""
    progress = Progress()

    def shown() -> bool:
        try:
            if show is not None:
                show(progress)
        except KeyboardInterrupt as error:
            interrupted.error = error
        return interrupted.error is None

    def phase_start(_self: Any, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        progress.start(phase_name, parent_phase, num_steps)
        shown()

    def step_complete(_self: Any, phase_name: str, step: int) -> bool:
        progress.step(phase_name, step)
        return shown()

    def phase_finish(_self: Any, phase_name: str) -> None:
        progress.finish(phase_name)
        shown()

    base: Any = module.IProgressMonitor
    methods: dict[str, Any] = {
        "__init__": base.__init__,
        "phase_start": phase_start,
        "step_complete": step_complete,
        "phase_finish": phase_finish,
    }
    made: Any = type("SaccadeProgress", (base,), methods)
    return made()
