"""``saccade export``: what a user types, what gets sealed, and what is refused before or after the network is built."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.commands import Called, call
from tests.tiny import TinyDict, TinyNet, save_weights, seeded

import saccade

pytestmark = pytest.mark.torch

Capture = pytest.CaptureFixture[str]

BASE = {
    "--imgsz": "32x48",
    "--mean": "0.4,0.5,0.6",
    "--std": "0.2,0.25,0.3",
}


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    path = tmp_path / "classes.txt"
    path.write_text("road #804080\n\nperson\nsky #46a0e6\n", encoding="utf-8")
    return path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save_weights(seeded(TinyNet), tmp_path / "weights.safetensors")


def export(capfd: Capture, weights: Path, classes: Path, *more: str | Path, network: str = "TinyNet") -> Called:
    """``saccade export`` of a tiny network into ``x.saccade`` beside its weights. What is in ``more`` goes last."""
    base = [text for pair in BASE.items() for text in pair]
    network = network if ":" in network else f"tests.tiny:{network}"
    files = ("--weights", weights, "--classes", classes, "-o", weights.parent / "x.saccade")
    return call(capfd, "export", network, *files, *base, *more)


def blocks(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))


def assert_nothing_sealed(folder: Path) -> None:
    assert not [path.name for path in folder.rglob("*") if "saccade" in path.name]


class TestBundles:
    def test_all_that_was_said_is_in_the_bundle(self, capfd: Capture, classes: Path, tmp_path: Path) -> None:
        # Given weights that fit the network only with the argument, and images to prove it on.
        weights = save_weights(seeded(TinyNet, width=16), tmp_path / "wide.safetensors")
        for seed in range(2):
            (tmp_path / "images").mkdir(exist_ok=True)
            Image.fromarray(blocks(seed)).save(tmp_path / "images" / f"{seed}.png")
        # When it is exported with everything that can be said about it.
        called = export(
            capfd,
            weights,
            classes,
            *("--arg", "width=16", "--images", tmp_path / "images", "--golden-from-images", "--equal-pixels", "0.995"),
            *("--name", "wide", "--license", "for tests only", "--dataset", "noise", "--metric", "val_miou=0.25"),
            *("--color", "bgr", "--scale", "1", "--confidence", "--json"),
        )
        # Then one JSON document says how it was proven, and the bundle holds what was said.
        assert called.code == 0, called.err
        opened = saccade.open_bundle(tmp_path / "x.saccade")
        manifest, image = opened.manifest, opened.manifest.task.image
        assert called.document["identity"] == opened.identity
        assert called.document["capture_fallback"] == ""
        assert {proof["variant"] for proof in called.document["proofs"]} == {"fp32-cpu", "fp32-gpu"}
        assert all(proof["frames"] == 6 and proof["worst"] >= 0.995 for proof in called.document["proofs"])
        assert manifest.name == "wide"
        assert manifest.task.classes == ("road", "person", "sky")
        assert manifest.task.colors[0] == (0x80, 0x40, 0x80)
        assert manifest.task.has_confidence
        assert (image.size_hw, image.channel_order, image.scale) == ((32, 48), "bgr", 1.0)
        assert (image.mean, image.std) == ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
        assert [golden.inputs["frame"].shape for golden in manifest.golden] == [(48, 64, 3)] * 2
        np.testing.assert_array_equal(opened.array(manifest.golden[1].inputs["frame"]), blocks(1))
        assert manifest.variants[0].tolerances == {"equal_pixels": 0.995}
        assert manifest.provenance["network_arguments"] == "width=16"
        assert manifest.metrics["val_miou"] == 0.25
        # And the commands that follow agree with it.
        assert "for tests only" in call(capfd, "info", tmp_path / "x.saccade").out
        assert call(capfd, "verify", tmp_path / "x.saccade", "--all-variants", "--device", "cpu").code == 0

    def test_one_of_several_outputs_is_chosen(self, capfd: Capture, classes: Path, tmp_path: Path) -> None:
        weights = save_weights(seeded(TinyDict), tmp_path / "w.safetensors")
        called = export(capfd, weights, classes, network="TinyDict")
        assert called.code == 1
        assert "aux float32 (2, 3, 8, 12)); choose one with --output" in called.err
        assert_nothing_sealed(tmp_path)
        called = export(capfd, weights, classes, "--output", "aux", network="TinyDict")
        assert called.code == 0
        assert f"wrote {tmp_path / 'x.saccade'}" in called.out
        assert "fp32-cpu: " in called.out

    def test_one_class_has_a_threshold(self, capfd: Capture, classes: Path, tmp_path: Path) -> None:
        weights = save_weights(seeded(TinyNet, classes=1), tmp_path / "w.safetensors")
        classes.write_text("person #ff0000\n")
        called = export(capfd, weights, classes, "--arg", "classes=1", "--threshold", "0.7")
        assert called.code == 0, called.err
        spec = saccade.open_bundle(tmp_path / "x.saccade").manifest.task
        assert (spec.decision, spec.threshold) == ("threshold", 0.7)
        assert spec.classes == ("background", "person")
        assert spec.colors == ((0, 0, 0), (255, 0, 0))
        assert "0.7" in call(capfd, "info", tmp_path / "x.saccade").out

    def test_what_the_network_prints_is_not_in_the_json(
        self,
        capfd: Capture,
        weights: Path,
        classes: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        module = "from tests.tiny import TinyNet\ndef build():\n    print('building')\n    return TinyNet()\n"
        (tmp_path / "talkative_network.py").write_text(module)
        monkeypatch.syspath_prepend(tmp_path)
        called = export(capfd, weights, classes, "--json", network="talkative_network:build")
        assert called.code == 0
        assert called.document["bundle"] == str(tmp_path / "x.saccade")
        assert "building" in called.err


class TestRefusals:
    @pytest.mark.parametrize(
        "options",
        [
            *(
                ("--imgsz", size)
                for size in ("", "0x48", "32x48x3", "x", "abc", "-32x48", "3.5", "²", "99999x99999", "9" * 5000)
            ),
            *(("--mean", mean) for mean in ("0.5", "a,b,c", "1,2,3,4", "nan,0,0", "0,inf,0", "")),
            *(("--std", std) for std in ("0,1,1", "-1,1,1", "nan,1,1", "1,1")),
            *(("--scale", scale) for scale in ("0", "-1", "nan", "inf", "many")),
            ("--threshold", "0.5"),
            ("--threshold", "1"),
            ("--threshold", "nan"),
            ("--equal-pixels", "0.1"),
            ("--equal-pixels", "nan"),
            ("--metric", "val_miou"),
            ("--metric", "val_miou=good"),
            ("--metric", "val_miou=nan"),
            ("--arg", "width"),
            ("--color", "grey"),
            ("--task", "detect"),
            ("--golden-from-images",),
            ("--fast",),
        ],
        ids=lambda options: " ".join(options)[:40],
    )
    def test_what_cannot_be_meant_is_code_2(
        self, capfd: Capture, weights: Path, classes: Path, options: tuple[str, ...]
    ) -> None:
        called = export(capfd, weights, classes, *options)
        assert (called.code, called.out) == (2, "")
        assert options[0] in called.err or options[0].lstrip("-") in called.err
        assert_nothing_sealed(weights.parent)

    @pytest.mark.parametrize(
        ("network", "said"),
        [
            ("tests.tiny:Absent", "has no 'Absent'"),
            ("tests.absent:TinyNet", "cannot be imported"),
            ("tests.tiny:SIZE_HW", "must be a torch.nn.Module"),
            (":", "package.module:callable"),
        ],
    )
    def test_a_network_that_is_not_there_is_code_2(
        self, capfd: Capture, weights: Path, classes: Path, network: str, said: str
    ) -> None:
        called = export(capfd, weights, classes, network=network)
        assert called.code == 2
        assert said in called.err

    def test_an_argument_that_the_network_does_not_take_is_code_2(
        self, capfd: Capture, weights: Path, classes: Path
    ) -> None:
        called = export(capfd, weights, classes, "--arg", "depth=3")
        assert called.code == 2
        assert "'depth'" in called.err

    @pytest.mark.parametrize(("lines", "said"), [("a\nb\n", "2 classes were given"), ("a\n", "one score, but .* 3")])
    def test_a_class_list_of_the_wrong_length_is_code_2(
        self, capfd: Capture, weights: Path, classes: Path, lines: str, said: str
    ) -> None:
        classes.write_text(lines)
        called = export(capfd, weights, classes, "--json")
        assert called.code == called.document["exit_code"] == 2
        assert re.search(said, called.document["error"]["message"])
        assert_nothing_sealed(weights.parent)

    @pytest.mark.parametrize("content", [None, b"", b"\n \n", b"\xff\xfe\x00"])
    def test_a_class_list_that_cannot_be_read_is_code_3(
        self, capfd: Capture, weights: Path, classes: Path, content: bytes | None
    ) -> None:
        classes.unlink()
        if content is not None:
            classes.write_bytes(content)
        called = export(capfd, weights, classes)
        assert called.code == 3
        assert "classes.txt" in called.err

    def test_weights_that_do_not_fit_are_code_3_and_the_keys_are_named(
        self, capfd: Capture, weights: Path, classes: Path, tmp_path: Path
    ) -> None:
        # Given weights of a wider network, and some of no network at all.
        wide = save_weights(seeded(TinyNet, width=16), tmp_path / "wide.safetensors")
        called = export(capfd, wide, classes, "--json")
        assert called.code == called.document["exit_code"] == 3
        assert called.document["error"]["kind"] == "WeightsError"
        assert "body.0.weight: network (8, 3, 3, 3), file (16, 3, 3, 3)" in called.document["error"]["message"]
        torch.save({"encoder.weight": torch.zeros(3)}, tmp_path / "other.pth")
        called = export(capfd, tmp_path / "other.pth", classes)
        assert called.code == 3
        assert "1 unexpected (encoder.weight)" in called.err
        assert_nothing_sealed(tmp_path)

    @pytest.mark.parametrize("name", ["absent.pth", "absent.safetensors", "classes.txt"])
    def test_weights_that_cannot_be_read_are_code_3(self, capfd: Capture, classes: Path, name: str) -> None:
        called = export(capfd, classes.parent / name, classes)
        assert called.code == 3
        assert name in called.err

    def test_an_unreadable_image_is_code_3_and_no_bundle(
        self, capfd: Capture, weights: Path, classes: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "images").mkdir()
        for seed in range(2):
            Image.fromarray(blocks(seed)).save(tmp_path / "images" / f"{seed}.png")
        (tmp_path / "images" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        called = export(capfd, weights, classes, "--images", tmp_path / "images", "--json")
        assert called.code == called.document["exit_code"] == 3
        assert "1.png cannot be used" in called.document["error"]["message"]
        assert_nothing_sealed(tmp_path)

    def test_a_refused_export_leaves_the_bundle_that_was_there(
        self, capfd: Capture, weights: Path, classes: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "x.saccade").write_bytes(b"the one of yesterday")
        assert export(capfd, weights, classes, "--images", tmp_path / "absent").code == 3
        assert (tmp_path / "x.saccade").read_bytes() == b"the one of yesterday"
        assert not list(tmp_path.glob(".*"))


def test_arguments_are_json_where_they_can_be() -> None:
    from saccade_export.cli import _argument

    given = ["width=16", "rate=0.5", "pretrained=false", "name=resnet", "sizes=[1, 2]", 'text="16"', "sum=a=b"]
    expected = [16, 0.5, False, "resnet", [1, 2], "16", "a=b"]
    assert [_argument(text)[1] for text in given] == expected
    assert json.dumps(dict(_argument(text) for text in given[:2])) == '{"width": 16, "rate": 0.5}'


class TestPrecisions:
    @pytest.fixture
    def scenes_folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "images"
        folder.mkdir()
        for index in range(34):
            image = saccade.scenes.render(seed=index, frame=7 * index, size_hw=(48, 64)).image
            Image.fromarray(image).save(folder / f"{index:02}.png")
        return folder

    def test_each_is_a_variant_that_verifies(
        self, capfd: Capture, weights: Path, classes: Path, scenes_folder: Path
    ) -> None:
        images = ("--images", scenes_folder, "--json")
        called = export(capfd, weights, classes, "--precision", "fp32,fp16,bf16,int8", *images)
        assert called.code == 0, called.err
        names = ["fp16-gpu", "bf16-gpu", "int8-cpu", "int8-gpu"]
        assert list(called.document["tolerances"]) == names
        bundle = saccade.open_bundle(weights.parent / "x.saccade")
        assert [variant.name for variant in bundle.manifest.variants] == ["fp32-cpu", "fp32-gpu", *names]
        assert bundle.manifest.provenance["calibration"].startswith("34 images, SHA-256 ")
        assert called.document["identity"] == bundle.identity
        assert call(capfd, "verify", bundle.path, "--all-variants").code == 0

    def test_half_needs_no_images(self, capfd: Capture, weights: Path, classes: Path) -> None:
        called = export(capfd, weights, classes, "--precision", "fp16")
        assert called.code == 0, called.err
        assert "fp16-gpu: golden frames are held to equal_pixels >= 0.9" in called.out

    def test_8_bits_do(self, capfd: Capture, weights: Path, classes: Path, tmp_path: Path) -> None:
        called = export(capfd, weights, classes, "--precision", "int8")
        assert called.code == 2
        assert "--precision int8 needs --images" in called.err
        few = tmp_path / "few"
        few.mkdir()
        Image.fromarray(blocks(0)).save(few / "0.png")
        called = export(capfd, weights, classes, "--precision", "int8", "--images", few)
        assert called.code == 2
        assert "holds 1 images, but ranges need at least 32" in called.err
        assert_nothing_sealed(tmp_path)

    def test_how_few_images_are_enough_is_the_users_to_say(
        self, capfd: Capture, weights: Path, classes: Path, scenes_folder: Path, tmp_path: Path
    ) -> None:
        def with_least(least: int) -> Called:
            asked = ("--precision", "int8", "--images", scenes_folder, "--least-images", str(least))
            return export(capfd, weights, classes, *asked)

        refused = with_least(35)
        assert refused.code == 2
        assert "holds 34 images, but ranges need at least 35; give more" in refused.err
        assert_nothing_sealed(tmp_path)
        for path in sorted(scenes_folder.iterdir())[4:]:
            path.unlink()
        assert with_least(4).code == 0
        provenance = saccade.open_bundle(weights.parent / "x.saccade").manifest.provenance
        assert provenance["calibration"].startswith("4 images, SHA-256 ")

    def test_an_unknown_one_is_refused_before_the_network_is_built(
        self, capfd: Capture, weights: Path, classes: Path, tmp_path: Path
    ) -> None:
        called = export(capfd, weights, classes, "--precision", "int4")
        assert called.code == 2
        assert "--precision must be of fp32, fp16, bf16, int8, but got int4" in called.err
        assert "·" not in called.err
        assert_nothing_sealed(tmp_path)
