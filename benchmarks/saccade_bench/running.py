"""A benchmark from what was asked to its document: arms chosen, measured in turns, compared, scored, held to limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import saccade
from saccade.errors import RequestError
from saccade_bench.accuracy import Labelled, scores
from saccade_bench.agreement import LEAST, agreement
from saccade_bench.arms import Arm
from saccade_bench.bare import BARE_WAY, bare_arm
from saccade_bench.chosen import BUNDLE_WAY, bundle_arms, read_asked
from saccade_bench.document import ArmReport, Document, document
from saccade_bench.machine.about import about_machine
from saccade_bench.machine.watching import Watched, Watcher
from saccade_bench.overhead import frames_of_one_size
from saccade_bench.peers.registry import peer_arms, read_peer
from saccade_bench.roofline.limits import share_of_work
from saccade_bench.roofline.peaks import Peaks, measure_peaks
from saccade_bench.roofline.runs import products_in, work_of
from saccade_bench.stream_report import stream_report
from saccade_bench.torch_network import torch_arms
from saccade_bench.turns import TIERS, Measured, Tell, before_a_camera, in_turns

WITHOUT_LIMITS = ("smoke",)
"""Tiers that are too short to measure the machine's peaks beside, which takes as long as they do."""


YARDSTICK_WAY = "saccade_bench.ways.yardstick"


@dataclass(frozen=True)
class Request:
    """What was asked for. ``work`` is the scenario with its numbers; without ``labelled`` nothing is scored.

    ``torch_weights`` are those of the first bundle's network, which then runs in PyTorch too; ``bare`` runs it alone.
    """

    arms: Sequence[str]
    peers: Sequence[str]
    source: str
    frames: int
    threads: int | None
    tier: str
    work: Mapping[str, Any]
    labelled: Labelled | None = None
    torch_weights: Path | None = None
    bare: bool = False


def run(request: Request, tell: Tell) -> Document:
    """Measure everything. Raises ``RequestError`` for what does not go together, ``CheckError`` for an arm that fails,
    ``DatasetError`` for labelled images that are not as they should be.
    """
    asked = [read_asked(text) for text in request.arms]
    peers = [read_peer(text) for text in request.peers]
    frames = frames_of_one_size(request.source, request.frames)
    with TemporaryDirectory(prefix="saccade-bench-") as name:
        folder = Path(name)
        arms = bundle_arms(asked, frames, folder, request.threads)
        if request.bare:
            arms.append(bare_arm(asked[0].bundle, arms[0].spec["frames"], folder, request.threads))
        if request.torch_weights is not None:
            arms += torch_arms(asked[0].bundle, request.torch_weights, arms[0].spec, request.threads)
        arms += peer_arms(peers, asked[0].bundle, arms[0].spec["frames"], folder, request.threads)
        if request.labelled is not None:
            request.labelled.scorer(arms[0].spec["bundle"])  # what is wrong with the data shows before anything runs
        with Watcher() as watcher:
            reports = _measured(arms, request, folder, watcher, tell)
        peaks = None
        if request.tier not in WITHOUT_LIMITS and reports[0].engine:
            tell("measuring the machine's peaks", 0, 1)
            peaks = measure_peaks(request.threads)
            limits = [_limit(arm, report, peaks) for arm, report in zip(arms, reports, strict=False)]
            held = [replace(report, limit=limit) for report, limit in zip(reports, limits, strict=False)]
            reports = [*held, *reports[len(held) :]]
    return document(_settings(request, frames), _machine(watcher.result(), peaks), reports)


def _measured(arms: Sequence[Arm], request: Request, folder: Path, watcher: Watcher, tell: Tell) -> list[ArmReport]:
    """The arms, with a second process of the first one and, but for a camera, the yardstick after them."""
    results = [folder / f"result-{index}.npz" for index in range(len(arms))]
    named = [replace(arm, spec={**arm.spec, "result": str(path)}) for arm, path in zip(arms, results, strict=True)]
    again = replace(arms[0], name=f"{arms[0].name} again")
    yardstick = Arm("yardstick", YARDSTICK_WAY, {"threads": request.threads})
    effort, work = TIERS[request.tier], request.work
    if work["scenario"] == "constant-stream":
        found = before_a_camera([*named, again], effort, work["fps"], work["policy"], tell, watcher.follow)
    else:
        arms = [replace(arm, batch=work["batch"]) for arm in (*named, again, yardstick)]
        found = in_turns(arms, effort, tell, watcher.follow)
    scored = [None] * len(named) if request.labelled is None else scores(named, request.labelled, tell)
    reports = [report_of(each, work.get("deadline_ms", 0.0)) for each in found]
    own: list[ArmReport] = []
    for arm, each, path, reached in zip(named, reports, results, scored, strict=False):
        if arm.module == BARE_WAY:
            own.append(replace(each, role="network"))
        else:
            own.append(replace(each, agreement=agreement(results[0], path), scores=reached))
    rest = zip(reports[len(own) :], ("again", "yardstick"), strict=False)
    return [*own, *(replace(each, role=role) for each, role in rest)]


def report_of(measured: Measured, deadline_ms: float = 0.0) -> ArmReport:
    """What was measured of an arm; ``deadline_ms`` is for frames of a camera."""
    start = measured.start
    return ArmReport(
        measured.arm.name,
        "arm",
        start.about,
        *(measured.rounds(what) for what in ("wall", "cpu", "engine")),
        imported_ms=start.imported_ms,
        opened_ms=start.opened_ms,
        first_ms=start.first_ms,
        peak_mb=measured.peak_mb,
        stream=stream_report(measured.windows, deadline_ms) if measured.windows else None,
    )


def _limit(arm: Arm, report: ArmReport, peaks: Peaks) -> dict[str, Any] | None:
    """How near the engine comes to the machine's limit; None for peers, for GPUs and for several frames at once."""
    if arm.module != BUNDLE_WAY or report.about["device"] != "cpu" or not report.samples("engine"):
        return None
    spec, bundle = arm.spec, saccade.open_bundle(arm.spec["bundle"])
    variant, engine = bundle.variant(spec["variant"]), str(spec["engine"])
    asked = {**spec.get("asked", {}), **({"mask": np.load(spec["mask"])} if "mask" in spec else {})}
    counted = work_of(bundle, variant, engine, np.load(spec["frames"]), asked)
    precision = products_in(variant, engine)
    try:
        found = share_of_work(counted, median(report.samples("engine")) / 1000, peaks, precision)
    except RequestError as error:  # a precision without a peak here
        return {"flops": counted.flops, "bytes": counted.bytes_moved, "reason": str(error)}
    return {"flops": counted.flops, "bytes": counted.bytes_moved, **asdict(found)}


def _settings(request: Request, frames: Sequence[Any]) -> dict[str, Any]:
    height, width, _ = frames[0].shape
    return {
        "arms": list(request.arms), "peers": list(request.peers),
        "torch": request.torch_weights is not None, "bare": request.bare,
        "least_agreement": LEAST, "source": request.source,
        "frames": len(frames), "width": width, "height": height, "threads": request.threads, "tier": request.tier,
        **vars(TIERS[request.tier]), **request.work,
    }  # fmt: skip


def _machine(watched: Watched, peaks: Peaks | None) -> dict[str, Any]:
    """What ran it and how it was meanwhile, with its peaks where they were measured."""
    about = about_machine(watched)
    if peaks is not None:
        roofs = {name: 1e9 * peak.gflops for name, peak in peaks.best.items()}
        about["peaks"] = {"flops_per_s": roofs, "bytes_per_s": 1e9 * peaks.copy_gb_s, "measured": asdict(peaks)}
    return about
