"""``saccade run`` on restoration bundles: what is kept, what is asked for, and that a refusal leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tests.commands import Called, call
from tests.hostile.test_bundles import with_manifest

import saccade
from saccade.errors import FrameError, RequestError
from saccade.gain_table import CameraNoise, GainTable

pytestmark = pytest.mark.torch

Pixels = npt.NDArray[np.uint8]
Capture = pytest.CaptureFixture[str]
Run = Callable[..., Called]

SIZE_HW = (72, 104)
SCENES = "scenes:seed=3,frames=3,size=96x64"


def noisy(seed: int = 1, size_hw: tuple[int, int] = SIZE_HW) -> Pixels:
    random = np.random.default_rng(seed)
    coarse = random.integers(40, 216, (size_hw[0] // 8, size_hw[1] // 8, 3))
    image = np.kron(coarse, np.ones((8, 8, 1))) + random.normal(0, 15, (*size_hw, 3))
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def holes(size_hw: tuple[int, int] = SIZE_HW) -> Pixels:
    mask = np.zeros(size_hw, np.uint8)
    mask[10:30, 20:50] = 255
    return mask


def save(path: Path, image: Pixels) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def gain_table(folder: Path) -> Path:
    """A camera of sigma 6 and shot 0.5 at its gain of 100, twice as much at 400."""
    rows = [{"gain": 100, "sigma": 6.0, "shot": 0.5}, {"gain": 400, "sigma": 12.0, "shot": 1.0}]
    path = folder / "gains.json"
    path.write_text(json.dumps({"gains": rows}))
    return path


def picture(path: Path) -> Pixels:
    return np.array(Image.open(path))


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()]


def files_in(folder: Path) -> list[str]:
    """Every file, hidden ones too: what is half-written would be among them."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def inpainter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network that fills holes, in one step."""
    from tests.tiny import export_tiny_restorer

    from saccade_export.step_tables import bridge_table

    return export_tiny_restorer(tmp_path_factory.mktemp("inpaint"), "inpaint", tables={"1": bridge_table(1)})


