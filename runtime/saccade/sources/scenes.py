"""Rendered road scenes as a source: ``scenes:seed=3,frames=100,size=960x540,light=night,fps=25``."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from saccade import scenes
from saccade.errors import RequestError
from saccade.scenes.light import LIGHTS
from saccade.sources.base import SourceFault, SourceFrame

_DEFAULTS = {"seed": "0", "frames": "100", "size": "480x360", "light": "day", "fps": "25"}
_VALID = (
    "valid are seed=0 (from 0), frames=100 (from 1), size=480x360 (WIDTHxHEIGHT, each 32 to 8192), "
    f"light=day ({', '.join(LIGHTS)}), fps=25 (above 0, to 1000)"
)


@dataclass(frozen=True)
class SceneSettings:
    """Which scenes to render: ``size_hw`` in pixels, ``frame_rate`` in frames per second."""

    seed: int
    frames: int
    size_hw: tuple[int, int]
    light: str
    frame_rate: float


class SceneSource:
    """The scenes of one drive, rendered frame by frame as they are read."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._settings = parse_scenes(uri)
        self.length: int | None = self._settings.frames
        self.frame_rate: float | None = self._settings.frame_rate
        self.is_video = True

    def __iter__(self) -> Iterator[SourceFrame | SourceFault]:
        settings = self._settings
        for index in range(settings.frames):
            scene = scenes.render(settings.seed, index, size_hw=settings.size_hw, light=settings.light)
            yield SourceFrame(scene.image, "rgb24", index, f"scenes_{index:06d}", time.monotonic_ns())

    def close(self) -> None:
        """Nothing is held between scenes."""

    def __enter__(self) -> SceneSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def parse_scenes(uri: str) -> SceneSettings:
    """The settings in a ``scenes:`` URI. Raises ``RequestError`` for an unknown key or a value that does not fit."""
    given = _pairs(uri)
    text = _DEFAULTS | given
    if text["light"] not in LIGHTS:
        raise _refusal(f"light={text['light']}")
    return SceneSettings(
        seed=_whole("seed", text["seed"], 0, 2**32 - 1),
        frames=_whole("frames", text["frames"], 1, 10**9),
        size_hw=_size_hw(text["size"]),
        light=text["light"],
        frame_rate=_rate(text["fps"]),
    )


def _pairs(uri: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for pair in filter(None, uri.partition(":")[2].split(",")):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or key not in _DEFAULTS or key in given:
            raise _refusal(pair)
        given[key] = value
    return given


def _whole(key: str, text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12 and low <= int(text) <= high):
        raise _refusal(f"{key}={text}")
    return int(text)


def _size_hw(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    try:
        return _whole("size", height, 32, 8192), _whole("size", width, 32, 8192)
    except RequestError as error:
        raise _refusal(f"size={text}") from error


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate <= 1000:
        raise _refusal(f"fps={text}")
    return rate


def _refusal(what: str) -> RequestError:
    return RequestError(f"source scenes: cannot take '{what}'; {_VALID}")
