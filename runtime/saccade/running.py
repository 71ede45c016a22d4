"""Run a task over a source and keep what it gives: overlays, class maps, JSON lines, a contact sheet."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.draw import legend, overlay
from saccade.results import Segmentation
from saccade.sources.base import Source, SourceFault, SourceFrame
from saccade.tasks.segment import SegmentTask
from saccade.writers import JsonLinesWriter, VideoWriter, contact_sheet, ensure_folder, write_png

SHEET_TILES = 9


@dataclass(frozen=True)
class Outputs:
    """What to keep, and how it looks."""

    folder: Path
    overlays: bool = True
    class_maps: bool = False
    contact_sheet: bool = False
    has_legend: bool = True
    opacity: float = 0.5


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

    @property
    def fps(self) -> float:
        return self.frames / self.wall_s if self.wall_s else 0.0

    @property
    def task_fps(self) -> float:
        return 1000 * self.frames / self.task_ms if self.task_ms else 0.0


def run_source(
    task: SegmentTask,
    source: Source,
    outputs: Outputs,
    *,
    limit: int | None = None,
    progress: Callable[[Summary], None] | None = None,
) -> Summary:
    """Run ``task`` on each frame of ``source`` (at most ``limit``) and write what ``outputs`` asks for.

    What cannot be read is kept in the summary and the run goes on. Ctrl-C ends the run with every file valid.
    Raises ``OutputError`` when something cannot be written.
    """
    summary = Summary()
    started = time.perf_counter()
    with ExitStack() as stack:
        keeper = _Keeper(outputs, task, source, expected_length(source, limit), stack)
        try:
            for item in source:
                if isinstance(item, SourceFault):
                    summary.faults.append(item)
                    keeper.keep_fault(item)
                else:
                    result = task(
                        item.image,
                        pixel_format=item.pixel_format,
                        frame_id=item.frame_id,
                        captured_ns=item.captured_ns,
                    )
                    keeper.keep(item, result)
                    summary.frames += 1
                    summary.not_finite += not result.finite
                    summary.task_ms += result.timing.total_ms
                if progress is not None:
                    progress(summary)
                if limit is not None and summary.frames >= limit:
                    break
        except KeyboardInterrupt:
            summary.interrupted = True
        keeper.finish()
    summary.files = keeper.written()
    summary.wall_s = time.perf_counter() - started
    return summary


def expected_length(source: Source, limit: int | None) -> int | None:
    """How many frames a run will see; None where the source cannot know and nothing limits it."""
    known = [length for length in (source.length, limit) if length is not None]
    return min(known) if known else None


class _Keeper:
    """Writes results as they come; everything that stays open is on the caller's stack."""

    def __init__(
        self, outputs: Outputs, task: SegmentTask, source: Source, length: int | None, stack: ExitStack
    ) -> None:
        self._outputs = outputs
        self._sheet: Path | None = None
        self._colors = np.array(task.spec.colors, np.uint8)
        self._tiles = _Tiles(length)
        self._names: set[str] | None = None if source.is_video else set()
        folder = ensure_folder(outputs.folder)
        self._lines = stack.enter_context(JsonLinesWriter(folder / "results.jsonl"))
        self._video: VideoWriter | None = None
        if outputs.overlays and source.is_video:
            self._video = stack.enter_context(VideoWriter(folder / "overlay.mp4", source.frame_rate or 25.0))
        self._folders = [ensure_folder(folder / "class_maps")] if outputs.class_maps else []
        if outputs.overlays and not source.is_video:
            self._folders.append(ensure_folder(folder / "overlays"))

    def keep(self, frame: SourceFrame, result: Segmentation) -> None:
        frame = replace(frame, name=self._own_name(frame.name))
        self._lines.write(record(frame, result))
        if self._outputs.class_maps:
            write_png(self._outputs.folder / "class_maps" / f"{frame.name}.png", result.class_map, self._colors)
        if self._outputs.overlays or self._outputs.contact_sheet:
            self._keep_picture(frame, result)

    def keep_fault(self, fault: SourceFault) -> None:
        self._lines.write({"name": fault.name, "error": fault.reason})

    def finish(self) -> None:
        if self._outputs.contact_sheet and self._tiles.pictures:
            self._sheet = self._outputs.folder / "contact_sheet.png"
            write_png(self._sheet, contact_sheet(self._tiles.pictures))

    def written(self) -> list[Path]:
        """What this run wrote; a file of an earlier run in the same folder is not among it."""
        files = [self._lines.path] if self._lines.lines_written else []
        if self._video is not None and self._video.frames_written:
            files.append(self._video.path)
        return [*files, *self._folders, *([self._sheet] if self._sheet else [])]

    def _own_name(self, name: str) -> str:
        """``name``, with a number where an earlier still had it, so that files of two folders keep their results."""
        if self._names is None:  # a video numbers its frames
            return name
        own, number = name, 2
        while own in self._names:
            own, number = f"{name}_{number}", number + 1
        self._names.add(own)
        return own

    def _keep_picture(self, frame: SourceFrame, result: Segmentation) -> None:
        picture = overlay(frame.image, result.class_map, self._colors, self._outputs.opacity)
        if self._outputs.has_legend:
            picture = legend(picture, result.classes, self._colors, present=np.unique(result.class_map))
        if self._outputs.contact_sheet:
            self._tiles.offer(picture)
        if self._video is not None:
            self._video.write(picture)
        elif self._outputs.overlays:
            write_png(self._outputs.folder / "overlays" / f"{frame.name}.png", picture)


class _Tiles:
    """Up to ``SHEET_TILES`` pictures, spread over a run whose length may be unknown: the distance doubles when full."""

    def __init__(self, length: int | None) -> None:
        self.pictures: list[npt.NDArray[np.uint8]] = []
        self._distance = -(-(length or 1) // SHEET_TILES)
        self._seen = 0

    def offer(self, picture: npt.NDArray[np.uint8]) -> None:
        if self._seen % self._distance == 0:
            if len(self.pictures) == SHEET_TILES:
                self.pictures = self.pictures[::2]
                self._distance *= 2
            if self._seen % self._distance == 0:
                self.pictures.append(picture)
        self._seen += 1


def record(frame: SourceFrame, result: Segmentation) -> dict[str, Any]:
    """A result as one JSON line: all but the pixels."""
    height, width = result.class_map.shape
    return {
        "name": frame.name,
        "frame_id": frame.frame_id,
        "width": width,
        "height": height,
        "finite": result.finite,
        "class_shares": {name: round(share, 6) for name, share in result.class_shares().items()},
        "timing": {name: round(value, 3) for name, value in asdict(result.timing).items()},
        "age_ms": None if result.origin.age_ms is None else round(result.origin.age_ms, 3),
        "engine": result.origin.engine,
        "device": result.origin.device,
        "variant": result.origin.variant,
    }
