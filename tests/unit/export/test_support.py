"""``saccade support``: every rule by name, with a graph that breaks it and a twin that keeps it, and the command."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.commands import call

from saccade.errors import DeviceError, RequestError, SourceError
from saccade_export.support import cli, oracle
from saccade_export.support.check import ESTIMATES, RULES, check
from saccade_export.support.findings import Finding
from saccade_export.support.oracle import Oracle
from saccade_export.support.reading import read_graphs, read_onnx
from saccade_export.support.targets import TARGETS, parse_target

pytestmark = pytest.mark.torch

Capture = pytest.CaptureFixture[str]

IMAGE, IMAGES = "float[1,4,8,8] x", "float[A,B,C,D] y"
ROW, ROWS = "float[2,4] x", "float[A,B] y"
SCALE = "float s = {0.1}, int8 z = {0}"


@dataclass(frozen=True)
class Pair:
    """Graphs with and without what a rule is about. ``is_shown`` if the builder refuses the one and takes the other."""

    breaking: ir.Model
    keeping: ir.Model
    target: str = "tensorrt-rtx"
    is_shown: bool = True


def graph(body: str, given: str = IMAGE, result: str = IMAGES, stored: str = "", opset: int = 18) -> ir.Model:
    """A graph in ONNX's own notation."""
    weights = f"<{stored}>" if stored else ""
    text = f'<ir_version: 10, opset_import: ["": {opset}]> tested ({given}) => ({result}) {weights} {{ {body} }}'
    return ir.from_proto(onnx.parser.parse_model(text))


def pair(breaking: str, keeping: str, *, target: str = "tensorrt-rtx", is_shown: bool = True, **where: object) -> Pair:
    return Pair(graph(breaking, **where), graph(keeping, **where), target, is_shown)  # type: ignore[arg-type]


def branching(then_axes: str, *, reshaped: bool = False) -> ir.Model:
    """If, whose branches give two axes and ``then_axes``; of a value that a convolution along one axis made."""
    before = "v = Conv (x, w)" if reshaped else "v = Relu (x)"
    given = "float[1,3,8] x, float[3,3,2] w, bool c" if reshaped else "float[1,3,8] x, bool c"
    body = (
        f"{before} y = If (c) <then_branch = a () => ({then_axes} t) {{ t = Neg (v) }}, "
        "else_branch = b () => (float[A,B,C] e) { e = Abs (v) }>"
    )
    return graph(body, given, "float[A,B,C] y")


def flattened() -> ir.Model:
    body = (
        "y = If (c) <then_branch = a () => (float[A,B] t) { t = Flatten (x) }, "
        "else_branch = b () => (float[A,B,C] e) { e = Abs (x) }>"
    )
    return graph(body, "float[1,3,8] x, bool c", "float[A,B,C] y")


def recurrent(layout: int) -> ir.Model:
    body = f"y, h = GRU <hidden_size = 2, layout = {layout}> (x, w, r)"
    return graph(
        body,
        "float[3,3,4] x",
        "float[A,B,C,D] y",
        f"float[1,6,4] w = {{{ones(24)}}}, float[1,6,2] r = {{{ones(12)}}}",
    )


def ones(count: int) -> str:
    return ",".join(["1"] * count)


def narrow(body: str) -> ir.Model:
    """4-bit weights between their nodes, or not."""
    model = graph(body, "float[2,4] x", "float[A,B] y", "float[1] s = {0.1}", opset=21)
    weights = helper.make_tensor("w", TensorProto.INT4, [4, 4], np.zeros(16, np.int64))
    proto = ir.to_proto(model)
    proto.graph.initializer.append(weights)
    return ir.from_proto(proto)


