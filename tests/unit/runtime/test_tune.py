"""``saccade tune``: what is fastest here is found, kept for this machine alone, and taken by "auto"."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.commands import call

import saccade
from saccade import tuned, tuning
from saccade.bundle import Bundle, open_bundle
from saccade.errors import CheckError, EngineError, OutputError
from saccade.machine import usable_cores
from saccade.opening import choose
from saccade.spec import Variant
from saccade.tuned import Setting, forget, machine_key, remember
from saccade.tuning import SPINNING, Tried, settings_for, tune

Capture = pytest.CaptureFixture[str]
USUAL = Setting("onnxruntime")
OTHER = Setting("onnxruntime", 1)


@pytest.fixture
def opened(plates_bundle: Path) -> tuple[Bundle, Variant]:
    bundle = open_bundle(plates_bundle)
    return bundle, choose(bundle, "auto", "cpu", "auto")[2]


def file_of(cache: Path) -> Path:
    (path,) = (cache / "tuned").iterdir()
    return path


class TestWhatIsTried:
    def test_every_engine_in_several_numbers_of_threads(
        self, opened: tuple[Bundle, Variant], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tuning, "usable_cores", lambda: 6)
        monkeypatch.setattr(tuning.engines, "installed", lambda: ("onnxruntime",))
        found = settings_for(opened[1], USUAL, "cpu")
        assert found[0] == USUAL
        assert [each.threads for each in found if not each.settings] == [None, 1, 2, 4]
        assert [each.threads for each in found if each.settings == {SPINNING: False}] == [2, 4, 6]

    def test_the_fastest_is_taken_if_it_is_faster_than_the_noise(self) -> None:
        tried = [Tried(USUAL, 10.0, 1.0, 1.0, 1.0), Tried(OTHER, 9.0, 1.1, 1.0, 1.2)]
        assert tuning._fastest(USUAL, tried, 0.04) == OTHER
        assert tuning._fastest(USUAL, tried, 0.06) == USUAL

    def test_what_does_not_give_pytorch_s_results_is_left_out(
        self, opened: tuple[Bundle, Variant], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tuning, "settings_for", lambda *_: [USUAL, OTHER])
        why_not = tuning._why_not
        monkeypatch.setattr(tuning, "_why_not", lambda *a: "boxes differ" if a[2] == OTHER else why_not(*a))
        found = tune(*opened, USUAL, "cpu", 3)
        assert [each.reason for each in found.tried] == [None, "boxes differ"]
        assert found.chosen == USUAL

    def test_a_bundle_that_fails_as_it_is_is_told(
        self, opened: tuple[Bundle, Variant], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tuning, "_why_not", lambda *_: "boxes differ")
        with pytest.raises(CheckError, match="does not run as it should with onnxruntime, all cores: boxes differ"):
            tune(*opened, USUAL, "cpu", 3)


class TestWhatIsKept:
    def test_auto_takes_it_and_a_choice_does_not(self, opened: tuple[Bundle, Variant], tmp_path: Path) -> None:
        bundle, variant = opened
        remember(bundle, variant, "cpu", OTHER, {}, tmp_path)
        with saccade.open(bundle, device="cpu", cache=tmp_path) as task:
            assert task.describe().threads == 1
        for chosen in ({"engine": "onnxruntime"}, {"threads": 2}, {"cache": tmp_path / "other"}):
            with saccade.open(bundle, device="cpu", **{"cache": tmp_path, **chosen}) as task:
                assert task.describe().threads != 1 or usable_cores() == 1

    def test_its_settings_reach_the_engine(self, opened: tuple[Bundle, Variant], tmp_path: Path) -> None:
        bundle, variant = opened
        remember(bundle, variant, "cpu", Setting("onnxruntime", 1, {"session.unknown": False}), {}, tmp_path)
        with pytest.raises(EngineError, match=r"sets 'session\.unknown' for onnxruntime"):
            saccade.open(bundle, device="cpu", cache=tmp_path)

    @pytest.mark.parametrize(
        "change",
        [
            {"machine": {"processor": "another", "cores": 2, "version": "1"}},
            {"chosen": {"engine": "abacus", "threads": 1, "settings": {}}},
            {"chosen": {"engine": "onnxruntime", "threads": 0, "settings": {}}},
            {"chosen": {"engine": "onnxruntime", "threads": True, "settings": {}}},
            {"chosen": {"engine": "onnxruntime", "threads": 1, "settings": {SPINNING: "yes"}}},
            {"chosen": {"engine": "onnxruntime"}},
            {"chosen": None},
        ],
    )
    def test_what_was_found_elsewhere_or_makes_no_sense_is_not_used(
        self, opened: tuple[Bundle, Variant], tmp_path: Path, change: dict[str, object]
    ) -> None:
        bundle, variant = opened
        path = remember(bundle, variant, "cpu", OTHER, {}, tmp_path)
        assert tuned.tuned(bundle, variant, "cpu", tmp_path) == OTHER
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        assert tuned.tuned(bundle, variant, "cpu", tmp_path) is None

    def test_a_file_that_is_no_json_is_not_used(self, opened: tuple[Bundle, Variant], tmp_path: Path) -> None:
        remember(*opened, "cpu", OTHER, {}, tmp_path).write_text("{")
        assert tuned.tuned(*opened, "cpu", tmp_path) is None

    def test_an_engine_of_another_version_is_measured_again(
        self, opened: tuple[Bundle, Variant], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        remember(*opened, "cpu", OTHER, {}, tmp_path)
        newer = {**machine_key("onnxruntime"), "version": "99.0"}
        monkeypatch.setattr(tuned, "machine_key", lambda engine: newer)
        assert tuned.tuned(*opened, "cpu", tmp_path) is None

    def test_it_can_be_forgotten(self, opened: tuple[Bundle, Variant], tmp_path: Path) -> None:
        remember(*opened, "cpu", OTHER, {}, tmp_path)
        assert forget(*opened, "cpu", tmp_path)
        assert not forget(*opened, "cpu", tmp_path)
        assert tuned.tuned(*opened, "cpu", tmp_path) is None

    def test_a_folder_that_cannot_be_written_is_told_and_nothing_is_left(
        self, opened: tuple[Bundle, Variant], tmp_path: Path
    ) -> None:
        (tmp_path / "tuned").write_text("mine")
        with pytest.raises(OutputError, match=r"cannot be written.*another folder by --cache"):
            remember(*opened, "cpu", OTHER, {}, tmp_path)
        assert (tmp_path / "tuned").read_text() == "mine"


class TestCommand:
    def test_a_bundle_is_measured_and_opened_so(self, capfd: Capture, plates_bundle: Path, tmp_path: Path) -> None:
        called = call(capfd, "tune", plates_bundle, "--rounds", "3", "--cache", tmp_path, "--json")
        assert called.code == 0, called.err
        found = called.document
        assert found["tried"][0]["setting"] == vars(USUAL)
        assert {each["setting"]["engine"] for each in found["tried"]} >= {"onnxruntime"}
        assert all(each["milliseconds"] > 0 for each in found["tried"] if each["reason"] is None)
        assert file_of(tmp_path).stat().st_mode & 0o777 in (0o600, 0o644)
        assert (tmp_path / "tuned").stat().st_mode & 0o077 == 0
        with saccade.open(plates_bundle, device="cpu", cache=tmp_path) as task:
            assert task.describe().name == found["chosen"]["engine"]
        again = call(capfd, "tune", plates_bundle, "--cache", tmp_path, "--forget")
        assert (again.code, again.out.strip()) == (0, "forgotten")

    def test_the_table_marks_what_is_taken(self, capfd: Capture, plates_bundle: Path, tmp_path: Path) -> None:
        called = call(capfd, "tune", plates_bundle, "--rounds", "3", "--cache", tmp_path)
        assert called.code == 0, called.err
        lines = called.out.splitlines()
        assert sum(line.startswith("*") for line in lines) == 1
        assert "onnxruntime, all cores" in lines[0]
        assert "noise" in lines[-1]
