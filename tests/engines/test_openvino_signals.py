"""A process that has opened and closed engines of OpenVINO still handles its signals: Ctrl-C, or a child that ended.

Each ``openvino.Core`` gives the thread that first uses it a stack for signal handlers, and takes it away when it goes;
of two that go in the order they came, the second puts back the first one's, which is no more.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("openvino")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as Unix has them")

SCRIPT = """
import os, signal, sys
import openvino
import saccade.engines.openvino as engine
from saccade import open_bundle
from saccade.engines.base import EngineOptions
from saccade.opening import graph_of

bundle = open_bundle(sys.argv[1])
graph = graph_of(bundle, bundle.variant("fp32-cpu"))
engines = []
for _ in range(2):
    if sys.argv[2] == "each":
        engine.CORE = openvino.Core()
    engines.append(engine.OpenVinoEngine(graph, EngineOptions(threads=1)))
if sys.argv[2] == "each":
    engine.CORE = None
while engines:
    engines.pop(0).close()
signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
os.kill(os.getpid(), signal.SIGUSR1)
"""


def _ends(bundle: Path, cores: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT, str(bundle), cores]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_signals_are_handled_after_engines_are_closed(shipped_bundle: Path) -> None:
    ended = _ends(shipped_bundle, "one")
    assert (ended.returncode, ended.stdout) == (0, "handled\n"), ended.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="OpenVINO changes the stack on Linux")
def test_with_a_core_for_each_engine_they_are_the_end_of_the_process(shipped_bundle: Path) -> None:
    assert _ends(shipped_bundle, "each").returncode == -signal.SIGSEGV
