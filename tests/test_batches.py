"""What the record has of data that comes batch by batch, and of the metrics of each batch."""

import os

import pytest
from projects import records, shell

from repro_keras._src import record

SCRIPT = """
import os, sys
import repro_keras as keras
from repro_keras import repro
import numpy as np
import tensorflow as tf

kind, *options = sys.argv[1:]
tf_file = float(tf.io.read_file("more.txt").numpy())  # Python does not open it
x = np.arange(320, dtype="float32").reshape(40, 8) / 100
y = x.sum(1)
made = 0

class Parts(keras.utils.PyDataset):
    def __len__(self):
        return 10

    def __getitem__(self, i):
        part = x[4 * i : 4 * i + 4].copy()
        part[2, 3] += tf_file * (i == 5)
        return part, y[4 * i : 4 * i + 4]

def parts():
    global made
    made += 1
    yield from (Parts()[i] for i in range(10))

signature = (tf.TensorSpec((None, 8)), tf.TensorSpec((None,)))
data_set = tf.data.Dataset.from_generator(parts, output_signature=signature)
data = {"dataset": data_set, "pydataset": Parts(), "generator": parts(), "arrays": x}[kind]
model = keras.Sequential([keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)])
model.compile(
    "adam",
    "mse",
    metrics=["mae"],
    steps_per_execution=4 if "together" in options else 1,
    run_eagerly="eager" in options,
    jit_compile="jit" in options,
)
if kind == "arrays":
    model.fit(x, y, batch_size=4, validation_data=(x, y), verbose=0)
else:
    model.fit(data, shuffle=False, validation_data=data_set, verbose=0)
model.evaluate(data_set, verbose=0)
model.predict(Parts(), verbose=0)
model.fit(x, y, batch_size=4, verbose=0)

class Killing(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 7 and "kill" in os.environ:
            os.kill(os.getpid(), 9)

if "states" in options:
    states = repro.TrainingState("states", save_freq=3)
    model.fit(data_set, epochs=2, validation_data=data_set, verbose=0,
              callbacks=[states, Killing()])
print("made", made)
"""


def recorded(folder, *arguments, code=0, **variables):
    done = shell("run", "script.py", *arguments, cwd=folder, **variables)
    assert done.returncode == code, done.stdout + done.stderr
    path = records(folder)[-1]
    return record.read(path).predicate, done.stdout


@pytest.fixture
def folder(tmp_path):
    (tmp_path / ".repro").mkdir()
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "more.txt").write_text("0")
    return tmp_path


def digests(run):
    return {record.name_of_data(data): data.digest for data in run.data}


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", ["dataset", "pydataset", "generator", "dataset together", "dataset eager jit"]
)
def test_batches_are_on_the_record_and_the_first_other_one_is_named(folder, options):
    one, said = recorded(folder, *options.split())
    # Each use of the data set goes through it once; the record goes through it no more than that.
    assert said.splitlines()[-1] == f"made {2 + (options != 'pydataset')}"
    first, second = one.trail
    assert len(first.steps.batch) == 10
    assert None not in first.steps.batch
    assert len(set(first.steps.batch)) == 10
    assert second.steps.batch == []  # the arrays have a digest
    assert second.ends() == ([3, 7, 11] if "together" in options else list(range(10)))
    for part in one.trail:
        told = part.by_batch["mae"]
        assert float.fromhex(told[-1]) == float.fromhex(part.metrics["mae"])
        assert len(set(told)) == len(told) == len(part.ends())
    found = digests(one)
    assert found["x of fit 1"] is None
    assert found["validation_data of fit 1"] == found["x of evaluate 1"]
    assert None not in (found["x of evaluate 1"], found["x of predict 1"])
    (folder / "more.txt").write_text("0.001")
    other, _ = recorded(folder, *options.split())
    equal = [a == b for a, b in zip(first.steps.batch, other.trail[0].steps.batch, strict=True)]
    assert equal == [True] * 5 + [False] + [True] * 4
    assert digests(other)["x of evaluate 1"] != found["x of evaluate 1"]
    assert digests(other)["x of fit 2"] == found["x of fit 2"]
    text = shell("diff", cwd=folder).stdout
    assert "fit 1, epoch 1, step 6 (step 6 of the run), the batch (fingerprint)" in text
    assert "The data that was handed over: another batch: fit 1, epoch 1, step 6" in text


@pytest.mark.slow
def test_arrays_are_told_as_a_whole_and_the_same_again_is_the_same(folder):
    run, _ = recorded(folder, "arrays")
    assert all(part.steps.batch == [] for part in run.trail)
    assert digests(run)["x of fit 1"] is not None
    done = shell("verify", "--yes", cwd=folder)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_a_run_that_is_resumed_has_the_batches_and_metrics_of_the_whole(folder):
    whole, _ = recorded(folder, "dataset", "states")
    for path in (folder / "states").iterdir():
        path.unlink()
    recorded(folder, "dataset", "states", code=137, kill="1")
    assert [path.name[:27] for path in (folder / "states").glob("fit*")] == [
        "fit000-epoch00000-step00000"
    ] * 2
    done = shell("resume", "--yes", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    resumed = record.read(max(records(folder), key=os.path.getmtime)).predicate
    assert resumed.parent is not None
    parts = [(p.steps.batch, p.by_batch, p.batch_ends) for p in whole.trail]
    assert [(p.steps.batch, p.by_batch, p.batch_ends) for p in resumed.trail] == parts
