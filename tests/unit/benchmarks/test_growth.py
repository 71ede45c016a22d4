"""Cost as work grows: each point is an arm of its own, memory that grows is seen, and reports say what was measured."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.unit.benchmarks.made_up_growth import LABELS, axis, made_up_growth
from tests.unit.benchmarks.test_report import HOSTILE, Page, loaded_by

import saccade_bench
from saccade import scenes
from saccade.errors import CheckError, OutputError, RequestError, SourceError
from saccade.sources import SourceFrame
from saccade_bench import turns
from saccade_bench.arms import Arm
from saccade_bench.chosen import Asked, read_asked
from saccade_bench.growth import axes as axes_module
from saccade_bench.growth import measuring
from saccade_bench.growth.__main__ import AXES as NAMES
from saccade_bench.growth.__main__ import main
from saccade_bench.growth.axes import AXES, Planned, reason_against, work_of
from saccade_bench.growth.cells import columns, memory_sentence, rows, sentences
from saccade_bench.growth.document import Axis, Document, as_content, axis_of, read, spread_of, to_json
from saccade_bench.growth.measuring import points_of
from saccade_bench.growth.reports import markdown, page, readme_table
from saccade_bench.growth.words import WORDS
from saccade_bench.report.__main__ import main as report_main
from saccade_bench.report.readme import filled
from saccade_bench.report.sheet import STYLE_HASH
from saccade_bench.turns import in_long_turns
from saccade_bench.ways.clip import Clip

SOURCE = "scenes:size=96x64,frames=5"
TABLE = "<!-- growth:road -->\nold\n<!-- /growth:road -->"
EMPTY = {"kind": "growth", "schema": 1, "settings": {}, "about": {}, "machine": {}}

READS_FRAMES = """
from saccade_bench.serving import Way, serve

def open_way(spec):
    kept = []

    def run(_):
        for _ in range(spec["length"]):
            frame = bytearray(b"x" * 1_000_000)
            if spec["keeps"]:
                kept.append(frame)

    return Way(run)

