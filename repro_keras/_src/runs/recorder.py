"""Recording a run from inside its process: models, data, epochs, files, and what came out.

Nothing here knows private names of Keras: patches (`fits`, `steps`, `rows`, `batches`) call it.
"""

import array
import collections
import contextlib
import itertools
import os
import random
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from repro_keras._src import backends, bits, config, project
from repro_keras._src import digest as digests
from repro_keras._src.errors import ReproError
from repro_keras._src.runs import journal, kept

_ROWS = 1024
_PAUSE = 0.5  # seconds that rows may wait for the journal: what a kill can lose
_PAUSES = 10  # how many of these pass between two looks at what was imported
_CALLS_KEPT = 200

current: "Recorder | None" = None
"""What records this process; `None` where nothing does."""

expected: Callable[[], object] | None = None
"""Begins the recording where a script that is verified makes `repro.Record()`."""

_when_started: list[Callable[["Recorder"], None]] = []


def when_started(begin: Callable[["Recorder"], None]) -> None:
    """Calls `begin` when recording begins, or now where it has begun."""
    _when_started.append(begin)
    if current is not None:
        begin(current)


class Recorder:
    """Records one process.

    Args:
        folder: where the journal goes.
        root: the project's folder.
        continues: whether another run's record is continued.
    """

    def __init__(self, folder: Path, root: Path, *, continues: bool = False):
        self.lock = threading.RLock()
        self.drain: Callable[[], None] = lambda: None  # the seam's: brings rows from the graph
        self.generators: Callable[[], dict] = dict  # the seam's: states of Keras's own
        self.begin_pass: Callable[[], None] = lambda: None  # the seam's: batches are gone through
        self.end_pass: Callable[[], str | None] = lambda: None  # and the digest of what was seen
        self.endings: list[Callable[[], dict[str, str]]] = []  # the seam's: digests at the end
        self._folder = folder
        self._journal = journal.Journal(folder)
        self._project = project.Project(root)
        self._continues = continues
        self._states: list[str] = []  # folders of states
        self._began = time.time_ns()
        self._start_afresh()
        self._optimizers: list[weakref.ref] = []
        self._seen: set[str] = set()
        self._written: set[str] = set()
        self._noted: set[str] = set()
        self._top: set[str] = set()
        self._process = os.getpid()
        self._over = threading.Event()
        self._watch: threading.Thread | None = None
        self._quiet = threading.local()
        self._input = False
        self._done = False
        self._journal.write("start", configuration=config.recorded())

    def _start_afresh(self) -> None:
        """Nothing was trained yet."""
        self._rows: list[journal.Row] = []
        # What Keras told callbacks after batches; another thread takes it away.
        self._told: collections.deque[tuple[int, dict]] = collections.deque()
        self._lost = 0
        self._steps = 0
        self._fits: list[dict] = []
        self._fit_count = 0
        self._calls: dict[str, int] = {}
        self._later: dict[tuple[str, str, str], tuple[int, str]] = {}
        self._models: list[weakref.ref] = []
        self._by_hand: list = []  # what is trained by hand is digested at the end

    # Steps

    def row(
        self,
        loss: float | None,
        rate: float,
        state: int,
        optimizer: int,
        batch: int | None = None,
    ) -> None:
        """One step: its loss, where it is known, its learning rate, and a fingerprint after it; and
        one of its batch, where that is wanted."""
        self.rows([(loss, rate, state, optimizer, batch)])

    def rows(self, rows: Iterable[journal.Row], lost: int = 0) -> None:
        """Steps in their order, and how many went by unseen."""
        with self.lock:
            self._rows.extend(rows)
            self._lost += lost
            if len(self._rows) >= _ROWS:
                self.flush()

    def batch(self, end: int, logs: dict) -> None:
        """What Keras tells after a batch: the metrics, as tensors that nothing waits for."""
        if self._fits:
            self._told.append((end, dict(logs)))

    def _flush_told(self) -> None:
        told = [self._told.popleft() for _ in range(len(self._told))]
        # What is written together has the same names, whenever it is written.
        for names, part in itertools.groupby(told, lambda one: list(one[1])):
            ends, values = zip(*part, strict=True)
            with contextlib.suppress(TypeError, ValueError):  # one that is no number
                columns = {
                    name: [_hex(logs[name]) for logs in values] for name in names if name != "loss"
                }
                if columns:
                    self._journal.write("batches", ends=ends, metrics=columns)

    def flush(self) -> None:
        """Writes the rows that are here to the journal."""
        with self.lock:
            self._flush_told()
            rows, self._rows = self._rows, []
            lost, self._lost = self._lost, 0
            if not rows and not lost:
                return
            self._steps += len(rows) + lost
            self._journal.write(
                "rows", rows=journal.packed(rows), **({"lost": lost} if lost else {})
            )

    def position(self) -> int:
        """How many steps are in the journal; those that were made are."""
        self._settle()
        return self._steps

    def keeps_states(self, folder: Path) -> None:
        """States are kept in a folder; where they are continued, they are no data of the run."""
        if self._continues:
            self._states.append(os.path.realpath(folder))
        place = self._project.relative(folder)
        self._journal.write("states", folder=place or f"{project.OUTSIDE}/{folder.name}")

    def resumed(self, steps: int, batches: int) -> None:
        """Training goes on after so many steps, which the run that is continued has recorded.

        Args:
            steps: of the run.
            batches: of the epoch that it is in the middle of; else 0.
        """
        self._settle()
        if self._continues:
            self._steps = steps
            self._journal.write("resumed", steps=steps, batches=batches)

    def _begin_watch(self) -> None:
        """From the first call of Keras on, what happens is written down within half a second.

        Not before: other scripts get no thread.
        """
        if self._watch is None:
            self._watch = threading.Thread(
                target=self._watched, name="repro_keras journal", daemon=True
            )
            self.note()
            self._watch.start()

    def _watched(self) -> None:
        pauses = 0
        while not self._over.wait(_PAUSE):
            self.flush()
            pauses += 1
            if pauses % _PAUSES == 0:
                self.note()

    def note(self) -> None:
        """Notes what was imported since the last time: a run that is killed never says it."""
        with self.lock, self.quietly():
            new = set(sys.modules) - self._noted
            if not new:
                return
            self._noted |= new
            for path in project.local_modules(self._project, new):
                place = self._project.relative(path)
                with contextlib.suppress(OSError):
                    digest, size = project.sha256(path), path.stat().st_size
                    self._journal.write("code", path=place, sha256=digest, size=size)
                    kept.keep(self._folder, path, digest, size)
            top = {name.partition(".")[0] for name in new} - self._top
            self._top |= top
            self._journal.write("modules", names=sorted(top), configuration=config.recorded())

    @contextlib.contextmanager
    def quietly(self) -> Iterator[None]:
        """Inside, files that are opened are ours."""
        before = getattr(self._quiet, "on", False)
        self._quiet.on = True
        try:
            yield
        finally:
            self._quiet.on = before

    def _settle(self) -> None:
        self.drain()
        self.flush()

    # Models

    def optimizer(self, optimizer, owners: Callable[[], list]) -> int:
        """The number of an optimizer that is about to make a step.

        Args:
            optimizer: a Keras optimizer.
            owners: what has the variables that it changes; asked where it is not in a `fit`.
        """
        number = _index(self._optimizers, optimizer)
        if number is not None:
            return number
        self._optimizers.append(weakref.ref(optimizer))
        if not self._fits:
            self._by_hand.append(optimizer)
            for owner in owners():
                self.model(owner)
                self._by_hand.append(owner)
        return len(self._optimizers) - 1

    def model(self, model) -> int:
        """The number of a model that is about to be trained."""
        number = _index(self._models, model)
        if number is None:
            self._begin_watch()
            number = len(self._models)
            self._models.append(weakref.ref(model))
            name = getattr(model, "name", "variables")
            initial = _layers(model)
            self._journal.write("model", name=name, type=type(model).__name__, initial=initial)
        return number

    @contextlib.contextmanager
    def fitting(self, model, arguments: dict) -> Iterator[None]:
        """Inside, `fit` runs."""
        self._settle()
        fit = {"fit": self._fit_count, "model": None, "object": model}
        self._fit_count += 1
        undigested = self._data("fit", arguments)
        fit["by batch"] = bool(undigested - {"validation_data"})
        # A run that is continued may have seen other passes before.
        if "validation_data" in undigested and not self._continues:
            fit["validates"] = f"fit {self._fit_count - 1}"
        self._fits.append(fit)
        try:
            yield
        finally:
            self._settle()
            self._fits.pop()
            outcomes = {} if fit["model"] is None else self._outcomes(fit["model"], model)
            outer = _plain(self._fits[-1]) if self._fits else None
            self._journal.write("fit_end", outcomes=outcomes, outer=outer)

    @property
    def wants_batches(self) -> bool:
        """Whether the data of the innermost `fit` are not digested as a whole."""
        return bool(self._fits) and self._fits[-1]["by batch"]

    def training_begins(self) -> None:
        """The model of the innermost `fit` is built, and its first step comes next."""
        if self._fits and self._fits[-1]["model"] is None:
            fit = self._fits[-1]
            fit["model"] = self.model(fit["object"])
            self._journal.write("fit_begin", **_plain(fit), generators=self._drawn())

    def epoch(self, epoch: int, logs: dict) -> None:
        """An epoch of the innermost `fit` is over."""
        if not self._fits:
            return
        self._settle()
        metrics = {}
        for name, value in logs.items():
            with contextlib.suppress(TypeError, ValueError):
                metrics[str(name)] = float(value).hex()
        layers = _layers(self._fits[-1]["object"])
        self._journal.write("epoch", epoch=int(epoch), metrics=metrics, layers=layers)

    # Sessions of TensorFlow 1

    def session(self, name: str, initial: dict[str, str]) -> None:
        """A session is about to make its first step, with the digests of its variables."""
        self._begin_watch()
        self._journal.write("model", name=name, type="Session", initial=initial)

    def saved(self, variables: dict[str, str]) -> None:
        """Variables were saved: a part of the trail ends, with their digests."""
        self._begin_watch()
        self._settle()
        self._journal.write("epoch", epoch=None, metrics={}, layers=variables)

    # Data

    @contextlib.contextmanager
    def calling(self, method: str, arguments: dict) -> Iterator[None]:
        """Inside, `evaluate` or `predict` runs. In a `fit`, the first one is its validation."""
        if self._fits:
            call, argument = self._fits[-1].pop("validates", None), "validation_data"
        else:
            unseen = self._data(method, arguments)
            call, argument = f"{method} {self._calls[method] - 1}", "x"
            if argument not in unseen or self._calls[method] > _CALLS_KEPT:
                call = None
        if call is None:
            yield
            return
        self.begin_pass()
        yield
        seen = self.end_pass()
        if seen is not None:
            self._journal.write("passed", call=call, argument=argument, digest=seen)

    def _data(self, method: str, arguments: dict) -> set[str]:
        """Notes the data of a call; those arguments that could not be digested as a whole."""
        self._begin_watch()
        number = self._calls.get(method, 0)
        self._calls[method] = number + 1
        undigested = set()
        for argument in ("x", "y", "sample_weight", "validation_data"):
            value = arguments.get(argument)
            if value is None:
                continue
            kind, digest = type(value).__name__, _digest_of_data(value)
            if digest is None:
                undigested.add(argument)
            if number < _CALLS_KEPT:
                self._journal.write(
                    "data", call=f"{method} {number}", argument=argument, type=kind, digest=digest
                )
            else:  # a loop of predictions: one entry for all that follow
                count, before = self._later.get((method, argument, kind), (0, ""))
                both = bits.canonical_json([before, digest])
                after = digests.digest(both.decode()).removeprefix("sha256:")
                self._later[method, argument, kind] = (count + 1, after)
        return undigested

    def opened(self, path: str | bytes | os.PathLike) -> None:
        """A file was opened to be read."""
        if self._done or getattr(self._quiet, "on", False):
            return
        try:
            text = os.fsdecode(path)
            place = self._project.relative(text)
            if place is None or place in self._seen or place.endswith((".py", ".so")):
                return
            if os.path.dirname(os.path.realpath(text)) in self._states:
                return
            self._seen.add(place)
            if not self._project.is_of_user(place):
                return
            stat = os.stat(text)
            if not os.path.isfile(text) or stat.st_mtime_ns >= self._began:
                return  # what the run wrote itself is not where it began
            with self.quietly():
                digest = project.sha256(text)
                kept.keep(self._folder, Path(text), digest, stat.st_size)
            self._journal.write("read", path=place, sha256=digest, size=stat.st_size)
        except (OSError, ValueError):
            return  # whoever opens it gets the error

    def wrote(self, path: str | bytes | os.PathLike) -> None:
        """A file is about to be opened to be written, or something to be moved there."""
        if self._done or getattr(self._quiet, "on", False):
            return
        with contextlib.suppress(OSError, ValueError):
            place = self._project.relative(os.fsdecode(path))
            if place is None or place in self._written:
                return
            self._written.add(place)
            if self._project.is_of_user(place):
                self._journal.write("wrote", path=place)

    def read_input(self) -> None:
        """The standard input was read."""
        if not self._input and not self._done:
            self._input = True
            self._journal.write("input")

    # The end

    def finish(self, status: str, error: str | None = None) -> None:
        """The script is over; what it trained is digested."""
        if os.getpid() != self._process:
            return  # a child that it forked
        self._over.set()
        self._settle()
        for (method, argument, kind), (count, digest) in self._later.items():
            self._journal.write(
                "data",
                call=f"{method} {_CALLS_KEPT} and later",
                argument=argument,
                type=kind,
                digest=digest,
                calls=count,
            )
        outcomes = self._outcomes_by_hand()
        for ending in self.endings:
            outcomes.update(ending())
        outcomes["generators"] = _hex_digest(self.global_generators())
        self._done = True
        self.note()
        self._journal.write(
            "finish",
            status=status,
            error=error,
            configuration=config.recorded(),
            outcomes=outcomes,
        )
        self._journal.close()

    def _outcomes_by_hand(self) -> dict[str, str]:
        """What came of loops that were written by hand."""
        outcomes = {}
        for trained in self._by_hand:
            number = _index(self._models, trained)
            if number is not None:
                outcomes.update(self._outcomes(number, trained))
            else:
                number = _index(self._optimizers, trained)
                if getattr(trained, "built", True):
                    outcomes[f"optimizer/{number}"] = _hex_digest(trained)
        return outcomes

    def _outcomes(self, number: int, model) -> dict[str, str]:
        found = {f"model/{number}/weights": _weights_digest(model)}
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None and optimizer.built:
            found[f"model/{number}/optimizer"] = _hex_digest(optimizer)
        weights = {id(weight) for weight in model.weights} if hasattr(model, "weights") else set()
        generators = [v for v in model.variables if id(v) not in weights]
        if weights and generators:
            found[f"model/{number}/generators"] = _hex_digest(generators)
        return found

    def _drawn(self) -> dict[str, str]:
        """The digests of the global generators, in a form that is quick to digest."""
        found = self.global_generators()
        version, state, gauss = found["python"]
        found["python"] = [version, array.array("I", state).tobytes().hex(), gauss]
        return {name: _hex_digest(state) for name, state in found.items()}

    def global_generators(self) -> dict:
        """The states of the generators that are drawn from without a name, by whose they are."""
        version, state, gauss = random.getstate()
        found = {"python": [version, list(state), gauss], **self.generators()}
        if "numpy" in sys.modules:
            import numpy as np

            found["numpy"] = list(np.random.get_state())
        if backends.loaded():
            drawn = backends.drawn()
            found["backend"] = None if drawn is None else repr(drawn)
        return found


