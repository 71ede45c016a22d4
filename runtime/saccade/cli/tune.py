"""``saccade tune``: measure which engine and threads are fastest for a bundle here, for "auto" to take."""

from __future__ import annotations

from pathlib import Path

import click

from saccade.bundle import open_bundle
from saccade.cli import emit_json
from saccade.cli.options import BundlePath, json_option
from saccade.engines import DEVICES
from saccade.opening import choose
from saccade.tuned import Setting, forget, remember
from saccade.tuning import Tried, Tuning, tune


@click.command(short_help="Measure which engine and threads are fastest here, for auto to take.")
@click.argument("bundle", type=BundlePath)
@click.option(
    "--variant", default="auto", show_default=True, help="Variant by name; auto is the one that would be used."
)
@click.option("--device", type=click.Choice(("auto", *DEVICES)), default="auto", help="Used or refused.")
@click.option("--rounds", type=click.IntRange(3), default=15, show_default=True, help="Turns that each setting has.")
@click.option(
    "--cache", type=click.Path(path_type=Path), show_default="~/.cache/saccade", help="Where what was found is kept."
)
@click.option("--forget", "is_forgotten", is_flag=True, help="Remove what an earlier run found.")
@json_option
def tune_command(
    bundle: Path, variant: str, device: str, rounds: int, cache: Path | None, is_forgotten: bool, as_json: bool
) -> None:
    """Time BUNDLE's golden frames with every engine and number of threads that can run them here.

    A setting must first give PyTorch's results. The fastest is kept for this bundle, processor and engine version, and
    used where a bundle is opened without a choice of engine and threads; where none is faster beyond the noise, the
    usual one stays.
    """
    opened = open_bundle(bundle)
    engine, device_name, chosen = choose(opened, "auto", device, variant)
    if is_forgotten:
        was_there = forget(opened, chosen, device_name, cache)
        if as_json:
            emit_json({"forgotten": was_there})
        else:
            click.echo("forgotten" if was_there else f"nothing was kept for {chosen.name} on {device_name}")
        return
    found = tune(opened, chosen, Setting(engine), device_name, rounds, lambda what: click.echo(what, err=True))
    path = remember(opened, chosen, device_name, found.chosen, found.to_content(), cache)
    if as_json:
        about = {"variant": chosen.name, "device": device_name, "chosen": vars(found.chosen), "path": str(path)}
        emit_json({**about, **found.to_content()})
        return
    _print(found, path)


def _print(found: Tuning, path: Path) -> None:
    width = max(len(each.setting.name) for each in found.tried)
    for each in found.tried:
        mark = "*" if each.setting == found.chosen else " "
        click.echo(f"{mark} {each.setting.name:<{width}}  {_how(each)}")
    click.echo(f"noise {100 * found.noise:.1f} %; {found.chosen.name} is kept in {path}")


def _how(tried: Tried) -> str:
    if tried.reason is not None:
        return f"left out: {tried.reason}"
    return f"{tried.milliseconds:8.2f} ms  {tried.speedup:.2f} x ({tried.lowest:.2f} to {tried.highest:.2f})"
