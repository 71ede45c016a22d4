"""Exporting a restorer: one copy of the weights, graphs that agree, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file
from tests.tiny import TinyBridge, export_tiny_restorer, save_weights, seeded
from torch import Tensor, nn

import saccade
from saccade.bundle import open_bundle
from saccade.errors import BundleError, CaptureError, CheckError, RequestError, WeightsError
from saccade.manifest import read_manifest, write_manifest
from saccade.spec import RESTORING, RestoreSpec, Restoring
from saccade.verify import verify
from saccade_export.capture_restorer import capture_restorer
from saccade_export.contract import USUAL, restore_spec
from saccade_export.exporting import ExportRequest, export_bundle
from saccade_export.network import recorded_metrics
from saccade_export.restoration import RestorePlan
from saccade_export.source import NetworkRequest
from saccade_export.step_tables import bridge_table
from saccade_export.twin import RestoreTwin
from saccade_models.bridge import restore, uniform_times
from saccade_models.train import degradations
from saccade_models.train.degradations import lift

pytestmark = pytest.mark.torch

TABLES = {str(steps): bridge_table(steps) for steps in (1, 2, 4)}


class Grey(nn.Module):
    """No bridge: it gives one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 1)

    def forward(self, state: Tensor, map: Tensor, time: Tensor) -> Tensor:  # noqa: A002
        return self.layer(state) * map * time[:, None, None, None]


class TestWeights:
    def test_three_numbers_of_steps_hold_them_once(self, tiny_restorer_bundle: Path, tmp_path: Path) -> None:
        bundle = open_bundle(tiny_restorer_bundle)
        assert [name for name in bundle.manifest.members if name.endswith("weights.bin")] == ["graphs/weights.bin"]
        parameters = sum(p.numel() for p in TinyBridge().parameters())
        assert bundle.manifest.members["graphs/weights.bin"].size <= 4 * parameters + 1024

    def test_targets_share_graphs(self, tiny_restorer_bundle: Path) -> None:
        variants = {variant.name: variant for variant in open_bundle(tiny_restorer_bundle).manifest.variants}
        assert len(variants) == 16
        assert variants["fp32-cpu-n2"].graphs == variants["fp32-gpu-n2"].graphs


class TestParity:
    @pytest.mark.parametrize("steps", [1, 2, 4])
    def test_floats_are_the_twins(self, tiny_restorer_bundle: Path, steps: int) -> None:
        image = (np.random.default_rng(0).normal(128, 60, (40, 56, 3))).astype(np.float32)
        with saccade.open(tiny_restorer_bundle, threads=1) as task:
            assert isinstance(task, saccade.RestoreTask)
            found = task(image, sigma=30.0, steps=steps).image
            twins = [
                RestoreTwin(seeded(TinyBridge, seed), task.spec).exact(torch.from_numpy(image), steps, sigma=30.0)
                for seed in (0, 1)
            ]
        assert float(np.abs(found - twins[0].numpy()).max()) / 255 <= 5e-6
        assert float(np.abs(found - twins[1].numpy()).max()) / 255 > 1e-3

    def test_a_wrong_table_is_found(self, tiny_restorer_bundle: Path, tmp_path: Path) -> None:
        weights = save_weights(seeded(TinyBridge), tmp_path / "w.safetensors")
        wrong = replace(TABLES["2"], rows=tuple(tuple(0.9 * weight for weight in row) for row in TABLES["2"].rows))
        plan = RestorePlan(restore_spec("denoise", {**TABLES, "2": wrong}))
        request = ExportRequest(NetworkRequest("tests.tiny:TinyBridge", weights), plan, "wrong")
        with pytest.raises(CheckError, match=r"stepwise differs .* grey levels off"):
            export_bundle(request, tmp_path / "wrong.saccade")
        assert not (tmp_path / "wrong.saccade").exists()

    def test_every_variant_repeats_the_golden_frames(self, tiny_restorer_bundle: Path) -> None:
        bundle = open_bundle(tiny_restorer_bundle)
        for variant in bundle.manifest.variants:
            with saccade.open(bundle, variant=variant.name, device="cpu", threads=1) as task:
                assert all(check.passed for check in verify(bundle, task))

    def test_two_exports_are_the_same_bytes(self, tiny_restorer_bundle: Path, tmp_path: Path) -> None:
        assert export_tiny_restorer(tmp_path).read_bytes() == tiny_restorer_bundle.read_bytes()


