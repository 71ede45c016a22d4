"""The split of the licence plate dataset: no ride in two parts, nothing lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from saccade.datasets import BoxDataset, LabelledImage, read_coco
from saccade.errors import DatasetError
from saccade_models.plates import main, ride_and_second, split

DAYS = ("dayride_type1_001", "dayride_type1_002", "dayride_type1_003")
NIGHT = "nightride_type3_001"


def image(name: str) -> LabelledImage:
    return LabelledImage(
        1, Path(name), (540, 960), np.empty((0, 4)), np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0)
    )


def names_of(dataset: BoxDataset) -> set[str]:
    return {image.path.name for image in dataset.images}


def test_whole_rides_by_day_and_the_end_of_the_night_are_held_out() -> None:
    names = [f"{ride}_mp4_t_{second}.jpg" for ride in (*DAYS, NIGHT) for second in (2, 11, 9, 100)]
    parts = {name: names_of(part) for name, part in split(BoxDataset(("plate",), tuple(map(image, names)))).items()}
    assert parts["train"] | parts["val"] == set(names)
    assert not parts["train"] & parts["val"]
    assert parts["val-day"] == {name for name in names if name.startswith(DAYS[1:])}
    assert parts["val-night"] == {f"{NIGHT}_mp4_t_100.jpg"}  # the last by time, not by name
    assert parts["val"] == parts["val-day"] | parts["val-night"]


def test_a_name_tells_ride_and_second() -> None:
    assert ride_and_second(image("nightride_type3_001_mp4_t_488.jpg")) == ("nightride_type3_001", 488)
    with pytest.raises(DatasetError, match=r"holiday\.jpg must be named RIDE_mp4_t_SECOND"):
        split(BoxDataset(("plate",), (image("holiday.jpg"),)))


@pytest.mark.data
def test_the_real_data_is_split_by_ride(data: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, [str(data / "plates"), "-o", str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 0
    folder = data / "plates" / "images"
    parts = {name: read_coco(tmp_path / f"{name}.json", folder) for name in ("train", "val", "val-day", "val-night")}
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 365,
        "val": 62,
        "val-day": 46,
        "val-night": 16,
    }
    assert sum(len(image.xyxy) for name in ("train", "val") for image in parts[name].images) == 521
    rides = {name: {ride_and_second(image)[0] for image in part.images} for name, part in parts.items()}
    assert not rides["train"] & rides["val-day"]
    [night] = rides["val-night"]
    seconds = {
        name: [second for ride, second in map(ride_and_second, parts[name].images) if ride == night]
        for name in ("train", "val")
    }
    assert max(seconds["train"]) < min(seconds["val"])