@pytest.fixture(scope="module")
def deblurrer(tiny_restorer_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The denoiser, called a deblurrer: its sigma cannot be measured."""
    target = tmp_path_factory.mktemp("deblur") / "deblur.saccade"
    return with_manifest(tiny_restorer_bundle, target, lambda m: m["task"].update(mode="deblur", sigma=20.0))


@pytest.fixture
def run(capfd: Capture, tiny_restorer_bundle: Path, tmp_path: Path) -> Run:
    """Run a restorer, the tiny denoiser if none is given, on one saved frame into ``out``."""
    source = save(tmp_path / "street.png", noisy())

    def run_with(*options: str | Path, bundle: Path = tiny_restorer_bundle) -> Called:
        files = ("--source", source, "-o", tmp_path / "out")
        return call(capfd, "run", bundle, *files, "--threads", "1", "--device", "cpu", *options)

    return run_with


@pytest.fixture(scope="module")
def task(tiny_restorer_bundle: Path) -> Iterator[saccade.RestoreTask]:
    with saccade.open(tiny_restorer_bundle, device="cpu", threads=1) as opened:
        assert isinstance(opened, saccade.RestoreTask)
        yield opened


@pytest.fixture(scope="module")
def filler(inpainter: Path) -> Iterator[saccade.RestoreTask]:
    with saccade.open(inpainter, device="cpu", threads=1) as opened:
        assert isinstance(opened, saccade.RestoreTask)
        yield opened


def restored(bundle: Path, frame: Pixels, **asked: Any) -> saccade.Restoration:
    with saccade.open(bundle, device="cpu", threads=1) as task:
        result = task(frame, **asked)
    assert isinstance(result, saccade.Restoration)
    return result


class TestWhatIsKept:
    def test_an_image_gives_the_restored_one_and_a_line(
        self, run: Run, tiny_restorer_bundle: Path, tmp_path: Path
    ) -> None:
        assert run().code == 0
        expected = restored(tiny_restorer_bundle, noisy())
        (line,) = lines_of(tmp_path / "out")
        assert (line["name"], line["width"], line["height"], line["finite"]) == ("street", 104, 72, True)
        assert (line["sigma"], line["steps"]) == (pytest.approx(expected.sigma, abs=1e-3), 1)
        (name,) = (name for name in files_in(tmp_path / "out") if name != "results.jsonl")
        np.testing.assert_array_equal(picture(tmp_path / "out" / name), expected.image)

    def test_before_and_after_lie_side_by_side(self, run: Run, tiny_restorer_bundle: Path, tmp_path: Path) -> None:
        assert run("--before-after", "--sigma", "25").code == 0
        (name,) = (name for name in files_in(tmp_path / "out") if name != "results.jsonl")
        both = picture(tmp_path / "out" / name)
        assert both.shape == (72, 208, 3)
        expected = restored(tiny_restorer_bundle, noisy(), sigma=25.0).image
        for kept, image in ((both[:, :104], noisy()), (both[:, 104:], expected)):
            np.testing.assert_array_equal(kept[:40], image[:40])  # below are words

    def test_json_is_one_document(self, run: Run, tmp_path: Path) -> None:
        called = run("--json", "--sigma", "20", "--steps", "4")
        assert called.code == 0
        assert (called.document["frames"], called.document["not_finite"]) == (1, 0)
        assert called.document["variant"] == "fp32-cpu-n4"
        assert called.document["faults"] == []
        assert all(Path(path).exists() for path in called.document["files"])
        assert lines_of(tmp_path / "out")[0]["steps"] == 4

    def test_a_video_gives_a_video(self, capfd: Capture, tiny_restorer_bundle: Path, tmp_path: Path) -> None:
        arguments = ("--source", SCENES, "-o", tmp_path / "out", "--sigma", "20", "--json")
        called = call(capfd, "run", tiny_restorer_bundle, *arguments)
        assert called.code == 0
        assert [line["steps"] for line in lines_of(tmp_path / "out")] == [1, 1, 1]
        (video,) = (path for path in called.document["files"] if path.endswith(".mp4"))
        with av.open(video) as container:
            assert sum(1 for _ in container.decode(video=0)) == 3

    def test_holes_are_filled(self, run: Run, inpainter: Path, tmp_path: Path) -> None:
        mask = save(tmp_path / "mask.png", holes())
        assert run("--mask", mask, bundle=inpainter).code == 0
        (line,) = lines_of(tmp_path / "out")
        assert (line["sigma"], line["steps"]) == (None, 1)
        (name,) = (name for name in files_in(tmp_path / "out") if name != "results.jsonl")
        found = picture(tmp_path / "out" / name)
        np.testing.assert_array_equal(found[holes() == 0], noisy()[holes() == 0])
        assert not np.array_equal(found[holes() > 0], noisy()[holes() > 0])

    @pytest.mark.parametrize(("high", "low"), [(1, 0), (40, 9), (255, 12)])
    def test_holes_are_what_is_nearer_to_the_brightest(
        self, run: Run, inpainter: Path, tmp_path: Path, high: int, low: int
    ) -> None:
        mask = save(tmp_path / "mask.png", np.where(holes() > 0, high, low).astype(np.uint8))
        assert run("--mask", mask, bundle=inpainter).code == 0
        (name,) = (name for name in files_in(tmp_path / "out") if name != "results.jsonl")
        expected = restored(inpainter, noisy(), mask=holes()).image
        np.testing.assert_array_equal(picture(tmp_path / "out" / name), expected)

    def test_the_seed_decides_what_holes_begin_with(self, run: Run, inpainter: Path, tmp_path: Path) -> None:
        mask = save(tmp_path / "mask.png", holes())
        assert run("--mask", mask, "--seed", "5", bundle=inpainter).code == 0
        (name,) = (name for name in files_in(tmp_path / "out") if name != "results.jsonl")
        found = picture(tmp_path / "out" / name)
        np.testing.assert_array_equal(found, restored(inpainter, noisy(), mask=holes(), seed=5).image)
        assert not np.array_equal(found, restored(inpainter, noisy(), mask=holes()).image)

    def test_each_frame_may_have_its_mask(self, capfd: Capture, inpainter: Path, tmp_path: Path) -> None:
        sizes = {"a": SIZE_HW, "b": (80, 80), "c": SIZE_HW}
        for name, size_hw in sizes.items():
            save(tmp_path / "in" / f"{name}.png", noisy(1, size_hw))
            if name != "c":
                save(tmp_path / "masks" / f"{name}.png", holes(size_hw))
        options = ("--source", tmp_path / "in", "-o", tmp_path / "out", "--mask", tmp_path / "masks", "--json")
        called = call(capfd, "run", inpainter, *options)
        assert called.code == 1  # one frame has none
        assert [fault["name"] for fault in called.document["faults"]] == ["c"]
        (tmp_path / "masks" / "a.png").unlink()
        first = call(capfd, "run", inpainter, *options[:2], "-o", tmp_path / "one", *options[4:], "--limit", "1")
        assert (first.document["frames"], len(first.document["faults"])) == (0, 1)  # a limit counts what was tried
        assert "holds no mask named c" in called.document["faults"][0]["reason"]
        assert [line["name"] for line in lines_of(tmp_path / "out") if "sigma" in line] == ["a", "b"]
        for name in ("a", "b"):
            (path,) = (tmp_path / "out").rglob(f"{name}.png")
            expected = restored(inpainter, noisy(1, sizes[name]), mask=holes(sizes[name])).image
            np.testing.assert_array_equal(picture(path), expected)


class TestWhatIsAskedFor:
    @pytest.mark.parametrize(
        ("options", "asked"),
        [
            (("--sigma", "31.5"), {"sigma": 31.5}),
            (("--sigma", "measured"), {"sigma": "measured"}),
            (("--sigma", "tiles"), {"sigma": "tiles"}),
            (("--sigma", "20", "--steps", "2"), {"sigma": 20.0, "steps": 2}),
            (("--sigma", "20", "--steps", "auto"), {"sigma": 20.0, "steps": 1}),
            (("--sigma", "20", "--tile", "97"), {"sigma": 20.0, "tile": 97}),
            (("--sigma", "20", "--tile", "0"), {"sigma": 20.0, "tile": 0}),
            (("--sigma", "0"), {"sigma": 0.0}),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
    )
    def test_options_are_those_of_the_task(
        self, run: Run, tiny_restorer_bundle: Path, tmp_path: Path, options: tuple[str, ...], asked: dict[str, Any]
    ) -> None:
        assert run(*options).code == 0
        (name,) = (name for name in files_in(tmp_path / "out") if name != "results.jsonl")
        expected = restored(tiny_restorer_bundle, noisy(), **asked)
        np.testing.assert_array_equal(picture(tmp_path / "out" / name), expected.image)
        assert lines_of(tmp_path / "out")[0]["steps"] == expected.steps

    def test_a_cameras_gain_gives_the_noise(self, run: Run, tiny_restorer_bundle: Path, tmp_path: Path) -> None:
        options = ("--gain-table", gain_table(tmp_path), "--camera-gain", "200")
        assert run(*options).code == 0
        (name,) = (name for name in files_in(tmp_path / "out") if name != "results.jsonl")
        expected = restored(tiny_restorer_bundle, noisy(), sigma=CameraNoise(9.0, 0.75))
        np.testing.assert_array_equal(picture(tmp_path / "out" / name), expected.image)
        assert lines_of(tmp_path / "out")[0]["sigma"] == pytest.approx(expected.sigma, abs=1e-3)
        other = restored(tiny_restorer_bundle, noisy(), sigma=CameraNoise(6.0, 0.5))
        assert not np.array_equal(picture(tmp_path / "out" / name), other.image)


class TestDarkFrames:
    @pytest.fixture(scope="class")
    def lifter(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        from tests.tiny import export_tiny_restorer

        return export_tiny_restorer(tmp_path_factory.mktemp("dark"), "low-light")

    @pytest.mark.parametrize(
        ("options", "asked"),
        [
            (("--sigma", "2", "--gain", "1.5"), {"sigma": 2.0, "gain": 1.5}),
            (
                ("--sigma", "2", "--gain", "1.5", "--gamma", "0.7", "--shot", "0.4"),
                {"sigma": 2.0, "gain": 1.5, "gamma": 0.7, "shot": 0.4},
            ),
            (("--sigma", "2"), {"sigma": 2.0}),
            ((), {}),
        ],
        ids=["gain", "all", "exposure", "measured"],
    )
    def test_options_are_those_of_the_task(
        self, run: Run, lifter: Path, tmp_path: Path, options: tuple[str, ...], asked: dict[str, Any]
    ) -> None:
        assert run(*options, bundle=lifter).code == 0
        (name,) = (name for name in files_in(tmp_path / "out") if name != "results.jsonl")
        expected = restored(lifter, noisy(), **asked)
        np.testing.assert_array_equal(picture(tmp_path / "out" / name), expected.image)
        (line,) = lines_of(tmp_path / "out")
        assert line["gain"] == pytest.approx(expected.gain, abs=1e-3)

    def test_a_gain_table_gives_shot_noise_too(self, run: Run, lifter: Path, tmp_path: Path) -> None:
        assert run("--gain-table", gain_table(tmp_path), "--camera-gain", "200", bundle=lifter).code == 0
        (name,) = (name for name in files_in(tmp_path / "out") if name != "results.jsonl")
        found = picture(tmp_path / "out" / name)
        np.testing.assert_array_equal(found, restored(lifter, noisy(), sigma=9.0, shot=0.75).image)
        assert not np.array_equal(found, restored(lifter, noisy(), sigma=9.0).image)

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (("--gain", "17"), "gain must be 1 to 16"),
            (("--gain", "0.5"), "gain must be 1 to 16"),
            (("--gain", "nan"), "--gain"),
            (("--gamma", "1.5"), "gamma must be 0.4 to 1"),
            (("--shot", "2"), "shot must be 0 to 1"),
            (("--shot", "-1"), "--shot"),
            (("--sigma", "13"), "sigma must be 0 to 12"),
            (("--camera-gain", "100"), "--gain-table"),
            (("--seed", "3"), "a seed was given, but this bundle's mode is low-light"),
        ],
    )
    def test_what_does_not_fit_leaves_nothing(
        self, run: Run, lifter: Path, tmp_path: Path, options: tuple[str, ...], reason: str
    ) -> None:
        called = run(*options, bundle=lifter)
        assert (called.code, called.out) == (2, "")
        assert reason in called.err
        assert [path.name for path in tmp_path.iterdir()] == ["street.png"]

    @pytest.mark.parametrize("name", ["gain", "gamma", "shot"])
    def test_a_denoiser_lifts_nothing(self, run: Run, tmp_path: Path, name: str) -> None:
        called = run(f"--{name}", "1")
        assert called.code == 2
        assert f"a {name} was given, but this bundle's mode is denoise, not low-light" in called.err
        assert [path.name for path in tmp_path.iterdir()] == ["street.png"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "code", "reason"),
        [
            (("--camera-gain", "900"), 2, "goes from 100 to 400"),
            ((), 2, "--camera-gain"),
            (("--camera-gain", "100", "--sigma", "5"), 2, "--sigma"),
        ],
        ids=["beyond the table", "no gain", "sigma too"],
    )
    def test_gain_tables_that_do_not_help(
        self, run: Run, tmp_path: Path, options: tuple[str, ...], code: int, reason: str
    ) -> None:
        called = run("--gain-table", gain_table(tmp_path), *options)
        assert called.code == code
        assert reason in called.err
        assert sorted(path.name for path in tmp_path.iterdir()) == ["gains.json", "street.png"]

    def test_a_camera_beyond_the_range_is_refused_first(self, run: Run, tmp_path: Path) -> None:
        table = tmp_path / "gains.json"
        table.write_text(json.dumps({"gains": [{"gain": 100, "sigma": 70.0, "shot": 0.5}]}))
        called = run("--gain-table", table, "--camera-gain", "100")
        assert called.code == 2
        assert "the camera's sigma must be 0 to 60" in called.err
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("content", [None, b"{", b'{"gains": []}'], ids=["absent", "half", "empty"])
    def test_a_gain_table_that_cannot_be_read_is_code_3(self, run: Run, tmp_path: Path, content: bytes | None) -> None:
        table = tmp_path / "gains.json"
        if content is not None:
            table.write_bytes(content)
        called = run("--gain-table", table, "--camera-gain", "100")
        assert called.code == 3
        assert f"the gain table {table}" in called.err
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (("--sigma", "61"), "sigma must be 0 to 60"),
            (("--sigma", "-1"), "sigma must be 0 to 60"),
            (("--sigma", "nan"), "sigma must be 0 to 60"),
            (("--sigma", "inf"), "sigma must be 0 to 60"),
            (("--sigma", "loud"), "--sigma must be a number, measured or tiles"),
            (("--sigma", ""), "--sigma must be a number, measured or tiles"),
            (("--steps", "3"), "3 steps were asked for, but this bundle carries 1, 2, 4"),
            (("--steps", "0"), "0 steps were asked for"),
            (("--steps", "-1"), "--steps must be a number or auto"),
            (("--steps", "1.5"), "--steps must be a number or auto"),
            (("--steps", "9" * 5000), "--steps must be a number or auto"),
            (("--variant", "fp32-cpu-n2", "--steps", "4"), "carries 2"),
            (("--variant", "fp32-cpu-n2-float32"), "takes float32 frames"),
            (("--tile", "96"), "tile must be 0, for none, or above 96"),
            (("--tile", "-1"), "--tile"),
            (("--tile", "many"), "--tile"),
            (("--conf", "0.5"), "--conf is for detection, but this bundle's task is restoration"),
            (("--blur", "plate"), "--blur is for detection"),
            (("--before-after", "--no-overlays"), "before and after were asked for, but no pictures are to be written"),
            (("--class-maps",), "--class-maps is for segmentation"),
        ],
        ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else None,
    )
    def test_what_does_not_fit_is_code_2_before_anything_is_written(
        self, run: Run, tmp_path: Path, options: tuple[str, ...], reason: str
    ) -> None:
        called = run(*options)
        assert (called.code, called.out) == (2, "")
        assert reason in called.err
        as_json = run(*options, "--json")
        assert as_json.code == as_json.document["exit_code"] == 2
        assert sorted(path.name for path in tmp_path.iterdir()) == ["street.png"]

    def test_a_mask_is_for_holes_alone(self, run: Run, tmp_path: Path) -> None:
        mask = save(tmp_path / "mask.png", holes())
        called = run("--mask", mask, "--json")
        assert called.code == called.document["exit_code"] == 2
        assert (
            "a mask was given, but this bundle's mode is denoise; leave it out" in called.document["error"]["message"]
        )
        assert sorted(path.name for path in tmp_path.iterdir()) == ["mask.png", "street.png"]

    @pytest.mark.parametrize(
        "options", [(), ("--sigma", "0"), ("--sigma", "measured")], ids=["no mask", "0", "measured"]
    )
    def test_holes_need_a_mask_and_no_sigma(
        self, run: Run, inpainter: Path, tmp_path: Path, options: tuple[str, ...]
    ) -> None:
        mask = ("--mask", save(tmp_path / "mask.png", holes())) if options else ()
        called = run(*options, *mask, "--json", bundle=inpainter)
        assert called.code == called.document["exit_code"] == 2
        assert ("mode is inpaint; leave it out" if options else "no mask was given") in called.document["error"][
            "message"
        ]
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("how", ["measured", "tiles"])
    def test_a_blur_is_not_measured(self, run: Run, deblurrer: Path, tmp_path: Path, how: str) -> None:
        called = run("--sigma", how, bundle=deblurrer)
        assert (called.code, called.out) == (2, "")
        assert "mode deblur needs a number" in called.err
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("content", [None, b"", b"not a picture"], ids=["absent", "empty", "text"])
    def test_a_mask_that_cannot_be_read_is_code_3(
        self, run: Run, inpainter: Path, tmp_path: Path, content: bytes | None
    ) -> None:
        if content is not None:
            (tmp_path / "mask.png").write_bytes(content)
        called = run("--mask", tmp_path / "mask.png", bundle=inpainter)
        assert (called.code, called.out) == (3, "")
        assert "mask.png cannot be read as an image" in called.err
        assert not (tmp_path / "out").exists()

    def test_a_mask_without_holes_is_code_2(self, run: Run, inpainter: Path, tmp_path: Path) -> None:
        mask = save(tmp_path / "mask.png", np.zeros(SIZE_HW, np.uint8))
        called = run("--mask", mask, bundle=inpainter)
        assert called.code == 2
        assert "mask.png has no holes: all of it is black" in called.err
        assert not (tmp_path / "out").exists()

    def test_a_transparent_mask_is_code_3(self, run: Run, inpainter: Path, tmp_path: Path) -> None:
        alpha = np.where(holes() > 0, 0, 255).astype(np.uint8)
        mask = save(tmp_path / "mask.png", np.dstack([noisy(), alpha]))
        called = run("--mask", mask, bundle=inpainter)
        assert called.code == 3
        assert "mask.png is partly transparent" in called.err
        assert not (tmp_path / "out").exists()

    def test_a_mask_of_another_size_leaves_no_file(self, run: Run, inpainter: Path, tmp_path: Path) -> None:
        mask = save(tmp_path / "mask.png", holes((104, 72)))
        called = run("--mask", mask, "--json", bundle=inpainter)
        assert called.code == called.document["exit_code"] == 2
        assert "a mask must be bool or uint8 of the frame's 72x104" in called.document["error"]["message"]
        assert files_in(tmp_path) == ["mask.png", "street.png"]

    def test_a_mask_that_fits_the_first_frame_alone_leaves_what_was_done(
        self, capfd: Capture, inpainter: Path, tmp_path: Path
    ) -> None:
        save(tmp_path / "in" / "a.png", noisy(1))
        save(tmp_path / "in" / "b.png", noisy(2, (80, 80)))
        mask = save(tmp_path / "mask.png", holes())
        called = call(
            capfd,
            "run",
            inpainter,
            "--source",
            tmp_path / "in",
            "-o",
            tmp_path / "out",
            "--mask",
            mask,
            "--contact-sheet",
        )
        assert called.code == 2
        assert "frame b: a mask must be bool or uint8 of the frame's 80x80" in called.err
        assert [line["name"] for line in lines_of(tmp_path / "out")] == ["a"]
        kept = files_in(tmp_path / "out")
        assert len(kept) == 2
        assert not any(".part" in name for name in kept)

    @pytest.mark.parametrize(
        "options", [("--sigma", "20"), ("--steps", "1"), ("--tile", "0"), ("--before-after",), ("--mask", "m.png")]
    )
    def test_options_of_restoration_do_not_fit_segmentation(
        self, run: Run, tiny_bundle: Path, tmp_path: Path, options: tuple[str, ...]
    ) -> None:
        called = run(*options, bundle=tiny_bundle)
        assert (called.code, called.out) == (2, "")
        assert f"{options[0]} is for restoration, but this bundle's task is segmentation" in called.err
        assert not (tmp_path / "out").exists()


class TestCall:
    """What the command line cannot ask."""

    @pytest.mark.parametrize(
        ("asked", "says"),
        [
            ({"sigma": float("inf")}, "must be 0 to 60 grey levels"),
            ({"sigma": np.float32(60.5)}, "must be 0 to 60 grey levels"),
            ({"sigma": np.full(SIZE_HW, np.nan)}, "must be 0 to 60 grey levels"),
            ({"sigma": np.full(SIZE_HW, -1.0)}, "goes from -1 to -1"),
            ({"sigma": np.full((SIZE_HW[1], SIZE_HW[0]), 20.0)}, "map of the frame's 72x104"),
            ({"sigma": np.full((*SIZE_HW, 3), 20.0)}, "map of the frame's 72x104"),
            ({"sigma": [20.0, 30.0]}, "map of the frame's 72x104"),
            ({"sigma": "20"}, "'measured' or 'tiles'"),
            ({"steps": 0}, "carries 1, 2, 4"),
            ({"steps": "2"}, "carries 1, 2, 4"),
            ({"steps": None}, "carries 1, 2, 4"),
            ({"tile": 96}, "above 96 pixels"),
            ({"tile": -128}, "tile must be 0"),
            ({"mask": holes()}, "mode is denoise; leave it out"),
            ({"pixel_format": "nv12"}, "takes rgb24, bgr24"),
            ({"sigma": ["a"]}, "sigma must be a number, a map, a CameraNoise, 'measured' or 'tiles'"),
            ({"sigma": np.zeros((0, 0))}, "must be 0 to 60"),
            ({"sigma": GainTable((100.0,), (CameraNoise(3.0, 0.1),))}, r"pass table.at\(gain\)"),
            ({"sigma": CameraNoise(61.0, 0.0)}, "the camera's sigma must be 0 to 60"),
            ({"steps": np.array([1, 2])}, "carries 1, 2, 4"),
            ({"tile": "512"}, "tile must be 0"),
            ({"tile": True}, "tile must be 0"),
            ({"seed": 1}, "a seed was given"),
            ({"gain": 2.0}, "a gain was given"),
        ],
    )
    def test_what_a_denoiser_is_not_asked(self, task: saccade.RestoreTask, asked: dict[str, Any], says: str) -> None:
        with pytest.raises(RequestError, match=says):
            task(noisy(), **{"sigma": 20.0, **asked})

    @pytest.mark.parametrize(
        "frame", ["frame.png", None, 3, Image.new("RGB", (8, 8))], ids=["name", "none", "3", "PIL"]
    )
    def test_what_is_no_frame_at_all(self, task: saccade.RestoreTask, frame: Any) -> None:
        for given in (frame, [frame]):
            with pytest.raises(FrameError, match=r"a frame must be a numpy array, but got .*; pass np.asarray"):
                task(given, sigma=20.0)

    @pytest.mark.parametrize("steps", [2.0, True], ids=["fraction", "true"])
    def test_steps_are_a_whole_number_in_every_form(self, tiny_restorer_bundle: Path, steps: Any) -> None:
        for variant in ("auto", "fp32-cpu-stepwise"):
            with saccade.open(tiny_restorer_bundle, variant=variant, device="cpu", threads=1) as opened:
                assert isinstance(opened, saccade.RestoreTask)
                with pytest.raises(RequestError, match="carries 1, 2, 4"):
                    opened(noisy(), sigma=20.0, steps=steps)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_one_value_that_is_no_number_is_found(self, task: saccade.RestoreTask, value: float) -> None:
        frame = noisy().astype(np.float32)
        assert task(frame, sigma=20.0).finite
        frame[71, 103, 2] = value
        for given in (frame, [noisy().astype(np.float32), frame]):
            with pytest.raises(FrameError, match="NaN or infinite"):
                task(given, sigma=20.0)

    def test_pictures_of_0_to_1_are_refused_and_the_dark_is_not(self, task: saccade.RestoreTask) -> None:
        with pytest.raises(FrameError, match=r"grey levels of 0 to 255, but this one goes from 0.* multiply it by 255"):
            task(noisy().astype(np.float32) / 255, sigma=20.0)
        dark = np.random.default_rng(0).uniform(0, 0.3, (*SIZE_HW, 3)).astype(np.float32)
        assert task(dark, sigma=20.0).finite

    def test_numbers_beyond_float32_are_told_not_raised(self, task: saccade.RestoreTask) -> None:
        frame = np.full((64, 64, 3), 3e38, np.float32)
        assert not task(frame, sigma=20.0, steps=4).finite
        with pytest.raises(FrameError):
            task(frame, sigma="measured")

    def test_frames_of_a_batch_are_alike(self, task: saccade.RestoreTask) -> None:
        with pytest.raises(FrameError, match="one type"):
            task([noisy(), noisy().astype(np.float32)], sigma=20.0)
        with pytest.raises(FrameError, match="size"):
            task([noisy(), noisy(1, (80, 80))], sigma=20.0)

    def test_a_refused_call_changes_nothing(self, task: saccade.RestoreTask) -> None:
        before = task(noisy(), sigma=20.0)
        with pytest.raises(RequestError):
            task(noisy(), sigma=20.0, steps=3)
        with pytest.raises(RequestError, match="without submit"):
            task.wait()
        after = task(noisy(), sigma=20.0)
        np.testing.assert_array_equal(after.image, before.image)
        assert after.origin.frame_id == before.origin.frame_id + 1

    @pytest.mark.parametrize(
        ("mask", "says"),
        [
            (None, "no mask was given"),
            (holes((104, 72)), "of the frame's 72x104"),
            (holes()[..., None], "of the frame's 72x104"),
            (holes().astype(np.float32), "bool or uint8 .* but is float32"),
            (holes().astype(np.int64), "bool or uint8 .* but is int64"),
            ([[0, 1]], "numpy array"),
        ],
        ids=["missing", "turned", "channels", "float", "int", "list"],
    )
    def test_what_is_no_mask(self, filler: saccade.RestoreTask, mask: Any, says: str) -> None:
        with pytest.raises(RequestError, match=says):
            filler(noisy(), mask=mask)

    def test_a_sigma_is_not_for_holes(self, filler: saccade.RestoreTask) -> None:
        for sigma in (0.0, 20.0, "measured", np.zeros(SIZE_HW)):
            with pytest.raises(RequestError, match="mode is inpaint; leave it out"):
                filler(noisy(), mask=holes(), sigma=sigma)

    @pytest.mark.parametrize("seed", [-1, 1.5, True, "3"])
    def test_a_seed_is_a_whole_number_from_nothing_on(self, filler: saccade.RestoreTask, seed: Any) -> None:
        with pytest.raises(RequestError, match="seed"):
            filler(noisy(), mask=holes(), seed=seed)

    def test_a_frame_is_filled_alike_wherever_it_stands_in_a_batch(self, filler: saccade.RestoreTask) -> None:
        alone = filler(noisy(), mask=holes()).image
        assert not np.array_equal(alone, filler(noisy(), mask=holes(), seed=1).image)
        for result in filler([noisy(), noisy()], mask=holes()):
            np.testing.assert_array_equal(result.image, alone)

    def test_a_mask_without_holes_leaves_the_frame(self, filler: saccade.RestoreTask) -> None:
        np.testing.assert_array_equal(filler(noisy(), mask=np.zeros(SIZE_HW, bool)).image, noisy())
        assert not np.array_equal(filler(noisy(), mask=np.ones(SIZE_HW, bool)).image, noisy())
