"""Houses: a facade along the road with windows and doors, the gable end towards the camera, roof and chimney."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from saccade.scenes.light import Rgb, pick, vary
from saccade.scenes.raster import centres
from saccade.scenes.stage import CLASS_ID, Stage
from saccade.scenes.texture import Floats, Numbers, clamp, grain_tile, sample
from saccade.scenes.walls import Patch, wall
from saccade.scenes.world import Thing

_STOREY_M = 2.9
_DEPTH_M = 8.0
_BRICKS: tuple[Rgb, ...] = (
    (142, 96, 78),
    (176, 152, 116),
    (160, 132, 98),
    (196, 188, 172),
    (126, 84, 70),
    (206, 198, 184),
    (170, 150, 124),
)
_DOORS: tuple[Rgb, ...] = ((70, 30, 32), (36, 52, 70), (44, 60, 46), (38, 38, 42))
_SLATES: tuple[Rgb, ...] = ((92, 94, 102), (112, 84, 70), (98, 92, 90))
_FRAME: Rgb = (226, 224, 218)
_SILL: Rgb = (188, 184, 176)
_GLASS: Rgb = (62, 70, 80)
_LIT: Rgb = (255, 214, 140)
_FRAME_PART, _GLASS_PART, _SILL_PART, _DOOR_PART, _LIT_PART = range(1, 6)  # 0 is the wall itself


def paint_house(stage: Stage, thing: Thing) -> None:
    """Paint one plot of a terrace: the parts farther from the road first."""
    look = thing.look
    front = thing.x_m + thing.side * (1.2 * look[3] if look[3] > 0.6 else 0.0)
    top = 0.5 + _STOREY_M * (2 if look[1] < 0.6 else 3)
    brick = vary(pick(_BRICKS, look[0]), look[2:])
    _paint_roof(stage, thing, front, top)
    _paint_gable(stage, thing, front, top, brick)
    start, end = thing.depth_m, thing.depth_m + thing.length_m
    patch = wall(stage.camera, (front, start), (front, end), top)
    if patch is not None:
        _paint_facade(stage, patch, thing, brick)


def _paint_roof(stage: Stage, thing: Thing, front: float, top: float) -> None:
    start, end, side = max(thing.depth_m, 0.5), thing.depth_m + thing.length_m, thing.side
    tone = stage.tone((start + end) / 2)
    ridge, high = front + side * _DEPTH_M / 2, top + 2.4
    middle = (start + end) / 2
    chimney = [(ridge - 0.6, high - 1, middle), (ridge + 0.6, high - 1, middle)]
    chimney += [(ridge + 0.6, high + 1.3, middle), (ridge - 0.6, high + 1.3, middle)]
    building = CLASS_ID["building"]
    stage.canvas.polygon(stage.camera.outline(chimney), tone.of((124, 88, 72), 0.9), building)
    slope = [(front, top, start), (front, top, end), (ridge, high, end), (ridge, high, start)]
    stage.canvas.polygon(stage.camera.outline(slope), tone.of(pick(_SLATES, thing.look[4])), building)


def _paint_gable(stage: Stage, thing: Thing, front: float, top: float, brick: Rgb) -> None:
    """Paint the end of the house that faces the camera."""
    depth, back = thing.depth_m, front + thing.side * _DEPTH_M
    if depth < 1:
        return
    corners = [(front, 0.0, depth), (front, top, depth), ((front + back) / 2, top + 2.4, depth)]
    corners += [(back, top, depth), (back, 0.0, depth)]
    found = stage.canvas.polygon_mask(stage.camera.outline(corners))
    if found is None:
        return
    window, mask = found
    texel = 10 * depth / stage.camera.focal_px
    up = (centres(window[0]) - stage.camera.horizon_row) * texel
    across = (centres(window[1]) - stage.camera.col(front, depth)) * texel
    grain = 0.88 + 0.24 * sample(grain_tile(), up[:, None], across + 256 * thing.look[6])
    tone = stage.tone(depth, 0.8)
    planes = [own * gain * grain + veil for own, gain, veil in zip(brick, tone.gain, tone.veil, strict=True)]
    stage.canvas.paint(window, mask, planes, CLASS_ID["building"])


def _paint_facade(stage: Stage, patch: Patch, thing: Thing, brick: Rgb) -> None:
    parts = _facade_parts(patch, thing.look, stage.light.lit_windows)
    grain = 0.86 + 0.28 * sample(grain_tile(), patch.height_m * 11, patch.along_m * 9 + 256 * thing.look[6])
    detail = clamp((patch.px_per_m - 1.2) / 2.0, 0, 1).astype(np.float32)
    glass_shine = 1 + 0.9 * clamp(patch.height_m / 8 - 0.2, 0, 1)
    facing = 0.92 if thing.side < 0 else 0.8
    gain, veil = stage.light.tones(patch.depth_m, stage.camera.position_m, facing)
    colours = (brick, _FRAME, _GLASS, _SILL, pick(_DOORS, thing.look[5]), _LIT)
    shine = np.where(parts == _GLASS_PART, glass_shine, grain)
    planes: list[Floats] = []
    for channel in range(3):
        own: Floats = np.array([colour[channel] for colour in colours], np.float32)[parts] * shine
        bright: Floats = gain[channel]
        haze: Floats = veil[channel]
        plain = 0.78 * brick[channel] + 0.22 * _GLASS[channel]
        seen = (plain + (own - plain) * detail) * bright + haze
        np.copyto(seen, _LIT[channel] * (0.55 + 0.4 * detail), where=parts == _LIT_PART)
        planes.append(seen)
    stage.canvas.paint(patch.window, patch.mask, planes, CLASS_ID["building"])


def _facade_parts(patch: Patch, look: Numbers, lit_share: float) -> npt.NDArray[np.uint8]:
    """Return which part of a facade, wall to lit window, each pixel shows."""
    bay = 2.4 + 0.6 * look[2]
    storey = ((patch.height_m + 0.001) / _STOREY_M).astype(np.int32)
    across = np.abs(patch.along_m % bay - bay / 2).astype(np.float32)
    up = patch.height_m - storey * np.float32(_STOREY_M)
    half = 0.42 + 0.25 * look[4]
    parts = np.zeros(up.shape, np.uint8)
    parts[(across < half + 0.16) & (up > 0.72) & (up < 0.86)] = _SILL_PART
    parts[(across < half + 0.09) & (up > 0.86) & (up < 2.42)] = _FRAME_PART
    glass = (across < half) & (across > 0.04) & (up > 0.95) & (up < 2.33) & (np.abs(up - 1.65) > 0.04)
    parts[glass] = _GLASS_PART
    column = (patch.along_m / bay).astype(np.int32)
    dice = sample(grain_tile(), storey * 37.0 + 256 * look[0], column * 53.0 + 256 * look[1])
    parts[glass & ((dice * 97) % 1 < lit_share)] = _LIT_PART  # digits of a texel that its value does not show
    is_door = ((column % 3) == int(3 * look[5])) & (across < 0.5)
    parts[is_door & (patch.height_m < 2.15)] = _DOOR_PART
    parts[patch.height_m < 0.25] = _SILL_PART
    return parts
