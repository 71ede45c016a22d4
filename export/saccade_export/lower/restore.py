"""Restoration, for all targets: bytes are cast before they are turned, since TensorRT does nothing else with them.

``prepare`` makes the bridge's state and map of a frame, ``finish`` a frame of a state. Between them lie all steps in
one graph, or none: then each is a graph of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from saccade.spec import RestoreSpec
from saccade_export.capture_restorer import MAP, STATE, TIME
from saccade_export.lower.graph import GraphWriter
from saccade_export.lower.image_parts import LARGEST_FLOAT

HALF_RANGE = 127.5
BICUBIC = {
    "mode": "cubic",
    "coordinate_transformation_mode": "half_pixel",
    "cubic_coeff_a": -0.5,
    "exclude_outside": 1,
}
"""Keys' kernel, renormalised at edges, as Pillow and MATLAB resize."""

ROUNDING = 1 / 12 / 255**2
"""The variance of rounding to bytes, in units of light: dark frames come from cameras that gave bytes."""

FRAME_TYPES = {"uint8": ir.DataType.UINT8, "float32": ir.DataType.FLOAT}


@dataclass(frozen=True)
class Lowering:
    """How frames come and go: ``entry`` is their type, "uint8" or "float32"."""

    spec: RestoreSpec
    entry: str

    def unrolled(self, network: ir.Model) -> ir.Model:
        """``frames`` to ``restored``, (N, H, W, 3), with every step inside. The network is used up."""
        graph = GraphWriter()
        order = graph.add_input("channel_order", ir.DataType.INT64, (3,))
        state, map_ = self._prepare(graph, order)
        (restored,) = graph.add_network(network, **{STATE: state, MAP: map_})
        self._finish(graph, restored, order)
        return graph.model()

    def prepare(self) -> ir.Model:
        """``frames`` to ``state`` (N, 3, H, W) and ``map`` (N, 1, H, W)."""
        graph = GraphWriter()
        state, map_ = self._prepare(graph, graph.add_input("channel_order", ir.DataType.INT64, (3,)))
        graph.add_output(state, STATE, ir.DataType.FLOAT, ("N", 3, "H_out", "W_out"))
        graph.add_output(map_, MAP, ir.DataType.FLOAT, ("N", 1, "H_out", "W_out"))
        return graph.model()

    def step(self, network: ir.Model) -> ir.Model:
        """``state``, ``map`` and ``time`` (N,) to ``velocity``. The network is used up."""
        graph = GraphWriter()
        state = graph.add_input(STATE, ir.DataType.FLOAT, ("N", 3, "H", "W"))
        map_ = graph.add_input(MAP, ir.DataType.FLOAT, ("N", 1, "H", "W"))
        time = graph.add_input(TIME, ir.DataType.FLOAT, ("N",))
        (velocity,) = graph.add_network(network, **{STATE: state, MAP: map_, TIME: time})
        graph.add_output(velocity, "velocity", ir.DataType.FLOAT, ("N", 3, "H", "W"))
        return graph.model()

    def finish(self) -> ir.Model:
        """``state`` to ``restored`` (N, H, W, 3) and ``finite`` (N,)."""
        graph = GraphWriter()
        order = graph.add_input("channel_order", ir.DataType.INT64, (3,))
        self._finish(graph, graph.add_input(STATE, ir.DataType.FLOAT, ("N", 3, "H", "W")), order)
        return graph.model()

    def _prepare(self, graph: GraphWriter, order: ir.Value) -> tuple[ir.Value, ir.Value]:
        frames = graph.add_input("frames", FRAME_TYPES[self.entry], ("N", "H", "W", 3))
        pixels = frames if self.entry == "float32" else graph.add("Cast", "frame_float", frames, to=ir.DataType.FLOAT)
        planes = graph.add("Transpose", "frame_planes", pixels, perm=[0, 3, 1, 2])
        ordered = graph.add("Gather", "frame_ordered", planes, order, axis=1)
        scaled = graph.add("Div", "frame_scaled", ordered, graph.constant("half_range", HALF_RANGE, np.float32))
        if self.spec.light is not None:
            return self._lift(graph, graph.add("Mul", "frame_light", scaled, graph.constant("half", 0.5, np.float32)))
        state = graph.add("Sub", "frame_state", scaled, graph.constant("one", 1.0, np.float32))
        if self.spec.scale > 1:
            factors = graph.constant("scales", [1, 1, self.spec.scale, self.spec.scale], np.float32)
            state = graph.add("Resize", "frame_enlarged", state, None, factors, **BICUBIC)
        map_ = self._map(graph, state)
        if self.spec.takes_mask:
            noise = graph.add_input("noise", ir.DataType.FLOAT, ("N", "H", "W", 3))
            filling = graph.add("Transpose", "noise_planes", noise, perm=[0, 3, 1, 2])
            is_hole = graph.add("Greater", "is_hole", map_, graph.constant("none", 0.0, np.float32))
            state = graph.add("Where", "frame_filled", is_hole, filling, state)
        return state, map_

    def _lift(self, graph: GraphWriter, light: ir.Value) -> tuple[ir.Value, ir.Value]:
        """The state of light in 0..1, lifted by gain and gamma, and how far its noise then goes.

        That is half of what one sigma up and down make; a pixel's sigma follows from the light around it.
        """
        names = ("gain", "gamma", "shot")
        gain, gamma, shot = (graph.add_input(name, ir.DataType.FLOAT, ("N", 1, 1, 1)) for name in names)
        level = graph.add_input("level", ir.DataType.FLOAT, ("N", 1, "H_level", "W_level"))
        unit = graph.constant("map_per_sigma", self.spec.map_per_sigma, np.float32)
        two, one = (graph.constant(name, value, np.float32) for name, value in (("two", 2.0), ("one", 1.0)))

        def lifted(name: str, value: ir.Value) -> ir.Value:
            gained = graph.add("Mul", f"{name}_gained", graph.add("Relu", f"{name}_above", value), gain)
            return graph.add("Pow", f"{name}_lifted", gained, gamma)

        grey = graph.add("ReduceMean", "light_grey", light, graph.axes(1), keepdims=1)
        around = graph.add(
            "AveragePool", "light_around", grey, kernel_shape=[5, 5], pads=[2, 2, 2, 2], count_include_pad=0
        )
        seen = graph.add("Relu", "light_seen", around)
        dark = graph.add("Mul", "level_light", level, unit)
        rounding = graph.constant("rounding", ROUNDING, np.float32)
        fixed = graph.add("Add", "variance_fixed", graph.add("Mul", "variance_dark", dark, dark), rounding)
        photons = graph.add("Mul", "variance_photons", graph.add("Mul", "shot_light", seen, shot), unit)
        sigma = graph.add("Sqrt", "light_sigma", graph.add("Add", "light_variance", fixed, photons))
        up = lifted("up", graph.add("Add", "light_up", seen, sigma))
        down = lifted("down", graph.add("Sub", "light_down", seen, sigma))
        doubled = graph.add("Mul", "frame_doubled", lifted("frame", light), two)
        return graph.add("Sub", "frame_state", doubled, one), graph.add("Sub", "level_map", up, down)

    def _map(self, graph: GraphWriter, state: ir.Value) -> ir.Value:
        """The map at the state's size: a number or a map of sigma, the holes, or what is the same everywhere."""
        count = graph.add("Shape", "state_count", state, start=0, end=1)
        sides = graph.add("Shape", "state_sides", state, start=2, end=4)
        shape = graph.add("Concat", "map_shape", count, graph.axes(1), sides, axis=0)
        unit = graph.constant("map_per_sigma", self.spec.map_per_sigma, np.float32)
        if not (self.spec.takes_sigma or self.spec.takes_mask):
            return graph.add("Expand", "level_map", unit, shape)
        level = graph.add_input("level", ir.DataType.FLOAT, ("N", 1, "H_level", "W_level"))
        return graph.add("Expand", "level_map", graph.add("Mul", "level_scaled", level, unit), shape)

    def _finish(self, graph: GraphWriter, state: ir.Value, order: ir.Value) -> None:
        """``restored``, its channels swapped back by the order that swapped them, and ``finite``."""
        axes = graph.constant("state_axes", [1, 2, 3], np.int64)
        total = graph.add("ReduceL1", "state_total", state, axes, keepdims=0)
        limit = graph.constant("largest_float", LARGEST_FLOAT, np.float32)
        graph.add_output(graph.add("LessOrEqual", "is_finite", total, limit), "finite", ir.DataType.BOOL, ("N",))
        lifted = graph.add("Add", "restored_lifted", state, graph.constant("black", 1.0, np.float32))
        pixels = graph.add("Mul", "restored_pixels", lifted, graph.constant("grey_levels", HALF_RANGE, np.float32))
        ordered = graph.add("Gather", "restored_ordered", pixels, order, axis=1)
        last = graph.add("Transpose", "restored_last", ordered, perm=[0, 2, 3, 1])
        if self.entry == "uint8":
            low, high = (graph.constant(n, v, np.float32) for n, v in (("least_pixel", 0.0), ("most_pixel", 255.0)))
            rounded = graph.add("Round", "restored_rounded", graph.add("Clip", "restored_clipped", last, low, high))
            last = graph.add("Cast", "restored_bytes", rounded, to=ir.DataType.UINT8)
        graph.add_output(last, "restored", FRAME_TYPES[self.entry], ("N", "H_out", "W_out", 3))
