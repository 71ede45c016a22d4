"""The split by ride of the licence plate dataset (RobertLucian/license-plate-dataset, MIT).

python -m saccade_models.plates DATA/plates -o runs/plates

writes ``train.json``, ``val.json``, and of the latter ``val-day.json`` and ``val-night.json``. Images of one ride look
alike, so whole rides are held out: day rides 002 and 003, and the last quarter of the night ride by time. File names
tell ride and second: ``nightride_type3_001_mp4_t_488.jpg``.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from saccade.cli import run_command
from saccade.datasets import BoxDataset, LabelledImage
from saccade.datasets.coco import read_coco, write_coco
from saccade.errors import DatasetError

DAY_VALIDATION = ("dayride_type1_002", "dayride_type1_003")
NIGHT_TRAINING_SHARE = 0.75


def ride_and_second(image: LabelledImage) -> tuple[str, int]:
    """The ride an image is of, and the second in it. Raises ``DatasetError`` for another kind of name."""
    match = re.fullmatch(r"(.+)_mp4_t_(\d+)", image.path.stem)
    if match is None:
        raise DatasetError(f"{image.path.name} must be named RIDE_mp4_t_SECOND, as in the licence plate dataset")
    return match[1], int(match[2])


def split(dataset: BoxDataset) -> dict[str, BoxDataset]:
    """The parts ``train``, ``val``, ``val-day`` and ``val-night``."""
    night = sorted(second for ride, second in map(ride_and_second, dataset.images) if ride.startswith("night"))
    from_second = night[int(len(night) * NIGHT_TRAINING_SHARE)] if night else 0

    def is_day(image: LabelledImage) -> bool:
        return ride_and_second(image)[0] in DAY_VALIDATION

    def is_night(image: LabelledImage) -> bool:
        ride, second = ride_and_second(image)
        return ride.startswith("night") and second >= from_second

    return {
        "train": dataset.where(lambda image: not is_day(image) and not is_night(image)),
        "val": dataset.where(lambda image: is_day(image) or is_night(image)),
        "val-day": dataset.where(is_day),
        "val-night": dataset.where(is_night),
    }


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder of the four files.")
def main(data: Path, out: Path) -> None:
    """Split the dataset in DATA by ride."""
    parts = split(read_coco(data / "annotations.json"))
    out.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        write_coco(
            part, out / f"{name}.json", f"{name} part of RobertLucian/license-plate-dataset (MIT), split by ride"
        )
        click.echo(f"{out / name}.json: {len(part)} images, {sum(len(image.xyxy) for image in part.images)} plates")


if __name__ == "__main__":
    run_command(main, "python -m saccade_models.plates", "models,eval")
