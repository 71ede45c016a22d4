"""Convolutions, pools, resizing: how many axes, which modes."""

from __future__ import annotations

from collections.abc import Iterator

from saccade_export.support.findings import Fault, Rule, rule
from saccade_export.support.moving import REDUCTIONS
from saccade_export.support.seen import Seen
from saccade_export.support.targets import Target

COORDINATES = ("half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners")
LEAST_RANK = {
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "InstanceNormalization"), 3),
    "LRN": 4,
    "LpPool": 4,
    "MeanVarianceNormalization": 4,
    **dict.fromkeys(("ArgMax", "ArgMin", "Softmax", "LogSoftmax", "Hardmax"), 2),
    **dict.fromkeys((*REDUCTIONS, "RandomNormalLike", "RandomUniformLike"), 1),
}
FLAT_BEFORE = 13
"""Before this opset Softmax and its like flattened their input, so that one axis was enough."""

RESIZED_AXES = {"linear": 3, "cubic": 2}
"""How many of the last axes a mode resizes."""


def of_two_or_three_axes(seen: Seen, _: Target) -> Iterator[Fault]:
    """Windows move along one, two or three axes."""
    rank = seen.rank()
    if rank is not None and not 3 <= rank <= 5:
        yield Fault(f"{seen.operation} got {rank} axes, but takes 3 to 5; reshape before and after it")


def of_enough_axes(seen: Seen, _: Target) -> Iterator[Fault]:
    rank, least = seen.rank(), LEAST_RANK[seen.operation]
    if rank == 0 and seen.attribute("noop_with_empty_axes", 0):
        return
    if seen.operation in ("Softmax", "LogSoftmax", "Hardmax") and seen.opset < FLAT_BEFORE:
        return
    if rank is not None and rank < least:
        yield Fault(f"{seen.operation} got {rank} axes, but takes {least} or more; add some by Unsqueeze")


def norm_of_many(seen: Seen, target: Target) -> Iterator[Fault]:
    """Measured: TensorRT-RTX 1.7 does not build what is normalised over one number."""
    shape = seen.shape()
    if shape is not None and shape[2:] and all(size == 1 for size in shape[2:]):
        severity = "refused" if target.is_rtx else "unsure"
        yield Fault("InstanceNormalization works over one number a channel, whose spread is 0; leave it out", severity)


def pool_without_gaps(seen: Seen, _: Target) -> Iterator[Fault]:
    if any(gap != 1 for gap in seen.attribute("dilations", ())):
        yield Fault(f"{seen.operation} has dilations {list(seen.attribute('dilations'))}, but takes 1 alone")


def pool_without_indices(seen: Seen, _: Target) -> Iterator[Fault]:
    if len(seen.node.outputs) > 1 and seen.output(1) is not None:
        yield Fault("MaxPool gives Indices, which TensorRT's does not; take the values alone")


def pool_inside_padding(seen: Seen, _: Target) -> Iterator[Fault]:
    """A mean without the padding needs a pixel in each window."""
    kernel = list(seen.attribute("kernel_shape", ()))
    pads, shape = list(seen.attribute("pads", [0] * 2 * len(kernel))), seen.shape()
    if seen.attribute("count_include_pad", 0) or len(pads) != 2 * len(kernel):
        return
    if seen.attribute("ceil_mode", 0) and shape is not None:
        pads[len(kernel) :] = _reached(shape[2:], seen, pads, kernel)
    if any(pad >= kernel[axis % len(kernel)] for axis, pad in enumerate(pads)):
        yield Fault(f"AveragePool has pads {pads} (with what ceil_mode adds) as large as its kernel {kernel}; pad less")