def mixed(kind: int) -> ir.Model:
    """A convolution of int8 activations with weights of ``kind``."""
    body = "v = QuantizeLinear (x, s, z) w = DequantizeLinear (v, s, z) k = DequantizeLinear (q, s) y = Conv (w, k)"
    proto = ir.to_proto(graph(body, IMAGE, IMAGES, SCALE, opset=21))
    proto.graph.initializer.append(helper.make_tensor("q", kind, [2, 4, 3, 3], np.ones(72, np.int64)))
    return ir.from_proto(proto)


RESIZE = {"stored": "float[4] s = {1,1,2,2}"}
PAIRS: dict[str, Pair] = {
    "operation": pair("y = Det (x)", "y = ReduceSum <keepdims = 0> (x)", given="float[4,4] x", result="float y"),
    "plugin": pair("y = NonZero (x)", "y = Cast <to = 7> (x)", given=ROW, result="int64[A,B] y"),
    "type": pair("y = MatMul (x, x)", "y = Add (x, x)", given="int32[4,4] x", result="int32[A,B] y"),
    "bfloat deconvolution": Pair(
        graph("y = ConvTranspose (x, w)", "bfloat16[1,2,8,8] x, bfloat16[2,2,2,2] w", "bfloat16[A,B,C,D] y", opset=22),
        graph("y = ConvTranspose (x, w)", "float16[1,2,8,8] x, float16[2,2,2,2] w", "float16[A,B,C,D] y", opset=22),
    ),
    "value type": Pair(
        graph("v = Cast <to = 5> (x) y = Cast <to = 1> (v)"), graph("v = Cast <to = 6> (x) y = Cast <to = 1> (v)")
    ),
    "axes": Pair(
        graph("y = Unsqueeze (x, a)", "float[1,1,1,1,1,1,2,2] x", "float[A,B,C,D,E,F,G,H,I] y", "int64[1] a = {0}"),
        graph("y = Unsqueeze (x, a)", "float[1,1,1,1,1,2,2] x", "float[A,B,C,D,E,F,G,H] y", "int64[1] a = {0}"),
    ),
    "uint8": Pair(
        graph("v = Transpose (x) y = Cast <to = 1> (v)", "uint8[2,4] x", ROWS),
        graph("v = Cast <to = 1> (x) y = Transpose (v)", "uint8[2,4] x", ROWS),
    ),
    "quantised constant": Pair(
        graph("y = Add (x, w)", "int8[2] x", "int8[A] y", "int8[2] w = {1,2}"),
        graph("y = Add (x, w)", "int32[2] x", "int32[A] y", "int32[2] w = {1,2}"),
    ),
    "narrow type": Pair(
        narrow("v = Cast <to = 1> (w) y = MatMul (x, v)"), narrow("v = DequantizeLinear (w, s) y = MatMul (x, v)")
    ),
    "empty input": pair('y = Conv (x, w, "")', "y = Conv (x, w)", given=f"{IMAGE}, float[2,4,3,3] w"),
    "resize corner cases": pair(
        'y = Resize <mode = "nearest", nearest_mode = "ceil", '
        'coordinate_transformation_mode = "tf_half_pixel_for_nn"> (x, "", s)',
        'y = Resize <mode = "nearest", coordinate_transformation_mode = "tf_half_pixel_for_nn"> (x, "", s)',
        **RESIZE,
    ),
    "resize scales": pair(
        'y = Resize <mode = "cubic"> (x, "", t)',
        'y = Resize <mode = "cubic"> (x, "", s)',
        stored="float[4] s = {1,1,2,2}, float[4] t = {1,2,2,2}",
    ),
    "deconvolution padding": pair(
        'y = ConvTranspose <auto_pad = "VALID", strides = [2, 2], output_padding = [1, 1]> (x, w)',
        "y = ConvTranspose <strides = [2, 2], output_padding = [1, 1]> (x, w)",
        given=f"{IMAGE}, float[4,2,2,2] w",
        is_shown=False,  # it builds something of another size
    ),
    "deconvolution": pair(
        "y = ConvTranspose <strides = [2, 2], dilations = [2, 2]> (x, w)",
        "y = ConvTranspose <strides = [2, 2]> (x, w)",
        given="float[1,4,8,8] x",
        stored=f"float[4,1,2,2] w = {{{ones(16)}}}",
    ),
    "window axes": Pair(
        graph("y = MaxPool <kernel_shape = [1, 1, 1, 1]> (x)", "float[1,2,3,3,3,3] x", "float[A,B,C,D,E,F] y"),
        graph("y = MaxPool <kernel_shape = [1, 1, 1]> (x)", "float[1,2,3,3,3] x", "float[A,B,C,D,E] y"),
    ),
    "least axes": Pair(
        graph("y = Softmax <axis = 0> (x)", "float[4] x", "float[A] y"), graph("y = Softmax <axis = 1> (x)", ROW, ROWS)
    ),
    "norm of one": Pair(
        graph("y = InstanceNormalization (x, s, s)", "float[1,4,1,1] x", IMAGES, "float[4] s = {1,1,1,1}"),
        graph("y = InstanceNormalization (x, s, s)", IMAGE, IMAGES, "float[4] s = {1,1,1,1}"),
    ),
    "pool dilations": pair(
        "y = MaxPool <kernel_shape = [2, 2], dilations = [2, 2]> (x)", "y = MaxPool <kernel_shape = [2, 2]> (x)"
    ),
    "pool indices": Pair(
        graph("y, i = MaxPool <kernel_shape = [2, 2]> (x)", result=f"{IMAGES}, int64[A,B,C,D] i"),
        graph("y = MaxPool <kernel_shape = [2, 2]> (x)"),
    ),
    "pool padding": pair(
        "y = AveragePool <kernel_shape = [1, 1], pads = [1, 1, 1, 1]> (x)",
        "y = AveragePool <kernel_shape = [1, 1], pads = [1, 1, 1, 1], count_include_pad = 1> (x)",
    ),
    "pool windows": pair(
        "p = MaxPool <kernel_shape = [1, 1], pads = [1, 1, 1, 1], strides = [1, 2], ceil_mode = 1> (x) "
        "y = Reshape (p, n)",
        "p = MaxPool <kernel_shape = [1, 1], pads = [1, 1, 1, 1], strides = [1, 2]> (x) y = Reshape (p, n)",
        given="float[1,6,9,7] x",
        stored="int64[4] n = {1,6,11,-1}",
        is_shown=False,  # it builds, of another size
    ),
    "one position": pair(
        "v = Relu (x) y = ConvTranspose (v, w)",
        "y = ConvTranspose (x, w)",
        given="float[1,1,1] x, float[1,2,2] w",
        result="float[A,B,C] y",
        is_shown=False,  # some of them build
    ),
    "norm": pair("y = LpPool <kernel_shape = [2, 2], p = 3> (x)", "y = LpPool <kernel_shape = [2, 2], p = 2> (x)"),
    "resize coordinates": pair(
        'y = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel_symmetric"> (x, "", s)',
        'y = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (x, "", s)',
        opset=19,
        **RESIZE,
    ),
    "resize plain": pair(
        'y = Resize <mode = "linear", antialias = 1> (x, "", s)', 'y = Resize <mode = "linear"> (x, "", s)', **RESIZE
    ),
    "resize cubic": pair(
        'y = Resize <mode = "cubic"> (x, "", s)',
        'y = Resize <mode = "linear"> (x, "", s)',
        target="tensorrt",
        is_shown=False,
        **RESIZE,
    ),
    "grid sample": Pair(
        graph("y = GridSample (x, g)", "float[1,1,4,4,4] x, float[1,2,2,2,3] g", "float[A,B,C,D,E] y", opset=20),
        graph("y = GridSample (x, g)", "float[1,1,4,4] x, float[1,2,2,2] g", IMAGES, opset=20),
        "tensorrt:10.16",
        False,
    ),
    "slice axes": pair(
        "y = Slice (x, a, b)", "y = Slice (x, a, b, c)", stored="int64[1] a = {0}, int64[1] b = {1}, int64[1] c = {0}"
    ),
    "pad of constants": Pair(
        graph(
            'v = ConstantOfShape (n) w = Cast <to = 7> (v) y = Pad <mode = "reflect"> (w, p)',
            ROW,
            "int64[A,B] y",
            "int64[2] n = {2,3}, int64[4] p = {0,1,0,1}",
        ),
        graph('w = Cast <to = 7> (x) y = Pad <mode = "reflect"> (w, p)', ROW, "int64[A,B] y", "int64[4] p = {0,1,0,1}"),
        is_shown=False,  # some of them build
    ),
    "top k": Pair(
        graph("y, i = TopK (x, k)", "float[1,4096] x", ROWS, "int64[1] k = {3841}"),
        graph("y, i = TopK (x, k)", "float[1,4096] x", ROWS, "int64[1] k = {3840}"),
    ),
    "stored": Pair(
        graph("y = CumSum (x, a)", f"{ROW}, int64 a", ROWS),
        graph("y = CumSum (x, a)", ROW, ROWS, "int64 a = {1}"),
        is_shown=False,  # an axis with one value in the profile is a constant to the builder
    ),
    "scatter nd": pair(
        'y = ScatterND <reduction = "add"> (x, i, u)',
        "y = ScatterND (x, i, u)",
        given=f"{ROW}, int64[1,1] i, float[1,4] u",
        result=ROWS,
    ),
    "scatter elements": pair(
        'y = ScatterElements <reduction = "add"> (x, i, x)',
        "y = ScatterElements (x, i, x)",
        given=f"{ROW}, int64[2,4] i",
        result=ROWS,
    ),
    "hardmax": Pair(graph("y = Hardmax (x)", "float[2,N] x", ROWS), graph("y = Hardmax (x)", ROW, ROWS)),
    "eye": Pair(graph("y = EyeLike (x)", "float[N,4] x", ROWS), graph("y = EyeLike (x)", ROW, ROWS)),
    "stored scale": Pair(
        graph(
            "v = QuantizeLinear (x, s, z) w = DequantizeLinear (v, s, z) "
            "k = DequantizeLinear <axis = 0> (q, t) y = Conv (w, k)",
            f"{IMAGE}, float[2] t",
            IMAGES,
            f"{SCALE}, int8[2,4,3,3] q = {{{ones(72)}}}",
        ),
        graph(
            "v = QuantizeLinear (x, s, z) w = DequantizeLinear (v, s, z) k = DequantizeLinear (q, s) y = Conv (w, k)",
            IMAGE,
            IMAGES,
            f"{SCALE}, int8[2,4,3,3] q = {{{ones(72)}}}",
        ),
    ),
    "activation scale": Pair(
        graph(
            "v = QuantizeLinear <axis = 1> (x, s, z) y = DequantizeLinear <axis = 1> (v, s, z)",
            ROW,
            ROWS,
            "float[4] s = {1,1,1,1}, int8[4] z = {0,0,0,0}",
        ),
        graph("v = QuantizeLinear (x, s, z) y = DequantizeLinear (v, s, z)", ROW, ROWS, SCALE),
        is_shown=False,  # it builds; NVIDIA's guide has it for weights alone
    ),
    "quantised type": Pair(
        graph("y = DequantizeLinear (q, s)", ROW, "float[A] y", "float[1] s = {0.1}, int32[4] q = {1,2,3,4}"),
        graph("y = DequantizeLinear (q, s)", ROW, "float[A] y", "float[1] s = {0.1}, int8[4] q = {1,2,3,4}"),
    ),
    "default type": Pair(
        graph("v = QuantizeLinear (x, s) y = DequantizeLinear (v, s)", ROW, ROWS, SCALE),
        graph("v = QuantizeLinear (x, s, z) y = DequantizeLinear (v, s, z)", ROW, ROWS, SCALE),
        is_shown=False,  # it builds, with other numbers than ONNX's
    ),
    "zero point": pair(
        "v = QuantizeLinear (x, s, o) y = DequantizeLinear (v, s, o)",
        "v = QuantizeLinear (x, s, z) y = DequantizeLinear (v, s, z)",
        given=ROW,
        result=ROWS,
        stored=f"{SCALE}, int8 o = {{3}}",
    ),
    "scale": pair(
        "v = QuantizeLinear (x, t, z) y = DequantizeLinear (v, t, z)",
        "v = QuantizeLinear (x, s, z) y = DequantizeLinear (v, s, z)",
        given=ROW,
        result=ROWS,
        stored=f"{SCALE}, float t = {{-0.1}}",
    ),
    "blocks": Pair(
        graph(
            "w = DequantizeLinear <axis = 0, block_size = 3> (q, s) y = MatMul (x, w)",
            ROW,
            ROWS,
            "int8[4,1] q = {1,2,3,4}, float[3,1] s = {1,1,1}",
            opset=21,
        ),
        graph(
            "w = DequantizeLinear <axis = 0, block_size = 2> (q, s) y = MatMul (x, w)",
            ROW,
            ROWS,
            "int8[4,1] q = {1,2,3,4}, float[2,1] s = {1,1}",
            opset=21,
        ),
    ),
    "mixed bits": Pair(mixed(TensorProto.INT4), mixed(TensorProto.INT8)),
    "branches": Pair(flattened(), branching("float[A,B,C]")),
    "reshaped branch": Pair(branching("float[A,B,C]", reshaped=True), branching("float[A,B,C]")),
    "recurrence": Pair(recurrent(1), recurrent(0), is_shown=False),  # the parser reads past it
    "training": pair(
        "y, m, v = BatchNormalization <training_mode = 1> (x, s, s, s, s)",
        "y = BatchNormalization (x, s, s, s, s)",
        stored="float[4] s = {1,1,1,1}",
    ),
    "dla layer": pair(
        "y = Erf (x)",
        "y = Relu (x)",
        target="dla",
        is_shown=False,
        given="float16[1,4,8,8] x",
        result="float16[A,B,C,D] y",
    ),
    "dla type": Pair(
        graph("y = Relu (x)"), graph("y = Relu (x)", "float16[1,4,8,8] x", "float16[A,B,C,D] y"), "dla", False
    ),
    "dla shape": Pair(graph("y = Relu (x)", "float[N,4,8,8] x"), graph("y = Relu (x)"), "dla", False),
    "dla limits": pair(
        "y = MaxPool <kernel_shape = [9, 9], pads = [4, 4, 4, 4]> (x)",
        "y = MaxPool <kernel_shape = [8, 8]> (x)",
        given="float[1,4,16,16] x",
        target="dla",
        is_shown=False,
    ),
    "dla sizes": Pair(
        graph("y = Relu (x)", "float[1,4,8,8193] x"), graph("y = Relu (x)", "float[1,4,8,8192] x"), "dla", False
    ),
    "dla matrix": Pair(
        graph("y = MatMul (x, x)"),
        graph("y = MatMul (x, w)", result=IMAGES, stored=f"float[8,1] w = {{{ones(8)}}}"),
        "dla",
        False,
    ),
    "dla resize": Pair(
        graph('y = Resize <mode = "linear"> (x, "", s)', stored="float[4] s = {1,1,8,8}"),
        graph('y = Resize <mode = "linear"> (x, "", s)', **RESIZE),
        "dla",
        False,  # type: ignore[arg-type]
    ),
    "dla quantised": Pair(
        graph("v = QuantizeLinear (x, s, z) y = DequantizeLinear (v, s, z)", stored=SCALE),
        graph("y = Relu (x)"),
        "dla",
        False,
    ),
    "cuda kernel": pair(
        "y = LpPool <kernel_shape = [2, 2]> (x)",
        "y = MaxPool <kernel_shape = [2, 2]> (x)",
        target="onnxruntime-cuda",
        is_shown=False,
    ),
}


