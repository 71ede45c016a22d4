"""Road scenes seen from a moving car, drawn from a seed, with exact class maps and boxes: a source where no data is."""

from saccade.scenes.classes import CLASSES, COLORS, VOID
from saccade.scenes.render import drive, render
from saccade.scenes.scene import BOX_LABELS, Scene, SceneBox

__all__ = ["BOX_LABELS", "CLASSES", "COLORS", "VOID", "Scene", "SceneBox", "drive", "render"]
