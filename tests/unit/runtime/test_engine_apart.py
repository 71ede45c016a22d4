"""Builds in a process of their own: what they give, and that nothing that happens there is more than an error here.

The library is ``tests.scripted_tensorrt``: a graph is the Python that its builder runs.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from tests.processes import children, has_ended

from saccade.engines.base import Graph
from saccade.engines.cache import EngineCache
from saccade.engines.frame_range import FrameRange
from saccade.engines.gpu.driver import Gpu
from saccade.engines.tensorrt import standstill
from saccade.engines.tensorrt.apart import build_apart
from saccade.engines.tensorrt.build import LESS_MEMORY, Built, build
from saccade.engines.tensorrt.dla import Coverage
from saccade.engines.tensorrt.library import Library, load_library
from saccade.engines.tensorrt.obtain import obtain
from saccade.engines.tensorrt.progress import Progress, Show
from saccade.engines.tensorrt.request import BuildOptions, Settings
from saccade.engines.tensorrt.standstill import Standstill
from saccade.errors import DeviceError, EngineError, OutputError, SaccadeError

ROOT = Path(__file__).parents[3]
OPTIONS, SETTINGS = BuildOptions(FrameRange((1, 1), (32, 32), (64, 64))), Settings()
GPU = Gpu("Stand-in", (8, 7), "CUDA 13.0", 1 << 30, False)
PHASES = """
monitor.phase_start("all", None, 2)
for step in range(2):
    monitor.step_complete("all", step)
monitor.phase_finish("all")
engine = b"engine"
"""
CUDA = """
from tests.stand_in_tensorrt import Cuda
globals().update({name: getattr(Cuda(), name) for name in dir(Cuda) if not name.startswith("_")})
cudaRuntimeGetVersion = None
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is asked of processes here is Linux's own")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of temporary files. After every test it is empty, and no process is left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = set(children())
    yield folder
    assert list(folder.iterdir()) == []
    assert set(children()) == before


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """As if ``tensorrt`` were installed: whoever has this process's paths imports it by its name."""
    folder = tmp_path / "installed"
    (folder / "cuda" / "bindings").mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "scripted_tensorrt.py", folder / "tensorrt.py")
    for name, text in (("__init__.py", ""), ("bindings/__init__.py", ""), ("bindings/runtime.py", CUDA)):
        (folder / "cuda" / name).write_text(text)
    monkeypatch.setitem(sys.modules, "tensorrt", cast(Any, None))  # so that what is imported now is gone afterwards
    del sys.modules["tensorrt"]
    monkeypatch.syspath_prepend(str(folder))
    return load_library.__wrapped__("tensorrt")


def graph_that(program: str) -> Graph:
    return Graph("tiny.onnx", memoryview(program.encode()), {}, 18)


def built(library: Library, program: str, show: Show | None = None) -> bytes:
    return build_apart(library, graph_that(program), OPTIONS, SETTINGS, None, show=show).engine


def process_of(library: Library) -> int:
    """Where builds are made."""
    return int(built(library, "import os; engine = str(os.getpid()).encode()"))