def start(folder: Path, root: Path, *, continues: bool = False) -> Recorder:
    """Begins to record this process; there is one recorder in a process."""
    recorder = Recorder(folder, root, continues=continues)
    sys.addaudithook(lambda event, arguments: _audit(recorder, event, arguments))
    record_with(recorder)
    return recorder


def record_with(recorder: Recorder) -> None:
    """Lets a recorder record this process from here on."""
    global current
    current = recorder
    for begin in _when_started:
        begin(recorder)


def _audit(recorder: Recorder, event: str, arguments: tuple) -> None:
    if event == "open":
        path, _, flags = arguments
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        if not flags & os.O_TRUNC:
            recorder.opened(path)  # what is appended to is data too
        if flags & (os.O_WRONLY | os.O_RDWR):
            recorder.wrote(path)
    elif event in ("os.rename", "os.link", "os.symlink"):
        recorder.wrote(arguments[1])
    elif event in ("os.truncate", "os.chmod", "os.utime"):
        if isinstance(arguments[0], (str, bytes, os.PathLike)):
            recorder.wrote(arguments[0])
    elif event == "sqlite3.connect":
        recorder.opened(arguments[0])
        recorder.wrote(arguments[0])
    elif event == "builtins.input" and sys.stdin is not None and sys.stdin.isatty():
        recorder.read_input()  # from elsewhere, it is told by the file


