"""The order in which data comes, case by case.

    python orders.py FACE [CASE…] [--disturbed]

FACE is `repro_keras`, or `keras` with all seeds set. Prints, for each case, the batches that the
model saw: the number of each sample. `--disturbed` draws from all generators before each case.
"""

import importlib
import json
import os
import random
import sys
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = importlib.import_module(sys.argv[1])
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

SIZE = 22
numbers = np.arange(SIZE, dtype="float32")[:, None]


class Seeing(keras.Model):
    """Remembers what it is trained on."""

    def __init__(self, **kwargs):
        super().__init__(name="net", **kwargs)
        self.seen = []
        self.validated = []

    def call(self, x):
        return x

    def _look(self, data, where):
        x = data[0] if isinstance(data, tuple) else data
        x = x["a"] if isinstance(x, dict) else x
        x = tf.sparse.to_dense(x) if isinstance(x, tf.SparseTensor) else x
        where.append([round(float(number), 6) for number in np.asarray(x)[:, 0]])
        return {"loss": keras.ops.zeros(())}

    def train_step(self, data):
        return self._look(data, self.seen)

    def test_step(self, data):
        return self._look(data, self.validated)


class Items(keras.utils.PyDataset):
    """The numbers, in batches of four."""

    def __len__(self):
        return -(-SIZE // 4)

    def __getitem__(self, index):
        return numbers[4 * index : 4 * index + 4], numbers[4 * index : 4 * index + 4]


class Endless(Items):
    @property
    def num_batches(self):
        return None

    def __getitem__(self, index):
        return super().__getitem__(index % 5)


class Drawing(Items):
    """What an item is, it draws from NumPy's and Python's global generators."""

    def __getitem__(self, index):
        x, _ = super().__getitem__(index)
        return x + np.random.rand() / 2 + random.random() / 3, x


class DrawingByKeras(Items):
    def __getitem__(self, index):
        x, _ = super().__getitem__(index)
        return x + keras.random.uniform((1,)).numpy() / 2, x


class Growing(Items):
    """Each epoch has other data than the one before."""

    epoch = 0

    def __getitem__(self, index):
        return (numbers[4 * index : 4 * index + 4] + 100 * self.epoch,)

    def on_epoch_end(self):
        self.epoch += 1


def model():
    result = Seeing()
    result.compile(loss="mse", run_eagerly=True)
    return result


def fit(*data, epochs=2, **options):
    seeing = model()
    seeing.fit(*data, epochs=epochs, verbose=0, **options)
    return seeing.seen


def fit_twice():
    seeing = model()
    seeing.fit(numbers, numbers, verbose=0)
    seeing.fit(numbers, numbers, verbose=0)
    return seeing.seen


def validated(data, **options):
    seeing = model()
    seeing.fit(numbers, numbers, epochs=2, validation_data=data, verbose=0, **options)
    seeing.evaluate(data, verbose=0)
    return seeing.validated


def generator():
    for start in range(0, SIZE, 4):
        yield numbers[start : start + 4], numbers[start : start + 4]


def pandas():
    import pandas as pd

    frame = pd.DataFrame({"a": numbers[:, 0], "b": numbers[:, 0]})
    return fit(frame, pd.Series(numbers[:, 0]), batch_size=4)


def torch_tensors():
    import torch

    return fit(torch.from_numpy(numbers), torch.from_numpy(numbers), batch_size=4)


def scipy():
    import scipy.sparse

    return fit(scipy.sparse.csr_matrix(numbers), numbers, batch_size=4)


CASES = {
    "arrays": lambda: fit(numbers, numbers, batch_size=4),
    "no targets": lambda: fit(numbers, batch_size=4),
    "lists and dicts": lambda: fit({"a": numbers, "b": numbers}, [numbers], batch_size=4),
    "tensors": lambda: fit(tf.constant(numbers), tf.constant(numbers), batch_size=4),
    "pandas": pandas,
    "scipy": scipy,
    "torch": torch_tensors,
    "whole batches": lambda: fit(numbers, numbers, batch_size=11),
    "one batch": lambda: fit(numbers, numbers, batch_size=100),
    "inside batches": lambda: fit(numbers, numbers, batch_size=4, shuffle="batch"),
    "unshuffled": lambda: fit(numbers, numbers, batch_size=4, shuffle=False),
    "two fits": fit_twice,
    "cut": lambda: fit(numbers, numbers, batch_size=4, epochs=5, steps_per_epoch=2),
    "together": lambda: fit(numbers, numbers, batch_size=4, class_weight={0: 1.0, 1: 2.0}),
    "weighted": lambda: fit(numbers, numbers, batch_size=4, sample_weight=numbers[:, 0]),
    "split": lambda: fit(numbers, numbers, batch_size=4, validation_split=0.5),
    "generator": lambda: fit(generator(), epochs=1),
    "items": lambda: fit(Items(), shuffle=True),
    "items, no worker": lambda: fit(Items(workers=0), shuffle=True),
    "items, threads": lambda: fit(Items(workers=4), shuffle=True),
    "items, processes": lambda: fit(Items(workers=2, use_multiprocessing=True), shuffle=True),
    "items, cut": lambda: fit(Items(), epochs=5, steps_per_epoch=2),
    "items, cut, threads": lambda: fit(Items(workers=4), epochs=5, steps_per_epoch=2),
    "endless": lambda: fit(Endless(), epochs=3, steps_per_epoch=3),
    "endless, threads": lambda: fit(Endless(workers=4), epochs=3, steps_per_epoch=3),
    "drawing": lambda: fit(Drawing()),
    "drawing, no worker": lambda: fit(Drawing(workers=0)),
    "drawing, threads": lambda: fit(Drawing(workers=4)),
    "drawing, processes": lambda: fit(Drawing(workers=2, use_multiprocessing=True)),
    "drawing by Keras": lambda: fit(DrawingByKeras()),
    "drawing by Keras, threads": lambda: fit(DrawingByKeras(workers=4)),
    "drawing, validation": lambda: validated(Drawing()),
    "growing": lambda: fit(Growing(), epochs=3, steps_per_epoch=3),
    "growing, threads": lambda: fit(Growing(workers=4), epochs=3, steps_per_epoch=3),
}


def disturb():
    random.random()
    np.random.rand()
    tf.random.uniform([2])
    keras.random.uniform([2])


def main(face, *arguments):
    if face == "keras":
        keras.utils.set_random_seed(0)
        tf.config.experimental.enable_op_determinism()
    names = [name for name in arguments if name != "--disturbed"]
    warnings.simplefilter("ignore")
    result = {}
    for name in names or CASES:
        keras.utils.clear_session()
        if "--disturbed" in arguments:
            disturb()
        try:
            result[name] = CASES[name]()
        except ImportError:
            result[name] = "not installed"
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
