"""What a run was: the record, as types, and reading and writing it.

A record is an in-toto Statement v1 (https://in-toto.io): its subject are digests of what came out,
its predicate what is needed to run again, and the trail of the steps. Reading one runs nothing.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from repro_keras._src import atomic, bits
from repro_keras._src.errors import RecordError

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:repro-keras:run"
SCHEMA = 1

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Hex = Annotated[
    str,
    Meta(
        description="a float, exactly, as Python's float.hex writes it",
        pattern=r"^(-?0x[01]\.[0-9a-f]{1,13}p[+-](10[01][0-9]|102[0-3]|[0-9]{1,3})|-?inf|nan)$",
    ),
]
State = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
Status = Literal["finished", "failed", "interrupted", "killed"]


class _Struct(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    pass


class Subject(_Struct):
    """Something that came out of the run: `model/0/weights`, `file/net.keras`, …"""

    name: str
    digest: Annotated[dict[str, Sha256], Meta(extra_json_schema={"required": ["sha256"]})]


class File(_Struct):
    """A file below the project's folder."""

    path: str
    sha256: Sha256
    size: int


class Git(_Struct):
    """The commit, and the SHA-256 of `git diff HEAD` where there is any difference."""

    commit: str
    diff: Sha256 | None = None


class Code(_Struct):
    """What was run. Absolute arguments below the project are written `{project}/…`."""

    kind: Literal["script", "module", "notebook"]
    target: str
    arguments: list[str] = []
    folder: str = "."
    files: list[File] = []
    git: Git | None = None


class Software(_Struct):
    """Versions of Python and of all packages installed, and the names of those loaded."""

    python: str
    packages: dict[str, str]
    loaded: list[str]


class Machine(_Struct):
    """The machine, as far as bits may hang on it."""

    system: str
    model: str
    architecture: str
    instruction_sets: list[str]
    caches: dict[str, int]
    cores: int


class Data(_Struct):
    """An argument of `fit`, `evaluate` or `predict`; what cannot be digested has no digest."""

    call: str
    argument: str
    type: str
    digest: Sha256 | None = None
    calls: int = 1


class Model(_Struct):
    """A model that was trained: its digests by layer before the first step."""

    name: str
    type: str
    initial: dict[str, Sha256]


class Steps(_Struct):
    """Columns with an entry for each step.

    The true loss of the step (`null` where it was not seen), the learning rate, 16 hexadecimal
    digits of a fingerprint of some weights after it, which optimizer made it, by its number (left
    out where all are the first), and 16 digits of a fingerprint of the batch that it saw, in a
    `fit` whose data are not digested as a whole (left out in others; `null` where it was not seen).
    """

    loss: list[Hex | None] = []
    learning_rate: list[Hex] = []
    state: list[State] = []
    optimizer: list[int] = []
    batch: list[State | None] = []


class Segment(_Struct):
    """A stretch of the trail: an epoch of a `fit`, or steps outside of one.

    Attributes:
        steps: its steps.
        chain: the SHA-256 of the chain before it and its own canonical JSON without this.
        fit: the number of the `fit` call in the run.
        model: which of the models.
        epoch: as Keras counts it.
        complete: whether the epoch came to its end.
        metrics: its logs.
        layers: digests by layer at its end.
        lost: how many of its steps went by unseen.
        generators: of the first one of a `fit`, the digests of the global generators where the
            `fit` began, by whose they are: what was drawn between fits shows there.
        by_batch: what Keras told callbacks of each metric after each batch (after each call, where
            it makes several steps in one); the loss is among the steps.
        batch_ends: which batches of the epoch these are, from 0 (left out where it is each).
    """

    steps: Steps
    chain: str = ""
    fit: int | None = None
    model: int | None = None
    epoch: int | None = None
    complete: bool = True
    metrics: dict[str, Hex] = {}
    layers: dict[str, Sha256] = {}
    lost: int = 0
    generators: dict[str, Sha256] = {}
    by_batch: dict[str, list[Hex]] = {}
    batch_ends: list[int] = []

    def ends(self) -> list[int]:
        """Which batches of its epoch `by_batch` tells of, from 0."""
        return self.batch_ends or list(range(max(map(len, self.by_batch.values()), default=0)))


