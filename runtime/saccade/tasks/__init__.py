"""One file a task: what its graph takes and gives, and the results made of it."""

from saccade.tasks.detect import DetectTask
from saccade.tasks.segment import SegmentTask

Task = SegmentTask | DetectTask
"""What ``saccade.open`` gives: the bundle's kind decides which."""

__all__ = ["DetectTask", "SegmentTask", "Task"]