def rules_of(model: ir.Model, target: str) -> set[str]:
    return {finding.rule for finding in check(model, parse_target(target)).findings}


class TestRules:
    def test_every_rule_has_a_pair(self) -> None:
        assert set(PAIRS) == set(RULES)

    @pytest.mark.parametrize("name", RULES)
    def test_one_graph_breaks_it_and_its_twin_does_not(self, name: str) -> None:
        given = PAIRS[name]
        for model in (given.breaking, given.keeping):
            onnx.checker.check_model(ir.to_proto(model), full_check=True)
        assert name in rules_of(given.breaking, given.target)
        assert name not in rules_of(given.keeping, given.target)

    @pytest.mark.parametrize("name", [name for name, given in PAIRS.items() if given.is_shown])
    def test_the_builder_says_the_same(self, name: str, builder: Oracle) -> None:
        given = PAIRS[name]
        assert builder.ask(given.breaking).failed in ("parse", "build")
        answer = builder.ask(given.keeping)
        assert answer.failed is None, answer.errors

    def test_a_sentence_names_what_was_found(self) -> None:
        (finding,) = check(PAIRS["top k"].breaking, parse_target("tensorrt")).findings
        assert finding == Finding(
            "y",
            "TopK",
            "top k",
            "refused",
            "TopK asks for 3841, but TensorRT gives 3840 at most; narrow the candidates first",
        )

    def test_the_model_stays_as_it_is(self) -> None:
        model = graph("v = Relu (x) y = Neg (v)")
        before = ir.to_proto(model).SerializeToString()
        check(model, parse_target("tensorrt"))
        assert ir.to_proto(model).SerializeToString() == before


