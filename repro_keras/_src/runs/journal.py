"""The journal of a run: what happens, a line each, so that nothing is lost when it is killed."""

import base64
import contextlib
import json
import os
import struct
import warnings
from pathlib import Path

from repro_keras._src import record
from repro_keras._src.errors import ReproWarning

NAME = "journal.jsonl"
CUT = "journal.cut.jsonl"
"""The name of a journal that could not be written to its end."""


Row = tuple[float | None, float, int, int, int | None]
"""A step: its loss, where it is known, learning rate, fingerprint of the weights, number of the
optimizer, and the fingerprint of its batch, where it is wanted."""

_ROW = struct.Struct("<??ddQIQ")


def packed(rows: list[Row]) -> str:
    """Rows as text; their numbers in hexadecimal, as records have them, would take far longer."""
    pack = _ROW.pack
    whole = [
        pack(
            loss is not None,
            batch is not None,
            0.0 if loss is None else loss,
            rate,
            state,
            optimizer,
            batch or 0,
        )
        for loss, rate, state, optimizer, batch in rows
    ]
    return base64.b64encode(b"".join(whole)).decode()


def unpacked(text: str) -> list[Row]:
    """The rows of a text of `packed`."""
    return [
        (loss if known else None, rate, state, optimizer, batch if seen else None)
        for known, seen, loss, rate, state, optimizer, batch in _ROW.iter_unpack(
            base64.b64decode(text)
        )
    ]


def path(folder: Path) -> Path:
    """The journal of a run."""
    return folder / CUT if (folder / CUT).exists() else folder / NAME


