"""Recording a run: start it in a fresh process, and put its record together when it is over."""

import dataclasses
import fnmatch
import getpass
import json
import os
import platform
import re
import sys
import time
from pathlib import Path

from repro_keras._src import config, machine, project, record
from repro_keras._src.digest import digest
from repro_keras._src.errors import ReproError, RunError
from repro_keras._src.runs import journal, request, store, terminal

OUTPUT = "output.txt"
START = "start.json"
_PROJECT, _OUTSIDE = "{project}", "{outside}"


@dataclasses.dataclass(frozen=True)
class Finished:
    """A run that is over.

    Attributes:
        folder: where it was recorded.
        statement: its record.
        exit_code: the exit status of its process; negative where a signal ended it.
    """

    folder: Path
    statement: record.Statement
    exit_code: int

    @property
    def path(self) -> Path:
        return self.folder / store.RECORD


def requested(
    target: str, arguments: list[str], *, is_module: bool, ignored: list[str] | None = None
) -> request.Request:
    """What a shell asks for, checked.

    Raises:
        RunError: where there is no such script, or plain Keras is asked for.
    """
    if config.OFF:
        raise RunError(
            "REPRO_KERAS_OFF is set: plain Keras has no seam, and its steps cannot be recorded. "
            "Unset it."
        )
    folder = Path.cwd()
    kind = "module" if is_module else "script"
    start = folder
    if not is_module:
        path = Path(target)
        if not path.is_file():
            raise RunError(
                f"There is no file {target!r} to run in {folder}. Expected a script (.py) or a "
                "notebook (.ipynb); for a module, `-m`."
            )
        if path.suffix == ".ipynb":
            kind = "notebook"
        start = path
    found = project.find(start)
    if found.relative(folder) is None:  # run from elsewhere
        found = project.Project(Path(os.path.commonpath([found.root, folder])))
        if found.root == Path(found.root.anchor):
            raise RunError(
                f"{target} and the working directory {folder} have no folder in common, so that "
                "there is no project to record. Change to the script's folder."
            )
    return request.Request(
        kind=kind,
        target=target,
        arguments=arguments,
        root=str(found.root),
        folder=str(folder),
        ignored=ignored or [],
    )


def run(
    wanted: request.Request,
    folder: Path,
    *,
    environment: dict[str, str] | None = None,
    quiet: bool = False,
    **about,
) -> Finished:
    """Runs what is asked for in a fresh process, and writes its record.

    Args:
        wanted: what to run.
        folder: the run's, new.
        environment: the process's environment; `None` for the one that we were started in.
        quiet: whether its output goes to a file in the folder, instead of ours.
        about: what else to say about the run beside its record.

    Raises:
        SaveError: where the record cannot be written.
        RunError: where the project has too many files.
    """
    if environment is None:
        environment = config.environment_outside()
    if not environment.get("PYTHONHASHSEED", "random").isdigit():
        environment = {**environment, "PYTHONHASHSEED": "0"}
    before = prepare(wanted, folder, environment, **about)
    progress = Progress(folder)
    command = [sys.executable, "-P", "-m", "repro_keras._src.runs.child", str(folder)]
    exit_code = terminal.run(
        command,
        environment=environment,
        folder=Path(wanted.folder),
        output=folder / OUTPUT if quiet else None,
        progress=progress.line,
    )
    statement = assemble(wanted, folder, before, environment, exit_code)
    return Finished(folder, statement, exit_code)


def prepare(wanted: request.Request, folder: Path, environment: dict[str, str], **about) -> dict:
    """Writes down what will be run, and what files are there before it."""
    before = project.Project(Path(wanted.root)).snapshot()
    request.write(folder, wanted)
    start = {"files": before, "environment": machine.environment(environment)}
    (folder / START).write_text(json.dumps(start))
    store.say(
        folder,
        started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        began=time.time(),
        pid=os.getpid(),
        host=platform.node(),
        user=_user(),
        root=wanted.root,
        working_directory=wanted.folder,
        command=[wanted.target, *wanted.arguments],
        arguments=wanted.arguments,
        **about,
    )
    return before