@pytest.fixture(scope="module")
def builder() -> Oracle:  # type: ignore[misc]
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    with Oracle() as opened:
        yield opened


class TestGraphs:
    def test_branches_and_bodies_are_looked_at(self) -> None:
        body = (
            "y = If (c) <then_branch = a () => (float[A,B] t) { t = Det (x) }, "
            "else_branch = b () => (float[A,B] e) { e = Abs (x) }>"
        )
        findings = check(graph(body, f"{ROW}, bool c", ROWS), parse_target("tensorrt")).findings
        assert [(each.operation, each.rule) for each in findings if each.severity == "refused"] == [
            ("Det", "operation")
        ]

    def test_local_functions_are_looked_at(self) -> None:
        text = (
            '<ir_version: 10, opset_import: ["": 18, "own": 1]> tested (float[2,4] x) => (float[A,B] y) '
            "{ y = own.mine (x) } "
            '<domain: "own", opset_import: ["": 18]> mine (a) => (b) { v = Cast <to = 5> (a) b = Cast <to = 1> (v) }'
        )
        found = rules_of(ir.from_proto(onnx.parser.parse_model(text)), "tensorrt")
        assert "value type" in found
        assert "operation" not in found  # a function of the graph is no foreign operation

    def test_operations_of_other_domains_need_plugins(self) -> None:
        text = (
            '<ir_version: 10, opset_import: ["": 18, "TRT": 1]> tested (float[2,4] x) => (float[2,4] y) '
            "{ y = TRT.EfficientNMS_TRT (x) }"
        )
        model = ir.from_proto(onnx.parser.parse_model(text))
        assert check(model, parse_target("tensorrt")).verdict == "unsure"
        assert check(model, parse_target("tensorrt-rtx")).verdict == "refused"

    def test_inputs_that_no_node_takes_count(self) -> None:
        model = graph("y = Relu (x)", f"{IMAGE}, int16[2] unused")
        assert check(model, parse_target("tensorrt")).verdict == "refused"

    def test_an_opset_beyond_the_documents_is_unsure(self) -> None:
        model = graph("y = Relu (x)", opset=22)
        assert check(model, parse_target("tensorrt:10.3")).verdict == "unsure"
        assert check(model, parse_target("tensorrt:10.16")).verdict == "supported"

    def test_versions_differ(self) -> None:
        window = graph("y = HannWindow (n)", "float[1] x", "float[A] y", "int64 n = {8}")
        assert check(window, parse_target("tensorrt:10.3")).verdict == "refused"
        assert check(window, parse_target("tensorrt:10.16")).verdict == "supported"
        assert check(window, parse_target("tensorrt")).verdict == "refused"  # all of them must take it

    @pytest.mark.parametrize("target", ESTIMATES)
    def test_an_estimate_says_so(self, target: str) -> None:
        checked = check(graph("y = Relu (x)"), parse_target(target))
        assert checked.verdict == "unsure"
        assert any("estimate" in each.sentence for each in checked.findings)

    def test_an_unknown_target_names_all(self) -> None:
        with pytest.raises(RequestError, match=r"must be one of tensorrt, tensorrt:10.3, .*'tensorrt:9'"):
            parse_target("tensorrt:9")


