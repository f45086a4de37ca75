"""Every row of the seam has a control in its own process, which fails with the row left out."""

import ast

import pytest
from forks import run, run_json
from fresh import SCRIPTS
from fresh import run as run_fresh

from repro_keras._src import patches

pytestmark = pytest.mark.slow


def _rows_with_controls(script="controls.py"):
    tree = ast.parse((SCRIPTS / script).read_text())
    (table,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "CONTROLS"
    )
    return [key.value for key in table.keys]


@pytest.fixture(scope="module")
def rows():
    """The rows that are installed with this Keras."""
    return run_json("controls.py", "rows")


@pytest.fixture(scope="module")
def rows_v1():
    """The rows for TensorFlow 1 and tf_keras, and those of Keras 3 that are for them."""
    return run_json("controls_v1.py", "rows")


@pytest.fixture(scope="module")
def controls_v1():
    """Whether each control for them holds, with all rows in place."""
    return run_json("controls_v1.py", "all")


# Where a row has another place in other versions of Keras that work.
ELSEWHERE = {
    "export: saved_model_export_archive._list_variables_used_by_fns",
    "export: SavedModelExportArchive.write_out",
    "export: saved_model._list_variables_used_by_fns",
    "export: ExportArchive.write_out",
}


def test_every_row_has_a_control(rows, rows_v1):
    assert len(set(rows)) == len(rows)
    assert len(set(rows_v1)) == len(rows_v1)
    scripts = ("controls.py", "controls_record.py", "controls_v1.py", "controls_guard.py")
    with_control = {row for script in scripts for row in _rows_with_controls(script)}
    together = ("tf_names", "legacy_api", *patches.EXACT)  # they have tests of their own, below
    found = {row for row in {*rows, *rows_v1} if not row.startswith(together)}
    assert found <= with_control
    assert with_control - found <= ELSEWHERE


@pytest.mark.parametrize(
    ("script", "row"),
    [
        (script, row)
        for script in ("controls.py", "controls_record.py")
        for row in _rows_with_controls(script)
    ],
)
def test_a_control_holds_with_its_row_only(script, row, rows):
    if row not in rows:
        pytest.skip("this Keras has it elsewhere")
    process = run(script, row)
    assert process.stdout.splitlines()[-1] == "true"
    # What stands on a row may fail outright without it; it must not come to the same.
    process = run(script, row, row, check=False)
    if process.returncode:
        assert "AssertionError" in process.stderr, process.stderr
    else:
        assert process.stdout.splitlines()[-1] == "false"


@pytest.mark.parametrize("row", _rows_with_controls("controls_v1.py"))
def test_a_control_of_tensorflow_1_holds_with_its_row_only(row, controls_v1):
    assert controls_v1[row]
    assert run("controls_v1.py", row, row).stdout.splitlines()[-1] == "false"


@pytest.mark.parametrize("row", _rows_with_controls("controls_guard.py"))
def test_a_control_of_the_guard_holds_with_its_row_only(row):
    assert run_fresh("controls_guard.py", row).stdout == "true\n"
    assert run_fresh("controls_guard.py", row, row).stdout == "false\n"


def test_operations_are_exact_with_their_rows_only():
    with_rows = run_json("controls_exact.py")
    assert [row for row, holds in with_rows.items() if not holds] == []
    without = run_json("controls_exact.py", *patches.EXACT)
    assert [row for row, holds in without.items() if holds] == []


def test_names_of_keras_2_are_found_by_their_row_only(rows_v1):
    rows = [row for row in rows_v1 if row.startswith("legacy_api")]
    assert run_json("controls_v1.py", "api") == dict.fromkeys(rows, True)
    assert run_json("controls_v1.py", "api", *rows) == dict.fromkeys(rows, False)


def test_names_of_tf_keras_are_found_by_their_row_only(rows):
    rows = [row for row in rows if "tf_names" in row]
    assert run_json("controls.py", "tf_names") == dict.fromkeys(rows, True)
    assert run_json("controls.py", "tf_names", *rows) == dict.fromkeys(rows, False)
