"""Pedestrians and bicyclists: limbs and ovals on an upright card that faces the camera, with a gait."""

from __future__ import annotations

import math
from dataclasses import dataclass

from saccade.scenes.light import Rgb, Tone, pick, vary
from saccade.scenes.raster import Canvas
from saccade.scenes.stage import CLASS_ID, Stage
from saccade.scenes.world import Thing

Spot = tuple[float, float]
"""Metres right of a person's middle and above the ground."""

_COATS: tuple[Rgb, ...] = (
    (44, 48, 62),
    (92, 40, 42),
    (60, 74, 58),
    (128, 120, 108),
    (40, 40, 42),
    (70, 84, 120),
    (156, 60, 50),
)
_TROUSERS: tuple[Rgb, ...] = ((42, 46, 60), (34, 34, 36), (86, 78, 66), (60, 72, 98))
_SKINS: tuple[Rgb, ...] = ((206, 164, 140), (168, 122, 96), (112, 78, 60), (222, 184, 160))
_HAIRS: tuple[Rgb, ...] = ((52, 40, 32), (30, 28, 28), (124, 96, 62), (96, 92, 88))
_VESTS: tuple[Rgb, ...] = ((206, 216, 60), (60, 90, 140), (170, 50, 44), (48, 48, 54))
_TYRE: Rgb = (30, 30, 32)
_SHOE: Rgb = (40, 34, 32)


@dataclass(frozen=True)
class _Card:
    """An upright card in the scene: places on it are metres right of its centre and metres above the ground."""

    canvas: Canvas
    tone: Tone
    foot_col: float
    foot_row: float
    scale: float
    class_id: int
    object_id: int

    def oval(self, x: float, y: float, half_wide: float, half_tall: float, colour: Rgb, shade: float = 1.0) -> None:
        """Paint an oval around (x, y)."""
        radii = (half_wide * self.scale, half_tall * self.scale)
        self.canvas.ellipse(self._place(x, y), radii, self.tone.of(colour, shade), self.class_id, self.object_id)

    def limb(self, start: Spot, end: Spot, widths: tuple[float, float], colour: Rgb, shade: float = 1.0) -> None:
        """Paint a limb from ``start`` to ``end`` whose width changes from the first to the second of ``widths``."""
        twice = 2 * math.hypot(end[0] - start[0], end[1] - start[1])
        side_x, side_y = (end[1] - start[1]) / twice, (start[0] - end[0]) / twice
        near, far = widths
        offsets = ((start, near), (end, far), (end, -far), (start, -near))
        corners = [self._place(spot[0] + side_x * width, spot[1] + side_y * width) for spot, width in offsets]
        self.canvas.polygon(corners, self.tone.of(colour, shade), self.class_id, self.object_id)

    def _place(self, x: float, y: float) -> tuple[float, float]:
        return self.foot_col + x * self.scale, self.foot_row - y * self.scale


def paint_pedestrian(stage: Stage, thing: Thing) -> None:
    """Paint someone who walks along the pavement."""
    if thing.depth_m < 1.2:
        return
    look = thing.look
    card = _card(stage, thing, "pedestrian", 0.92 + 0.14 * look[3])
    stride = math.sin(6.2 * stage.time_s + 6.28 * look[0])
    coat, legs = vary(pick(_COATS, look[0]), look[1:]), vary(pick(_TROUSERS, look[1]), look[2:])
    hair, skin = pick(_HAIRS, look[2]), pick(_SKINS, look[3])
    for side in (-1, 1):
        if card.scale < 10:  # too far to tell a knee or a hand
            card.limb((0.08 * side, 0.85), (0.09 * side, 0.0), (0.18, 0.12), legs)
        else:
            _paint_leg(card, side, max(side * stride, 0.0), legs)
            _paint_arm(card, side, max(-side * stride, 0.0), coat, skin)
    card.limb((0.0, 1.45), (0.0, 0.78), (0.4, 0.36), coat)
    card.oval(0.0, 1.42, 0.2, 0.08, coat)
    _paint_head(card, 1.6, skin, hair, thing.speed_mps > 0)


