"""Restoration at its edges: frames of every size, many at once, for a long time, and the seams of tiles."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.tiny import TinyBridge, seeded

import saccade
from saccade import engines, tiles
from saccade.engines import buffers
from saccade.engines.base import Engine, EngineOptions, Graph
from saccade.errors import EngineError, FrameError
from saccade.spec import Tiling
from saccade.tiles import blend, spans
from saccade_export.twin import RestoreTwin

pytestmark = pytest.mark.torch

Pixels = npt.NDArray[np.uint8]

SIGMA = 25.0
ALLOWED_GROWTH_MB = 8.0
LARGE_HW = (6000, 8000)
LARGE_EXTRA_MB = 200.0
"""What a large frame may take beside its result: a band of tiles, and the engine's memory for one tile."""

MANY_SIZES = """
import sys
from functools import partial
import saccade
from saccade.engines import buffers
from saccade_bench.overhead import measure_memory

bundle, cached_shapes = sys.argv[1:]
buffers.CACHED_SHAPES = int(cached_shapes)
with saccade.open(bundle, device="cpu", threads=1) as task:
    sizes = [(8 * (120 - 37 * index % 101), 496) for index in range(101)]  # the largest first
    print(measure_memory(partial(task, sigma=25.0, tile=0), len(sizes), sizes).growth_mb)
"""

sides = st.one_of(st.integers(1, 9), st.integers(10, 150))


