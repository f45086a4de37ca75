"""Running a notebook again, in a fresh kernel and a copy of its project, and comparing outputs."""

import copy
import dataclasses
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from repro_keras._src import atomic, config, project
from repro_keras._src.cells import outputs
from repro_keras._src.comparing.compare import together
from repro_keras._src.errors import MissingExtraError, RunError
from repro_keras._src.words import listed


@dataclasses.dataclass(frozen=True)
class Notebook:
    """A notebook as it was read.

    Attributes:
        path: its file.
        content: the file's bytes.
        node: what it holds, as nbformat has it.
    """

    path: Path
    content: bytes
    node: Any

    @property
    def has_outputs(self) -> bool:
        return any(cell.outputs for cell in code_cells(self.node))


@dataclasses.dataclass(frozen=True)
class Ran:
    """A notebook that was run.

    Attributes:
        node: the notebook with what came out.
        failed: the number of the code cell that failed; 0 where none did.
        folder: the copy that it ran in, where it was kept.
    """

    node: Any
    failed: int
    folder: Path | None = None


@dataclasses.dataclass(frozen=True)
class Cell:
    """What a code cell came to.

    Attributes:
        cell: its number among the code cells, from 1.
        source: its first line.
        same: whether what it put out is the same; `None` where it could not be told.
        difference: the first difference.
        noise: what was taken out of it to compare.
    """

    cell: int
    source: str
    same: bool | None
    difference: str
    noise: tuple[str, ...]


def code_cells(node: Any) -> list:
    """The code cells of a notebook."""
    return [cell for cell in node.cells if cell.cell_type == "code"]


def read(path: Path) -> Notebook:
    """Reads a notebook, and looks for what is needed to run it.

    Raises:
        RunError: where it is no notebook of format 4, has no code, or there is no such kernel.
        MissingExtraError: where nbclient is missing.
    """
    try:
        import nbclient  # noqa: F401
        import nbformat
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        raise MissingExtraError(
            "A notebook needs nbclient to be verified. `pip install 'repro_keras[notebook]'`"
        ) from None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} could not be read: {error.strerror}.") from None
    try:
        node = nbformat.reads(content.decode(), as_version=nbformat.NO_CONVERT)
        nbformat.validate(node)
        if node.nbformat != 4:
            raise ValueError(f"its format is {node.nbformat}")
    except (ValueError, nbformat.ValidationError, AttributeError, KeyError) as error:
        said = str(error).partition("\n")[0]
        raise RunError(
            f"{path} should be a Jupyter notebook of format 4, and cannot be read as one: {said}"
        ) from None
    if not code_cells(node):
        raise RunError(f"{path} has no code cells, so that there is nothing to verify.")
    kernels = KernelSpecManager()
    try:
        kernels.get_kernel_spec(_kernel(node))
    except NoSuchKernel:
        raise RunError(
            f"{path} wants the kernel {_kernel(node)!r}, which is not installed. There are: "
            f"{listed(sorted(kernels.find_kernel_specs()), 9) or 'none'}. Install that one, or "
            "choose another in Jupyter and save the notebook."
        ) from None
    return Notebook(path, content, node)


def _kernel(node: Any) -> str:
    return node.metadata.get("kernelspec", {}).get("name") or "python3"


def run(
    notebook: Notebook,
    *,
    timeout: int | None = None,
    keep: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> Ran:
    """Runs a notebook from top to bottom; it stops at an error, as Jupyter does.

    Args:
        notebook: what to run; it is not changed.
        timeout: how many seconds a cell may take; `None` for any.
        keep: whether the copy of the project stays.
        progress: is told how far it is.

    Raises:
        RunError: where the kernel does not start or dies, a cell takes too long, or a file of the
            project was changed.
    """
    home = project.find(notebook.path)
    place = home.relative(notebook.path)
    assert place is not None
    folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="repro-keras-")))
    try:
        links = home.copy_to(folder / home.root.name, [place], [])
        ran = _execute(notebook.node, (folder / home.root.name / place).parent, timeout, progress)
        changed = project.changed(links)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if changed:
        raise RunError(
            f"The notebook changed {listed(changed)} in {home.root} itself: a file too large to "
            "copy. What came out is not compared."
        )
    _rename(ran.node, str(folder / home.root.name), str(home.root))
    return dataclasses.replace(ran, folder=folder if keep else None)


