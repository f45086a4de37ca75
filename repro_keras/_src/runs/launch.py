"""Recording a run: start it in a fresh process, and put its record together when it is over."""

import dataclasses
import fnmatch
import getpass
import importlib.util
import json
import os
import platform
import re
import signal
import sys
import time
from importlib.machinery import PathFinder
from pathlib import Path, PurePosixPath

import msgspec

from repro_keras._src import config, machine, project, record
from repro_keras._src.digest import digest
from repro_keras._src.errors import ReproError, RunError
from repro_keras._src.runs import before, journal, notebook, process, request, store, terminal

OUTPUT = "output.txt"
_INTERRUPTED = 130
_PROJECT = "{project}"


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
        RunError: where there is no such script or module, or plain Keras is asked for.
    """
    if config.OFF:
        raise RunError(
            "REPRO_KERAS_OFF is set: plain Keras has no seam, and its steps cannot be recorded. "
            "Unset it."
        )
    folder = Path.cwd()
    kind = "module" if is_module else "script"
    start = folder
    if is_module:
        _check_module(target, folder)
    else:
        path = Path(target)
        if not path.is_file():
            raise RunError(
                f"There is no file {target!r} to run in {folder}. Expected a script (.py) or a "
                "notebook (.ipynb); for a module, `-m`."
            )
        if path.suffix == ".ipynb":
            kind = "notebook"
            notebook.check(path)
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


def _check_module(name: str, folder: Path) -> None:
    """Checks that there is a module to run, without importing the packages that it is in."""
    first, *rest = name.split(".")
    try:
        spec = PathFinder.find_spec(first, [str(folder)]) or importlib.util.find_spec(first)
    except ValueError:  # no name of a module
        spec = None
    whole = first
    for part in rest:
        whole = f"{whole}.{part}"
        inside = None if spec is None else spec.submodule_search_locations
        spec = None if inside is None else PathFinder.find_spec(whole, list(inside))
    if spec is None:
        raise RunError(
            f"There is no module {name!r} to run in {folder}, nor is one installed. Expected a "
            "module's name, as for `python -m`; for a script, leave out `-m`."
        )


def run(
    wanted: request.Request,
    folder: Path,
    *,
    environment: dict[str, str] | None = None,
    quiet: bool = False,
    doing: str = "recording",
    steps: int | None = None,
    **about,
) -> Finished:
    """Runs what is asked for in a fresh process, and writes its record.

    Args:
        wanted: what to run.
        folder: the run's, new.
        environment: the process's environment; `None` for the one that we were started in.
        quiet: whether its output goes to a file in the folder, instead of ours.
        doing: what is done, for the line of progress.
        steps: how many steps it will make, where that is known.
        about: what else to say about the run beside its record.

    Raises:
        SaveError: where the record cannot be written.
        RunError: where the project has too many files, or the process did not get so far as to be
            recorded.
    """
    if environment is None:
        environment = config.environment_outside()
    environment = config.with_hash_seed(environment)
    there = prepare(wanted, folder, environment, **about)
    progress = Progress(folder, doing, steps)
    command = [sys.executable, "-P", "-m", "repro_keras._src.runs.child", str(folder)]
    exit_code = terminal.run(
        command,
        environment=environment,
        folder=Path(wanted.folder),
        output=folder / OUTPUT if quiet else None,
        progress=progress.line,
        heard=folder / terminal.HEARD,
    )
    if wanted.from_inside:
        there = before.read(folder)  # where the recording began, as the child saw it
    statement = assemble(wanted, folder, there, exit_code)
    return Finished(folder, statement, exit_code)


def prepare(
    wanted: request.Request, folder: Path, environment: dict[str, str], **about
) -> before.Before:
    """Writes down what will be run, and what is there before it."""
    there = before.note(wanted, folder, environment)
    request.write(folder, wanted)
    store.say(
        folder,
        started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        began=time.time(),
        pid=os.getpid(),
        pid_identity=process.identity(os.getpid()),
        host=platform.node(),
        user=_user(),
        root=wanted.root,
        working_directory=wanted.folder,
        command=[wanted.target, *wanted.arguments],
        arguments=wanted.arguments,
        **about,
    )
    return there


def assemble(
    wanted: request.Request,
    folder: Path,
    there: before.Before,
    exit_code: int | None,
    *,
    until: float | None = None,
) -> record.Statement:
    """Puts the record of a run together from its journal and files, and writes it.

    Args:
        wanted: what was run.
        folder: the run's.
        there: what was there before it.
        exit_code: the exit status of its process; `None` where nobody knows it.
        until: when the process was seen last, where nobody saw its end.
    """
    home = project.Project(Path(wanted.root))
    parent = record.read(wanted.parent) if wanted.parent else None
    story = journal.Story(folder, parent and parent.predicate.trail)
    if not story.began:
        if exit_code in (-signal.SIGINT, _INTERRUPTED):
            raise KeyboardInterrupt
        raise RunError(f"The process could not be recorded: it ended with {exit_code} before.")
    others = store.written_by_others(folder) - story.wrote
    edited = {*story.code, *([there.target.path] if there.target else [])} - story.wrote
    changed = [
        path
        for path in before.changed(there, home, until)
        if path not in edited and not is_in(path, others)  # somebody goes on working meanwhile
    ]
    if parent is not None:  # what it wrote, and this one did not again, came out too
        earlier = (n.removeprefix("file/") for n in record.subjects(parent) if n[:5] == "file/")
        kept = {path for path in earlier if (home.root / path).is_file()}
        changed = sorted({*changed, *kept})
    unchecked = [p for p in changed if any(fnmatch.fnmatch(p, i) for i in wanted.ignored)]
    written = {p: project.sha256(home.root / p) for p in changed if p not in unchecked}
    trail = story.trail
    outcomes = {
        "trail": trail[-1].chain if trail else _nothing(),
        "history": digest([[s.fit, s.epoch, s.metrics] for s in trail]).removeprefix("sha256:"),
        **dict(sorted(story.outcomes.items())),
        **{f"file/{path}": value for path, value in written.items()},
    }
    predicate = record.Run(
        schema=record.SCHEMA,
        status=_status(story, exit_code),
        exit_code=exit_code,
        error=story.end.get("error"),
        code=_code(wanted, home, there, story, set(changed)),
        configuration=story.configuration,
        environment=there.environment,
        software=record.Software(
            python=there.python,
            packages=there.packages,
            loaded=machine.packages_of(story.modules),
        ),
        machine=there.machine,
        data=story.data,
        read=[story.read[path] for path in sorted(story.read)],
        models=story.models,
        trail=trail,
        cut_off=story.is_cut,
        from_inside=wanted.from_inside,
        read_input=story.read_input,
        ignored=wanted.ignored,
        unchecked=unchecked,
        unseen=[path for path in written if not is_in(path, story.wrote)],
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
    over = time.time() if until is None else until
    seconds = round(over - store.about(folder).get("began", over), 3)
    store.say(folder, seconds=seconds, exit_code=exit_code, wrote=sorted(story.wrote))
    for leftover in (journal.NAME, journal.CUT, request.NAME, before.NAME, terminal.HEARD):
        (folder / leftover).unlink(missing_ok=True)
    return sealed


def is_in(path: str, seen: set[str]) -> bool:
    """Whether a path, or a folder that it is in, is among others."""
    return path in seen or any(str(parent) in seen for parent in PurePosixPath(path).parents)


def _status(story: journal.Story, exit_code: int | None) -> record.Status:
    if story.ended:
        return story.end["status"]
    if story.is_cut and exit_code is not None and exit_code >= 0:
        return "failed" if exit_code else "finished"  # it could not say so itself
    return "killed"


def _code(wanted, home, there, story, written: set[str]) -> record.Code:
    files = {path: file for path, file in story.code.items() if path not in written}
    target = wanted.target
    if there.target is not None:
        target = there.target.path
        files[target] = there.target
    return record.Code(
        kind=wanted.kind,
        target=target,
        arguments=[_portable(argument, home.root) for argument in wanted.arguments],
        folder=home.relative(wanted.folder) or ".",
        files=[files[path] for path in sorted(files)],
        git=there.git,
    )


def _portable(argument: str, root: Path) -> str:
    """An argument without absolute paths: below the project they are marked, others are cut.

    They are looked for where programs take them: the argument itself, `-o/path`, `--name=/path`,
    `file:///path`, and lists with `,`, `:` or `;` of these.
    """
    listed = re.split(r"([,;:])(?=/(?!/))", argument)
    if len(listed) > 1:
        return "".join(_portable(part, root) for part in listed)
    if os.path.isabs(argument):
        below = project.Project(root).relative(argument)
        if below is None:
            return f"{project.OUTSIDE}/{os.path.basename(argument)}"
        return f"{_PROJECT}/{below}"
    scheme, is_url, path = argument.partition("://")
    if is_url and scheme.isalpha():
        return f"file://{_portable(path, root)}" if scheme == "file" else argument
    option = re.match(r"-\w(?=/)", argument)
    if option:
        return option[0] + _portable(argument[2:], root)
    for separator in ("=", ",", ";", ":"):
        first, found, rest = argument.partition(separator)
        if found:
            return _portable(first, root) + found + _portable(rest, root)
    return argument


_PLACE = r"((?:^|[=,;:]|//|^-\w))"  # where `_portable` puts its marks


def expanded(arguments: list[str], root: Path, original: list[str] | None) -> list[str]:
    """Recorded arguments, for a project that lies elsewhere.

    Raises:
        RunError: where one was a path outside of the project, which is known only where it ran.
    """
    result = []
    for number, argument in enumerate(arguments):
        if re.search(rf"{_PLACE}{re.escape(project.OUTSIDE)}/", argument):
            if original is None or number >= len(original):
                raise RunError(
                    f"The run was given a path outside of its project ({argument}), which a "
                    "record does not keep. Run it again with files below the project's folder."
                )
            result.append(original[number])
        else:
            result.append(_expand(argument, root))
    return result


def outside(arguments: list[str], original: list[str] | None) -> list[str]:
    """The paths outside of the project among recorded arguments.

    Args:
        arguments: as they are recorded.
        original: as they were given.
    """
    texts = [
        text
        for argument, text in zip(arguments, original or [], strict=False)
        if f"{project.OUTSIDE}/" in argument
    ]
    parts = [part for text in texts for part in (text, *re.split(r"^-\w(?=/)|[=,;:]", text))]
    return [os.path.normpath(part) for part in parts if os.path.isabs(part)]


def _expand(argument: str, root: Path) -> str:
    mark = re.escape(_PROJECT)
    return re.sub(rf"{_PLACE}{mark}/", lambda found: f"{found[1]}{root}/", argument)


class Progress:
    """One line that says how far a run has come, read off its journal.

    Args:
        folder: the run's.
        doing: what is done with it.
        steps: how many steps it will make, where that is known: then it says the time left too.
    """

    def __init__(self, folder: Path, doing: str = "recording", steps: int | None = None):
        self._path = folder / journal.NAME
        self._doing = doing
        self._wanted = steps
        self._began = time.monotonic()
        self._first: float | None = None  # when the first steps were seen, and how many
        self._before = 0
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
            event = json.loads(line)  # no half lines: these come after a full disk, in another file
            if event["event"] == "rows":
                rows = journal.unpacked(event["rows"])
                self._steps += len(rows)
                if rows and rows[-1][0] is not None:
                    self._loss = f" · loss {rows[-1][0]:.4g}"
            elif event["event"] == "resumed":
                self._steps = event["steps"]
            elif event["event"] == "epoch":
                self._epochs += 1
        epochs = f"{self._epochs} epochs · " if self._epochs else ""
        wanted = f" of {self._wanted}" if self._wanted else ""
        seconds = time.monotonic() - self._began
        return (
            f"repro-keras: {self._doing} · {epochs}{self._steps}{wanted} steps{self._loss}"
            f" · {seconds:.0f} s{self._left()}"
        )

    def _left(self) -> str:
        """The time that the steps left will take, if they take as long as those seen so far."""
        if self._first is None:  # the first took their time until the graph was there
            if self._steps:
                self._first, self._before = time.monotonic(), self._steps
            return ""
        made = self._steps - self._before
        if not self._wanted or not made or self._steps > self._wanted:
            return ""
        left = (time.monotonic() - self._first) / made * (self._wanted - self._steps)
        return f", {left:.0f} s left"


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
    from repro_keras._src.runs import inside, recorder

    if recorder.current is not None:
        return
    if recorder.expected is not None:  # a verification of a run that began here
        recorder.expected()
        return
    found = inside.main_module()
    if found is None:
        raise RunError(
            "repro.Record() records a script, so that it can be run again; this session has none. "
            "Use `repro-keras run` for a notebook."
        )
    target, is_module = found
    target = target if is_module else os.path.relpath(target)
    wanted = requested(target, sys.argv[1:], is_module=is_module)
    wanted = msgspec.structs.replace(wanted, from_inside=True)
    folder = store.new(project.find(Path.cwd()))
    there = prepare(wanted, folder, config.environment_outside())
    recording = recorder.start(folder, Path(wanted.root))
    ending = inside.Ending()

    def finish():
        status, error, exit_code = ending.told()
        recording.finish(status, error)
        try:
            assemble(wanted, folder, there, exit_code)
            place = os.path.relpath(folder / store.RECORD)
            print(f"repro-keras: recorded in {place}", file=sys.stderr)
        except (ReproError, OSError) as failure:
            print(f"repro-keras: the run was not recorded: {failure}", file=sys.stderr)

    inside.at_exit(finish)
