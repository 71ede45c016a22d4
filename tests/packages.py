"""Packages of stated versions in folders of their own, beside the environment and never in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def installed(distribution: str, version: str) -> Path:
    """A folder with one distribution in it and nothing else; the test is skipped where pip cannot give it."""
    folder = Path(sys.prefix) / "bindings" / f"{distribution}-{version}"
    if not (folder / "done").exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--upgrade", "--target", str(folder), f"{distribution}=={version}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"pip cannot give {distribution} {version} here: {done.stderr.strip().splitlines()[-1]}")
        (folder / "done").touch()
    return folder
