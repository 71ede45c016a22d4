"""How accurate each arm is: the very bundle, variant and engine that were timed, on labelled images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import saccade
from saccade_bench.arms import Arm
from saccade_bench.chosen import BUNDLE_WAY
from saccade_export.quantize.scoring import Scorer, scorer_of


@dataclass(frozen=True)
class Labelled:
    """Where labelled images are, as ``saccade quantize`` reads them."""

    data: Path
    images: Path | None = None
    split: str = "val"
    limit: int | None = None

    def scorer(self, bundle: str) -> Scorer:
        """Raises ``DatasetError`` for images that are not as they should be."""
        manifest = saccade.open_bundle(bundle).manifest
        return scorer_of(manifest, self.data, self.images, self.split, self.limit)


def scores(
    arms: Sequence[Arm], labelled: Labelled, tell: Callable[[str, int, int], None]
) -> list[dict[str, float] | None]:
    """The task's metric of each arm that is a bundle, in points or dB; None for others."""
    found: list[dict[str, float] | None] = []
    for index, arm in enumerate(arms):
        tell(f"scoring {arm.name}", index, len(arms))
        if arm.module != BUNDLE_WAY:
            found.append(None)
            continue
        chosen = {name: arm.spec[name] for name in ("variant", "engine", "threads")}
        with saccade.open(arm.spec["bundle"], **chosen) as task:
            found.append(labelled.scorer(arm.spec["bundle"]).score(task))
    return found
