"""Which operations there are, since when, and for which types. Sources: operators.md of onnx-tensorrt for TensorRT 8.5
and 10.15, its changelog for the versions between, and TensorRT-RTX 1.7.1, which was asked about each of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from saccade_export.support.findings import Fault, Rule, rule
from saccade_export.support.seen import Seen
from saccade_export.support.targets import Target
from saccade_export.support.values import NARROW
from saccade_export.support.values import NEVER as VALUES_NEVER

_T = ir.DataType
FLOAT = frozenset({_T.FLOAT, _T.FLOAT16, _T.BFLOAT16, _T.DOUBLE})
"""DOUBLE is narrowed to FLOAT."""

NO_BFLOAT = FLOAT - {_T.BFLOAT16}
NUMBER = FLOAT | {_T.INT32, _T.INT64}
BOOL = frozenset({_T.BOOL})
ANY = NUMBER | BOOL


def _named(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BY_TYPES: tuple[tuple[frozenset[ir.DataType], frozenset[str]], ...] = (
    (
        FLOAT,
        _named(
            "Acos Acosh Asin Asinh Atan Atanh AveragePool BatchNormalization Ceil Celu Conv ConvTranspose Cos Cosh "
            "Dropout Einsum Elu Erf Exp Floor GRU Gelu Gemm GlobalAveragePool GlobalMaxPool GroupNormalization "
            "HardSigmoid HardSwish Hardmax InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Log "
            "LogSoftmax LpNormalization MatMul MaxPool Mean MeanVarianceNormalization PRelu QuantizeLinear RNN "
            "Reciprocal "
            "ReduceL2 ReduceLogSum ReduceLogSumExp Resize Round RMSNormalization RotaryEmbedding ScaledTanh Selu "
            "Sigmoid Sin Sinh Softmax Softplus Softsign Sqrt Sum Swish Tan Tanh ThresholdedRelu Upsample Attention"
        ),
    ),
    (FLOAT | {_T.INT64}, _named("Relu")),  # operators.md has int32 too, which TensorRT-RTX 1.7 refuses
    (NO_BFLOAT, _named("GlobalLpPool GridSample LpPool Mish RandomNormalLike RandomUniformLike STFT")),
    (
        NUMBER,
        _named(
            "Abs Add ArgMax ArgMin Clip CumSum DepthToSpace Div Greater GreaterOrEqual Less LessOrEqual Max Min "
            "Mod Mul Neg Pow "
            "ReduceL1 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Shrink Sign SpaceToDepth "
            "Sub TopK TensorScatter Range"
        ),
    ),
    (
        ANY,
        _named(
            "Concat Equal Expand EyeLike Flatten Gather GatherElements GatherND Pad Reshape ReverseSequence "
            "Slice Split Squeeze Tile Transpose Trilu Unsqueeze Where OneHot Scatter ScatterElements ScatterND"
        ),
    ),
    (BOOL, _named("And Not Or Xor")),
)
TYPES: dict[str, frozenset[ir.DataType]] = {name: kinds for kinds, names in _BY_TYPES for name in names}
"""Types of an operation's data: its first input, Where's second, OneHot's third."""

UNTYPED = _named(
    "BlackmanWindow Cast CastLike Constant ConstantOfShape DequantizeLinear HammingWindow HannWindow Identity If Loop "
    "RandomNormal RandomUniform Scan Shape Size"
)
"""Supported operations whose types other rules know, or that have none."""

DATA_PLACE = {"Where": 1, "OneHot": 2}

INT8_TOO = _named(
    "Abs Add ArgMax ArgMin Concat Div Equal Erf Expand Flatten Gather GatherElements GatherND Greater "
    "GreaterOrEqual Less LessOrEqual Max Min Mul Neg Pad ReduceMax ReduceMin Relu Reshape Resize "
    "ReverseSequence Scatter ScatterElements ScatterND Shrink Sign Slice SpaceToDepth Split Squeeze Sub "
    "Tile TopK Transpose Trilu Unsqueeze Upsample DepthToSpace"
)
"""Operations that TensorRT-RTX builds on int8 that no node quantised; TensorRT documents int8 as quantised alone."""

FOREIGN = _named("com.microsoft:QuantizeLinear com.microsoft:DequantizeLinear com.microsoft:Gelu")
"""Operations of other domains that the parser takes."""

NEVER = _named(
    "AffineGrid Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CenterCropPad Col2Im Compress "
    "ConcatFromSequence ConvInteger Det DynamicQuantizeLinear ImageDecoder MatMulInteger MaxRoiPool MaxUnpool "
    "MelWeightMatrix Multinomial NegativeLogLikelihoodLoss Optional OptionalGetElement OptionalHasElement QLinearConv "
    "QLinearMatMul RegexFullMatch SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert "
    "SequenceLength SequenceMap SoftmaxCrossEntropyLoss SplitToSequence StringConcat StringNormalizer StringSplit "
    "TfIdfVectorizer Unique"
)

