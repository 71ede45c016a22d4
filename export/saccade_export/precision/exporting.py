"""Variants in other precision for a bundle that was just exported: made, held to PyTorch's results, sealed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from saccade.bundle import Bundle
from saccade.errors import CheckError
from saccade.opening import open_task
from saccade.verify import verify
from saccade_export.precision.adding import Made, with_variants
from saccade_export.precision.calls import calls_for
from saccade_export.precision.reduced import Recipe, Reducer
from saccade_export.precision.tolerances import with_tolerances
from saccade_export.seal import seal
from saccade_export.user_frames import Frame

RECIPES = {
    "fp16": (Recipe("fp16", "gpu"),),
    "bf16": (Recipe("bf16", "gpu"),),
    "int8": (Recipe("int8", "cpu"), Recipe("int8", "gpu")),
}
"""What is made for each precision. A CPU's half is an engine's own doing: ``saccade quantize`` finds it."""


def add_precisions(
    bundle: Bundle,
    precisions: Sequence[str],
    method: str,
    frames: Sequence[Frame],
    provenance: Mapping[str, str],
    path: Path,
    say: Callable[[str], None],
) -> Bundle:
    """Write ``bundle`` with variants in ``precisions`` to ``path``, after those that it has.

    Values are measured on ``frames``, ranges of 8 bits follow by ``method``. Raises ``CheckError`` for a variant whose
    golden frames have little to do with PyTorch's results, and then leaves nothing that was not there before.
    """
    reducer = Reducer(bundle, *calls_for(bundle.manifest.task, frames))
    made: list[Made] = []
    for recipe in [recipe for precision in precisions for recipe in RECIPES[precision]]:
        say(f"making {recipe.name}")
        named = replace(recipe, method=method) if recipe.precision == "int8" else recipe
        made += with_tolerances(bundle, [reducer.make(named, base) for base in reducer.bases(named)])
    return seal_with(bundle, [], made, provenance, path)


def seal_with(
    bundle: Bundle, first: Sequence[Made], last: Sequence[Made], provenance: Mapping[str, str], path: Path
) -> Bundle:
    """Write ``bundle`` with more variants to ``path``, each new one's golden frames repeated first.

    Raises ``CheckError`` where one fails, and then leaves nothing at ``path`` that was not there before.
    """
    manifest, members = with_variants(bundle, first, last)
    manifest = replace(manifest, provenance={**manifest.provenance, **provenance})
    names = [made.variant.name for made in (*first, *last)]

    def check(written: Bundle) -> None:
        for name in names:
            with open_task(written, device="cpu", variant=name) as task:
                if not all(result.passed for result in verify(written, task)):
                    raise CheckError(f"variant {name} does not repeat its golden frames; nothing was written")

    return seal(manifest, members, path, check)
