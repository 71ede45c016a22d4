"""Convolutions, pools, resizing and whatever else looks at windows of an image."""

from __future__ import annotations

from onnx import TensorProto

from tests.generated.draft import Draft, Refused, Value

COORDINATES = (
    *("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners") * 3,
    *("tf_half_pixel_for_nn", "tf_crop_and_resize", "half_pixel_symmetric"),
)
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def _spatial(x: Value, least: int = 1, most: int = 4) -> int:
    spatial = x.rank - 2
    if not least <= spatial <= most or x.shape is None or not isinstance(x.shape[1], int):
        raise Refused("no image")
    return spatial


def _window(draft: Draft, spatial: int) -> dict[str, object]:
    window: dict[str, object] = {}
    if draft.chance(0.4):
        window["strides"] = [draft.choice((1, 2)) for _ in range(spatial)]
    if draft.chance(0.25):
        window["auto_pad"] = draft.choice(("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"))
    elif draft.chance(0.6):
        window["pads"] = (
            [1] * (2 * spatial) if draft.chance(0.7) else [draft.choice((0, 1)) for _ in range(2 * spatial)]
        )
    return window


def _fits(x: Value, kernel: list[int], more: dict[str, object]) -> None:
    """Raise ``Refused`` for a window that is larger than the padded image: ONNX does not say what that gives."""
    pads, gaps = list(more.get("pads") or [0] * 2 * len(kernel)), list(more.get("dilations") or [1] * len(kernel))  # type: ignore[call-overload]
    for axis, (size, window) in enumerate(zip((x.shape or ())[2:], kernel, strict=True)):
        if isinstance(size, int) and size + pads[axis] + pads[axis + len(kernel)] < (window - 1) * gaps[axis] + 1:
            raise Refused("a window larger than the image")


