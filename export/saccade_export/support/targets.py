"""What a graph is checked for: an engine and its versions."""

from __future__ import annotations

from dataclasses import dataclass

from saccade.errors import RequestError

VERSIONS = {
    "tensorrt": ("10.3", "10.16", "11"),
    "tensorrt-rtx": ("1.7",),
    "dla": (),
    "onnxruntime-cuda": (),
}
"""Engines and their versions. TensorRT 10.3 is in JetPack 6, 10.16 in JetPack 7.2, 11 on desktops and newer Jetsons."""

OPSETS = {"10.3": (9, 20), "10.16": (9, 24), "11": (9, 25)}
"""The least and the newest opset that a version of TensorRT documents (operators.md of each)."""

TARGETS = ("tensorrt", "tensorrt:10.3", "tensorrt:10.16", "tensorrt:11", "tensorrt-rtx", "dla", "onnxruntime-cuda")


@dataclass(frozen=True)
class Target:
    """``versions`` are all that must take the graph."""

    engine: str
    versions: tuple[str, ...]

    @property
    def is_rtx(self) -> bool:
        return self.engine == "tensorrt-rtx"

    @property
    def title(self) -> str:
        """As people write it: "TensorRT 10.3, 10.16 and 11"."""
        name = {"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT-RTX", "dla": "DLA"}.get(
            self.engine, "ONNX Runtime's CUDA"
        )
        return f"{name} {_listed(self.versions)}".strip()

    def older_than(self, version: str) -> tuple[str, ...]:
        """The versions before ``version``; of TensorRT-RTX, which follows the newest TensorRT, none."""
        if self.engine != "tensorrt":
            return ()
        return tuple(each for each in self.versions if _number(each) < _number(version))


def parse_target(text: str) -> Target:
    """The target that ``text`` names, as in "tensorrt:10.16". Raises ``RequestError`` with the list of all."""
    if text not in TARGETS:
        raise RequestError(f"--target must be one of {', '.join(TARGETS)}, but got {text!r}")
    engine, _, version = text.partition(":")
    return Target(engine, (version,) if version else VERSIONS[engine])


def _listed(words: tuple[str, ...]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def _number(version: str) -> tuple[int, ...]:
    """ "11" stands for all of its minor versions, the first of them too."""
    return tuple(int(part) for part in version.split("."))
