"""Run a task over a source and keep what it gives: JSON lines, overlays, class maps, blurred frames, a contact sheet.

Frames in which something is to be blurred are blurred first, and every picture is made from them.
The next frames are read, and those before are drawn and written, while the task works.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.blur import blur_all, blur_boxes
from saccade.errors import FrameError, RequestError, SourceError
from saccade.kinds import KINDS, Kind
from saccade.kinds.detect import DetectRequest
from saccade.kinds.look import Look
from saccade.overlap import ReadAhead, WriteBehind
from saccade.results import Detections, Restoration, Segmentation
from saccade.sources.base import Source, SourceFault, SourceFrame
from saccade.tasks import DetectTask, SegmentTask, Task
from saccade.tasks.restore_request import RestoreRequest
from saccade.writers import JsonLinesWriter, VideoWriter, contact_sheet, ensure_folder, write_png

SHEET_TILES = 9


Pixels = npt.NDArray[np.uint8]
Result = Segmentation | Detections | Restoration
Request = DetectRequest | RestoreRequest
"""What each frame is asked for; None for what the bundle says."""

RequestOf = Callable[[str], Request]
"""What the frame of a name is asked for. Raises ``SourceError`` where that cannot be read."""


@dataclass(frozen=True)
class Outputs:
    """What to keep, and how it looks. Class maps are of segmentation.

    ``blurred`` are classes of detection: frames are kept in which their boxes cannot be recognised, and no other
    picture shows more than those frames do.
    """

    folder: Path
    overlays: bool = True
    class_maps: bool = False
    contact_sheet: bool = False
    blurred: tuple[str, ...] = ()
    look: Look = field(default_factory=Look)


@dataclass
class Summary:
    """What a run did. ``fps`` counts everything from reading to writing; ``task_fps`` the task alone."""

    frames: int = 0
    faults: list[SourceFault] = field(default_factory=list[SourceFault])
    not_finite: int = 0
    task_ms: float = 0.0
    wall_s: float = 0.0
    interrupted: bool = False
    files: list[Path] = field(default_factory=list[Path])

    def add(self, result: Result) -> None:
        self.frames += 1
        self.not_finite += not result.finite
        self.task_ms += result.timing.total_ms

    @property
    def fps(self) -> float:
        return self.frames / self.wall_s if self.wall_s else 0.0

    @property
    def task_fps(self) -> float:
        return 1000 * self.frames / self.task_ms if self.task_ms else 0.0


def run_source(
    task: Task,
    source: Source,
    outputs: Outputs,
    *,
    request: Request | RequestOf | None = None,
    limit: int | None = None,
    progress: Callable[[Summary], None] | None = None,
) -> Summary:
    """Run ``task`` on each frame of ``source`` (at most ``limit``) and write what ``outputs`` asks for.

    ``request`` is what the task is asked for, the same for every frame or by the frame's name. What cannot be read is
    kept in the summary and the run goes on. Ctrl-C ends the run with every file valid. Raises ``RequestError`` for
    outputs or a request that the task does not have, ``OutputError`` when something cannot be written.
    """
    _check_outputs(task, outputs, request)
    summary = Summary()
    started = time.perf_counter()
    with ExitStack() as stack:
        keeper = _Keeper(outputs, task, source, expected_length(source, limit), stack)
        try:
            with WriteBehind() as behind, ReadAhead(islice(_with_requests(source, request), limit)) as items:
                for item in items:
                    if isinstance(item, SourceFault):
                        behind.put(partial(_keep_fault, keeper, summary, item))
                    else:
                        frame, asked = item
                        result = _called(task, frame, asked)
                        behind.put(partial(_keep, keeper, summary, frame, result))
                    if progress is not None:
                        progress(summary)
        except KeyboardInterrupt:
            summary.interrupted = True
        keeper.finish()
    summary.files = keeper.written()
    summary.wall_s = time.perf_counter() - started
    return summary


def _called(task: Task, frame: SourceFrame, asked: dict[str, Any]) -> Result:
    try:
        return task(
            frame.image,
            pixel_format=frame.pixel_format,
            frame_id=frame.frame_id,
            captured_ns=frame.captured_ns,
            **asked,
        )
    except FrameError as error:
        raise FrameError(f"frame {frame.name}: {error}") from error


def _keep(keeper: _Keeper, summary: Summary, frame: SourceFrame, result: Result) -> None:
    """What was not written, because of an error or an interrupt, is not counted."""
    keeper.keep(frame, result)
    summary.add(result)


def _keep_fault(keeper: _Keeper, summary: Summary, fault: SourceFault) -> None:
    keeper.keep_fault(fault)
    summary.faults.append(fault)


def expected_length(source: Source, limit: int | None) -> int | None:
    """How many frames a run will see; None where the source cannot know and nothing limits it."""
    known = [length for length in (source.length, limit) if length is not None]
    return min(known) if known else None


def _with_requests(
    source: Source, request: Request | RequestOf | None
) -> Iterator[SourceFault | tuple[SourceFrame, dict[str, Any]]]:
    """Each frame with what the task is asked for, as its arguments."""
    for item in source:
        if isinstance(item, SourceFault):
            yield item
            continue
        try:
            found = request(item.name) if callable(request) else request
        except SourceError as error:
            yield SourceFault(item.name, str(error))
        else:
            yield item, {} if found is None else {key.name: getattr(found, key.name) for key in fields(found)}


def _check_outputs(task: Task, outputs: Outputs, request: Request | RequestOf | None) -> None:
    if isinstance(request, DetectRequest) and not isinstance(task, DetectTask):
        raise RequestError(f"thresholds of boxes are for detection, but this task is {task.spec.kind}")
    if isinstance(request, RestoreRequest) and task.spec.kind != "restore":
        raise RequestError(f"sigma, mask and steps are for restoration, but this task is {task.spec.kind}")
    if outputs.class_maps and not isinstance(task, SegmentTask):
        raise RequestError(f"class maps are for segmentation, but this task is {task.spec.kind}")
    if outputs.look.before_after and not outputs.overlays:
        raise RequestError("pictures of before and after were asked for, but no pictures are to be written; drop one")
    if not outputs.blurred:
        return
    if not isinstance(task, DetectTask):
        raise RequestError(f"blurring is for detection, but this task is {task.spec.kind}")
    sought = task.classes
    if isinstance(request, DetectRequest) and request.classes is not None:
        sought = request.classes
    if lacking := [name for name in outputs.blurred if name not in sought]:
        raise RequestError(f"{lacking[0]!r} is to be blurred, but the run looks for {', '.join(sought)} alone; add it")


class _Keeper:
    """Writes results as they come; everything that stays open is on the caller's stack."""

    def __init__(self, outputs: Outputs, task: Task, source: Source, length: int | None, stack: ExitStack) -> None:
        self._outputs = outputs
        self._kind = KINDS[task.spec.kind]
        self._colors = None if task.spec.kind == "restore" else np.array(task.spec.colors, np.uint8)
        self._sheet: Path | None = None
        self._tiles = _Tiles(length)
        self._names: set[str] | None = None if source.is_video else set()
        folder = ensure_folder(outputs.folder)
        self._lines = stack.enter_context(JsonLinesWriter(folder / "results.jsonl"))
        self._class_maps = ensure_folder(folder / "class_maps") if outputs.class_maps else None
        rate = (source.frame_rate or 25.0) if source.is_video else None
        self._overlays = _Pictures(folder, *self._kind.pictures, rate, stack) if outputs.overlays else None
        self._blurred = _Pictures(folder, "blurred", "blurred", rate, stack) if outputs.blurred else None

    def keep(self, frame: SourceFrame, result: Result) -> None:
        frame = replace(frame, name=self._own_name(frame.name), image=self._shown(frame.image, result))
        self._lines.write(record(frame, result, self._kind))
        if self._class_maps is not None and isinstance(result, Segmentation):
            write_png(self._class_maps / f"{frame.name}.png", result.class_map, self._colors)
        if self._blurred is not None:
            self._blurred.write(frame.name, frame.image)
        if self._overlays is not None or self._outputs.contact_sheet:
            picture = self._kind.picture(frame.image, result, self._outputs.look)
            if self._outputs.contact_sheet:
                self._tiles.offer(picture)
            if self._overlays is not None:
                self._overlays.write(frame.name, picture)

    def keep_fault(self, fault: SourceFault) -> None:
        self._lines.write({"name": fault.name, "error": fault.reason})

    def finish(self) -> None:
        if self._outputs.contact_sheet and self._tiles.pictures:
            self._sheet = self._outputs.folder / "contact_sheet.png"
            write_png(self._sheet, contact_sheet(self._tiles.pictures))

    def written(self) -> list[Path]:
        """What this run wrote; a file of an earlier run in the same folder is not among it."""
        lines = [self._lines.path] if self._lines.lines_written else []
        pictures = [kept.path for kept in (self._overlays, self._blurred) if kept is not None and kept.has_written]
        return [*lines, *pictures, *(path for path in (self._class_maps, self._sheet) if path is not None)]

    def _shown(self, image: Pixels, result: Result) -> Pixels:
        """What pictures may show of a frame. Boxes may be missing from a result that is not finite."""
        if not self._outputs.blurred or not isinstance(result, Detections):
            return image
        if not result.finite:
            return blur_all(image)
        return blur_boxes(image, np.concatenate([result.of(name) for name in self._outputs.blurred]))

    def _own_name(self, name: str) -> str:
        """``name``, with a number where an earlier still had it, so that files of two folders keep their results."""
        if self._names is None:  # a video numbers its frames
            return name
        own, number = name, 2
        while own in self._names:
            own, number = f"{name}_{number}", number + 1
        self._names.add(own)
        return own


