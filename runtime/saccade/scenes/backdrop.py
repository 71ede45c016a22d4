"""The sky, the far tree line and the ground: all that is painted before the first object."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from saccade.scenes.camera import HEIGHT_M
from saccade.scenes.raster import Mask, Window, centres
from saccade.scenes.stage import CLASS_ID, Stage
from saccade.scenes.texture import Floats, Numbers, clamp, cloud_tile, grain_tile, numbers, sample, sample_smooth
from saccade.scenes.world import CENTRE_LINE_M, FRONT_LEFT_M, FRONT_RIGHT_M, KERB_LEFT_M, KERB_RIGHT_M, SIGHT_M

# From left to right across the road: the x at which each strip ends, and its colour.
_STRIPS = (
    (FRONT_LEFT_M - 0.8, (92.0, 108.0, 66.0)),
    (KERB_LEFT_M - 0.16, (146.0, 142.0, 138.0)),
    (KERB_LEFT_M - 0.03, (176.0, 173.0, 168.0)),
    (KERB_LEFT_M, (96.0, 94.0, 92.0)),
    (KERB_LEFT_M + 0.25, (92.0, 91.0, 92.0)),
    (KERB_RIGHT_M - 0.25, (106.0, 106.0, 109.0)),
    (KERB_RIGHT_M, (92.0, 91.0, 92.0)),
    (KERB_RIGHT_M + 0.03, (96.0, 94.0, 92.0)),
    (KERB_RIGHT_M + 0.16, (176.0, 173.0, 168.0)),
    (FRONT_RIGHT_M + 0.8, (146.0, 142.0, 138.0)),
    (np.inf, (92.0, 108.0, 66.0)),
)
_STRIP_CLASSES = ("tree", "pavement", "pavement", "pavement", *("road",) * 3, *("pavement",) * 3, "tree")
_PAINT_WHITE = (214.0, 214.0, 208.0)
_PAINT_YELLOW = (196.0, 168.0, 72.0)


def paint_backdrop(stage: Stage, seed: int) -> None:
    """Paint every pixel of the frame: sky, the trees at the end of the road, and the ground."""
    height, width = stage.camera.size_hw
    horizon = min(max(round(stage.camera.horizon_row), 1), height - 1)
    _paint_sky(stage, (slice(0, horizon), slice(0, width)), numbers(seed, 7))
    _paint_tree_line(stage, horizon)
    _paint_ground(stage, (slice(horizon, height), slice(0, width)))


def _paint_sky(stage: Stage, window: Window, look: Numbers) -> None:
    light, (height, width) = stage.light, stage.camera.size_hw
    rows = np.arange(window[0].stop, dtype=np.float32) / stage.camera.horizon_row
    cols = np.arange(width, dtype=np.float32) / width
    rise = (1.2 - 0.75 * rows) * 90 * height / width
    noise = sample_smooth(cloud_tile(), rise + 256 * look[0], cols * 70 + 256 * look[1] + 0.4 * stage.time_s)
    cover = clamp((noise - 0.62 + 0.5 * look[2]) * 3.2, 0, 1)
    belly = 1 - 0.16 * clamp(noise - 0.5, 0, 1)
    low = (rows**2)[:, None]
    planes: list[Floats] = []
    for zenith, skyline, cloud in zip(light.zenith, light.skyline, light.cloud, strict=True):
        clear = zenith + (skyline - zenith) * low
        planes.append(clear + (cloud * belly - clear) * cover * (1 - 0.55 * low))
    stage.canvas.paint(window, None, planes, CLASS_ID["sky"])


def _paint_tree_line(stage: Stage, horizon: int) -> None:
    """Close the road with woods in the haze, so that the sky does not meet the ground in a ruled line."""
    camera = stage.camera
    far = np.array([SIGHT_M + 60.0])
    turn = camera.focal_px * float(camera.bend_m(far)[0]) / float(far[0])
    cols = (np.arange(camera.size_hw[1]) + 0.5 - turn) / camera.focal_px
    hills = sample_smooth(cloud_tile(), np.array([9.0]), cols * 160)[0]
    crowns = sample(grain_tile(), np.zeros(1), cols * 600)
    tall = camera.focal_px * (0.012 + 0.05 * hills + 0.0125 * crowns)
    top = max(int(horizon - tall.max() - 1), 0)
    window = slice(top, horizon), slice(0, camera.size_hw[1])
    rows = centres(window[0])[:, None]
    tone = stage.tone(SIGHT_M, 0.8)
    grain = 0.75 + 0.5 * sample(grain_tile(), rows * 1.7, cols * 420)
    colour = [part * gain * grain + veil for part, gain, veil in zip((74, 92, 56), tone.gain, tone.veil, strict=True)]
    stage.canvas.paint(window, rows > horizon - tall, colour, CLASS_ID["tree"])


def _paint_ground(stage: Stage, window: Window) -> None:
    camera = stage.camera
    rows = centres(window[0]).astype(np.float64)
    depth = np.minimum(camera.focal_px * HEIGHT_M / np.maximum(rows - camera.horizon_row, 0.25), 2000.0)
    x = (centres(window[1]) - np.float32(camera.centre_col)) * (depth / camera.focal_px).astype(np.float32)[:, None]
    x -= camera.bend_m(np.minimum(depth, SIGHT_M)).astype(np.float32)[:, None]
    strip = np.zeros(x.shape, np.uint8)
    for edge, _ in _STRIPS[:-1]:
        strip += x >= edge
    texture = _ground_texture(stage, x, depth)
    white, yellow = _markings(stage, x, depth)
    gain, veil = stage.light.tones(depth, camera.position_m)
    beam = _beam(stage, x, depth)
    planes: list[Floats] = []
    for channel in range(3):
        colour = np.array([colour[channel] for _, colour in _STRIPS], np.float32)[strip] * texture
        np.copyto(colour, _PAINT_WHITE[channel] * (0.4 + 0.6 * texture), where=white)
        np.copyto(colour, _PAINT_YELLOW[channel] * (0.4 + 0.6 * texture), where=yellow)
        planes.append(colour * (gain[channel][:, None] * beam) + veil[channel][:, None])
    stage.canvas.paint(window, None, planes, CLASS_ID["road"])
    stage.canvas.class_map[window] = _strip_ids()[strip]


def _strip_ids() -> npt.NDArray[np.uint8]:
    return np.array([CLASS_ID[name] for name in _STRIP_CLASSES], np.uint8)


def _ground_texture(stage: Stage, x: Floats, depth: Floats) -> Floats:
    """Return about 1 for each pixel: stains a few metres wide, fine grain, both fading with distance."""
    camera = stage.camera
    along = (depth + camera.position_m)[:, None]
    fade = (1 / (1 + depth / 14)).astype(np.float32)[:, None]
    texel = camera.focal_px / 9
    grain = sample(grain_tile(), along * texel, (x + 64) * texel) - 0.5
    stains = sample(cloud_tile(), along * 9, (x + 64) * 22) - 0.5
    tracks = 0.03 * np.cos((x + 0.1) * np.float32(2 * np.pi / 1.6))
    return 1 + fade * (0.22 * grain + 0.3 * stains) + tracks


def _markings(stage: Stage, x: Floats, depth: Floats) -> tuple[Mask, Mask]:
    """Return where the dashed centre line and the yellow line along the kerb are painted."""
    along = depth + stage.camera.position_m
    is_dash = ((along % 6.0) < 3.6)[:, None] & (depth < 90)[:, None]
    white = (np.abs(x - CENTRE_LINE_M) < 0.07) & is_dash
    yellow = (np.abs(x - (KERB_RIGHT_M - 0.35)) < 0.05) & ((along % 140.0) < 70.0)[:, None] & (depth < 60)[:, None]
    return white, yellow


def _beam(stage: Stage, x: Floats, depth: Floats) -> Floats | float:
    """Return what is left of the light beside the headlights' beam; 1 where there are none."""
    if stage.light.headlights == 0:
        return 1.0
    width = (2.6 + 0.2 * depth).astype(np.float32)[:, None]
    aside: Floats = x / width
    squared = aside * aside
    return 0.65 / (1 + squared * squared) + 0.45
