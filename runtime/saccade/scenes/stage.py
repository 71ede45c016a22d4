"""What every painter needs to paint one object into one frame."""

from __future__ import annotations

from dataclasses import dataclass

from saccade.scenes.camera import Camera
from saccade.scenes.classes import CLASSES
from saccade.scenes.light import Light, Tone
from saccade.scenes.raster import Canvas

CLASS_ID = {name: number for number, name in enumerate(CLASSES)}


@dataclass(frozen=True)
class Stage:
    """The camera, the light and the time of a frame, and the canvas that it is painted on."""

    camera: Camera
    canvas: Canvas
    light: Light
    time_s: float

    def tone(self, depth_m: float, facing: float = 1.0) -> Tone:
        """Return the light on an object at a depth; ``facing`` below 1 for surfaces turned from the sky."""
        return self.light.tone(depth_m, self.camera.position_m, facing)
