"""What is where in an export, and its manifest."""

import hashlib
from typing import Literal

import msgspec

from repro_keras._src import record
from repro_keras._src.runs import store

MANIFEST = "manifest.json"
RECORD = store.RECORD
PROJECT = "project/"
DIFF = store.DIFF
SIGNATURE = "record.dsse.json"
CRATE = "ro-crate-metadata.json"
README = "README.md"
PYLOCK = "pylock.toml"
REQUIREMENTS = "requirements.txt"
TYPE = "urn:repro-keras:export"
SCHEMA = 1


class LeftOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that the run read and that is not in the export."""

    path: str
    sha256: record.Sha256
    size: int
    why: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is in an export: each file but this one, and what was left out."""

    type: Literal["urn:repro-keras:export"]
    schema: int
    files: list[record.File]
    left_out: list[LeftOut]


def sha256(content: bytes) -> str:
    """The digest of a file's bytes, as records have it."""
    return hashlib.sha256(content).hexdigest()


def states(statement: record.Statement) -> dict[str, str]:
    """The digests of the states of training that a run left behind, by their paths."""
    folders = tuple(f"{folder}/" for folder in statement.predicate.states)
    written = {
        name.removeprefix("file/"): digest
        for name, digest in record.subjects(statement).items()
        if name.startswith("file/")
    }
    return {
        name: digest
        for name, digest in written.items()
        if name.startswith(folders) and name.endswith(".safetensors")
    }
