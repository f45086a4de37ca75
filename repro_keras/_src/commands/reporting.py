"""`repro-keras report`: a page about a run, or two."""

import sys
from pathlib import Path

import click

from repro_keras._src.commands import tables
from repro_keras._src.commands.common import code_of, current_project, read, run_argument
from repro_keras._src.errors import RunError
from repro_keras._src.runs import store


@click.command("report")
@run_argument("run", metavar="[RUN]")
@run_argument("other", metavar="[OTHER]")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html",
    help="Where to write it; without this, here, under the runs' ids.",
)
def report_command(run: str | None, other: str | None, output: Path | None) -> None:
    """Write a page about a run, or about two and how they differ; nothing is run.

    RUN and OTHER are runs' ids (the beginning or the last digits), folders of runs, files of
    records, or exports (.zip); without RUN, the latest run. The page is one HTML file that loads
    nothing from elsewhere; the same records make the same file. Exit code: that of `diff`; 0 for
    one run.
    """
    from repro_keras._src import report

    home = current_project()
    paths = [store.find(home, name) for name in ([run, other] if other else [run])]
    names = [store.id_of(path) or path.stem for path in paths]
    place = output or Path("-".join(names) + ".html")
    if any(place.exists() and place.samefile(path) for path in paths):
        raise RunError(f"{place} is a record, which the page would replace: give it another -o.")
    verdict = report.write(place, *(read(path)[0] for path in paths))
    tables.say(f"{place}: {place.stat().st_size / 1e3:.0f} kB")
    if verdict is not None:
        tables.show_word(verdict.same)
        sys.exit(code_of(verdict.same))
