"""Rendered road scenes: the same from run to run, labelled exactly, and refused where they cannot be drawn."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import islice

import numpy as np
import pytest

from saccade import scenes
from saccade.errors import RequestError

SMALL = (120, 160)
DIGEST_PROGRAM = """
import hashlib
from saccade import scenes
scene = scenes.render(3, 17, (120, 160), "dusk")
parts = scene.image.tobytes() + scene.class_map.tobytes() + repr(scene.boxes).encode()
print(hashlib.sha256(parts).hexdigest())
"""


def digest_in_a_new_process(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run([sys.executable, "-c", DIGEST_PROGRAM], env=environment, capture_output=True, check=True)
    return done.stdout.decode().strip()


def digest(scene: scenes.Scene) -> str:
    parts = scene.image.tobytes() + scene.class_map.tobytes() + repr(scene.boxes).encode()
    return hashlib.sha256(parts).hexdigest()


def assert_is_whole(scene: scenes.Scene, size_hw: tuple[int, int]) -> None:
    """Check shapes, types and ranges, and that every box lies in the frame and has an inside."""
    height, width = size_hw
    assert scene.image.shape == (height, width, 3)
    assert scene.image.dtype == np.uint8
    assert scene.class_map.shape == (height, width)
    assert scene.class_map.dtype == np.uint8
    assert scene.class_map.max() < len(scenes.CLASSES)
    for box in scene.boxes:
        x1, y1, x2, y2 = box.xyxy
        assert box.label in scenes.BOX_LABELS
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height


def lone_boxes(scene: scenes.Scene, label: str) -> list[tuple[int, int, int, int]]:
    """Return the boxes of a label that neither touch another of it nor the frame's edge, by a margin of one pixel."""
    height, width = scene.class_map.shape
    boxes = [tuple(int(edge) for edge in box.xyxy) for box in scene.boxes if box.label == label]
    inner = [box for box in boxes if box[0] > 0 and box[1] > 0 and box[2] < width and box[3] < height]
    return [box for box in inner if not any(touch(box, other) for other in boxes if other is not box)]


def sky_noise(scene: scenes.Scene) -> float:
    """Return the usual step between neighbours in the sky, which is smooth but for noise."""
    is_sky = scene.class_map == scenes.CLASSES.index("sky")
    steps = np.abs(np.diff(scene.image.astype(int), axis=1))[is_sky[:, 1:] & is_sky[:, :-1]]
    return float(steps.mean())