class Run(_Struct):
    """The predicate: what is needed to run again, and how it went.

    Attributes:
        cut_off: whether it could not be recorded to its end, e.g. as the disk was full.
        from_inside: whether it was recorded from where the script made `repro.Record()`.
        read_input: whether it read its standard input, which is not kept.
        ignored: patterns of files whose bytes are not compared.
        unchecked: the files that it wrote and that match these.
        unseen: the files that changed meanwhile without Python having opened them to write: by
            TensorFlow or HDF5, or by another process.
        states: the folders with states of training.
        parent: the seal of the record of the run that it continues.
        resumed: how many steps of the trail are that run's.
    """

    schema: int
    status: Status
    code: Code
    configuration: dict[str, str | int | None]
    environment: dict[str, str]
    software: Software
    machine: Machine
    exit_code: int | None = None
    error: str | None = None
    data: list[Data] = []
    read: list[File] = []
    models: list[Model] = []
    trail: list[Segment] = []
    cut_off: bool = False
    from_inside: bool = False
    read_input: bool = False
    ignored: list[str] = []
    unchecked: list[str] = []
    unseen: list[str] = []
    states: list[str] = []
    parent: Sha256 | None = None
    resumed: int | None = None
    seal: str = ""

    @property
    def ended(self) -> bool:
        """Whether its end is known; if not, only what is on the record can be compared."""
        return self.status in ("finished", "failed") and not self.cut_off


class Statement(_Struct):
    """The in-toto Statement."""

    type: Literal["https://in-toto.io/Statement/v1"] = msgspec.field(name="_type")
    subject: list[Subject]
    predicate_type: Literal["urn:repro-keras:run"] = msgspec.field(name="predicateType")
    predicate: Run


def schema() -> dict[str, Any]:
    """The JSON Schema of a record (`docs/record.schema.json`)."""
    return msgspec.json.schema(Statement)


def steps_of(trail: Sequence[Segment]) -> int:
    """How many steps of a trail were seen."""
    return sum(len(segment.steps.loss) for segment in trail)


def chained(trail: list[Segment]) -> list[Segment]:
    """The trail with the `chain` of each segment."""
    before, result = "", []
    for segment in trail:
        before = _chain(before, segment)
        result.append(msgspec.structs.replace(segment, chain=before))
    return result


def cut(trail: list[Segment], steps: int, batches: int) -> tuple[list[Segment], Segment]:
    """A trail up to a step, and the segment that is in progress there.

    Args:
        trail: of a run.
        steps: how many of its steps stay.
        batches: how many batches of its epoch the last of them ends; 0 where that epoch is over.
    """
    whole: list[Segment] = []
    for segment in trail:
        size = len(segment.steps.loss) + segment.lost
        if size > steps or (batches and size == steps):
            part = min(steps, len(segment.steps.loss))
            columns = msgspec.structs.asdict(segment.steps)
            kept = Steps(**{name: column[:part] for name, column in columns.items()})
            ends = [end for end in segment.ends() if end < batches]
            return whole, Segment(
                steps=kept,
                lost=steps - part,
                generators=segment.generators,
                by_batch={name: told[: len(ends)] for name, told in segment.by_batch.items()},
                batch_ends=ends,
            )
        whole.append(msgspec.structs.replace(segment, chain=""))
        steps -= size
    return whole, Segment(steps=Steps())


def _chain(before: str, segment: Segment) -> str:
    return _digest([before, msgspec.structs.replace(segment, chain="")])


def _seal(statement: Statement) -> str:
    open_ = msgspec.structs.replace(statement.predicate, seal="")
    return _digest(msgspec.structs.replace(statement, predicate=open_))


def _digest(value: Any) -> str:
    """The SHA-256 of a value's canonical JSON."""
    text = msgspec.json.encode(value, order="sorted")
    if not text.isascii() or b"\\" in text:  # else they are equal, and this is fast
        text = bits.canonical_json(msgspec.to_builtins(value))
    return hashlib.sha256(text).hexdigest()


def write(path: Path, statement: Statement) -> Statement:
    """Writes a record whole or not at all, sealed with the digest of all that it says.

    Raises:
        SaveError: where it cannot be written.
    """
    seal = _seal(statement)
    sealed = msgspec.structs.replace(
        statement, predicate=msgspec.structs.replace(statement.predicate, seal=seal)
    )
    with atomic.replacing(path) as place:
        place.write_text(_laid_out(msgspec.to_builtins(sealed)) + "\n", encoding="utf-8")
    return sealed


