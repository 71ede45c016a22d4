"""Street furniture: lamp columns, traffic signs on posts, bollards."""

from __future__ import annotations

import math

from saccade.scenes.light import Rgb, Tone
from saccade.scenes.stage import CLASS_ID, Stage
from saccade.scenes.world import Thing

_STEEL: Rgb = (128, 132, 132)
_SODIUM_LAMP: Rgb = (255, 222, 160)
_RED: Rgb = (186, 36, 40)
_WHITE: Rgb = (228, 228, 224)
_BLUE: Rgb = (36, 84, 160)
_BLACK: Rgb = (30, 30, 32)


def paint_lamp(stage: Stage, thing: Thing) -> None:
    """Paint a lamp column of seven metres with its arm over the road; lit when the light calls for it."""
    if thing.depth_m < 1.0:
        return
    camera, canvas, pole = stage.camera, stage.canvas, CLASS_ID["pole"]
    scale = camera.focal_px / thing.depth_m
    colour = stage.tone(thing.depth_m).of(_STEEL, 0.85)
    top, head = camera.row(7.0, thing.depth_m), thing.x_m - 1.5 * thing.side
    _post(stage, thing, 7.0, 0.16, colour)
    ends = sorted((camera.col(thing.x_m, thing.depth_m), camera.col(head, thing.depth_m)))
    canvas.rectangle((ends[0], top, ends[1], top + max(0.08 * scale, 1.0)), colour, pole)
    lamp = camera.col(head, thing.depth_m)
    is_lit = stage.light.lamps > 0
    shown = _SODIUM_LAMP if is_lit else colour
    canvas.rectangle((lamp - 0.32 * scale, top, lamp + 0.32 * scale, top + 0.16 * scale), shown, pole)
    if is_lit:
        reach, strength = 2.2 * scale, stage.light.lamps
        canvas.glow((lamp, top + 0.1 * scale), (reach, reach), (600 * strength, 420 * strength, 200 * strength))


def paint_sign(stage: Stage, thing: Thing) -> None:
    """Paint a post with a speed limit, a warning triangle, a blue disc or a direction board."""
    if thing.depth_m < 1.0:
        return
    tone = stage.tone(thing.depth_m)
    scale = stage.camera.focal_px / thing.depth_m
    height = 2.3 + 0.3 * thing.look[2]
    _post(stage, thing, height, 0.09, tone.of(_STEEL))
    centre = stage.camera.col(thing.x_m, thing.depth_m), stage.camera.row(height, thing.depth_m)
    faces = (_paint_limit, _paint_warning, _paint_disc, _paint_board)
    faces[int(thing.look[0] * len(faces))](stage, centre, 0.42 * scale, tone)


def paint_bollard(stage: Stage, thing: Thing) -> None:
    """Paint a black bollard with a pale band."""
    if thing.depth_m < 1.0:
        return
    tone, camera = stage.tone(thing.depth_m), stage.camera
    _post(stage, thing, 1.0, 0.2, tone.of(_BLACK, 1.2))
    half = max(0.1 * camera.focal_px / thing.depth_m, 0.6)
    col = camera.col(thing.x_m, thing.depth_m)
    band = camera.row(0.88, thing.depth_m), camera.row(0.78, thing.depth_m)
    stage.canvas.rectangle((col - half, band[0], col + half, band[1]), tone.of(_WHITE), CLASS_ID["pole"])


def _post(stage: Stage, thing: Thing, height_m: float, width_m: float, colour: Rgb) -> None:
    """Paint an upright post, never thinner than a pixel, dark on the side away from the light."""
    camera, pole = stage.camera, CLASS_ID["pole"]
    half = max(width_m * camera.focal_px / thing.depth_m, 1.2) / 2
    col = camera.col(thing.x_m, thing.depth_m)
    top, ground = camera.row(height_m, thing.depth_m), camera.row(0.0, thing.depth_m)
    stage.canvas.rectangle((col - half, top, col + half, ground), colour, pole)
    if half > 1.5:
        dark = [0.7 * part for part in colour]
        stage.canvas.rectangle((col + 0.3 * half, top, col + half, ground), dark, pole)


def _paint_limit(stage: Stage, centre: tuple[float, float], radius: float, tone: Tone) -> None:
    sign, canvas = CLASS_ID["sign"], stage.canvas
    canvas.ellipse(centre, (radius, radius), tone.of(_RED), sign)
    canvas.ellipse(centre, (0.76 * radius, 0.76 * radius), tone.of(_WHITE), sign)
    for digit in (-0.25, 0.25):
        col, half = centre[0] + digit * radius, 0.17 * radius
        box = (col - half, centre[1] - 2 * half, col + half, centre[1] + 2 * half)
        canvas.rectangle(box, tone.of(_BLACK), sign)


def _paint_warning(stage: Stage, centre: tuple[float, float], radius: float, tone: Tone) -> None:
    for size, colour in ((1.25, _RED), (0.85, _WHITE)):
        corners = [
            (centre[0] + size * radius * math.sin(angle), centre[1] - size * radius * math.cos(angle))
            for angle in (0.0, 2.094, 4.189)
        ]
        stage.canvas.polygon(corners, tone.of(colour), CLASS_ID["sign"])
    bar = (centre[0] - 0.08 * radius, centre[1] - 0.4 * radius, centre[0] + 0.08 * radius, centre[1] + 0.25 * radius)
    stage.canvas.rectangle(bar, tone.of(_BLACK), CLASS_ID["sign"])


def _paint_disc(stage: Stage, centre: tuple[float, float], radius: float, tone: Tone) -> None:
    stage.canvas.ellipse(centre, (radius, radius), tone.of(_WHITE), CLASS_ID["sign"])
    stage.canvas.ellipse(centre, (0.9 * radius, 0.9 * radius), tone.of(_BLUE), CLASS_ID["sign"])
    bar = (centre[0] - 0.14 * radius, centre[1] - 0.5 * radius, centre[0] + 0.14 * radius, centre[1] + 0.5 * radius)
    stage.canvas.rectangle(bar, tone.of(_WHITE), CLASS_ID["sign"])


def _paint_board(stage: Stage, centre: tuple[float, float], radius: float, tone: Tone) -> None:
    col, row = centre
    for size, colour in ((1.0, _WHITE), (0.93, (44, 96, 74))):
        box = (col - 1.5 * size * radius, row - size * radius, col + 1.5 * size * radius, row + size * radius)
        stage.canvas.rectangle(box, tone.of(colour), CLASS_ID["sign"])
    for line in (-0.5, 0.2):
        box = (col - 1.1 * radius, row + line * radius, col + (0.7 - line) * radius, row + (line + 0.25) * radius)
        stage.canvas.rectangle(box, tone.of(_WHITE), CLASS_ID["sign"])