def touch(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    across = one[0] <= other[2] + 1 and other[0] <= one[2] + 1
    return across and one[1] <= other[3] + 1 and other[1] <= one[3] + 1


@pytest.mark.parametrize("light", ["day", "dusk", "night"])
def test_the_same_arguments_give_the_same_bytes(light: str) -> None:
    # Given a frame, when it is rendered again after others, then nothing has changed.
    first = scenes.render(1, 30, SMALL, light)
    scenes.render(2, 31, SMALL, light)
    assert digest(scenes.render(1, 30, SMALL, light)) == digest(first)


def test_the_hash_seed_of_the_process_does_not_matter() -> None:
    # Given two processes that hash strings differently, when both render a frame, then both give this process's bytes.
    here = digest(scenes.render(3, 17, (120, 160), "dusk"))
    assert digest_in_a_new_process("1") == digest_in_a_new_process("2") == here


def test_a_drive_is_its_frames_in_order() -> None:
    # Given a drive, when it is read to its end, then it has as many frames as asked, each as rendered alone.
    frames = list(scenes.drive(4, 3, SMALL, "night"))
    assert [digest(scene) for scene in frames] == [digest(scenes.render(4, at, SMALL, "night")) for at in range(3)]
    assert list(scenes.drive(4, 0, SMALL)) == []


def test_frames_move_on_little_by_little() -> None:
    # Given two drives, when frames are compared, then neighbours are alike, later ones less, another seed's least.
    first, second, late = (scenes.render(5, frame, SMALL) for frame in (10, 11, 110))
    other = scenes.render(6, 10, SMALL)
    change, later, elsewhere = (np.mean(first.class_map != scene.class_map) for scene in (second, late, other))
    assert 0 < change < 0.06
    assert change < later
    assert elsewhere > 0.1
    assert not np.array_equal(first.image, second.image)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_class_and_label_occurs_in_a_drive(seed: int) -> None:
    # Given a drive of twelve seconds, when a frame a second is kept, then all classes and labels were seen.
    kept = [scenes.render(seed, frame, (180, 240)) for frame in range(0, 300, 25)]
    classes = {int(number) for scene in kept for number in np.unique(scene.class_map)}
    assert classes == set(range(len(scenes.CLASSES)))
    assert {box.label for scene in kept for box in scene.boxes} == set(scenes.BOX_LABELS)


def test_class_shares_are_those_of_a_road() -> None:
    # Given frames of several drives, when their pixels are counted, then each large class takes its usual part.
    maps = np.stack([scenes.render(seed, 50, SMALL).class_map for seed in range(6)])
    share = dict(zip(scenes.CLASSES, np.bincount(maps.ravel(), minlength=len(scenes.CLASSES)) / maps.size, strict=True))
    assert 0.2 < share["road"] < 0.35
    assert 0.1 < share["sky"] < 0.3
    assert 0.2 < share["building"] + share["tree"] < 0.45


@pytest.mark.parametrize("label", ["car", "pedestrian", "bicyclist"])
def test_boxes_are_tight_around_the_class_map(label: str) -> None:
    # Given objects that stand alone, when their boxes are laid on the class map, then each side touches a pixel of it
    # and none lies just outside.
    class_id, checked = scenes.CLASSES.index(label), 0
    for frame in range(0, 250, 25):
        scene = scenes.render(7, frame, (180, 240))
        for x1, y1, x2, y2 in lone_boxes(scene, label):
            is_label = scene.class_map == class_id
            inside = is_label[y1:y2, x1:x2]
            assert inside[0].any()
            assert inside[-1].any()
            assert inside[:, 0].any()
            assert inside[:, -1].any()
            assert is_label[y1 - 1 : y2 + 1, x1 - 1 : x2 + 1].sum() == inside.sum()
            checked += 1
    assert checked >= 3


def test_every_labelled_object_pixel_lies_in_a_box() -> None:
    # Given a frame, when the boxes of a class are blanked, then no pixel of it is left.
    scene = scenes.render(8, 60, (180, 240))
    for label in ("car", "pedestrian", "bicyclist"):
        left = scene.class_map == scenes.CLASSES.index(label)
        for box in scene.boxes:
            if box.label == label:
                x1, y1, x2, y2 = (int(edge) for edge in box.xyxy)
                left[y1:y2, x1:x2] = False
        assert not left.any()


def test_licence_plates_are_on_cars() -> None:
    # Given a frame with plates, when they are looked up in the class map, then each lies on a car.
    scene = scenes.render(9, 40, (360, 480))
    plates = [box.xyxy for box in scene.boxes if box.label == "licence_plate"]
    cars = [box.xyxy for box in scene.boxes if box.label == "car"]
    assert plates
    for x1, y1, x2, y2 in plates:
        assert (scene.class_map[int(y1) : int(y2), int(x1) : int(x2)] == scenes.CLASSES.index("car")).any()
        assert any(a <= x1 and b <= y1 and x2 <= c and y2 <= d for a, b, c, d in cars)


def test_light_changes_the_picture_and_not_the_labels() -> None:
    # Given one frame under each light, when they are compared, then it gets darker and noisier, with the same labels.
    day, dusk, night = (scenes.render(10, 5, SMALL, light) for light in ("day", "dusk", "night"))
    assert day.image.mean() > 1.3 * dusk.image.mean() > 1.3 * 1.3 * night.image.mean()
    assert sky_noise(night) > 1.5 * sky_noise(day)
    for scene in (dusk, night):
        assert np.array_equal(scene.class_map, day.class_map)
        assert scene.boxes == day.boxes


@pytest.mark.parametrize("size_hw", [(32, 32), (33, 47), (32, 640), (600, 32), (101, 203)])
@pytest.mark.parametrize("light", ["day", "night"])
def test_odd_and_tiny_sizes_work(size_hw: tuple[int, int], light: str) -> None:
    # Given any size, when frames along the road are rendered, then each is whole.
    for frame in (0, 7, 133):
        assert_is_whole(scenes.render(11, frame, size_hw, light), size_hw)


def test_a_drive_goes_on_for_hours() -> None:
    # Given a frame ten hours into a drive, when it is rendered, then it is as whole as the first.
    assert_is_whole(scenes.render(12, 10 * 3600 * 25, SMALL), SMALL)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"size_hw": (31, 480)}, r"32 to 4096.*\(31, 480\)"),
        ({"size_hw": (360, 5000)}, r"\(360, 5000\)"),
        ({"size_hw": (360,)}, r"\(height, width\)"),
        ({"size_hw": (360.0, 480.0)}, "whole numbers"),
        ({"light": "noon"}, "day, dusk, night.*'noon'"),
        ({"frame": -1}, "frame must be .*-1"),
        ({"frame": 1.5}, "frame must be a whole number"),
        ({"seed": -7}, "seed must be .*-7"),
    ],
)
def test_what_cannot_be_rendered_is_refused(asked: dict[str, object], found: str) -> None:
    # Given one bad argument, when a frame is asked for, then the error says what was wrong.
    arguments: dict[str, object] = {"seed": 1, "frame": 0, "size_hw": SMALL, "light": "day", **asked}
    with pytest.raises(RequestError, match=found):
        scenes.render(**arguments)  # type: ignore[arg-type]


def test_a_drive_is_refused_before_its_first_frame() -> None:
    # Given a bad light, when a drive is asked for, then it is refused at once and not at the first frame.
    with pytest.raises(RequestError, match="light"):
        scenes.drive(1, 5, SMALL, "noon")
    assert len(list(islice(scenes.drive(1, 10**9, (32, 32)), 2))) == 2
