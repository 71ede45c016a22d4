"""A clip of some length from reading to writing overlays, as ``saccade run`` does it, into a folder that is dropped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from saccade.errors import SourceError
from saccade.running import Outputs, run_source
from saccade.sources import SourceFault, SourceFrame, open_source
from saccade.tasks.restore_request import RestoreRequest
from saccade_bench.serving import Way, serve
from saccade_bench.ways.bundle import about_of, asked_of, opened


def open_way(spec: dict[str, Any]) -> Way:
    """``spec``: source, length in frames, and what ``ways.bundle`` takes but frames. A run is of the whole clip."""
    bundle, task = opened(spec)
    asked = asked_of(spec)
    request = RestoreRequest(**asked) if asked else None

    def run(_: int) -> None:
        with TemporaryDirectory(prefix="saccade-clip-") as folder, Clip(spec["source"], spec["length"]) as clip:
            run_source(task, clip, Outputs(Path(folder)), request=request)

    return Way(run, about=about_of(bundle, task), close=task.close)


class Clip:
    """``length`` frames of the source at ``uri`` as one video: where it is shorter, it begins again.

    It is opened anew for each pass, so that no frame is kept. Raises ``SourceError`` for a source without frames.
    """

    def __init__(self, uri: str, length: int) -> None:
        self.uri = uri
        self.length: int | None = length
        self.is_video = True
        with open_source(uri) as source:
            self.frame_rate = source.frame_rate

    def __iter__(self) -> Iterator[SourceFrame | SourceFault]:
        delivered = 0
        while True:
            before = delivered
            with open_source(self.uri) as source:
                for item in source:
                    if isinstance(item, SourceFrame):
                        item = replace(item, frame_id=delivered, name=f"clip_{delivered:06d}")
                        delivered += 1
                    yield item
                    if delivered == self.length:
                        return
            if delivered == before:
                raise SourceError(f"{self.uri} has no frames that can be read; give another source")

    def close(self) -> None:
        """Nothing is held between passes."""

    def __enter__(self) -> Clip:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


if __name__ == "__main__":
    serve(open_way)
