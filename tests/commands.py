"""Call the command line in this process, or in one of its own where signals or the environment matter."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from saccade.cli import main

IN_PROCESS_OF_ITS_OWN = (sys.executable, "-c", "from saccade.cli import main; main()")
"""What to put before the arguments: the ``saccade`` script, whether or not it is on the path."""


@dataclass(frozen=True)
class Called:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What ``--json`` printed. Fails unless it is exactly one document, with nothing beside it."""
        return json.loads(self.out)


def call(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> Called:
    """``saccade`` with ``arguments``. File descriptors are captured, so that what libraries print counts too."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return Called(ended.value.code, *capfd.readouterr())


def call_apart(*arguments: str | Path, environment: dict[str, str] | None = None) -> Called:
    """The same in a process of its own."""
    command = [*IN_PROCESS_OF_ITS_OWN, *(str(argument) for argument in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return Called(done.returncode, done.stdout, done.stderr)
