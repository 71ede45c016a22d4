"""What a search found, as a table for people, as JSON, and as a picture of speed against loss."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from saccade.evaluation.rows import aligned, number
from saccade_export.quantize.scoring import Scorer
from saccade_export.quantize.search import Candidate, Findings, Settings

COLORS = {"chosen": "#1a7f37", "within": "#57a773", "baseline": "#333333", "rejected": "#c0392b"}
SHOWN_BLOCKS = 5
FAR = 10
"""Budgets that a loss may be away before the axis is bent to show it."""


def table(findings: Findings, scorer: Scorer, settings: Settings) -> list[str]:
    """Lines of text: every candidate, then what the network is most sensitive in and where its time goes."""
    rows = [("variant", "ms", "speed-up (of rounds)", "scores", "lost", "")]
    rows += [_row(each) for each in findings.candidates]
    noise = findings.noise
    lines = [
        *aligned(rows),
        "",
        f"lost: {scorer.unit}, on {scorer.images} images; the budget is {settings.budget:g}",
        f"noise: a second process of the baseline was {noise.lowest:.2f} to {noise.highest:.2f} times as fast",
    ]
    for name, profile in findings.profiles.items():
        whole = sum(profile.by_operation.values())
        shares = [
            f"{operation} {time / whole:.0%}" for operation, time in list(profile.by_operation.items())[:SHOWN_BLOCKS]
        ]
        lines.append(f"{name} in onnxruntime: {', '.join(shares)}")
    if findings.sensitivities:
        worst = [f"{each.block.name} {each.lost:+.2f}" for each in findings.sensitivities[:SHOWN_BLOCKS]]
        lines.append(f"most sensitive to 8 bits for their time: {', '.join(worst)}")
    return lines


def content(findings: Findings, scorer: Scorer, settings: Settings) -> dict[str, Any]:
    """All of it, for JSON; what is infinite is None."""
    chosen = findings.chosen
    return {
        "unit": scorer.unit,
        "images": scorer.images,
        "budget": settings.budget,
        "rounds": settings.rounds,
        "chosen": None if chosen is None else chosen.name,
        "noise": asdict(findings.noise),
        "candidates": [_candidate(each) for each in findings.candidates],
        "sensitivities": [
            {
                "block": each.block.name,
                "layers": list(each.block.layers),
                "lost": number(each.lost),
                "ms": each.milliseconds,
            }
            for each in findings.sensitivities
        ],
        "profiles": {name: profile.by_operation for name, profile in findings.profiles.items()},
    }


def plot(findings: Findings, scorer: Scorer, settings: Settings, path: Path) -> None:
    """Speed-up against what is lost, with the budget and the front of those that nothing else beats in both."""
    from matplotlib import rc_context  # takes long to import
    from matplotlib.figure import Figure

    timed = [each for each in findings.candidates if each.timing is not None and np.isfinite(each.lost)]
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for each in timed:
        assert each.timing is not None
        speed, color = each.timing.speedup, COLORS[each.verdict]
        spread = [[max(0.0, speed - each.timing.lowest)], [max(0.0, each.timing.highest - speed)]]
        axes.errorbar([each.lost], [speed], yerr=spread, fmt="o", color=color, elinewidth=0.8, capsize=2)
        axes.annotate(each.name, (each.lost, speed), (6, 4), textcoords="offset points", fontsize=8, color=color)
    front = front_of(timed)
    axes.plot(
        [each.lost for each in front],
        [each.speedup for each in front],
        color="#888888", linewidth=1, drawstyle="steps-post", label="nothing else is faster and loses less",
    )  # fmt: skip
    axes.axvline(settings.budget, color="#c0392b", linestyle="--", linewidth=1, label=f"budget, {settings.budget:g}")
    axes.axhline(1.0, color="#333333", linestyle=":", linewidth=1)
    if max((each.lost for each in timed), default=0.0) > FAR * max(settings.budget, scorer.budget):
        axes.set_xscale("symlog", linthresh=max(settings.budget, scorer.budget))
    axes.set_xlabel(f"lost, {scorer.unit} ({scorer.images} images)")
    axes.set_ylabel("times as fast as float32 (ends: slowest and fastest round)")
    axes.legend(fontsize=8)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "saccade"}):  # text stays text, equal findings equal bytes
        figure.savefig(path, metadata={"Date": None})


def front_of(candidates: list[Candidate]) -> list[Candidate]:
    """Those that no other beats in both speed and loss, from the least loss on."""
    front: list[Candidate] = []
    for each in sorted(candidates, key=lambda each: (each.lost, -each.speedup)):
        if not front or each.speedup > front[-1].speedup:
            front.append(each)
    return front


def _row(each: Candidate) -> tuple[str, ...]:
    timing = each.timing
    scores = " ".join(f"{value:.2f}" for value in each.scores.values())
    milliseconds = "-" if timing is None else f"{timing.milliseconds:.1f}"
    speed = "-" if timing is None else f"{timing.speedup:.2f} ({timing.lowest:.2f} to {timing.highest:.2f})"
    told = each.verdict if not each.reason else f"{each.verdict}: {each.reason}"
    return each.name, milliseconds, speed, scores or "-", f"{round(each.lost, 2) + 0.0:.2f}", told


def _candidate(each: Candidate) -> dict[str, Any]:
    recipe = each.recipe
    return {
        "name": each.name,
        "precision": recipe.precision,
        "target": recipe.target,
        "engine": recipe.engine or "onnxruntime",
        "method": recipe.method or None,
        "kept_in_float32": list(each.kept_blocks),
        "scores": {name: number(value) for name, value in each.scores.items()},
        "lost": number(each.lost),
        "timing": None if each.timing is None else asdict(each.timing),
        "verdict": each.verdict,
        "reason": each.reason,
    }
