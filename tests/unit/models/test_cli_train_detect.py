"""``saccade train --task detect``: what it reads, refuses, says and leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.commands import Called, call
from tests.unit.models.rectangles import rectangles

from saccade.datasets import BoxDataset, write_coco
from saccade_models.cli_options import NETWORKS
from saccade_models.networks import SEGMENTATION
from saccade_models.yolox import SIZES, YOLOX

pytestmark = pytest.mark.torch

Capture = pytest.CaptureFixture[str]
SMALL = ("--imgsz", "64", "--epochs", "2", "--batch", "4", "--mosaic", "0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images to train on and two to score: ``train.json`` and ``val.json``, and as YOLO folders."""
    root = tmp_path_factory.mktemp("rectangles")
    for name, seed, count in (("train", 1, 4), ("val", 2, 2)):
        dataset = rectangles(root / "images", seed, count)
        write_coco(dataset, root / f"{name}.json")
        _write_yolo(rectangles(root / name / "images", seed, count), root / name / "labels")
    (root / "classes.txt").write_text("square\n")
    return root


def _write_yolo(dataset: BoxDataset, labels: Path) -> None:
    labels.mkdir()
    for image in dataset.images:
        left, top, right, bottom = image.xyxy[0] / 64
        line = f"0 {(left + right) / 2} {(top + bottom) / 2} {right - left} {bottom - top}\n"
        (labels / f"{image.path.stem}.txt").write_text(line)


@pytest.fixture
def train(capfd: Capture, folder: Path, tmp_path: Path):
    """``saccade train --task detect`` on the COCO files into ``tmp_path / "run"``."""

    def train(*options: str | Path) -> Called:
        data = ("--data", folder / "train.json", "--val", folder / "val.json")
        return call(capfd, "train", "--task", "detect", *data, "-o", tmp_path / "run", *options)

    return train


def test_the_networks_are_those_that_there_are() -> None:
    assert set(NETWORKS["segment"]) == set(SEGMENTATION)
    assert {name.removeprefix("yolox-") for name in NETWORKS["detect"]} == set(SIZES)


def test_help_tells_both_tasks_apart(capfd: Capture) -> None:
    out = call(capfd, "train", "--help").out
    for words in (
        "--task [segment|detect|restore]",
        "[yolox-nano|yolox-tiny|yolox-s]",
        "Detection: what to score on",
        "--task detect",
    ):
        assert words in out


