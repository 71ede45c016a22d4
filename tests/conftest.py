"""What several test files need: tiny networks, sealed bundles made from them, and the real data where it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SACCADE_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session", autouse=True)
def no_users_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What this machine's user has built and measured is no part of a test."""
    os.environ["SACCADE_CACHE"] = str(tmp_path_factory.mktemp("cache") / "saccade")


@pytest.fixture
def data() -> Path:
    """The folder of real images and videos; tests that need it are skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"real data is not at {DATA}; set SACCADE_DATA to where it is")
    return DATA


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A proven bundle of a small random network with three classes, 32x48; do not change the file."""
    pytest.importorskip("torch")
    from tests.tiny import export_tiny

    return export_tiny(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def tiny_detector_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A proven bundle of a small random detector: three classes, 64x96, suppression by class; do not change it."""
    pytest.importorskip("torch")
    from tests.tiny import export_tiny_detector

    return export_tiny_detector(tmp_path_factory.mktemp("detector"))


@pytest.fixture(scope="session")
def tiny_restorer_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A proven bundle of a small random denoiser in 1, 2 and 4 steps, tiles of 128 by 128; do not change it."""
    pytest.importorskip("torch")
    from tests.tiny import export_tiny_restorer

    return export_tiny_restorer(tmp_path_factory.mktemp("restorer"))


@pytest.fixture(scope="session")
def shipped_bundle() -> Path:
    """The ready-made bundle in the repository."""
    return ROOT / "models" / "bundles" / "road-camvid.saccade"


@pytest.fixture(scope="session")
def plates_bundle() -> Path:
    """The ready-made licence plate detector."""
    return ROOT / "models" / "bundles" / "plates.saccade"


@pytest.fixture(scope="session")
def denoise_bundle() -> Path:
    """The ready-made denoiser in 1, 2 and 4 steps."""
    return ROOT / "models" / "bundles" / "denoise.saccade"
