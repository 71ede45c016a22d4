"""``saccade verify``: does this machine give what PyTorch gave?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from saccade.bundle import Bundle, open_bundle
from saccade.cli import emit_json
from saccade.cli.options import BundlePath, engine_options, json_option
from saccade.opening import open_task
from saccade.verify import Check, verify


@click.command("verify", short_help="Repeat a bundle's golden frames on this machine.")
@click.argument("bundle", type=BundlePath)
@engine_options
@click.option("--all-variants", is_flag=True, help="Every variant, not only the one that would be used.")
@json_option
def verify_command(bundle: Path, *, variant: str, all_variants: bool, as_json: bool, **options: Any) -> None:
    """Check every byte of BUNDLE, then run its golden frames here and compare with PyTorch's results.

    Exit code 0: all frames pass. 1: a frame differs. 3: the bundle is damaged.
    """
    opened = open_bundle(bundle)
    names = [known.name for known in opened.manifest.variants] if all_variants else [variant]
    checks = [(run_name, check) for name in names for run_name, check in _checks(opened, name, options)]
    passed = all(check.passed for _, check in checks)
    if as_json:
        rows = [{"variant": name, "passed": check.passed, **asdict(check)} for name, check in checks]
        emit_json({"identity": opened.identity, "passed": passed, "frames": rows})
    else:
        for name, check in checks:
            click.echo(_line(name, check))
        click.echo(f"{'passed' if passed else 'FAILED'}: {len(checks)} golden frames of {opened.manifest.name}")
    if not passed:
        raise SystemExit(1)


def _checks(bundle: Bundle, variant: str, options: Mapping[str, Any]) -> list[tuple[str, Check]]:
    """``options`` are those of ``open_task``."""
    with open_task(bundle, variant=variant, **options) as task:
        return [(task.variant, check) for check in verify(bundle, task)]


def _line(variant: str, check: Check) -> str:
    height, width = check.size_hw
    verdict = "equal" if check.passed else "DIFFERS"
    return f"{variant}  {check.frame}  {width}x{height}  {verdict}: {check.sentence}"
