"""A task opened from a bundle: frames in, results that own their arrays out."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import saccade
import saccade.machine
from saccade.errors import DeviceError, FrameError, RequestError

pytestmark = pytest.mark.torch


def frame_of(seed: int, height: int = 40, width: int = 56) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))[:height, :width].copy()


@pytest.fixture
def task(tiny_bundle: Path) -> saccade.SegmentTask:
    return saccade.open(tiny_bundle)


def test_the_class_map_has_the_frames_size_and_says_where_it_comes_from(task: saccade.SegmentTask) -> None:
    result = task(frame_of(0), captured_ns=time.monotonic_ns())
    assert result.class_map.shape == (40, 56)
    assert result.class_map.dtype == np.uint8
    assert result.finite is True
    assert result.confidence is None
    assert (result.origin.engine, result.origin.device, result.origin.variant) == ("onnxruntime", "cpu", "fp32-cpu")
    assert result.timing.engine_ms > 0
    assert result.origin.age_ms is not None
    assert result.origin.age_ms >= result.timing.total_ms
    assert sum(result.class_shares().values()) == pytest.approx(1)
    assert np.array_equal(result.mask("class1"), result.class_map == 1)
    with pytest.raises(KeyError, match="class0, class1, class2"):
        result.mask("car")


def test_frame_ids_count_up_or_are_the_cameras(task: saccade.SegmentTask) -> None:
    assert [task(frame_of(0)).origin.frame_id for _ in range(3)] == [0, 1, 2]
    assert task(frame_of(0), frame_id=70).origin.frame_id == 70
    assert [result.origin.frame_id for result in task([frame_of(0), frame_of(1)])] == [71, 72]


def test_submit_and_wait_give_what_calling_gives(task: saccade.SegmentTask) -> None:
    expected = task(frame_of(0)).class_map
    task.submit(frame_of(0))
    (result,) = task.wait()
    assert np.array_equal(result.class_map, expected)
    with pytest.raises(RequestError, match="without submit"):
        task.wait()


def test_the_callers_frame_is_let_go(task: saccade.SegmentTask) -> None:
    frame = frame_of(0)
    before = sys.getrefcount(frame)
    task(frame)
    assert sys.getrefcount(frame) == before


def test_bgr_frames_are_swapped_where_declared(task: saccade.SegmentTask, tiny_bundle: Path) -> None:
    frame = frame_of(1)
    expected = task(frame).class_map
    swapped = np.ascontiguousarray(frame[..., ::-1])
    assert np.array_equal(task(swapped, pixel_format="bgr24").class_map, expected)
    assert np.array_equal(saccade.open(tiny_bundle, pixel_format="bgr24")(swapped).class_map, expected)
    assert not np.array_equal(task(swapped).class_map, expected)


def test_strides_do_not_matter(task: saccade.SegmentTask) -> None:
    large = frame_of(2, 80, 112)
    view = large[::2, 1::2]
    assert np.array_equal(task(view).class_map, task(view.copy()).class_map)


def test_a_batch_gives_what_single_frames_give(task: saccade.SegmentTask) -> None:
    frames = [frame_of(seed) for seed in range(3)]
    single = [task(frame).class_map for frame in frames]
    for batch in (frames, np.stack(frames)):
        results = task(batch)
        assert isinstance(results, list)
        assert all(np.array_equal(r.class_map, s) for r, s in zip(results, single, strict=True))


def test_arrays_of_other_libraries_are_taken_without_a_copy(task: saccade.SegmentTask) -> None:
    torch = pytest.importorskip("torch")
    frame = frame_of(3)
    assert np.array_equal(task(torch.from_numpy(frame)).class_map, task(frame).class_map)
    with pytest.raises(FrameError, match="numpy array, but got str"):
        task("frame.png")


def test_batches_that_do_not_fit_are_refused(task: saccade.SegmentTask) -> None:
    with pytest.raises(FrameError, match="one size, but have 56x40, 64x40"):
        task([frame_of(0), frame_of(0, 40, 64)])
    with pytest.raises(FrameError, match="empty"):
        task([])
    with pytest.raises(FrameError, match="float32"):
        task(np.zeros((2, 4, 4, 3), np.float32))


def test_held_results_do_not_change(task: saccade.SegmentTask) -> None:
    frames = [frame_of(seed) for seed in range(100)]
    held = [task(frame) for frame in frames]
    again = [task(frame).class_map for frame in frames]
    assert all(np.array_equal(first.class_map, second) for first, second in zip(held, again, strict=True))
    assert len({first.class_map.tobytes() for first in held}) == 100


def test_two_threads_on_two_clones_give_what_one_gives(task: saccade.SegmentTask) -> None:
    frames = [frame_of(seed) for seed in range(30)]
    expected = [task(frame).class_map for frame in frames]
    found: dict[int, list[np.ndarray]] = {}

    def work(index: int, own: saccade.SegmentTask) -> None:
        found[index] = [own(frame).class_map for frame in frames]

    threads = [threading.Thread(target=work, args=(index, task.clone())) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for maps in found.values():
        assert all(np.array_equal(a, b) for a, b in zip(maps, expected, strict=True))
    assert len(found) == 2


def test_a_threshold_on_argmax_is_refused(task: saccade.SegmentTask) -> None:
    with pytest.raises(RequestError, match="highest score"):
        task(frame_of(0), threshold=0.5)


def test_a_device_that_is_not_here_is_an_error_that_says_what_is(tiny_bundle: Path) -> None:
    if saccade.machine.gpu_description() is not None:
        pytest.skip("an NVIDIA GPU is here")
    with pytest.raises(DeviceError, match=r"'cuda' was asked for.*device='cpu'"):
        saccade.open(tiny_bundle, device="cuda")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"engine": "tflite"}, "auto, onnxruntime"),
        ({"device": "npu"}, "auto, cpu, cuda"),
        ({"variant": "int4"}, "fp32-cpu, fp32-gpu"),
        ({"threads": 0}, "at least 1"),
        ({"pixel_format": "nv12"}, "rgb24, bgr24"),
    ],
)
def test_unknown_requests_are_refused_with_the_choices(
    tiny_bundle: Path, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(RequestError, match=reason):
        saccade.open(tiny_bundle, **options)  # type: ignore[arg-type]


def test_a_jetson_never_uses_the_cpu_unless_told(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saccade.engines.is_jetson", lambda: True)
    with pytest.raises(DeviceError, match="allow the CPU"):
        saccade.open(tiny_bundle)
    assert saccade.open(tiny_bundle, device="cpu").describe().device == "cpu"


def test_a_missing_engine_names_its_extra(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saccade.engines.installed", lambda: ())
    with pytest.raises(DeviceError, match=r"pip install 'saccade\[ort\]'"):
        saccade.open(tiny_bundle)


def test_scores_that_are_not_finite_are_flagged(tmp_path: Path) -> None:
    from tests.tiny import export_tiny

    path = export_tiny(tmp_path, seed=5)
    task = saccade.open(path)
    assert task(frame_of(0)).finite
    poisoned = saccade.open(poison(path, tmp_path / "poisoned.saccade"))
    assert poisoned(frame_of(0)).finite is False


def poison(bundle: Path, target: Path) -> Path:
    """The bundle with one weight made NaN, sealed again."""
    import hashlib
    import json

    from tests.archives import members_of, pack

    members = members_of(bundle)
    weights = np.frombuffer(members["graphs/weights.bin"], np.float32).copy()
    weights[0] = np.nan
    members["graphs/weights.bin"] = weights.tobytes()
    manifest = json.loads(members["manifest.json"])
    manifest["members"]["graphs/weights.bin"]["sha256"] = hashlib.sha256(weights.tobytes()).hexdigest()
    target.write_bytes(pack({**members, "manifest.json": json.dumps(manifest).encode()}))
    return target