def assemble_late(folder: Path) -> record.Statement:
    """Puts together the record of a run that was killed together with what had started it.

    Raises:
        RunError: where it has not even begun.
    """
    try:
        wanted = request.read(folder)
        start = json.loads((folder / START).read_text())
    except (OSError, ValueError):
        raise RunError(f"The run {folder.name} was killed before it began. Run it again.") from None
    before = {path: tuple(stat) for path, stat in start["files"].items()}
    return assemble(wanted, folder, before, start["environment"], None)


def assemble(
    wanted: request.Request,
    folder: Path,
    before: dict,
    environment: dict[str, str],
    exit_code: int | None,
) -> record.Statement:
    """Puts the record of a run together from its journal and files, and writes it."""
    home = project.Project(Path(wanted.root))
    parent = record.read(wanted.parent) if wanted.parent else None
    story = journal.Story(folder, parent and parent.predicate.trail)
    status = story.end.get("status") or "killed"
    after = home.snapshot()
    written = {
        path: project.sha256(home.root / path)
        for path, stat in sorted(after.items())
        if before.get(path) != stat
        and not any(fnmatch.fnmatch(path, pattern) for pattern in wanted.ignored)
    }
    if parent is not None:  # what it wrote, and this one did not again, came out too
        for name in record.subjects(parent):
            path = name.removeprefix("file/")
            if name.startswith("file/") and path in after and path not in written:
                written[path] = project.sha256(home.root / path)
        written = dict(sorted(written.items()))
    trail = story.trail
    outcomes = {
        "trail": trail[-1].chain if trail else _nothing(),
        "history": digest([[s.fit, s.epoch, s.metrics] for s in trail]).removeprefix("sha256:"),
        **dict(sorted(story.outcomes.items())),
        **{f"file/{path}": value for path, value in written.items()},
    }
    loaded = story.end.get("modules", [])
    predicate = record.Run(
        schema=record.SCHEMA,
        status=status,
        exit_code=exit_code,
        error=story.end.get("error"),
        code=_code(wanted, home, folder, story.end.get("code", []), set(written)),
        configuration=story.configuration,
        environment=machine.environment(environment),
        software=record.Software(
            python=platform.python_version(),
            packages=dict(sorted(machine.packages().items())),
            loaded=machine.packages_of(loaded),
        ),
        machine=record.Machine(**machine.describe()),
        data=story.data,
        read=[story.read[path] for path in sorted(story.read)],
        models=story.models,
        trail=trail,
        ignored=wanted.ignored,
        states=story.states,
        parent=None if parent is None else parent.predicate.seal,
        resumed=story.resumed,
    )
    subject = [record.Subject(name=n, digest={"sha256": value}) for n, value in outcomes.items()]
    statement = record.Statement(
        type=record.STATEMENT,
        subject=subject,
        predicate_type=record.PREDICATE,
        predicate=predicate,
    )
    sealed = record.write(folder / store.RECORD, statement)
    began = store.about(folder).get("began", time.time())
    store.say(folder, seconds=round(time.time() - began, 3), exit_code=exit_code)
    for leftover in (journal.NAME, request.NAME, START):
        (folder / leftover).unlink(missing_ok=True)
    return sealed


def _code(wanted, home, folder, modules: list[str], written: set[str]) -> record.Code:
    paths = {home.relative(path) for path in modules} - {None} - written
    target = wanted.target
    if wanted.kind != "module":
        target = home.relative(Path(wanted.folder, wanted.target)) or wanted.target
        paths.add(target)
    files = [_file(home.root, path) for path in sorted(filter(None, paths))]
    found = project.git(home.root)
    git = None
    if found is not None:
        commit, difference = found
        changed = None
        if difference:
            (folder / "git.diff").write_bytes(difference)
            changed = project.sha256(folder / "git.diff")
        git = record.Git(commit=commit, diff=changed)
    return record.Code(
        kind=wanted.kind,
        target=target,
        arguments=[_portable(argument, home.root) for argument in wanted.arguments],
        folder=home.relative(wanted.folder) or ".",
        files=files,
        git=git,
    )


