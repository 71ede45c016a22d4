"""The public functions: check what is asked for, paint a frame back to front, expose it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from numbers import Integral

from saccade.errors import RequestError
from saccade.scenes.backdrop import paint_backdrop
from saccade.scenes.buildings import paint_house
from saccade.scenes.camera import FRAMES_PER_SECOND, camera_at
from saccade.scenes.cars import paint_car
from saccade.scenes.greenery import paint_garden, paint_tree
from saccade.scenes.light import LIGHTS
from saccade.scenes.people import paint_bicyclist, paint_pedestrian
from saccade.scenes.raster import Canvas
from saccade.scenes.scene import Scene
from saccade.scenes.sensor import expose
from saccade.scenes.stage import Stage
from saccade.scenes.street import paint_bollard, paint_lamp, paint_sign
from saccade.scenes.world import Thing, things

MIN_SIDE = 32
MAX_SIDE = 4096

_PAINTERS: dict[str, Callable[[Stage, Thing], None]] = {
    "bicyclist": paint_bicyclist,
    "bollard": paint_bollard,
    "car": paint_car,
    "garden": paint_garden,
    "house": paint_house,
    "lamp": paint_lamp,
    "pedestrian": paint_pedestrian,
    "sign": paint_sign,
    "tree": paint_tree,
}


def render(seed: int, frame: int, size_hw: tuple[int, int] = (360, 480), light: str = "day") -> Scene:
    """Return frame number ``frame`` of the drive that ``seed`` names: the same arguments give the same bytes.

    ``light`` is "day", "dusk" or "night". Raises RequestError for a size, light, seed or frame that cannot be rendered.
    """
    _check(seed, frame, size_hw, light)
    time_s = frame / FRAMES_PER_SECOND
    camera = camera_at(seed, frame, size_hw)
    stage = Stage(camera, Canvas(size_hw), LIGHTS[light], time_s)
    paint_backdrop(stage, seed)
    for thing in things(seed, time_s, camera.position_m):
        _PAINTERS[thing.kind](stage, thing)
    canvas = stage.canvas
    return Scene(expose(canvas.planes, stage.light, seed, frame), canvas.class_map, canvas.boxes())


def drive(seed: int, frames: int, size_hw: tuple[int, int] = (360, 480), light: str = "day") -> Iterator[Scene]:
    """Yield the first ``frames`` frames of a drive: 25 a second, at 12 m/s. Raises RequestError as ``render`` does."""
    _check(seed, frames, size_hw, light)  # here, not at the first frame
    return (render(seed, frame, size_hw, light) for frame in range(frames))


def _check(seed: int, frame: int, size_hw: tuple[int, int], light: str) -> None:
    if not _is_size(size_hw):
        raise RequestError(
            f"a scene's size must be (height, width), whole numbers from {MIN_SIDE} to {MAX_SIDE}, "
            f"but got {size_hw}; render within that and resize the image"
        )
    if light not in LIGHTS:
        raise RequestError(f"a scene's light must be one of {', '.join(LIGHTS)}, but got {light!r}; choose one of them")
    for name, number in (("seed", seed), ("frame", frame)):
        if not _is_whole(number) or number < 0:
            raise RequestError(f"a scene's {name} must be a whole number from 0 up, but got {number}; count from 0")


def _is_size(size_hw: tuple[int, ...]) -> bool:
    return len(size_hw) == 2 and all(_is_whole(side) and MIN_SIDE <= side <= MAX_SIDE for side in size_hw)


def _is_whole(number: object) -> bool:
    return isinstance(number, Integral)
