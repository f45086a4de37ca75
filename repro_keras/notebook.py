"""The extension for notebooks: after `%load_ext repro_keras`, each cell is a scope.

It works wherever IPython runs the cells: JupyterLab, Notebook 7, VS Code, a terminal. It loads
neither Keras nor TensorFlow. docs/notebooks.md says what is caught and what is not.
"""

import importlib.metadata
import sys
import threading
import warnings
from typing import TYPE_CHECKING

from repro_keras._src import config, seeding
from repro_keras._src.cells import naming, watch
from repro_keras._src.errors import ReproWarning
from repro_keras._src.version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from repro_keras._src.cells.recording import CellRecorder, CellRun, Runs

_extension: "_Extension | None" = None


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """Makes each cell a scope, for `%load_ext repro_keras`.

    Args:
        shell: IPython's.
    """
    global _extension
    unload_ipython_extension(shell)
    _extension = _Extension(shell)
    if config.started_before:
        warnings.warn(
            "TensorFlow was started in this kernel before repro_keras was loaded: what was made "
            "until then has no seeds of its own. Restart the kernel, and run `%load_ext "
            "repro_keras` first.",
            ReproWarning,
            stacklevel=2,
        )


def unload_ipython_extension(shell: "InteractiveShell") -> None:
    """Leaves everything as it was before, for `%unload_ext repro_keras`."""
    global _extension
    if _extension is not None:
        _extension.unload()
        _extension = None


class _Open(threading.local):
    """The cell that a thread runs; a kernel's subshells are threads."""

    def __init__(self):
        self.info: object = None
        self.name = ""
        self.recorder: CellRecorder | None = None
        self.scope: seeding.CellScope | None = None


class _Extension:
    def __init__(self, shell: "InteractiveShell"):
        self._shell = shell
        self._open = _Open()
        self._watch = watch.Watch()
        self._recorder: CellRecorder | None = None
        self._runs: Runs = {}
        self._last: CellRun | None = None
        self._magics = shell.magics_manager.magics
        shell.events.register("pre_run_cell", self._begin)
        shell.events.register("post_run_cell", self._end)
        shell.input_transformers_cleanup.append(naming.without_name)
        shell.magics_manager.register_function(self._line, "line", "repro")
        shell.magics_manager.register_function(self._cell, "cell", "repro")
        seeding.hooks.trains = self._trains

    def unload(self) -> None:
        self._leave()
        self._record(False)
        self._shell.events.unregister("pre_run_cell", self._begin)
        self._shell.events.unregister("post_run_cell", self._end)
        self._shell.input_transformers_cleanup.remove(naming.without_name)
        for kind in ("line", "cell"):
            self._magics[kind].pop("repro", None)
        seeding.hooks.trains = None

    def _begin(self, info) -> None:
        if self._open.info is not None:
            return  # a cell inside of a cell, as `%%capture` runs one
        if not info.store_history:
            return  # no cell, but what an editor asks the kernel, as VS Code does for variables
        given = naming.given_name(info.raw_cell)
        name = given or naming.name_of(info.raw_cell)
        self._open.info, self._open.name = info, name
        self._watch.begin(name)
        self._open.scope = seeding.CellScope(name, is_given=given is not None)
        self._open.scope.enter()
        self._open.recorder = self._recorder
        if self._recorder is not None:
            self._recorder.begin()

    def _end(self, result) -> None:
        # A kernel has no result where a cell that awaits was interrupted.
        if self._open.info is None or (result is not None and result.info is not self._open.info):
            return
        self._leave()
        number = (result and result.execution_count) or 0
        if self._recorder is not None and self._recorder is self._open.recorder:
            is_whole = result is not None and result.success
            run = self._recorder.end(self._open.name, number, is_whole=is_whole)
            if run is not None:
                from IPython.display import display

                self._last = run
                display(run)
        for note in self._watch.end(number):
            warnings.warn_explicit(note, ReproWarning, f"In [{number}]", 1)

    def _leave(self) -> None:
        if self._open.scope is not None:
            self._open.scope.leave()
        self._open.info = self._open.scope = None

    def _trains(self, model: object) -> None:
        if self._open.info is not None:
            self._watch.train(model)

    def _line(self, line: str) -> "CellRun | None":
        """Say in a line what is in force, and record cells.

        `%repro` prints the seed, the guarantee, the threads, the versions, and what is not
        reproducible. After `%repro record on`, until `%repro record off`, what a cell trains is
        recorded and compared with the cell's run before, and shown under the cell; `run = %repro
        last` is the run that was recorded last.
        """
        from IPython.core.error import UsageError

        match line.split():
            case []:
                print(_in_force())
            case ["record", "on" | "off" as said]:
                self._record(said == "on")
            case ["last"]:
                if self._last is None:
                    raise UsageError("No cell was recorded yet. Begin with `%repro record on`.")
                return self._last
            case _:
                raise UsageError(
                    "Expected `%repro`, `%repro record on`, `%repro record off` or `%repro last`. "
                    f"Received: %repro {line}"
                )
        return None

    def _record(self, records: bool) -> None:
        """Begins to record with the next cell, or ends it now."""
        if self._recorder is not None and not records:
            self._recorder.stop()
            self._recorder = None
        elif self._recorder is None and records:
            from repro_keras._src.cells.recording import CellRecorder
            from repro_keras._src.runs import recorder

            # No errors: these would end a notebook that is run as a whole.
            if config.OFF:
                print("REPRO_KERAS_OFF is set: plain Keras has no steps to record.")
            elif recorder.current is not None:
                print("`repro-keras run` records this notebook as a whole.")
            else:
                self._recorder = CellRecorder(self._runs)

    def _cell(self, line: str, cell: str) -> None:
        """`%%repro NAME`, as the first line of a cell: the cell is `repro.scope("NAME")`."""
        from IPython.core.error import UsageError

        raise UsageError(
            "`%%repro NAME` names a cell. It must be the cell's first line, with a name: "
            f"`%%repro net`. Received: %%repro {line}"
        )


def _in_force() -> str:
    """One line: the configuration, the versions, and what is amiss."""
    from repro_keras._src import doctor

    now = config.config()
    threads = "1 thread" if now.threads == 1 else f"{now.threads} threads"
    versions = [f"{name} {_version(name)}" for name in ("keras", "tensorflow", "numpy")]
    amiss = [finding.partition(". ")[0].partition(": ")[0] for finding in doctor.findings()]
    return " · ".join(
        [
            f"repro_keras {__version__}: seed {now.seed}",
            f"guarantee {now.guarantee}",
            f"{threads} on {now.device}",
            ", ".join([f"python {sys.version.split()[0]}", *versions]),
            "; ".join(amiss) or "nothing amiss",
        ]
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
