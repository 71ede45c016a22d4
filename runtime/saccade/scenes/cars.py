"""Cars: a body of flat panels around a side profile, with glass, lamps, wheels and a number plate at the near end.

Places on a car are metres: along (from its near end), across (from its middle) and up. Only the faces that a camera on
the same road can see are painted: one side, the near end, and the bonnet or boot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from saccade.scenes.light import Rgb, Tone, pick, vary
from saccade.scenes.stage import CLASS_ID, Stage
from saccade.scenes.world import Thing

_BODIES: tuple[Rgb, ...] = (
    (178, 182, 186),
    (52, 56, 64),
    (204, 206, 204),
    (140, 30, 34),
    (36, 60, 112),
    (30, 32, 34),
    (92, 100, 106),
    (60, 92, 84),
)
_GLASS: Rgb = (46, 54, 62)
_SKY_IN_GLASS: Rgb = (112, 124, 136)
_TYRE: Rgb = (26, 26, 28)
_HUB: Rgb = (138, 140, 144)
_TRIM: Rgb = (44, 44, 48)
_TAIL: Rgb = (168, 24, 26)
_TAIL_LIT: Rgb = (255, 70, 50)
_HEAD: Rgb = (206, 210, 214)
_HEAD_LIT: Rgb = (255, 250, 230)
_YELLOW_PLATE: Rgb = (220, 184, 52)
_WHITE_PLATE: Rgb = (224, 224, 218)
_HALF_WIDTH_M = 0.88
_CAR = CLASS_ID["car"]

Place = tuple[float, float, float]
"""Along, across, up."""


@dataclass(frozen=True)
class _Profile:
    """Where the cabin stands, along the car from the near end: foot and top of its near and far screen."""

    near_foot: float
    near_top: float
    far_top: float
    far_foot: float
    near_deck: float
    far_deck: float


# Seen from behind: a hatchback whose boot is short. Seen from ahead: the bonnet comes first.
_FROM_BEHIND = _Profile(0.08, 0.5, 2.5, 3.1, 0.98, 0.86)
_FROM_AHEAD = _Profile(1.05, 1.7, 3.7, 4.1, 0.82, 0.98)
_BELT_M = 0.96
_ROOF_M = 1.46


@dataclass(frozen=True)
class _Car:
    """One car on its way to the canvas."""

    stage: Stage
    thing: Thing
    profile: _Profile
    body: Rgb
    tone: Tone
    object_id: int

    def panel(self, places: list[Place], colour: Rgb, shade: float = 1.0, part_id: int = 0) -> None:
        """Paint a convex panel under the light."""
        self.lamp(places, self.tone.of(colour, shade), part_id)

    def lamp(self, places: list[Place], shown: Rgb, part_id: int = 0) -> None:
        """Paint a convex panel in just this colour."""
        outline = self.stage.camera.outline([self.point(place) for place in places])
        self.stage.canvas.polygon(outline, shown, _CAR, part_id or self.object_id)

    def end(self, left: float, right: float, low: float, high: float) -> list[Place]:
        """Return an upright panel on the near end."""
        return [(0.0, left, low), (0.0, right, low), (0.0, right, high), (0.0, left, high)]

    def point(self, place: Place) -> tuple[float, float, float]:
        return self.thing.x_m + place[1], place[2], self.thing.depth_m + place[0]

    @property
    def px_per_m(self) -> float:
        return self.stage.camera.focal_px / max(self.thing.depth_m, 0.5)


def paint_car(stage: Stage, thing: Thing) -> None:
    """Paint one car: from behind when it drives the camera's way or is parked, from ahead when it comes towards it."""
    look, is_from_behind = thing.look, thing.speed_mps >= 0
    body = vary(pick(_BODIES, look[0]), look[1:])
    tone = stage.tone(max(thing.depth_m, 0.5))
    profile = _FROM_BEHIND if is_from_behind else _FROM_AHEAD
    car = _Car(stage, thing, profile, body, tone, stage.canvas.new_object("car"))
    _paint_shadow(car)
    _paint_side(car)
    _paint_cabin(car, is_from_behind)
    _paint_end(car, is_from_behind)


def _paint_shadow(car: _Car) -> None:
    """Darken the ground under and around the car, and paint its floor and tyres as the near end shows them."""
    depth = car.thing.depth_m
    if depth > 1.0:
        camera = car.stage.camera
        col, row = camera.col(car.thing.x_m, depth), camera.row(0.0, depth + 0.5)
        car.stage.canvas.shade((col, row), (1.1 * car.px_per_m, 0.22 * car.px_per_m), 0.65)
    if car.px_per_m > 6:
        for left, right, low in ((-0.8, 0.8, 0.16), (-0.84, -0.64, 0.0), (0.64, 0.84, 0.0)):
            car.panel([(0.5, left, low), (0.5, right, low), (0.5, right, 0.35), (0.5, left, 0.35)], _TYRE, 0.8)


def _paint_side(car: _Car) -> None:
    """Paint the side turned to the camera's lane: body, wheels, glass."""
    across = -math.copysign(_HALF_WIDTH_M, car.thing.x_m)
    if abs(car.thing.x_m) < _HALF_WIDTH_M + 0.1:
        return
    profile, length = car.profile, car.thing.length_m
    side = [(0.0, across, 0.26), (length, across, 0.26), (length, across, profile.far_deck)]
    side += [(profile.far_foot, across, _BELT_M), (profile.near_foot, across, _BELT_M)]
    side.append((0.0, across, profile.near_deck))
    car.panel(side, car.body, 0.78)
    if car.px_per_m > 9:
        car.panel([(0.0, across, 0.26), (length, across, 0.26), (length, across, 0.4), (0.0, across, 0.4)], _TRIM, 0.8)
        _paint_wheels(car, across)
    _paint_side_glass(car, across)