def paint_bicyclist(stage: Stage, thing: Thing) -> None:
    """Paint someone on a bicycle, seen from behind or from ahead, leaning into each turn of the pedals."""
    if thing.depth_m < 1.2:
        return
    look = thing.look
    card = _card(stage, thing, "bicyclist", 1.0)
    turn = 7.0 * stage.time_s + 6.28 * look[0]
    vest, legs = pick(_VESTS, look[0]), pick(_TROUSERS, look[1])
    card.oval(0.0, 0.34, 0.04, 0.34, _TYRE)
    card.limb((0.0, 0.5), (0.0, 0.95), (0.06, 0.06), (90, 92, 98))
    card.limb((-0.27, 1.02), (0.27, 1.02), (0.05, 0.05), _TYRE)
    for side in (-1, 1):
        pedal = 0.28 + 0.16 * math.sin(turn + (math.pi if side > 0 else 0.0))
        card.limb((0.09 * side, 0.98), (0.14 * side, pedal + 0.36), (0.17, 0.13), legs)
        card.limb((0.14 * side, pedal + 0.38), (0.12 * side, pedal), (0.12, 0.09), legs, 0.9)
        card.oval(0.12 * side, pedal - 0.02, 0.06, 0.05, _TYRE)
        card.limb((0.2 * side, 1.44), (0.29 * side, 1.06), (0.11, 0.08), vest, 0.85)
    lean = 0.02 * math.sin(turn)
    card.limb((lean, 1.5), (0.0, 0.92), (0.42, 0.32), vest)
    card.oval(lean, 1.47, 0.21, 0.09, vest)
    _paint_head(card, 1.64, pick(_SKINS, look[3]), pick(_HAIRS, look[2]), thing.speed_mps > 0)
    card.oval(lean, 1.74, 0.125, 0.07, pick(_VESTS, look[4]))
    if thing.speed_mps > 0 and stage.light.lamps > 0:
        reach = 0.3 * card.scale
        stage.canvas.glow((card.foot_col, card.foot_row - 0.8 * card.scale), (reach, reach), (230, 40, 30))


def _paint_leg(card: _Card, side: int, lift: float, legs: Rgb) -> None:
    ankle = 0.06 + 0.12 * lift
    card.limb((0.08 * side, 0.85), (0.09 * side, 0.45 + 0.04 * lift), (0.18, 0.14), legs, 1 - 0.08 * side)
    card.limb((0.09 * side, 0.47 + 0.04 * lift), (0.09 * side, ankle), (0.14, 0.1), legs, 0.92 - 0.06 * side)
    card.oval(0.1 * side, ankle - 0.01, 0.06, 0.05, _SHOE)


def _paint_arm(card: _Card, side: int, lift: float, coat: Rgb, skin: Rgb) -> None:
    hand = 0.84 + 0.05 * lift
    card.limb((0.21 * side, 1.38), (0.26 * side, 1.1), (0.11, 0.1), coat, 0.85)
    card.limb((0.26 * side, 1.12), (0.25 * side, hand), (0.1, 0.08), coat, 0.8)
    card.oval(0.25 * side, hand - 0.03, 0.045, 0.055, skin)


def _paint_head(card: _Card, y: float, skin: Rgb, hair: Rgb, is_from_behind: bool) -> None:
    card.limb((0.0, y - 0.16), (0.0, y), (0.1, 0.1), skin, 0.85)
    card.oval(0.0, y, 0.1, 0.13, hair if is_from_behind else skin)
    card.oval(0.0, y + 0.06, 0.105, 0.085, hair)


def _card(stage: Stage, thing: Thing, label: str, size: float) -> _Card:
    """Return the card of a person, with the soft shadow under it painted."""
    scale = stage.camera.focal_px / thing.depth_m
    col, row = stage.camera.col(thing.x_m, thing.depth_m), stage.camera.row(0.0, thing.depth_m)
    stage.canvas.shade((col, row), (0.5 * scale, 0.1 * scale), 0.4)
    object_id = stage.canvas.new_object(label)
    return _Card(stage.canvas, stage.tone(thing.depth_m, 0.95), col, row, scale * size, CLASS_ID[label], object_id)
