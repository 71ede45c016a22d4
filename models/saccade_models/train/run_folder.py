"""What every training run shares: its folder, its schedule, its averaged weights, and how it stops and goes on.

Call ``check_folder`` before the work begins and ``open_run`` when the network is there.

A run is a folder: ``config.json``, ``log.csv`` (one row an epoch), ``last.pt`` (all that resuming needs) and
``best.safetensors`` (the weights with the best validation score, with their config and scores as metadata).
"""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as in_safetensors
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from saccade.errors import CheckError, RequestError, WeightsError
from saccade_models.torch_files import read_torch_file
from saccade_models.train.muon import MuonAndAdamW

Optimizer = torch.optim.Optimizer | MuonAndAdamW
Scores = TypeVar("Scores")


class Batches(Protocol):
    """An epoch's batches, of a known number: a tuple of them or a ``DataLoader``."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...


class Learner(Protocol):
    """What a run trains beside its network."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, content: dict[str, Any]) -> None: ...


@dataclass
class State:
    """What changes while training; all of it is in ``last.pt``. ``beside`` is what else learns, by its name."""

    network: nn.Module
    averaged: AveragedModel
    optimizer: Optimizer
    epoch: int = 0
    best: float = 0.0
    beside: dict[str, Learner] = field(default_factory=dict[str, "Learner"])


def new_state(
    network: nn.Module, learning_rate: float, weight_decay: float, averaging: float, *, muon: bool = False
) -> State:
    """AdamW that decays convolutions alone, not norms and biases, and an exponential average of the weights.

    ``muon`` takes Muon for convolutions instead, see ``MuonAndAdamW``.
    """
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(averaging), use_buffers=True)
    if muon:
        return State(network, averaged, MuonAndAdamW(network, learning_rate, weight_decay))
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return State(network, averaged, torch.optim.AdamW(groups, lr=learning_rate))


def begin_with(network: nn.Module, path: Path) -> None:
    """Fill ``network`` from weights of the same network. Raises ``WeightsError``."""
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise WeightsError(f"{path} does not hold weights of this network: {str(error).splitlines()[0]}") from error


def step(state: State, loss: Tensor, clip: float) -> float:
    """One step of the optimiser; returns the loss. Raises ``CheckError`` when the gradient is not finite."""
    state.optimizer.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(state.network.parameters(), clip)
    if not torch.isfinite(norm):
        raise CheckError(f"gradient norm is {norm.item()} in epoch {state.epoch + 1}; try without --bfloat16")
    state.optimizer.step()
    state.averaged.update_parameters(state.network)
    return loss.item()


def train_epoch(state: State, config: Any, epoch: Batches, loss_of: Callable[[Any], Tensor], clip: float) -> float:
    """A batch of ``epoch`` a step; counts the epoch and returns the mean loss.

    ``config`` has epochs, learning_rate and warmup_steps. Raises ``CheckError`` when a gradient is not finite.
    """
    losses: list[float] = []
    for number, batch in enumerate(tqdm(epoch, desc=f"epoch {state.epoch + 1}/{config.epochs}")):
        at, steps = state.epoch * len(epoch) + number, config.epochs * len(epoch)
        set_learning_rate(state.optimizer, config.learning_rate, at, steps, config.warmup_steps)
        losses.append(step(state, loss_of(batch), clip))
    state.epoch += 1
    return float(np.mean(losses))


def keep_best(
    state: State,
    config: Any,
    out: Path,
    score: Callable[[Any], Scores],
    value: Callable[[Scores], float],
    metrics: Callable[[Scores], Mapping[str, float]],
    *,
    keeps_zero: bool = False,
) -> Scores:
    """Score the weights and their average (it trails behind early and leads late); keep the best so far on disk.

    ``value`` is what makes one better, ``metrics`` what is recorded. Returns the better one's scores. A first value of
    0 is kept with ``keeps_zero`` alone.
    """
    scored = [(score(network), network) for network in (state.averaged.module, state.network)]
    scores, network = max(scored, key=lambda pair: value(pair[0]))
    best = out / "best.safetensors"
    if value(scores) > state.best or (keeps_zero and not best.exists()):
        state.best = value(scores)
        names = {name: Path(path).name for name, path in asdict(config).items() if name in ("data", "init")}
        save_weights(network, {**asdict(config), **names}, metrics(scores), best)
    return scores


def set_learning_rate(optimizer: Optimizer, highest: float, step: int, steps: int, warmup: int) -> None:
    """Linear warm-up over ``warmup`` steps, on a half cosine from ``highest`` to zero over all ``steps``."""
    rate = highest * 0.5 * (1 + math.cos(math.pi * (step / steps)))
    for group in optimizer.param_groups:
        group["lr"] = rate * min(1.0, (step + 1) / warmup)


