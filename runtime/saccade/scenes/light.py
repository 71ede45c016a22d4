"""The light of day, dusk and night: what it does to a colour at a place on the road, and the noise it leaves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from saccade.scenes.texture import Floats, Numbers

LAMP_SPACING_M = 30.0
_HAZE_M = 420.0
_REACH_M = 26.0
_SODIUM = (1.0, 0.74, 0.42)

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """One kind of light. Colours are 0 to 255 as displayed; gains multiply a surface's own colour."""

    name: str
    ambient: Rgb
    zenith: Rgb
    skyline: Rgb
    cloud: Rgb
    haze: Rgb
    headlights: float
    lamps: float
    lit_windows: float
    read_noise: float
    shot_noise: float

    def tone(self, depth_m: float, position_m: float, facing: float = 1.0) -> Tone:
        """Return what the light does to surfaces of one object."""
        veil = 1 - math.exp(-depth_m / _HAZE_M)
        lamp = self.lamps * _pool(position_m + depth_m)
        beam = self.headlights * math.exp(-depth_m / _REACH_M)
        lit = [part * facing + lamp * sodium + beam for part, sodium in zip(self.ambient, _SODIUM, strict=True)]
        return Tone(_scaled((lit[0], lit[1], lit[2]), 1 - veil), _scaled(self.haze, veil))

    def tones(self, depth_m: Floats, position_m: float, facing: float = 1.0) -> tuple[Floats, Floats]:
        """Return gain and veil, each (3, n), at each of n depths: a colour becomes colour * gain + veil."""
        veil = 1 - np.exp(-depth_m / _HAZE_M)
        gain = np.outer(self.ambient, np.full_like(depth_m, facing))
        if self.lamps > 0:
            gain = gain + np.outer(_SODIUM, self.lamps * (0.5 + 0.5 * np.cos(_turns(position_m + depth_m))))
        if self.headlights > 0:
            gain = gain + self.headlights * np.exp(-depth_m / _REACH_M)
        return (gain * (1 - veil)).astype(np.float32), np.outer(self.haze, veil).astype(np.float32)


@dataclass(frozen=True)
class Tone:
    """Light on one object: each colour is multiplied by ``gain``, then ``veil``, the haze before it, is added."""

    gain: Rgb
    veil: Rgb

    def of(self, colour: Rgb, shade: float = 1.0) -> Rgb:
        """Return a surface's own colour as the camera sees it."""
        gain, veil = self.gain, self.veil
        return (
            colour[0] * gain[0] * shade + veil[0],
            colour[1] * gain[1] * shade + veil[1],
            colour[2] * gain[2] * shade + veil[2],
        )


LIGHTS = {
    light.name: light
    for light in (
        Light(
            name="day",
            ambient=(1.0, 1.0, 0.99),
            zenith=(148, 178, 214),
            skyline=(226, 232, 238),
            cloud=(236, 239, 243),
            haze=(214, 220, 227),
            headlights=0.0,
            lamps=0.0,
            lit_windows=0.0,
            read_noise=1.0,
            shot_noise=0.02,
        ),
        Light(
            name="dusk",
            ambient=(0.55, 0.48, 0.50),
            zenith=(92, 104, 146),
            skyline=(244, 182, 128),
            cloud=(214, 142, 122),
            haze=(186, 148, 132),
            headlights=0.16,
            lamps=0.10,
            lit_windows=0.3,
            read_noise=2.2,
            shot_noise=0.06,
        ),
        Light(
            name="night",
            ambient=(0.15, 0.15, 0.19),
            zenith=(10, 12, 22),
            skyline=(46, 38, 38),
            cloud=(34, 30, 34),
            haze=(34, 30, 32),
            headlights=0.5,
            lamps=0.36,
            lit_windows=0.35,
            read_noise=5.0,
            shot_noise=0.2,
        ),
    )
}


def pick(colours: tuple[Rgb, ...], number: float) -> Rgb:
    """Return the colour that a number in [0, 1) points at."""
    return colours[int(number * len(colours))]


def vary(colour: Rgb, look: Numbers, spread: float = 0.1) -> Rgb:
    """Return a colour made a little lighter or darker by the first of an object's numbers."""
    return _scaled(colour, 1 + spread * (2 * look[0] - 1))


def _scaled(colour: Rgb, factor: float) -> Rgb:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def _pool(place_m: float) -> float:
    return 0.5 + 0.5 * math.cos(2 * math.pi * place_m / LAMP_SPACING_M)


def _turns(place_m: Floats) -> Floats:
    return 2 * np.pi * place_m / LAMP_SPACING_M
