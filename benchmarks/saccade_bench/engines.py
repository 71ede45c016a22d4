"""How large TensorRT-RTX's engines of bundles are and how long it builds them, as a table; no GPU is needed.

python -m saccade_bench.engines road-fast.saccade denoise-fast.saccade
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

import saccade
from saccade import machine
from saccade.cli import emit_json, run_command
from saccade.errors import CheckError, RequestError

if TYPE_CHECKING:
    from saccade_export.support.oracle import Oracle

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
"""The table's columns; those that no bundle has are left out."""


@dataclass(frozen=True)
class BuiltEngine:
    """The engine of a variant. ``seconds`` are of each build, in their order."""

    network: str
    variant: str
    precision: str
    engine_bytes: int
    seconds: tuple[float, ...]

    @property
    def median_s(self) -> float:
        return statistics.median(self.seconds)


def build_engines(bundle: Path, oracle: Oracle, builds: int) -> Iterator[BuiltEngine]:
    """Build what ``bundle`` has for GPUs in one graph and for frames of bytes, each ``builds`` times.

    Raises ``RequestError`` where it has no such variant, ``CheckError`` for one that is refused.
    """
    from saccade_export.support.reading import read_graphs

    manifest = saccade.open_bundle(bundle).manifest
    variants = [each for each in manifest.variants if each.target == "gpu" and set(each.graphs) == {"main"}]
    variants = [each for each in variants if each.parameters.get("entry", "uint8") == "uint8"]
    if not variants:
        raise RequestError(f"{bundle.name} has no variant for GPUs in one graph; export it again")
    for variant in variants:
        (given,) = read_graphs(bundle, variant.name)
        answers = [oracle.ask(given.model, given.shapes_of) for _ in range(builds)]
        if refused := [answer for answer in answers if answer.failed is not None]:
            raise CheckError(
                f"TensorRT-RTX {oracle.version} does not build {variant.name} of {bundle.name}: {refused[0].sentence}"
            )
        steps = variant.parameters.get("steps")
        network = manifest.name + ("" if steps is None else f", {steps} step{'' if steps == 1 else 's'}")
        seconds = tuple(answer.seconds for answer in answers)
        yield BuiltEngine(network, variant.name, variant.precision, answers[0].engine_bytes, seconds)


def table(engines: Sequence[BuiltEngine]) -> list[str]:
    """A line for each network, a column for each precision: megabytes, and the median of the seconds."""
    columns = [each for each in PRECISIONS if any(engine.precision == each for engine in engines)]
    cells = {
        (engine.network, engine.precision): f"{engine.engine_bytes / 1e6:.1f} MB, {engine.median_s:.1f} s"
        for engine in engines
    }
    networks = dict.fromkeys(engine.network for engine in engines)
    lines = [[network, *(cells.get((network, column), "") for column in columns)] for network in networks]
    return [f"| {' | '.join(line)} |" for line in (["engine", *columns], ["---"] * (1 + len(columns)), *lines)]


@click.command()
@click.argument("bundles", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--builds", type=click.IntRange(1), default=3, show_default=True, help="How often each is built.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
def main(bundles: tuple[Path, ...], builds: int, as_json: bool) -> None:
    """Build the variants for GPUs of BUNDLES by TensorRT-RTX, on the CPU, and print sizes and times as a table."""
    from saccade_export.support.oracle import Oracle

    with Oracle(effort=3) as oracle:
        engines = [engine for bundle in bundles for engine in build_engines(bundle, oracle, builds)]
    processor, cores = machine.processor(), machine.usable_cores()
    if as_json:
        about = {"tensorrt_rtx": oracle.version, "processor": processor, "cores": cores}
        emit_json({**about, "engines": [asdict(engine) for engine in engines]})
        return
    apart = [second / engine.median_s for engine in engines for second in engine.seconds]
    click.echo("\n".join(table(engines)))
    click.echo(
        f"TensorRT-RTX {oracle.version} on {cores} core{'' if cores == 1 else 's'} of {processor}; medians of builds "
        f"({builds} each), which took {min(apart):.2f} to {max(apart):.2f} times as long"
    )


if __name__ == "__main__":
    run_command(main, "python -m saccade_bench.engines", "ort,export,tensorrt-rtx")
