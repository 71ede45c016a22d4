"""Every engine of a bundle's variants, built ahead, and the golden frames run on them where a GPU is here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from saccade.bundle import Bundle
from saccade.engines.base import EngineOptions
from saccade.engines.cache import EngineCache
from saccade.engines.gpu.cuda import load_cuda
from saccade.engines.gpu.driver import Gpu, find_gpu
from saccade.engines.tensorrt.engine import TensorRTEngine
from saccade.engines.tensorrt.library import MODULES, Library, load_library
from saccade.engines.tensorrt.obtain import Obtained, obtain, remember
from saccade.engines.tensorrt.progress import Progress
from saccade.engines.tensorrt.request import BuildOptions, read_settings
from saccade.errors import DeviceError, RequestError
from saccade.kinds import KINDS, Check
from saccade.opening import alike, graph_of, task_of
from saccade.spec import Variant


@dataclass(frozen=True)
class Builder:
    """What builds, for which GPU; ``why_no_gpu`` says why none is used, and then only TensorRT-RTX builds."""

    library: Library
    gpu: Gpu | None
    why_no_gpu: str


@dataclass(frozen=True)
class BuiltGraph:
    """One stage of a variant, built or found."""

    variant: str
    stage: str
    obtained: Obtained


@dataclass(frozen=True)
class Replayed:
    """Golden frames run on built engines. ``why_not`` says why not all were, and is empty where all were."""

    checks: tuple[tuple[str, Check], ...]
    why_not: str

    @property
    def passed(self) -> bool:
        return all(check.passed for _, check in self.checks)


def choose_builder(engine: str) -> Builder:
    """The library to build with: the one asked for, for "auto" TensorRT where a GPU is here, else TensorRT-RTX.

    The driver is asked before the library is. Raises ``DeviceError`` for what is not here.
    """
    gpu, why = _gpu_here()
    if engine == "auto":
        here = [name for name, module in MODULES.items() if find_spec(module) is not None]
        if gpu is None and "tensorrt-rtx" in here:
            here = ["tensorrt-rtx"]
        engine = here[0] if here else "tensorrt-rtx"
    library = load_library(engine)
    if gpu is None and not library.builds_without_gpu:
        raise DeviceError(
            f"{engine} builds on the GPU that it will run on: {why}; or build with --engine tensorrt-rtx, which needs "
            "none, for desktop GPUs"
        )
    return Builder(library, gpu, why)


def variants_for(bundle: Bundle, asked: str) -> list[Variant]:
    """The variants to build for what was asked, a name or "auto": the first for GPUs, in all its numbers of steps.

    Raises ``RequestError`` where there is none.
    """
    known = bundle.manifest.variants
    for_gpus = [each for each in known if each.target == "gpu" and each.engine in (None, *MODULES)]
    if asked == "auto" and not for_gpus:
        names = ", ".join(f"{each.name} ({each.target})" for each in known)
        raise RequestError(f"{bundle.path.name} has no variant made for gpu, but holds {names}; export it again")
    return alike(bundle, for_gpus[0] if asked == "auto" else bundle.variant(asked), asked)


def build_variants(
    bundle: Bundle,
    variants: Sequence[Variant],
    builder: Builder,
    options: BuildOptions,
    cache: EngineCache,
    *,
    rebuild: bool,
    show: Callable[[str, Progress], None],
) -> Iterator[BuiltGraph]:
    """Build every stage of ``variants`` that the cache does not hold, and keep what was asked for.

    Raises ``RequestError`` for variants that are not made for GPUs, and what ``obtain`` raises.
    """
    rebuilt: set[str] = set()
    for variant in variants:
        _check_variant(bundle, variant, options)
        settings = read_settings(variant.engine_options.get(builder.library.name))
        for stage, member in sorted(variant.graphs.items()):
            graph, title = graph_of(bundle, variant, stage), f"{variant.name} {stage}"
            obtained = obtain(
                builder.library,
                graph,
                options,
                settings,
                builder.gpu,
                cache,
                rebuild=rebuild and member not in rebuilt,
                show=lambda progress, title=title: show(title, progress),
            )
            rebuilt.add(member)
            remember(builder.library, graph, options, cache)
            yield BuiltGraph(variant.name, stage, obtained)


def replay(
    bundle: Bundle, variants: Sequence[Variant], builder: Builder, options: BuildOptions, cache: EngineCache
) -> Replayed:
    """Run the golden frames that the engines were built for, where a GPU is here that they were built for."""
    if builder.gpu is None:
        return Replayed((), builder.why_no_gpu)
    here = "SM{}{}".format(*builder.gpu.compute_capability)
    if options.targets and here not in options.targets:
        return Replayed((), f"the engines are for {', '.join(options.targets)}, and the GPU here is {here}")

    def load(part: Variant, stage: str) -> TensorRTEngine:
        settings = part.engine_options.get(builder.library.name)
        asked = EngineOptions("cuda", settings=settings, frames=options.frames)
        return TensorRTEngine(builder.library.name, graph_of(bundle, part, stage), asked, cache)

    task = bundle.manifest.task
    within = [
        golden
        for golden in bundle.manifest.golden
        if task.kind == "restore"
        or options.frames.holds((golden.inputs["frame"].shape[0], golden.inputs["frame"].shape[1]))
    ]
    checks: list[tuple[str, Check]] = []
    for together in [variants] if task.kind == "restore" else [[variant] for variant in variants]:
        with task_of(bundle, together, load) as opened:
            checks += [(together[0].name, KINDS[task.kind].check(bundle, golden, opened)) for golden in within]
    left_out = len(bundle.manifest.golden) - len(within)
    why = (
        f"{left_out} of {len(bundle.manifest.golden)} golden frames are not of the sizes built for" if left_out else ""
    )
    return Replayed(tuple(checks), why)


def _gpu_here() -> tuple[Gpu | None, str]:
    """The GPU, or why there is none to use."""
    try:
        return find_gpu(load_cuda()), ""
    except DeviceError as error:
        return None, str(error)


def _check_variant(bundle: Bundle, variant: Variant, options: BuildOptions) -> None:
    if variant.target != "gpu":
        names = ", ".join(each.name for each in bundle.manifest.variants if each.target == "gpu") or "none"
        raise RequestError(
            f"variant {variant.name!r} is made for {variant.target}; {bundle.path.name} has these for GPUs: {names}"
        )
    if options.frames.batch > 1 and variant.parameters.get("batch") == 1:
        raise RequestError(
            f"--batch {options.frames.batch} was asked for, but {variant.name} takes one frame at a time; leave it out"
        )