class TestReading:
    def test_weights_beside_a_file_are_read_and_no_others(self, tmp_path: Path) -> None:
        model = ir.to_proto(graph("y = Add (x, w)", ROW, ROWS, f"float[2,4] w = {{{ones(8)}}}"))
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((2, 4), np.float32), "w"))
        onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
        (given,) = read_graphs(tmp_path / "m.onnx")
        assert float(given.model.graph.initializers["w"].const_value.numpy().sum()) == 8  # type: ignore[union-attr]
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "m.onnx").write_bytes((tmp_path / "m.onnx").read_bytes())
        (tmp_path / "in" / "m.data").symlink_to(tmp_path / "m.data")
        with pytest.raises(SourceError, match="cannot be read as ONNX"):
            read_onnx(tmp_path / "in" / "m.onnx")


class TestOracle:
    def test_it_is_said_where_it_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(oracle, "MODULE", "no_such_module")
        with pytest.raises(DeviceError, match=r"tensorrt-rtx is not installed.*pip install 'saccade\[tensorrt-rtx\]'"):
            Oracle()

    def test_a_graph_that_ends_its_process_is_an_answer(self, builder: Oracle) -> None:
        assert builder.ask(graph("y = Relu (x)")).failed is None
        builder._process.kill()  # type: ignore[union-attr]  # as a broken library would
        answer = builder.ask(graph("y = Relu (x)"))
        assert (answer.failed, answer.sentence) == ("crash", "its process ended")
        assert builder.ask(graph("y = Relu (x)")).failed is None

    def test_one_that_takes_too_long_is_too(self) -> None:
        pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
        with Oracle(timeout_s=0.001) as hasty:
            assert hasty.ask(graph("y = Relu (x)")).failed == "late"


