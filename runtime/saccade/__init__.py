"""Run sealed vision bundles: ``saccade.open("x.saccade")(frame)``.

The runtime needs numpy and one engine; it never imports PyTorch or ONNX. Sources, writers, drawing and rendered
scenes are modules of their own, imported when asked for.
"""

from saccade.bundle import Bundle, open_bundle
from saccade.errors import BundleError, DeviceError, FrameError, SaccadeError
from saccade.frames import from_buffer
from saccade.gain_table import CameraNoise, GainTable, read_gain_table
from saccade.opening import open_task as open  # noqa: A004 - the verb of the package, as in `PIL.Image.open`
from saccade.results import Detections, Origin, Restoration, Segmentation, Timing
from saccade.tasks import DetectTask, RestoreTask, SegmentTask, Task

__version__ = "0.1.0"

__all__ = [
    "Bundle",
    "BundleError",
    "CameraNoise",
    "DetectTask",
    "Detections",
    "DeviceError",
    "FrameError",
    "GainTable",
    "Origin",
    "Restoration",
    "RestoreTask",
    "SaccadeError",
    "SegmentTask",
    "Segmentation",
    "Task",
    "Timing",
    "__version__",
    "from_buffer",
    "open",
    "open_bundle",
    "read_gain_table",
]
