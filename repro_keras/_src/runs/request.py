"""What a process is asked to run."""

from pathlib import Path

import msgspec

NAME = "request.json"


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay is to look at.

    Attributes:
        step: the step of the run whose tensors are wanted, from 1.
        since: after how many steps operations are run one by one, so that they can be seen.
        tensor: the one tensor whose elements are wanted; `None` for those that there is room for.
    """

    step: int
    since: int
    tensor: str | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A script, module or notebook to run, as the shell gave it.

    Attributes:
        kind: `"script"`, `"module"` or `"notebook"`.
        target: its path from the working directory, or the module's name.
        arguments: what it finds in `sys.argv[1:]`.
        root: the project's folder.
        folder: the working directory.
        ignored: patterns of files whose bytes are not compared.
        from_inside: whether recording begins where the script makes `repro.Record()`.
        untouched: folders of projects that must not be changed, where this one is a copy made to
            verify; nor must what the links in it lead to.
        given: paths outside of the project among the arguments; what is there must not be changed
            either then.
        parent: the record of the run that is continued.
        look: what a replay looks at.
    """

    kind: str
    target: str
    arguments: list[str] = []
    root: str
    folder: str
    ignored: list[str] = []
    from_inside: bool = False
    untouched: list[str] = []
    given: list[str] = []
    parent: str | None = None
    look: Look | None = None


def write(folder: Path, request: Request) -> None:
    (folder / NAME).write_bytes(msgspec.json.encode(request))


def read(folder: Path) -> Request:
    return msgspec.json.decode((folder / NAME).read_bytes(), type=Request)
