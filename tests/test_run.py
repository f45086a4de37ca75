"""`repro-keras run` and `verify`, as a shell sees them, in fresh processes."""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time

import msgspec
import pytest
from fresh import SCRIPTS, environment
from projects import SCRIPT, edit, make_project, records, shell
from test_cli import COMMAND, command

from repro_keras._src import cpu, record
from repro_keras._src.runs import journal, launch, verify


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A project with a run that finished."""
    folder = make_project(tmp_path_factory.mktemp("recorded"))
    (folder / "unrelated.txt").write_text("not read")
    result = shell("run", "train.py", "--size", "3", f"--out={folder}/x", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder, result


@pytest.fixture
def changed(recorded, tmp_path):
    """A copy of that project, to break something in."""
    folder = tmp_path / "project"
    shutil.copytree(recorded[0], folder)
    return folder


def test_a_record_says_what_was_run(recorded):
    folder, result = recorded
    assert result.stdout.splitlines()[-2] == f"arguments ['--size', '3', '--out={folder}/x']"
    assert "recorded 21 steps" in result.stderr
    (path,) = records(folder)
    statement = record.read(path)
    run = statement.predicate
    assert (run.status, run.exit_code) == ("finished", 0)
    assert [file.path for file in run.code.files] == ["helper.py", "train.py"]
    assert run.code.arguments == ["--size", "3", "--out={project}/x"]
    assert [file.path for file in run.read] == ["data/numbers.csv"]
    assert {data.argument for data in run.data} == {"x", "y", "validation_data"}
    assert all(data.digest for data in run.data)
    assert run.environment["PYTHONHASHSEED"] == "0"
    assert {"keras", "tensorflow", "numpy"} < set(run.software.loaded)
    assert run.software.packages["keras"]
    assert run.machine.instruction_sets
    assert [segment.epoch for segment in run.trail] == [0, 1, 2]
    assert all(len(segment.steps.loss) == 7 for segment in run.trail)
    assert set(run.trail[0].metrics) == {"loss", "mae", "val_loss", "val_mae"}
    assert list(run.models[0].initial) == list(run.trail[0].layers)
    subjects = record.subjects(statement)
    assert {"model/0/weights", "model/0/optimizer", "generators", "file/net.keras"} < set(subjects)
    assert f"sha256:{subjects['model/0/weights']}" == result.stdout.splitlines()[-1]


def test_a_record_has_no_times_hosts_users_or_absolute_paths(recorded):
    folder, _ = recorded
    text = records(folder)[0].read_text()
    about = json.loads((records(folder)[0].parent / "about.json").read_text())
    for said in (about["host"], str(folder), about["root"], time.strftime("%Y-%m-%d"), "/home"):
        assert said not in text
    assert "SECRET" not in text


@pytest.mark.slow
def test_a_record_is_the_same_in_other_folders_and_on_other_cores(recorded, tmp_path):
    folder = make_project(tmp_path / "elsewhere")
    shell("run", "train.py", "--size", "3", f"--out={folder}/x", cwd=folder, cores="0")
    (one,), (other,) = records(recorded[0]), records(folder)
    one, other = (msgspec.to_builtins(record.read(path)) for path in (one, other))
    for found in (one, other):
        found["predicate"]["machine"].pop("cores")
        found["predicate"].pop("seal")
    assert one == other
    other_seed = make_project(tmp_path / "seed")
    shell("run", "train.py", cwd=other_seed, REPRO_KERAS_SEED="5", SECRET_KEY="SECRET")
    statement = record.read(records(other_seed)[0])
    assert statement.predicate.configuration["seed"] == 5
    assert statement.predicate.environment["REPRO_KERAS_SEED"] == "5"
    assert "SECRET" not in records(other_seed)[0].read_text()
    first = record.read(records(folder)[0]).predicate.trail[0].steps
    assert statement.predicate.trail[0].steps.loss != first.loss
    # The seed is the record's, whatever the shell says.
    assert shell("verify", "--yes", cwd=other_seed, REPRO_KERAS_SEED="6").returncode == 0


@pytest.mark.slow
def test_verify_says_the_same_and_touches_nothing(changed):
    before = {p: p.read_bytes() for p in changed.rglob("*") if p.is_file()}
    result = shell("verify", "--yes", cwd=changed, cores="0")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1] == "The same"
    for row in ("code", "environment", "data", "initial weights", "epochs", "final weights"):
        assert f" {row} " in result.stdout
    assert {p: p.read_bytes() for p in before} == before
    new = [p for p in changed.rglob("*") if p.is_file() and p not in before]
    assert all(".repro" in p.parts for p in new)
    record_path = records(changed)[0]
    found = shell("verify", "--yes", "--json", record_path, cwd="/", cores="1")
    assert found.returncode == 0
    assert json.loads(found.stdout)["verdict"] == "the same"


def test_verify_asks_first(changed):
    result = shell("verify", cwd=changed)
    assert result.returncode == 2
    assert "This runs `python train.py --size 3" in result.stderr
    assert "say --yes" in result.stderr
    assert len(records(changed)) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new", "row", "where"),
    [
        ("data/numbers.csv", "0.0,0.3", "0.1,0.3", "data", "epoch 1, step"),
        ("train.py", "Dropout(0.2)", "Dropout(0.21)", "code", "epoch 1, step"),
        ("train.py", "Dense(16", "Dense(17", "initial weights", "Before the first step of model 1"),
        ("train.py", "epochs=3", "epochs=4", "epochs", "fit 1, epoch 4: the trail was over"),
        ("helper.py", "x.sum(1)", "x.sum(1) + 1", "data", "fit 1, epoch 1, step 1 "),
    ],
)
def test_verify_names_what_was_broken(changed, file, old, new, row, where):
    edit(changed / file, old, new)
    result = shell("verify", "--yes", "--json", cwd=changed)
    assert result.returncode == 1, result.stderr
    found = json.loads(result.stdout)
    assert found["verdict"] == "different"
    assert {r["what"]: r["same"] for r in found["rows"]}[row] is False
    assert found["causes"][0]["what"] == ("data" if file.startswith("data") else "code")
    first = found["first_difference"]
    assert where in f"{first['where']}: {first['what']} was {first['recorded']}"
    assert len(records(changed)) == 2


def test_verify_needs_the_code_and_the_data(changed):
    (changed / "data" / "numbers.csv").rename(changed / "data" / "gone.csv")
    shutil.rmtree(changed / ".repro" / "kept")  # where a copy is
    result = shell("verify", "--yes", cwd=changed)
    assert result.returncode == 2
    assert "needs the data in data/numbers.csv, which is missing" in result.stderr
    (changed / "helper.py").unlink()
    result = shell("verify", "--yes", cwd=changed)
    assert result.returncode == 2
    assert "needs helper.py, which is missing" in result.stderr
    (changed / "train.py").unlink()
    assert "in none of the folders" in shell("verify", "--yes", cwd=changed).stderr


def test_verify_refuses_a_record_that_was_changed(changed):
    (path,) = records(changed)
    edit(path, '"seed": 0', '"seed": 1')
    before = path.read_bytes()
    for name in ("verify", "show"):
        result = shell(name, *["--yes"] * (name == "verify"), cwd=changed)
        assert result.returncode == 2
        assert "was changed after it was written" in result.stderr
        assert "Traceback" not in result.stderr
    path.write_bytes(before[:300])
    assert shell("verify", "--yes", cwd=changed).returncode == 2
    assert shell("ls", cwd=changed).returncode == 0
    assert path.read_bytes() == before[:300]


def on_another_cpu(statement):
    machine = statement.predicate.machine
    machine.model, machine.architecture = "Another CPU", "another"
    machine.instruction_sets, machine.caches = ["avx2", "avx512f", "fma"], {"L2": 1}


def test_a_portable_run_verifies_against_a_record_of_another_cpu(changed):
    (path,) = records(changed)
    statement = record.read(path)
    assert statement.predicate.configuration["guarantee"] == "portable"
    on_another_cpu(statement)
    record.write(path, statement)
    result = shell("verify", "--yes", cwd=changed)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Not covered" not in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if " environment " in line]
    assert line.split()[-1] == "yes"


def test_what_machine_and_portable_cover(recorded, monkeypatch):
    (path,) = records(recorded[0])
    statement = record.read(path)
    assert verify.not_covered(statement) == []
    monkeypatch.setattr(cpu, "lacking", lambda: ("avx2", "fma"))
    (reason,) = verify.not_covered(statement)
    assert reason == "the guarantee 'portable' needs avx2 and fma, which this CPU lacks"
    statement.predicate.configuration["guarantee"] = "machine"
    assert verify.not_covered(statement) == []
    on_another_cpu(statement)
    model, sets, caches = verify.not_covered(statement)
    assert model.startswith("the CPU was 'Another CPU' and is ")
    assert "instruction sets differ in" in sets
    assert "caches were {'L2': 1} and are" in caches


def test_what_the_guarantee_does_not_cover_is_not_judged(changed):
    (path,) = records(changed)
    statement = record.read(path)
    statement.predicate.software.packages["numpy"] = "1.0"
    record.write(path, statement)
    result = shell("verify", "--yes", cwd=changed)
    assert result.returncode == 2
    assert "numpy was 1.0 and is" in result.stderr
    assert len(records(changed)) == 1
    result = shell("verify", "--yes", "--allow", cwd=changed)
    assert "Not covered by the guarantee" in result.stdout
    assert result.returncode == 0, result.stdout  # what came out is judged
    (line,) = [line for line in result.stdout.splitlines() if " environment " in line]
    assert line.split()[-1] == "no"


# Ways to train


@pytest.mark.slow
def test_a_run_that_ends_badly_is_recorded_as_such(tmp_path):
    shutil.copy(SCRIPTS / "loops.py", tmp_path)
    expected = {
        "crash": (1, "failed", "RuntimeError", 6),
        "exit": (7, "failed", "SystemExit", 0),
        "killed": (137, "killed", None, 6),
        "predictions": (0, "finished", None, 0),
    }
    for kind, (code, status, error, steps) in expected.items():
        result = shell("run", "loops.py", kind, cwd=tmp_path)
        assert result.returncode == code, kind
        run = record.read(records(tmp_path)[-1]).predicate
        count = sum(len(segment.steps.loss) for segment in run.trail)
        assert (run.status, run.error, count) == (status, error, steps), kind
        if kind == "crash":
            assert "RuntimeError: on purpose" in result.stderr
            assert "repro_keras/_src/runs/child.py" not in result.stderr
            assert shell("verify", "--yes", cwd=tmp_path).returncode == 0
        if kind == "predictions":
            assert [data.call for data in run.data] == ["predict 0", "predict 1", "predict 2"]


@pytest.mark.slow
def test_an_interrupted_run_is_recorded_as_such(tmp_path):
    shutil.copy(SCRIPTS / "loops.py", tmp_path)
    process = subprocess.Popen(
        [COMMAND, "run", "loops.py", "waits"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "waiting\n"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "KeyboardInterrupt" in errors
    assert "recorded 20 steps (interrupted)" in errors
    run = record.read(records(tmp_path)[-1]).predicate
    assert run.status == "interrupted"


def on_terminal(arguments, cwd, until):
    """Runs a command on a terminal of its own, and returns what was shown there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, *arguments],
        cwd=cwd,
        env=environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown, end = b"", time.monotonic() + until
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.5)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:
                break
        elif process.poll() is not None:
            break
    os.close(ours)
    assert process.wait(timeout=30) == 0
    return shown.decode()


