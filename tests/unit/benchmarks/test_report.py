"""A benchmark's reports: the same numbers as table, Markdown, page and README, whatever names hold."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console
from tests.unit.benchmarks.made_up import arm, made_up, streamed

from saccade.errors import CheckError, InputError, OutputError, RequestError
from saccade_bench.cli import bench
from saccade_bench.document import Document, as_content, document, read, to_json
from saccade_bench.report.__main__ import main
from saccade_bench.report.cells import columns, rows
from saccade_bench.report.files import write
from saccade_bench.report.markdown import markdown
from saccade_bench.report.page import page
from saccade_bench.report.readme import filled
from saccade_bench.report.sheet import STYLE_HASH
from saccade_bench.report.summary import summary
from saccade_bench.report.terminal import show

HOSTILE = "<img src=x onerror='a'>&\"b|c`d`*_[/e](f)<!-- /bench:road -->"
VOID = {"meta", "br", "wbr", "img", "link", "input", "hr"}
TABLE = "<!-- bench:road -->\nold\n<!-- /bench:road -->"


class Page(HTMLParser):
    """A page's elements, attributes and text by element; every element must be closed in its place."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    @property
    def all_text(self) -> str:
        return " ".join(text for tag, texts in self.texts.items() if tag != "style" for text in texts)

    def values(self, name: str) -> list[str]:
        return [value for _, found, value in self.attributes if found == name]

    @property
    def headings(self) -> list[str]:
        return self.texts.get("h2", [])


def loaded_by(text: str) -> list[str]:
    """What a page would load, run, or take as style beside its own."""
    shown = Page(text)
    tags = {"script", "link", "img", "iframe", "object", "embed", "image", "use"} & set(shown.tags)
    names = {name for _, name, _ in shown.attributes}
    told = names & {"src", "href", "xlink:href", "style", "srcset"} | {name for name in names if name.startswith("on")}
    return [*tags, *told, *re.findall(r"https?://|url\(|@import", text)]


