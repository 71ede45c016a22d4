"""``manifest.json``: one reader and one writer of the same fields.

Unknown fields are refused: a manifest that says more than this version understands was written for a newer one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from saccade.errors import BundleError
from saccade.fields import Fields, parse_json
from saccade.spec import (
    IMAGE_STAGE,
    MAX_DETECTIONS,
    Golden,
    Manifest,
    Member,
    RestoreSpec,
    Scalar,
    StoredArray,
    Variant,
    stages_of,
)
from saccade.task_fields import MAX_SIZE, read_task

FORMAT = "saccade"
FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 20
MAX_MEMBER_BYTES = (1 << 31) - 1
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
MEMBER_NAME = rf"{NAME}(/{NAME}){{0,3}}"
SHA256 = r"[0-9a-f]{64}"

DTYPES = ("uint8", "int32", "int64", "float32")


Sides = tuple[str | int, ...]
"""The shape of an array: a number, or a name whose size is the same wherever it occurs in a golden entry."""


@dataclass(frozen=True)
class TaskRules:
    """What the manifest of each kind of task must hold: its stages, tolerances and golden entries.

    Each variant has all ``stages`` of one of these forms: a single one has no name, and may have the image's stage
    beside it; others are the variant's parameter ``form``. Tolerances and golden numbers come with their range, golden
    arrays with their type and shape; some inputs may be absent. ``variant_counts`` and ``variant_choices`` are what a
    task must find among a variant's parameters.
    """

    stages: dict[str, tuple[str, ...]]
    tolerances: dict[str, tuple[float, float]]
    golden_inputs: dict[str, tuple[str, Sides]]
    golden_results: dict[str, tuple[str, Sides]]
    golden_numbers: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    golden_options: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    variant_counts: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    variant_choices: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    optional_inputs: tuple[str, ...] = ()
    optional_tolerances: tuple[str, ...] = ()


ONE_STAGE = {"": ("main",)}

MAY_BE_ZERO = "n"
"""The side that counts what was found in a frame."""

RULES = {
    # equal_pixels: the least share of pixels whose class must be PyTorch's.
    "segment": TaskRules(
        ONE_STAGE,
        {"equal_pixels": (0.5, 1.0)},
        {"frame": ("uint8", ("height", "width", 3))},
        {"class_map": ("uint8", ("height", "width"))},
    ),
    # box_px: how far a corner may be from PyTorch's, in pixels of the frame; confidence: likewise; unmatched: the share
    # of a frame's boxes that may lack a partner, where a variant of less precision has it.
    # The numbers are what the task is called with; boxes are compared from floor on.
    "detect": TaskRules(
        ONE_STAGE,
        {"box_px": (0.0, 64.0), "confidence": (0.0, 0.5), "unmatched": (0.0, 0.5)},
        {"frame": ("uint8", ("height", "width", 3))},
        {"xyxy": ("float32", ("n", 4)), "confidence": ("float32", ("n",)), "class_id": ("int64", ("n",))},
        {"floor": (0.0, 1.0), "confidence": (0.0, 1.0)},
        {"iou": (0.0, 1.0), "max_detections": (1, MAX_DETECTIONS)},
        {"candidates": (1, MAX_DETECTIONS)},
        {"ends_in": ("detections", "candidates")},
        optional_tolerances=("unmatched",),
    ),
    # grey_levels: how far a pixel may be from PyTorch's. Images are one for each number of steps, fewest first; sigma
    # is what the task is called with, mask is not 0 in holes.
    "restore": TaskRules(
        {"unrolled": ("main",), "stepwise": ("prepare", "step", "finish")},
        {"grey_levels": (0.0, 64.0)},
        {"frame": ("uint8", ("height", "width", 3)), "mask": ("uint8", ("height", "width"))},
        {"images": ("uint8", ("steps", "restored_height", "restored_width", 3))},
        variant_choices={"entry": ("uint8", "float32")},
        optional_inputs=("mask",),
    ),
}


def read_manifest(data: bytes) -> Manifest:
    """The manifest in ``data``. Raises ``BundleError`` that names the field at fault."""
    if len(data) > MAX_MANIFEST_BYTES:
        raise BundleError(MANIFEST_NAME, f"has {len(data)} bytes; at most {MAX_MANIFEST_BYTES} are allowed")
    fields = Fields(parse_json(data, MANIFEST_NAME), "manifest")
    fields.choice("format", (FORMAT,))
    version = fields.integer("format_version", 1, 1 << 20)
    if version != FORMAT_VERSION:
        raise BundleError(
            "manifest.format_version",
            f"is {version}, but this version of saccade reads {FORMAT_VERSION}; "
            + ("update saccade" if version > FORMAT_VERSION else "export the bundle again"),
        )
    manifest = Manifest(
        name=fields.text("name", NAME),
        task=read_task(fields.table("task")),
        stages=fields.texts("stages", 1, 16),
        variants=tuple(_read_variant(item) for item in fields.tables("variants", 1, 64)),
        golden=tuple(_read_golden(item) for item in fields.tables("golden", 1, 1000)),
        members=dict(_read_members(fields.table("members"))),
        provenance=_read_texts(fields.table("provenance")),
        metrics=_read_numbers(fields.table("metrics")),
        latency_budget_ms=fields.optional_number("latency_budget_ms"),
    )
    fields.finish()
    _check_references(manifest)
    return manifest


def write_manifest(manifest: Manifest) -> bytes:
    """The manifest as UTF-8 JSON with sorted keys: equal manifests give equal bytes."""
    content: dict[str, Any] = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(manifest)}
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _read_variant(fields: Fields) -> Variant:
    graphs, options = fields.table("graphs"), fields.table("engine_options")
    variant = Variant(
        name=fields.text("name", NAME),
        target=fields.text("target", NAME),
        precision=fields.text("precision", NAME),
        graphs={stage: graphs.text(stage, MEMBER_NAME) for stage in graphs.names()},
        weights=fields.texts("weights", 0, 64),
        opset=fields.integer("opset", 7, 1000),
        tolerances=_read_numbers(fields.table("tolerances")),
        parameters=_read_scalars(fields.table("parameters")),
        engine_options={engine: _read_scalars(options.table(engine)) for engine in options.names()},
        metrics=_read_numbers(fields.table("metrics")),
    )
    fields.finish()
    return variant


def _read_golden(fields: Fields) -> Golden:
    golden = Golden(
        inputs=_read_arrays(fields.table("inputs")),
        results=_read_arrays(fields.table("results")),
        parameters=_read_scalars(fields.table("parameters")),
    )
    fields.finish()
    return golden


def _read_arrays(fields: Fields) -> dict[str, StoredArray]:
    return {name: _read_array(fields.table(name)) for name in fields.names()}


def _read_array(fields: Fields) -> StoredArray:
    member, dtype = fields.text("member", MEMBER_NAME), fields.choice("dtype", DTYPES)
    array = StoredArray(member, dtype, fields.shape("shape", MAX_SIZE))  # type: ignore[arg-type]
    fields.finish()
    return array


def _read_members(fields: Fields) -> Iterator[tuple[str, Member]]:
    for name in fields.names():
        if not re.fullmatch(MEMBER_NAME, name) or name == MANIFEST_NAME:
            raise BundleError(fields.path, f"{name[:120]!r} is no name that a member may have")
        entry = fields.table(name)
        yield name, Member(size=entry.integer("size", 0, MAX_MEMBER_BYTES), sha256=entry.text("sha256", SHA256))
        entry.finish()


def _check_references(manifest: Manifest) -> None:
    """Every name that the manifest mentions is there, and every member is mentioned: nothing unknown travels along."""
    rules = RULES[manifest.task.kind]
    used = stages_of(manifest.variants)
    if sorted(manifest.stages) != sorted(used):
        raise BundleError("manifest.stages", f"must be those that the variants have: {', '.join(used)[:200]}")
    _refuse_repeats("manifest.variants", [variant.name for variant in manifest.variants])
    mentioned: set[str] = set()
    for index, variant in enumerate(manifest.variants):
        _check_variant(f"manifest.variants[{index}]", variant, rules)
        if isinstance(manifest.task, RestoreSpec):
            _check_steps(f"manifest.variants[{index}]", variant, manifest.task)
        mentioned |= {*variant.graphs.values(), *variant.weights}
    for index, golden in enumerate(manifest.golden):
        _check_golden(f"manifest.golden[{index}]", golden, rules, manifest)
        mentioned |= {array.member for array in (*golden.inputs.values(), *golden.results.values())}
    if missing := sorted(mentioned - set(manifest.members)):
        raise BundleError("manifest.members", f"lacks {missing[0]}, which the manifest mentions")
    if unknown := sorted(set(manifest.members) - mentioned):
        raise BundleError("manifest.members", f"has {unknown[0]}, which nothing mentions")


def _check_variant(path: str, variant: Variant, rules: TaskRules) -> None:
    form = "" if rules.stages is ONE_STAGE else variant.parameters.get("form")
    if form not in rules.stages:
        raise BundleError(f"{path}.parameters.form", f"must be one of {', '.join(rules.stages)}")
    stages = rules.stages[str(form)]
    prepared = {IMAGE_STAGE} if rules.stages is ONE_STAGE else set[str]()
    if set(variant.graphs) - prepared != set(stages):
        raise BundleError(f"{path}.graphs", f"must have one graph for each stage ({', '.join(stages)})")
    # Graphs name their weights by file name alone, so within a variant each must be its own.
    _refuse_repeats(path, [name.rpartition("/")[2] for name in (*variant.graphs.values(), *variant.weights)])
    if not set(rules.tolerances) - set(rules.optional_tolerances) <= set(variant.tolerances) <= set(rules.tolerances):
        raise BundleError(f"{path}.tolerances", f"must be {', '.join(rules.tolerances)}")
    for name, value in variant.tolerances.items():
        low, high = rules.tolerances[name]
        if not low <= value <= high:
            raise BundleError(f"{path}.tolerances.{name}", f"must be {low} to {high}, but is {value}")
    for name, (least, most) in rules.variant_counts.items():
        value = variant.parameters.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise BundleError(f"{path}.parameters.{name}", f"must be a whole number from {least} to {most}")
    if not re.fullmatch(NAME, variant.engine or "any"):
        raise BundleError(f"{path}.parameters.engine", "is no name that an engine may have")
    for name, choices in rules.variant_choices.items():
        if variant.parameters.get(name) not in choices:
            raise BundleError(f"{path}.parameters.{name}", f"must be one of {', '.join(choices)}")


def _check_steps(path: str, variant: Variant, task: RestoreSpec) -> None:
    """An unrolled variant takes a number of steps that the task has a table for."""
    steps = variant.parameters.get("steps")
    if variant.parameters["form"] == "unrolled" and (type(steps) is not int or steps not in task.steps):  # True is 1
        raise BundleError(f"{path}.parameters.steps", f"must be one of {', '.join(map(str, task.steps))}")


def _check_golden(path: str, golden: Golden, rules: TaskRules, manifest: Manifest) -> None:
    sizes: dict[str, int] = {}
    absent = {name for name in rules.optional_inputs if name not in golden.inputs}
    inputs = {name: what for name, what in rules.golden_inputs.items() if name not in absent}
    _check_arrays(f"{path}.inputs", golden.inputs, inputs, sizes, manifest)
    _check_arrays(f"{path}.results", golden.results, rules.golden_results, sizes, manifest)
    if isinstance(manifest.task, RestoreSpec):
        _check_restored(path, golden, manifest.task, sizes)
    if missing := sorted(set(rules.golden_numbers) - set(golden.parameters)):
        raise BundleError(f"{path}.parameters", f"lacks {missing[0]}")
    for name, (low, high) in {**rules.golden_numbers, **rules.golden_options}.items():
        value = golden.parameters.get(name, low)
        if isinstance(value, bool | str) or not low <= value <= high:
            raise BundleError(f"{path}.parameters.{name}", f"must be a number from {low} to {high}, but is {value!r}")


def _check_restored(path: str, golden: Golden, task: RestoreSpec, sizes: dict[str, int]) -> None:
    if ("mask" in golden.inputs) != task.takes_mask:
        raise BundleError(f"{path}.inputs", f"must hold a mask for mode 'inpaint' alone, but the mode is {task.mode!r}")
    if ("sigma" in golden.parameters) != task.takes_sigma:
        raise BundleError(f"{path}.parameters", f"must hold sigma where the task takes one; its mode is {task.mode!r}")
    ranges = {"sigma": task.sigma_range}
    if task.light is not None:
        ranges |= {"gain": task.light.gain_range, "gamma": task.light.gamma_range, "shot": task.light.shot_range}
    for name, (low, high) in ranges.items():
        value = golden.parameters.get(name, low)
        if isinstance(value, bool | str) or not low <= value <= high:
            raise BundleError(
                f"{path}.parameters.{name}", f"must be in the task's range, {low} to {high}, but is {value!r}"
            )
    wanted = (len(task.steps), sizes["height"] * task.scale, sizes["width"] * task.scale)
    found = (sizes["steps"], sizes["restored_height"], sizes["restored_width"])
    if found != wanted:
        raise BundleError(f"{path}.results.images", f"must be {(*wanted, 3)}, but is {(*found, 3)}")


def _check_arrays(
    path: str,
    arrays: dict[str, StoredArray],
    wanted: dict[str, tuple[str, Sides]],
    sizes: dict[str, int],
    manifest: Manifest,
) -> None:
    if set(arrays) != set(wanted):
        raise BundleError(path, f"must be {', '.join(sorted(wanted))}")
    for name, array in arrays.items():
        dtype, sides = wanted[name]
        if array.dtype != dtype or not _fits(array.shape, sides, sizes):
            asked = f"{dtype} ({', '.join(str(sizes.get(str(side), side)) for side in sides)})"
            raise BundleError(f"{path}.{name}", f"must be {asked}, but is {array.dtype} {array.shape}")
        size = np.dtype(array.dtype).itemsize * math.prod(array.shape)
        found = manifest.members.get(array.member)
        if found is not None and found.size != size:
            raise BundleError(f"{path}.{name}", f"{array.member} must have {size} bytes, but has {found.size}")


def _fits(shape: tuple[int, ...], sides: Sides, sizes: dict[str, int]) -> bool:
    """Whether ``shape`` has these sides; names met for the first time get their size in ``sizes``."""
    return len(shape) == len(sides) and all(
        (size > 0 or side == MAY_BE_ZERO) and size == (sizes.setdefault(side, size) if isinstance(side, str) else side)
        for size, side in zip(shape, sides, strict=True)
    )


def _read_numbers(fields: Fields) -> dict[str, float]:
    return {name: fields.number(name) for name in fields.names()}


def _read_texts(fields: Fields) -> dict[str, str]:
    return {name: fields.text(name) for name in fields.names()}


def _read_scalars(fields: Fields) -> dict[str, Scalar]:
    return {name: fields.scalar(name) for name in fields.names()}


def _refuse_repeats(path: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise BundleError(path, f"has {name!r} twice")