def _file(root: Path, path: str) -> record.File:
    place = root / path
    return record.File(path=path, sha256=project.sha256(place), size=place.stat().st_size)


def _portable(argument: str, root: Path) -> str:
    """An argument without absolute paths: below the project they are marked, others are cut."""
    name, equals, value = argument.rpartition("=")
    if not os.path.isabs(value):
        return argument
    below = project.Project(root).relative(value)
    if below is None:
        return f"{name}{equals}{_OUTSIDE}/{os.path.basename(value)}"
    return f"{name}{equals}{_PROJECT}/{below}"


def expanded(arguments: list[str], root: Path, original: list[str] | None) -> list[str]:
    """Recorded arguments, for a project that lies elsewhere.

    Raises:
        RunError: where one was a path outside of the project, which is known only where it ran.
    """
    result = []
    for number, argument in enumerate(arguments):
        if re.search(rf"(^|=){re.escape(_OUTSIDE)}/", argument):
            if original is None or number >= len(original):
                raise RunError(
                    f"The run was given a path outside of its project ({argument}), which a "
                    "record does not keep. Run it again with files below the project's folder."
                )
            result.append(original[number])
        else:
            result.append(re.sub(rf"(^|=){re.escape(_PROJECT)}/", rf"\g<1>{root}/", argument))
    return result


class Progress:
    """One line that says how far a run has come, read off its journal."""

    def __init__(self, folder: Path):
        self._path = folder / journal.NAME
        self._began = time.monotonic()
        self._read = 0
        self._steps = 0
        self._epochs = 0
        self._loss = ""

    def line(self) -> str:
        try:
            with open(self._path, "rb") as file:
                file.seek(self._read)
                content = file.read()
        except OSError:
            content = b""
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            event = json.loads(line)
            if event["event"] == "rows":
                self._steps += len(event["loss"])
                if event["loss"] and event["loss"][-1]:
                    self._loss = f" · loss {float.fromhex(event['loss'][-1]):.4g}"
            elif event["event"] == "epoch":
                self._epochs += 1
        seconds = time.monotonic() - self._began
        epochs = f"{self._epochs} epochs · " if self._epochs else ""
        return f"repro-keras: recording · {epochs}{self._steps} steps{self._loss} · {seconds:.0f} s"


def _nothing() -> str:
    return record.chained([record.Segment(steps=record.Steps())])[0].chain


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def begin_here() -> None:
    """Records this process from here to its end, as `repro.Record()` does; once in a process.

    Raises:
        RunError: where it cannot be, e.g. in an interactive session.
    """
    import atexit

    from repro_keras._src.runs import recorder

    if recorder.current is not None:
        return
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if main is None:
        raise RunError(
            "repro.Record() records a script, so that it can be run again; this session has none. "
            "Use `repro-keras run` for a notebook."
        )
    wanted = requested(os.path.relpath(main), sys.argv[1:], is_module=False)
    folder = store.new(project.Project(Path(wanted.root)))
    before = prepare(wanted, folder, config.environment_outside())
    recording = recorder.start(folder, Path(wanted.root))
    outcome = {"status": "finished", "error": None}
    hook = sys.excepthook

    def failed(kind, error, trace):
        interrupted = issubclass(kind, KeyboardInterrupt)
        outcome.update(status="interrupted" if interrupted else "failed", error=kind.__name__)
        hook(kind, error, trace)

    def finish():
        recording.finish(outcome["status"] or "finished", outcome["error"])
        try:
            assemble(wanted, folder, before, config.environment_outside(), None)
            place = os.path.relpath(folder / store.RECORD)
            print(f"repro-keras: recorded in {place}", file=sys.stderr)
        except ReproError as error:
            print(f"repro-keras: the run was not recorded: {error}", file=sys.stderr)

    sys.excepthook = failed
    atexit.register(finish)
