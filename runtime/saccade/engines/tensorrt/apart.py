"""An engine built in a process of its own, so that whatever happens to the builder is an error here.

Where memory runs out, NVIDIA's builder does not only say so: it may crash, be aborted by the C library, or wait for
ever for a thread that could not be started (TensorRT-RTX 1.7.1). Nothing within a process guards it against that. When
the process ends, its memory goes back to the system; and where the system has to end a process for want of memory, it
takes this one.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from saccade.engines.base import Graph
from saccade.engines.gpu.driver import Gpu
from saccade.engines.tensorrt import standstill
from saccade.engines.tensorrt.build import LESS_MEMORY, Built, build
from saccade.engines.tensorrt.handover import SAID, Message, Request, read_built
from saccade.engines.tensorrt.library import Library
from saccade.engines.tensorrt.progress import Progress, Show
from saccade.engines.tensorrt.request import BuildOptions, Settings
from saccade.engines.tensorrt.standstill import Standstill
from saccade.errors import EngineError, OutputError

PROGRAM = "import sys; sys.path[:] = {paths!r}; from saccade.engines.tensorrt.serving import main; main()"
"""With the paths of this process. ``python -m`` would look in the working folder first, for every module."""

ENDING_SECONDS = 10.0
_MOST_SAID = 300


def build_apart(
    library: Library,
    graph: Graph,
    options: BuildOptions,
    settings: Settings,
    gpu: Gpu | None,
    *,
    timings: bytes = b"",
    show: Show | None = None,
) -> Built:
    """Build an engine as ``build`` does, in a process that ends with it.

    A library that cannot be imported there, and a program that is no Python interpreter, build in this process.

    Raises what ``build`` raises, ``EngineError`` also for a builder that crashed or stands still, and ``OutputError``
    where the graph cannot be written to the folder of temporary files. What ``show`` raises ends the build.
    """
    python = _interpreter()
    if python is None or not library.is_installed:
        return build(library, graph, options, settings, gpu, timings=timings, show=show)
    try:
        with (
            _handed_over(library, graph, options, settings, gpu, timings) as folder,
            _started(python, folder, graph.name) as (process, pipe),
        ):
            answer = _answer(process, pipe, show)
            if answer is None:
                raise EngineError(
                    f"{library.name} {library.version} failed while building {graph.name}: its process "
                    f"{_how_it_ended(process)}{_last_words(folder)}; if memory ran out, {LESS_MEMORY}"
                )
            return read_built(folder, answer)
    except _StandsStillError as error:
        raise EngineError(
            f"{library.name} {library.version} stopped working while building {graph.name}: its process stood still "
            f"for {standstill.WINDOW_SECONDS:g} s and was ended; if memory ran out, {LESS_MEMORY}"
        ) from error
    except MemoryError as error:
        raise EngineError(f"out of memory while building {graph.name}; {LESS_MEMORY}") from error


class _StandsStillError(Exception):
    pass


def _interpreter() -> str | None:
    """The interpreter that runs this, or None where Python is part of another program or frozen into one."""
    path = Path(sys.executable or "")
    is_python = path.name.lower().startswith(("python", "pypy")) and not getattr(sys, "frozen", False)
    return str(path) if is_python and os.access(path, os.X_OK) else None


@contextmanager
def _handed_over(
    library: Library, graph: Graph, options: BuildOptions, settings: Settings, gpu: Gpu | None, timings: bytes
) -> Generator[Path, None, None]:
    """A private folder with the request, and the graph on disk."""
    with ExitStack() as stack:
        try:
            path = stack.enter_context(graph.on_disk())
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="saccade-", ignore_cleanup_errors=True)))
            request = Request(
                library.name, library.version, path, graph.opset, options, settings, gpu, starter=os.getpid()
            )
            request.write(folder, timings)
        except OSError as error:
            raise OutputError(
                f"cannot write {graph.name} for the builder to read: {error.strerror}; free space in the folder of "
                "temporary files, or choose another by the environment variable TMPDIR"
            ) from error
        yield folder


@contextmanager
def _started(python: str, folder: Path, graph: str) -> Generator[tuple[subprocess.Popen[bytes], int], None, None]:
    """The process and the pipe that it tells by; it ends here at the latest.

    It has a session of its own: Ctrl-C at the terminal reaches this process alone.
    """
    program = PROGRAM.format(paths=[str(path) for path in sys.path])
    receiving, sending = os.pipe()
    try:
        try:
            with (folder / SAID).open("wb") as said:
                process = subprocess.Popen(  # noqa: S603 - our own program
                    [python, "-c", program, str(folder), str(sending)],
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    pass_fds=(sending,),
                    start_new_session=True,
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise EngineError(f"cannot start a process to build {graph} in: {error}; {LESS_MEMORY}") from error
        finally:
            os.close(sending)
        try:
            yield process, receiving
        finally:
            process.kill()
            with suppress(subprocess.TimeoutExpired):  # a driver that hangs can hold a process back
                process.wait(ENDING_SECONDS)
    finally:
        os.close(receiving)


def _answer(process: subprocess.Popen[bytes], pipe: int, show: Show | None) -> Message | None:
    """What the process tells last, None where it ends without, its progress shown on the way."""
    watch, progress, unread = Standstill(process.pid), None, b""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while True:
        has_ended = process.poll() is not None
        if not poll.poll(0 if has_ended else 1000 * standstill.LOOK_SECONDS):
            if has_ended:
                return None
            if watch.is_there():
                raise _StandsStillError
            continue
        received = os.read(pipe, 1 << 16)
        if not received:
            return None
        watch.moved()
        *lines, unread = (unread + received).split(b"\n")
        for message in map(json.loads, lines):
            if "phases" not in message:
                return message
            progress = progress or Progress()
            progress.update(message["phases"])
            if show is not None:
                show(progress)


def _how_it_ended(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        return "answers no more"
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"was ended by {name}" + (", as by the system where memory runs out" if name == "SIGKILL" else "")


def _last_words(folder: Path) -> str:
    """The last line that the process printed, as part of a sentence."""
    lines = (folder / SAID).read_bytes()[-1 << 16 :].decode(errors="replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {said[:_MOST_SAID]}" if said else ""