class TestContract:
    @pytest.mark.parametrize(
        ("mode", "said", "sigma", "zone"),
        [
            ("denoise", {}, 25.0, 3.0),
            ("denoise", {"sigma_range": (30.0, 60.0)}, 30.0, 3.0),
            ("denoise", {"dead_zone": 30.0}, 45.0, 30.0),
            ("denoise", {"sigma_range": (0.0, 2.0)}, 2.0, 0.0),
            ("denoise", {"sigma": 12.0}, 12.0, 3.0),
            ("low-light", {"sigma_range": (8.0, 12.0)}, 8.0, 0.0),
            ("deblur", {"sigma_range": (2.0, 4.0)}, 2.0, 0.0),
        ],
    )
    def test_proofs_are_in_the_range_and_above_the_dead_zone(
        self, mode: Restoring, said: dict[str, Any], sigma: float, zone: float
    ) -> None:
        spec = restore_spec(mode, TABLES, **said)
        assert spec.dead_zone == zone
        assert RestorePlan(spec).sigma == sigma

    def test_the_ranges_are_those_of_training(self) -> None:
        light = USUAL["low-light"].light
        assert light is not None
        assert (light.gain_range, light.gamma_range, light.shot_range) == (
            degradations.GAIN_RANGE, degradations.GAMMA_RANGE, degradations.SHOT_RANGE,
        )  # fmt: skip
        assert USUAL["low-light"].sigma_range == (0, degradations.LARGEST_DARK_SIGMA)
        assert USUAL["denoise"].sigma_range == (0, degradations.LARGEST_SIGMA)
        assert USUAL["denoise"].map_per_sigma == degradations.GREY_LEVEL
        assert USUAL["deblur"].map_per_sigma == degradations.BLUR_MAP
        assert USUAL["super-resolution"].map_per_sigma == degradations.SR_MAP
        assert USUAL["inpaint"].hole_spread == degradations.HOLE_SPREAD

    def test_scores_that_are_no_numbers_do_not_travel(self, tmp_path: Path) -> None:
        path = tmp_path / "w.safetensors"
        save_file(seeded(TinyBridge).state_dict(), path, {"metrics": '{"val_psnr": 20.5, "val_high_band": NaN}'})
        with pytest.raises(WeightsError, match="'val_high_band' is nan, no number"):
            recorded_metrics(path)


