"""Putting an export together: the record, its code, small data, and the versions."""

from pathlib import Path

import msgspec

from repro_keras._src import project, record
from repro_keras._src.comparing import compare
from repro_keras._src.errors import ExportError
from repro_keras._src.exports import archive, crate, layout, lock, sign
from repro_keras._src.runs import kept, store, verify
from repro_keras._src.words import listed

_README = """\
# A recorded run

`{command}`: {steps} steps, {status}; recorded on {cpu}, with Python {python}.

1. Have Python {python} and repro_keras, and `pip install -r requirements.txt`.
2. `repro-keras verify FILE.zip`: it checks each file, asks, and runs a copy of `project/` again.
3. Exit code 0: the same, bit for bit; 1: different, and it says where first and likely why.
4. Exit code 2: it could not be told, as on another CPU, where `--allow` tries all the same.
5. Data that was left out, and is looked for beside the zip file and in your project: {left_out}.
"""


class Made(msgspec.Struct, frozen=True):
    """An export that was written.

    Attributes:
        files: how many files are in it.
        packages: how many package versions its `pylock.toml` has.
        hashed: of how many of these it has the source, with a hash or commit.
        left_out: data that is not in it.
    """

    files: int
    packages: int
    hashed: int
    left_out: list[layout.LeftOut]


def make(
    path: Path,
    place: Path,
    *,
    max_data: int,
    with_states: bool = False,
    with_crate: bool = False,
    key: Path | None = None,
) -> Made:
    """Writes the export of a run; the same run gives the same bytes.

    Args:
        path: the record's file.
        place: where to write the zip file.
        max_data: how many bytes of data go in, the smallest files first.
        with_states: whether its states of training go in, so that a replay need not begin at the
            beginning.
        with_crate: whether to describe it as an RO-Crate.
        key: a private key's file to sign the record with.

    Raises:
        RecordError: where the record cannot be read.
        ExportError: where its code is not there any more, or it cannot be exported.
        RunError: where its code is nowhere.
        SaveError: where the zip file cannot be written.
    """
    statement = record.read(path)
    run = statement.predicate
    home = verify.home_of(path, statement)
    code = _code(home, statement)
    data, left_out = _data(home, [f for f in run.read if f.path not in code], max_data)
    contents = {layout.PROJECT + name: content for name, content in {**code, **data}.items()}
    if with_states:
        contents.update(_states(home, statement))
    contents[layout.RECORD] = path.read_bytes()
    pylock, hashed = lock.pylock(run.software)
    contents[layout.PYLOCK] = pylock.encode()
    contents[layout.REQUIREMENTS] = lock.requirements(run.software).encode()
    contents[layout.README] = _readme(statement, left_out).encode()
    difference = store.git_diff(path, run.code.git)
    if difference is not None:
        contents[layout.DIFF] = difference
    if key is not None:
        contents[layout.SIGNATURE] = sign.sign(contents[layout.RECORD], key)
    if with_crate:
        inputs = {layout.PROJECT + file.path: file for file in run.read}
        contents[layout.CRATE] = crate.metadata(
            statement, contents, inputs, store.about(path.parent)
        )
    contents[layout.MANIFEST] = _manifest(contents, left_out)
    archive.write(place, contents)
    return Made(len(contents), len(run.software.packages), hashed, left_out)


def _code(home: project.Project, statement: record.Statement) -> dict[str, bytes]:
    """The code that a record names, as it was.

    Raises:
        ExportError: where some of it was changed since.
    """
    found, changed = {}, []
    for file in statement.predicate.code.files:
        place = kept.as_it_was(home, file)
        if place is None:
            changed.append(file.path)
        else:
            found[file.path] = place.read_bytes()
    if changed:
        git = statement.predicate.code.git
        commit = f" (git commit {git.commit[:12]}{' and changes' * bool(git.diff)})" if git else ""
        raise ExportError(
            f"The run cannot be exported: {listed(changed, 10)} in {home.root} was changed since "
            f"it was recorded. Put it back as it was{commit}, or record the run again."
        )
    return found


def _states(home: project.Project, statement: record.Statement) -> dict[str, bytes]:
    """The states of training that the run left behind.

    Raises:
        ExportError: where there are none.
    """
    found = {
        layout.PROJECT + name: (home.root / name).read_bytes()
        for name, digest in layout.states(statement).items()
        if (home.root / name).is_file() and project.sha256(home.root / name) == digest
    }
    if not found:
        raise ExportError(
            "There are no states of training to export: the run had no callback "
            "repro.TrainingState(directory), or they are not in their place any more."
        )
    return found


def _data(
    home: project.Project, files: list[record.File], most: int
) -> tuple[dict[str, bytes], list[layout.LeftOut]]:
    """The data that goes in, the smallest files first, and what does not."""
    found: dict[str, bytes] = {}
    left_out = []
    for file in sorted(files, key=lambda file: (file.size, file.path)):
        place = kept.as_it_was(home, file)
        if place is None:
            there = (home.root / file.path).is_file()
            why = "it was changed since, or by the run" if there else "it is missing"
        elif file.size > most:
            why = "too large"
        else:
            found[file.path] = place.read_bytes()
            most -= file.size
            continue
        left_out.append(layout.LeftOut(file.path, file.sha256, file.size, why))
    return found, sorted(left_out, key=lambda file: file.path)


def _readme(statement: record.Statement, left_out: list[layout.LeftOut]) -> str:
    run = statement.predicate
    return _README.format(
        command=compare.command_of(statement),
        steps=record.steps_of(run.trail),
        status=run.status,
        cpu=run.machine.model,
        python=run.software.python,
        left_out=listed([file.path for file in left_out], 10) or "none",
    )


def _manifest(contents: dict[str, bytes], left_out: list[layout.LeftOut]) -> bytes:
    files = [
        record.File(path=name, sha256=layout.sha256(content), size=len(content))
        for name, content in sorted(contents.items())
    ]
    content = msgspec.json.encode(layout.Manifest(layout.TYPE, layout.SCHEMA, files, left_out))
    return msgspec.json.format(content) + b"\n"
