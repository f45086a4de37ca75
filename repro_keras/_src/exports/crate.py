"""An export as a Process Run Crate: an RO-Crate that says what was run on what, for archives.

https://w3id.org/ro/wfrun/process/0.5, which is on top of RO-Crate 1.1. It is written by hand: equal
runs have equal exports, and what the package `rocrate` writes depends on its version. The tests
read it with that.
"""

import datetime
import urllib.parse

import msgspec

from repro_keras._src import record
from repro_keras._src.comparing import compare
from repro_keras._src.errors import ExportError
from repro_keras._src.exports.layout import CRATE, PROJECT, RECORD, sha256

_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_RO_CRATE = "https://w3id.org/ro/crate/1.1"
_KERAS = "https://keras.io"


def metadata(
    statement: record.Statement,
    contents: dict[str, bytes],
    inputs: dict[str, record.File],
    about: dict,
) -> bytes:
    """The crate's metadata file.

    Args:
        statement: the record.
        contents: all files of the export, by their names in it.
        inputs: of these, and of what is left out, the files that the run read.
        about: when it was run, as is kept beside the record.

    Raises:
        ExportError: where nobody knows when it was run, which a crate has to say.
    """
    if "began" not in about:
        raise ExportError(
            "An RO-Crate says when it was made, and of this record nobody knows it: it was copied "
            "from where it was recorded. Export the run itself (`repro-keras ls`), or leave out "
            "--crate."
        )
    run = statement.predicate
    began, ended = _time(about["began"]), _time(about["began"] + about.get("seconds", 0))
    command = compare.command_of(statement)
    tool = PROJECT + run.code.target
    if tool not in contents:  # a module
        tool = f"#{run.code.target}"
    action = {
        "@id": f"#{run.seal}",
        "@type": "CreateAction",
        "name": f"Run of {run.code.target}",
        "description": command,
        "startTime": began,
        "endTime": ended,
        "instrument": _to(tool),
        "object": [_to(name) for name in inputs],
        "result": [_to(RECORD), *(_to(f"#{path}") for path in record.files(statement))],
        **_outcome(run),
    }
    software = {
        "@type": ["File", "SoftwareSourceCode"] if tool in contents else "SoftwareApplication",
        "name": run.code.target,
        "version": run.seal[:12],
        "softwareRequirements": _to(_KERAS),
    }
    files = {name: _file(contents[name]) for name in sorted(contents)}
    files[tool] = {**files.get(tool, {}), **software}
    elsewhere = {name: file for name, file in inputs.items() if name not in contents}
    graph = [
        {
            "@id": CRATE,
            "@type": "CreativeWork",
            "conformsTo": _to(_RO_CRATE),
            "about": _to("./"),
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": f"Run of {run.code.target}",
            "description": f"What it takes to run `{command}` again and compare what comes out.",
            "datePublished": ended,
            "conformsTo": _to(_PROFILE),
            "hasPart": [_to(name) for name in files if not name.startswith("#")],
            "mentions": [_to(action["@id"])],
        },
        {"@id": _PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        action,
        {
            "@id": _KERAS,
            "@type": "SoftwareApplication",
            "name": "Keras",
            "url": _KERAS,
            "softwareVersion": run.software.packages.get("keras", "unknown"),
        },
        *({"@id": _id(name), **facts} for name, facts in files.items()),
        *(_absent(name, file.sha256) for name, file in elsewhere.items()),
        *(
            _absent(f"#{path}", value)
            for path in record.files(statement)
            for value in [record.subjects(statement)[f"file/{path}"]]
        ),
    ]
    context = [f"{_RO_CRATE}/context", "https://w3id.org/ro/terms/workflow-run/context"]
    found = msgspec.json.encode({"@context": context, "@graph": graph})
    return msgspec.json.format(found) + b"\n"


def _outcome(run: record.Run) -> dict[str, str]:
    if run.status == "finished":
        return {"actionStatus": "http://schema.org/CompletedActionStatus"}
    return {
        "actionStatus": "http://schema.org/FailedActionStatus",
        "error": run.error or run.status,
    }


def _file(content: bytes) -> dict[str, str]:
    return {"@type": "File", "contentSize": str(len(content)), "sha256": sha256(content)}


def _absent(name: str, sha256: str) -> dict[str, str]:
    """A file that is not in the crate: data entities have to be there."""
    return {
        "@id": _id(name),
        "@type": "CreativeWork",
        "name": name.removeprefix("#"),
        "sha256": sha256,
    }


def _to(name: str) -> dict[str, str]:
    return {"@id": _id(name)}


def _id(name: str) -> str:
    """A name as an address, relative to the crate or absolute."""
    if name.startswith("https://"):
        return name
    mark = "#" * name.startswith("#")  # of what is not in the crate
    return mark + urllib.parse.quote(name.removeprefix(mark))


def _time(seconds: float) -> str:
    found = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return found.isoformat(timespec="seconds")
