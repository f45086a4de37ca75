"""Small projects of a user, in which the tests run the commands as a shell does."""

import os
import subprocess

from fresh import environment
from test_cli import COMMAND

SCRIPT = """
import json, sys
import numpy as np
import repro_keras as keras
from helper import data
from repro_keras import repro

x, y = data()
model = keras.Sequential(
    [keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dropout(0.2),
     keras.layers.Dense(1)]
)
model.compile("adam", "mse", metrics=["mae"])
model.fit(x, y, epochs=3, verbose=0, batch_size=16, validation_data=(x[:10], y[:10]))
model.save("net.keras")
print("arguments", sys.argv[1:])
print(repro.digest(model))
"""
HELPER = """
import numpy as np

def data():
    x = np.loadtxt("data/numbers.csv", delimiter=",").astype("float32")
    return x, x.sum(1)
"""


def shell(*arguments, cwd, cores=None, extras=False, **variables):
    prefix = ["taskset", "-c", cores] if cores else []
    return subprocess.run(
        [*prefix, COMMAND, *map(str, arguments)],
        cwd=cwd,
        env={**environment(extras=extras), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def make_project(folder):
    (folder / "data").mkdir(parents=True)
    (folder / ".repro").mkdir()
    (folder / "train.py").write_text(SCRIPT)
    (folder / "helper.py").write_text(HELPER)
    rows = (",".join(f"{(7 * i + 3 * j) % 11 / 10:.1f}" for j in range(8)) for i in range(100))
    (folder / "data" / "numbers.csv").write_text("\n".join(rows) + "\n")
    return folder


def records(folder):
    return sorted((folder / ".repro" / "runs").glob("*/record.json"), key=os.path.getmtime)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
