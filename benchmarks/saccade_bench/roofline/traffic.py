"""The least bytes that a graph moves: which tensors are written down, by the model that ``work`` states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx

from saccade_bench.roofline.operations import FUSED, SHAPES_ONLY, VIEWS, WIDENING
from saccade_bench.roofline.values import Value


def bytes_moved(graph: onnx.GraphProto, values: Mapping[str, Value]) -> int:
    """Bytes read and written by one run of ``graph``; tensors of unknown size count nothing.

    Every operator belongs to a group, which is one pass over memory. An elementwise one joins the latest group that it
    takes from: what else it takes is there by then. What goes from group to group is written and read.
    """
    homes = _homes(graph, values)
    groups = _groups(graph, homes)
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output if homes[name] == name}
    read: set[str] = set()
    for index, node in enumerate(graph.node):
        for name in _taken(node):
            home = homes.get(name, name)
            if node.op_type not in VIEWS and (home not in makers or groups[makers[home]] != groups[index]):
                read.add(home)
    ends = {homes.get(output.name, output.name) for output in graph.output}
    written = {home for home in read | ends if home in makers}
    return sum(values[name].bytes for each in (read, written) for name in each if name in values)


def _homes(graph: onnx.GraphProto, values: Mapping[str, Value]) -> dict[str, str]:
    """By value: the one whose bytes are moved for it, which is itself but for views and what was widened."""
    homes = {name: name for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type in VIEWS or (node.op_type in WIDENING and _is_wider(node, values)):
            homes[node.output[0]] = homes.get(node.input[0], node.input[0])
    return homes


def _is_wider(node: onnx.NodeProto, values: Mapping[str, Value]) -> bool:
    taken, made = values.get(node.input[0]), values.get(node.output[0])
    return taken is not None and made is not None and made.bytes >= taken.bytes


def _groups(graph: onnx.GraphProto, homes: Mapping[str, str]) -> list[int]:
    """Each operator's group: the place of the one that the group begins with."""
    groups: list[int] = []
    made_by: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        numbers = node.input[:1] if node.op_type in VIEWS | WIDENING else node.input
        before = [made_by[home] for name in numbers if (home := homes.get(name, name)) in made_by]
        is_fused = node.op_type in FUSED | VIEWS
        groups.append(max(before) if before and is_fused else index)
        made_by.update({name: groups[-1] for name in node.output if homes[name] == name})
    return groups


def _taken(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads; of shapes nothing."""
    return iter(()) if node.op_type in SHAPES_ONLY else (name for name in node.input if name)