def _execute(
    notebook: Any, folder: Path, timeout: int | None, progress: Callable[[str], None]
) -> Ran:
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    node = copy.deepcopy(notebook)
    for cell in code_cells(node):
        cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        node,
        kernel_name=_kernel(node),
        timeout=timeout,
        allow_errors=True,
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    environment = config.with_hash_seed(config.environment_outside())
    # What the kernel itself says, not what the cells put out.
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    count, number, where = len(code_cells(node)), 0, ""
    try:
        with client.setup_kernel(env=environment, **quiet):
            for index, cell in enumerate(node.cells):
                if cell.cell_type != "code":
                    continue
                number += 1
                where = f"cell {number} ({_first_line(cell)})"
                progress(f"repro-keras: running cell {number} of {count}")
                client.execute_cell(cell, index)
                failed = any(output.output_type == "error" for output in cell.outputs)
                if failed and "raises-exception" not in cell.metadata.get("tags", []):
                    return Ran(node, number)
    except CellTimeoutError:
        raise RunError(
            f"After {timeout} seconds, {where} had not ended. Give it more: --timeout SECONDS."
        ) from None
    except DeadKernelError:
        raise RunError(
            f"The kernel died in {where}: it was killed, ended itself, or had too little memory."
        ) from None
    except (RuntimeError, TimeoutError) as error:
        raise RunError(f"The kernel {_kernel(node)!r} did not start: {error}") from None
    return Ran(node, 0)


def _rename(node: Any, copied: str, original: str) -> None:
    """Lets outputs name the project, not its copy."""
    import nbformat

    for cell in code_cells(node):
        text = json.dumps(cell.outputs, ensure_ascii=False)
        if copied in text:
            cell.outputs = nbformat.from_dict(json.loads(text.replace(copied, original)))


def compare(then: Any, now: Ran) -> list[Cell]:
    """Compares what the code cells of a notebook put out in two runs.

    Args:
        then: the notebook with what came out first.
        now: what came out the second time.
    """
    found = []
    for number, (one, other) in enumerate(
        zip(code_cells(then), code_cells(now.node), strict=True), 1
    ):
        if now.failed and number > now.failed and one.outputs:
            result = outputs.Comparison(None, f"it was not run, as cell {now.failed} failed")
        else:
            result = outputs.compare(one.outputs, other.outputs)
        found.append(Cell(number, _first_line(one), result.same, result.difference, result.noise))
    return found


def same(cells: list[Cell]) -> bool | None:
    """True, False, or `None` where it could not be told."""
    return together(cell.same for cell in cells)


def update(notebook: Notebook, ran: Ran) -> None:
    """Writes what came out into the notebook, whole or not at all.

    Raises:
        RunError: where a cell failed, or the file was changed meanwhile.
    """
    import nbformat

    if ran.failed:
        raise RunError(f"{notebook.path} was not updated, as cell {ran.failed} failed.")
    if notebook.path.read_bytes() != notebook.content:
        raise RunError(
            f"{notebook.path} was changed while it ran, and was not updated. Save it, and run the "
            "command again."
        )
    with atomic.replacing(notebook.path) as place:
        nbformat.write(ran.node, place)


def _first_line(cell: Any) -> str:
    lines = [line for line in cell.source.splitlines() if line.strip()]
    line = lines[0].strip() if lines else ""
    return line if len(line) <= 50 else f"{line[:49]}…"