def read(path: str | os.PathLike) -> Statement:
    """Reads a record and checks that nobody has changed it. Nothing in it is run.

    Raises:
        RecordError: where it is missing, cut off, changed, something else, or of a newer schema.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path} could not be read: {error.strerror}.", error.errno) from None
    return decoded(content, path)


def decoded(content: bytes, path: Path) -> Statement:
    """A record from the bytes of its file, checked as `read` does; errors name `path`.

    Raises:
        RecordError: where it is cut off, changed, something else, or of a newer schema.
    """
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(
            f"{path} should be the record of a run, as JSON, and is not: {error}. It may be cut "
            "off; get it again from where it was made."
        ) from None
    what = found.get("predicateType") if isinstance(found, dict) else type(found).__name__
    if not isinstance(found, dict) or found.get("_type") != STATEMENT or what != PREDICATE:
        raise RecordError(
            f"{path} is not a record of repro_keras: expected an in-toto Statement of the type "
            f"{PREDICATE!r}. Received: {what!r}."
        )
    number = found["predicate"].get("schema") if isinstance(found.get("predicate"), dict) else None
    if isinstance(number, int) and number > SCHEMA:
        raise RecordError(
            f"{path} was written by a newer repro_keras: its schema is {number}, and this version "
            f"reads up to {SCHEMA}. Install a newer repro_keras."
        )
    try:
        statement = msgspec.convert(found, Statement)
        _check_form(statement)
    except (msgspec.ValidationError, RecursionError) as error:
        raise RecordError(
            f"{path} is not a record that can be read: {error}. Get it again from where it was "
            "made."
        ) from None
    _check(path, statement)
    return statement


def _check_form(statement: Statement) -> None:
    """Checks what the types do not say.

    Raises:
        msgspec.ValidationError: where something is not as it has to be.
    """
    for subject in statement.subject:
        if "sha256" not in subject.digest:
            raise msgspec.ValidationError(f"the subject {subject.name!r} has no `sha256`")
    names: set[str] = set()
    for subject in statement.subject:
        if subject.name in names:
            raise msgspec.ValidationError(f"the subject {subject.name!r} is there twice")
        names.add(subject.name)
    for segment in statement.predicate.trail:
        steps = segment.steps
        columns = [len(steps.loss), len(steps.learning_rate), len(steps.state)]
        columns += [len(column) for column in (steps.optimizer, steps.batch) if column]
        if len(set(columns)) > 1:
            raise msgspec.ValidationError(f"the columns of `steps` have {columns} entries")
        sizes = {len(told) for told in segment.by_batch.values()}
        if sizes - {len(segment.ends())}:
            raise msgspec.ValidationError(f"the columns of `by_batch` have {sorted(sizes)} entries")
    for path in _paths(statement):
        if not is_below(path):
            raise msgspec.ValidationError(
                f"the path {path!r} should be relative and lead to below the project's folder"
            )


def _paths(statement: Statement) -> list[str]:
    """All paths that a record names."""
    run = statement.predicate
    found = [run.code.folder, *run.unchecked, *run.unseen]
    found += [file.path for file in (*run.code.files, *run.read)]
    if run.code.kind != "module":
        found.append(run.code.target)
    return found + files(statement)


def is_below(path: str) -> bool:
    """Whether a path stays below the folder that it is relative to."""
    parts = PurePath(path)
    return bool(path) and "\0" not in path and not parts.anchor and ".." not in parts.parts


def _check(path: Path, statement: Statement) -> None:
    before = ""
    for number, segment in enumerate(statement.predicate.trail):
        before = _chain(before, segment)
        if before != segment.chain:
            raise RecordError(
                f"{path} was changed after it was written: the trail does not fit its digest in "
                f"{name_of(segment, number)}. Get the record again from where it was made."
            )
    if _seal(statement) != statement.predicate.seal:
        raise RecordError(
            f"{path} was changed after it was written: what it says does not fit its digest. Get "
            "the record again from where it was made."
        )


def name_of(segment: Segment, number: int) -> str:
    """What a segment is called, for people, who count from 1."""
    if segment.fit is None:
        return f"part {number + 1} of the trail, outside of fit"
    if segment.epoch is None:
        return f"fit {segment.fit + 1}"
    return f"fit {segment.fit + 1}, epoch {segment.epoch + 1}"


def name_of_data(data: Data) -> str:
    """What an argument of a call is called, for people: `x of fit 1` is of the first `fit`."""
    call = re.sub(r"\d+", lambda number: str(int(number[0]) + 1), data.call, count=1)
    return f"{data.argument} of {call}"


def subjects(statement: Statement) -> dict[str, str]:
    """The digests of what came out, by name."""
    return {subject.name: subject.digest["sha256"] for subject in statement.subject}


def files(statement: Statement) -> list[str]:
    """The files that the run wrote and whose bytes are on the record."""
    names = [subject.name for subject in statement.subject]
    return [name.removeprefix("file/") for name in names if name.startswith("file/")]


def _laid_out(value: Any, indent: str = "") -> str:
    """JSON that a person can read: lists of plain values, as the columns are, on one line."""
    inner = indent + " "
    if isinstance(value, dict) and value:
        items = (
            f"{inner}{_plain(key)}: {_laid_out(value[key], inner)}" for key in value
        )  # in the order of the types above
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        return "[\n" + ",\n".join(inner + _laid_out(i, inner) for i in value) + f"\n{indent}]"
    return _plain(value)


def _plain(value: Any) -> str:
    return msgspec.json.encode(value).decode()
