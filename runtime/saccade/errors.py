"""Every error that Saccade raises on purpose, in one tree.

    SaccadeError
    ├── RequestError          what was asked for does not exist here or does not fit       exit code 2
    │   ├── FrameError        a frame that the task cannot take
    │   └── DeviceError       a device or an engine that is not on this machine
    ├── InputError            something given cannot be read                               exit code 3
    │   ├── BundleError       a bundle that is damaged, hostile or of another format
    │   ├── SourceError       an image, folder, video or source URI
    │   ├── WeightsError      a checkpoint, or weights that do not fit the network
    │   └── DatasetError      training or evaluation data
    ├── OutputError           something cannot be written                                  exit code 3
    ├── EngineError           an engine refused a graph, or failed while running it        exit code 1
    ├── CaptureError          a network that cannot be turned into a graph                 exit code 1
    └── CheckError            a check ran and failed: the result is not what it must be    exit code 1

A message says what was asked, what was found, and what to do.
"""

from __future__ import annotations


class SaccadeError(Exception):
    """The root of all errors raised on purpose."""

    exit_code = 1


class RequestError(SaccadeError):
    exit_code = 2


class FrameError(RequestError):
    pass


class DeviceError(RequestError):
    pass


class InputError(SaccadeError):
    exit_code = 3


class BundleError(InputError):
    """A bundle that is refused. ``field`` names the part at fault, ``reason`` says why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class SourceError(InputError):
    pass


class WeightsError(InputError):
    pass


class DatasetError(InputError):
    pass


class OutputError(SaccadeError):
    exit_code = 3


class EngineError(SaccadeError):
    pass


class CaptureError(SaccadeError):
    pass


class CheckError(SaccadeError):
    pass
