"""``saccade support``: which engines take a graph. ONNX is imported when the command runs, never for its help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from saccade.cli import emit_json
from saccade.cli.options import json_option
from saccade.errors import RequestError

if TYPE_CHECKING:
    from saccade_export.support.findings import Finding
    from saccade_export.support.oracle import Answer, Oracle
    from saccade_export.support.targets import Target
    from saccade_export.support.verdicts import Judged

SHOWN_NODES = 3
BUILDABLE = ("tensorrt", "tensorrt-rtx")


@click.command("support", short_help="Tell which engines take a graph, without a GPU.")
@click.argument("graph", type=click.Path(path_type=Path))
@click.option("--target", required=True, help="tensorrt[:10.3|:10.16|:11], tensorrt-rtx, dla or onnxruntime-cuda.")
@click.option("--variant", help="Of a bundle, one variant by name.  [default: all of them]")
@click.option(
    "--oracle/--no-oracle",
    default=None,
    help="Let TensorRT-RTX parse and build it too.  [default: where it is installed]",
)
@json_option
def support(graph: Path, target: str, variant: str | None, oracle: bool | None, as_json: bool) -> None:
    """Tell whether TARGET takes GRAPH, a bundle or an .onnx file, and which nodes it refuses for which reason.

    A table of rules looks at every node; where tensorrt-rtx is installed, NVIDIA's own parser and builder are asked
    too, which needs no GPU, and the worse of the two counts. tensorrt without a version is what 10.3, 10.16 and 11 all
    take. For dla and onnxruntime-cuda the answer is an estimate.

    Exit code 0: nothing is refused. 1: something is. 2: misuse. 3: the file cannot be read.
    """
    from saccade_export.support.reading import read_graphs
    from saccade_export.support.targets import parse_target
    from saccade_export.support.verdicts import judge

    asked = parse_target(target)
    with ExitStack() as stack:
        asking = _oracle(asked, oracle)
        opened = None if asking is None else stack.enter_context(asking)
        judged = [judge(given, asked, opened) for given in read_graphs(graph, variant)]
    if as_json:
        emit_json(_content(graph, target, judged, opened))
    else:
        for line in _lines(graph, asked, judged, opened):
            click.echo(line)
    if any(each.verdict == "refused" for each in judged):
        raise SystemExit(1)


def _oracle(target: Target, wanted: bool | None) -> Oracle | None:
    from saccade_export.support.oracle import Oracle, is_installed

    if target.engine not in BUILDABLE:
        if wanted:
            raise RequestError(
                f"--oracle builds for {' and '.join(BUILDABLE)}, but --target is {target.engine}; leave it out"
            )
        return None
    if wanted is False or (wanted is None and not is_installed()):
        return None
    return Oracle(effort=3)


def _content(path: Path, target: str, judged: Sequence[Judged], oracle: Oracle | None) -> dict[str, Any]:
    graphs = [
        {
            "variant": each.given.variant,
            "stage": each.given.stage,
            "verdict": each.verdict,
            "findings": [asdict(finding) for finding in each.findings],
            "differences": [asdict(finding) for finding in each.differences],
            "oracle": None if each.answer is None or oracle is None else _answer(each.answer, oracle),
        }
        for each in judged
    ]
    return {"path": str(path), "target": target, "graphs": graphs}


def _answer(answer: Answer, oracle: Oracle) -> dict[str, Any]:
    return {"version": oracle.version, **asdict(answer)}


def _lines(path: Path, target: Target, judged: Sequence[Judged], oracle: Oracle | None) -> Iterator[str]:
    yield f"{path.name} for {target.title}"
    for each in judged:
        title = each.given.title
        yield f"{title + ': ' if title else ''}{each.verdict}"
        for line in _grouped(each.findings):
            yield f"  {line}"
        if each.answer is not None and oracle is not None:
            yield f"  {_said(each.answer, oracle.version)}"
        for line in _grouped(each.differences):
            yield f"  known difference, TensorRT-RTX alone: {line}"
    if oracle is None and target.engine in BUILDABLE:
        yield "TensorRT-RTX was not asked; for that, pip install 'saccade[tensorrt-rtx]', and leave --no-oracle out"


def _grouped(findings: Sequence[Finding]) -> Iterator[str]:
    """A line for each sentence, with how many nodes it is about and the names of the first."""
    nodes: dict[tuple[str, str, str], list[str]] = {}
    for each in findings:
        nodes.setdefault((each.rule, each.severity, each.sentence), []).append(each.node)
    for (rule, severity, sentence), names in nodes.items():
        named = [name for name in names if name]
        more = f" and {len(named) - SHOWN_NODES} more" if len(named) > SHOWN_NODES else ""
        where = f" [{', '.join(named[:SHOWN_NODES])}{more}]" if named else ""
        yield f"{severity}, {rule}: {sentence}{where}"


def _said(answer: Answer, version: str) -> str:
    if answer.failed is None:
        return (
            f"TensorRT-RTX {version} parses and builds it ({answer.seconds:.1f} s, {answer.engine_bytes / 1e6:.1f} MB)"
        )
    failed = {
        "parse": "does not parse it",
        "build": "parses it and does not build it",
        "crash": "ended while it worked on it",
        "late": "took too long",
        "size": "was not asked",
    }[answer.failed]
    return f"TensorRT-RTX {version} {failed}: {answer.sentence}"
