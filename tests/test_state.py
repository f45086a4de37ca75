"""Training that is killed and goes on ends as if it had not been interrupted, to the bit."""

import ast
import json
import shutil
import signal
import subprocess
import sys

import forks
import pytest
from fresh import SCRIPTS, environment, run_json

pytestmark = pytest.mark.slow

NOT_COMPARED = ("resumed", "steps")


def _functions(script, table):
    """The names in a table of a script, which is not imported here."""
    tree = ast.parse((SCRIPTS / script).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and node.targets[0].id == table:
            generator = node.value.generators[0].iter
            return [element.id for element in generator.elts]
    raise AssertionError(f"{script} has no {table}")


def _cases():
    tree = ast.parse((SCRIPTS / "state_cases.py").read_text())
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [name for name in names if name.count("_") >= 2]


FAMILIES = _functions("states.py", "FAMILIES")
OTHERS = _functions("states.py", "OTHERS")


@pytest.fixture(scope="module")
def cases():
    return run_json("state_cases.py")


@pytest.mark.parametrize("case", _cases())
def test_case(case, cases):
    assert cases[case] is True, cases[case]


def killed_and_resumed(family, folder, save_freq, kill_at):
    """What comes out of a training that is killed and goes on, and of one that is not."""
    (folder / "whole").mkdir()
    (folder / "killed").mkdir()
    whole = forks.run_json("states.py", family, folder / "whole", save_freq)
    process = forks.run(
        "states.py", family, folder / "killed", save_freq, "--kill-at", kill_at, check=False
    )
    assert process.returncode == -signal.SIGKILL, process.stderr[-3000:]
    return whole, forks.run_json("states.py", family, folder / "killed", save_freq)


@pytest.mark.parametrize("family", OTHERS)
def test_a_killed_training_goes_on_in_another_process(family, tmp_path):
    whole, resumed = killed_and_resumed(family, tmp_path, 3, 8)
    assert resumed["resumed"] is not None
    assert resumed["steps"] < whole["steps"]
    assert {n: v for n, v in resumed.items() if n not in NOT_COMPARED} == {
        n: v for n, v in whole.items() if n not in NOT_COMPARED
    }


def test_trainings_that_are_killed_at_random_come_to_the_same():
    found = run_json("soak.py", 8)
    assert found["misses"] == []
    assert all(found["kills"][family] for family in FAMILIES)


def test_stock_keras_does_not_come_to_the_same(tmp_path):
    """The control: the same kill, with BackupAndRestore."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    stock = ("epoch", "--stock")
    whole = forks.run_json("states.py", "mlp", tmp_path / "whole", *stock)
    forks.run("states.py", "mlp", tmp_path / "killed", *stock, "--kill-at", 8, check=False)
    resumed = forks.run_json("states.py", "mlp", tmp_path / "killed", *stock)
    assert resumed["weights"] != whole["weights"]
    assert resumed["history"] != whole["history"]
    assert resumed["csv"] != whole["csv"]


def test_random_trainings_go_on_exactly():
    assert run_json("state_property.py", 4) == {"examples": 4}


SCRIPT = """
import os, sys
import repro_keras as keras
from repro_keras import repro
import numpy as np

steps = 0  # of this process: what a callback has in its attributes goes on where it was

class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        global steps
        steps += 1
        if steps == int(os.environ.get("KILL_AT", 0)):
            if "KILL_LAUNCHER" in os.environ:
                os.kill(os.getppid(), 9)
            os.kill(os.getpid(), 9)

x = np.random.default_rng(0).random((40, 5), "float32")
y = x.sum(1, keepdims=True)
layers = [keras.layers.Dense(8), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
model = keras.Sequential(layers)
model.compile("adam", "mse")
model.fit(x, y, 8, epochs=1, verbose=0)
logger = keras.callbacks.CSVLogger("log.csv")
saver = keras.callbacks.ModelCheckpoint("epoch{epoch}.weights.h5", save_weights_only=True)
keeper = repro.TrainingState("states", save_freq=3)
epochs = int(os.environ.get("EPOCHS", 4))
model.fit(x, y, 8, epochs=epochs, verbose=0, callbacks=[keeper, logger, saver, Kill()])
model.save("net.keras")
"""


def _repro_keras(*arguments, **options):
    return _plainly("-m", "repro_keras", *arguments, **options)


def _plainly(*arguments, cwd, env=None, code=0):
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**environment(), "PYTHONHASHSEED": "0", **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == code, (process.returncode, process.stdout, process.stderr[-3000:])
    return process


def _record(folder):
    records = sorted((folder / ".repro" / "runs").glob("*/record.json"))
    return [json.loads(path.read_text()) for path in records]


def test_a_recorded_run_goes_on_and_its_trail_joins(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        (folder / ".repro").mkdir()
        (folder / "train.py").write_text(SCRIPT)
    _repro_keras("run", "train.py", cwd=whole)
    _repro_keras("run", "train.py", cwd=killed, env={"KILL_AT": "9"}, code=137)
    both = {"KILL_AT": "4", "KILL_LAUNCHER": "1"}
    _repro_keras("resume", "--yes", cwd=killed, env=both, code=-signal.SIGKILL)  # and once more
    _repro_keras("resume", "--yes", cwd=killed)
    (expected,) = _record(whole)
    first, second, last = _record(killed)
    assert expected["subject"] == last["subject"]
    assert expected["predicate"]["trail"] == last["predicate"]["trail"]
    assert first["predicate"]["status"] == "killed"
    assert last["predicate"]["parent"] == second["predicate"]["seal"]
    assert last["predicate"]["resumed"] > second["predicate"]["resumed"] > 5
    listed = json.loads(_repro_keras("ls", "--json", cwd=killed).stdout)
    assert [bool(run["resumes"]) for run in listed] == [False, True, True]
    # The verdict on the whole is that of a run that was never interrupted.
    verdict = json.loads(_repro_keras("verify", "--yes", "--json", cwd=killed).stdout)
    assert verdict["verdict"] == "the same"
    process = _repro_keras("resume", "--yes", cwd=killed, code=2)
    assert "came to its end" in process.stderr
    process = _repro_keras("resume", "--yes", listed[0]["id"], cwd=killed, code=2)
    assert f"was gone on with already, as {listed[1]['id']} (killed)" in process.stderr
    # Nor do states that were left by others since change the verdict.
    _plainly("train.py", cwd=killed, env={"EPOCHS": "5"})
    _repro_keras("verify", "--yes", cwd=killed)


def test_what_cannot_go_on_is_refused(tmp_path):
    (tmp_path / ".repro").mkdir()
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    _repro_keras("run", "train.py", cwd=tmp_path, env={"KILL_AT": "7"}, code=137)
    _plainly("train.py", cwd=tmp_path, env={"KILL_AT": "10"}, code=-signal.SIGKILL)
    process = _repro_keras("resume", "--yes", cwd=tmp_path, code=2)
    assert "Somebody has trained on since" in process.stderr
    shutil.rmtree(tmp_path / "states")
    process = _repro_keras("resume", "--yes", cwd=tmp_path, code=2)
    assert "are gone, so that there is nothing to go on from" in process.stderr
    script.write_text(SCRIPT + "\n")
    process = _repro_keras("resume", "--yes", cwd=tmp_path, code=2)
    assert "The code has changed" in process.stderr
    assert "train.py" in process.stderr
    script.write_text("import sys\nimport repro_keras as keras\nkeras.layers\nsys.exit(3)\n")
    _repro_keras("run", "train.py", cwd=tmp_path, code=3)
    process = _repro_keras("resume", "--yes", cwd=tmp_path, code=2)
    assert "kept no state" in process.stderr
