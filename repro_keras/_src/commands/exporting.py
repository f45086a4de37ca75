"""`repro-keras export`: a run in one zip file."""

from pathlib import Path

import click
import msgspec

from repro_keras._src import project, words
from repro_keras._src.commands.common import AS_JSON, RUN, current_project, print_json
from repro_keras._src.exports import making
from repro_keras._src.runs import store


@click.command("export")
@RUN
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.zip",
    help="Where to write it; without this, here, under the run's id.",
)
@click.option(
    "--max-data",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    metavar="MB",
    help="How much data goes in, in all; the smallest files first.",
)
@click.option(
    "--states",
    "with_states",
    is_flag=True,
    help="Put its states of training in, for `repro-keras diff --replay`.",
)
@click.option("--crate", "with_crate", is_flag=True, help="Make it a Process Run Crate (RO-Crate).")
@click.option(
    "--sign",
    "key",
    type=click.Path(path_type=Path),
    metavar="KEY.pem",
    help="Sign the record with a private key.",
)
@AS_JSON
def export_command(
    run: str | None,
    output: Path | None,
    max_data: int,
    with_states: bool,
    with_crate: bool,
    key: Path | None,
    as_json: bool,
) -> None:
    """Put a run into one zip file, which `repro-keras verify` takes on another machine.

    RUN is a run's id, or the file of a record; without it, the latest run. In the zip are the
    record, the code and small data as they were, the versions of packages, and what `git diff` said
    (docs/export.md). The same run gives the same file, byte for byte. Exit code 2: some of the code
    was changed since, or is missing.
    """
    path = store.find(current_project(), run)
    place = output or Path(f"{store.id_of(path) or path.stem}.zip")
    made = making.make(
        path,
        place,
        max_data=max_data * 1_000_000,
        with_states=with_states,
        with_crate=with_crate,
        key=key,
    )
    if as_json:
        found = {"file": str(place), "sha256": project.sha256(place)}
        print_json({**found, **msgspec.to_builtins(made)})
        return
    click.echo(f"{place}: {made.files} files, {place.stat().st_size / 1e6:.1f} MB")
    click.echo(
        f"pylock.toml has {made.packages} packages, {made.hashed} of them with a hash or commit: "
        "installed packages do not know the hashes of their wheels."
    )
    for file in made.left_out:
        click.echo(f"Left out: {words.plain(file.path)}, {file.size / 1e6:.1f} MB ({file.why})")
