"""One file a task: what its graph takes and gives, and the results made of it."""

from saccade.tasks.detect import DetectTask
from saccade.tasks.restore import RestoreTask
from saccade.tasks.segment import SegmentTask

Task = SegmentTask | DetectTask | RestoreTask
"""What ``saccade.open`` gives: the bundle's kind decides which."""

__all__ = ["DetectTask", "RestoreTask", "SegmentTask", "Task"]
