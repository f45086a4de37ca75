"""What repro_keras costs in training and inference, by family of models, all at one thread.

    python benchmarks/families.py [--generations 3] [--rounds 3] [--core N]

Prints how it goes on, and writes `benchmarks/RESULTS.md`. Five faces are compared: plain Keras with
`jit_compile=False`, which is what the others are measured by; the same with oneDNN, which
TensorFlow leaves off on some CPUs by itself and repro_keras never does; the recipe that is pasted
into scripts; and repro_keras with both guarantees.

Machines are not quiet: so the processes of the faces, one each, live at the same time, share one
core, and take turns, there and back (A B C D E E D C B A), and a round is one ratio for each of
them. Each time is measured twice, as it passes and as the processor's, which what else is running
touches through the caches alone. And of two processes, one is some percent faster than the other
for as long as they live, with the same code: so there are some generations of them, with some
rounds each. (A generation for each round would take half an hour, of which tracing is most.)

A time ends with the last batch. After it, `fit` and `predict` may wait for the end of their data
set, with plain Keras too, until a moment of a row that doubles: 0.7 s, 1.4 s, 2.7 s, 5.3 s. That
would round each time up to one of few.
"""

import argparse
import dataclasses
import datetime
import gc
import importlib.metadata
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
RESULTS = Path(__file__).with_name("RESULTS.md")
BASE, ONEDNN = "plain", "oneDNN"
LIMITS = {"machine": 1.02, "portable": 1.08}
"""What each face may take, times plain Keras with `jit_compile=False`."""
FACES = {
    BASE: "plain Keras",
    ONEDNN: "plain, oneDNN",
    "recipe": "pasted recipe",
    "machine": "`machine`",
    "portable": "`portable`",
}


def keras_of(face: str):
    """The Keras of a face, set up."""
    if face in LIMITS:
        os.environ["REPRO_KERAS_GUARANTEE"] = face
        import repro_keras

        return repro_keras
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    if face == ONEDNN:
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    import numpy as np
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if face == "recipe":
        random.seed(0)
        np.random.seed(0)
        tf.random.set_seed(0)
        tf.config.experimental.enable_op_determinism()
    import keras

    sys.modules["repro_keras"] = keras  # the example's own import
    return keras


@dataclasses.dataclass
class Work:
    """A model and its data. A part is an epoch of them."""

    model: object
    x: object
    y: object
    batch: int
    options: dict = dataclasses.field(default_factory=dict)

    def training(self, clock) -> None:
        options = {**self.options, "callbacks": [*self.options.get("callbacks", []), clock]}
        self.model.fit(self.x, self.y, batch_size=self.batch, verbose=0, **options)

    def inference(self, clock) -> None:
        self.model.predict(self.x, batch_size=self.batch, verbose=0, callbacks=[clock])

    def batches(self) -> int:
        return math.ceil(len(self.x) / self.batch)


PARTS = ("training", "inference")


def classifier(keras, inputs, outputs, x, batch: int) -> Work:
    import numpy as np

    outputs = keras.layers.Dense(10, activation="softmax")(outputs)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Work(model, x, np.arange(len(x)) % 10, batch)


def pixels(count: int, *shape: int):
    import numpy as np

    return np.random.RandomState(0).uniform(size=(count, *shape)).astype("float32")


def words(count: int, length: int):
    import numpy as np

    return np.random.RandomState(0).randint(0, 1000, (count, length))


def mlp(keras) -> Work:
    layers = keras.layers
    inputs = x = keras.Input((784,))
    for _ in range(2):
        x = layers.Dropout(0.2)(layers.Dense(512, activation="relu")(x))
    return classifier(keras, inputs, x, pixels(4096, 784), 64)


def cnn(keras) -> Work:
    layers = keras.layers
    inputs = x = keras.Input((32, 32, 3))
    for filters in (16, 32, 64):
        x = layers.MaxPooling2D()(layers.Conv2D(filters, 3, padding="same", activation="relu")(x))
    x = layers.Dropout(0.5)(layers.Dense(64, activation="relu")(layers.Flatten()(x)))
    return classifier(keras, inputs, x, pixels(768, 32, 32, 3), 32)


