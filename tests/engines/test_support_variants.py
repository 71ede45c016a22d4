"""The table agrees with NVIDIA's builder on every graph of the shipped bundles, and on what precision makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from tests.rtx import Oracle, frame_shapes

import saccade
from saccade import scenes
from saccade_export.capture import IMAGE, ChosenOutputs, capture
from saccade_export.precision.graphs import model_of
from saccade_export.precision.half import to_half
from saccade_export.precision.histograms import measure
from saccade_export.precision.int8 import to_int8
from saccade_export.precision.recorded import record_inputs
from saccade_export.support.check import check
from saccade_export.support.oracle import ShapesOf, usual_shapes
from saccade_export.support.reading import read_graphs
from saccade_export.support.targets import parse_target
from saccade_models.unet import UNet

pytestmark = [pytest.mark.torch, pytest.mark.slow]

BUNDLES = {"road-camvid": "fp32-gpu", "plates": "fp32-gpu", "denoise": "fp32-gpu-n1"}
FOLDER = Path(__file__).parents[2] / "models" / "bundles"
FULL = ("tensorrt", "tensorrt:10.3", "tensorrt:10.16", "tensorrt:11")


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    with Oracle() as opened:
        yield opened


def assert_agreed(oracle: Oracle, model: ir.Model, shapes_of: ShapesOf = frame_shapes) -> str:
    """The verdict for TensorRT-RTX, which must be what the builder says."""
    verdict = check(model, parse_target("tensorrt-rtx")).verdict
    answer = oracle.ask(model, shapes_of)
    assert (verdict == "supported") == (answer.failed is None), (verdict, answer)
    return verdict


def open_shipped(name: str) -> saccade.Bundle:
    return saccade.open_bundle(FOLDER / f"{name}.saccade")


@pytest.mark.parametrize("name", BUNDLES)
def test_every_variant(oracle: Oracle, name: str) -> None:
    for given in read_graphs(FOLDER / f"{name}.saccade"):
        verdict = assert_agreed(oracle, given.model, given.shapes_of)
        if "gpu" in given.variant:
            assert verdict == "supported", given.title
            assert all(check(given.model, parse_target(target)).verdict == "supported" for target in FULL)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("name", BUNDLES)
def test_half(oracle: Oracle, name: str, precision: str) -> None:
    bundle = open_shipped(name)
    model = model_of(bundle, bundle.variant(BUNDLES[name]))
    to_half(model, precision)
    assert assert_agreed(oracle, model) == "supported"
    assert check(model, parse_target("tensorrt")).verdict == "supported"


@pytest.mark.parametrize("name", BUNDLES)
def test_8_bits(oracle: Oracle, name: str) -> None:
    bundle, random = open_shipped(name), np.random.default_rng(0)
    frames = [scenes.render(seed=n, frame=0, size_hw=(120, 160)).image for n in range(4)]
    noisy = [np.clip(frame + random.normal(0, 20, frame.shape), 0, 255).astype(np.uint8) for frame in frames]
    variant = bundle.variant(BUNDLES[name])
    feeds = record_inputs(bundle, variant, noisy, lambda _: {})["main"]
    model = model_of(bundle, variant)
    ranges = measure(model, feeds).ranges("minmax")
    for_gpu, for_cpu = (to_int8(model, ranges, target)[0] for target in ("gpu", "cpu"))
    assert assert_agreed(oracle, for_gpu) == "supported"
    assert check(for_gpu, parse_target("tensorrt")).verdict == "supported"
    assert assert_agreed(oracle, for_cpu) == "refused"


@pytest.fixture
def unet() -> ir.Model:
    """A network of ours that is in no bundle."""
    torch.manual_seed(0)
    return capture(ChosenOutputs(UNet(classes=3, width=8)), (64, 96), ["scores"]).model


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_unet(oracle: Oracle, unet: ir.Model, precision: str) -> None:
    if precision != "fp32":
        assert len(to_half(unet, precision)) > 20
    assert assert_agreed(oracle, unet, usual_shapes(unet)) == "supported"


def test_the_unet_in_8_bits(oracle: Oracle, unet: ir.Model) -> None:
    frames = [scenes.render(seed=n, frame=0, size_hw=(64, 96)).image for n in range(4)]
    feeds = [{IMAGE: frame.transpose(2, 0, 1)[None].astype(np.float32) / 255} for frame in frames]
    ranges = measure(unet, feeds).ranges("minmax")
    (for_gpu, in_8_bits), (for_cpu, _) = (to_int8(unet, ranges, target) for target in ("gpu", "cpu"))
    assert len(in_8_bits) > 20
    assert assert_agreed(oracle, for_gpu, usual_shapes(for_gpu)) == "supported"
    assert assert_agreed(oracle, for_cpu, usual_shapes(for_cpu)) == "refused"
