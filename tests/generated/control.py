"""Control flow: If, Loop and Scan with small bodies."""

from __future__ import annotations

from onnx import TensorProto, helper

from tests.generated.draft import Draft, Refused, Value

BODY_OPS = ("Relu", "Neg", "Abs", "Sigmoid", "Relu", "Tanh", "Det", "Identity")


def _branch(draft: Draft, x: Value, stem: str, *, turned: bool = False) -> object:
    name = draft.name(stem)
    steps = [
        helper.make_node(
            draft.choice(BODY_OPS[:6] if draft.chance(0.9) or draft.opset < 11 else BODY_OPS), [x.name], [f"{name}_a"]
        )
    ]
    if turned:
        steps.append(helper.make_node("Flatten", [f"{name}_a"], [name], axis=1))
    else:
        steps.append(helper.make_node("Identity", [f"{name}_a"], [name]))
    return helper.make_graph(steps, stem, [], [helper.make_tensor_value_info(name, x.kind, None)])


def condition(draft: Draft, x: Value) -> Value:
    if x.rank < 1:
        raise Refused("no rank")
    decision = draft.input(TensorProto.BOOL, []) if draft.chance(0.8) else draft.tensor(True, TensorProto.BOOL)
    then = _branch(draft, x, "then")
    otherwise = _branch(draft, x, "otherwise", turned=draft.chance(0.2))
    return draft.node("If", [decision], then_branch=then, else_branch=otherwise)


def loop(draft: Draft, x: Value) -> Value:
    if x.rank < 1 or x.shape is None:
        raise Refused("no rank")
    name = draft.name("body")
    op = draft.choice(BODY_OPS[:6])
    steps = [
        helper.make_node("Identity", [f"{name}_go"], [f"{name}_on"]),
        helper.make_node(op, [f"{name}_state"], [f"{name}_next"]),
    ]
    results = [helper.make_tensor_value_info(f"{name}_on", TensorProto.BOOL, []), _info(f"{name}_next", x)]
    scanned = draft.chance(0.3)
    if scanned:
        steps.append(helper.make_node("Identity", [f"{name}_next"], [f"{name}_each"]))
        results.append(_info(f"{name}_each", x))
    taken = [
        helper.make_tensor_value_info(f"{name}_index", TensorProto.INT64, []),
        helper.make_tensor_value_info(f"{name}_go", TensorProto.BOOL, []),
        _info(f"{name}_state", x),
    ]
    body = helper.make_graph(steps, name, taken, results)
    trips = draft.tensor(3, TensorProto.INT64) if draft.chance(0.8) else draft.input(TensorProto.INT64, [])
    go = draft.tensor(True, TensorProto.BOOL) if draft.chance(0.5) else None
    return draft.choice(draft.nodes_outputs("Loop", [trips, go, x], outputs=2 if scanned else 1, body=body))


def scan(draft: Draft, x: Value) -> Value:
    if not x.is_static or x.rank < 2 or draft.opset < 9:
        raise Refused("no rank")
    name = draft.name("body")
    row = Value("", x.kind, (x.shape or ())[1:])
    steps = [
        helper.make_node("Add", [f"{name}_state", f"{name}_row"], [f"{name}_next"]),
        helper.make_node("Identity", [f"{name}_next"], [f"{name}_each"]),
    ]
    body = helper.make_graph(
        steps,
        name,
        [_info(f"{name}_state", row), _info(f"{name}_row", row)],
        [_info(f"{name}_next", row), _info(f"{name}_each", row)],
    )
    state = draft.like(x, row.shape)
    return draft.nodes_outputs("Scan", [state, x], outputs=2, body=body, num_scan_inputs=1)[1]


def _info(name: str, x: Value) -> object:
    return helper.make_tensor_value_info(name, x.kind, list(x.shape or ()))


MAKERS = ((condition, 2), (loop, 1.2), (scan, 1.2))
