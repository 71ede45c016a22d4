"""The network a bundle was made from, in PyTorch beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import saccade
from saccade.errors import RequestError, WeightsError
from saccade_bench.agreement import agreement, is_same_result
from saccade_bench.chosen import bundle_arms, read_asked
from saccade_bench.overhead import read_frames
from saccade_bench.torch_network import FORMS, built_for, check, head_of, torch_arms
from saccade_bench.ways import bundle as bundle_way
from saccade_bench.ways import torch as torch_way

pytestmark = pytest.mark.torch

WEIGHTS = Path(__file__).parents[3] / "models" / "saccade_models" / "weights"
MADE_FROM = {
    "shipped_bundle": "edanet-camvid.safetensors",
    "plates_bundle": "yolox-nano-plates.safetensors",
    "denoise_bundle": "bridge-denoise.safetensors",
}


@pytest.mark.parametrize("bundle", MADE_FROM)
@pytest.mark.parametrize("form", FORMS[:2])
def test_it_gives_the_bundles_result(request: pytest.FixtureRequest, tmp_path: Path, bundle: str, form: str) -> None:
    path = request.getfixturevalue(bundle)
    frames = read_frames("scenes:size=480x352", 2)
    if bundle == "plates_bundle":  # no plates are in rendered scenes: what looks a little like one will do
        frames = list(np.random.default_rng(0).integers(0, 256, (2, 352, 480, 3), np.uint8))
    (own, *_) = bundle_arms([read_asked(f"{path}@onnxruntime")], frames, tmp_path, 1)
    if bundle == "plates_bundle":
        own = replace(own, spec={**own.spec, "asked": {"confidence": 0.0001}})
    arms = {
        arm.spec["form"]: arm for arm in torch_arms(saccade.open_bundle(path), WEIGHTS / MADE_FROM[bundle], own.spec, 1)
    }
    assert tuple(arms) == FORMS
    files = tmp_path / "own.npz", tmp_path / "torch.npz"
    way = torch_way.open_way(dict(arms[form].spec))
    for each, file in zip((bundle_way.open_way(dict(own.spec)), way), files, strict=True):
        each.run(0)
        assert each.result is not None
        each.result(str(file))
        each.close()
    kind = saccade.open_bundle(path).manifest.task.kind
    assert is_same_result(kind, agreement(*files))
    assert way.engine_ns is not None
    assert way.engine_ns() > 0
    way.run(1)
    assert way.result is not None
    way.result(str(files[1]))
    assert not is_same_result(kind, agreement(*files))  # of another frame


def test_other_weights_and_other_origins_are_refused(shipped_bundle: Path, plates_bundle: Path, tmp_path: Path) -> None:
    bundle = saccade.open_bundle(shipped_bundle)
    check(bundle, WEIGHTS / MADE_FROM["shipped_bundle"])
    with pytest.raises(WeightsError, match=r"is not what road-camvid\.saccade was made from .*not do the same work"):
        check(bundle, WEIGHTS / MADE_FROM["plates_bundle"])
    with pytest.raises(WeightsError, match="cannot be read"):
        check(bundle, tmp_path / "none.safetensors")
    known = {**bundle.manifest.provenance, "network": "unet.onnx"}
    from_onnx = replace(bundle, manifest=replace(bundle.manifest, provenance=known))
    with pytest.raises(RequestError, match=r"made from unet\.onnx; --torch needs one that was made from PyTorch code"):
        check(from_onnx, WEIGHTS / MADE_FROM["shipped_bundle"])


def test_the_networks_arguments_and_head_are_the_bundles_own(plates_bundle: Path) -> None:
    bundle = saccade.open_bundle(plates_bundle)
    assert bundle.manifest.provenance["network_arguments"] == "classes=1, one_to_one=True"
    network = built_for(bundle, str(WEIGHTS / MADE_FROM["plates_bundle"]))
    assert not network.training
    assert head_of(bundle).name == "yolox-one-to-one"
    suppressing = replace(bundle.manifest.task, suppression="class")
    assert head_of(replace(bundle, manifest=replace(bundle.manifest, task=suppressing))).name == "yolox"
