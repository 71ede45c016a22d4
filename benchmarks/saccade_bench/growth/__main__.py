"""What a bundle costs as work grows, measured and shown.

python -m saccade_bench.growth road.saccade --source drive.mp4 -o runs/growth
python -m saccade_bench.report runs/growth/growth.json --readme README.md --name road
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from saccade.cli import emit_json, run_command
from saccade.errors import OutputError

AXES = ("resolution", "batch", "cameras", "threads", "clip")


@click.command()
@click.argument("bundle")
@click.option("--source", required=True, help="Where the frames come from: a video, as saccade run takes it.")
@click.option("--axis", "axes", type=click.Choice(AXES), multiple=True, help="Only this one; repeatable.  [all]")
@click.option("--smoke", "tier", flag_value="smoke", help="A minute or two: to see that all of it runs.")
@click.option("--quick", "tier", flag_value="quick", default="quick", help="About four minutes.  [default]")
@click.option("--publish", "tier", flag_value="publish", help="At most 10 minutes an axis.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder for growth.json, .md and .html.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
def main(bundle: str, source: str, axes: tuple[str, ...], tier: str, output: Path | None, as_json: bool) -> None:
    """Measure what BUNDLE.saccade[:VARIANT][@ENGINE][*THREADS] costs as work grows.

    Larger frames, more at once, more cameras, more threads, and a clip several times as long. Each point has a process
    of its own, and those of one axis take turns. Exit code 1: memory grows with the length of the clip.
    """
    from rich.console import Console

    from saccade_bench.growth.cells import conditions
    from saccade_bench.growth.document import as_content
    from saccade_bench.growth.measuring import Request, run
    from saccade_bench.growth.reports import FORMS, show
    from saccade_bench.progress import shown_progress
    from saccade_bench.report.files import write_texts

    if output is not None and output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file; --output names a folder")
    chosen = [name for name in AXES if name in axes or not axes]
    with shown_progress() as tell:
        made = run(Request(bundle, source, chosen, tier), tell)
    if output is not None:
        write_texts(output, {name: form(made) for name, form in FORMS.items()})
    if as_json:
        emit_json(as_content(made))
    else:
        click.echo(conditions(made))
        show(made, Console(width=None if sys.stdout.isatty() else 200))
    if not made.is_flat_in_clip_length:
        raise SystemExit(1)


if __name__ == "__main__":
    run_command(main, "python -m saccade_bench.growth", "ort,video,export,bench")
