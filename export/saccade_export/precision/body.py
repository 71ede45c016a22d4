"""What of a lowered graph is the network: the part whose precision is worth choosing."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import onnx_ir as ir

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operations that take nearly all of a network's time, and whose weights are most of its size."""

CARRYING = frozenset({"Add", "AveragePool", "Concat", "LeakyRelu", "MaxPool", "Mul", "Relu", "Resize", "Sigmoid"})
"""Operations that give 8 bits where they are given 8 bits, in engines for CPUs."""

NETWORK = "network."
"""What capture puts before the names of weights in a graph that holds more than the network."""


def body(graph: ir.Graph) -> list[ir.Node]:
    """The nodes on a path from one weighted node to another, both included, in the graph's order.

    What turns a frame into the network's input comes before all of them, what turns its output into a result after.
    """
    nodes = list(graph)
    after: set[ir.Node] = set()
    for node in nodes:
        if node.op_type in WEIGHTED or any(source in after for source in _sources(node)):
            after.add(node)
    before: set[ir.Node] = set()
    for node in reversed(nodes):
        if node.op_type in WEIGHTED:
            before.add(node)
        if node in before:
            before.update(_sources(node))
    return [node for node in nodes if node in after and node in before]


def layers(graph: ir.Graph) -> dict[str, list[str]]:
    """The names of the body's weighted nodes by layer: by the weights they compute with, which several steps share.

    A node of two computed inputs is a layer of its own, by its own name. The same network has the same layers in graphs
    for other targets and numbers of steps.
    """
    found: dict[str, list[str]] = {}
    for node in body(graph):
        if node.op_type in WEIGHTED:
            stored = [value for value in node.inputs[:2] if value is not None and value.is_initializer()]
            name = str(stored[-1].name).removeprefix(NETWORK) if stored else str(node.name)
            found.setdefault(name, []).append(str(node.name))
    return found


def carrying(graph: ir.Graph, chosen: Collection[str]) -> list[str]:
    """The names of the body's nodes that only carry on what the nodes ``chosen`` give, or others that do."""
    found: list[str] = []
    carried = set(chosen)
    for node in body(graph):
        sources = [str(source.name) for source in _sources(node)]
        if node.op_type in CARRYING and sources and carried.issuperset(sources):
            found.append(str(node.name))
            carried.add(str(node.name))
    return found


def _sources(node: ir.Node) -> Iterator[ir.Node]:
    for value in node.inputs:
        producer = None if value is None else value.producer()
        if producer is not None:
            yield producer