@pytest.fixture
def supported(tmp_path: Path) -> Path:
    onnx.save(ir.to_proto(graph("y = Relu (x)", "float[N,4,H,W] x")), tmp_path / "good.onnx")
    return tmp_path / "good.onnx"


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    onnx.save(ir.to_proto(graph("y = Det (x)", "float[4,4] x", "float y")), tmp_path / "bad.onnx")
    return tmp_path / "bad.onnx"


class TestCommand:
    def test_a_graph_that_is_taken_is_code_0(self, capfd: Capture, supported: Path) -> None:
        called = call(capfd, "support", supported, "--target", "tensorrt", "--no-oracle")
        assert called.code == 0, called.err
        assert called.out.splitlines()[:2] == ["good.onnx for TensorRT 10.3, 10.16 and 11", "supported"]

    def test_one_that_is_refused_is_code_1_with_the_reason(self, capfd: Capture, refused: Path) -> None:
        called = call(capfd, "support", refused, "--target", "tensorrt-rtx", "--no-oracle")
        assert called.code == 1
        assert "refused, operation: Det is in no version of TensorRT" in called.out

    def test_the_builder_is_asked(self, capfd: Capture, supported: Path, refused: Path) -> None:
        pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
        good = call(capfd, "support", supported, "--target", "tensorrt-rtx", "--oracle")
        assert "parses and builds it (" in good.out
        bad = call(capfd, "support", refused, "--target", "tensorrt-rtx", "--oracle")
        assert "does not parse it: Det" in bad.out

    def test_json_is_one_document(self, capfd: Capture, refused: Path) -> None:
        called = call(capfd, "support", refused, "--target", "dla", "--json")
        (only,) = called.document["graphs"]
        assert (called.code, only["verdict"], only["oracle"]) == (0, "unsure", None)
        assert {each["rule"] for each in only["findings"]} == {"estimate", "dla layer"}

    def test_a_bundles_variants_are_told_apart(self, capfd: Capture, shipped_bundle: Path) -> None:
        called = call(capfd, "support", shipped_bundle, "--target", "tensorrt", "--no-oracle", "--json")
        assert called.code == 1
        assert {each["variant"]: each["verdict"] for each in called.document["graphs"]} == {
            "fp32-cpu": "refused",
            "fp32-gpu": "supported",
        }
        one = call(capfd, "support", shipped_bundle, "--target", "tensorrt", "--variant", "fp32-gpu", "--no-oracle")
        assert one.code == 0

    def test_a_known_difference_is_named(self, capfd: Capture, tmp_path: Path) -> None:
        pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
        onnx.save(ir.to_proto(PAIRS["plugin"].breaking), tmp_path / "nonzero.onnx")
        called = call(capfd, "support", tmp_path / "nonzero.onnx", "--target", "tensorrt:11", "--oracle")
        assert called.code == 0
        assert "known difference, TensorRT-RTX alone: refused, plugin: NonZero" in called.out

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (("--target", "tpu"), 2, f"--target must be one of {', '.join(TARGETS)}, but got 'tpu'"),
            ((), 2, "--target"),
            (("--target", "tensorrt", "--variant", "fp32-gpu"), 2, "is one graph; leave it out"),
            (("--target", "dla", "--oracle"), 2, "--oracle builds for tensorrt and tensorrt-rtx"),
        ],
    )
    def test_what_cannot_be_meant_is_code_2(
        self, capfd: Capture, supported: Path, arguments: tuple[str, ...], code: int, said: str
    ) -> None:
        called = call(capfd, "support", supported, *arguments)
        assert (called.code, called.out) == (code, "")
        assert said in called.err

    @pytest.mark.parametrize("name", ["absent.onnx", "noise.onnx", "noise.saccade", "text.onnx", "empty.onnx"])
    def test_what_cannot_be_read_is_code_3(self, capfd: Capture, tmp_path: Path, name: str) -> None:
        contents = {"noise": np.random.default_rng(0).bytes(4096), "text": b"no graph at all", "empty": b""}
        if (stem := name.split(".")[0]) in contents:
            (tmp_path / name).write_bytes(contents[stem])
        called = call(capfd, "support", tmp_path / name, "--target", "tensorrt", "--json")
        assert called.code == 3, called.out
        assert "Traceback" not in called.err
        assert json.loads(called.out)["error"]["message"]

    def test_a_missing_library_is_said(self, capfd: Capture, supported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(oracle, "MODULE", "no_such_module")
        called = call(capfd, "support", supported, "--target", "tensorrt-rtx", "--oracle")
        assert called.code == 2
        assert "tensorrt-rtx is not installed" in called.err
        quiet = call(capfd, "support", supported, "--target", "tensorrt-rtx")
        assert quiet.code == 0
        assert "TensorRT-RTX was not asked" in quiet.out


def test_the_help_imports_no_onnx() -> None:
    assert "onnx" not in vars(cli)
