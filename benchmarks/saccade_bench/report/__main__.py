"""A benchmark's files made again from its document, and its table put into a README.

python -m saccade_bench.report bench.json -o report
python -m saccade_bench.report bench.json --readme README.md --name road
python -m saccade_bench.report growth.json --readme README.md --name road
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from saccade.cli import run_command
from saccade.errors import CheckError, InputError, RequestError
from saccade_bench import document as bench_document
from saccade_bench.growth import document as growth_document
from saccade_bench.growth import reports as growth_reports
from saccade_bench.report.files import FORMS, SHOWN, write_texts, write_whole
from saccade_bench.report.markdown import markdown
from saccade_bench.report.readme import filled


@dataclass(frozen=True)
class Made:
    """What is made of a document: its table for the marks of its ``kind``, and its files by their names."""

    kind: str
    table: str
    files: Mapping[str, str]


@click.command()
@click.argument("document", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder for the .md and .html beside it.")
@click.option("--readme", type=click.Path(path_type=Path), help="Put the table between its marks in this file.")
@click.option(
    "--name",
    help="Of the marks <!-- bench:NAME --> and <!-- /bench:NAME -->, or growth:NAME.  [default: the only ones]",
)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where --readme has another table.")
def main(document: Path, output: Path | None, readme: Path | None, name: str | None, check: bool) -> None:
    """Make the reports of DOCUMENT, a bench.json or a growth.json, without measuring again."""
    if output is None and readme is None:
        raise RequestError("nothing is to be made; tell --output FOLDER, --readme FILE or both")
    if readme is None and (check or name is not None):
        raise RequestError("--name and --check are about --readme, which is not given")
    if check and output is not None:
        raise RequestError("--check writes nothing, but --output asks for files; tell one of the two")
    made = _made(document)
    if output is not None:
        write_texts(output, made.files)
    if readme is not None:
        before = _read_text(readme)
        try:
            after = filled(before, name, made.table, made.kind)
        except RequestError as error:
            raise RequestError(f"{readme}: {error}") from error
        _put(readme, before, after, check, document)


def _made(document: Path) -> Made:
    """Raises ``RequestError`` for a file that is no document of either kind."""
    content = bench_document.content_of(document)
    if growth_document.is_growth(content):
        grown = growth_document.parsed(document, content)
        files = {name: form(grown) for name, form in growth_reports.SHOWN.items()}
        return Made(growth_document.KIND, growth_reports.readme_table(grown), files)
    made = bench_document.parsed(document, content)
    return Made("bench", markdown(made), {name: FORMS[name](made) for name in SHOWN})


def _put(readme: Path, before: str, after: str, check: bool, document: Path) -> None:
    if before == after:
        return
    if check:
        raise CheckError(f"the table in {readme} is not that of {document}; run the same without --check")
    write_whole(readme, after)


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


if __name__ == "__main__":
    run_command(main, "python -m saccade_bench.report", "ort,bench")
