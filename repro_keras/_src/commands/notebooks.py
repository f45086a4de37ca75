"""`repro-keras verify NOTEBOOK.ipynb`: its cells are run again, and their outputs compared."""

import dataclasses
from pathlib import Path

import click

from repro_keras._src import project
from repro_keras._src.cells import again
from repro_keras._src.commands import tables
from repro_keras._src.commands.common import code_of, confirm, print_json
from repro_keras._src.comparing import saying
from repro_keras._src.errors import RunError
from repro_keras._src.runs import terminal


def verify(
    path: Path,
    yes: bool,
    keep: bool,
    twice: bool,
    update: bool,
    timeout: int | None,
    as_json: bool,
) -> int:
    """Runs a notebook and says what came out; returns the exit code."""
    notebook = again.read(path)
    if not (notebook.has_outputs or twice or update):
        raise RunError(
            f"{path} has no outputs to compare with. --twice compares two runs with each other, "
            "--update writes outputs into it."
        )
    if not yes:
        home = project.find(path).root
        click.echo(f"This runs the cells of {path} in a copy of {home}.", err=True)
        confirm()
    then, what = notebook.node, "its outputs and a run"
    try:
        if twice:
            then = again.run(notebook, timeout=timeout, progress=terminal.show).node
            what = "two runs"
        ran = again.run(notebook, timeout=timeout, keep=keep, progress=terminal.show)
    finally:
        terminal.clear()
    cells = again.compare(then, ran) if twice or notebook.has_outputs else []
    if update:
        again.update(notebook, ran)
    same = again.same(cells)
    if as_json:
        first = next((cell for cell in cells if cell.same is not True), None)
        found = {
            "verdict": saying.VERDICTS[same],
            "notebook": str(path),
            "cells": [
                {**dataclasses.asdict(cell), "same": saying.VERDICTS[cell.same]} for cell in cells
            ],
            "first_difference": first and {"cell": first.cell, "what": first.difference},
            "failed": ran.failed or None,
            "reasons": [],
            "updated": update,
        }
        print_json(found)
        return code_of(same)
    if cells:
        tables.show_cells(cells, f"{path}: {what}")
    if ran.failed:
        tables.say(f"Cell {ran.failed} failed; those after it were not run.")
    if ran.folder is not None:
        tables.say(f"It ran in {ran.folder}")
    if update:
        tables.say(f"Its outputs are now those of the run: {path}")
    if cells:
        tables.show_word(same)
    return code_of(same)