def _plain(fit: dict) -> dict:
    return {"fit": fit["fit"], "model": fit["model"]}


def _index(references: list[weakref.ref], wanted: object) -> int | None:
    for number, reference in enumerate(references):
        if reference() is wanted:
            return number
    return None


def _layers(model) -> dict[str, str]:
    try:
        with backends.outside_graph():
            return digests.layer_digests(model)
    except (ReproError, ValueError, RuntimeError, NotImplementedError):
        return {}  # its variables have no values yet


def _hex(x) -> str:
    """A float exactly, in few characters."""
    mantissa, _, exponent = float(x).hex().partition("p")
    return f"{mantissa.rstrip('0').ljust(5, '0')}p{exponent}" if exponent else mantissa


def _hex_digest(x) -> str:
    return digests.digest(x).removeprefix("sha256:")


def _weights_digest(model) -> str:
    """`repro.digest(model)`, or of its layers where Keras does not call it built."""
    try:
        return _hex_digest(model)
    except ReproError:
        return _hex_digest(_layers(model))


def _digest_of_data(value) -> str | None:
    # Generators, data sets, PyDatasets: what they load is not loaded twice, nor drawn twice.
    if any(hasattr(value, name) for name in ("__next__", "element_spec", "num_batches")):
        return None
    try:
        return _hex_digest(value)
    except (ReproError, TypeError, ValueError):
        return None