def random_frame(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def furthest(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> int:
    """The most grey levels between two images."""
    return int(np.abs(one.astype(np.int16) - other).max())


class Peak:
    """The most resident memory of this process beyond what it had, in MB, while the ``with`` is open."""

    def __enter__(self) -> Peak:
        self._process, self._ended = psutil.Process(), threading.Event()
        self._before = self._most = self._process.memory_info().rss
        self._watch = threading.Thread(target=self._follow)
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._watch.join()

    @property
    def grown_mb(self) -> float:
        return (self._most - self._before) / 1e6

    def _follow(self) -> None:
        while not self._ended.wait(0.002):
            self._most = max(self._most, self._process.memory_info().rss)


def growth_over_many_sizes_mb(bundle: Path, cached_shapes: int) -> float:
    """In a process of its own: here memory that other tests gave back would be taken first."""
    command = [sys.executable, "-c", MANY_SIZES, str(bundle), str(cached_shapes)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.fixture(scope="module")
def task(tiny_restorer_bundle: Path) -> Iterator[saccade.RestoreTask]:
    with saccade.open(tiny_restorer_bundle, device="cpu", threads=1) as opened:
        assert isinstance(opened, saccade.RestoreTask)
        yield opened


def with_overlap(task: saccade.RestoreTask, overlap: int) -> saccade.RestoreTask:
    """The task, with tiles of 128 that share as much as is said."""
    other = task.clone()
    other.spec = replace(task.spec, tiling=Tiling(128, overlap))
    return other


class TestSizes:
    @given(sides, sides, st.sampled_from([1, 2, 4]), st.sampled_from([np.uint8, np.float32]))
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_frames_of_every_size_are_pytorchs(
        self, task: saccade.RestoreTask, height: int, width: int, steps: int, dtype: type[np.generic]
    ) -> None:
        frame = random_frame(height, width)
        result = task(frame.astype(dtype), sigma=SIGMA, steps=steps, tile=0)
        assert (result.image.shape, result.image.dtype, result.finite) == (frame.shape, dtype, True)
        expected = RestoreTwin(seeded(TinyBridge), task.spec)(frame, steps, sigma=SIGMA)
        assert furthest(np.clip(np.rint(result.image), 0, 255), expected) <= 1

    @pytest.mark.parametrize("size_hw", [(1, 1), (1, 300), (300, 1), (2, 3), (127, 255)])
    def test_another_network_is_not(self, task: saccade.RestoreTask, size_hw: tuple[int, int]) -> None:
        frame = random_frame(*size_hw)
        found = task(frame, sigma=SIGMA).image
        same, other = (RestoreTwin(seeded(TinyBridge, seed), task.spec)(frame, 1, sigma=SIGMA) for seed in (0, 1))
        assert furthest(found, same) <= 1 < furthest(found, other)

    @pytest.mark.parametrize("size_hw", [(1, 1), (1, 500), (500, 1), (7, 5)])
    def test_noise_is_measured_at_any_size(self, task: saccade.RestoreTask, size_hw: tuple[int, int]) -> None:
        for sigma in ("measured", "tiles"):
            result = task(random_frame(*size_hw), sigma=sigma)
            assert result.image.shape == (*size_hw, 3)
            assert result.finite

    def test_a_constant_frame_stays_as_it_is(self, task: saccade.RestoreTask) -> None:
        for value in (0, 128, 255):
            frame = np.full((40, 60, 3), value, np.uint8)
            result = task(frame)
            assert (result.sigma, result.steps) == (0, 0)
            np.testing.assert_array_equal(result.image, frame)

    @given(st.integers(1, 6), st.integers(1, 40), st.integers(1, 40), st.booleans())
    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_a_batch_is_each_of_its_frames(
        self, task: saccade.RestoreTask, count: int, height: int, width: int, is_list: bool
    ) -> None:
        frames = np.stack([random_frame(height, width, seed) for seed in range(count)])
        given: Any = list(frames) if is_list else frames
        results: Any = task(given, sigma=SIGMA)
        assert [result.origin.frame_id for result in results] == list(
            range(results[0].origin.frame_id, results[0].origin.frame_id + count)
        )
        for result, frame in zip(results, frames, strict=True):
            assert furthest(result.image, task(frame, sigma=SIGMA).image) <= 1

    def test_a_batch_in_tiles_is_each_of_its_frames(self, task: saccade.RestoreTask) -> None:
        frames = np.stack([random_frame(200, 300, seed) for seed in range(3)])
        results: Any = task(frames, sigma=SIGMA)
        for result, frame in zip(results, frames, strict=True):
            assert furthest(result.image, task(frame, sigma=SIGMA).image) <= 1
            assert furthest(result.image, task(frames[0][::-1], sigma=SIGMA).image) > 1


class TestLargeFrames:
    @pytest.mark.timeout(240)
    def test_48_megapixels_take_little_more_memory_than_their_result(self, task: saccade.RestoreTask) -> None:
        frame = random_frame(*LARGE_HW)
        other = task.clone()
        other(frame[:512, :512], sigma=SIGMA)
        started = time.perf_counter()
        with Peak() as peak:
            result = other(frame, sigma=SIGMA, tile=512)
        assert time.perf_counter() - started < 120
        assert result.finite
        assert peak.grown_mb <= frame.nbytes / 1e6 + LARGE_EXTRA_MB
        # And far from its edges a part alone gives the same, wherever tiles begin and end.
        for top, left in ((0, 0), (2960, 3920), (5680, 7680)):
            part = np.s_[top : top + 320, left : left + 320]
            inner = np.s_[64:256, 64:256]
            assert furthest(result.image[part][inner], other(frame[part], sigma=SIGMA, tile=0).image[inner]) <= 1

    def test_a_frame_that_is_not_cut_takes_more(self, task: saccade.RestoreTask) -> None:
        frame = random_frame(1500, 2000)
        grown = []
        for tile in (256, 0):
            other = task.clone()
            with Peak() as peak:
                other(frame, sigma=SIGMA, tile=tile)
            grown.append(peak.grown_mb)
        assert grown[0] + 100 < grown[1]

    def test_the_largest_frame_that_is_taken(self, task: saccade.RestoreTask) -> None:
        assert task(random_frame(3, 1 << 14), sigma=SIGMA).image.shape == (3, 1 << 14, 3)
        assert task(random_frame(1 << 14, 1), sigma=SIGMA).image.shape == (1 << 14, 1, 3)
        with pytest.raises(FrameError, match="1 to 16384"):
            task(random_frame(1, (1 << 14) + 1), sigma=SIGMA)


class TestThreads:
    def test_clones_on_several_threads_give_what_one_thread_gives(self, task: saccade.RestoreTask) -> None:
        # Given frames of several sizes, steps and levels.
        jobs = [(random_frame(40 + 9 * n, 190 - 7 * n, n), (1, 2, 4)[n % 3], 10.0 + n) for n in range(18)]
        expected = [task(frame, steps=steps, sigma=sigma).image for frame, steps, sigma in jobs]

        # When clones restore them on four threads at once, each all of them in an order of its own.
        def work(shift: int) -> list[bool]:
            with task.clone() as own:
                turned = [*range(shift, len(jobs)), *range(shift)]
                return [
                    np.array_equal(own(jobs[n][0], steps=jobs[n][1], sigma=jobs[n][2]).image, expected[n])
                    for n in turned
                ]

        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(work, (0, 5, 10, 15)))
        # Then each gives the same to the bit, and no two jobs are alike.
        assert all(same for each in found for same in each)
        assert not any(np.array_equal(one, other) for one, other in pairwise(expected))

    @pytest.mark.parametrize("variant", ["auto", "fp32-cpu-stepwise"])
    def test_what_one_of_many_opens_all_share(
        self, tiny_restorer_bundle: Path, monkeypatch: pytest.MonkeyPatch, variant: str
    ) -> None:
        opened: list[str] = []
        load = engines.load

        def counted(name: str, graph: Graph, options: EngineOptions) -> Engine:
            opened.append(graph.name)
            return load(name, graph, options)

        monkeypatch.setattr(engines, "load", counted)
        frame = random_frame(40, 50)
        with saccade.open(tiny_restorer_bundle, variant=variant, device="cpu", threads=1) as first:
            assert isinstance(first, saccade.RestoreTask)
            clones = [first.clone() for _ in range(3)]
            with ThreadPoolExecutor(4) as pool:
                images = list(pool.map(lambda task: task(frame, sigma=SIGMA, steps=4).image, [first, *clones]))
        assert all(np.array_equal(image, images[0]) for image in images)
        assert (
            len(opened) == len(set(opened)) == (2 if variant == "auto" else 3)
        )  # one step's and four's; or the stages

    def test_a_clone_outlives_the_task_it_came_from(self, tiny_restorer_bundle: Path) -> None:
        frame = random_frame(30, 40)
        with saccade.open(tiny_restorer_bundle, device="cpu", threads=1) as first:
            assert isinstance(first, saccade.RestoreTask)
            expected = first(frame, sigma=SIGMA).image
            other = first.clone()
        np.testing.assert_array_equal(other(frame, sigma=SIGMA).image, expected)

    def test_a_closed_task_says_so(self, tiny_restorer_bundle: Path) -> None:
        with saccade.open(tiny_restorer_bundle, device="cpu", threads=1) as closed:
            assert isinstance(closed, saccade.RestoreTask)
        with pytest.raises(EngineError, match="closed"):
            closed(random_frame(8, 8), sigma=SIGMA)


class TestSteadyState:
    def test_repeated_calls_give_the_same(self, task: saccade.RestoreTask) -> None:
        frame = random_frame(90, 130)
        first = task(frame, steps=4)
        for index in range(20):
            task(random_frame(10 + index, 20), sigma=SIGMA)
            again = task(frame, steps=4)
            np.testing.assert_array_equal(again.image, first.image)
            assert again.sigma == first.sigma

    def test_memory_does_not_grow_over_frames_of_many_sizes(self, tiny_restorer_bundle: Path) -> None:
        assert growth_over_many_sizes_mb(tiny_restorer_bundle, buffers.CACHED_SHAPES) <= ALLOWED_GROWTH_MB

    def test_memory_grows_where_buffers_are_never_let_go(self, tiny_restorer_bundle: Path) -> None:
        assert growth_over_many_sizes_mb(tiny_restorer_bundle, 10**9) > ALLOWED_GROWTH_MB


class TestTiles:
    @given(st.integers(1, 3000), st.integers(1, 400), st.integers(0, 200), st.sampled_from([1, 2, 8, 16, 64, 256]))
    @settings(max_examples=300)
    def test_spans_of_any_tile_and_overlap_cover_every_pixel(
        self, length: int, tile: int, overlap: int, multiple: int
    ) -> None:
        tile = max(tile, 2 * overlap + 1)
        found = spans(length, tile, overlap, multiple)
        covered = np.zeros(length, int)
        for span in found:
            covered[span.start : span.stop] += 1
        assert covered.min() >= 1
        assert (found[0].start, found[0].shared, found[-1].stop) == (0, 0, length)
        for before, span in pairwise(found):
            assert span.shared == before.stop - span.start >= overlap
            assert before.start < span.start < before.stop or overlap == 0
            assert span.start % multiple == 0
            assert span.shared < span.stop - span.start

    @given(
        *(st.integers(1, 260), st.integers(1, 260), st.integers(1, 100), st.integers(0, 60)),
        *(st.sampled_from([1, 4, 8, 32]), st.integers(1, 3)),
    )
    @settings(max_examples=60, deadline=None)
    def test_equal_tiles_blend_to_the_whole(
        self, height: int, width: int, tile: int, overlap: int, multiple: int, scale: int
    ) -> None:
        tile = max(tile, 2 * overlap + 1)
        whole = random_frame(height * scale, width * scale)[None]
        canvas = np.full_like(whole, 77)
        for row in spans(height, tile, overlap, multiple):
            row = row.scaled(scale)
            band = np.full_like(whole[:, row.start : row.stop], 33)
            for column in spans(width, tile, overlap, multiple):
                column = column.scaled(scale)
                blend(band, whole[:, row.start : row.stop, column.start : column.stop], column, axis=2)
            blend(canvas, band, row, axis=1)
        np.testing.assert_array_equal(canvas, whole)

    @pytest.mark.parametrize("steps", [1, 4])
    def test_a_tiled_frame_is_the_whole_one(self, task: saccade.RestoreTask, steps: int) -> None:
        frame = random_frame(720, 1280)
        whole = task(frame, sigma=SIGMA, steps=steps, tile=0).image
        for tile in (128, 250):
            assert furthest(task(frame, sigma=SIGMA, steps=steps, tile=tile).image, whole) <= 1

    def test_without_enough_overlap_it_is_not(self, task: saccade.RestoreTask) -> None:
        frame = random_frame(300, 400)
        whole = task(frame, sigma=SIGMA, steps=4, tile=0).image
        assert furthest(task(frame, sigma=SIGMA, steps=4, tile=128).image, whole) <= 1
        for overlap in (0, 8):
            assert furthest(with_overlap(task, overlap)(frame, sigma=SIGMA, steps=4, tile=128).image, whole) > 1

    def test_without_blending_it_is_not(self, task: saccade.RestoreTask, monkeypatch: pytest.MonkeyPatch) -> None:
        frame = random_frame(300, 400)
        whole = task(frame, sigma=SIGMA, steps=4, tile=0).image
        monkeypatch.setattr(tiles, "_rise", lambda shared: np.ones(shared, np.float32))
        assert furthest(task(frame, sigma=SIGMA, steps=4, tile=128).image, whole) > 1

    @given(st.integers(97, 200), st.sampled_from([0, 8, 24, 48]), st.booleans())
    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_a_map_is_cut_as_its_frame_is(
        self, task: saccade.RestoreTask, tile: int, left: int, is_local: bool
    ) -> None:
        frame = random_frame(210, 233)
        level: Any = "tiles"
        if not is_local:
            level = np.full(frame.shape[:2], SIGMA, np.float32)
            level[:, : 60 + left] = 0
        whole = task(frame, sigma=level, tile=0).image
        assert furthest(task(frame, sigma=level, tile=tile).image, whole) <= 1


class TestMaps:
    def test_what_is_noisy_in_one_corner_is_restored_there(self, task: saccade.RestoreTask) -> None:
        """The mean of the map lies in the dead zone, which is about frames that need nothing anywhere."""
        frame = random_frame(200, 200)
        level = np.zeros((200, 200), np.float32)
        level[:40, :40] = 50.0
        assert level.mean() <= task.spec.dead_zone
        result = task(frame, sigma=level)
        assert result.steps == 1
        assert not np.array_equal(result.image[:40, :40], frame[:40, :40])
        np.testing.assert_array_equal(result.image[60:, 60:], frame[60:, 60:])
