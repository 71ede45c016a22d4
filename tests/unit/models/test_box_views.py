"""Random views of images with boxes: what is in a box stays in it, and a key always gives the same view.

Images are black with one rectangle in a colour of its own, so that the pixels tell where each object went.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saccade.datasets import BoxDataset, LabelledImage, box_area
from saccade.errors import DatasetError
from saccade_models.train.box_images import BoxImages, RandomViews, collate, refuse_other_sizes
from saccade_models.train.box_views import LEAST_PX, LEAST_VISIBLE, PAD, BoxViews, View, random_view

pytestmark = pytest.mark.torch

COLORS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255)], np.uint8)
PLACES = [(10, 20, 50, 40), (60, 5, 95, 70), (0, 0, 30, 30), (70, 60, 110, 80), (40, 30, 80, 50), (100, 10, 120, 60)]
UNLIT = BoxViews((64, 96), light=0.0, grey=0.0, blur=0.0, mosaic=0.0)
VIEWS = 40


def painted(index: int) -> View:
    """The image of class ``index``: 80x120, one rectangle."""
    image = np.zeros((80, 120, 3), np.uint8)
    left, top, right, bottom = PLACES[index]
    image[top:bottom, left:right] = COLORS[index]
    return View(image, np.array([PLACES[index]], np.float32), np.array([index]))


def some_views(views: BoxViews, count: int = VIEWS) -> Iterator[View]:
    for seed in range(count):
        yield random_view(painted, seed % len(PLACES), len(PLACES), views, np.random.default_rng(seed))


def has_color(image: np.ndarray, class_id: int) -> np.ndarray:
    """Where the pixels are nearer to the class's colour than to black or to the padding: bool (h, w)."""
    others = np.concatenate((COLORS[np.arange(len(COLORS)) != class_id], np.array([[0] * 3, [PAD] * 3], np.uint8)))
    away = np.abs(image[..., None, :].astype(int) - np.concatenate((COLORS[class_id : class_id + 1], others))).sum(-1)
    return away.argmin(-1) == 0


def least_fill(view: View) -> float:
    """The smallest share of a box, less a pixel on each side, that has the colour of the box's class."""
    shares = [1.0]
    for box, class_id in zip(view.xyxy, view.class_id, strict=True):
        left, top, right, bottom = np.concatenate((np.ceil(box[:2]) + 1, np.floor(box[2:]) - 1)).astype(int)
        inside = has_color(view.image, int(class_id))[top:bottom, left:right]
        shares.append(inside.mean() if inside.size else 1.0)
    return min(shares)


def extent(mask: np.ndarray) -> np.ndarray:
    """The box around the set pixels: xyxy (4,)."""
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


@pytest.mark.parametrize("mirror", [0.0, 1.0])
def test_a_box_surrounds_its_object_after_scaling_cropping_and_mirroring(mirror: float) -> None:
    kept = 0
    for view in some_views(replace(UNLIT, mirror=mirror)):
        for box, class_id in zip(view.xyxy, view.class_id, strict=True):
            np.testing.assert_allclose(box, extent(has_color(view.image, int(class_id))), atol=1.01)
            kept += 1
    assert kept > VIEWS / 2


def test_boxes_of_mosaics_are_filled_with_their_objects() -> None:
    made = list(some_views(replace(UNLIT, mosaic=1.0)))
    assert min(least_fill(view) for view in made) > 0.97
    assert np.mean([len(view.xyxy) for view in made]) > 1.5
    assert len({tuple(view.class_id.tolist()) for view in made}) > VIEWS / 3


def test_the_check_fails_for_boxes_that_do_not_follow() -> None:
    made = [view for view in some_views(replace(UNLIT, mosaic=1.0)) if len(view.xyxy)]
    mirrored = [View(view.image[:, ::-1], view.xyxy, view.class_id) for view in made]
    moved = [View(view.image, view.xyxy + np.float32(6), view.class_id) for view in made]
    assert np.mean([least_fill(view) < 0.97 for view in moved]) > 0.9
    assert np.mean([least_fill(view) < 0.97 for view in mirrored]) > 0.5


def test_a_mirrored_view_is_the_view_mirrored() -> None:
    for seed in range(10):
        plain, mirrored = (
            random_view(painted, 1, 6, replace(UNLIT, mirror=mirror), np.random.default_rng(seed)) for mirror in (0, 1)
        )
        assert np.array_equal(plain.image[:, ::-1], mirrored.image)
        assert np.array_equal(96 - plain.xyxy[:, [2, 0]], mirrored.xyxy[:, [0, 2]])
        assert np.array_equal(plain.xyxy[:, [1, 3]], mirrored.xyxy[:, [1, 3]])


