"""A benchmark's files made again from its document, and its table put into a README.

python -m saccade_bench.report bench.json -o report
python -m saccade_bench.report bench.json --readme README.md --name road
"""

from __future__ import annotations

from pathlib import Path

import click

from saccade.cli import run_command
from saccade.errors import CheckError, InputError, RequestError
from saccade_bench.document import read
from saccade_bench.report.files import SHOWN, write, write_whole
from saccade_bench.report.markdown import markdown
from saccade_bench.report.readme import filled


@click.command()
@click.argument("document", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder for bench.md and bench.html.")
@click.option("--readme", type=click.Path(path_type=Path), help="Put the table between its marks in this file.")
@click.option("--name", help="Of the marks <!-- bench:NAME --> and <!-- /bench:NAME -->.  [default: the only ones]")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where --readme has another table.")
def main(document: Path, output: Path | None, readme: Path | None, name: str | None, check: bool) -> None:
    """Make the reports of DOCUMENT, a bench.json, without measuring again."""
    if output is None and readme is None:
        raise RequestError("nothing is to be made; tell --output FOLDER, --readme FILE or both")
    if readme is None and (check or name is not None):
        raise RequestError("--name and --check are about --readme, which is not given")
    if check and output is not None:
        raise RequestError("--check writes nothing, but --output asks for files; tell one of the two")
    made = read(document)
    if output is not None:
        write(made, output, SHOWN)
    if readme is not None:
        before = _read_text(readme)
        try:
            after = filled(before, name, markdown(made))
        except RequestError as error:
            raise RequestError(f"{readme}: {error}") from error
        _put(readme, before, after, check, document)


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
