"""``saccade doctor``: what is here, what would be used, what is wrong."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

import saccade
from saccade import engines, machine
from saccade.cli import emit_json
from saccade.cli.options import json_option
from saccade.engines.gpu.cuda import load_cuda
from saccade.engines.gpu.driver import find_gpu
from saccade.errors import SaccadeError

PACKAGES = (
    "numpy", "click", "onnxruntime", "onnxruntime-gpu", "openvino", "av", "Pillow", "faster-coco-eval",
    "opencv-contrib-python-headless", "torch", "onnx", "onnxscript", "safetensors", "diffusers", "tensorrt",
    "tensorrt-rtx", "cuda-bindings",
)  # fmt: skip
CLASHES = (("onnxruntime", "onnxruntime-gpu"),)
"""Distributions that install the same module over each other."""


@click.command(short_help="Say what engines and devices are here, and what would be used.")
@json_option
def doctor(as_json: bool) -> None:
    """Say what engines and devices are on this machine, and what 'auto' would use.

    Exit code 1 when something is wrong, such as two builds of ONNX Runtime installed over each other.
    """
    findings = examine()
    if as_json:
        emit_json(findings)
    else:
        _print(findings)
    if findings["problems"]:
        raise SystemExit(1)


def examine() -> dict[str, Any]:
    """All findings, as ``--json`` prints them."""
    packages = {name: found for name in PACKAGES if (found := package_version(name)) is not None}
    problems = [
        f"{first} {packages[first]} and {second} {packages[second]} are both installed and overwrite each other: "
        f"run pip uninstall {first} {second}, then install saccade[ort] or saccade[cuda]"
        for first, second in CLASHES
        if first in packages and second in packages
    ]
    found = {name: _engine(name) for name in engines.ENGINES}
    problems += [
        f"{name} cannot be loaded: {engine['error']}; uninstall it, then pip install 'saccade[{engines.ENGINES[name]}]'"
        for name, engine in found.items()
        if "error" in engine
    ]
    used: dict[str, str] | None = None
    try:
        engine, device = engines.choose("auto", "auto")
        used = {"engine": engine, "device": device}
    except SaccadeError as error:
        problems.append(str(error))
    return {
        "saccade": saccade.__version__,
        "python": platform.python_version(),
        "executable_bits": sys.maxsize.bit_length() + 1,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": machine.processor(),
        "cores": machine.usable_cores(),
        "vnni": machine.has_vnni(),
        "gpu": machine.gpu_description(),
        "jetson": machine.jetson_name() if machine.is_jetson() else None,
        "cuda": _cuda(),
        "engines": found,
        "packages": packages,
        "auto": used,
        "problems": problems,
    }


def _engine(name: str) -> dict[str, Any]:
    if name not in engines.installed():
        return {"installed": False, "install": f"pip install 'saccade[{engines.ENGINES[name]}]'"}
    try:
        module = engines.engine_module(name)
        return {"installed": True, "version": module.version(), "devices": list(module.devices())}
    except SaccadeError as error:
        return {"installed": True, "version": None, "devices": [], "error": str(error)}


def _cuda() -> dict[str, Any]:
    """The GPU as CUDA shows it, or why it shows none. Nothing of TensorRT is made for this."""
    try:
        return {"gpu": asdict(find_gpu(load_cuda())), "reason": None}
    except SaccadeError as error:
        return {"gpu": None, "reason": str(error)}


def _state(engine: dict[str, Any]) -> str:
    if not engine["installed"]:
        return engine["install"]
    devices = ", ".join(engine["devices"]) or "none that are here"
    return engine.get("error") or f"{engine['version']}, devices {devices}"


def _print(findings: dict[str, Any]) -> None:
    click.echo(f"saccade {findings['saccade']}, Python {findings['python']}, {findings['system']}")
    click.echo(f"processor   {findings['processor']}, {findings['cores']} usable cores")
    if findings["vnni"] is False:
        click.echo(
            "8 bits      no VNNI: slower, and sums may overflow; hold int8 variants by saccade verify --all-variants"
        )
    click.echo(f"gpu         {findings['gpu'] or 'no NVIDIA GPU'}")
    click.echo(f"cuda        {_gpu_line(findings['cuda'])}")
    for name, engine in findings["engines"].items():
        click.echo(f"engine      {name}: {_state(engine)}")
    click.echo(f"packages    {', '.join(f'{name} {found}' for name, found in findings['packages'].items())}")
    used = findings["auto"]
    click.echo(f"auto uses   {used['engine']} on {used['device']}" if used else "auto uses   nothing")
    for problem in findings["problems"]:
        click.echo(f"problem     {problem}")


def _gpu_line(cuda: dict[str, Any]) -> str:
    if cuda["gpu"] is None:
        return cuda["reason"]
    major, minor = cuda["gpu"]["compute_capability"]
    return (
        f"{cuda['gpu']['name']}, compute capability {major}.{minor}, {cuda['gpu']['memory_bytes'] / (1 << 30):.1f} GiB"
    )


def package_version(name: str) -> str | None:
    """The version of an installed distribution, None for one that is not."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