def cells_of(table: str) -> list[list[str]]:
    """The rows of a table in Markdown, without its line of dashes."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    split = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return [[cell.strip() for cell in line] for line in (split[0], *split[2:])]


DOCUMENTS = {
    "two arms": made_up(),
    "one arm": made_up([arm("alone", 20.0)]),
    "no engine times": made_up(is_silent=True),
    "few samples": made_up(rounds=2),
    "one round": made_up(rounds=1),
    "many arms": made_up([arm(f"arm {index}", 10.0 + index) for index in range(9)]),
    "hostile names": made_up([arm(HOSTILE, 20.0, scores={HOSTILE: 1.0}), arm("b", 10.0, scores={HOSTILE: 2.0})]),
}
each_document = pytest.mark.parametrize("made", DOCUMENTS.values(), ids=DOCUMENTS.keys())


class TestTable:
    @each_document
    def test_markdown_and_page_have_the_same_cells_as_the_terminal(self, made: Document) -> None:
        assert len(cells_of(markdown(made))) == 1 + len(rows(made))
        assert all(len(row) == len(columns(made)) for row in cells_of(markdown(made)))
        shown = Page(page(made))
        data = "".join(shown.texts["span"])
        for row in rows(made):
            assert row[0] in "".join(shown.texts["th"])
            assert all(cell in data for cell in row[1:])

    def test_the_numbers_are_those_of_the_samples(self) -> None:
        made = made_up()
        road, fast = rows(made)
        named = dict(zip(columns(made), fast, strict=True))
        assert float(named["frame to result"].removesuffix(" ms")) == pytest.approx(10.0, rel=0.01)
        assert float(named["CPU"].removesuffix(" ms")) == pytest.approx(15.0, rel=0.01)
        assert float(named["engine"].removesuffix(" ms")) == pytest.approx(7.5, rel=0.01)
        assert (named["first result"], named["memory"], named["equal pixels"]) == ("333 ms", "144 MB", "98.76 %")
        assert re.fullmatch(r"(1\.99|2\.0[01]) x as fast \(.*\), another result", named["against the first"])
        assert road[-1] == ""
        assert named["p99"] != "-"
        assert named["p99.9"] == "-", "680 samples are too few"

    def test_what_lacks_is_a_dash(self) -> None:
        made = made_up([arm("a", 20.0, rounds=2, is_silent=True)], rounds=2, is_silent=True)
        (row,) = rows(made)
        named = dict(zip(columns(made), row, strict=True))
        assert {named[name] for name in ("p90", "p99", "p99.9", "engine", "equal pixels")} == {"-"}

    def test_scores_are_columns_where_there_are_any(self) -> None:
        made = made_up([arm("a", 20.0, scores={"miou": 69.5}), arm("b", 10.0)])
        assert "miou" in columns(made)
        place = columns(made).index("miou")
        assert [row[place] for row in rows(made)] == ["69.50", "-"]
        assert "miou" not in columns(made_up())

    def test_the_terminal_shows_names_as_they_are(self) -> None:
        console = Console(record=True, width=300)
        show(made_up([arm("a[bold]b", 20.0)]), console)
        assert "a[bold]b" in console.export_text()

    def test_markdown_reads_nothing_in_names(self) -> None:
        text = markdown(DOCUMENTS["hostile names"])
        assert "<" not in text
        assert r"\*\_\[/e\](f)" in text
        assert "Abacus 9000" in text
        assert "noise floor: wall" in text


class TestSummary:
    def test_the_fastest_is_named_with_how_much(self) -> None:
        said = summary(made_up())
        assert re.match(r"fast is the fastest: (9\.9|10\.0)\d ms", said[0])
        assert re.match(r"fast is (1\.99|2\.0[01]) times as fast as road, the first arm", said[1])
        assert any("fast against the first arm's: 98.76 % equal pixels" in each for each in said)

    def test_no_difference_is_no_fastest(self) -> None:
        said = summary(made_up([arm("a", 20.0), arm("b", 20.0)]))
        assert said[0].startswith("No difference detected between ")
        assert not any("fastest" in each for each in said)

    def test_two_that_are_alike_share_the_first_place(self) -> None:
        said = summary(made_up([arm("slow", 20.0), arm("one", 10.0), arm("three", 10.0)]))
        assert re.match(r"The fastest are (one and three|three and one): .*, with no difference detected\.", said[0])
        assert "as fast as slow, the first arm" in said[1]

    def test_the_first_arm_can_be_the_fastest(self) -> None:
        said = summary(made_up([arm("a", 10.0), arm("b", 15.0), arm("c", 12.0)]))
        assert said[0].startswith("a is the fastest")
        assert "as fast as c, the next" in said[1]

    @each_document
    def test_it_agrees_with_the_table(self, made: Document) -> None:
        says_none = summary(made)[0].startswith("No difference")
        told = [row[-1] for row in rows(made)[1:]]
        assert says_none == bool(told and all(each == "no difference detected" for each in told))

    def test_one_arm_has_its_time_alone(self) -> None:
        assert re.match(r"alone takes \d+\.\d\d ms .* median of 680 samples", summary(DOCUMENTS["one arm"])[0])

    @pytest.mark.parametrize(
        ("disturbed", "said"),
        [
            (None, "was not watched"),
            (False, "Nothing disturbed"),
            ([], "Nothing disturbed"),
            (True, "The machine was disturbed while this was measured."),
            (["a neighbour", "heat"], "was disturbed while this was measured: a neighbour; heat."),
            ("heat", "was disturbed while this was measured: heat."),
        ],
    )
    def test_disturbances_are_told_with_their_reasons(self, disturbed: object, said: str) -> None:
        assert said in summary(made_up(disturbed=disturbed))[-1]


class TestStream:
    def test_the_table_has_what_the_camera_found(self) -> None:
        made = streamed()
        named = [dict(zip(columns(made), row, strict=True)) for row in rows(made)]
        assert [row["arm"] for row in named] == ["road", "road again"]
        assert [named[0][name] for name in ("frames", "dropped", "missed", "longest outage")] == [
            "40", "25.0 %", "10.0 % > 100 ms", "290 ms",
        ]  # fmt: skip
        assert cells_of(markdown(made))[1][1:4] == ["40", "25.0 %", "10.0 % &gt; 100 ms"]

    def test_the_summary_has_drops_and_no_fastest_arm(self) -> None:
        said = summary(streamed())
        assert said[0] == (
            "road dropped 25.0 % of a camera's 40 frames at 10 a second; 10.0 % of its results were older than 100 ms."
        )
        assert not any("fastest" in each or "Noise" in each for each in said)

    def test_the_page_shows_every_result_and_every_drop(self) -> None:
        text = page(streamed())
        shown = Page(text)
        assert shown.headings == ["A camera's frames", "Cold start", "Memory"]
        assert len(re.findall(r"m-?\d+[- ]\d+h0", text)) == 60, "30 results of two processes"
        assert sum(value.count("v6") for value in shown.values("d")) == 20, "10 drops of each"
        assert any(
            "30 of 40 frames were run and 10 dropped, 3 results missed 100 ms" in each for each in shown.texts["desc"]
        )

    def test_another_rate_has_another_page(self) -> None:
        assert page(streamed()) != page(streamed(fps=20.0))


class TestPage:
    @each_document
    def test_it_is_well_formed_and_has_every_arm(self, made: Document) -> None:
        shown = Page(page(made))
        assert shown.tags.count("svg") > shown.tags.count("figure") >= 4
        for each in made.arms:
            assert each.name in shown.all_text
        assert "nan" not in page(made).lower().replace("nand", "")
        assert not re.search(r'[ "ML]-?inf', page(made))

    @each_document
    def test_nothing_is_loaded_and_nothing_runs(self, made: Document) -> None:
        text = page(made)
        shown = Page(text)
        (policy,) = [value for value in shown.values("content") if "default-src" in value]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert STYLE_HASH in policy
        assert "unsafe" not in policy
        assert "script-src" not in policy
        assert loaded_by(text) == []

    @pytest.mark.parametrize(
        "added",
        [
            "<script>1</script>", "<img>", '<p style="color: red"></p>', '<a href="a">a</a>', '<p onclick="1"></p>',
            "http://a", "<i>@import</i>", '<svg><rect fill="url(#a)"/></svg>',
        ],
    )  # fmt: skip
    def test_what_would_be_loaded_or_run_is_seen(self, added: str) -> None:
        assert loaded_by(page(made_up()).replace("</main>", f"{added}</main>"))

    def test_names_are_text_and_not_markup(self) -> None:
        text = page(DOCUMENTS["hostile names"])
        assert "<img" not in text
        assert "onerror='a'" not in text
        assert "<!-- /bench" not in text
        assert HOSTILE in Page(text).all_text

    def test_figures_have_titles_and_the_numbers_as_text(self) -> None:
        shown = Page(page(made_up()))
        assert shown.headings == [
            "Latency", "Against road", "Every sample in its order", "Agreement against latency", "Cold start", "Memory",
        ]  # fmt: skip
        described = " ".join(shown.texts["desc"])
        assert re.search(
            r"fast: p50 (9\.9|10\.0)\d ms, p90 10\.\d\d ms, p99 10\.\d\d ms, slowest of 680 10\.\d\d", described
        )
        assert "fast by the clock: 2.00 x as fast" in described or "fast by the clock: 1.99 x as fast" in described
        assert "imports 111 ms, opening 111 ms, first result 111 ms, together 333 ms" in described
        assert "fast: 144 MB" in described
        assert "9876" not in described, "shares are percentages"
        assert "98.76 equal pixels, %" in described

    def test_what_does_not_differ_is_no_figure(self) -> None:
        assert "against latency" not in " ".join(Page(page(made_up([arm("a", 20.0), arm("b", 10.0)]))).headings)
        assert not any(each.startswith("Against") for each in Page(page(DOCUMENTS["one arm"])).headings)

    def test_every_score_that_differs_is_a_figure(self) -> None:
        scores = [{"miou": 0.7, "same": 1.0}, {"miou": 0.6, "same": 1.0}]
        made = made_up([arm("a", 20.0, scores=scores[0]), arm("b", 10.0, scores=scores[1])])
        headings = Page(page(made)).headings
        assert [each for each in headings if "latency" in each] == ["Accuracy against latency: miou"]

    def test_the_same_arm_has_the_same_colour_everywhere(self) -> None:
        text = page(made_up())
        assert {"c0", "c1", "grey"} <= {each for value in Page(text).values("class") for each in value.split()}
        assert not re.search(r'class="[^"]*\bc2\b', text)

    def test_the_roofline_needs_limits_and_peaks(self) -> None:
        limit = {"flops": 4e9, "bytes": 1e8, "bound": "memory", "limit_ms": 5.0, "share": 0.5}
        peaks = {"flops_per_s": {"float32": 1e12}, "bytes_per_s": 2e10}
        arms = [arm("a", 20.0, limit=limit), arm("b", 10.0)]
        shown = Page(page(made_up(arms, peaks=peaks)))
        assert "Roofline" in shown.headings
        said = next(each for each in shown.texts["desc"] if "operations" in each)
        speed = 4e9 / (0.75 * 20e-3) / 1e9
        assert float(re.search(r"a: ([\d.]+) billion", said)[1]) == pytest.approx(speed, rel=0.01)  # type: ignore[index]
        assert "40.0 for each byte, 50 % of its limit of 5.00 ms, bound by memory." in said
        assert "Roofline" not in Page(page(made_up(arms))).headings
        assert "Roofline" not in Page(page(made_up([arm("a", 20.0)], peaks=peaks))).headings

    @pytest.mark.parametrize("limit", [{}, {"flops": 1e9}, {"flops": "many", "bytes": None}, {"flops": 1, "bytes": 0}])
    @pytest.mark.parametrize("peaks", [{}, {"flops_per_s": 1e12}, "fast", {"flops_per_s": 1e12, "bytes_per_s": 1e10}])
    def test_a_limit_that_lacks_something_breaks_nothing(self, limit: dict[str, object], peaks: object) -> None:
        assert "Roofline" not in Page(page(made_up([arm("a", 20.0, limit=limit)], peaks=peaks))).headings

    def test_several_frames_at_once_are_told(self) -> None:
        made = replace(made_up(), settings={**made_up().settings, "batch": 8})
        assert columns(made)[1] == "8 frames"
        assert re.search(r"road (39\d|40\d)\.\d", markdown(made)), "frames a second"
        assert "milliseconds for 8 frames" in Page(page(made)).all_text
        assert "ms for 8 frames" in summary(made)[0]

    def test_arms_without_samples_break_nothing(self) -> None:
        made = made_up([arm("a", 20.0)])
        empty = [replace(each, wall=[], cpu=[], engine=[]) for each in made.arms]
        assert "Memory" in Page(page(replace(made, arms=empty, floors={}, differences=()))).headings

    def test_the_network_alone_is_in_the_table_and_against_the_first(self) -> None:
        made = made_up([arm("road", 20.0, agreement=1.0), arm("network alone", 18.0, "network")])
        shown = Page(page(made))
        assert "network alone" in shown.all_text
        assert [each.name for each in made.differences if each.what == "wall"] == ["network alone"]
        assert "Against road" in shown.headings

    def test_an_arm_that_sat_out_rounds_has_fewer_samples_and_the_same_ratio(self) -> None:
        whole = made_up([arm("road", 20.0), arm("slow", 200.0)])
        rested = {
            what: [turn if number % 5 == 4 else [] for number, turn in enumerate(getattr(whole.arms[1], what))]
            for what in ("wall", "cpu", "engine")
        }
        made = document(
            whole.settings, whole.machine, [whole.arms[0], replace(whole.arms[1], **rested), *whole.arms[2:]]
        )
        shown = Page(page(made))
        assert "170 rounds, 136 to 680 samples an arm" in shown.all_text
        assert "Every sample in its order" in shown.headings
        both = [[each.ratio.middle for each in found.differences] for found in (whole, made)]
        assert both[0] == pytest.approx(both[1], rel=0.01)
        assert rows(made)[1][columns(made).index("p90")] != "-"
        assert rows(made)[1][columns(made).index("p99")] == "-"

    def test_a_long_run_is_a_small_page_and_the_same_each_time(self) -> None:
        arms = [arm(f"arm {index}", 10.0 + index, rounds=1659) for index in range(4)]
        made = made_up(arms, rounds=1659)
        assert len(page(made).encode()) < 500_000
        assert page(made) == page(made)

    def test_every_sample_has_its_place_in_the_timeline(self) -> None:
        made = made_up(rounds=10)
        slow = [list(turn) for turn in made.arms[0].wall]
        slow[7][2] *= 30
        late = replace(made, arms=[replace(made.arms[0], wall=slow), *made.arms[1:]])
        pages = [page(each) for each in (made, late)]
        assert [len(re.findall(r"m-?\d+[- ]\d+h0", each)) for each in pages] == [160, 159], "four processes of 40"
        assert [each.count("l3-5 3 5z") for each in pages] == [0, 1], "what is beyond the strip"


class TestFiles:
    def test_all_three_are_written_and_made_again(self, tmp_path: Path) -> None:
        made = made_up()
        write(made, tmp_path / "new" / "out")
        assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == [
            "bench.html",
            "bench.json",
            "bench.md",
        ]
        assert as_content(read(tmp_path / "new" / "out" / "bench.json")) == json.loads(to_json(made))
        command(tmp_path / "new" / "out" / "bench.json", "-o", tmp_path / "again")
        for name in ("bench.html", "bench.md"):
            assert (tmp_path / "again" / name).read_text() == (tmp_path / "new" / "out" / name).read_text()
        assert not (tmp_path / "again" / "bench.json").exists()

    def test_what_cannot_be_written_leaves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "bench.md").mkdir()
        with pytest.raises(OutputError, match=r"bench\.md cannot be written"):
            write(made_up(), tmp_path, ("bench.md",))
        assert [path.name for path in tmp_path.iterdir()] == ["bench.md"]
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="file is a file; --output names a folder"):
            write(made_up(), tmp_path / "file")


class TestReadme:
    def test_what_is_between_the_marks_is_replaced_and_nothing_else(self) -> None:
        other = "<!-- bench:plates -->\nkept\n<!-- /bench:plates -->"
        text = f"before\n{TABLE}\nbetween\n{other}\nafter\n"
        done = filled(text, "road", "new\n")
        assert done == text.replace("old", "new")
        assert filled(done, "road", "new\n") == done

    def test_the_only_marks_need_no_name(self) -> None:
        assert filled(TABLE, None, "new") == TABLE.replace("old", "new")

    @pytest.mark.parametrize(
        ("text", "name", "said"),
        [
            ("nothing", None, "must be one table's marks where none is named, but it has none"),
            ("nothing", "road", r"no mark of bench:road, it has none; write <!-- bench:road -->"),
            (TABLE, "plates", "no mark of bench:plates, it has bench:road"),
            (TABLE + TABLE.replace("road", "plates"), None, "it has bench:road, bench:plates"),
            ("<!-- bench:road -->", "road", "must be two, a beginning and an end, but got <!-- bench:road -->"),
            (TABLE + TABLE, "road", "must be two"),
            ("<!-- /bench:road --><!-- bench:road -->", "road", "must be two"),
            (TABLE.replace("old", "<!-- bench:b -->"), "road", "<!-- bench:b --> stands inside of bench:road"),
        ],
    )
    def test_marks_that_are_not_as_they_should_be_are_told(self, text: str, name: str | None, said: str) -> None:
        with pytest.raises(RequestError, match=said):
            filled(text, name, "new")

    def test_a_name_cannot_end_the_table(self) -> None:
        content = markdown(DOCUMENTS["hostile names"])
        done = filled(TABLE, "road", content)
        assert filled(done, "road", content) == done


class TestCommand:
    def test_the_readme_is_filled_and_checked(self, tmp_path: Path) -> None:
        document, readme = given(tmp_path, TABLE)
        differing = command(document, "--readme", readme, "--check")
        assert isinstance(differing.exception, CheckError)
        assert "is not that of" in str(differing.exception)
        assert readme.read_text() == TABLE, "a check writes nothing"
        assert command(document, "--readme", readme, "--name", "road").exit_code == 0
        assert "| road |" in readme.read_text()
        assert command(document, "--readme", readme, "--check").exit_code == 0

    def test_a_number_that_was_typed_fails_the_check(self, tmp_path: Path) -> None:
        document, readme = given(tmp_path, TABLE)
        command(document, "--readme", readme)
        readme.write_text(readme.read_text().replace("144 MB", "44 MB"))
        assert isinstance(command(document, "--readme", readme, "--check").exception, CheckError)

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ((), "tell --output FOLDER"),
            (("--check", "-o", "out"), "about --readme, which is not given"),
            (("--name", "road", "-o", "out"), "about --readme, which is not given"),
            (("--check", "--readme", "README.md", "-o", "out"), "tell one of the two"),
        ],
    )
    def test_what_does_not_go_together_is_refused(self, arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
        document, _ = given(tmp_path, TABLE)
        failed = command(document, *arguments)
        assert isinstance(failed.exception, RequestError)
        assert said in str(failed.exception)

    def test_files_that_cannot_be_read_are_told(self, tmp_path: Path) -> None:
        document, readme = given(tmp_path, "no marks")
        assert f"{readme}: there must be one" in str(command(document, "--readme", readme).exception)
        assert isinstance(command(document, "--readme", tmp_path / "absent.md").exception, InputError)
        readme.write_bytes(b"\xff")
        assert isinstance(command(document, "--readme", readme).exception, InputError)


def given(folder: Path, text: str) -> tuple[Path, Path]:
    document, readme = folder / "bench.json", folder / "README.md"
    document.write_text(to_json(made_up()))
    readme.write_text(text)
    return document, readme


@pytest.mark.slow
@pytest.mark.torch
def test_a_run_writes_its_document_and_both_reports(tiny_bundle: Path, tmp_path: Path) -> None:
    arguments = [f"{tiny_bundle}:fp32-cpu@onnxruntime", "--smoke", "--threads", "1", "--source", "scenes:size=64x48"]
    done = CliRunner().invoke(bench, [*arguments, "-o", str(tmp_path / "out")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    made = read(tmp_path / "out" / "bench.json")
    assert (tmp_path / "out" / "bench.md").read_text() == markdown(made)
    assert (tmp_path / "out" / "bench.html").read_text() == page(made)


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "benchmarks" / "results"
SHOWN_BY = {
    RESULTS: ROOT / "README.md",
    RESULTS / "growth": ROOT / "README.md",
    RESULTS / "zen4": RESULTS / "zen4" / "README.md",
}
"""Which page has the tables of a folder's documents."""
OURS = {str(path.relative_to(RESULTS)): path for path in sorted(RESULTS.rglob("*.json"))}


class TestOurTables:
    """Those of the project's own pages."""

    @pytest.mark.parametrize("name", OURS)
    def test_a_table_is_that_of_its_document(self, name: str, tmp_path: Path) -> None:
        path = OURS[name]
        checked = ("--readme", SHOWN_BY[path.parent], "--name", path.stem, "--check")
        assert command(path, *checked).exit_code == 0
        content = json.loads(path.read_text())
        content["settings"]["tier"] = "publish"
        other = tmp_path / path.name
        other.write_text(json.dumps(content))
        assert isinstance(command(other, *checked).exception, CheckError)

    @pytest.mark.parametrize("shown_in", sorted(set(SHOWN_BY.values())), ids=lambda path: path.parent.name)
    def test_every_table_has_a_document(self, shown_in: Path) -> None:
        found = re.findall(r"<!-- (bench|growth):(\S+) -->", shown_in.read_text())
        folders = [folder for folder, shown in SHOWN_BY.items() if shown == shown_in]
        there = {("growth" if path.parent.name == "growth" else "bench", path.stem)
                 for path in OURS.values() if path.parent in folders}  # fmt: skip
        assert set(found) == there
        assert len(found) == len(there) > 0
