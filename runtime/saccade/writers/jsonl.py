"""Records into a file of JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from saccade.errors import OutputError, RequestError
from saccade.writers.files import begin_part, output_errors


class JsonLinesWriter:
    """Writes one JSON object per line, each flushed as it comes.

    The file appears at ``path`` on ``close``, also when an exception or Ctrl-C ends the ``with``; without a line,
    nothing appears. Raises ``OutputError`` for what cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.lines_written = 0
        self._part = begin_part(self.path)
        self._file = self._part.open("w", encoding="utf-8", errors="backslashreplace", buffering=1)

    def write(self, record: Mapping[str, object]) -> None:
        """Appends ``record``. Raises ``RequestError`` for what JSON cannot hold: NaN, infinity, arrays."""
        if self._file.closed:
            raise OutputError(f"{self.path} is closed; open another writer for more lines")
        try:
            line = json.dumps(record, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise RequestError(f"a record for {self.path} cannot be JSON: {error}; convert it first") from error
        with output_errors(self.path):
            self._file.write(line + "\n")
        self.lines_written += 1

    def close(self) -> None:
        """Moves the file to ``path``. Raises ``OutputError``, and leaves nothing, if that fails."""
        if self._file.closed:
            return
        try:
            with output_errors(self.path):
                self._file.close()
                if self.lines_written:
                    self._part.replace(self.path)
        finally:
            self._part.unlink(missing_ok=True)

    def abort(self) -> None:
        """Drops what was written."""
        if self._file.closed:
            return
        try:
            self._file.close()
        except OSError:
            pass  # the file is thrown away
        finally:
            self._part.unlink(missing_ok=True)

    def __enter__(self) -> JsonLinesWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except OutputError:
            if error is None:
                raise
