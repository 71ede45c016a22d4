"""Plain diffusion on MNIST, from the data to a report: the reference that other ways of sampling are held against.

python -m saccade_models.digits DATA/mnist -o runs/digits

trains the network (``train.generation``) and a classifier, samples with DDPM and with DDIM, and leaves in the run's
folder, beside what every run has, ``classifier.safetensors``, ``report.json`` and a picture for each sampler.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import diffusers
import torch
from torch import Tensor

from saccade.cli import emit_json, run_command
from saccade.cli.options import FiniteRange, json_option
from saccade.errors import CheckError, RequestError
from saccade.machine import processor
from saccade_models.cli_options import check_device
from saccade_models.diffusion import PARAMETERISATIONS, SCHEDULES
from saccade_models.digit_classifier import DigitClassifier, accuracy, train_classifier
from saccade_models.digit_report import (
    SAMPLERS,
    DiffusionModel,
    Findings,
    Sampler,
    check_controls,
    new_judge,
    report,
    table,
)
from saccade_models.mnist import Digits, read_digits, split
from saccade_models.torch_files import read_torch_file
from saccade_models.train import run_folder
from saccade_models.train.generation import Config, new_network, states, train

LEAST_ACCURACY = 0.98
"""What the classifier must be right on, of held-out digits, to judge samples."""


@click.command(context_settings={"show_default": True})
@click.argument("data", type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--schedule", type=click.Choice(tuple(SCHEDULES)), default=Config.schedule, help="Of the noise.")
@click.option(
    "--parameterisation",
    type=click.Choice(tuple(PARAMETERISATIONS)),
    default=Config.parameterisation,
    help="What the network says: the noise, the image, or the velocity.",
)
@click.option(
    "--epochs", type=click.IntRange(1), default=Config.epochs, help="The learning rate falls to zero over them."
)
@click.option("--samples", type=click.IntRange(1), default=100, help="Of each sampler, and of each control.")
@click.option("--bfloat16", is_flag=True, help="Train in mixed precision; samples are always made in float32.")
@click.option("--compile", "compiled", is_flag=True, help="Train with torch.compile.")
@click.option("--device", default="cpu", help="cpu, or cuda where PyTorch has it.")
@click.option("--seed", type=click.IntRange(0), default=0)
@click.option(
    "--time-limit",
    type=FiniteRange(0, min_open=True),
    metavar="MINUTES",
    help="Stop training after the epoch that ends past this, and report on what there is.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out; one that is done is reported on again.")
@json_option
def main(
    data: Path, out: Path, samples: int, compiled: bool, device: str, time_limit: float | None, resume: bool,
    as_json: bool, **settings: Any,
) -> None:  # fmt: skip
    """Train diffusion on the MNIST files in DATA (NAME-images-idx3-ubyte.gz and labels), and report on its samples."""
    check_device(device)
    config = Config(data=str(data), **settings)
    limit_s = math.inf if time_limit is None else 60 * time_limit
    best = train(config, out, resume=resume, compiled=compiled, time_limit_s=limit_s, device=device)
    found, about = judge_run(config, out, count=samples, device=device)
    document = {"val_explained": best, **about, "findings": [asdict(one) for one in found]}
    unfinished = out / "report.tmp"
    unfinished.write_text(json.dumps(document, indent=2) + "\n")
    unfinished.replace(out / "report.json")
    if as_json:
        emit_json(document)
    else:
        click.echo(f"explained {best:.4f} of the target on held-out digits; samples and report.json in {out}")
        click.echo(f"{table(found)}\ndistances: to the nearest training digit, RMS over pixels in grey levels")
    check_controls(found)


def judge_run(
    config: Config, out: Path, *, samplers: Sequence[Sampler] = SAMPLERS, count: int = 100, device: str = "cpu"
) -> tuple[list[Findings], dict[str, Any]]:
    """Findings on the best weights in ``out``, and what they were found with.

    Raises ``RequestError`` where there are no weights yet, ``CheckError`` where the classifier is not good enough.
    """
    if not (out / "best.safetensors").exists():
        raise RequestError(f"training stopped before it kept weights in {out}; go on with --resume")
    training, held_out = split(read_digits(Path(config.data)))
    classifier, is_right = _classifier(training, held_out, out / "classifier.safetensors", config.seed)
    network = new_network(config).eval()
    run_folder.begin_with(network, out / "best.safetensors")
    judge = new_judge(classifier, states(training), states(held_out))
    model = DiffusionModel(network.to(device), config.schedule, config.parameterisation)
    found = report(model, judge, states(held_out), out, samplers=samplers, count=count, seed=config.seed, device=device)
    about = {
        "config": asdict(replace(config, data=Path(config.data).name)),
        "epochs": read_torch_file(out / "last.pt")["epoch"],
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "classifier_accuracy": is_right,
        "near": judge.reach,
        "machine": _machine(device),
    }
    return found, about


def _classifier(training: Digits, held_out: Digits, path: Path, seed: int) -> tuple[DigitClassifier, float]:
    """The classifier in ``path``, trained first where there is none, and the share of held-out digits it knows."""
    if path.exists():
        classifier = DigitClassifier().eval()
        run_folder.begin_with(classifier, path)
    else:
        classifier = train_classifier(states(training), _labels(training), seed=seed)
    # Its training ends after a fixed number of epochs: nothing was chosen by the held-out digits.
    is_right = accuracy(classifier, states(held_out), _labels(held_out))
    if is_right < LEAST_ACCURACY:
        raise CheckError(
            f"the classifier is right on {is_right:.1%} of held-out digits, but must be on {LEAST_ACCURACY:.0%} to "
            "judge samples; give more digits to train on"
        )
    run_folder.save_weights(classifier, {"seed": seed}, {"accuracy": is_right}, path)
    return classifier, is_right


def _labels(digits: Digits) -> Tensor:
    return torch.from_numpy(digits.labels.astype("int64"))


def _machine(device: str) -> dict[str, Any]:
    return {
        "processor": processor(),
        "device": device if device == "cpu" else torch.cuda.get_device_name(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
    }


if __name__ == "__main__":
    run_command(main, "python -m saccade_models.digits", "models,diffusion")
