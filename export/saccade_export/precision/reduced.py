"""A bundle's variants in less precision: which there can be, and how each is made from one in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import onnx_ir as ir

from saccade.bundle import Bundle
from saccade.errors import RequestError
from saccade.spec import IMAGE_STAGE, ImageSpec, Variant
from saccade_export.precision.adding import Made
from saccade_export.precision.body import layers
from saccade_export.precision.graphs import model_of, split
from saccade_export.precision.half import to_half
from saccade_export.precision.histograms import Histograms, measure, watched
from saccade_export.precision.int8 import to_int8
from saccade_export.precision.ranges import overflowing
from saccade_export.precision.recorded import Feed, record_inputs
from saccade_export.user_frames import Frame

WHOLE = "fp32"
NEEDS_OPENVINO = "on CPUs OpenVINO alone computes it; run pip install 'saccade[openvino]'"
HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""What OpenVINO is told to compute in where the graph does not say it, by precision."""

FOR_OPENVINO = {"segment": "cpu", "detect": "cpu", "restore": "gpu"}
"""Whose graphs OpenVINO computes fastest, by task, where something else prepares the image."""


@dataclass(frozen=True)
class Recipe:
    """How a variant is made: its ``precision``, for which ``target``, and for which ``engine`` alone, if for one.

    8 bits have ranges by ``method``, and leave the layers ``kept`` in float32.
    """

    precision: str
    target: str = "cpu"
    engine: str | None = None
    method: str = ""
    kept: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The name of a variant that is made so, before what tells it from others of its kind."""
        return f"{self.precision}-{self.engine or self.target}"

    @property
    def is_typed(self) -> bool:
        """Whether the precision is written into the graph, and not an engine's own doing."""
        return self.precision == "int8" or (self.engine is None and self.precision != WHOLE)


@dataclass(frozen=True)
class Reducer:
    """Makes variants of ``bundle`` in less precision, from what its tasks give their graphs for ``frames``.

    ``asked(i)`` are the arguments of the i-th frame's call. What is measured is measured once for each graph.
    """

    bundle: Bundle
    frames: Sequence[Frame]
    asked: Callable[[int], Mapping[str, Any]]
    _histograms: dict[frozenset[str], Histograms] = field(default_factory=dict[frozenset[str], Histograms])

    def bases(self, recipe: Recipe) -> list[Variant]:
        """The variants that ``recipe`` is made from, the one of fewest steps first.

        Raises ``RequestError`` for none.
        """
        in_openvino = FOR_OPENVINO[self.bundle.manifest.task.kind]
        target = in_openvino if recipe.engine == "openvino" else recipe.target
        found = [each for each in self.bundle.manifest.variants if (each.precision, each.target) == (WHOLE, target)]
        found = [each for each in found if each.parameters.get("form") != "stepwise" and each.engine is None]
        if not found:
            raise RequestError(
                f"{self.bundle.path.name} has no variant in {WHOLE} for {target}; export the network again"
            )
        return sorted(
            found, key=lambda each: (each.parameters.get("entry", "") != "uint8", each.parameters.get("steps", 0))
        )

    @cached_property
    def layers(self) -> list[str]:
        """The names of the network's layers, in order."""
        return list(layers(model_of(self.bundle, self.bases(Recipe("int8"))[0]).graph))

    def make(self, recipe: Recipe, base: Variant) -> Made:
        """The variant of ``recipe`` that does what ``base`` does, held to the tolerances of ``base`` for now."""
        parameters = dict(base.parameters) | ({} if recipe.engine is None else {"engine": recipe.engine})
        hint = (
            {"openvino": {"INFERENCE_PRECISION_HINT": HINTS[recipe.precision]}} if recipe.engine == "openvino" else {}
        )
        variant = replace(
            base,
            name=recipe.name + base.name.removeprefix(f"{base.precision}-{base.target}"),
            target=recipe.target,
            precision=recipe.precision,
            parameters=parameters,
            engine_options={**base.engine_options, **hint},
        )
        image = self.bundle.manifest.task.image
        if recipe.engine == "openvino" and isinstance(image, ImageSpec):
            first, rest = split(self._model(recipe, base), image.size_hw)
            return Made(variant, {IMAGE_STAGE: _serialized(first), "main": _serialized(rest)})
        return Made(variant, {"main": _serialized(self._model(recipe, base))} if recipe.is_typed else {})

    def feeds(self, base: Variant) -> list[Feed]:
        """What the graph of ``base`` is given for the frames."""
        return record_inputs(self.bundle, base, self.frames, self.asked)["main"]

    def _model(self, recipe: Recipe, base: Variant) -> ir.Model:
        model = model_of(self.bundle, base)
        if not recipe.is_typed:
            return model
        if recipe.precision == "int8":
            tensors = frozenset(watched(model))  # graphs for bytes and for floats have the same
            if tensors not in self._histograms:
                self._histograms[tensors] = measure(model, self.feeds(base))
            ranges = self._histograms[tensors].ranges(recipe.method)
            model, _ = to_int8(model, ranges, recipe.target, recipe.kept)
        else:
            to_half(model, recipe.precision, overflowing(model, self.feeds(base), recipe.precision))
        return model


def _serialized(model: ir.Model) -> bytes:
    return ir.to_proto(model).SerializeToString(deterministic=True)
