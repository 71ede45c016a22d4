"""The document's files in a folder, each whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from saccade.errors import OutputError
from saccade_bench.document import Document, to_json
from saccade_bench.report.markdown import markdown
from saccade_bench.report.page import page

FORMS = {"bench.json": to_json, "bench.md": markdown, "bench.html": page}
SHOWN = ("bench.md", "bench.html")
"""What can be made again from bench.json."""


def write(made: Document, folder: Path, names: Sequence[str] = tuple(FORMS)) -> None:
    """Write the document as files of ``names``, the samples before what is made of them. Raises ``OutputError``."""
    for name in names:
        write_texts(folder, {name: FORMS[name](made)})


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Write ``texts``, by the names of their files. Raises ``OutputError``."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; --output names a folder")
    for name, text in texts.items():
        write_whole(folder / name, text)


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, which is there in full or stays as it was. Raises ``OutputError``."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise OutputError(f"{path} cannot be written: {error}") from error