class _Pictures:
    """One picture a frame: a video at ``frame_rate``, or without one a folder of PNGs."""

    def __init__(self, parent: Path, video: str, folder: str, frame_rate: float | None, stack: ExitStack) -> None:
        self._video: VideoWriter | None = None
        if frame_rate is None:
            self.path = ensure_folder(parent / folder)
        else:
            self.path = parent / f"{video}.mp4"
            self._video = stack.enter_context(VideoWriter(self.path, frame_rate))

    @property
    def has_written(self) -> bool:
        return self._video is None or self._video.frames_written > 0

    def write(self, name: str, picture: Pixels) -> None:
        if self._video is not None:
            self._video.write(picture)
        else:
            write_png(self.path / f"{name}.png", picture)


class _Tiles:
    """Up to ``SHEET_TILES`` pictures, spread over a run whose length may be unknown: the distance doubles when full."""

    def __init__(self, length: int | None) -> None:
        self.pictures: list[Pixels] = []
        self._distance = -(-(length or 1) // SHEET_TILES)
        self._seen = 0

    def offer(self, picture: Pixels) -> None:
        if self._seen % self._distance == 0:
            if len(self.pictures) == SHEET_TILES:
                self.pictures = self.pictures[::2]
                self._distance *= 2
            if self._seen % self._distance == 0:
                self.pictures.append(picture)
        self._seen += 1


def record(frame: SourceFrame, result: Result, kind: Kind) -> dict[str, Any]:
    """A result as one JSON line: all but the pixels."""
    height, width = frame.image.shape[:2]
    return {
        "name": frame.name,
        "frame_id": frame.frame_id,
        "width": width,
        "height": height,
        "finite": result.finite,
        **kind.record(result),
        "timing": {name: round(value, 3) for name, value in asdict(result.timing).items()},
        "age_ms": None if result.origin.age_ms is None else round(result.origin.age_ms, 3),
        "engine": result.origin.engine,
        "device": result.origin.device,
        "variant": result.origin.variant,
    }
