"""Which peers there are, whether they are installed, and their arms: ``--peer NAME`` or ``--peer NAME=NETWORK``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import saccade_bench
from saccade.bundle import Bundle
from saccade.errors import RequestError
from saccade.spec import DetectSpec, SegmentSpec
from saccade_bench.arms import Arm
from saccade_bench.bare import image_spec, network_of

PACKAGE = Path(saccade_bench.__file__).parent
ENVIRONMENTS = "SACCADE_PEERS"
LENT = ("__init__.py", "serving.py", "streams.py")
"""What a peer imports, of the standard library alone."""

INSTALL = f"run make bench-peers in a checkout; ${ENVIRONMENTS} tells another folder that has the environments"


@dataclass(frozen=True)
class Peer:
    """A way to the same result that others offer.

    ``packages`` are in ``environment``, a folder that ``make bench-peers`` makes. It runs networks of these
    ``outputs``, see ``network_of``. ``own_file`` says what it runs where it takes only what its own export wrote.
    """

    name: str
    module: str
    outputs: tuple[str, ...]
    what: str
    environment: str
    packages: tuple[str, ...]
    own_file: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def python(self) -> Path:
        folder = os.environ.get(ENVIRONMENTS)
        root = Path(folder) if folder else PACKAGE.parents[1]
        return root / self.environment / "bin" / "python"

    def version(self) -> str | None:
        """Of its first package, None where it is not installed."""
        library = self.python.parents[1] / "lib"
        found = [str(path) for path in library.glob("python3*/site-packages")]
        versions = [
            next((each.version for each in distributions(name=name, path=found)), None) for name in self.packages
        ]
        return versions[0] if self.python.exists() and all(versions) else None


OPENCV = (".venv-peers", ("onnxruntime", "opencv-python-headless"))
MODEL_API = (".venv-peers", ("openvino-model-api", "openvino"))
NCNN = (".venv-peers", ("ncnn", "pnnx", "opencv-python-headless"))
ULTRALYTICS = (".venv-ultralytics", ("ultralytics",))
DECODED = ("scores", "boxes_and_scores")
YOLO = ("boxes_and_scores",)
ANY = ("scores", "cells", "boxes_and_scores")
FLOAT32 = {"precision": "f32"}

PEERS = {
    peer.name: peer
    for peer in (
        Peer("opencv-tutorial", "opencv_tutorial", ("scores",), "segmenter, each class resized by itself", *OPENCV),
        Peer(
            "opencv-careful", "opencv_careful", ("scores",), "segmenter, all classes resized at once, frame as floats",
            *OPENCV, settings={"resize": "float32"},
        ),
        Peer(
            "opencv-careful-bytes", "opencv_careful", ("scores",), "the same, frame resized as bytes",
            *OPENCV, settings={"resize": "uint8"},
        ),
        Peer("opencv-yolox", "opencv_yolox", ("cells",), "YOLOX, decoded in numpy", *OPENCV),
        Peer("opencv-yolov8", "opencv_yolov8", YOLO, "YOLOv8 to YOLO11, decoded in numpy", *OPENCV),
        Peer(
            "ncnn", "ncnn_opencv", ANY, "Tencent's engine in opencv-careful, -yolox and -yolov8, float32",
            *NCNN, settings={"resize": "float32"},
        ),
        Peer("model-api", "openvino_model_api", DECODED, "OpenVINO's, float32", *MODEL_API, settings=FLOAT32),
        Peer("model-api-preferred", "openvino_model_api", DECODED, "the same in OpenVINO's own precision", *MODEL_API),
        Peer(
            "ultralytics-onnx", "ultralytics_predict", YOLO, "predict on its own ONNX export", *ULTRALYTICS,
            own_file="yolo11n.onnx",
        ),
        Peer(
            "ultralytics-openvino", "ultralytics_predict", YOLO, "predict on its own OpenVINO export",
            *ULTRALYTICS, own_file="yolo11n_openvino_model",
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class AskedPeer:
    """``network`` is a file to run in place of the bundle's own network."""

    peer: Peer
    network: Path | None

    @property
    def name(self) -> str:
        return self.peer.name if self.network is None else f"{self.peer.name}={self.network.name}"