@pytest.mark.slow
def test_a_terminal_shows_a_line_of_progress(tmp_path):
    (tmp_path / "t.py").write_text(
        "import sys, time\nprint('terminal', sys.stdout.isatty())\ntime.sleep(1.5)\n"
        "import repro_keras as keras\nimport numpy as np\n"
        "v = keras.Variable(1.0)\noptimizer = keras.optimizers.SGD()\n"
        "for _ in range(4):\n  optimizer.apply([np.float32(1)], [v])\n"
        "time.sleep(1.5)\nprint('end')\n"
    )
    shown = on_terminal(["run", "t.py"], tmp_path, 60)
    assert "terminal True\r\n" in shown
    assert "repro-keras: recording" in shown
    assert "\x1b[2Kend\r\n" in shown  # the line is gone before output comes
    plain = shell("run", "t.py", cwd=tmp_path)
    assert "recording" not in plain.stdout
    assert "\x1b" not in plain.stdout + plain.stderr


def test_the_line_of_progress_has_the_time_left(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(launch.time, "monotonic", lambda: now[0])
    progress = launch.Progress(tmp_path, "verifying", 40)
    wrote = journal.Journal(tmp_path)

    def after(seconds, steps):
        now[0] += seconds
        wrote.write("rows", rows=journal.packed([(0.25, 0.1, 1, 0, None)] * steps))
        return progress.line()

    assert progress.line() == "repro-keras: verifying · 0 of 40 steps · 0 s"
    assert after(5, 1) == "repro-keras: verifying · 1 of 40 steps · loss 0.25 · 5 s"
    assert after(2, 9) == "repro-keras: verifying · 10 of 40 steps · loss 0.25 · 7 s, 7 s left"
    wrote.write("epoch", epoch=0, metrics={}, layers={})
    assert after(10, 30).startswith("repro-keras: verifying · 1 epochs · 40 of 40 steps")
    assert "left" not in after(1, 1)  # more than were recorded


@pytest.mark.slow
def test_modules_notebooks_and_scripts_that_record_themselves(tmp_path):
    make_project(tmp_path / "p")
    folder = tmp_path / "p"
    (folder / "pack").mkdir()
    (folder / "pack" / "__init__.py").touch()
    text = SCRIPT.replace("from helper", "import sys\nfrom helper")
    (folder / "pack" / "go.py").write_text(text)
    result = shell("run", "-m", "pack.go", "a", cwd=folder)
    assert result.returncode == 0, result.stderr
    run = record.read(records(folder)[-1]).predicate
    assert (run.code.kind, run.code.target, run.code.arguments) == ("module", "pack.go", ["a"])
    assert "pack/go.py" in [file.path for file in run.code.files]
    assert shell("verify", "--yes", cwd=folder).returncode == 0

    cells = ["%time 1 + 1\n", text.replace("sys.argv[1:]", "'cell'")]
    cells = [{"cell_type": "code", "source": [cell], "metadata": {}} for cell in cells]
    (folder / "n.ipynb").write_text(json.dumps({"nbformat": 4, "cells": cells}))
    result = shell("run", "n.ipynb", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "arguments cell" in result.stdout
    assert sum(len(s.steps.loss) for s in record.read(records(folder)[-1]).predicate.trail) == 21
    assert shell("verify", "--yes", cwd=folder).returncode == 0
    (folder / "bad.ipynb").write_text("{}")
    result = shell("run", "bad.ipynb", cwd=folder)
    assert result.returncode == 2
    assert "should be a Jupyter notebook" in result.stderr

    own = SCRIPT.replace("verbose=0,", "verbose=0, callbacks=[repro.Record()],")
    (folder / "own.py").write_text(own)
    process = subprocess.run(
        [sys.executable, "own.py"],
        cwd=folder,
        env={**environment(), "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "repro-keras: recorded in .repro" in process.stderr
    run = record.read(records(folder)[-1]).predicate
    assert (run.code.target, run.status) == ("own.py", "finished")
    assert sum(len(segment.steps.loss) for segment in run.trail) == 21


def test_what_cannot_be_run(tmp_path):
    result = shell("run", "none.py", cwd=tmp_path)
    assert result.returncode == 2
    assert "There is no file 'none.py' to run" in result.stderr
    (tmp_path / "a.py").write_text("print(1)")
    result = shell("run", "a.py", cwd=tmp_path, REPRO_KERAS_OFF="1")
    assert result.returncode == 2
    assert "plain Keras has no seam" in result.stderr
    result = shell("verify", cwd=tmp_path)
    assert result.returncode == 2
    assert "There is no recorded run" in result.stderr


def test_ls_show_and_gc(recorded, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(recorded[0], folder)
    (path,) = records(folder)
    (folder / ".repro" / "runs" / "20200101-000000-abcd").mkdir()
    listed = json.loads(shell("ls", "--json", cwd=folder).stdout)
    assert [(run["status"], run["steps"]) for run in listed] == [
        ("unfinished", None),
        ("finished", 21),
    ]
    assert "train.py --size 3" in shell("ls", cwd=folder).stdout
    shown = shell("show", cwd=folder).stdout
    for said in ("train.py", "data/numbers.csv", "fit 1, epoch 3", "model/0/weights"):
        assert said in shown
    assert json.loads(shell("show", "--json", cwd=folder).stdout) == json.loads(path.read_text())
    result = shell("gc", cwd=folder)
    assert result.returncode == 2
    assert "Say --yes" in result.stderr
    found = json.loads(shell("gc", "--dry-run", "--json", cwd=folder).stdout)
    assert [os.path.basename(name) for name in found["removed"]] == ["20200101-000000-abcd"]
    assert shell("gc", "--yes", cwd=folder).stdout.startswith("1 removed")
    assert path.exists()
    assert shell("gc", "--yes", "--keep=0", cwd=folder).stdout.startswith("1 removed")
    assert not path.exists()
    assert "no runs here yet" in shell("ls", cwd=folder).stderr
    assert command("completion", "bash").stdout.startswith("_repro_keras_completion()")
