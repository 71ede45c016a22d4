"""Trees with ragged crowns, and the gardens between houses: a fence, or a hedge, with trees behind it."""

from __future__ import annotations

import numpy as np

from saccade.scenes.light import Rgb, pick
from saccade.scenes.raster import Window, centres, distance_squared
from saccade.scenes.stage import CLASS_ID, Stage
from saccade.scenes.texture import Numbers, clamp, cloud_tile, grain_tile, sample, sample_smooth
from saccade.scenes.walls import Patch, wall
from saccade.scenes.world import Thing

_LEAVES: tuple[Rgb, ...] = ((78, 104, 48), (92, 112, 56), (64, 88, 50), (108, 116, 60))
_BARK: Rgb = (84, 72, 60)
_BOARDS: tuple[Rgb, ...] = ((134, 104, 76), (108, 92, 78), (150, 128, 100), (92, 96, 88))


def paint_tree(stage: Stage, thing: Thing) -> None:
    """Paint a street tree: a trunk and a crown that starts above the heads of people."""
    if thing.depth_m > 1.5:
        _paint_tree(stage, thing.x_m, thing.depth_m, 4.6 + 2.6 * thing.look[0], thing.look)


def paint_garden(stage: Stage, thing: Thing) -> None:
    """Paint an open plot: trees at the back, then a fence or a hedge along the pavement."""
    look, middle = thing.look, thing.depth_m + thing.length_m / 2
    for step, depth in enumerate((middle + 3.5, middle - 2.5)):
        if depth > 2.5:
            mixed = look[step + 1 :] + look[: step + 1]
            _paint_tree(stage, thing.x_m + thing.side * (4.0 + 2.5 * mixed[0]), depth, 5.0 + 3.5 * mixed[2], mixed)
    is_fence = look[2] < 0.6
    top = 1.5 + 0.5 * look[3] if is_fence else 1.3 + 0.9 * look[3]
    start, end = (thing.x_m, thing.depth_m), (thing.x_m, thing.depth_m + thing.length_m)
    patch = wall(stage.camera, start, end, top)
    if patch is None:
        return
    if is_fence:
        _paint_fence(stage, patch, look, top)
    else:
        _paint_hedge(stage, patch, look, top)


def _paint_fence(stage: Stage, patch: Patch, look: Numbers, top: float) -> None:
    """Paint close boards with a rail on top and a post every two metres."""
    board = (patch.along_m / 0.16).astype(np.int32)
    shade = 0.8 + 0.4 * sample(grain_tile(), board * 31.0, board * 17.0 + 256 * look[0])
    gap = np.where(patch.along_m % 0.16 < 0.02, 0.55, 1.0) * np.where(patch.along_m % 2.0 < 0.12, 0.8, 1.0)
    detail = clamp((patch.px_per_m - 6) / 10, 0, 1)
    stripe = (0.97 + (shade * gap - 0.97) * detail).astype(np.float32)
    rise = np.where(patch.height_m > top - 0.1, 1.15, 0.8 + 0.2 * patch.height_m / top)
    gain, veil = stage.light.tones(patch.depth_m, stage.camera.position_m, 0.85)
    own = pick(_BOARDS, look[4])
    planes = [part * stripe * gain[channel] * rise + veil[channel] for channel, part in enumerate(own)]
    stage.canvas.paint(patch.window, patch.mask, planes, CLASS_ID["fence"])


def _paint_hedge(stage: Stage, patch: Patch, look: Numbers, top: float) -> None:
    leaves = sample(grain_tile(), patch.height_m * 24, patch.along_m * 24 + 256 * look[0])
    shade = (0.45 + 0.75 * leaves) * (0.65 + 0.4 * clamp(patch.height_m / top, 0, 1))
    gain, veil = stage.light.tones(patch.depth_m, stage.camera.position_m, 0.85)
    own = pick(_LEAVES, look[4])
    planes = [part * shade * gain[channel] + veil[channel] for channel, part in enumerate(own)]
    ragged = patch.mask & (patch.height_m < top - 0.25 * leaves)
    stage.canvas.paint(patch.window, ragged, planes, CLASS_ID["tree"])


def _paint_tree(stage: Stage, x_m: float, depth_m: float, height_m: float, look: Numbers) -> None:
    camera, tree = stage.camera, CLASS_ID["tree"]
    scale = camera.focal_px / depth_m
    col, ground = camera.col(x_m, depth_m), camera.row(0.0, depth_m)
    tone = stage.tone(depth_m)
    trunk = (0.1 + 0.08 * look[1]) * scale
    bottom = ground - 0.42 * height_m * scale
    stage.canvas.shade((col, ground), (0.9 * scale, 0.16 * scale), 0.35)
    stage.canvas.rectangle((col - trunk, bottom, col + trunk, ground), tone.of(_BARK, 0.85), tree)
    centre = (col, ground - 0.66 * height_m * scale)
    radii = ((0.3 + 0.1 * look[3]) * height_m * scale, 0.4 * height_m * scale)
    window = stage.canvas.window(
        centre[0] - 1.2 * radii[0], centre[1] - 1.2 * radii[1], centre[0] + 1.2 * radii[0], centre[1] + 1.2 * radii[1]
    )
    if window is not None:
        _paint_crown(stage, window, (centre, radii), depth_m, look)


def _paint_crown(
    stage: Stage, window: Window, oval: tuple[tuple[float, float], tuple[float, float]], depth_m: float, look: Numbers
) -> None:
    """Paint leaves where an oval, made ragged by noise, says so; light comes from above."""
    (centre, radii), tone = oval, stage.tone(depth_m)
    metres = depth_m / stage.camera.focal_px
    down = (centres(window[0]) - centre[1]) * metres
    across = (centres(window[1]) - centre[0]) * metres
    clumps = sample_smooth(cloud_tile(), down * 26 + 256 * look[0], across * 26 + 256 * look[1])
    leaves = sample(grain_tile(), (down * 30 + 256)[:, None], across * 30 + 256 + 256 * look[2])
    reach = distance_squared(window, centre, radii) + 1.5 * (clumps - 0.5) + 0.7 * (leaves - 0.5)
    height = clamp(0.5 - down * (0.4 * stage.camera.focal_px / (depth_m * radii[1])), 0, 1)[:, None]
    shade = (0.3 + 0.55 * leaves) * (0.6 + 0.6 * height) * (0.7 + 0.8 * (1 - clumps))
    own = pick(_LEAVES, look[4])
    colour = [part * 1.45 * gain * shade + veil for part, gain, veil in zip(own, tone.gain, tone.veil, strict=True)]
    stage.canvas.paint(window, reach < 1, colour, CLASS_ID["tree"])
