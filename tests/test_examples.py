"""The examples and notebooks: run, verified, and with plain Keras as a control."""

import json
import shutil
import sys

import forks
import pytest
from fresh import ROOT
from projects import shell

from repro_keras._src import record


def names():
    sys.path.insert(0, str(ROOT / "examples"))
    import verify_records

    return verify_records.NAMES


def test_every_example_has_a_record_of_its_code():
    scripts = {p.stem for p in (ROOT / "examples").glob("*.py")}
    assert set(names()) == scripts - {"demo", "real_data", "verify_records"}
    for name in names():
        statement = record.read(ROOT / "examples" / "records" / f"{name}.json")
        files = [one.name for one in statement.subject if one.name.startswith("file/")]
        # Whoever edits a file meanwhile has it in the record, as written by the run.
        assert all(file.startswith("file/examples/") for file in files), files
        for file in statement.predicate.code.files:
            content = (ROOT / file.path).read_bytes()
            size = len(content)
            assert size == file.size, (
                f"{file.path} has changed: examples/verify_records.py --update"
            )


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_an_example_is_the_same_again_and_differs_with_plain_keras(name, tmp_path):
    for file in (f"{name}.py", "real_data.py"):
        shutil.copy(ROOT / "examples" / file, tmp_path)
    (tmp_path / ".repro").mkdir()
    # Plain Keras 2 cannot write .weights.h5 in graphs.
    weights = "out.h5" if name == "legacy_recipe" else "out.weights.h5"
    arguments = [f"{name}.py", "--epochs=1", f"--weights={weights}", "--plot=plot.png"]
    result = shell("run", *arguments, cwd=tmp_path, extras=True)
    assert result.returncode == 0, result.stderr
    result = shell("verify", "--yes", "--json", cwd=tmp_path, extras=True)
    assert result.returncode == 0, result.stdout + result.stderr
    found = {row["what"]: row["same"] for row in json.loads(result.stdout)["rows"]}
    assert found["files"] is True
    plain = []
    for _ in range(2):
        script, *rest = arguments
        forks.run(tmp_path / script, *rest, cwd=tmp_path, env={"REPRO_KERAS_OFF": "1"})
        files = sorted(tmp_path.glob(f"{weights}*"))  # a Saver makes several
        plain.append([path.read_bytes() for path in files])
    assert plain[0] != []
    # Its recipe repeats with plain Keras 2 too; tests/test_v1_keras.py has the control without it.
    assert (plain[0] != plain[1]) is (name != "legacy_recipe")


def texts_of_any_cpu(path):
    """What a notebook has stored as text, but for cells that say that it depends on the CPU."""
    for cell in json.loads(path.read_text())["cells"]:
        if "depends-on-cpu" not in cell["metadata"].get("tags", []):
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                if "image/png" not in data:
                    yield "".join(output.get("text") or data["text/plain"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "steps"),
    [("01_swap_the_import", 504), ("03_rerun_a_paper", 2772), ("04_low_level_tensorflow", 300)],
)
def test_a_notebook_is_the_same_again(name, steps):
    target = f"notebooks/{name}.ipynb"
    result = shell("run", "--json", target, cwd=ROOT, extras=True)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["steps"] == steps
    for text in texts_of_any_cpu(ROOT / target):
        assert text in result.stdout
    folder = ROOT / ".repro" / "runs" / found["id"]
    verified = shell("verify", "--yes", "--json", found["id"], cwd=ROOT, extras=True)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    again = json.loads(verified.stdout)["run"]
    for name in (folder.name, again):
        shutil.rmtree(ROOT / ".repro" / "runs" / name)
