"""How much each part of a network loses in 8 bits, on the task's metric, and how much of the time it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, takewhile

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
    """At most ``most`` blocks of layers: modules of the network, the largest of them in parts while there is room."""
    blocks = _parts(Block("", tuple(layers)))
    while True:
        split = [(block, _parts(block)) for block in sorted(blocks, key=lambda block: -len(block.layers))]
        fitting = [(block, parts) for block, parts in split if 1 < len(parts) <= most - len(blocks) + 1]
        if not fitting:
            break
        block, parts = fitting[0]
        place = blocks.index(block)
        blocks[place : place + 1] = parts
    if len(blocks) <= most:
        return blocks
    size = -(-len(layers) // most)
    chunks = [layers[start : start + size] for start in range(0, len(layers), size)]
    return [Block(" to ".join(dict.fromkeys((chunk[0], chunk[-1]))), tuple(chunk)) for chunk in chunks]


def _parts(block: Block) -> list[Block]:
    """The modules directly inside the one that a block's layers share, each with those of its layers in a row."""
    paths = [layer.split(".") for layer in block.layers]
    depth = 1
    while len({tuple(path[:depth]) for path in paths}) == 1 and depth < max(map(len, paths)):
        depth += 1
    runs = [tuple(run) for _, run in groupby(block.layers, lambda layer: layer.split(".")[:depth])]
    return [Block(_shared(run), run) for run in runs]


def _shared(layers: Sequence[str]) -> str:
    """The module that all ``layers`` are in: what their names begin with, up to a dot."""
    paths = [layer.removesuffix(".weight").split(".") for layer in layers]
    same = takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))
    return ".".join(parts[0] for parts in same)


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
