"""Eight processes that want one engine at once: one builds it, all get it, and nothing damaged is ever handed out.

TensorRT-RTX builds for real, which needs no GPU. Bytes that the cache hands out are all that could be deserialised.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from saccade.engines.cache import REFUSED, SUFFIX, EngineCache
from saccade.engines.container import packed, unpacked
from saccade.engines.frame_range import FrameRange

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
pytestmark = [pytest.mark.torch, pytest.mark.slow]

PROCESSES, ROUNDS = 8, 10
LONGEST_SECONDS = 120
FRAMES = FrameRange((1, 1), (32, 48), (64, 96))


def obtained(bundle: Path, folder: Path) -> tuple[bool, str, str | None, dict[str, Any]]:
    """Whether the engine was built here, its digest, why a kept one was not used, and its key."""
    from saccade.bundle import open_bundle
    from saccade.engines.tensorrt.library import load_library
    from saccade.engines.tensorrt.obtain import obtain
    from saccade.engines.tensorrt.request import BuildOptions, Settings, engine_key
    from saccade.opening import graph_of

    opened = open_bundle(bundle)
    graph, library = graph_of(opened, opened.variant("fp32-gpu")), load_library("tensorrt-rtx")
    options, settings = BuildOptions(FRAMES), Settings()
    found = obtain(library, graph, options, settings, None, EngineCache(folder))
    key = engine_key(library, graph, options, settings, None)
    return found.is_new, hashlib.sha256(found.engine).hexdigest(), found.refused, key


def work(bundle: Path, folder: Path, barrier: Barrier, results: Any) -> None:
    """One process: an engine a round, all processes at once, until the parent ends it."""
    while True:
        barrier.wait()
        try:
            results.put(obtained(bundle, folder))
        except Exception as error:  # which the parent shows
            results.put(repr(error))


class Crowd:
    """The processes, and a cache that they share."""

    def __init__(self, bundle: Path, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.folder = folder
        self._barrier, self._results = context.Barrier(PROCESSES + 1), context.Queue()
        arguments = (bundle, folder, self._barrier, self._results)
        self._processes = [context.Process(target=work, args=arguments, daemon=True) for _ in range(PROCESSES)]
        for process in self._processes:
            process.start()

    def round(self) -> list[tuple[bool, str, str | None, dict[str, Any]]]:
        """What each process obtained."""
        self._barrier.wait(LONGEST_SECONDS)
        return [self._results.get(timeout=LONGEST_SECONDS) for _ in range(PROCESSES)]

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.join()


@pytest.fixture(scope="module")
def crowd(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    crowd = Crowd(tiny_bundle, tmp_path_factory.mktemp("crowd"))
    yield crowd
    crowd.close()


def nothing_kept(path: Path, key: dict[str, Any], number: int) -> None:
    path.unlink()


def flipped(path: Path, key: dict[str, Any], number: int) -> None:
    data = bytearray(path.read_bytes())
    data[(number * len(data)) // ROUNDS] ^= 1 << (number % 8)
    path.write_bytes(data)


def truncated(path: Path, key: dict[str, Any], number: int) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: (number * len(data)) // ROUNDS])


def foreign(path: Path, key: dict[str, Any], number: int) -> None:
    """A file that is whole, of another graph; in every other round no file of the cache's at all."""
    other = {**key, "graph": {"sha256": f"{number:064}", "weights": {}}}
    path.write_bytes(b"".join(packed(other, b"engine" * 1000)) if number % 2 else b"ftrt" + bytes(1000))


def older(path: Path, key: dict[str, Any], number: int) -> None:
    """A file that is whole, of an earlier version of the library."""
    content = path.read_bytes()[-1000:]
    path.write_bytes(b"".join(packed({**key, "library": {**key["library"], "version": "1.6.0"}}, content)))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("damage", [nothing_kept, flipped, truncated, foreign, older], ids=lambda d: d.__name__)
def test_one_process_builds_and_all_are_served(
    crowd: Crowd, damage: Callable[[Path, dict[str, Any], int], None]
) -> None:
    *_, key = crowd.round()[0]
    served = 0
    for number in range(ROUNDS):
        (path,) = crowd.folder.glob(f"engines/*{SUFFIX}")
        damage(path, key, number)
        found = crowd.round()
        assert not [each for each in found if isinstance(each, str)], found
        assert sum(is_new for is_new, *_ in found) == 1
        content = unpacked(path.read_bytes(), key)
        assert {digest for _, digest, *_ in found} == {hashlib.sha256(content).hexdigest()}  # what was built, for all
        refusals = [refused for _, _, refused, _ in found if refused]
        assert len(refusals) == (0 if damage is nothing_kept else 1)
        served += len(found)
        left = sorted(path.name for path in (crowd.folder / "engines").iterdir())
        assert len([name for name in left if "refused" in name]) <= 1
        assert set(left) <= {"lock", path.name, REFUSED}
    assert served == PROCESSES * ROUNDS


def test_what_is_kept_is_built_by_nobody(crowd: Crowd) -> None:
    crowd.round()
    for _ in range(ROUNDS):
        assert not any(is_new for is_new, *_ in crowd.round())


def test_a_process_that_is_killed_while_it_builds_holds_nobody_up(tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from saccade.engines.cache import EngineCache
def build():
    print("building", flush=True)
    time.sleep(600)
EngineCache(Path(sys.argv[1])).get({"kind": "engine"}, build)
"""
    started = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert started.stdout.readline() == "building\n"
    started.send_signal(signal.SIGKILL)
    started.wait()
    before = time.monotonic()
    assert EngineCache(tmp_path, lock_seconds=10).get({"kind": "engine"}, lambda: b"engine").is_new
    assert time.monotonic() - before < 5