def resnet(keras) -> Work:
    layers = keras.layers

    def normalized(x, filters: int, size: int, strides: int):
        x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(normalized(inputs, 16, 3, 1))
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        y = layers.ReLU()(normalized(x, filters, 3, strides))
        y = normalized(y, filters, 3, 1)
        x = x if strides == 1 else normalized(x, filters, 1, strides)
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return classifier(keras, inputs, x, pixels(384, 32, 32, 3), 32)


def lstm(keras) -> Work:
    layers = keras.layers
    inputs = keras.Input((32,), dtype="int32")
    x = layers.LSTM(64, return_sequences=True)(layers.Embedding(1000, 64)(inputs))
    return classifier(keras, inputs, layers.LSTM(64)(x), words(768, 32), 32)


def transformer(keras) -> Work:
    layers = keras.layers
    inputs = keras.Input((64,), dtype="int32")
    x = layers.Embedding(1000, 64)(inputs)
    for _ in range(2):
        y = layers.MultiHeadAttention(4, 16, dropout=0.1)(x, x)
        x = layers.LayerNormalization()(x + layers.Dropout(0.1)(y))
        y = layers.Dense(64)(layers.Dense(256, activation="gelu")(x))
        x = layers.LayerNormalization()(x + layers.Dropout(0.1)(y))
    x = layers.GlobalAveragePooling1D()(x)
    return classifier(keras, inputs, x, words(384, 64), 16)


def example(keras) -> Work:
    """`examples/mnist_convnet.py`, with the arguments that it gives `fit`."""
    sys.path.insert(0, str(EXAMPLES))
    import mnist_convnet

    (images, classes), test = mnist_convnet.digits()
    options = {"validation_data": test, "callbacks": [mnist_convnet.Steps()]}
    return Work(mnist_convnet.build(), images, classes, 64, options)


FAMILIES = {
    "MLP": mlp,
    "CNN": cnn,
    "ResNet": resnet,
    "LSTM": lstm,
    "transformer": transformer,
    "MNIST example": example,
}


def serve(face: str) -> None:
    """Makes and runs what it is told, a line each; answers a line each."""
    warnings.simplefilter("ignore")
    keras = keras_of(face)

    class Clock(keras.callbacks.Callback):
        """What a part takes to its last batch: as it passes, and of the processor."""

        def __init__(self):
            super().__init__()
            self.start = self._now()

        def _now(self) -> tuple[float, float]:
            return time.perf_counter(), time.process_time()

        def on_train_end(self, logs=None):
            self.seconds = [now - then for now, then in zip(self._now(), self.start, strict=True)]

        on_predict_end = on_train_end

    def seconds(part) -> list[float]:
        gc.collect()  # not what those before have left
        clock = Clock()
        part(clock)
        return clock.seconds

    work = None
    for line in sys.stdin:
        told = line.strip()
        if told in FAMILIES:
            work = FAMILIES[told](keras)
            assert not work.model.jit_compile, "`auto` is no compilation on CPUs"
            for part in PARTS:  # traces the graphs
                seconds(getattr(work, part))
            answer = work.batches()
        else:
            answer = seconds(getattr(work, told))
        print(json.dumps(answer), flush=True)