serve(open_way)
"""


def frames_of(count: int = 8) -> list[axes_module.Frame]:
    return [scenes.render(1, index, (64, 96)).image for index in range(count)]


def work(bundle: Path, folder: Path) -> axes_module.Work:
    return work_of(read_asked(str(bundle)), SOURCE, frames_of(), folder, "smoke")


def clips(folder: Path, keeps: bool) -> Axis:
    """An axis of two clips of an arm that has a frame of 1 MB in its hands at a time, and ``keeps`` it or not."""
    program = folder / "reads.py"
    program.write_text(READS_FRAMES)
    environment = {"PYTHONPATH": str(Path(saccade_bench.__file__).parents[1])}
    arms = [
        Arm(str(length), str(program), {"length": length, "keeps": keeps}, environment=environment)
        for length in (4, 40)
    ]
    planned = [Planned(arm.name, int(arm.name), arm, int(arm.name)) for arm in arms]
    return axis_of("clip", points_of(planned, in_long_turns(arms, 2)))


class TestMemory:
    def test_a_way_that_gives_back_its_frames_is_flat(self, tmp_path: Path) -> None:
        found = clips(tmp_path, keeps=False)
        assert found.is_flat
        assert found.memory_growth_mb == pytest.approx(0, abs=2)
        assert memory_sentence(found).endswith("it is flat")
        assert made_up_growth([found]).is_flat_in_clip_length

    def test_a_way_that_keeps_its_frames_grows(self, tmp_path: Path) -> None:
        found = clips(tmp_path, keeps=True)
        assert not found.is_flat
        assert found.memory_growth_mb == pytest.approx(3 * 36, abs=6), "the first run and two rounds"
        assert re.match(
            r"Memory grows by 1\d\d\.\d MB from 4 to 40 frames, more than .*: it is not flat", memory_sentence(found)
        )
        assert not made_up_growth([found]).is_flat_in_clip_length

    def test_the_command_fails_where_memory_grows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for grows_mb, code in ((500.0, 1), (1.0, 0)):
            made = made_up_growth([axis("clip", grows_mb=grows_mb)])
            monkeypatch.setattr(measuring, "run", lambda *_, made=made: made)
            done = command("a.saccade", "--source", SOURCE)
            assert done.exit_code == code
            assert f"Memory grows by {grows_mb:.1f} MB from 30 to 300 frames" in done.stdout


class TestPoints:
    def test_time_is_divided_by_the_frames_that_share_it(self) -> None:
        measured = turns.Measured(
            Arm("a", "a"), turns.Start(1, 1, 1, 90.0, {"threads": 2}), [turns.Turn((80.0, 120.0, 100.0), (), (), 99.0)]
        )
        shared, each = (Planned("4", 4, Arm("a", "a"), 4, is_shared) for is_shared in (True, False))
        [at_once, of_cameras] = points_of([shared, each], [measured, measured])
        assert (at_once.ms.median, at_once.ms.low, at_once.ms.high) == (25.0, 20.0, 30.0)
        assert (of_cameras.ms.median, of_cameras.rounds_ms) == (100.0, [100.0])
        assert at_once.frames_per_s.median == of_cameras.frames_per_s.median == 40.0
        assert (at_once.peak_mb, at_once.threads, at_once.outside_ms) == (99.0, 2, None)

    def test_the_spread_of_a_few_is_their_ends(self) -> None:
        assert vars(spread_of([3.0, 1.0, 2.0])) == {"median": 2.0, "low": 1.0, "high": 3.0}
        hundred = spread_of([float(each) for each in range(101)])
        assert (hundred.low, hundred.median, hundred.high) == (10.0, 50.0, 90.0)


@pytest.mark.torch
class TestAxes:
    def test_every_axis_has_its_words_and_its_name_in_the_command(self) -> None:
        assert tuple(AXES) == NAMES == tuple(WORDS) == tuple(LABELS)

    def test_points_are_arms_of_more_and_more_work(self, tiny_bundle: Path, tmp_path: Path) -> None:
        planned = {name: plan(work(tiny_bundle, tmp_path)) for name, plan in AXES.items()}
        for points in planned.values():
            amounts = [each.amount for each in points]
            assert amounts == sorted(set(amounts))
            assert len({each.arm.name for each in points}) == len(points)
        assert [each.label for each in planned["resolution"]] == [
            "640x360", "960x540", "1280x720", "1920x1080", "2560x1440",
        ]  # fmt: skip
        assert planned["resolution"][0].given_mb == pytest.approx(4 * 640 * 360 * 3 / 1e6, rel=0.01)
        assert [each.arm.batch for each in planned["batch"]] == [1, 2, 4, 8]
        assert [each.arm.spec["cameras"] for each in planned["cameras"]] == [1, 2, 4]
        assert planned["threads"][0].arm.spec["threads"] == 1
        assert [each.arm.spec["length"] for each in planned["clip"]] == [30, 90]
        assert all(each.given_mb == 0 for each in planned["clip"])

    def test_a_restorer_s_points_are_asked_for_the_same_steps(self, tiny_restorer_bundle: Path, tmp_path: Path) -> None:
        chosen = work(tiny_restorer_bundle, tmp_path)
        asked = {json.dumps(each.arm.spec["asked"]) for name in ("batch", "clip") for each in AXES[name](chosen)}
        assert asked == {'{"sigma": 25.0, "steps": 1}'}

    def test_what_cannot_grow_is_left_out_with_its_reason(self, tiny_bundle: Path, tmp_path: Path) -> None:
        chosen = work(tiny_bundle, tmp_path)
        assert all(reason_against(name, chosen) is None for name in AXES)
        manifest = chosen.asked.bundle.manifest
        single = [replace(each, parameters={**each.parameters, "batch": 1}) for each in manifest.variants]
        bundle = replace(chosen.asked.bundle, manifest=replace(manifest, variants=tuple(single)))
        one_by_one = replace(chosen, asked=Asked(bundle, chosen.asked.variant, chosen.asked.engine, None))
        assert reason_against("batch", one_by_one) == "fp32-cpu takes one frame at a time"
        assert "runs on cuda" in str(reason_against("threads", replace(chosen, device="cuda")))


class TestClip:
    def test_a_source_that_is_shorter_begins_again(self) -> None:
        with Clip(SOURCE, 12) as clip:
            frames = [item for item in clip if isinstance(item, SourceFrame)]
        assert [frame.frame_id for frame in frames] == list(range(12))
        assert len({frame.name for frame in frames}) == 12
        assert (frames[0].image == frames[5].image).all()
        assert not (frames[0].image == frames[1].image).all()

    def test_a_longer_source_ends_early(self) -> None:
        with Clip("scenes:size=96x64,frames=1000", 3) as clip:
            assert len(list(islice(clip, 10))) == clip.length == 3

    def test_a_source_without_frames_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(b"no picture")
        with Clip(str(tmp_path), 3) as clip, pytest.raises(SourceError, match="has no frames that can be read"):
            list(clip)


@pytest.mark.torch
class TestCommand:
    @pytest.fixture(autouse=True)
    def short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(turns.TIERS, "smoke", turns.Effort(samples=8, most_s=1.0))
        monkeypatch.setattr(axes_module, "CAMERAS", (1, 2))

    def test_axes_are_measured_shown_and_written(self, tiny_bundle: Path, tmp_path: Path) -> None:
        asked = [str(tiny_bundle), "--source", SOURCE, "--smoke", "--axis", "clip", "--axis", "cameras"]
        done = command(*asked, "-o", tmp_path / "out", "--json")
        assert done.exit_code == 0, done.output
        made = read(tmp_path / "out" / "growth.json")
        assert json.loads(done.stdout) == as_content(made) == json.loads(to_json(made))
        cameras, clip = made.axes
        assert (cameras.name, [point.label for point in cameras.points]) == ("cameras", ["1", "2"])
        assert (clip.name, [point.samples for point in clip.points]) == ("clip", [2, 2])
        assert clip.memory_growth_mb == clip.points[1].peak_mb - clip.points[0].peak_mb
        assert made.is_flat_in_clip_length
        for point in (*cameras.points, *clip.points):
            assert 0 < point.ms.low <= point.ms.median <= point.ms.high
            assert 20 < point.peak_mb < 2000
        assert made.about["engine"] == "onnxruntime"
        assert made.settings["bundle"] == str(tiny_bundle)
        assert (tmp_path / "out" / "growth.md").read_text() == markdown(made)
        assert (tmp_path / "out" / "growth.html").read_text() == page(made)

    def test_detectors_and_restorers_are_measured_too(
        self, tiny_detector_bundle: Path, tiny_restorer_bundle: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(axes_module, "BATCHES", (1, 2))
        monkeypatch.setitem(axes_module.LENGTHS, "smoke", (2, 4))
        for bundle in (tiny_detector_bundle, tiny_restorer_bundle):
            done = command(bundle, "--source", SOURCE, "--smoke", "--axis", "batch", "--axis", "clip")
            assert done.exit_code == 0, done.output
            assert "Batch, 1 to 2 frames at once" in done.stdout

    @pytest.mark.parametrize(
        ("arguments", "said", "error"),
        [
            (("network.onnx", "--source", SOURCE), "an arm is BUNDLE.saccade", RequestError),
            (("BUNDLE:fp64", "--source", SOURCE), "fp64", RequestError),
            (("BUNDLE", "--source", "absent.mp4"), "absent.mp4", SourceError),
            (("BUNDLE", "--source", SOURCE, "-o", "FILE"), "--output names a folder", OutputError),
        ],
    )
    def test_what_is_not_there_is_told(
        self, arguments: tuple[str, ...], said: str, error: type[Exception], tiny_bundle: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        given = [each.replace("BUNDLE", str(tiny_bundle)).replace("FILE", str(tmp_path / "file")) for each in arguments]
        done = command(*(given if arguments[0] != "network.onnx" else arguments))
        assert isinstance(done.exception, error)
        assert said in str(done.exception)

    def test_an_axis_that_is_none_is_refused(self) -> None:
        done = command("a.saccade", "--source", SOURCE, "--axis", "age")
        assert done.exit_code == 2
        assert "'age' is not one of" in done.stderr


DOCUMENTS = {
    "all axes": made_up_growth(),
    "one axis": made_up_growth([axis("threads")]),
    "one point": made_up_growth([replace(axis("threads"), points=axis("threads").points[:1])]),
    "an axis left out": made_up_growth([Axis("batch", (), left_out="it takes one frame at a time"), axis("clip")]),
    "nothing measured": made_up_growth([Axis("batch", (), left_out="it takes one frame at a time")]),
    "hostile names": replace(
        made_up_growth([replace(axis("batch"), points=[replace(axis("batch").points[0], label=HOSTILE)])]),
        settings={"bundle": HOSTILE, "source": HOSTILE, HOSTILE: HOSTILE},
        machine={"processor": HOSTILE, "disturbed": [HOSTILE]},
    ),
}
each_document = pytest.mark.parametrize("made", DOCUMENTS.values(), ids=DOCUMENTS.keys())


class TestReports:
    @each_document
    def test_the_page_and_markdown_have_every_cell(self, made: Document) -> None:
        shown = Page(page(made))
        data = " ".join([*shown.texts.get("span", []), *shown.texts.get("th", [])])
        for each in made.axes:
            for row in rows(each):
                assert len(row) == len(columns(each))
                assert all(cell in data for cell in row)
        for said in sentences(made):
            assert said in "".join(shown.texts["li"])
        assert shown.tags.count("figure") == sum(bool(each.points) for each in made.axes)
        assert "nan" not in page(made)

    @each_document
    def test_nothing_is_loaded_and_nothing_runs(self, made: Document) -> None:
        text = page(made)
        (policy,) = [value for value in Page(text).values("content") if "default-src" in value]
        assert STYLE_HASH in policy
        assert "script-src" not in policy
        assert loaded_by(text) == []

    def test_names_are_text_and_not_markup(self) -> None:
        made = DOCUMENTS["hostile names"]
        assert "<img" not in page(made)
        assert HOSTILE in Page(page(made)).all_text
        for text in (markdown(made), readme_table(made)):
            assert "<" not in text

    def test_a_figure_has_its_numbers_as_text(self) -> None:
        shown = Page(page(made_up_growth()))
        assert shown.headings[:5] == ["Resolution", "Batch", "Cameras", "Threads", "Clip length"]
        said = " ".join(shown.texts["desc"])
        assert "frame to result: 20 at 640x360, 30 at 2560x1440. outside the engine: 1 at 640x360" in said
        assert "frames a second, all cameras: 50 at 1, 33.3 at 2, 22.2 at 4." in said
        assert "Memory grows by 8.0 MB from 30 to 300 frames" in "".join(shown.texts["figcaption"])

    def test_what_is_left_out_is_a_sentence(self) -> None:
        assert sentences(DOCUMENTS["an axis left out"])[0] == "Batch is left out: it takes one frame at a time."

    def test_the_readme_table_has_a_row_for_each_axis(self) -> None:
        lines = readme_table(made_up_growth()).splitlines()
        assert lines[2] == (
            "| pixels | 640x360 | 2560x1440 (10 x) | 20.00 → 30.00 ms (1.50 x) | 50.0 → 33.3 (0.67 x) "
            "| 200 → 208 MB (1.04 x) |"
        )
        assert len([line for line in lines if line.startswith("|")]) == 2 + len(LABELS)
        assert "Abacus 9000" in lines[-1]

    def test_the_readme_table_says_what_disturbed_the_machine(self) -> None:
        assert "disturbed" not in readme_table(made_up_growth())
        disturbed = made_up_growth(disturbed=["others used a core", "hiccups"])
        assert readme_table(disturbed).endswith("; the machine was disturbed: others used a core; hiccups.\n")
        assert sentences(disturbed)[-1] == "The machine was disturbed: others used a core; hiccups."


class TestDocument:
    @each_document
    def test_it_is_read_as_it_was_written(self, made: Document, tmp_path: Path) -> None:
        path = tmp_path / "growth.json"
        path.write_text(to_json(made))
        assert to_json(read(path)) == to_json(made)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("no json", "is no document"),
            ("[]", "must be of kind growth"),
            ('{"kind": "growth", "schema": 2}', "schema 1, but got growth and 2"),
            ('{"kind": "growth", "schema": 1}', "axes"),
            (json.dumps({**EMPTY, "axes": [{"name": "age"}]}), "age"),
            (json.dumps({**EMPTY, "axes": [7]}), "not as it should be"),
        ],
    )
    def test_another_file_is_refused(self, content: str, said: str, tmp_path: Path) -> None:
        path = tmp_path / "growth.json"
        path.write_text(content)
        with pytest.raises(RequestError, match=said):
            read(path)


class TestReadme:
    def test_the_table_is_put_between_its_marks_and_checked(self, tmp_path: Path) -> None:
        document, readme = tmp_path / "growth.json", tmp_path / "README.md"
        document.write_text(to_json(made_up_growth()))
        readme.write_text(f"<!-- bench:road -->\nkept\n<!-- /bench:road -->\n{TABLE}\n")
        arguments = [str(document), "--readme", str(readme), "--name", "road"]
        assert isinstance(CliRunner().invoke(report_main, [*arguments, "--check"]).exception, CheckError)
        assert CliRunner().invoke(report_main, arguments).exit_code == 0
        assert "kept" in readme.read_text()
        assert "| pixels | 640x360 |" in readme.read_text()
        assert CliRunner().invoke(report_main, [*arguments, "--check"]).exit_code == 0

    def test_reports_are_made_again(self, tmp_path: Path) -> None:
        document = tmp_path / "growth.json"
        document.write_text(to_json(made_up_growth()))
        assert CliRunner().invoke(report_main, [str(document), "-o", str(tmp_path / "again")]).exit_code == 0
        assert sorted(path.name for path in (tmp_path / "again").iterdir()) == ["growth.html", "growth.md"]
        assert (tmp_path / "again" / "growth.html").read_text() == page(made_up_growth())

    def test_marks_of_the_other_kind_are_not_these(self) -> None:
        with pytest.raises(RequestError, match="no mark of growth:road, it has none; write <!-- growth:road -->"):
            filled(TABLE.replace("growth", "bench"), "road", "new", "growth")


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])
