"""What a variant's golden frames are held to: as far from PyTorch as they are here, and as much again elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from saccade.bundle import Bundle
from saccade.errors import CheckError
from saccade.kinds import Check, ImageCheck
from saccade.manifest import RULES
from saccade.verify import verify
from saccade_export.precision.adding import Made, open_made

BOX_PX = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
BOX_CONFIDENCE = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
MOST_UNMATCHED = 0.25
LEAST_EQUAL = 0.8
MOST_GREY_LEVELS = 64.0
TWICE = 2.0
SHOW_MORE = "export with --golden-from-images, so that these frames show what the detector is for"
WAY_OUT = "saccade quantize finds what must stay in float32"


def with_tolerances(bundle: Bundle, made: Sequence[Made]) -> list[Made]:
    """``made`` with the tolerances that their golden frames pass here, with as much again to spare.

    Raises ``CheckError`` for a variant whose golden frames have little to do with PyTorch's results.
    """
    return [replace(each, variant=replace(each.variant, tolerances=_measured(bundle, each))) for each in made]


def _measured(bundle: Bundle, made: Made) -> dict[str, float]:
    kind = bundle.manifest.task.kind
    if kind == "segment":
        checks = _checks(bundle, made, {"equal_pixels": RULES[kind].tolerances["equal_pixels"][0]})
        worst = min(check.equal_pixels for check in checks)
        if worst < LEAST_EQUAL:
            raise CheckError(
                f"{made.variant.name} agrees with PyTorch on {worst:.0%} of a golden frame's pixels alone; {WAY_OUT}"
            )
        return {"equal_pixels": round(max(LEAST_EQUAL, 1 - TWICE * (1 - worst) - 0.001), 4)}
    if kind == "restore":
        checks = _checks(bundle, made, {"grey_levels": MOST_GREY_LEVELS})
        most = max(step.grey_levels for check in checks for step in check.steps)
        if most > MOST_GREY_LEVELS:
            raise CheckError(f"{made.variant.name} is {most} grey levels off PyTorch in a golden frame; {WAY_OUT}")
        return {"grey_levels": min(MOST_GREY_LEVELS, TWICE * most + 1)}
    return _of_boxes(bundle, made)


def _of_boxes(bundle: Bundle, made: Made) -> dict[str, float]:
    """The tightest of a few pairs that all boxes pass, else the loosest and the share that even so has no partner."""
    for box_px, confidence in zip(BOX_PX, BOX_CONFIDENCE, strict=True):
        tolerances = {"box_px": box_px, "confidence": confidence}
        if all(check.passed for check in _checks(bundle, made, tolerances)):
            return {name: TWICE * value for name, value in tolerances.items()}
    tolerances = {"box_px": BOX_PX[-1], "confidence": BOX_CONFIDENCE[-1], "unmatched": 0.0}
    unmatched = max(
        max(check.missing, check.extra) / max(check.boxes, 1) for check in _checks(bundle, made, tolerances)
    )
    if unmatched > MOST_UNMATCHED:
        raise CheckError(f"{made.variant.name} misses or adds {unmatched:.0%} of a golden frame's boxes; {SHOW_MORE}")
    return {**tolerances, "unmatched": min(0.5, TWICE * unmatched)}


def _checks(bundle: Bundle, made: Made, tolerances: dict[str, float]) -> list[Any]:
    """The golden frames as ``made`` gives them here, held to ``tolerances``."""
    held = replace(made.variant, tolerances=tolerances)
    asked = replace(bundle, manifest=replace(bundle.manifest, variants=(held,)))
    with open_made(bundle, [replace(made, variant=held)]) as task:
        checks = list(verify(asked, task))
    if not all(_is_finite(check) for check in checks):
        raise CheckError(f"{made.variant.name} gives numbers that are not finite in a golden frame; {WAY_OUT}")
    return checks


def _is_finite(check: Check) -> bool:
    return all(step.finite for step in check.steps) if isinstance(check, ImageCheck) else check.finite
