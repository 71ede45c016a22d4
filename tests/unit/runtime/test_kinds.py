"""What detection and segmentation do their own way: comparing, choosing classes, lines, descriptions."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.errors import RequestError
from saccade.kinds import KINDS, detect
from saccade.kinds.detect import BoxCheck, Boxes, DetectRequest, check_request, compare_boxes, pick_classes
from saccade.kinds.look import Look
from saccade.kinds.segment import FrameCheck, equal_share
from saccade.results import Detections, Origin, Timing
from saccade.spec import DetectSpec, ImageSpec, SegmentSpec, Variant

CLASSES = ("car", "person", "licence plate")
COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
IMAGE = ImageSpec((64, 96), "rgb", 255.0, (0, 0, 0), (1, 1, 1))
SPEC = DetectSpec(IMAGE, CLASSES, COLORS)
VARIANT = Variant("fp32-cpu", "cpu", "fp32", {}, (), 18, {}, {"candidates": 100})
HELD = {"floor": 0.3, "box_px": 1.0, "confidence": 0.05}


def boxes(*rows: tuple[float, float, int], side: float = 10) -> Boxes:
    """Squares at ``x`` with a confidence and a class."""
    xyxy = np.array([(x, 0, x + side, side) for x, _, _ in rows], np.float32).reshape(-1, 4)
    return xyxy, np.array([row[1] for row in rows], np.float32), np.array([row[2] for row in rows], np.int64)


def found_in_frame(*rows: tuple[float, float, int], finite: bool = True) -> Detections:
    origin = Origin(0, "onnxruntime", "cpu", "fp32-cpu")
    return Detections(*boxes(*rows), CLASSES, COLORS, (48, 64), finite, Timing(0, 0, 0), origin)  # type: ignore[arg-type]


class TestCompareBoxes:
    def test_equal_boxes_in_any_order_are_equal(self) -> None:
        expected = boxes((0, 0.9, 0), (30, 0.8, 1), (60, 0.4, 0))
        turned = tuple(part[[2, 0, 1]] for part in expected)
        difference = compare_boxes(turned, expected, **HELD)  # type: ignore[arg-type]
        assert difference == detect.BoxDifference(0.0, 0.0, 0, 0)
        assert difference.passed

    def test_the_worst_differences_are_told(self) -> None:
        expected = boxes((0, 0.9, 0), (30, 0.8, 1))
        difference = compare_boxes(boxes((0.5, 0.9, 0), (30.25, 0.77, 1)), expected, **HELD)
        assert difference.passed
        assert difference.box_px == 0.5
        assert difference.confidence == pytest.approx(0.03, abs=1e-6)

    @pytest.mark.parametrize(
        ("found", "missing", "extra"),
        [
            (boxes((1.5, 0.9, 0), (30, 0.8, 1)), 1, 1),  # too far
            (boxes((0, 0.8, 0), (30, 0.8, 1)), 1, 1),  # too unsure
            (boxes((0, 0.9, 2), (30, 0.8, 1)), 1, 1),  # of another class
            (boxes((30, 0.8, 1)), 1, 0),
            (boxes(), 2, 0),
            (boxes((0, 0.9, 0), (30, 0.8, 1), (60, 0.5, 1)), 0, 1),
            (boxes((0, 0.9, 0), (30, 0.8, 1), (0, 0.9, 0)), 0, 1),  # twice
        ],
    )
    def test_what_has_no_partner_is_counted(self, found: Boxes, missing: int, extra: int) -> None:
        difference = compare_boxes(found, boxes((0, 0.9, 0), (30, 0.8, 1)), **HELD)
        assert (difference.missing, difference.extra, difference.passed) == (missing, extra, False)

    def test_a_box_without_partner_tells_how_far_the_nearest_of_its_class_is(self) -> None:
        difference = compare_boxes(boxes((7, 0.6, 0), (0, 0.9, 1)), boxes((0, 0.9, 0)), **HELD)
        assert difference.box_px == 7
        assert difference.confidence == pytest.approx(0.3, abs=1e-6)
        assert compare_boxes(boxes((0, 0.9, 1)), boxes((0, 0.9, 0)), **HELD).box_px == 0  # none of its class

    def test_one_found_box_is_no_partner_of_two(self) -> None:
        difference = compare_boxes(boxes((0, 0.9, 0)), boxes((0, 0.9, 0), (0.25, 0.9, 0)), **HELD)
        assert (difference.missing, difference.extra) == (1, 0)

    def test_boxes_at_the_floor_may_fall_to_either_side(self) -> None:
        expected = boxes((0, 0.9, 0), (30, 0.31, 0), (60, 0.28, 0))
        assert compare_boxes(boxes((0, 0.9, 0), (30, 0.28, 0), (60, 0.31, 0)), expected, **HELD).passed
        # Of the one just above the floor there must be something, of the one below it nothing.
        assert compare_boxes(boxes((0, 0.9, 0), (30, 0.28, 0)), expected, **HELD).passed
        assert compare_boxes(boxes((0, 0.9, 0), (60, 0.31, 0)), expected, **HELD).missing == 1
        # A box that nobody expected counts from the floor and the tolerance on.
        assert compare_boxes(boxes((0, 0.9, 0), (30, 0.31, 0), (90, 0.34, 0)), expected, **HELD).passed
        assert compare_boxes(boxes((0, 0.9, 0), (30, 0.31, 0), (90, 0.36, 0)), expected, **HELD).extra == 1

    @pytest.mark.parametrize(("found", "expected"), [(0, 0), (0, 3), (3, 0)])
    def test_there_may_be_no_box(self, found: int, expected: int) -> None:
        rows = [(30.0 * index, 0.9, 0) for index in range(3)]
        difference = compare_boxes(boxes(*rows[:found]), boxes(*rows[:expected]), **HELD)
        assert (difference.missing, difference.extra) == (expected, found)

    @pytest.mark.parametrize("broken", [np.nan, np.inf])
    def test_what_is_not_finite_has_no_partner(self, broken: float) -> None:
        expected = boxes((0, 0.9, 0))
        difference = compare_boxes(boxes((broken, 0.9, 0)), expected, **HELD)
        assert difference.missing == 1
        assert np.isfinite([difference.box_px, difference.confidence]).all()
        assert not compare_boxes(boxes((0, broken, 0)), expected, **HELD).passed

    @given(st.integers(0, 2**32 - 1), st.integers(0, 30))
    @settings(max_examples=60, deadline=None)
    def test_noise_within_the_tolerances_passes_and_one_box_beyond_fails(self, seed: int, count: int) -> None:
        random = np.random.default_rng(seed)
        xyxy = (40 * random.permutation(64)[:count, None] + random.uniform(0, 20, (count, 4))).astype(np.float32)
        expected = (xyxy, random.uniform(0.26, 1, count).astype(np.float32), random.integers(0, 3, count))
        order = random.permutation(count)
        found = (
            (xyxy + random.uniform(-0.99, 0.99, xyxy.shape))[order],
            (expected[1] + random.uniform(-0.049, 0.049, count))[order],
            expected[2][order],
        )
        # When all are a little off, in another order, it passes.
        assert compare_boxes(found, expected, **HELD).passed
        # When one that counts is moved by more, it is missing and extra.
        if (expected[1] >= 0.4).any():
            moved = found[0].copy()
            moved[np.flatnonzero(order == np.argmax(expected[1]))[0], 3] += 3
            difference = compare_boxes((moved, *found[1:]), expected, **HELD)
            assert (difference.missing, difference.extra) == (1, 1)
            assert 2 < difference.box_px < 4


def test_shares_of_equal_pixels() -> None:
    one = np.array([[0, 1], [2, 3]], np.uint8)
    assert equal_share(one, one) == 1
    assert equal_share(one, np.zeros_like(one)) == 0.25
    with pytest.raises(ValueError, match="one shape"):
        equal_share(one, one[:1])


class TestChecks:
    def test_pixels_pass_by_their_share(self) -> None:
        check = FrameCheck("golden/000.frame", (32, 48), 0.9995, 0.999, True)
        assert check.passed
        assert check.sentence == "99.9500% of pixels (at least 99.90%)"
        assert not replace(check, equal_pixels=0.998).passed
        assert not replace(check, finite=False).passed
        assert replace(check, finite=False).sentence.endswith("scores not finite")

    def test_boxes_pass_when_none_is_missing_or_extra(self) -> None:
        check = BoxCheck("golden/000.frame", (32, 48), 12, 0, 0, 0.125, 1.0, 0.003, 0.01, True)
        assert check.passed
        assert check.sentence == (
            "12 boxes, 0 missing, 0 extra; corners within 0.125 px (at most 1), confidences within 0.003 (at most 0.01)"
        )
        for change in ({"missing": 1}, {"extra": 1}, {"finite": False}):
            assert not replace(check, **change).passed
        assert replace(check, finite=False).sentence.endswith("scores not finite")

    def test_a_variant_of_less_precision_may_miss_a_share_of_its_boxes(self) -> None:
        check = BoxCheck("golden/000.frame", (32, 48), 12, 1, 1, 0.125, 1.0, 0.003, 0.01, True, most_unmatched=0.1)
        assert check.passed
        assert "1 missing, 1 extra (at most 10% of each)" in check.sentence
        assert not replace(check, missing=2).passed
        assert not replace(check, extra=2).passed


class TestPickClasses:
    @pytest.mark.parametrize(
        ("asked", "picked"),
        [
            (["car,person"], ("car", "person")),
            (["person", "car"], ("person", "car")),
            (["2, 0", "car"], ("licence plate", "car")),
            (["licence plate"], ("licence plate",)),
            ([], ()),
        ],
    )
    def test_names_and_ids_are_taken_once(self, asked: list[str], picked: tuple[str, ...]) -> None:
        assert pick_classes(asked, CLASSES) == picked

    def test_a_name_goes_before_an_id_and_a_comma_may_be_in_a_name(self) -> None:
        assert pick_classes(["1"], ("1", "0")) == ("1",)
        assert pick_classes(["sign, blue"], ("sign, blue", "car")) == ("sign, blue",)

    @pytest.mark.parametrize("asked", ["truck", "3", "-1", "car,", "car,truck", "", "1.0", "٢", "9" * 5000])
    def test_another_is_refused_with_those_there_are(self, asked: str) -> None:
        with pytest.raises(RequestError, match="its 3 classes are car, person, licence plate"):
            pick_classes([asked], CLASSES)

    def test_of_many_classes_some_are_named(self) -> None:
        with pytest.raises(RequestError, match=r"its 80 classes are c0, .*, c19, and 60 more"):
            pick_classes(["truck"], tuple(f"c{index}" for index in range(80)))


class TestCheckRequest:
    def test_what_the_bundle_has_passes(self) -> None:
        for suppression in ("class", "agnostic", "none"):
            check_request(
                DetectRequest(confidence=0.1, max_detections=100), replace(SPEC, suppression=suppression), VARIANT
            )
        check_request(DetectRequest(iou=0.5, agnostic=True), SPEC, VARIANT)

    @pytest.mark.parametrize("request_", [DetectRequest(iou=0.5), DetectRequest(agnostic=True)])
    def test_suppression_without_any_is_refused(self, request_: DetectRequest) -> None:
        with pytest.raises(RequestError, match="needs none"):
            check_request(request_, replace(SPEC, suppression="none"), VARIANT)

    def test_more_boxes_than_candidates_are_refused(self) -> None:
        with pytest.raises(RequestError, match="1 to 100, the candidates of variant fp32-cpu, but got 101"):
            check_request(DetectRequest(max_detections=101), SPEC, VARIANT)


class TestRecord:
    def test_boxes_are_rounded_and_named(self) -> None:
        found = detect.record(found_in_frame((1.23456, 0.987654, 2), (3, 0.5, 0)))
        assert found == {
            "boxes": [
                {"xyxy": [1.23, 0.0, 11.23, 10.0], "confidence": 0.9877, "class": "licence plate", "class_id": 2},
                {"xyxy": [3.0, 0.0, 13.0, 10.0], "confidence": 0.5, "class": "car", "class_id": 0},
            ]
        }

    def test_what_json_cannot_hold_is_left_out(self) -> None:
        found = detect.record(found_in_frame((np.nan, 0.9, 0), (0, np.inf, 0), (5, 0.5, 1), finite=False))
        assert [box["class"] for box in found["boxes"]] == ["person"]
        json.dumps(found, allow_nan=False)

    def test_an_empty_frame_has_no_boxes(self) -> None:
        assert detect.record(found_in_frame()) == {"boxes": []}


class TestPicture:
    def test_boxes_have_the_colours_of_their_classes_and_names_on_demand(self) -> None:
        image = np.full((48, 64, 3), 90, np.uint8)
        result = found_in_frame((4, 0.9, 0), (40, 0.5, 2))
        plain = detect.picture(image, result, Look(has_names=False))
        for color in (COLORS[0], COLORS[2]):
            assert (plain == np.array(color, np.uint8)).all(2).any()
        assert not (plain == np.array(COLORS[1], np.uint8)).all(2).any()
        assert not np.array_equal(detect.picture(image, result, Look()), plain)
        np.testing.assert_array_equal(detect.picture(image, found_in_frame(), Look()), image)


class TestDescribe:
    def test_detection_names_classes_thresholds_and_suppression(self) -> None:
        lines = dict(KINDS["detect"].describe(SPEC))
        assert lines["task"] == "detect, boxes of 3 classes: car, person, licence plate"
        assert lines["boxes"].startswith(
            "confidence from 0.25, at most 300 a frame, suppressed where boxes of one class"
        )
        texts = [dict(detect.describe(replace(SPEC, suppression=s)))["boxes"] for s in ("class", "agnostic", "none")]
        assert len(set(texts)) == 3
        assert "IoU 0.65" in texts[1]
        assert "no suppression needed" in texts[2]

    def test_many_classes_are_counted(self) -> None:
        many = replace(SPEC, classes=tuple(f"c{index}" for index in range(80)), colors=COLORS * 27)
        assert dict(detect.describe(many))["task"].endswith("c18, c19, and 60 more")

    def test_segmentation_names_its_decision_and_threshold(self) -> None:
        spec = SegmentSpec(IMAGE, ("other", "road"), COLORS[:2], "threshold", threshold=0.4)
        assert KINDS["segment"].describe(spec) == [
            ("task", "segment, threshold of 2 classes: other, road"),
            ("threshold", "0.4"),
        ]
        assert len(KINDS["segment"].describe(replace(spec, decision="argmax", threshold=None))) == 1

    def test_tolerances_say_which_side_they_hold(self) -> None:
        assert KINDS["segment"].held_to({"equal_pixels": 0.999}) == "equal_pixels >= 0.999"
        assert KINDS["detect"].held_to({"box_px": 1.0, "confidence": 0.01}) == "box_px <= 1, confidence <= 0.01"


def test_every_kind_has_its_own_way() -> None:
    for one, other in itertools.combinations(KINDS.values(), 2):
        assert not {value for value in vars(one).values() if callable(value)} & set(vars(other).values())
