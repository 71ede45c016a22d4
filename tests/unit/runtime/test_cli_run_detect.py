"""``saccade run`` on detection bundles: what it asks for, what it keeps, and that what is blurred stays so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tests.commands import call
from tests.unit.runtime.test_detect_task import poison

import saccade
from saccade.blur import blur_all, blur_boxes
from saccade.kinds import detect
from saccade.kinds.look import Look

pytestmark = pytest.mark.torch

Pixels = npt.NDArray[np.uint8]
Capture = pytest.CaptureFixture[str]

SCENES = "scenes:seed=3,frames=3,size=160x120"


def blocks(seed: int, height: int = 160, width: int = 220) -> Pixels:
    """A frame of coloured 8x8 blocks, in which the tiny network finds boxes of every class."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))[:height, :width].copy()


def save(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blocks(seed)).save(path)
    return path


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()]


def picture(path: Path) -> Pixels:
    return np.array(Image.open(path))


def frames_in(video: Path) -> list[Pixels]:
    with av.open(str(video)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def found_in(bundle: Path, frame: Pixels, **asked: Any) -> saccade.Detections:
    with saccade.open(bundle, device="cpu", threads=1) as task:
        result = task(frame, **asked)
    assert isinstance(result, saccade.Detections)
    return result


@pytest.fixture
def run(capfd: Capture, tiny_detector_bundle: Path, tmp_path: Path) -> Any:
    """Run the tiny detector on one saved frame into ``out``."""
    image = save(tmp_path / "street.png", 1)

    def run_with(*options: str, bundle: Path = tiny_detector_bundle) -> Any:
        arguments = ("--source", image, "-o", tmp_path / "out", "--threads", "1", "--device", "cpu", *options)
        return call(capfd, "run", bundle, *arguments)

    return run_with


class TestWhatIsKept:
    def test_an_image_gives_boxes_on_an_overlay_and_in_a_line(
        self, run: Any, tiny_detector_bundle: Path, tmp_path: Path
    ) -> None:
        assert run().code == 0
        assert names_in(tmp_path / "out") == ["overlays", "results.jsonl"]
        (line,) = lines_of(tmp_path / "out")
        result = found_in(tiny_detector_bundle, blocks(1))
        assert (line["name"], line["width"], line["height"], line["finite"]) == ("street", 220, 160, True)
        assert line["boxes"] == detect.record(result)["boxes"]
        assert len(line["boxes"]) > 5
        assert {box["class"] for box in line["boxes"]} == {"class0", "class1", "class2"}
        assert (line["engine"], line["device"], line["variant"]) == ("onnxruntime", "cpu", "fp32-cpu")
        assert line["timing"]["engine_ms"] > 0
        overlay = picture(tmp_path / "out" / "overlays" / "street.png")
        np.testing.assert_array_equal(overlay, detect.picture(blocks(1), result, Look()))

    def test_names_on_the_boxes_can_be_left_out(self, run: Any, tiny_detector_bundle: Path, tmp_path: Path) -> None:
        assert run("--no-legend").code == 0
        expected = detect.picture(blocks(1), found_in(tiny_detector_bundle, blocks(1)), Look(has_names=False))
        np.testing.assert_array_equal(picture(tmp_path / "out" / "overlays" / "street.png"), expected)

    def test_a_video_gives_a_video(self, capfd: Capture, tiny_detector_bundle: Path, tmp_path: Path) -> None:
        arguments = ("--source", SCENES, "-o", tmp_path / "out", "--contact-sheet", "--json")
        called = call(capfd, "run", tiny_detector_bundle, *arguments)
        assert called.code == 0
        assert names_in(tmp_path / "out") == ["contact_sheet.png", "overlay.mp4", "results.jsonl"]
        assert sorted(Path(path).name for path in called.document["files"]) == names_in(tmp_path / "out")
        assert len(frames_in(tmp_path / "out" / "overlay.mp4")) == len(lines_of(tmp_path / "out")) == 3

    def test_weights_that_are_not_finite_are_code_1_and_said(
        self, run: Any, tiny_detector_bundle: Path, tmp_path: Path
    ) -> None:
        called = run(bundle=poison(tiny_detector_bundle, tmp_path / "nan.saccade"))
        assert called.code == 1
        assert "1 frames gave scores that are not finite: their results mean nothing" in called.out
        assert lines_of(tmp_path / "out")[0]["finite"] is False


class TestWhatIsAskedFor:
    @pytest.mark.parametrize(
        ("options", "asked"),
        [
            (("--conf", "0.5"), {"confidence": 0.5}),
            (("--iou", "0.1"), {"iou": 0.1}),
            (("--max-det", "2"), {"max_detections": 2}),
            (("--agnostic-nms", "--iou", "0.1"), {"agnostic": True, "iou": 0.1}),
            (("--classes", "class2,0"), {"classes": ["class0", "class2"]}),
            (("--classes", "class2", "--classes", "0"), {"classes": ["class0", "class2"]}),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
    )
    def test_options_are_those_of_the_task(
        self, run: Any, tiny_detector_bundle: Path, tmp_path: Path, options: tuple[str, ...], asked: dict[str, Any]
    ) -> None:
        assert run("--no-overlays", *options).code == 0
        (line,) = lines_of(tmp_path / "out")
        assert line["boxes"] == detect.record(found_in(tiny_detector_bundle, blocks(1), **asked))["boxes"]
        assert 0 < len(line["boxes"]) < len(found_in(tiny_detector_bundle, blocks(1)))


class TestBlur:
    def test_every_picture_is_made_from_the_blurred_frame(
        self, run: Any, tiny_detector_bundle: Path, tmp_path: Path
    ) -> None:
        assert run("--blur", "class1").code == 0
        assert names_in(tmp_path / "out") == ["blurred", "overlays", "results.jsonl"]
        # The blurred picture is the frame but for the boxes of that class.
        result = found_in(tiny_detector_bundle, blocks(1))
        expected = blur_boxes(blocks(1), result.of("class1"))
        assert 0 < (expected != blocks(1)).any(2).mean() < 1
        np.testing.assert_array_equal(picture(tmp_path / "out" / "blurred" / "street.png"), expected)
        # The overlay shows the boxes of all classes over it, and so no more of the frame than it does.
        overlay = picture(tmp_path / "out" / "overlays" / "street.png")
        np.testing.assert_array_equal(overlay, detect.picture(expected, result, Look()))
        assert not np.array_equal(overlay, detect.picture(blocks(1), result, Look()))
        assert len(lines_of(tmp_path / "out")[0]["boxes"]) == len(result)

    def test_several_classes_are_blurred_by_name_or_id(
        self, run: Any, tiny_detector_bundle: Path, tmp_path: Path
    ) -> None:
        assert run("--blur", "class1,0", "--no-overlays").code == 0
        assert names_in(tmp_path / "out") == ["blurred", "results.jsonl"]
        result = found_in(tiny_detector_bundle, blocks(1))
        expected = blur_boxes(blocks(1), np.concatenate((result.of("class1"), result.of("class0"))))
        np.testing.assert_array_equal(picture(tmp_path / "out" / "blurred" / "street.png"), expected)

    def test_a_video_is_blurred_frame_by_frame(
        self, capfd: Capture, tiny_detector_bundle: Path, tmp_path: Path
    ) -> None:
        for name, options in {"plain": (), "private": ("--blur", "0,1,2")}.items():
            arguments = ("--source", SCENES, "-o", tmp_path / name, "--contact-sheet", "--no-legend", *options)
            assert call(capfd, "run", tiny_detector_bundle, *arguments).code == 0
        assert names_in(tmp_path / "private") == ["blurred.mp4", "contact_sheet.png", "overlay.mp4", "results.jsonl"]
        plain, overlays, blurred = (
            frames_in(tmp_path / name) for name in ("plain/overlay.mp4", "private/overlay.mp4", "private/blurred.mp4")
        )
        assert len(plain) == len(overlays) == len(blurred) == 3
        for line, *images in zip(lines_of(tmp_path / "private"), plain, overlays, blurred, strict=True):
            inside = slice_of(max(line["boxes"], key=lambda box: area(box["xyxy"]))["xyxy"])
            sharp, *soft = (np.abs(np.diff(image[inside].astype(int), axis=1)).mean() for image in images)
            assert soft[1] < 0.5 * sharp
        sheets = [picture(tmp_path / name / "contact_sheet.png") for name in ("plain", "private")]
        assert not np.array_equal(*sheets)

    def test_a_frame_whose_boxes_mean_nothing_is_blurred_whole(
        self, run: Any, tiny_detector_bundle: Path, tmp_path: Path
    ) -> None:
        broken = poison(tiny_detector_bundle, tmp_path / "nan.saccade")
        assert run("--blur", "class1", bundle=broken).code == 1
        for name in ("blurred", "overlays"):
            np.testing.assert_array_equal(picture(tmp_path / "out" / name / "street.png"), blur_all(blocks(1)))


def area(xyxy: list[float]) -> float:
    return (xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1])


def slice_of(xyxy: list[float]) -> tuple[slice, slice]:
    left, top, right, bottom = (round(side) for side in xyxy)
    return slice(top, bottom), slice(left, right)


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (("--class-maps",), "--class-maps is for segmentation, but this bundle's task is detection; leave it out"),
            (("--opacity", "0.5"), "--opacity is for segmentation"),
            (("--classes", "car"), "class 'car' is not in the model; its 3 classes are class0, class1, class2"),
            (("--classes", "class0,3"), "class '3' is not in the model"),
            (("--blur", "plate"), "class 'plate' is not in the model; its 3 classes are class0, class1, class2"),
            (
                ("--blur", "class0", "--classes", "1,2"),
                "'class0' is to be blurred, but the run looks for class1, class2",
            ),
            (("--conf", "1.5"), "--conf"),
            (("--conf", "nan"), "not a finite number"),
            (("--iou", "-0.1"), "--iou"),
            (("--max-det", "0"), "--max-det"),
            (("--max-det", "100000"), "max_detections must be 1 to"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
    )
    def test_what_does_not_fit_is_code_2_before_anything_is_written(
        self, run: Any, tmp_path: Path, options: tuple[str, ...], reason: str
    ) -> None:
        called = run(*options)
        assert (called.code, called.out) == (2, "")
        assert reason in called.err
        assert names_in(tmp_path) == ["street.png"]
        as_json = run(*options, "--json")
        assert as_json.code == as_json.document["exit_code"] == 2
        assert names_in(tmp_path) == ["street.png"]

    @pytest.mark.parametrize(
        "options",
        [
            ("--conf", "0.5"),
            ("--iou", "0.5"),
            ("--max-det", "5"),
            ("--classes", "class1"),
            ("--agnostic-nms",),
            ("--blur", "class1"),
        ],
        ids=" ".join,
    )
    def test_options_of_detection_do_not_fit_segmentation(
        self, run: Any, tiny_bundle: Path, tmp_path: Path, options: tuple[str, ...]
    ) -> None:
        called = run(*options, bundle=tiny_bundle)
        assert (called.code, called.out) == (2, "")
        assert f"{options[0]} is for detection, but this bundle's task is segmentation; leave it out" in called.err
        assert names_in(tmp_path) == ["street.png"]
