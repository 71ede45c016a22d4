"""Labelled images on disk, for training and evaluation: class maps in folders, boxes as COCO json or YOLO txt."""

from saccade.datasets.boxes import BoxDataset, LabelledImage, box_area
from saccade.datasets.coco import read_coco, write_coco
from saccade.datasets.images import read_image
from saccade.datasets.segmentation_folder import LabelledMap, SegmentationFolder, list_maps
from saccade.datasets.yolo import read_yolo

__all__ = [
    "BoxDataset",
    "LabelledImage",
    "LabelledMap",
    "SegmentationFolder",
    "box_area",
    "list_maps",
    "read_coco",
    "read_image",
    "read_yolo",
    "write_coco",
]
