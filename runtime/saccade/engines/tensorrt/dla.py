"""A Jetson's deep learning accelerator: which layers it takes, and sending them there."""

from __future__ import annotations

from dataclasses import dataclass

from saccade.engines.tensorrt.library import Library
from saccade.engines.tensorrt.names import NvBuilder, NvConfig, NvNetwork
from saccade.errors import DeviceError


@dataclass(frozen=True)
class Coverage:
    """How many layers the DLA takes, and the names of those that stay on the GPU."""

    layers: int
    on_gpu: tuple[str, ...]

    def __str__(self) -> str:
        return f"DLA takes {self.layers - len(self.on_gpu)} of {self.layers} layers"


def place_on_dla(library: Library, builder: NvBuilder, network: NvNetwork, config: NvConfig) -> Coverage:
    """Send to the first DLA what it can run, and leave the rest on the GPU. Raises ``DeviceError`` without a DLA.

    It takes half precision and 8 bits alone, and one shape: least, usual and most must be the same.
    """
    if builder.num_DLA_cores < 1:
        raise DeviceError(f"--dla was asked for, but {library.name} {library.version} finds no DLA here; leave it out")
    config.default_device_type = library.module.DeviceType.DLA
    config.DLA_core = 0
    config.set_flag(library.module.BuilderFlag.GPU_FALLBACK)
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    return Coverage(len(layers), tuple(layer.name for layer in layers if not config.can_run_on_DLA(layer)))
