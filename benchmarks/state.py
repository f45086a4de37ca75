"""What `repro.TrainingState` costs: a save, training with it, and going on.

* A save next to writing and fsyncing the same bytes raw, in turn, for models of several sizes.
* The epochs of `examples/mnist_convnet.py` with `save_freq="epoch"` and without, in turn, in one
  process each.
* From `fit` to the end of its first step, fresh and from a state in the middle of an epoch.

    python benchmarks/state.py [PAIRS]
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
SAVES = """
import json, os, statistics, sys, time
import repro_keras as keras
import numpy as np
from repro_keras import repro
from repro_keras._src.state import files
folder = sys.argv[1]
result = {}
for width in (64, 1000, 2100, 5000):
    layers = [keras.layers.Dense(width) for _ in range(2)]
    model = keras.Sequential([keras.Input((width,)), *layers])
    optimizer = keras.optimizers.SGD()
    optimizer.build(model.trainable_variables)
    state = repro.TrainingState(
        os.path.join(folder, str(width)), model=model, optimizer=optimizer, keep=1
    )
    state.save(0)
    (path,) = (p for p in state.folder.path.iterdir() if p.name != ".lock")
    content = path.read_bytes()
    raw, ours = [], []
    for i in range(7):
        start = time.perf_counter()
        with open(os.path.join(folder, "raw"), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        raw.append(time.perf_counter() - start)
        os.remove(os.path.join(folder, "raw"))
        start = time.perf_counter()
        state.save(i + 1)
        ours.append(time.perf_counter() - start)
    for path in state.folder.path.iterdir():
        path.unlink()
    result[len(content)] = [statistics.median(raw), statistics.median(ours)]
print(json.dumps(result))
"""
TRAINING = """
import shutil, statistics, sys, time
import mnist_convnet
from repro_keras import repro
(images, classes), _ = mnist_convnet.digits()
folder = sys.argv[1] + "/training"
model = mnist_convnet.build()
model.fit(images, classes, batch_size=64, verbose=0)
times = []
for i in range(6):
    callbacks = [repro.TrainingState(f"{folder}/{i}")] if i % 2 else []
    start = time.perf_counter()
    model.fit(images, classes, batch_size=64, epochs=2, verbose=0, callbacks=callbacks)
    times.append(time.perf_counter() - start)
print(sum(times[1::2]) / sum(times[::2]))
"""
FIRST_STEP = """
import os, sys, time
import mnist_convnet
import repro_keras as keras
from repro_keras import repro
(images, classes), _ = mnist_convnet.digits()
model = mnist_convnet.build()
class Until(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        print(time.perf_counter() - start, flush=True)
        os._exit(0)
class After(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if batch == 31:
            os._exit(0)
After.__name__ = After.__qualname__ = "Until"
how, folder = sys.argv[1:]
callbacks = [] if how == "plain" else [repro.TrainingState(folder, save_freq=10)]
callbacks.append(After() if how == "save" else Until())
start = time.perf_counter()
model.fit(images, classes, batch_size=64, epochs=2, verbose=0, callbacks=callbacks)
"""


def out(code: str, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        check=True,
    )
    return (result.stdout.splitlines() or [""])[-1]


def saves(pairs: int, folder: str) -> None:
    found: dict[str, list[list[float]]] = {}
    for _ in range(pairs):
        for size, times in json.loads(out(SAVES, folder)).items():
            found.setdefault(size, []).append(times)
    for size, times in found.items():
        ratios = [ours / raw for raw, ours in times]
        more = [1000 * (ours - raw) for raw, ours in times]
        print(
            f"a save of {int(size) / 1e6:.1f} MB / writing and fsyncing it raw: median "
            f"{statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}; "
            f"{statistics.median(more):.0f} ms more, from {min(more):.0f} to {max(more):.0f}"
        )


def main(pairs: int = 3) -> None:
    with tempfile.TemporaryDirectory(dir=".") as folder:
        folder = os.path.abspath(folder)
        saves(pairs, folder)
        ratios = [float(out(TRAINING, tempfile.mkdtemp(dir=folder))) for _ in range(pairs)]
        print(
            "epochs of 4,000 digits, with states / without: median "
            f"{statistics.median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}"
        )
        states = f"{folder}/first"
        out(FIRST_STEP, "save", states)
        ratios = []
        for _ in range(pairs):
            plain = float(out(FIRST_STEP, "plain", states))
            ratios.append(float(out(FIRST_STEP, "resume", states)) / plain)
        print(
            "from fit to its first step, going on / beginning: median "
            f"{statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