class Journal:
    """Writes a journal; where that fails, it says so once and goes on without."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._is_cut = False
        self._descriptor: int | None = os.open(
            folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666
        )

    def write(self, event: str, **facts) -> None:
        if self._descriptor is None or (self._is_cut and event != "finish"):
            return
        line = json.dumps({"event": event, **facts}, separators=(",", ":")).encode() + b"\n"
        line = b"\n" * self._is_cut + line  # after what half a line may be
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except OSError as error:
            if self._is_cut:
                return
            self._is_cut = True
            with contextlib.suppress(OSError):  # a new name takes no space on a full disk
                os.rename(self._folder / NAME, self._folder / CUT)
            warnings.warn(
                f"The run is not recorded any further: {error}. The script goes on.",
                ReproWarning,
                stacklevel=2,
            )

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Story:
    """What a journal tells, put together.

    Args:
        folder: the run's.
        before: the trail of the run that it continues.

    Attributes:
        ended: whether the process came to its end by itself.
        began: whether it came so far as to be recorded at all.
        is_cut: whether it could not be written to its end.
        resumed: after how many steps of the run before it went on.
        states: the folders with states of training.
    """

    def __init__(self, folder: Path, before: list[record.Segment] | None = None):
        self._before = before
        self.resumed: int | None = None
        self.states: list[str] = []
        self.end: dict = {}
        self.began = False
        self.is_cut = (folder / CUT).exists()
        self.configuration: dict = {}
        self.models: list[record.Model] = []
        self.data: list[record.Data] = []
        self.read: dict[str, record.File] = {}
        self.code: dict[str, record.File] = {}
        self.modules: set[str] = set()
        self.wrote: set[str] = set()
        self.read_input = False
        self.trail: list[record.Segment] = []
        self.outcomes: dict[str, str] = {}
        self._steps = record.Steps()
        self._lost = 0
        self._generators: dict[str, str] = {}
        self._by_batch: dict[str, list[str]] = {}
        self._ends: list[int] = []
        self._fit: dict | None = None
        with contextlib.suppress(FileNotFoundError):
            for line in path(folder).read_bytes().split(b"\n"):
                try:
                    event = json.loads(line)
                except ValueError:
                    continue  # the last one, of a process that was killed
                getattr(self, f"_{event.pop('event')}")(event)
        self._close(complete=False)
        self.trail = record.chained(self.trail)

    @property
    def ended(self) -> bool:
        return bool(self.end)

    def count(self) -> int:
        """How many steps it has."""
        return record.steps_of(self.trail)

    def _start(self, event: dict) -> None:
        self.began = True
        self.configuration = event["configuration"]

    def _rows(self, event: dict) -> None:
        steps, rows = self._steps, unpacked(event["rows"])
        if len(steps.optimizer) < len(steps.loss):
            steps.optimizer = [0] * len(steps.loss)  # left out in a record
        if len(steps.batch) < len(steps.loss):
            steps.batch = [None] * len(steps.loss)
        steps.loss += [None if loss is None else loss.hex() for loss, *_ in rows]
        steps.learning_rate += [rate.hex() for _, rate, *_ in rows]
        steps.state += [f"{state:016x}" for _, _, state, *_ in rows]
        steps.optimizer += [number for *_, number, _ in rows]
        steps.batch += [None if batch is None else f"{batch:016x}" for *_, batch in rows]
        self._lost += event.get("lost", 0)

    def _batches(self, event: dict) -> None:
        ends = event["ends"]
        if set(event["metrics"]) != set(self._by_batch):  # a metric that was not there before
            self._by_batch, self._ends = {name: [] for name in event["metrics"]}, []
        self._ends += ends
        for name, told in event["metrics"].items():
            self._by_batch[name] += told

    def _states(self, event: dict) -> None:
        if event["folder"] not in self.states:
            self.states.append(event["folder"])

    def _resumed(self, event: dict) -> None:
        """What this process did until now is in the trail of the run that it continues."""
        self.resumed = event["steps"]
        self.trail, begun = record.cut(self._before or [], event["steps"], event["batches"])
        self._steps, self._lost = begun.steps, begun.lost
        self._generators = begun.generators
        self._by_batch, self._ends = begun.by_batch, begun.batch_ends

    def _model(self, event: dict) -> None:
        self.models.append(record.Model(**event))

    def _data(self, event: dict) -> None:
        self.data.append(record.Data(**event))

    def _passed(self, event: dict) -> None:
        for data in self.data:
            if (data.call, data.argument) == (event["call"], event["argument"]):
                data.digest = event["digest"]

    def _read(self, event: dict) -> None:
        self.read.setdefault(event["path"], record.File(**event))  # each worker may say it

    def _code(self, event: dict) -> None:
        self.code.setdefault(event["path"], record.File(**event))

    def _modules(self, event: dict) -> None:
        self.modules.update(event["names"])
        self.configuration = event["configuration"]

    def _wrote(self, event: dict) -> None:
        self.wrote.add(event["path"])

    def _input(self, event: dict) -> None:
        self.read_input = True

    def _fit_begin(self, event: dict) -> None:
        self._close()
        self._generators = event.pop("generators", {})
        self._fit = event

    def _epoch(self, event: dict) -> None:
        self._close(ended=True, **event)

    def _fit_end(self, event: dict) -> None:
        self._close(complete=False)
        self._fit = event.pop("outer")
        self.outcomes.update(event["outcomes"])

    def _finish(self, event: dict) -> None:
        self.end = event
        self.configuration = event["configuration"]
        self.outcomes.update(event["outcomes"])

    def _close(self, ended: bool = False, complete: bool = True, **facts) -> None:
        """Ends the segment that is open, if it holds anything."""
        if not ended and not self._steps.loss and not self._lost:
            return
        if not any(self._steps.optimizer):
            self._steps.optimizer = []
        if all(batch is None for batch in self._steps.batch):
            self._steps.batch = []
        fit = self._fit or {}
        self.trail.append(
            record.Segment(
                steps=self._steps,
                fit=fit.get("fit"),
                model=fit.get("model"),
                complete=complete or not fit,
                lost=self._lost,
                generators=self._generators,
                by_batch=self._by_batch,
                batch_ends=[] if self._ends == list(range(len(self._ends))) else self._ends,
                **facts,
            )
        )
        self._steps, self._lost, self._generators = record.Steps(), 0, {}
        self._by_batch, self._ends = {}, []
