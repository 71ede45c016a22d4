"""What the documents promise is run: the Python in the README, its commands' options, its files."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from saccade.cli import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted(path for path in ROOT.rglob("*.md") if not any(part.startswith(".") for part in path.parts))
COMMANDS = [
    line.removeprefix("$ ").split("  #")[0].strip()
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("$ ")
]


def python_in(document: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", document.read_text(), re.DOTALL)


@pytest.mark.parametrize("code", python_in(ROOT / "README.md"))
def test_the_readmes_python_runs_as_printed(code: str) -> None:
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\((540, 960|\d+, 4)\)", done.stdout), "the shape of a class map, or of boxes"


@pytest.mark.torch
def test_the_exports_python_runs_as_printed() -> None:
    (code,) = python_in(ROOT / "export" / "README.md")
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert "(1, 3, 8, 8)" in done.stdout, "the shape of an image"


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("saccade ")])
def test_the_readmes_commands_exist_with_these_options(command: str) -> None:
    _, name, *arguments = shlex.split(command)
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    found.make_context(name, arguments, parent=click.Context(cli, help_option_names=["-h", "--help"]))


@pytest.mark.parametrize("arguments", [["info"], ["verify"], ["doctor"]])
def test_the_readmes_quick_commands_succeed(arguments: list[str]) -> None:
    bundle = [] if arguments == ["doctor"] else ["models/bundles/road-camvid.saccade"]
    command = [sys.executable, "-c", "from saccade.cli import main; main()", *arguments, *bundle]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_makefile_has_the_readmes_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for line in COMMANDS:
        if line.startswith("make "):
            assert re.search(rf"^{line.split()[1]}:", makefile, re.MULTILINE)