def check_folder(out: Path, resume: bool) -> None:
    """Raise ``RequestError`` where training would overwrite a run, or has none to resume."""
    last = out / "last.pt"
    if last.exists() and not resume:
        raise RequestError(f"{out} already holds a run; pass --resume to go on, or another --out")
    if resume and not last.exists():
        raise RequestError(f"nothing to resume: {last} does not exist")


def open_run(out: Path, state: State, config: Any, resume: bool) -> None:
    """Make the folder, or with ``resume`` fill ``state`` from it. Raises ``RequestError`` for other settings."""
    if resume:
        _load(state, config, out / "last.pt")
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(asdict(config), indent=2) + "\n")


def run_epochs(
    state: State,
    config: Any,
    out: Path,
    epoch: Callable[[], float],
    score: Callable[[], Mapping[str, str]],
    *,
    columns: Iterable[str],
    stop_at: float,
) -> float:
    """Epochs until ``config.epochs``, or one that ends past ``stop_at`` (``time.monotonic``); returns the best score.

    ``epoch`` trains one, counts it and returns its loss. ``score`` is asked every ``config.score_every`` epochs and at
    the end, and gives what the log says of it. The log and ``last.pt`` are written after each.
    """
    while state.epoch < config.epochs:
        started = time.monotonic()
        loss = epoch()
        row: dict[str, object] = {"epoch": state.epoch, "loss": f"{loss:.4f}"}
        if state.epoch % config.score_every == 0 or state.epoch == config.epochs:
            row |= score()
        row["seconds"] = f"{time.monotonic() - started:.1f}"
        log(row, columns, out / "log.csv")
        save(state, config, out / "last.pt")
        if time.monotonic() > stop_at:
            break
    return state.best


def save(state: State, config: Any, path: Path) -> None:
    """All that resuming needs, into ``path`` at once or not at all."""
    unfinished = path.with_suffix(".tmp")
    content = {
        "network": state.network.state_dict(),
        "averaged": state.averaged.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "epoch": state.epoch,
        "best": state.best,
        "beside": {name: learner.state_dict() for name, learner in state.beside.items()},
        "config": asdict(config),
    }
    torch.save(content, unfinished)
    unfinished.replace(path)


def save_weights(network: nn.Module, config: Mapping[str, Any], metrics: Mapping[str, float], path: Path) -> None:
    """Weights as safetensors, whose metadata says how they were made and what they score.

    Export records what is under ``metrics`` in the bundle.
    """
    metadata = {"config": json.dumps(dict(config)), "metrics": json.dumps(dict(metrics))}
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    unfinished = path.with_suffix(".tmp")
    unfinished.write_bytes(in_safetensors(tensors, metadata))  # save_file would let nobody else read it
    unfinished.replace(path)


def kept_metrics(out: Path) -> dict[str, float]:
    """The metrics of the weights that a run has kept so far; none before the first scoring."""
    best = out / "best.safetensors"
    if not best.exists():
        return {}
    with safe_open(best, "pt") as file:
        return json.loads(file.metadata()["metrics"])


def log(row: Mapping[str, object], columns: Iterable[str], path: Path) -> None:
    """One more row of ``log.csv``; a log that is there keeps its columns, those of the version that began it."""
    begun: list[str] = []
    if path.exists():
        with path.open(newline="") as file:
            begun = next(csv.reader(file), [])
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, begun or list(columns), extrasaction="ignore")
        if not begun:
            writer.writeheader()
        writer.writerow(row)


def _load(state: State, config: Any, path: Path) -> None:
    content = read_torch_file(path)
    changed = _changed(config, content["config"])
    if changed:
        raise RequestError(f"{path} was made with other settings of {', '.join(changed)}; resume with the same")
    state.network.load_state_dict(content["network"])
    state.averaged.load_state_dict(content["averaged"])
    state.optimizer.load_state_dict(content["optimizer"])
    for name, learner in state.beside.items():
        learner.load_state_dict(content["beside"][name])
    state.epoch = content["epoch"]
    state.best = content["best"] if "best" in content else content["best_miou"]  # the name in the first runs


def _changed(config: Any, stored: Mapping[str, Any]) -> list[str]:
    """Names of the settings that differ; one that is younger than the run had its default."""
    defaults = {field.name: field.default for field in fields(config)}
    return [name for name, value in asdict(config).items() if stored.get(name, defaults[name]) != value]