def _paint_wheels(car: _Car, across: float) -> None:
    for along in (0.72, car.thing.length_m - 0.72):
        car.panel(_disc(along, across, 0.31), _TYRE)
        if car.px_per_m > 18:
            car.panel(_disc(along, across, 0.19), _HUB, 0.8)


def _paint_side_glass(car: _Car, across: float) -> None:
    profile, top = car.profile, across * 0.8
    cabin = [(profile.near_foot, across, _BELT_M), (profile.far_foot, across, _BELT_M)]
    cabin += [(profile.far_top, top, _ROOF_M), (profile.near_top, top, _ROOF_M)]
    car.panel(cabin, car.body, 0.74)
    inner, middle = across * 0.96, (profile.near_foot + profile.far_foot) / 2
    for start, end, start_top, end_top in (
        (profile.near_foot + 0.22, middle - 0.06, profile.near_top + 0.08, middle - 0.06),
        (middle + 0.06, profile.far_foot - 0.22, middle + 0.06, profile.far_top - 0.08),
    ):
        glass = [(start, inner, _BELT_M + 0.05), (end, inner, _BELT_M + 0.05)]
        glass += [(end_top, top, _ROOF_M - 0.08), (start_top, top, _ROOF_M - 0.08)]
        car.panel(glass, _GLASS, 1.1)


def _paint_cabin(car: _Car, is_from_behind: bool) -> None:
    """Paint the near screen with its pillars, the roof's edge, and the bonnet or boot below."""
    foot, top, wide = car.profile.near_foot, car.profile.near_top, _HALF_WIDTH_M
    screen = [(foot, -wide, _BELT_M), (foot, wide, _BELT_M), (top, 0.8 * wide, _ROOF_M), (top, -0.8 * wide, _ROOF_M)]
    car.panel(screen, car.body, 0.95)
    if car.px_per_m > 6:
        mid = (foot + top) / 2
        low = [(foot, -0.86 * wide, _BELT_M + 0.04), (foot, 0.86 * wide, _BELT_M + 0.04)]
        high = [(top, 0.72 * wide, _ROOF_M - 0.07), (top, -0.72 * wide, _ROOF_M - 0.07)]
        middle = [(mid, 0.79 * wide, 1.2), (mid, -0.79 * wide, 1.2)]
        car.panel(low + middle, _GLASS)
        car.panel(middle[::-1] + high, _SKY_IN_GLASS if is_from_behind else _GLASS, 0.8)
    deck = car.profile.near_deck
    lid = [(0.0, -wide, deck), (0.0, wide, deck), (foot, wide, _BELT_M), (foot, -wide, _BELT_M)]
    car.panel(lid, car.body, 1.12)


def _paint_end(car: _Car, is_from_behind: bool) -> None:
    if car.thing.depth_m < 0.5:
        return
    wide, deck = _HALF_WIDTH_M, car.profile.near_deck
    car.panel(car.end(-wide, wide, 0.26, deck), car.body, 0.9)
    if car.px_per_m > 6:
        car.panel(car.end(-wide, wide, 0.26, 0.42), _TRIM)
    if not is_from_behind and car.px_per_m > 6:
        car.panel(car.end(-0.5 * wide, 0.5 * wide, 0.58, 0.68), _TRIM, 0.8)
    _paint_lamps(car, is_from_behind)
    plate = (0.6, 0.72) if is_from_behind else (0.44, 0.56)
    plate_id = car.stage.canvas.new_object("licence_plate", owner=car.object_id)
    car.panel(car.end(-0.26, 0.26, *plate), _YELLOW_PLATE if is_from_behind else _WHITE_PLATE, 0.95, plate_id)
    _paint_plate_text(car, plate, plate_id)


def _paint_lamps(car: _Car, is_from_behind: bool) -> None:
    """Paint tail lamps or headlights, which glow when the car drives by dusk or night."""
    wide, is_lit = _HALF_WIDTH_M, car.stage.light.lamps > 0 and car.thing.speed_mps != 0
    low, high = (0.66, 0.9) if is_from_behind else (0.58, 0.74)
    own, lit = (_TAIL, _TAIL_LIT) if is_from_behind else (_HEAD, _HEAD_LIT)
    for side in (-1, 1):
        left, right = sorted((side * 0.7 * wide, side * 0.97 * wide))
        car.lamp(car.end(left, right, low, high), lit if is_lit else car.tone.of(own))
        if is_lit:
            middle = (0.0, side * 0.84 * wide, (low + high) / 2)
            spot = car.stage.camera.outline([car.point(middle)])[0]
            reach, strength = (0.7 if is_from_behind else 1.5) * car.px_per_m, car.stage.light.lamps
            red, green, blue = (400, 70, 50) if is_from_behind else (300, 290, 255)
            car.stage.canvas.glow(spot, (reach, reach), (red * strength, green * strength, blue * strength))


def _paint_plate_text(car: _Car, plate: tuple[float, float], plate_id: int) -> None:
    """Paint seven dark strokes where there is room for them."""
    if car.px_per_m < 45:
        return
    for letter in range(7):
        left = -0.225 + 0.065 * letter + (0.02 if letter > 3 else 0.0)
        stroke = 0.025 + 0.015 * car.thing.look[letter]
        car.panel(car.end(left, left + stroke, plate[0] + 0.025, plate[1] - 0.025), _TRIM, 0.8, plate_id)


def _disc(along: float, across: float, radius: float) -> list[Place]:
    angles = [math.pi * step / 6 for step in range(12)]
    return [(along + radius * math.cos(angle), across, 0.32 + radius * math.sin(angle)) for angle in angles]
