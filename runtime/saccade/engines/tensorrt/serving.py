"""The process that ``apart`` starts: it builds what one folder asks for, tells how far it is, and ends."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from saccade.engines.gpu.cuda import load_cuda
from saccade.engines.gpu.driver import find_gpu
from saccade.engines.tensorrt.build import LESS_MEMORY, build_file
from saccade.engines.tensorrt.handover import Message, Request, error_message, write_built
from saccade.engines.tensorrt.library import Library, load_library
from saccade.errors import DeviceError, EngineError, OutputError, SaccadeError

_PR_SET_PDEATHSIG = 1
"""Of Linux's prctl(2): the signal that a process gets when the thread that started it ends."""


def main() -> None:
    """Build what the folder of the first argument asks for, and tell it to the file descriptor of the second."""
    folder, descriptor = Path(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(descriptor, False)
    request, timings = Request.read(folder)
    _end_with(request.starter)
    _go_first()
    with os.fdopen(descriptor, "wb") as pipe:

        def tell(message: Message) -> None:
            pipe.write(json.dumps(message).encode() + b"\n")
            pipe.flush()

        tell(_answer(request, timings, folder, tell))
    os._exit(0)  # the library's own way out may crash or hang where memory is short, and all has been said


def _answer(request: Request, timings: bytes, folder: Path, tell: Callable[[Message], None]) -> Message:
    """Build. Gives the last message: what was built, or the error."""
    try:
        built = build_file(
            _library(request),
            request.graph,
            request.opset,
            request.options,
            request.settings,
            request.gpu,
            timings=timings,
            show=lambda progress: tell({"phases": progress.to_json()}),
        )
        return write_built(folder, built)
    except SaccadeError as error:
        return error_message(error)
    except MemoryError:
        return error_message(EngineError(f"out of memory while building {request.graph.name}; {LESS_MEMORY}"))
    except OSError as error:
        return error_message(
            OutputError(
                f"cannot write the engine of {request.graph.name}: {error.strerror}; free space in the folder of "
                "temporary files, or choose another by the environment variable TMPDIR"
            )
        )


def _library(request: Request) -> Library:
    """What the process that asks has loaded, on the GPU that it has found."""
    asked = f"{request.library} {request.version}"
    try:
        library = load_library(request.library)
        gpu = None if request.gpu is None else find_gpu(load_cuda())
    except DeviceError as error:  # no news to a user who has both: what is missing is memory
        raise EngineError(
            f"{asked} cannot be had in a process to build in: {error}; if memory ran out, {LESS_MEMORY}"
        ) from error
    if library.version != request.version:
        raise EngineError(f"{asked} is in use, but {library.version} is installed by now; start the program again")
    if request.gpu is not None and gpu is not None and gpu.name != request.gpu.name:
        raise EngineError(
            f"{asked} is to build for {request.gpu.name}, but a new process finds {gpu.name}; set "
            "CUDA_VISIBLE_DEVICES before the program starts"
        )
    return library


def _end_with(starter: int) -> None:
    """No build outlives the process that asked for it. Elsewhere than on Linux the next message finds out."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != starter:  # it ended before
            os._exit(1)


def _go_first() -> None:
    """Where memory runs out and Linux has to end a process, it shall be this one: a build can be had again."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