class Process:
    """A process of a face."""

    def __init__(self, face: str):
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--face", face],
            env={**os.environ, "PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, line: str):
        print(line, file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate()


CLOCKS = ("as it passes", "of the processor")


class Measured:
    """What came out: seconds by part, family, clock and face, a number for each round."""

    def __init__(self):
        self.seconds: dict[tuple, list[float]] = {}
        self.batches: dict[str, int] = {}

    def generation(self, number: int, rounds: int) -> None:
        processes = {face: Process(face) for face in FACES}
        for family in FAMILIES:
            for process in processes.values():
                self.batches[family] = process.ask(family)
            for turn in range(number * rounds, (number + 1) * rounds):
                first = turn % len(FACES)
                order = [*FACES][first:] + [*FACES][:first]
                for part in PARTS:
                    self._round(part, family, processes, order + order[::-1])
        for process in processes.values():
            process.end()

    def _round(self, part: str, family: str, processes: dict[str, Process], turns: list[str]):
        taken = [(face, processes[face].ask(part)) for face in turns]
        for face in FACES:
            both = [times for of, times in taken if of == face]
            for clock, times in zip(CLOCKS, zip(*both, strict=True), strict=True):
                found = self.seconds.setdefault((part, family, clock, face), [])
                found.append(statistics.mean(times))

    def ratios(self, part: str, family: str, clock: str, face: str, base: str) -> list[float]:
        ours, theirs = (self.seconds[part, family, clock, each] for each in (face, base))
        return [one / other for one, other in zip(ours, theirs, strict=True)]

    def table(self, part: str, clock: str) -> str:
        """The rows of Markdown."""
        columns = [(face, BASE) for face in FACES if face != BASE]
        columns += [("machine", "recipe"), *((face, ONEDNN) for face in LIMITS)]
        names = [FACES[face] if base == BASE else f"`{face}` / {base}" for face, base in columns]
        rows = [["", f"{FACES[BASE]}, ms", *names], ["---"] * (len(names) + 2)]
        for family in FAMILIES:
            a_part = statistics.median(self.seconds[part, family, clock, BASE])
            row = [family, f"{a_part / self.batches[family] * 1e3:.1f}"]
            for face, base in columns:
                limit = LIMITS.get(face, math.inf) if base == BASE else math.inf
                row.append(described(self.ratios(part, family, clock, face, base), limit))
            rows.append(row)
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def described(ratios: list[float], limit: float = math.inf) -> str:
    """The median, bold where it is above a limit, and the quartiles."""
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    mark = "**" if round(middle, 2) > limit else ""
    return f"{mark}{middle:.2f}{mark} ({low:.2f}–{high:.2f})"


HEAD = """# What repro_keras costs in training and inference

On one core of an {cpu}, {date}, with {versions} and Python {python}: {generations} generations of
processes, {rounds} rounds each, {minutes:.0f} minutes, at a load average of {load:.0f}, of which
this is 1. Made by `python benchmarks/families.py`, which says how it measures; `make bench` runs
it.

All are at one thread. The first column is plain Keras with `jit_compile=False`, in milliseconds a
batch. The next ones are times that, and the last three times what they name: the median of the
rounds and, in brackets, the quartiles. The pasted recipe seeds Python, NumPy and TensorFlow, hides
the GPU, sets one thread and asks for deterministic operations. Training is `fit`, inference
`predict`, with all that they do beside the batches; the example's `fit` validates and has a
callback.

Targets: `machine` {machine} and `portable` {portable} times plain Keras (what is above is bold),
and `machine` not above the recipe.

`jit_compile="auto"` is the same as `False` on CPUs: Keras compiles nothing there, which is asserted
for each family and face. TensorFlow's own choice on this CPU is oneDNN {onednn}, and so it is in
plain Keras and with the recipe; repro_keras always has it on.
"""


def report(measured: Measured, generations: int, rounds: int, minutes: float) -> str:
    import archspec.cpu
    from tensorflow.python.util import _pywrap_util_port

    packages = ("keras", "tensorflow", "numpy")
    head = HEAD.format(
        cpu=archspec.cpu.brand_string(),
        date=datetime.date.today(),
        versions=", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages),
        python=".".join(map(str, sys.version_info[:2])),
        generations=generations,
        rounds=rounds,
        minutes=minutes,
        load=os.getloadavg()[1],
        onednn="on" if _pywrap_util_port.IsMklEnabled() else "off",
        **LIMITS,
    )
    tables = [
        f"## {part.capitalize()}, time {clock}\n\n{measured.table(part, clock)}\n"
        for part in PARTS
        for clock in CLOCKS
    ]
    return "\n".join([head, *tables])


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what repro_keras costs.")
    parser.add_argument("--generations", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--face", choices=FACES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.face:
        serve(arguments.face)
        return
    os.sched_setaffinity(0, {arguments.core})
    measured, start = Measured(), time.monotonic()
    for number in range(arguments.generations):
        measured.generation(number, arguments.rounds)
        minutes = (time.monotonic() - start) / 60
        print(f"generation {number + 1} of {arguments.generations}: {minutes:.0f} min", flush=True)
        RESULTS.write_text(report(measured, number + 1, arguments.rounds, minutes))
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