def read_peer(text: str) -> AskedPeer:
    """Raises ``RequestError`` for a peer that is unknown or not installed, and for a file that is not there."""
    name, _, file = text.partition("=")
    if name not in PEERS:
        raise RequestError(f"{name!r} is no peer; there are {', '.join(PEERS)}")
    peer = PEERS[name]
    if peer.version() is None:
        raise RequestError(f"peer {name} is not installed: {' or '.join(peer.packages)} is missing; {INSTALL}")
    if peer.own_file and not file:
        raise RequestError(f"peer {name} runs what its own export wrote: ask for {name}={peer.own_file}")
    if file and not Path(file).exists():
        raise RequestError(f"{file}, which peer {name} is to run, does not exist")
    return AskedPeer(peer, Path(file).absolute() if file else None)


def peer_arms(asked: Sequence[AskedPeer], bundle: Bundle, frames: str, folder: Path, threads: int | None) -> list[Arm]:
    """Arms that do the work of ``bundle`` on the saved ``frames``, with its own network where no other was asked for.

    ``folder`` takes what they read. Raises ``RequestError`` for a peer that does not do this bundle's work.
    """
    if not asked:
        return []
    work = work_of(bundle)
    network, outputs = network_of(bundle)
    for each in asked:
        _refuse_other_work(each.peer, bundle, outputs)
    path = folder / "network.onnx"
    path.write_bytes(network)
    spec = {"frames": frames, "outputs": outputs, "threads": threads, **work}
    environment = {"PYTHONPATH": str(lent_code(folder)), "PYTHONSAFEPATH": "1"}
    return [
        Arm(
            each.name,
            f"saccade_bench.peers.{each.peer.module}",
            {**spec, **each.peer.settings, "network": str(each.network or path)},
            str(each.peer.python),
            environment,
        )
        for each in asked
    ]


def work_of(bundle: Bundle) -> dict[str, Any]:
    """What a peer must know to give the bundle's result: how pixels become numbers, thresholds, suppression."""
    task = bundle.manifest.task
    image = asdict(image_spec(bundle))
    if isinstance(task, DetectSpec):
        names = ("confidence", "iou", "max_detections", "suppression")
        return {"image": image, **{name: getattr(task, name) for name in names}}
    return {"image": image}


def lent_code(folder: Path) -> Path:
    """A folder for a peer's ``PYTHONPATH``, with ``saccade_bench.serving``, what that imports, and the peers.

    The folder that they come from may hold the libraries of this Python, which a peer must not meet.
    """
    lent = folder / "lent" / PACKAGE.name
    (lent / "peers").mkdir(parents=True, exist_ok=True)
    for path in (*(PACKAGE / name for name in LENT), *(PACKAGE / "peers").glob("*.py")):
        shutil.copy(path, lent / path.relative_to(PACKAGE))
    return lent.parent


def as_rows() -> list[dict[str, Any]]:
    """Every peer, and the version that is installed."""
    return [{"name": peer.name, "what": peer.what, "installed": peer.version()} for peer in PEERS.values()]


def _refuse_other_work(peer: Peer, bundle: Bundle, outputs: Sequence[str]) -> None:
    task = bundle.manifest.task
    if outputs[0] not in peer.outputs:
        fitting = [each.name for each in PEERS.values() if outputs[0] in each.outputs]
        raise RequestError(
            f"peer {peer.name} does not take the network of {bundle.manifest.name}, which gives "
            f"{' and '.join(outputs)}; " + (f"these do: {', '.join(fitting)}" if fitting else "no peer does")
        )
    if isinstance(task, SegmentSpec) and task.decision != "argmax":
        raise RequestError(f"peers decide by argmax, and {bundle.manifest.name} by a threshold")
    if isinstance(task, DetectSpec) and task.suppression == "none":
        raise RequestError(f"peers suppress boxes, and {bundle.manifest.name} has nothing to suppress")
