"""How much each part of a network loses in 8 bits, on the task's metric, and how much of the time it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from saccade.spec import Variant
from saccade_export.precision.adding import open_made
from saccade_export.precision.reduced import Recipe, Reducer
from saccade_export.quantize.scoring import Scorer, lost

MOST_BLOCKS = 40
LEAST_MS = 1e-3
"""What a block is taken to last where no time was seen in it."""


@dataclass(frozen=True)
class Block:
    """Layers that follow each other and are kept in float32 together, named by what their weights' names share."""

    name: str
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Sensitivity:
    """What is ``lost`` with this block alone in 8 bits, and how many ``milliseconds`` it takes in float32."""

    block: Block
    lost: float
    milliseconds: float

    @property
    def worth(self) -> float:
        """What keeping the block in float32 saves for the time that it costs: those of the most go first."""
        return self.lost / max(self.milliseconds, LEAST_MS)


def blocks_of(layers: Sequence[str], most: int = MOST_BLOCKS) -> list[Block]:
    """At most ``most`` blocks of layers, as deep in the network's modules as that allows."""
    deepest = max((name.count(".") for name in layers), default=0) + 1
    for depth in range(deepest, 0, -1):

        def module(layer: str, depth: int = depth) -> str:
            return ".".join(layer.split(".")[:depth])

        runs = [Block(name, tuple(run)) for name, run in groupby(layers, module)]
        if len(runs) <= most:
            return runs
    size = -(-len(layers) // most)
    chunks = [layers[start : start + size] for start in range(0, len(layers), size)]
    return [Block(" to ".join(dict.fromkeys((chunk[0], chunk[-1]))), tuple(chunk)) for chunk in chunks]


def measure_sensitivity(
    reducer: Reducer,
    scorer: Scorer,
    recipe: Recipe,
    base: Variant,
    times: Mapping[str, float],
    before: Mapping[str, float],
    progress: Callable[[], object],
) -> list[Sensitivity]:
    """Each block's, with all others in float32, the one that is most worth keeping first.

    ``times`` are milliseconds by layer, ``before`` what ``base`` scores on the few images that this is measured on.
    """
    found: list[Sensitivity] = []
    for block in blocks_of(reducer.layers):
        alone = replace(recipe, kept=frozenset(reducer.layers) - frozenset(block.layers))
        with open_made(reducer.bundle, [reducer.make(alone, base)]) as task:
            after = scorer.score(task, few=True)
        found.append(Sensitivity(block, lost(before, after), sum(times.get(layer, 0.0) for layer in block.layers)))
        progress()
    return sorted(found, key=lambda each: -each.worth)
