"""What is left of data when training is over: the threads of the process after each of ten rounds.

    python threads.py FACE

A round trains on arrays, on a `PyDataset` and on a generator that does not end, and evaluates.
"""

import gc
import importlib
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = importlib.import_module(sys.argv[1])
import numpy as np  # noqa: E402

x = np.random.RandomState(0).uniform(size=(64, 4)).astype("float32")


class Items(keras.utils.PyDataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        part = slice(index * 8, index * 8 + 8)
        return x[part], x[part]


def endless():
    while True:
        yield x[:8], x[:8]


model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
model.compile("sgd", "mse")
counts = []
gc.disable()  # nothing may wait for it
for _ in range(10):
    model.fit(x, x, batch_size=8, epochs=2, validation_split=0.25, verbose=0)
    model.fit(x, x, batch_size=8, steps_per_epoch=3, verbose=0)
    model.fit(Items(), epochs=2, steps_per_epoch=6, verbose=0)
    model.fit(endless(), steps_per_epoch=3, verbose=0)
    model.evaluate(x, x, batch_size=8, verbose=0)
    model.predict(x, batch_size=8, verbose=0)
    counts.append(len(list(Path("/proc/self/task").iterdir())))
print(json.dumps(counts))
