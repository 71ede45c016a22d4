"""Results are compared before times are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from saccade_bench.agreement import MOST_DB, agreement


def saved(folder: Path, name: str, **arrays: np.ndarray) -> Path:
    path = folder / f"{name}.npz"
    np.savez(path, **arrays)
    return path


def boxes(*left: float, kind: int = 0) -> dict[str, np.ndarray]:
    xyxy = np.array([[x, 0, x + 10, 10] for x in left], np.float32).reshape(-1, 4)
    return {"boxes": xyxy, "confidence": np.ones(len(left)), "classes": np.full(len(left), kind)}


def test_class_maps_by_the_share_of_equal_pixels(tmp_path: Path) -> None:
    one, two = np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8)
    two[0, 0] = 1
    paths = saved(tmp_path, "one", class_map=one), saved(tmp_path, "two", class_map=two)
    assert agreement(*paths) == 0.95


def test_images_by_their_psnr(tmp_path: Path) -> None:
    one = np.full((4, 5, 3), 100, np.uint8)
    paths = [saved(tmp_path, name, image=image) for name, image in (("one", one), ("same", one), ("two", one + 1))]
    assert agreement(paths[0], paths[1]) == MOST_DB
    assert agreement(paths[0], paths[2]) == pytest.approx(48.13, abs=0.01)


@pytest.mark.parametrize(
    ("other", "share"),
    [
        (boxes(0, 50), 1.0),
        (boxes(50, 0), 1.0),
        (boxes(0.2, 50), 1.0),
        (boxes(3, 50), 0.5),
        (boxes(0, 50, kind=1), 0.0),
        (boxes(0, 50, 80, 90), 0.5),
        (boxes(0, 0, 50), 2 / 3),
        (boxes(), 0.0),
    ],
)
def test_boxes_by_the_share_that_match(tmp_path: Path, other: dict[str, np.ndarray], share: float) -> None:
    assert agreement(saved(tmp_path, "one", **boxes(0, 50)), saved(tmp_path, "two", **other)) == pytest.approx(share)


def test_no_boxes_in_both_are_the_same(tmp_path: Path) -> None:
    assert agreement(saved(tmp_path, "one", **boxes()), saved(tmp_path, "two", **boxes())) == 1.0


def test_what_cannot_be_compared_has_no_agreement(tmp_path: Path) -> None:
    small, large = (saved(tmp_path, f"{size}", class_map=np.zeros((size, 5), np.uint8)) for size in (4, 6))
    assert agreement(small, large) is None
    assert agreement(small, saved(tmp_path, "boxes", **boxes(1))) is None