def test_a_run_stops_resumes_and_reports(train, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(YOLOX(80).state_dict(), tmp_path / "coco.safetensors")
    options = (*SMALL, "--init", tmp_path / "coco.safetensors")
    stopped = train(*options, "--time-limit", "0.00001")
    assert stopped.code == 0
    assert "stopped before the first validation" in stopped.out
    assert "coco.safetensors: 12 tensors start fresh: head.cls_preds.0.bias" in stopped.err
    (tmp_path / "coco.safetensors").unlink()
    resumed = train(*options, "--resume", "--json")
    assert resumed.code == 0
    assert resumed.document["weights"] == str(tmp_path / "run" / "best.safetensors")
    assert 0 <= resumed.document["best_val_ap"] <= 1
    assert Path(resumed.document["weights"]).is_file()
    assert [line[:2] for line in (tmp_path / "run" / "log.csv").read_text().splitlines()] == ["ep", "1,", "2,"]
    assert train(*options).code == 2


def test_every_option_reaches_the_config(train, tmp_path: Path) -> None:
    given = {
        "--imgsz": "64x96", "--epochs": "3", "--batch": "2", "--lr": "0.01", "--mosaic": "0.1", "--mixup": "0.2",
        "--calm": "0.3", "--averaging": "0.9", "--warmup": "7", "--score-every": "2", "--seed": "5",
    }  # fmt: skip
    options = [word for pair in given.items() for word in pair]
    train(*options, "--crop", "32", "64", "--scale", "0.7", "1.3", "--network", "yolox-nano", "--time-limit", "0.00001")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    expected = {
        "size_hw": [64, 96], "view_hw": [32, 64], "epochs": 3, "batch": 2, "learning_rate": 0.01, "mosaic": 0.1,
        "mixup": 0.2, "calm": 0.3, "averaging": 0.9, "warmup_steps": 7, "score_every": 2, "seed": 5,
        "size": "nano", "classes": ["square"], "one_to_one": True, "init": "",
        "scale": [0.7, 1.3], "only_one_to_one": False,
    }  # fmt: skip
    assert {name: config[name] for name in expected} == expected


def test_a_run_without_a_score_has_none_in_json(train) -> None:
    document = train(*SMALL, "--time-limit", "0.00001", "--json").document
    assert (document["best_val_ap"], document["weights"]) == (None, None)


def test_yolo_folders_train_the_plain_detector(capfd: Capture, folder: Path, tmp_path: Path) -> None:
    called = call(
        capfd, "train", "--task", "detect", "--data", folder / "train", "--val", folder / "val", "--no-one-to-one",
        "--classes", folder / "classes.txt", "--network", "yolox-nano", "-o", tmp_path / "run", *SMALL,
    )  # fmt: skip
    assert called.code == 0
    assert called.out.startswith("best validation AP 0.")
    assert '"one_to_one": false' in called.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--lovasz", "0.1"), "--lovasz is for --task segment, but the task is detect"),
        (("--width", "8"), "--width is for --task segment"),
        (("--network", "edanet"), "must be one of yolox-nano, yolox-tiny, yolox-s, but got edanet"),
        (("--imgsz", "64x80"), "input 64x80 and the training view 64x80 must be multiples of 32"),
        (("--imgsz", "64", "--crop", "64", "48"), "input 64x64 and the training view 64x48 must be"),
        (("--imgsz", "64x"), "--imgsz must be HEIGHTxWIDTH such as 384x640, or one number, but got '64x'"),
        (("--imgsz", "1x2x3"), "but got '1x2x3'"),
        (("--imgsz", "²"), "--imgsz must be"),
        (("--classes", "classes.txt"), "a COCO json names its own, so drop it"),
        (("--imgsz", "64", "--only-one-to-one"), "needs a network that has one, and --init"),
        (("--mosaic", "1.5"), "--mosaic"),
        (("--mixup", "nan"), "--mixup"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_misuse_is_code_2_and_explained(train, tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    called = train(*options)
    assert (called.code, called.out) == (2, "")
    assert said in called.err
    assert not (tmp_path / "run" / "last.pt").exists()


@pytest.mark.parametrize(
    "options",
    [("--val", "v.json"), ("--images", "i"), ("--imgsz", "64"), ("--no-one-to-one",), ("--only-one-to-one",),
     ("--scale", "1", "1"), ("--mosaic", "0"), ("--mixup", "0"), ("--calm", "0"), ("--drop-bad-boxes",)],
    ids=" ".join,
)  # fmt: skip
def test_options_of_detection_are_refused_for_segmentation(
    capfd: Capture, tmp_path: Path, options: tuple[str, ...]
) -> None:
    called = call(capfd, "train", "--data", tmp_path, "-o", tmp_path / "run", *options)
    assert called.code == 2
    assert f"{options[0].replace('--no-', '--')} is for --task detect, but the task is segment" in called.err


def test_a_detector_is_no_segmentation_network(capfd: Capture, tmp_path: Path) -> None:
    called = call(capfd, "train", "--data", tmp_path, "-o", tmp_path / "run", "--network", "yolox-nano")
    assert called.code == 2
    assert "--network for --task segment must be one of edanet, unet, fcn, but got yolox-nano" in called.err


def test_labels_to_score_on_are_needed(capfd: Capture, folder: Path, tmp_path: Path) -> None:
    called = call(capfd, "train", "--task", "detect", "--data", folder / "train.json", "-o", tmp_path / "run")
    assert called.code == 2
    assert "--task detect needs --val" in called.err


def test_yolo_folders_need_a_class_list_and_no_image_folder(capfd: Capture, folder: Path, tmp_path: Path) -> None:
    command = ("train", "--task", "detect", "--data", folder / "train", "--val", folder / "val", "-o", tmp_path / "run")
    nameless = call(capfd, *command)
    assert nameless.code == 2
    assert "is a YOLO folder without a classes.txt: pass --classes" in nameless.err
    elsewhere = call(capfd, *command, "--classes", folder / "classes.txt", "--images", folder / "images")
    assert elsewhere.code == 2
    assert "YOLO folders hold theirs, so drop it" in elsewhere.err


def test_two_class_lists_that_differ_are_refused(capfd: Capture, folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    _write_yolo(rectangles(own / "images", 1, 2), own / "labels")
    (own / "classes.txt").write_text("rectangle\n")
    command = ("train", "--task", "detect", "--data", own, "--val", own, "-o", tmp_path / "run")
    called = call(capfd, *command, "--classes", folder / "classes.txt")
    assert called.code == 2
    assert "--classes names square, but" in called.err
    assert "names rectangle; keep one of the two" in called.err


def test_initial_weights_that_are_not_there_are_code_3(train, tmp_path: Path) -> None:
    called = train(*SMALL, "--init", tmp_path / "absent.pth", "--json")
    assert called.code == called.document["exit_code"] == 3
    assert called.document["error"]["kind"] == "WeightsError"
    assert "absent.pth" in called.document["error"]["message"]


def test_bad_boxes_are_refused_or_left_out_aloud(train, capfd: Capture, folder: Path, tmp_path: Path) -> None:
    text = (folder / "val.json").read_text()
    bad = tmp_path / "bad.json"
    bad.write_text(text.replace('"bbox": [', '"bbox": [900.0, ', 1).replace(", 24.0, 24.0]", ", 24.0]", 1))
    images = ("--images", folder / "images")
    refused = train("--val", bad, *images, *SMALL)
    assert refused.code == 3
    assert "1 bad boxes" in refused.err
    assert "--drop-bad-boxes" in refused.err
    dropped = train("--val", bad, *images, *SMALL, "--drop-bad-boxes", "--time-limit", "0.00001")
    assert dropped.code == 0
    assert "bad.json: 1 bad boxes are left out, the first: annotation 1 reaches out of its image" in dropped.err


def test_a_missing_image_folder_is_code_3(train, tmp_path: Path) -> None:
    called = train("--images", tmp_path / "nowhere")
    assert called.code == 3
    assert "name their folder with --images" in called.err