class Planes(nn.Module):
    """Takes its time as a plane of each state, as many networks do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(5, 3, 3, padding=1)

    def forward(self, state: Tensor, map: Tensor, time: Tensor) -> Tensor:  # noqa: A002
        plane = time[:, None, None, None].repeat(1, 1, *state.shape[2:])
        return self.layer(torch.cat([state, map, plane], dim=1))


class TestCapture:
    @pytest.mark.parametrize("kind", [Planes, TinyBridge])
    def test_a_batch_may_need_a_time_each(self, kind: type[nn.Module]) -> None:
        network = seeded(kind)
        captured = capture_restorer(network, [(1.0, 0.5)], 8)
        graph = ir.serde.serialize_model(captured.unrolled[2]).SerializeToString()
        session: Any = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        state, map_ = torch.randn(3, 3, 16, 24), torch.rand(3, 1, 16, 24)
        (found,) = session.run(None, {"state": state.numpy(), "map": map_.numpy()})
        with torch.no_grad():
            wanted = state
            for time in (1.0, 0.5):
                wanted = wanted - 0.5 * network(wanted, map_, torch.full((3,), time))
        assert np.abs(found - wanted.numpy()).max() < 1e-4
        assert np.abs(found - state.numpy()).max() > 1e-2

    def test_a_network_that_fixes_a_side_is_refused(self) -> None:
        class Fixed(Planes):
            def forward(self, state: Tensor, map: Tensor, time: Tensor) -> Tensor:  # noqa: A002
                return super().forward(state, map, time).reshape(int(state.shape[0]), 3, 32, 40)

        with pytest.raises(CaptureError, match="cannot be captured for any"):
            capture_restorer(seeded(Fixed), [(1.0,)], 8)


@pytest.mark.slow
class TestModes:
    @pytest.mark.parametrize("mode", RESTORING)
    def test_networks_may_take_bgr(self, mode: Restoring, tmp_path: Path) -> None:
        path = export_tiny_restorer(tmp_path, mode, channel_order="bgr")  # proven against the network
        image = np.random.default_rng(0).integers(40, 216, (24, 32, 3)).astype(np.uint8)
        asked: dict[str, Any] = {"mask": np.ones((24, 32), bool)} if mode == "inpaint" else {}
        with saccade.open(path, threads=1) as task:
            found = task(image, **asked).image
            turned = task(image[..., ::-1].copy(), pixel_format="bgr24", **asked).image[..., ::-1]
        np.testing.assert_array_equal(found, turned)

    def test_steps_need_not_be_equal(self, tmp_path: Path) -> None:
        weights = save_weights(seeded(TinyBridge), tmp_path / "w.safetensors")
        plan = RestorePlan(restore_spec("denoise", {"2": bridge_table((1.0, 0.3))}))
        request = ExportRequest(NetworkRequest("tests.tiny:TinyBridge", weights), plan, "uneven")
        assert export_bundle(request, tmp_path / "uneven.saccade").bundle.manifest.task.kind == "restore"

    def test_holes_are_filled_and_nothing_else(self, tmp_path: Path) -> None:
        path = export_tiny_restorer(tmp_path, "inpaint")
        image = np.random.default_rng(0).integers(0, 256, (30, 45, 3)).astype(np.uint8)
        mask = np.zeros((30, 45), bool)
        mask[5:12, 8:20] = True
        with saccade.open(path, threads=1) as task:
            assert isinstance(task, saccade.RestoreTask)
            for steps in (1, 4):
                result = task(image, mask=mask, steps=steps)
                assert result.sigma is None
                np.testing.assert_array_equal(result.image[~mask], image[~mask])
                assert not np.array_equal(result.image[mask], image[mask])
            np.testing.assert_array_equal(task(image, mask=mask).image, task(image, mask=mask, seed=0).image)
            assert not np.array_equal(task(image, mask=mask).image, task(image, mask=mask, seed=1).image)
            with pytest.raises(RequestError, match="no mask was given"):
                task(image)
            with pytest.raises(RequestError, match="bool or uint8 of the frame's 30x45"):
                task(image, mask=mask.T)

    def test_super_resolution_doubles_the_size(self, tmp_path: Path) -> None:
        path = export_tiny_restorer(tmp_path, "super-resolution")
        with saccade.open(path, threads=1) as task:
            assert isinstance(task, saccade.RestoreTask)
            image = np.random.default_rng(0).integers(0, 256, (21, 34, 3)).astype(np.uint8)
            assert task(image, steps=2).image.shape == (42, 68, 3)
            with pytest.raises(RequestError, match="mode is super-resolution"):
                task(image, sigma=3.0)

    def test_dark_frames_are_lifted_and_their_noise_with_them(self, tmp_path: Path) -> None:
        dark = np.random.default_rng(0).integers(0, 40, (40, 48, 3)).astype(np.uint8)
        light = {"gain": 5.0, "gamma": 0.6, "shot": 0.4}
        with saccade.open(export_tiny_restorer(tmp_path, "low-light"), threads=1) as task:
            assert isinstance(task, saccade.RestoreTask)
            network = seeded(TinyBridge)
            twin = RestoreTwin(network, task.spec)
            for steps in (1, 4):
                result = task(dark, sigma=2.0, steps=steps, **light)
                off = np.abs(result.image.astype(int) - twin(dark, steps, sigma=2.0, **light))
                assert off.max() <= 1
            assert (result.gain, result.sigma) == (5.0, 2.0)
            brighter = np.abs(task(dark, sigma=2.0, **{**light, "gain": 5.5}).image.astype(int) - result.image)
            assert brighter.mean() > 2
            given = torch.from_numpy(dark.transpose(2, 0, 1))[None].float()
            numbers = {name: torch.full((1, 1, 1, 1), value) for name, value in light.items()}
            lifted = lift(given, torch.full((1, 1, 1, 1), 2.0), **numbers)
            trained = (restore(network, lifted.image, lifted.map, uniform_times(1))[0].permute(1, 2, 0) + 1) * 127.5
            one = task(dark, sigma=2.0, steps=1, **light).image
            assert np.abs(one - trained.detach().clamp(0, 255).numpy()).max() <= 0.51  # rounded

    def test_a_dark_frame_is_brought_to_an_exposure(self, tmp_path: Path) -> None:
        with saccade.open(export_tiny_restorer(tmp_path, "low-light"), threads=1) as task:
            assert isinstance(task, saccade.RestoreTask)
            frames = np.stack([np.full((16, 16, 3), value, np.uint8) for value in (10, 200, 0)])
            gains = [result.gain for result in task(frames, sigma=1.0)]
            assert gains == [pytest.approx(0.18 * 255 / 10), 1.0, 16.0]
            assert task(frames[0]).steps == 1  # whatever the noise: all are lifted
            for asked, message in (
                ({"gain": 0.5}, "gain must be 1 to 16"),
                ({"gamma": float("nan")}, "gamma must be 0.4 to 1"),
                ({"shot": -1.0}, "shot must be 0 to 1"),
            ):
                with pytest.raises(RequestError, match=message):
                    task(frames[0], **asked)

    def test_a_blur_has_a_default(self, tmp_path: Path) -> None:
        path = export_tiny_restorer(tmp_path, "deblur")
        with saccade.open(path, threads=1) as task:
            assert isinstance(task, saccade.RestoreTask)
            image = np.random.default_rng(0).integers(0, 256, (21, 34, 3)).astype(np.uint8)
            assert task(image).sigma == pytest.approx(1.6)
            with pytest.raises(RequestError, match="needs a number"):
                task(image, sigma="measured")


class TestRefusals:
    def test_a_network_that_is_no_bridge(self, tmp_path: Path) -> None:
        weights = save_weights(Grey(), tmp_path / "w.safetensors")
        request = ExportRequest(
            NetworkRequest(f"{__name__}:Grey", weights), RestorePlan(restore_spec("denoise", TABLES)), "grey"
        )
        with pytest.raises(CaptureError, match="gives the velocity of its state"):
            export_bundle(request, tmp_path / "grey.saccade")

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            (lambda task: task.update(mode="sharpen"), "task.mode"),
            (lambda task: task.update(sigma_range=[5, 1]), "task.sigma_range"),
            (lambda task: task.update(sigma=99.0), "task.sigma"),
            (lambda task: task.update(scale=2), "task.scale"),
            (lambda task: task["tiling"].update(overlap=100), "tiling.overlap"),
            (lambda task: task["tables"].pop("2"), "parameters.steps"),
            (lambda task: task["tables"].update({"3": task["tables"]["2"]}), "tables.3"),
            (lambda task: task["tables"]["2"]["rows"][0].__setitem__(2, 0.5), "tables.2.rows"),
            (lambda task: task.update(surprise=1), "task"),
        ],
    )
    def test_a_manifest_that_breaks_a_rule(self, tiny_restorer_bundle: Path, change: object, field: str) -> None:
        manifest = open_bundle(tiny_restorer_bundle).manifest
        assert isinstance(manifest.task, RestoreSpec)
        content = json.loads(write_manifest(manifest))
        assert read_manifest(json.dumps(content).encode()) == manifest
        change(content["task"])  # type: ignore[operator]
        with pytest.raises(BundleError) as refused:
            read_manifest(json.dumps(content).encode())
        assert field in refused.value.field