INSTEAD = {
    **dict.fromkeys(
        ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"),
        "quantise with QuantizeLinear and DequantizeLinear nodes",
    ),
    "DynamicQuantizeLinear": "measure ranges beforehand, and use QuantizeLinear",
    "Compress": "keep all elements and mask them",
    "CenterCropPad": "use Slice and Pad",
    "Unique": "do it beside the graph",
    "MaxUnpool": "use Resize or ConvTranspose",
    "AffineGrid": "compute the grid beside the graph, or from MatMul",
    **dict.fromkeys(
        ("BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", "BitShift"), "use And, Or, Not on bool, or Mul and Mod"
    ),
}

PLUGINS = {
    "NonMaxSuppression": "it parses, but no code for it is in TensorRT-RTX",
    "NonZero": "a plugin of full TensorRT",
    "RoiAlign": "a plugin of full TensorRT",
    "DeformConv": "a plugin of full TensorRT",
    "DFT": "a plugin of full TensorRT",
}
"""What full TensorRT has and TensorRT-RTX, which brings no plugin library, has not."""

PLUGIN_TYPES = frozenset({_T.FLOAT, _T.FLOAT16})

SINCE = {
    **dict.fromkeys(("BlackmanWindow", "HammingWindow", "HannWindow"), "10.4"),  # changelog of onnx-tensorrt
    "STFT": "10.5",  # the same
    **dict.fromkeys(
        ("Attention", "RMSNormalization", "RotaryEmbedding", "TensorScatter", "Swish"), "10.15"
    ),  # operators.md
    "DFT": "11.2",  # release notes
}
"""The first version that is known to have an operation, of those that 10.3 has not."""


def known(seen: Seen, target: Target) -> Iterator[Fault]:
    """The operation exists in the target, in all of its versions."""
    name = seen.operation
    if name in NEVER:
        instead = f"; {INSTEAD[name]}" if name in INSTEAD else "; export without it"
        yield Fault(f"{name} is in no version of TensorRT{instead}")
    elif name in SINCE and (older := target.older_than(SINCE[name])):
        yield Fault(f"{name} came with TensorRT {SINCE[name]}, so {' and '.join(older)} may lack it; export without it")
    elif name.partition(":")[0] != name and name not in FOREIGN:
        said = "TensorRT-RTX has no plugins" if target.is_rtx else "TensorRT takes it only with a plugin of that name"
        yield Fault(f"{name} is not an operation of ONNX: {said}", "refused" if target.is_rtx else "unsure")
    elif name not in TYPES and name not in UNTYPED and name not in PLUGINS and name not in FOREIGN:
        yield Fault(f"{name} is not in the table: TensorRT's documents do not list it", "refused")


def has_plugin(seen: Seen, target: Target) -> Iterator[Fault]:
    """Full TensorRT's plugins are not in TensorRT-RTX."""
    if target.is_rtx:
        yield Fault(
            f"{seen.operation}: {PLUGINS[seen.operation]}; end the graph before it, as Saccade's graphs for GPUs do"
        )
    elif seen.kind() is not None and seen.kind() not in PLUGIN_TYPES and seen.operation != "NonZero":
        yield Fault(f"{seen.operation} takes float32 and float16, but got {_said(seen.kind())}; cast before it")


def of_a_type(seen: Seen, target: Target) -> Iterator[Fault]:
    """The operation is there for the type of its data."""
    name = seen.operation
    kind = seen.kind(DATA_PLACE.get(name, 0))
    if kind is None or name not in TYPES or kind in TYPES[name]:
        return
    if kind == _T.INT8 and name in INT8_TOO:
        if not target.is_rtx:
            yield Fault(
                f"{name} got int8 that nothing quantised, which TensorRT does not document; cast to int32",
                "unsure",
            )
        return
    if kind in NARROW or kind in VALUES_NEVER or kind == _T.UINT8:  # values.py has rules for them
        return
    taken = ", ".join(sorted(_said(each) for each in TYPES[name]))
    yield Fault(f"{name} got {_said(kind)}, but takes {taken}; cast before it")


def _said(kind: ir.DataType | None) -> str:
    return "no type" if kind is None else {"FLOAT": "float32", "DOUBLE": "float64"}.get(kind.name, kind.name.lower())


def bfloat_deconvolution(seen: Seen, target: Target) -> Iterator[Fault]:
    """Measured on TensorRT-RTX 1.7; operators.md lists bfloat16."""
    if seen.kind() == _T.BFLOAT16:
        severity = "refused" if target.is_rtx else "unsure"
        yield Fault("ConvTranspose got bfloat16, which TensorRT-RTX 1.7 does not build; use float16 there", severity)


RULES: dict[str, Rule] = {
    "bfloat deconvolution": rule(bfloat_deconvolution, "ConvTranspose"),
    "operation": rule(known),
    "plugin": rule(has_plugin, *PLUGINS),
    "type": rule(of_a_type),
}
