"""`repro-keras run` and `resume`: scripts are run, and recorded."""

import json
import os
import sys
from pathlib import Path

import click

from repro_keras._src import project, record
from repro_keras._src.commands.common import ALLOW, RUN, YES, ask, current_project, note
from repro_keras._src.runs import launch, store, verify


@click.command(
    "run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.option("-m", "is_module", is_flag=True, help="TARGET is a module, as for `python -m`.")
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="GLOB",
    help="Do not compare the files written that match (e.g. 'logs/*'); may be repeated.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="At the end, print what was recorded as JSON."
)
@click.argument("target", type=click.Path())
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run_command(
    is_module: bool, ignored: tuple[str, ...], as_json: bool, target: str, arguments: tuple[str]
) -> None:
    """Run a script, module or notebook under the configuration, and record it.

    Its output and exit code are passed on. The record is written to `.repro/runs` in the project's
    folder; `repro-keras verify` runs it again and compares.
    """
    if target.startswith("-") and not Path(target).exists():  # the script's own come after it
        raise click.NoSuchOption(target)
    wanted = launch.requested(target, list(arguments), is_module=is_module, ignored=list(ignored))
    folder = store.new(project.find(Path.cwd()))  # where `show` and `verify` look
    finished = launch.run(wanted, folder)
    _say_recorded(finished, as_json)


@click.command("resume")
@RUN
@YES
@ALLOW
@click.option("--json", "as_json", is_flag=True, help="At the end, print what was recorded.")
def resume_command(run: str | None, yes: bool, allow: bool, as_json: bool) -> None:
    """Go on with a run that was killed, interrupted or failed, as a new run.

    RUN is a run's id; without it, the latest run. It must have kept the state of training
    (`repro.TrainingState`). The new record has the whole trail, and names the record that it
    continues. Its output and exit code are passed on.
    """
    from repro_keras._src.runs import resuming

    found = resuming.find(current_project(), run)
    if not yes:
        ask(found.path, found.statement, verify.home_of(found.path, found.statement), "")
    finished = resuming.go_on(found, allow=allow)
    _say_recorded(finished, as_json)


def _say_recorded(finished: launch.Finished, as_json: bool) -> None:
    """Says what was recorded, and ends with the script's exit code."""
    run = finished.statement.predicate
    steps = record.steps_of(run.trail)
    place = os.path.relpath(finished.path)
    if as_json:
        found = {"id": finished.folder.name, "record": place, "status": run.status, "steps": steps}
        click.echo(json.dumps({**found, "exit_code": finished.exit_code}))
    else:
        said = [run.status] * (run.status != "finished")
        said += ["cut off, as the disk was full"] * run.cut_off
        what = f" ({', '.join(said)})" if said else ""
        note(f"recorded {steps} steps{what} in {place}")
    code = finished.exit_code
    sys.exit(128 - code if code < 0 else code)