def convolution(draft: Draft, x: Value) -> Value:
    spatial = _spatial(x, most=4)
    channels = int(x.shape[1])  # type: ignore[index,arg-type]
    groups = draft.choice([n for n in (1, 1, 2, channels) if channels % n == 0])
    out = groups * draft.choice((1, 2, 3))
    kernel = [draft.choice((1, 2, 3)) for _ in range(spatial)]
    shape = [out, channels // groups, *kernel]
    weights = draft.noise(shape, x.kind) if draft.chance(0.9) else draft.input(x.kind, shape)
    bias = draft.noise([out], x.kind) if draft.chance(0.5) else None
    more = _window(draft, spatial)
    if draft.chance(0.2):
        more["dilations"] = [draft.choice((1, 2)) for _ in range(spatial)]
    _fits(x, kernel, more)
    return draft.node("Conv", [x, weights, bias], group=groups, **more)


def usual_convolution(draft: Draft, x: Value) -> Value:
    spatial = _spatial(x, 2, 2)
    channels = int(x.shape[1])  # type: ignore[index,arg-type]
    weights = draft.noise([draft.choice((2, 4, 6)), channels, *[3] * spatial], x.kind)
    return draft.node("Conv", [x, weights], pads=[1] * (2 * spatial))


def transposed(draft: Draft, x: Value) -> Value:
    spatial = _spatial(x, most=4)
    channels = int(x.shape[1])  # type: ignore[index,arg-type]
    groups = draft.choice([n for n in (1, 1, 2, channels) if channels % n == 0])
    shape = [channels, draft.choice((1, 2)), *[draft.choice((2, 3)) for _ in range(spatial)]]
    weights = draft.noise(shape, x.kind) if draft.chance(0.9) else draft.input(x.kind, shape)
    more = _window(draft, spatial)
    if draft.chance(0.2):
        more["dilations"] = [draft.choice((1, 2)) for _ in range(spatial)]
    if draft.chance(0.3):
        more["output_padding"] = [draft.choice((0, 1)) for _ in range(spatial)]
    bias = draft.noise([shape[1] * groups], x.kind) if draft.chance(0.4) else None
    return draft.node("ConvTranspose", [x, weights, bias], group=groups, **more)


def pool(draft: Draft, x: Value) -> Value:
    spatial = _spatial(x, most=4)
    op = draft.choice(("MaxPool", "AveragePool", "MaxPool", "AveragePool", "LpPool"))
    more = _window(draft, spatial)
    more["kernel_shape"] = [draft.choice((1, 2, 3)) for _ in range(spatial)]
    if op != "LpPool" and draft.opset >= 10 and draft.chance(0.25):
        more["ceil_mode"] = 1
    if op == "AveragePool" and draft.chance(0.4):
        more["count_include_pad"] = draft.choice((0, 1))
    if draft.chance(0.12) and ((op == "MaxPool" and draft.opset >= 10) or draft.opset >= 19):
        more["dilations"] = [draft.choice((1, 2)) for _ in range(spatial)]
    _fits(x, list(more["kernel_shape"]), more)  # type: ignore[call-overload]
    if op == "LpPool":
        more["p"] = draft.choice((1, 2, 3))
    if op == "MaxPool" and draft.chance(0.08):
        more["storage_order"] = 1
    outputs = draft.nodes_outputs(op, [x], outputs=2 if op == "MaxPool" and draft.chance(0.15) else 1, **more)
    return draft.choice(outputs)


def resize(draft: Draft, x: Value) -> Value:
    if x.shape is None or x.rank < 1 or x.rank > 6:
        raise Refused("no shape")
    if draft.opset < 10:
        scales = draft.tensor(_scales(draft, x.rank), TensorProto.FLOAT)
        return draft.node("Upsample", [x, scales], mode=draft.choice(("nearest", "linear")))
    if draft.opset < 11:
        return draft.node("Resize", [x, draft.tensor(_scales(draft, x.rank), TensorProto.FLOAT)])
    more: dict[str, object] = {"mode": draft.choice(("nearest", "linear", "linear", "cubic"))}
    if draft.chance(0.85):
        more["coordinate_transformation_mode"] = draft.choice(COORDINATES)
    if more["mode"] == "nearest" and draft.chance(0.6):
        more["nearest_mode"] = draft.choice(ROUNDINGS)
    if more["mode"] == "cubic" and draft.chance(0.3):
        more["cubic_coeff_a"] = draft.choice((-0.5, -0.75))
    if draft.chance(0.1):
        more["exclude_outside"] = 1
    axes = None
    if draft.opset >= 18:
        if draft.chance(0.12):
            more["antialias"] = 1
        if draft.chance(0.2) and x.rank > 2:
            axes = list(range(2, x.rank)) if draft.chance(0.7) else list(range(x.rank))[::-1]
            more["axes"] = axes
    count = x.rank if axes is None else len(axes)
    roi = draft.tensor([0.0] * count + [1.0] * count, TensorProto.FLOAT)
    roi = roi if more.get("coordinate_transformation_mode") == "tf_crop_and_resize" or draft.opset < 13 else None
    if draft.chance(0.6) or not x.is_static:
        scales = _scales(draft, x.rank) if axes is None else [2.0] * count
        given = (
            draft.tensor(scales, TensorProto.FLOAT) if draft.chance(0.93) else draft.input(TensorProto.FLOAT, [count])
        )
        return draft.node("Resize", [x, roi, given], **more)
    sizes = [int(s) * draft.choice((1, 2)) if a >= x.rank - 2 else int(s) for a, s in enumerate(x.shape)]  # type: ignore[arg-type]
    if axes is not None:
        sizes = [sizes[axis] for axis in axes]
    if draft.opset >= 18 and draft.chance(0.12):
        more["keep_aspect_ratio_policy"] = draft.choice(("not_larger", "not_smaller", "stretch"))
    empty = draft.tensor([], TensorProto.FLOAT) if draft.opset < 13 else None
    return draft.node("Resize", [x, roi, empty, draft.integers(sizes)], **more)


def _scales(draft: Draft, rank: int) -> list[float]:
    most = 3 if draft.chance(0.1) else 2
    return [1.0 if axis < rank - most else draft.choice((1.0, 2.0, 1.5, 0.5)) for axis in range(rank)]


def grid_sample(draft: Draft, x: Value) -> Value:
    if x.rank not in (4, 5) or not x.is_static or draft.opset < 16:
        raise Refused("no image")
    spatial = x.rank - 2
    grid = draft.like(x, [x.shape[0], *[3] * spatial, spatial])  # type: ignore[index]
    modes = ("bilinear", "nearest", "bicubic") if draft.opset < 20 else ("linear", "nearest", "cubic")
    padding = draft.choice(("zeros", "border", "reflection"))
    return draft.node(
        "GridSample", [x, grid], mode=draft.choice(modes), padding_mode=padding, align_corners=draft.choice((0, 1))
    )


def depth(draft: Draft, x: Value) -> Value:
    _spatial(x, 2, 2)
    _, channels, height, width = x.shape or ()
    block = draft.choice((1, 2))
    if draft.chance(0.5):
        if any(not isinstance(size, int) or size % block for size in (height, width)):
            raise Refused("no whole blocks")
        return draft.node("SpaceToDepth", [x], blocksize=block)
    if int(channels or 0) % block**2:
        raise Refused("no whole blocks")
    mode = draft.choice(("DCR", "CRD")) if draft.opset >= 11 else None
    return draft.node("DepthToSpace", [x], blocksize=block, mode=mode)


def local_response(draft: Draft, x: Value) -> Value:
    _spatial(x)
    return draft.node("LRN", [x], size=draft.choice((1, 3, 5)))


def deformable(draft: Draft, x: Value) -> Value:
    if draft.opset < 19 or x.rank != 4 or not x.is_static:
        raise Refused("no image")
    batch, channels, height, width = (int(size) for size in x.shape or ())  # type: ignore[arg-type]
    weights, offset = draft.noise([2, channels, 1, 1], x.kind), draft.like(x, [batch, 2, height, width])
    return draft.node("DeformConv", [x, weights, offset], kernel_shape=[1, 1])


def regions(draft: Draft, x: Value) -> Value:
    if x.rank != 4:
        raise Refused("no image")
    boxes = draft.input(x.kind, [2, 4])
    if draft.chance(0.2):
        return draft.node("MaxRoiPool", [x, draft.input(x.kind, [2, 5])], pooled_shape=[2, 2])
    if draft.opset < 10:
        raise Refused("opset")
    return draft.node("RoiAlign", [x, boxes, draft.integers([0, 0])], output_height=2, output_width=2)


def columns(draft: Draft, x: Value) -> Value:
    if x.rank != 3 or draft.opset < 18 or not x.is_static:
        raise Refused("no columns")
    return draft.node("Col2Im", [x, draft.integers([1, x.shape[2]]), draft.integers([1, 1])])  # type: ignore[index]


def crop_or_pad(draft: Draft, x: Value) -> Value:
    if draft.opset < 18 or not x.is_static:
        raise Refused("opset")
    return draft.node("CenterCropPad", [x, draft.integers([3] * x.rank)])


def unpool(draft: Draft, x: Value) -> Value:
    if x.rank != 4 or not x.is_static or draft.opset < 11:
        raise Refused("no image")
    return draft.node(
        "MaxUnpool", [x, draft.input(TensorProto.INT64, x.shape or ())], kernel_shape=[2, 2], strides=[2, 2]
    )


MAKERS = (
    (usual_convolution, 8),
    (convolution, 6),
    (transposed, 4),
    (pool, 6),
    (resize, 7),
    (grid_sample, 2),
    (depth, 2),
    (local_response, 0.7),
    (deformable, 0.5),
    (regions, 0.5),
    (columns, 0.3),
    (crop_or_pad, 0.3),
    (unpool, 0.2),
)
