"""The ``saccade`` command. Each command's module is imported when it is called or its help is shown.

Exit codes: 0 done, 1 a check failed, 2 misuse, 3 unreadable input or unwritable output, 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import click

import saccade
from saccade.errors import EngineError, RequestError, SaccadeError

COMMANDS = {
    "info": "saccade.cli.info:info",
    "build": "saccade.cli.build:build_command",
    "verify": "saccade.cli.verify:verify_command",
    "run": "saccade.cli.run:run",
    "eval": "saccade.cli.eval:eval_command",
    "tune": "saccade.cli.tune:tune_command",
    "doctor": "saccade.cli.doctor:doctor",
}
"""The runtime's own commands. Other packages add theirs through the entry-point group ``saccade.commands``."""

ORDER = (
    "train", "export", "quantize", "compare", "support",
    "info", "build", "verify", "run", "eval", "tune", "bench", "doctor",
)  # fmt: skip
INTERRUPTED = 130


class LazyGroup(click.Group):
    """Commands by name, each loaded from its module when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        names = {*COMMANDS, *(entry.name for entry in entry_points(group="saccade.commands"))}
        return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name in COMMANDS:
            module, _, attribute = COMMANDS[cmd_name].partition(":")
            return getattr(import_module(module), attribute)
        for entry in entry_points(group="saccade.commands", name=cmd_name):
            return entry.load()
        return None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(saccade.__version__, prog_name="saccade")
def cli() -> None:
    """From a PyTorch vision model to one sealed file that runs on cameras, with proof that it is what was trained."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    given = sys.argv[1:] if arguments is None else arguments
    run_command(cli, "saccade", _extra_for(given), given)


def run_command(command: click.Command, name: str, extra: str, arguments: list[str] | None = None) -> None:
    """Run ``command`` and exit. Errors raised on purpose are printed without a traceback, and as JSON with ``--json``.

    ``extra`` is the part of the installation that a missing module belongs to.
    """
    given = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in given
    try:
        sys.exit(command.main(given, prog_name=name, standalone_mode=False) or 0)
    except SaccadeError as error:
        sys.exit(_report(error, as_json))
    except ModuleNotFoundError as error:
        sys.exit(_report(RequestError(f"{error.name} is not installed; run pip install 'saccade[{extra}]'"), as_json))
    except MemoryError:
        told = "this machine ran out of memory; end other programs, or work on smaller frames or fewer at once"
        sys.exit(_report(EngineError(told), as_json))
    except click.ClickException as error:
        if as_json:
            _emit_failure(type(error).__name__, error.format_message(), error.exit_code)
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        if as_json:
            _emit_failure("Interrupted", "interrupted", INTERRUPTED)
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)


def emit_json(content: Any) -> None:
    """One JSON document on standard output: what ``--json`` prints."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    click.echo(text.encode(errors="backslashreplace").decode())  # file names may hold bytes that are not UTF-8


def _report(error: SaccadeError, as_json: bool) -> int:
    if as_json:
        _emit_failure(type(error).__name__, str(error), error.exit_code)
    click.echo(f"error: {error}", err=True)
    return error.exit_code


def _emit_failure(kind: str, message: str, exit_code: int) -> None:
    emit_json({"error": {"kind": kind, "message": message}, "exit_code": exit_code})


def _extra_for(arguments: list[str]) -> str:
    extras = {
        "train": "models",
        "eval": "eval",
        **dict.fromkeys(("export", "quantize", "compare", "support"), "export"),
    }
    return extras.get(arguments[0] if arguments else "", "video")
