"""Labelled images: what is read, and that every fault is refused by a sentence that names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from saccade.datasets import (
    BoxDataset,
    LabelledImage,
    SegmentationFolder,
    box_area,
    list_maps,
    read_coco,
    read_image,
    read_yolo,
    write_coco,
)
from saccade.errors import DatasetError, OutputError

Content = dict[str, Any]

SIDEWAYS = 6  # EXIF: the camera was turned by a quarter
WIDTH, HEIGHT = 40, 30


def save_image(path: Path, width: int = WIDTH, height: int = HEIGHT, orientation: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(path, exif=exif)
    return path


def coco_content() -> Content:
    """Two images; a car, a crowd of people, and an image without objects. Category ids have gaps and no order."""
    return {
        "categories": [{"id": 7, "name": "car"}, {"id": 3, "name": "person"}],
        "images": [
            {"id": 11, "file_name": "a.png", "width": WIDTH, "height": HEIGHT},
            {"id": 5, "file_name": "b.png", "width": WIDTH, "height": HEIGHT},
        ],
        "annotations": [
            {"id": 1, "image_id": 11, "category_id": 7, "bbox": [1, 2, 10, 20.5], "area": 150.25, "iscrowd": 0},
            {"id": 2, "image_id": 11, "category_id": 3, "bbox": [0, 0, 40, 5], "iscrowd": 1},
        ],
    }


@pytest.fixture
def coco(tmp_path: Path) -> Callable[[Content], Path]:
    """Writes a COCO json beside the folder of its two images."""
    for name in ("a.png", "b.png"):
        save_image(tmp_path / "images" / name)

    def write(content: Content) -> Path:
        path = tmp_path / "labels.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    return write


def changed(part: str, **values: object) -> Content:
    """The good content with ``values`` in the first entry of ``part``."""
    content = coco_content()
    content[part][0] |= values
    return content


def without(part: str, key: str) -> Content:
    content = coco_content()
    del content[part][0][key]
    return content


class TestCoco:
    def test_classes_are_numbered_in_the_order_of_their_ids(self, coco: Callable[[Content], Path]) -> None:
        dataset = read_coco(coco(coco_content()))
        assert dataset.classes == ("person", "car")
        assert dataset.category_ids == (3, 7)
        first, second = dataset.images
        assert (first.image_id, first.size_hw, first.path.name) == (11, (HEIGHT, WIDTH), "a.png")
        np.testing.assert_array_equal(first.xyxy, [[1, 2, 11, 22.5], [0, 0, 40, 5]])
        np.testing.assert_array_equal(first.class_id, [1, 0])
        np.testing.assert_array_equal(first.is_crowd, [False, True])
        assert second.xyxy.shape == (0, 4)
        np.testing.assert_array_equal(dataset.object_counts(), [0, 1])

    def test_an_area_is_the_objects_own_or_else_its_boxs(self, coco: Callable[[Content], Path]) -> None:
        np.testing.assert_array_equal(read_coco(coco(coco_content())).images[0].area, [150.25, 200])

    @pytest.mark.parametrize("place", ["labels", "images", "."])
    def test_images_are_found_beside_the_json(self, tmp_path: Path, place: str) -> None:
        content = coco_content()
        for entry in content["images"]:
            save_image(tmp_path / place / entry["file_name"])
        (tmp_path / "labels.json").write_text(json.dumps(content))
        assert all(image.path.is_file() for image in read_coco(tmp_path / "labels.json").images)

    def test_images_may_be_elsewhere(self, coco: Callable[[Content], Path], tmp_path: Path) -> None:
        path = coco(coco_content())
        (tmp_path / "images").rename(tmp_path / "elsewhere")
        with pytest.raises(DatasetError, match=r"2 images that do not exist, the first is .*a\.png.*--images"):
            read_coco(path)
        assert read_coco(path, tmp_path / "elsewhere").images[1].path == tmp_path / "elsewhere" / "b.png"

    def test_what_is_written_is_read_again(self, coco: Callable[[Content], Path], tmp_path: Path) -> None:
        dataset = read_coco(coco(coco_content()))
        write_coco(dataset, tmp_path / "again.json", "a copy")
        again = read_coco(tmp_path / "again.json")
        assert (again.classes, again.category_ids) == (dataset.classes, dataset.category_ids)
        for old, new in zip(dataset.images, again.images, strict=True):
            assert (old.image_id, old.path, old.size_hw) == (new.image_id, new.path, new.size_hw)
            for name in ("xyxy", "class_id", "is_crowd", "area"):
                np.testing.assert_array_equal(getattr(old, name), getattr(new, name))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["again.json", "images", "labels.json"]

    def test_a_place_that_cannot_be_written_is_an_output_error(
        self, coco: Callable[[Content], Path], tmp_path: Path
    ) -> None:
        with pytest.raises(OutputError, match="create its folder first"):
            write_coco(read_coco(coco(coco_content())), tmp_path / "absent" / "x.json")

    @pytest.mark.parametrize(
        ("bbox", "fault"),
        [
            ([5, 5, -3, 8], r"has negative size -3 x 8"),
            ([5, 5, 0, 8], r"has no area \(0 x 8\)"),
            ([35, 5, 10, 8], r"reaches out of its image: 35, 5 to 45, 13 in 40 x 30"),
            ([-9, 5, 10, 8], r"reaches out of its image"),
            ([5, 25, 10, 8], r"reaches out of its image"),
            ([float("nan"), 5, 10, 8], r"is not finite"),
            ([5, 5, float("inf"), 8], r"is not finite"),
        ],
        ids=str,
    )
    def test_a_bad_box_is_refused_or_dropped_and_said(
        self, coco: Callable[[Content], Path], bbox: list[float], fault: str
    ) -> None:
        path = coco(changed("annotations", bbox=bbox))
        with pytest.raises(DatasetError, match=rf"1 bad boxes: annotation 1 {fault}.*--drop-bad-boxes"):
            read_coco(path)
        dataset = read_coco(path, drop_bad_boxes=True)
        assert len(dataset.images[0].xyxy) == len(dataset.images[0].area) == 1
        (said,) = dataset.left_out
        assert said.startswith("annotation 1 ")

    def test_a_box_may_reach_over_the_edge_by_a_pixel(self, coco: Callable[[Content], Path]) -> None:
        dataset = read_coco(coco(changed("annotations", bbox=[-1, -0.5, 42, 31.5])))
        assert len(dataset.images[0].xyxy) == 2
        assert dataset.left_out == ()

    def test_many_bad_boxes_are_counted(self, coco: Callable[[Content], Path]) -> None:
        content = coco_content()
        content["annotations"] = [{**content["annotations"][0], "id": i, "bbox": [1, 1, 0, 0]} for i in range(5)]
        with pytest.raises(DatasetError, match=r"5 bad boxes: annotation 0 .*; annotation 2 [^;]*; and 2 more"):
            read_coco(coco(content))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ({}, "lacks the lists images, annotations, categories"),
            ([], "lacks the lists images"),
            ({**coco_content(), "annotations": {}}, "lacks the lists annotations$"),
            (without("images", "height"), "lacks or garbles 'height'"),
            (without("images", "file_name"), "lacks or garbles 'file_name'"),
            (without("annotations", "bbox"), "lacks or garbles 'bbox'"),
            (without("categories", "name"), "lacks or garbles 'name'"),
            ({**coco_content(), "images": ["a.png"]}, "lacks or garbles"),
            (changed("images", width=0), "image 11 cannot be 0x30"),
            (changed("images", id="11"), "'id': it must be a whole number, but is '11'"),
            (changed("annotations", bbox=[1, 2, 3]), "'bbox': it must be"),
            (changed("annotations", bbox=[1, 2, 3, "4"]), "'bbox': it must be"),
            (changed("annotations", bbox=[1, 2, 3, 10**400]), "lacks or garbles"),
            (changed("annotations", bbox="1234"), "'bbox': it must be"),
            (changed("annotations", area=-1), "'area': it must be a number from 0, but is -1"),
            (changed("annotations", area=float("nan")), "'area'"),
            (changed("annotations", area=None), "'area'"),
            (changed("annotations", category_id=4), r"annotation 1 of .* has unknown category 4; known: 3, 7"),
            (changed("annotations", image_id=6), r"annotation 1 of .* belongs to image 6, which is not listed"),
            (changed("images", id=5), "uses the image id 5 more than once"),
            (changed("categories", id=3), "uses the category id 3 more than once"),
            (changed("categories", name="person"), "uses the category name 'person' more than once"),
        ],
    )
    def test_what_is_no_coco_json_is_refused_by_the_part_at_fault(
        self, coco: Callable[[Any], Path], content: Any, message: str
    ) -> None:
        with pytest.raises(DatasetError, match=message):
            read_coco(coco(content), drop_bad_boxes=True)

    @pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, None], ids=lambda c: str(c)[:9])
    def test_what_is_no_json_is_refused(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "labels.json"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DatasetError, match="cannot be read as JSON"):
            read_coco(path)


class TestImages:
    def test_an_image_of_another_size_than_stated_is_refused_when_it_is_read(
        self, coco: Callable[[Content], Path], tmp_path: Path
    ) -> None:
        dataset = read_coco(coco(coco_content()))
        assert dataset.images[0].read().shape == (HEIGHT, WIDTH, 3)
        save_image(tmp_path / "images" / "a.png", width=WIDTH + 1)
        with pytest.raises(DatasetError, match=r"a\.png is 41x30 \(upright\), but its annotations are for 40x30"):
            dataset.images[0].read()

    def test_an_image_is_upright_as_labelling_tools_show_it(self, tmp_path: Path) -> None:
        for folder in ("images", "labels"):
            (tmp_path / folder).mkdir()
        path = save_image(tmp_path / "images" / "turned.jpg", orientation=SIDEWAYS)
        assert read_image(path).shape == (WIDTH, HEIGHT, 3)
        (image,) = read_yolo(tmp_path, ("car",)).images
        assert image.size_hw == (WIDTH, HEIGHT)
        assert image.read().shape == (WIDTH, HEIGHT, 3)

    @pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(40)])
    def test_what_is_no_image_is_refused(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "x.png").write_bytes(content)
        with pytest.raises(DatasetError, match=r"x\.png cannot be read as an image"):
            read_image(tmp_path / "x.png")

    def test_an_image_of_16_bits_is_refused_not_clipped(self, tmp_path: Path) -> None:
        Image.fromarray(np.full((8, 8), 4000, np.uint16)).save(tmp_path / "deep.png")
        with pytest.raises(DatasetError, match="more than 8 bits"):
            read_image(tmp_path / "deep.png")


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    """Two images of a YOLO folder, the second without objects and without a label."""
    (tmp_path / "labels").mkdir()
    for name in ("a.png", "b.jpg"):
        save_image(tmp_path / "images" / name)
    (tmp_path / "labels" / "a.txt").write_text("1 0.5 0.5 0.5 0.2\n\n0 0.25 0.5 0.1 1\n")
    return tmp_path


class TestYolo:
    def test_centres_and_sizes_are_fractions_of_the_image(self, yolo: Path) -> None:
        dataset = read_yolo(yolo, ("person", "car"))
        first, second = dataset.images
        np.testing.assert_allclose(first.xyxy, [[10, 12, 30, 18], [8, 0, 12, 30]])
        np.testing.assert_array_equal(first.class_id, [1, 0])
        np.testing.assert_allclose(first.area, [120, 120])
        assert not first.is_crowd.any()
        assert (second.path.name, len(second.xyxy)) == ("b.jpg", 0)
        assert [image.image_id for image in dataset.images] == [1, 2]
        assert dataset.classes == ("person", "car")

    @pytest.mark.parametrize("place", [".", "labels"])
    def test_a_class_list_of_its_own_names_the_classes(self, yolo: Path, place: str) -> None:
        (yolo / place / "classes.txt").write_text("van\nbus\n")
        assert read_yolo(yolo, ("person", "car")).classes == ("van", "bus")

    @pytest.mark.parametrize(
        "line",
        [
            "0 0.5 0.5 0.5",
            "0 0.5 0.5 0.5 0.5 0.9",
            "car 0.5 0.5 0.5 0.5",
            "0,0.5,0.5,0.5,0.5",
            "0 0.1 0.1 0.2 0.1 0.2 0.2",
        ],
    )
    def test_a_line_that_is_not_five_numbers_is_named(self, yolo: Path, line: str) -> None:
        (yolo / "labels" / "b.txt").write_text(f"\n{line}\n")
        with pytest.raises(DatasetError, match=r"b\.txt line 2 must be 'class x y width height', but is"):
            read_yolo(yolo, ("person", "car"))

    @pytest.mark.parametrize("class_id", ["2", "-1", "0.5", "nan"])
    def test_an_unknown_class_is_named_with_those_there_are(self, yolo: Path, class_id: str) -> None:
        (yolo / "labels" / "b.txt").write_text(f"{class_id} 0.5 0.5 0.5 0.5")
        with pytest.raises(DatasetError, match=rf"b\.txt line 1 has unknown class {class_id}; the 2 .*: person, car"):
            read_yolo(yolo, ("person", "car"))

    @pytest.mark.parametrize(
        ("numbers", "fault"),
        [
            ("0.5 0.5 -0.1 0.2", "has negative size"),
            ("0.5 0.5 0 0.2", "has no area"),
            ("0.9 0.5 0.5 0.2", "reaches out of its image"),
            ("nan 0.5 0.5 0.2", "is not finite"),
            ("20 15 10 10", "reaches out of its image"),  # pixels instead of fractions
        ],
    )
    def test_a_bad_box_is_refused_or_dropped_and_said(self, yolo: Path, numbers: str, fault: str) -> None:
        (yolo / "labels" / "b.txt").write_text(f"0 0.5 0.5 0.5 0.5\n\n1 {numbers}\n")
        with pytest.raises(DatasetError, match=rf"1 bad boxes: b\.txt line 3 {fault}"):
            read_yolo(yolo, ("person", "car"))
        dataset = read_yolo(yolo, ("person", "car"), drop_bad_boxes=True)
        np.testing.assert_array_equal(dataset.images[1].class_id, [0])
        assert len(dataset.left_out) == 1

    def test_a_label_without_its_image_is_named(self, yolo: Path) -> None:
        (yolo / "labels" / "c.txt").write_text("")
        with pytest.raises(DatasetError, match=r"1 files without an image in .*, the first is c\.txt"):
            read_yolo(yolo, ("person", "car"))

    def test_two_images_of_one_label_are_refused(self, yolo: Path) -> None:
        save_image(yolo / "images" / "a.jpg")
        with pytest.raises(DatasetError, match=r"a\.jpg and a\.png would share one label file"):
            read_yolo(yolo, ("person", "car"))

    def test_folders_that_are_missing_or_empty_are_refused(self, yolo: Path, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="must hold the folders 'images' and 'labels'"):
            read_yolo(tmp_path / "absent", ("car",))
        for path in (yolo / "images").iterdir():
            path.unlink()
        with pytest.raises(DatasetError, match="holds no image"):
            read_yolo(yolo, ("car",))

    def test_labels_and_images_that_cannot_be_read_are_refused(self, yolo: Path) -> None:
        (yolo / "labels" / "b.txt").write_bytes(b"\xff\xff")
        with pytest.raises(DatasetError, match=r"labels .*b\.txt cannot be read"):
            read_yolo(yolo, ("person", "car"))
        (yolo / "images" / "b.jpg").write_bytes(b"no image")
        with pytest.raises(DatasetError, match=r"b\.jpg cannot be read as an image"):
            read_yolo(yolo, ("person", "car"))


def save_map(root: Path, name: str, labels: np.ndarray[Any, Any]) -> None:
    for folder in ("images", "labels"):
        (root / "val" / folder).mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.repeat(labels[..., None] * 9, 3, 2).astype(np.uint8)).save(root / f"val/images/{name}.png")
    Image.fromarray(labels).save(root / f"val/labels/{name}.png")


class TestSegmentationFolder:
    def test_it_holds_what_the_list_reads(self, tmp_path: Path) -> None:
        for index, name in enumerate("ba"):
            save_map(tmp_path, name, np.full((6, 8), index, np.uint8))
        listed, held = list_maps(tmp_path, "val"), SegmentationFolder(tmp_path, "val")
        assert held.names == [item.image.stem for item in listed] == ["a", "b"]
        for item, (image, labels), (again, _) in zip(listed, held, [held[0], held[1]], strict=True):
            np.testing.assert_array_equal(item.read()[0], image)
            np.testing.assert_array_equal(item.read()[1], labels)
            np.testing.assert_array_equal(again, image)
        np.testing.assert_array_equal(held.class_frequency(2), [0.5, 0.5])

    def test_an_image_without_a_map_is_refused_before_anything_is_decoded(self, tmp_path: Path) -> None:
        save_map(tmp_path, "a", np.zeros((6, 8), np.uint8))
        (tmp_path / "val" / "labels" / "a.png").unlink()
        (tmp_path / "val" / "images" / "a.png").write_bytes(b"no image")
        with pytest.raises(DatasetError, match=r"a\.png has no class map"):
            list_maps(tmp_path, "val")

    def test_a_map_in_colours_is_refused(self, tmp_path: Path) -> None:
        save_map(tmp_path, "a", np.zeros((6, 8), np.uint8))
        Image.new("RGB", (8, 6)).save(tmp_path / "val" / "labels" / "a.png")
        (item,) = list_maps(tmp_path, "val")
        with pytest.raises(DatasetError, match="grey or palette PNG of class ids, but is RGB"):
            item.read()


def test_the_area_of_a_box() -> None:
    np.testing.assert_array_equal(box_area(np.array([[1.0, 2, 3, 5], [0, 0, 1, 1]])), [6, 1])


def test_a_part_of_a_dataset_keeps_its_classes() -> None:
    none = np.empty((0, 4)), np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0)
    images = tuple(LabelledImage(index, Path(f"{index}.png"), (3, 4), *none) for index in range(4))
    dataset = BoxDataset(("car",), images, (9,))
    assert [image.image_id for image in dataset.first(2).images] == [0, 1]
    assert dataset.first(None) == dataset
    assert [image.image_id for image in dataset.where(lambda image: image.image_id > 2).images] == [3]
    assert dataset.first(1).category_ids == (9,)
