"""The fastest variant of a bundle on this machine that loses no more than a budget of the task's metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import onnx_ir as ir

from saccade import engines
from saccade.errors import CheckError, DeviceError, EngineError
from saccade.spec import Variant
from saccade.turns import Timing
from saccade_export.precision.adding import Made, open_made
from saccade_export.precision.graphs import model_of
from saccade_export.precision.histograms import METHODS
from saccade_export.precision.reduced import NEEDS_OPENVINO, WHOLE, Recipe, Reducer
from saccade_export.precision.tolerances import with_tolerances
from saccade_export.quantize.profile import Profile, profile
from saccade_export.quantize.scoring import Scorer, check_scores, lost
from saccade_export.quantize.sensitivity import Sensitivity, blocks_of, measure_sensitivity
from saccade_export.quantize.timing import AGAIN, time_variants

PROFILED = 4
LEAST_GAIN = 1.05
"""A variant must be so many times as fast to be worth having, however quiet the machine."""

Bar = Callable[[str, int], AbstractContextManager[Callable[[], object]]]
"""A progress bar of a label and a length: what to call after each step."""


@dataclass(frozen=True)
class Settings:
    """What may be tried: ``precisions`` and calibration ``methods``, within ``budget``; timed over ``rounds``."""

    budget: float
    precisions: tuple[str, ...] = ("int8", "bf16", "fp16")
    methods: tuple[str, ...] = tuple(METHODS)
    rounds: int = 9
    threads: int | None = None


@dataclass(frozen=True)
class Candidate:
    """A variant that was tried: what it scores, what of that is ``lost``, how fast it is, and what became of it.

    ``timing`` is None where it was not timed. ``verdict`` is "baseline", "chosen", "added", "within" the budget but not
    the fastest, or "rejected"; ``reason`` says why, for people. The name ends in how many blocks stay in float32.
    """

    name: str
    recipe: Recipe
    scores: dict[str, float]
    lost: float
    timing: Timing | None = None
    verdict: str = ""
    reason: str = ""
    kept_blocks: tuple[str, ...] = ()

    @property
    def speedup(self) -> float:
        """How many times as fast as float32 it is, 0 where it was not timed."""
        return 0.0 if self.timing is None else self.timing.speedup


@dataclass(frozen=True)
class Findings:
    """All that was tried, best first, what was measured on the way, and the variants that are worth adding.

    ``first`` are those for this machine's CPU, which "auto" shall take; ``last`` are for GPUs, timed by nobody yet.
    """

    candidates: tuple[Candidate, ...]
    noise: Timing
    sensitivities: tuple[Sensitivity, ...]
    profiles: Mapping[str, Profile]
    first: tuple[Made, ...]
    last: tuple[Made, ...]

    @property
    def chosen(self) -> Candidate | None:
        return next((each for each in self.candidates if each.verdict == "chosen"), None)


def _no_bar(label: str, length: int) -> AbstractContextManager[Callable[[], object]]:  # noqa: ARG001 - a Bar
    return nullcontext(lambda: None)


@dataclass
class Search:
    """One search; ``say`` is told each step."""

    reducer: Reducer
    scorer: Scorer
    settings: Settings
    say: Callable[[str], None] = lambda _: None
    bar: Bar = _no_bar
    _tried: dict[str, Candidate] = field(default_factory=dict[str, Candidate])
    _sensitivities: list[Sensitivity] = field(default_factory=list[Sensitivity])
    _profiles: dict[str, Profile] = field(default_factory=dict[str, Profile])

    def run(self) -> Findings:
        """Score, time and choose. Raises a ``SaccadeError`` where the bundle in float32 itself has no score."""
        self.say(f"scoring {self._base.name} on {self.scorer.images} images")
        check_scores(self._before)
        self._keep(Candidate(self._base.name, Recipe(WHOLE), self._before, 0.0, verdict="baseline"))
        if "openvino" in engines.installed():
            for precision in [name for name in (WHOLE, *self.settings.precisions) if name in (WHOLE, "bf16")]:
                self._try(Recipe(precision, engine="openvino"))
        elif "bf16" in self.settings.precisions:
            self.say(f"bf16 is not tried: {NEEDS_OPENVINO}")
        if "int8" in self.settings.precisions:
            self._try_int8()
        timed = [each for each in self._tried.values() if each.recipe.target == "cpu" and self._is_timed(each)]
        self.say(f"timing {len(timed)} variants over {self.settings.rounds} rounds")
        made = {each.name: self._made(each.recipe) for each in timed}
        path, threads = self.reducer.bundle.path, self.settings.threads
        timings = time_variants(path, made, self.scorer.timed(), self.settings.rounds, threads)
        for each in timed:
            self._keep(replace(each, timing=timings[each.name]))
        first = self._choose(timings[AGAIN])
        last = self._for_gpus()
        return Findings(
            tuple(sorted(self._tried.values(), key=_order)),
            timings[AGAIN],
            tuple(self._sensitivities),
            self._profiles,
            tuple(first),
            tuple(last),
        )

    @cached_property
    def _base(self) -> Variant:
        return self.reducer.bases(Recipe(WHOLE))[0]

    @cached_property
    def _before(self) -> dict[str, float]:
        return self._score([Made(self._base, {})])

    @cached_property
    def _before_on_few(self) -> dict[str, float]:
        scores = self._score([Made(self._base, {})], few=True)
        check_scores(scores)
        return scores

    def _try_int8(self) -> None:
        plain = Recipe("int8", method=self._best_method())
        found = self._try(plain)
        if not found.scores:
            return
        self._explain(plain)
        mixed = plain if found.lost <= self.settings.budget else self._mixed(plain)
        if "openvino" not in engines.installed():
            return
        other = self._try(replace(plain, engine="openvino"))
        if other.lost > self.settings.budget and mixed is not None and mixed != plain:
            kept = next(each.kept_blocks for each in self._tried.values() if each.recipe == mixed)
            self._try(replace(mixed, engine="openvino"), kept)

    def _best_method(self) -> str:
        """The method that loses least on a few images, everything in 8 bits."""
        losses: dict[str, float] = {}
        with self.bar("calibrating by each method", len(self.settings.methods)) as progress:
            for method in self.settings.methods:
                try:
                    scores = self._score([self._made(Recipe("int8", method=method))], few=True)
                    losses[method] = lost(self._before_on_few, scores)
                except EngineError:  # which is told when the best of them is tried on all images
                    losses[method] = float("inf")
                progress()
        shown = ", ".join(f"{method} {loss:+.2f}" for method, loss in losses.items())
        best = min(losses, key=lambda method: losses[method])
        self.say(f"8 bits everywhere lose, in {self.scorer.unit} on a few images: {shown}; going on with {best}")
        return best

    def _mixed(self, plain: Recipe) -> Recipe | None:
        """8 bits with as few blocks in float32 as the budget needs, those that lose most for their time first."""
        order = self._order(plain)
        low, high, best = 0, len(order), None
        while high - low > 1:  # with none kept it lost too much, with all there is nothing left in 8 bits
            middle = (low + high) // 2
            recipe = _keeping(plain, order[:middle])
            if self._try(recipe, tuple(each.block.name for each in order[:middle])).lost <= self.settings.budget:
                high, best = middle, recipe
            else:
                low = middle
        return best

    def _order(self, plain: Recipe) -> list[Sensitivity]:
        if not self._sensitivities:
            recipe = replace(plain, target="cpu", engine=None)
            with self.bar("sensitivity of each block", len(blocks_of(self.reducer.layers))) as progress:
                times = self._profiles[WHOLE].by_layer
                self._sensitivities = measure_sensitivity(
                    self.reducer, self.scorer, recipe, self._base, times, self._before_on_few, progress
                )
        return self._sensitivities

    def _explain(self, plain: Recipe) -> None:
        """Where the time goes in float32 and in 8 bits."""
        feeds = self.reducer.feeds(self._base)[:PROFILED]
        whole = ir.to_proto(model_of(self.reducer.bundle, self._base)).SerializeToString()
        for name, graph in ((WHOLE, whole), ("int8", self._made(plain).graphs["main"])):
            self._profiles[name] = profile(graph, feeds, self.settings.threads)

    def _choose(self, noise: Timing) -> list[Made]:
        """The fastest within the budget, in all its numbers of steps; every other candidate is told why not."""
        least, chosen = max(LEAST_GAIN, noise.highest), []
        timed = [each for each in self._tried.values() if each.timing is not None and each.verdict != "baseline"]
        for each in sorted(timed, key=lambda each: -each.speedup):
            if each.lost > self.settings.budget or each.speedup < least:
                self._keep(replace(each, verdict="rejected", reason=self._sentence(each)))
            elif chosen:
                self._keep(replace(each, verdict="within", reason="within the budget, but not the fastest"))
            else:
                chosen = self._completed(each, "chosen")
        for each in [each for each in self._tried.values() if not each.verdict and each.recipe.target == "cpu"]:
            self._keep(replace(each, verdict="rejected", reason=self._sentence(each)))
        return chosen

    def _for_gpus(self) -> list[Made]:
        """Half and 8 bits for GPUs, whose arithmetic ONNX Runtime shows on the CPU, but not their speed."""
        added: list[Made] = []
        if "fp16" in self.settings.precisions:
            added += self._for_gpu(Recipe("fp16", "gpu"))
        if "int8" in self.settings.precisions:
            best = next(each.recipe for each in self._tried.values() if each.recipe.precision == "int8")
            added += self._for_gpu(Recipe("int8", "gpu", method=best.method))
        return added

    def _for_gpu(self, recipe: Recipe) -> list[Made]:
        found = self._try(recipe)
        if found.scores and found.lost > self.settings.budget and recipe.precision == "int8":
            mixed = self._mixed(recipe)
            found = next((each for each in self._tried.values() if each.recipe == mixed), found)
        for each in [each for each in self._tried.values() if not each.verdict and each != found]:
            if each.lost <= self.settings.budget:
                self._keep(replace(each, verdict="within", reason="within the budget, but with more in float32"))
            else:
                self._keep(replace(each, verdict="rejected", reason=self._sentence(each)))
        if found.lost > self.settings.budget:
            self._keep(replace(found, verdict="rejected", reason=found.reason or self._sentence(found)))
            return []
        return self._completed(found, "added")

    def _completed(self, candidate: Candidate, verdict: str) -> list[Made]:
        """The candidate in every number of steps and for every type of frames, if each of them keeps to the budget."""
        bases = self.reducer.bases(candidate.recipe)
        self.say(f"completing {candidate.name}: {len(bases)} graph{'s' if len(bases) > 1 else ''}")
        made = [self.reducer.make(candidate.recipe, base) for base in bases]
        as_bytes = [each for each in made if each.variant.parameters.get("entry", "uint8") == "uint8"]
        loss = candidate.lost
        if len(as_bytes) > 1:
            whole = [Made(base, {}) for base in bases if base.parameters["entry"] == "uint8"]
            before, after = self._score(whole, few=True), self._score(as_bytes, few=True)
            loss = max(loss, lost(before, after))
            candidate = replace(candidate, lost=loss)
        if loss > self.settings.budget:
            self._keep(replace(candidate, verdict="rejected", reason=f"in more steps {-loss:+.2f} {self.scorer.unit}"))
            return []
        try:
            made = with_tolerances(self.reducer.bundle, made)
        except CheckError as error:
            self._keep(replace(candidate, verdict="rejected", reason=str(error)))
            return []
        untimed = "" if candidate.timing else "; not timed: this is done on CPUs alone"
        self._keep(
            replace(candidate, verdict=verdict, reason=f"{0.0 - round(loss, 2):+.2f} {self.scorer.unit}{untimed}")
        )
        return [replace(each, variant=replace(each.variant, metrics=_metrics(candidate))) for each in made]

    def _try(self, recipe: Recipe, kept: tuple[str, ...] = ()) -> Candidate:
        """Score a variant on all images. One that its engine refuses has lost everything."""
        name = " ".join(
            [recipe.name, *([recipe.method] if recipe.method else []), *([f"-{len(kept)}"] if kept else [])]
        )
        try:
            scores = self._score([self._made(recipe)])
            found = Candidate(name, recipe, scores, lost(self._before, scores), kept_blocks=kept)
        except (EngineError, DeviceError) as error:
            found = Candidate(name, recipe, {}, float("inf"), verdict="rejected", reason=str(error))
        self.say(f"{name}: {', '.join(f'{score} {value:.2f}' for score, value in found.scores.items())}")
        return self._keep(found)

    def _keep(self, candidate: Candidate) -> Candidate:
        self._tried[candidate.name] = candidate
        return candidate

    def _is_timed(self, candidate: Candidate) -> bool:
        """All but what the search for a mixture only passed by."""
        return bool(candidate.scores) and (candidate.lost <= self.settings.budget or not candidate.kept_blocks)

    def _made(self, recipe: Recipe) -> Made:
        base = self.reducer.bases(recipe)[0]
        return Made(base, {}) if recipe == Recipe(WHOLE) else self.reducer.make(recipe, base)

    def _score(self, made: Sequence[Made], few: bool = False) -> dict[str, float]:
        with open_made(self.reducer.bundle, made, self.settings.threads) as task:
            return self.scorer.score(task, few)

    def _sentence(self, candidate: Candidate) -> str:
        """Why a candidate is not worth it here."""
        if candidate.lost <= self.settings.budget and candidate.speedup > 1:
            return f"{candidate.speedup:.2f} times as fast is what this machine's noise alone may give"
        parts: list[str] = []
        if candidate.timing is not None:
            before = self._tried[self._base.name].timing
            assert before is not None
            parts.append(f"{candidate.timing.milliseconds - before.milliseconds:+.1f} ms")
        parts.append(f"{0.0 - round(candidate.lost, 2):+.2f} {self.scorer.unit}")
        reason = f"not worth it here: {', '.join(parts)}"
        if candidate.timing is not None and candidate.timing.speedup < 1 and candidate.recipe.engine is None:
            operations = (
                "QuantizeLinear",
                "DequantizeLinear",
                "Transpose",
                "QLinearSigmoid",
                "QLinearMul",
                "Sigmoid",
                "Mul",
            )
            share = self._profiles["int8"].share(*operations) - self._profiles[WHOLE].share(*operations)
            reason += f"; activations and conversions between layers take {share:.0%} more of the time"
        return reason


def _keeping(plain: Recipe, kept: Sequence[Sensitivity]) -> Recipe:
    return replace(plain, kept=frozenset(layer for each in kept for layer in each.block.layers))


def _metrics(candidate: Candidate) -> dict[str, float]:
    found: dict[str, Any] = {**candidate.scores, "lost": candidate.lost}
    if candidate.timing is not None:
        found["speedup"] = candidate.timing.speedup
    return {name: round(float(value), 4) for name, value in found.items()}


def _order(candidate: Candidate) -> tuple[int, float]:
    places = ("chosen", "within", "baseline", "added", "rejected")
    return places.index(candidate.verdict or "rejected"), -candidate.speedup