class TestBuilding:
    def test_it_is_done_elsewhere_and_all_comes_back(self, library: Library) -> None:
        options = replace(OPTIONS, use_dla=True)
        found = build_apart(library, graph_that("engine = known * 2"), options, SETTINGS, GPU, timings=b"known")
        assert found == Built(b"knownknown", b"known, measured", Coverage(3, ("layer 1", "layer 2")))
        assert process_of(library) != os.getpid()

    def test_weights_lie_beside_the_graph(self, library: Library) -> None:
        program = """
import sys
from pathlib import Path
from saccade.engines.tensorrt.handover import Request
request, _ = Request.read(Path(sys.argv[1]))
engine = request.graph.with_name("weights.bin").read_bytes() + repr((request.settings, request.options)).encode()
"""
        graph = replace(graph_that(program), weights={"weights.bin": memoryview(b"weights")})
        options, settings = replace(OPTIONS, workspace_bytes=None, targets=()), Settings(tf32=True)
        found = build_apart(library, graph, options, settings, None).engine
        assert found == b"weights" + repr((settings, options)).encode()

    def test_progress_is_what_it_is_in_one_process(self, library: Library) -> None:
        def told(make: Any) -> list[tuple[str, float]]:
            shown: list[tuple[str, float]] = []

            def show(progress: Progress) -> None:
                shown.append((progress.phase, progress.share))

            make(library, graph_that(PHASES), OPTIONS, SETTINGS, None, show=show)
            return shown

        assert told(build_apart) == told(build) == [("all", 0), ("all", 0.5), ("all", 0.5), ("", 0)]

    def test_what_the_library_prints_disturbs_nobody(self, library: Library, capfd: pytest.CaptureFixture[str]) -> None:
        program = "import os; os.write(1, b'{}\\n' * 10**5); os.write(2, b'no JSON\\n'); print('more')\n" + PHASES
        assert built(library, program) == b"engine"
        assert capfd.readouterr() == ("", "")

    def test_modules_in_the_working_folder_are_none_of_ours(
        self, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("json", "ctypes", "saccade", "numpy"):
            (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from the working folder')")
        monkeypatch.chdir(tmp_path)
        assert process_of(library) != os.getpid()

    def test_the_system_ends_it_first_where_memory_runs_out(self, library: Library) -> None:
        assert built(library, "engine = open('/proc/self/oom_score_adj', 'rb').read()") == b"1000\n"

    @pytest.mark.parametrize("executable", ["", "/usr/sbin/camera", "/absent/python3"])
    def test_a_program_that_is_no_interpreter_builds_by_itself(
        self, library: Library, monkeypatch: pytest.MonkeyPatch, executable: str
    ) -> None:
        monkeypatch.setattr(sys, "executable", executable)
        assert process_of(library) == os.getpid()

    def test_so_does_a_frozen_one(self, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "frozen", True, raising=False)
        assert process_of(library) == os.getpid()

    def test_a_library_that_only_this_process_has_builds_here(self, library: Library) -> None:
        assert process_of(replace(library, is_installed=False)) == os.getpid()


class TestErrors:
    @pytest.mark.parametrize(
        "program",
        [
            "refuse",
            "log(type('', (), {'name': 'ERROR'}), 'no tactic for layer 1')",
            "raise RuntimeError('as the bindings do')",
            "raise MemoryError",
            "from saccade.errors import DeviceError; raise DeviceError('no DLA – none at all')",
        ],
    )
    def test_they_come_through_word_for_word(self, library: Library, program: str) -> None:
        said: list[tuple[type, str]] = []
        for make in (build, build_apart):
            with pytest.raises(SaccadeError) as caught:
                make(library, graph_that(program), OPTIONS, SETTINGS, None)
            said.append((caught.type, str(caught.value)))
        assert said[0] == said[1]
        assert said[0][0] is (DeviceError if "DeviceError" in program else EngineError)

    @pytest.mark.parametrize(
        ("program", "said"),
        [
            ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was ended by SIGKILL, as by the system where"),
            ("import os; os.write(2, b'cannot allocate\\n\\n'); os.abort()", "was ended by SIGABRT: cannot allocate;"),
            ("import ctypes; ctypes.string_at(0)", "was ended by SIGSEGV"),
            ("import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 1)", f"by signal {signal.SIGRTMIN + 1}"),
            ("import os; os._exit(127)", "ended with exit code 127;"),
            ("import os; os._exit(0)", "ended with exit code 0;"),
            ("import sys; sys.exit('no more')", "ended with exit code 1: no more;"),
            ("import os; os.closerange(3, 99); import time; time.sleep(60)", "answers no more"),
        ],
    )
    def test_however_the_process_ends_it_is_an_error_and_the_next_build_works(
        self, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str
    ) -> None:
        monkeypatch.setattr("saccade.engines.tensorrt.apart.ENDING_SECONDS", 1.0)
        cache = EngineCache(tmp_path / "cache", lock_seconds=0)
        with pytest.raises(EngineError, match=said) as caught:
            obtain(library, graph_that(program), OPTIONS, SETTINGS, GPU, cache)
        assert str(caught.value).startswith("tensorrt 10.3.0 failed while building tiny.onnx: its process ")
        assert str(caught.value).endswith(LESS_MEMORY)
        assert [path.name for path in cache.folder.iterdir()] == ["lock"]
        assert obtain(library, graph_that("engine = b'engine'"), OPTIONS, SETTINGS, GPU, cache).is_new

    def test_a_library_or_gpu_that_a_new_process_finds_changed_is_told(
        self, library: Library, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = replace(GPU, name="NVIDIA Thor")
        with pytest.raises(
            EngineError, match=r"to build for NVIDIA Thor, but a new process finds Stand-in; set CUDA_V"
        ):
            build_apart(library, graph_that(""), OPTIONS, SETTINGS, other)
        monkeypatch.setattr(library.module, "__version__", "10.2.0")
        with pytest.raises(EngineError, match=r"tensorrt 10\.2\.0 is in use, but 10\.3\.0 is installed by now; start"):
            built(library, "")

    def test_a_library_that_cannot_be_loaded_there_is_told(self, library: Library, tmp_path: Path) -> None:
        broken = "raise OSError('libnvinfer.so.10: failed to map segment: Cannot allocate memory')"
        (tmp_path / "installed" / "tensorrt.py").write_text(broken)
        with pytest.raises(EngineError, match=r"10\.3\.0 cannot be had in a process .*Cannot allocate memory.*--batch"):
            built(library, "")

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("no program", "cannot start a process to build tiny.onnx in: .*Exec format error"),
            ("#!/bin/sh\necho no such module >&2; exit 3", "ended with exit code 3: no such module; if memory ran out"),
        ],
    )
    def test_an_interpreter_that_does_not_work_is_told(
        self, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, said: str
    ) -> None:
        (tmp_path / "python3").write_text(content)
        (tmp_path / "python3").chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
        with pytest.raises(EngineError, match=said):
            built(library, "")

    def test_a_folder_of_temporary_files_that_cannot_be_used_is_told(
        self, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
        with pytest.raises(OutputError, match=r"cannot write tiny\.onnx .*: No such file or directory; .*TMPDIR"):
            built(library, "")

    def test_a_disk_that_is_full_when_the_engine_is_written_is_told(self, library: Library) -> None:
        program = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
engine = bytes(5000)
"""
        with pytest.raises(OutputError, match=r"cannot write the engine of tiny\.onnx: File too large; free space"):
            built(library, program)


class TestInterrupts:
    def test_a_terminals_interrupt_does_not_reach_the_builder(self, library: Library) -> None:
        assert built(library, "import os; engine = str(os.getsid(0) == os.getpid()).encode()") == b"True"

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, ValueError])
    def test_what_is_raised_while_showing_progress_ends_the_build(
        self, library: Library, kind: type[BaseException]
    ) -> None:
        before, started = set(children()), list[int]()

        def show(_: Progress) -> None:
            started.extend(set(children()) - before)
            raise kind

        with pytest.raises(kind):
            built(library, "monitor.phase_start('all', None, 1)\nimport time; time.sleep(60)", show)
        assert started
        assert all(map(has_ended, started))
        assert process_of(library) != os.getpid()

    @pytest.mark.parametrize(
        ("ending", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)]
    )
    def test_a_build_ends_with_the_process_that_asked_for_it(
        self, library: Library, tmp_path: Path, ending: signal.Signals, code: int
    ) -> None:
        program = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # where the tests run in the background it is ignored
from tests.unit.runtime.test_engine_apart import OPTIONS, SETTINGS, graph_that
from saccade.engines.tensorrt.apart import build_apart
from saccade.engines.tensorrt.library import load_library
try:
    build_apart(
        load_library("tensorrt"), graph_that("monitor.phase_start('all', None, 1); import time; time.sleep(60)"),
        OPTIONS, SETTINGS, None, show=lambda _: print("at work", flush=True),
    )
except KeyboardInterrupt:
    sys.exit(130)
"""
        environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
        asking = subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True,
        )  # fmt: skip
        assert asking.stdout is not None
        assert asking.stdout.readline() == "at work\n"
        (building,) = children(asking.pid)
        os.killpg(asking.pid, ending)  # as the terminal does
        _, said = asking.communicate(timeout=20)
        assert (asking.returncode, said) == (code, "")
        assert has_ended(building)


class TestStandstill:
    @pytest.fixture(autouse=True)
    def short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(standstill, "WINDOW_SECONDS", 1.5)
        monkeypatch.setattr(standstill, "LOOK_SECONDS", 0.1)

    @pytest.mark.parametrize(
        "program",
        ["import time; time.sleep(60)", "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()"],
        ids=["asleep", "locked"],
    )
    def test_a_builder_that_stands_still_is_ended_after_the_window(self, library: Library, program: str) -> None:
        before = time.monotonic()
        with pytest.raises(
            EngineError, match=r"tensorrt 10\.3\.0 stopped working while .* stood still for 1\.5 s"
        ) as told:
            built(library, program)
        assert 1.5 < time.monotonic() - before < 10
        assert str(told.value).endswith(LESS_MEMORY)
        assert process_of(library) != os.getpid()

    def test_one_that_computes_without_a_word_is_waited_for(self, library: Library) -> None:
        program = "import time; end = time.monotonic() + 4\nwhile time.monotonic() < end: pass\nengine = b'engine'"
        assert built(library, program) == b"engine"

    def test_one_that_reports_without_computing_is_waited_for(self, library: Library) -> None:
        program = """
import time
for step in range(8):
    monitor.phase_start("all", None, 8)
    time.sleep(0.5)
engine = b"engine"
"""
        assert built(library, program) == b"engine"

    def test_time_in_which_nobody_watched_counts_for_little(self) -> None:
        with subprocess.Popen(["sleep", "10"]) as sleeping:
            time.sleep(0.3)  # until it sleeps
            watch = Standstill(sleeping.pid)
            time.sleep(2)
            assert not watch.is_there()
            assert stood_still(watch, looks=40)
            sleeping.kill()

    def test_where_the_system_tells_nothing_nothing_stands_still(self) -> None:
        with subprocess.Popen(["sleep", "0"]) as ended:
            pass
        watch = Standstill(ended.pid)
        assert not stood_still(watch, looks=20)


def stood_still(watch: Standstill, looks: int) -> bool:
    for _ in range(looks):
        time.sleep(standstill.LOOK_SECONDS)
        if watch.is_there():
            return True
    return False
