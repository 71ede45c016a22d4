"""The PyTorch network that a bundle was made from, found by what the bundle says of its origin."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saccade.bundle import Bundle
from saccade.errors import RequestError, WeightsError
from saccade.spec import DetectSpec, ImageSpec, RestoreSpec
from saccade_bench.arms import Arm
from saccade_bench.bare import network_of

if TYPE_CHECKING:
    from saccade_export.heads import Head

TORCH_WAY = "saccade_bench.ways.torch"
FORMS = ("eager", "channels-last", "compile")
"""As it is; with channels innermost in memory; through ``torch.compile``."""


def torch_arms(bundle: Bundle, weights: Path, given: Mapping[str, Any], threads: int | None) -> list[Arm]:
    """The network in each of ``FORMS``, ``given`` what the bundle's own arm is.

    Raises ``RequestError`` for a bundle made from no PyTorch code, ``WeightsError`` for other weights than its own.
    """
    check(bundle, weights)
    spec = {name: given[name] for name in ("frames", "asked") if name in given}
    spec |= {"bundle": str(bundle.path), "weights": str(weights.absolute()), "threads": threads}
    return [Arm(f"torch-{form}", TORCH_WAY, {**spec, "form": form}) for form in FORMS]


def check(bundle: Bundle, weights: Path) -> None:
    """Whether ``weights`` are the file that the bundle was made from, and PyTorch code is what made it."""
    known = bundle.manifest.provenance
    if ":" not in known.get("network", ""):
        made = known.get("network") or "nothing that it tells"
        raise RequestError(
            f"{bundle.path.name} was made from {made}; --torch needs one that was made from PyTorch code"
        )
    try:
        found = hashlib.sha256(weights.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"{weights} cannot be read: {error.strerror or error}") from error
    if found != known["weights_sha256"]:
        raise WeightsError(
            f"{weights.name} (sha256 {found[:12]}…) is not what {bundle.path.name} was made from "
            f"({known['weights_sha256'][:12]}…); the arms would not do the same work"
        )
    task = bundle.manifest.task
    if isinstance(task, RestoreSpec) and task.takes_mask:
        raise RequestError("--torch cannot fill holes: what fills them first is drawn by the runtime")
    if isinstance(task, DetectSpec):
        head_of(bundle)


def built_for(bundle: Bundle, weights: str) -> Any:
    """The network with its weights, in evaluation mode."""
    from saccade_export.source import NetworkRequest, build

    known = bundle.manifest.provenance
    request = NetworkRequest(known["network"], Path(weights), _arguments(known["network_arguments"]))
    return build(request, lambda _: None).network


def head_of(bundle: Bundle) -> Head:
    """What reads the raw outputs of a detector, found by their names and by what is left to suppress."""
    from saccade_export.heads import HEADS

    task = bundle.manifest.task
    assert isinstance(task, DetectSpec)
    assert isinstance(task.image, ImageSpec)
    _, outputs = network_of(bundle)
    made = [kind(len(task.classes), task.image.size_hw) for kind in HEADS.values()]
    suppressed = task.suppression != "none"
    found = [head for head in made if list(head.outputs) == outputs and head.needs_suppression == suppressed]
    if len(found) != 1:
        raise RequestError(f"{bundle.path.name} does not tell how its {' and '.join(outputs)} are read: no --torch")
    return found[0]


def _arguments(text: str) -> dict[str, Any]:
    """What ``--arg`` was given, as the bundle tells it: "classes=1, one_to_one=True"."""
    if not text:
        return {}
    call = ast.parse(f"f({text})", mode="eval").body
    assert isinstance(call, ast.Call)
    try:
        return {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
    except ValueError as error:
        raise RequestError(f"the network's arguments {text!r} cannot be read") from error