def test_boxes_that_are_mostly_outside_or_tiny_are_dropped() -> None:
    fixed = replace(UNLIT, size_hw=(40, 48), scale=(1.0, 1.0), aspect=(1.0, 1.0), mirror=0.0, focus=0.0)
    seen: set[bool] = set()
    for view in some_views(fixed, 100):
        for class_id, (left, top, right, bottom) in enumerate(PLACES):
            share = has_color(view.image, class_id).sum() / ((right - left) * (bottom - top))
            is_kept = class_id in view.class_id
            if abs(share - LEAST_VISIBLE) > 0.1:  # an object's edge falls between pixels
                assert is_kept == (share > LEAST_VISIBLE)
            seen.add(is_kept)
    assert seen == {True, False}
    tiny = replace(UNLIT, scale=(0.05, 0.05), focus=1.0)
    boxes = np.concatenate([view.xyxy for view in some_views(tiny)])
    assert len(boxes) < VIEWS / 2
    assert ((boxes[:, 2:] - boxes[:, :2]) >= LEAST_PX).all()


def test_a_view_with_focus_holds_the_object() -> None:
    close = replace(UNLIT, size_hw=(32, 32), scale=(0.8, 0.8), aspect=(1.0, 1.0))
    aimed, anywhere = (
        sum(has_color(view.image, seed % 6).any() for seed, view in enumerate(some_views(replace(close, focus=focus))))
        for focus in (1.0, 0.0)
    )
    assert aimed == VIEWS
    assert anywhere < 0.8 * VIEWS


def test_beyond_the_image_lies_padding() -> None:
    for view in some_views(replace(UNLIT, scale=(0.3, 0.4)), 10):
        assert (view.image[[0, -1]][:, [0, -1]].reshape(-1, 3) == PAD).all(1).any()


def test_mixup_averages_two_views_and_keeps_the_objects_of_both() -> None:
    whole = replace(UNLIT, scale=(0.75, 0.8), aspect=(1.0, 1.0), mirror=0.0, mixup=1.0)
    made = list(some_views(whole, 20))
    assert all((view.image == 255 // 2).any() for view in made if len(set(view.class_id.tolist())) > 1)
    assert np.mean([len(view.xyxy) for view in made]) > 1.9


def test_light_blur_and_lost_colour_leave_the_boxes_alone() -> None:
    lit = replace(UNLIT, light=0.4, grey=0.5, blur=1.0)
    for view, plain in zip(some_views(lit, 20), some_views(UNLIT, 20), strict=True):
        assert np.array_equal(view.xyxy, plain.xyxy)
        assert (view.image != plain.image).any()
        assert view.image.flags.writeable
        assert view.image.flags.c_contiguous
        assert (view.image.dtype, view.xyxy.dtype, view.class_id.dtype) == (np.uint8, np.float32, np.int64)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> BoxDataset:
    folder = tmp_path_factory.mktemp("painted")
    return BoxDataset(tuple("abcdef"), tuple(labelled(folder, index) for index in range(len(PLACES))))


def labelled(folder: Path, index: int) -> LabelledImage:
    path = folder / f"{index}.png"
    Image.fromarray(painted(index).image).save(path)
    xyxy = np.array([PLACES[index], (0, 70, 5, 75)], np.float64)
    crowd = np.array([False, True])
    return LabelledImage(index + 1, path, (80, 120), xyxy, np.array([index, 0]), crowd, box_area(xyxy))


def random_views(dataset: BoxDataset, seed: int = 0, calm_from: float = 9.0) -> RandomViews:
    views = BoxViews((64, 96), mosaic=1.0)
    return RandomViews(BoxImages(dataset), views, replace(views, mosaic=0.0), calm_from, seed)


def test_a_key_and_a_seed_decide_a_view(dataset: BoxDataset) -> None:
    image, objects = random_views(dataset)[0, 3]
    again, objects_again = random_views(dataset)[0, 3]
    assert image.equal(again)
    assert objects.xyxy.equal(objects_again.xyxy)
    for other in (random_views(dataset)[1, 3], random_views(dataset)[0, 4], random_views(dataset, seed=1)[0, 3]):
        assert not image.equal(other[0])


def test_the_last_epochs_are_calm(dataset: BoxDataset) -> None:
    views = random_views(dataset, calm_from=1.0)
    counts = [max(len(views[epoch, index][1].class_id.unique()) for index in range(6)) for epoch in (0, 1)]
    assert counts[0] > 1
    assert counts[1] == 1


def test_a_batch_is_one_tensor_and_a_list_of_objects(dataset: BoxDataset) -> None:
    views = random_views(dataset)
    images, objects = collate([views[0, 1], views[0, 2]])
    assert images.shape == (2, 64, 96, 3)
    assert [found.xyxy.shape for found in objects] == [views[0, index][1].xyxy.shape for index in (1, 2)]


def test_crowds_are_no_objects(dataset: BoxDataset) -> None:
    view = BoxImages(dataset).view(2)
    assert view.xyxy.tolist() == [list(map(float, PLACES[2]))]
    assert view.class_id.tolist() == [2]


def test_an_image_of_another_size_than_its_labels_is_named(dataset: BoxDataset) -> None:
    refuse_other_sizes(dataset)
    wrong = replace(dataset.images[4], size_hw=(120, 80))
    with pytest.raises(DatasetError, match=r"4\.png is 120x80 .*but its annotations are for 80x120"):
        refuse_other_sizes(replace(dataset, images=(*dataset.images[:4], wrong)))