def pool_of_pixels(seen: Seen, _: Target) -> Iterator[Fault]:
    """ONNX drops a last window that begins in the padding after the pixels; TensorRT counts it."""
    kernel, shape = list(seen.attribute("kernel_shape", ())), seen.shape()
    pads, steps = seen.attribute("pads", [0] * 2 * len(kernel)), seen.attribute("strides", [1] * len(kernel))
    if not seen.attribute("ceil_mode", 0) or shape is None or len(pads) != 2 * len(kernel):
        return
    for axis, (size, window, step) in enumerate(zip(shape[2:], kernel, steps, strict=False)):
        if (
            size is not None
            and -(-(size + pads[axis] + pads[axis + len(kernel)] - window) // step) * step >= size + pads[axis]
        ):
            yield Fault(
                f"{seen.operation} has ceil_mode and a last window in the padding, which ONNX drops; "
                "pad less, or leave ceil_mode out"
            )
            return


def deconvolution_of_one(seen: Seen, target: Target) -> Iterator[Fault]:
    """Measured: TensorRT-RTX 1.7 fails on some that follow a reduction."""
    shape, value = seen.shape(), seen.input(0)
    is_made = value is not None and value.producer() is not None
    if target.is_rtx and is_made and shape is not None and len(shape) == 3 and shape[2] == 1:
        yield Fault("ConvTranspose spreads one position, which TensorRT-RTX 1.7 may not build; use MatMul", "unsure")


def _reached(sizes: tuple[int | None, ...], seen: Seen, pads: list[int], kernel: list[int]) -> list[int]:
    """The padding after the last pixel that ``ceil_mode`` leads to, at most where a size is not known."""
    steps, count = list(seen.attribute("strides", [1] * len(kernel))), len(kernel)
    ends: list[int] = []
    for axis, (size, window, step) in enumerate(zip(sizes, kernel, steps, strict=False)):
        before, after = pads[axis], pads[axis + count]
        if size is None:
            ends.append(after + step - 1)
            continue
        windows = -(-(size + before + after - window) // step) + 1
        ends.append(max(after, (windows - 1) * step + window - size - before))
    return ends


def pool_of_one_or_two(seen: Seen, _: Target) -> Iterator[Fault]:
    if seen.attribute("p", 2) not in (1, 2):
        yield Fault(f"{seen.operation} has p {seen.attribute('p')}, but takes 1 and 2")


def deconvolution_padding(seen: Seen, _: Target) -> Iterator[Fault]:
    """Measured: TensorRT-RTX 1.7 leaves the output padding out where the padding is chosen by itself."""
    if seen.attribute("auto_pad", "NOTSET") == "VALID" and any(seen.attribute("output_padding", ())):
        yield Fault("ConvTranspose has auto_pad VALID and output_padding, which TensorRT leaves out; give pads instead")


def resize_coordinates(seen: Seen, _: Target) -> Iterator[Fault]:
    mode = seen.attribute("coordinate_transformation_mode", "half_pixel")
    if mode not in COORDINATES:
        yield Fault(f"Resize maps coordinates by {mode}, but TensorRT by {', '.join(COORDINATES)}")


def resize_corner_cases(seen: Seen, _: Target) -> Iterator[Fault]:
    """tf_half_pixel_for_nn is there for scales and for one way of rounding."""
    if seen.attribute("coordinate_transformation_mode", "half_pixel") != "tf_half_pixel_for_nn":
        return
    rounding = seen.attribute("nearest_mode", "round_prefer_floor")
    if rounding != "round_prefer_floor":
        yield Fault(f"Resize has tf_half_pixel_for_nn with {rounding}, but TensorRT with round_prefer_floor alone")
    if seen.has(3):
        yield Fault("Resize has tf_half_pixel_for_nn with sizes, but TensorRT with scales alone; give scales")


def resize_scales(seen: Seen, _: Target) -> Iterator[Fault]:
    """Scales are stored, and grow or shrink the last axes alone."""
    place = 1 if len(seen.node.inputs) == 2 else 2
    rank, shape = seen.rank(), seen.shape()
    scales, sizes = seen.constant(place), seen.constant(3)
    if seen.has(place) and scales is None and not seen.has(3):
        yield Fault(
            f"{seen.operation} gets scales that are computed: TensorRT takes stored ones, or computed sizes; give sizes"
        )
    mode = seen.attribute("mode", "nearest")
    if rank is None or shape is None or mode not in RESIZED_AXES:
        return
    axes = [axis % rank for axis in seen.attribute("axes", range(rank))]
    changed: set[int] = set()
    if scales is not None and scales.size == len(axes):
        changed = {axis for axis, scale in zip(axes, scales.ravel(), strict=True) if scale != 1}
    elif sizes is not None and sizes.size == len(axes):
        changed = {axis for axis, size in zip(axes, sizes.ravel(), strict=True) if shape[axis] != size}
    if changed and min(changed) < rank - RESIZED_AXES[mode]:
        yield Fault(f"Resize changes axis {min(changed)}, but {mode} the last {RESIZED_AXES[mode]} of {rank}; use two")


def deconvolution(seen: Seen, target: Target) -> Iterator[Fault]:
    """Measured: the builder of TensorRT-RTX 1.7 has no code for strides and dilations in one."""
    if any(step != 1 for step in seen.attribute("strides", ())) and any(
        gap != 1 for gap in seen.attribute("dilations", ())
    ):
        yield Fault(
            "ConvTranspose has strides and dilations, which TensorRT-RTX 1.7 does not build together; use one of them",
            "refused" if target.is_rtx else "unsure",
        )


def resize_plain(seen: Seen, _: Target) -> Iterator[Fault]:
    if seen.attribute("antialias", 0):
        yield Fault("Resize has antialias, which TensorRT's has not; resize by a convolution or a pool before it")
    policy = seen.attribute("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        yield Fault(f"Resize keeps the aspect ratio by {policy}, but TensorRT's stretches; give the sizes meant")


def resize_cubic(seen: Seen, target: Target) -> Iterator[Fault]:
    """Built by TensorRT-RTX 1.7; operators.md lists nearest and linear."""
    if seen.attribute("mode", "nearest") == "cubic" and not target.is_rtx:
        yield Fault("Resize is cubic: TensorRT-RTX builds it, TensorRT's documents list nearest and linear", "unsure")


def grid_sample(seen: Seen, target: Target) -> Iterator[Fault]:
    if seen.rank() == 5 and (older := target.older_than("11.2")):
        yield Fault(f"GridSample got 5 axes, which came with TensorRT 11.2, so {' and '.join(older)} may take 4 alone")


RULES: dict[str, Rule] = {
    "resize corner cases": rule(resize_corner_cases, "Resize"),
    "resize scales": rule(resize_scales, "Resize", "Upsample"),
    "deconvolution padding": rule(deconvolution_padding, "ConvTranspose"),
    "deconvolution": rule(deconvolution, "ConvTranspose"),
    "window axes": rule(of_two_or_three_axes, "Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"),
    "least axes": rule(of_enough_axes, *LEAST_RANK),
    "norm of one": rule(norm_of_many, "InstanceNormalization"),
    "pool dilations": rule(pool_without_gaps, "MaxPool", "AveragePool", "LpPool"),
    "pool indices": rule(pool_without_indices, "MaxPool"),
    "pool padding": rule(pool_inside_padding, "AveragePool"),
    "pool windows": rule(pool_of_pixels, "MaxPool", "AveragePool"),
    "one position": rule(deconvolution_of_one, "ConvTranspose"),
    "norm": rule(pool_of_one_or_two, "LpPool", "GlobalLpPool"),
    "resize coordinates": rule(resize_coordinates, "Resize"),
    "resize plain": rule(resize_plain, "Resize"),
    "resize cubic": rule(resize_cubic, "Resize"),
    "grid sample": rule(grid_sample, "GridSample"),
}
