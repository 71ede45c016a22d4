"""What each axis is called in tables, sentences and figures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """``grows`` names the axis and its points, ``time`` what its milliseconds are of, ``caption`` how to read it."""

    title: str
    grows: str
    time: str
    caption: str


WORDS = {
    "resolution": Words(
        "Resolution",
        "pixels",
        "frame to result",
        "The same view in more pixels. What is outside the engine is Saccade's own; memory holds the given frames too.",
    ),
    "batch": Words(
        "Batch",
        "frames at once",
        "time of one frame",
        "Several frames in one call: its time over the number of frames, and the memory of its process.",
    ),
    "cameras": Words(
        "Cameras",
        "cameras",
        "frame to last result",
        "Clones of one task, each in a thread of its own, get a frame at the same time: how many frames a second they "
        "have together, and the time until the last has its result.",
    ),
    "threads": Words(
        "Threads",
        "threads",
        "frame to result",
        "CPU threads that the engine may use for one frame.",
    ),
    "clip": Words(
        "Clip length",
        "frames of a clip",
        "reading to writing, a frame",
        "A video from reading to writing overlays. Memory must not grow with its length.",
    ),
}
