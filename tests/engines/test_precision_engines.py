"""TensorRT-RTX builds what half and 8 bits make of the shipped networks, and refuses what a CPU's 8 bits are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.rtx import build

import saccade
from saccade import scenes
from saccade_export.precision.graphs import model_of
from saccade_export.precision.half import to_half
from saccade_export.precision.histograms import measure
from saccade_export.precision.int8 import to_int8
from saccade_export.precision.recorded import Feed, record_inputs

pytestmark = [pytest.mark.torch, pytest.mark.slow]

SHIPPED = {
    "road-camvid": "fp32-gpu",
    "plates": "fp32-gpu",
    "denoise": "fp32-gpu-n1",
}


@pytest.fixture(params=SHIPPED)
def shipped(
    request: pytest.FixtureRequest, shipped_bundle: Path, plates_bundle: Path, denoise_bundle: Path
) -> tuple[saccade.Bundle, str]:
    paths = {"road-camvid": shipped_bundle, "plates": plates_bundle, "denoise": denoise_bundle}
    return saccade.open_bundle(paths[request.param]), SHIPPED[request.param]


def feeds_of(bundle: saccade.Bundle, variant: str) -> list[Feed]:
    random = np.random.default_rng(0)
    frames = [scenes.render(seed=n, frame=0, size_hw=(120, 160)).image for n in range(4)]
    noisy = [np.clip(frame + random.normal(0, 20, frame.shape), 0, 255).astype(np.uint8) for frame in frames]
    return record_inputs(bundle, bundle.variant(variant), noisy, lambda _: {})["main"]


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_builds(shipped: tuple[saccade.Bundle, str], precision: str) -> None:
    bundle, variant = shipped
    model = model_of(bundle, bundle.variant(variant))
    whole = build(model.clone())
    assert len(to_half(model, precision)) > 20
    assert 10_000 < build(model) < whole


def test_8_bits_for_gpus_build_and_for_cpus_do_not(shipped: tuple[saccade.Bundle, str]) -> None:
    bundle, variant = shipped
    model = model_of(bundle, bundle.variant(variant))
    feeds = feeds_of(bundle, variant)
    ranges = measure(model, feeds).ranges("minmax")
    assert build(to_int8(model, ranges, "gpu")[0]) > 10_000
    with pytest.raises(ValueError, match=r"(?i)zero point|int32|must have type"):
        build(to_int8(model, ranges, "cpu")[0])


def test_four_steps_share_their_weights_in_the_engine(denoise_bundle: Path) -> None:
    bundle = saccade.open_bundle(denoise_bundle)

    def engine_bytes(variant: str, change: Callable[[object], object]) -> int:
        model = model_of(bundle, bundle.variant(variant))
        change(model)
        return build(model)

    for change in (lambda _: None, lambda model: to_half(model, "fp16")):
        one, four = (engine_bytes(f"fp32-gpu-n{steps}", change) for steps in (1, 4))
        assert four < 2 * one


def test_four_steps_in_8_bits_do_not(denoise_bundle: Path) -> None:
    bundle = saccade.open_bundle(denoise_bundle)

    def engine_bytes(variant: str) -> int:
        model = model_of(bundle, bundle.variant(variant))
        return build(to_int8(model, measure(model, feeds_of(bundle, variant)).ranges("minmax"), "gpu")[0])

    one, four = (engine_bytes(f"fp32-gpu-n{steps}") for steps in (1, 4))
    assert four > 2 * one
