"""What recording costs: steps with the recorder and without, side by side, and what comes by fit.

    python benchmarks/record.py [--models 8] [--turns 100] [--only KIND] [--control]

For each kind of training, one process has a model with two functions that train it, of which one is
recorded. They take turns, a step each, so that both meet the machine as it is at the time, and the
same weights where they lie in memory. One operation more in a graph may have the others run in
another order, which is slower or faster by a percent or two. So this is done with several models,
and with several convnets. Printed are the median time of a step that is not recorded; the mean over
the models, and its standard error, of what the recorded step takes more (for a model, the mean over
its turns without the fifths at both ends), by the clock and in processor time of all threads; what
the recorder does by `fit` (its data, its outcome), by epoch and with what Keras tells of each
batch, and its threads in processor time, in milliseconds; what all this comes to in a fit of ten
epochs, as a part of its time; and the bytes of the run's `record.json` for 10,000 steps. With
--control, neither is recorded: what is printed then is the error of the method.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

EPOCHS = 10
BY_HAND = ("GradientTape", "train_on_batch")
KINDS = (
    "convnet",
    "mlp",
    "mlp, tf.data",
    "steps_per_execution=8",
    "wide: 17 M weights",
    *BY_HAND,
)


def data_of(kind: str):
    import numpy as np

    rng = np.random.default_rng(0)
    count = 640 if "wide" in kind else 16384
    shape = (count, 28, 28, 1) if kind == "convnet" else (count, 64)
    return rng.random(shape, "float32"), rng.integers(0, 10, shape[0])


def convolutions(number: int) -> list:
    """The layers of one of eight small convnets."""
    import repro_keras as keras

    layers = keras.layers
    filters = 8 if number & 1 else 16
    strides = 2 if number & 2 else 1
    first = [layers.Conv2D(filters, 3, strides, activation="relu")]
    if strides == 1:
        first.append(layers.MaxPooling2D())
    if number & 4:
        first.append(layers.Conv2D(filters, 3, padding="same", activation="relu"))
    return [*first, layers.Conv2D(2 * filters, 3, activation="relu"), layers.Flatten()]


def trainer(kind: str, number: int, x, y):
    """A new model's `fit`, and what gives a function that makes steps of it and says how many."""
    import numpy as np
    import tensorflow as tf

    import repro_keras as keras

    layers = keras.layers
    if kind == "convnet":
        parts = [*convolutions(number), layers.Dense(10)]
        batch = 64
    else:
        width = 4096 if "wide" in kind else 128
        parts = [layers.Dense(width, "relu"), layers.Dense(width, "relu"), layers.Dense(10)]
        batch = 32
    model = keras.Sequential([keras.Input(x.shape[1:]), *parts])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    together = 8 if "steps_per_execution" in kind else 1
    model.compile("adam", loss, metrics=["accuracy"], steps_per_execution=together)
    inputs, targets = x[:batch], y[:batch]

    def fit(epochs: int = 1):
        model.train_function = None  # it is made anew, as recording wants it
        if "tf.data" in kind:
            data = tf.data.Dataset.from_tensor_slices((x, y)).batch(batch, drop_remainder=True)
            model.fit(data, epochs=epochs, verbose=0)
        else:
            model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0)

    def with_tape():
        weights = model.trainable_variables
        with tf.GradientTape() as tape:
            value = loss(targets, model(inputs))
        model.optimizer.apply(tape.gradient(value, weights), weights)
        return 1

    def stepping():
        if kind == "GradientTape":
            return with_tape
        fit()
        function = model.train_function
        iterator = iter(tf.data.Dataset.from_tensors((inputs, targets)).repeat())

        def steps():
            np.asarray(function(iterator)["loss"])  # when it is there, they are made
            return together

        def on_batches():
            model.train_function = function
            model.train_on_batch(inputs, targets)
            return 1

        return on_batches if kind == "train_on_batch" else steps

    return fit, stepping


def measure(kind: str, models: int, turns: int, control: bool) -> dict:
    import repro_keras  # noqa: F401
    from repro_keras._src import project
    from repro_keras._src.runs import launch, recorder, request, store

    folder = Path(tempfile.mkdtemp())
    run = store.new(project.Project(folder))
    (folder / "script.py").touch()
    wanted = request.Request(
        kind="script", target="script.py", root=str(folder), folder=str(folder)
    )
    there = launch.prepare(wanted, run, dict(os.environ))
    recording = recorder.start(run, folder)
    x, y = data_of(kind)

    def record(it: bool) -> None:
        # Its threads end where nothing is recorded; what they would do is measured below.
        recorder.current = recording if it and not control else None

    def turn(recorded: bool) -> tuple[float, float]:
        """Microseconds of a step of the next turn, by the clock and of the processor."""
        record(recorded)
        start, before = time.perf_counter(), time.process_time()
        steps = stepping[recorded]()
        taken, used = time.perf_counter() - start, time.process_time() - before
        return taken / steps * 1e6, used / steps * 1e6

    usual, more, used, parts = [], [], [], []
    for number in range(models):
        fit, steps_of = trainer(kind, number, x, y)
        stepping = {}
        for recorded in (True, False) if number % 2 else (False, True):
            record(recorded)
            stepping[recorded] = steps_of()
        clock, processor, plain = [], [], []
        for number_of_turn in range(-5, turns):  # the first are not like the others
            order = (True, False) if number_of_turn % 2 else (False, True)
            taken = {recorded: turn(recorded) for recorded in order}
            if number_of_turn >= 0:
                plain.append(taken[False][0])
                clock.append(taken[True][0] - taken[False][0])
                processor.append(taken[True][1] - taken[False][1])
        more.append(middle(clock))
        used.append(middle(processor))
        usual.append(statistics.median(plain))
        parts.append(more[-1] / usual[-1])
    record(True)
    recording.position()
    stepping[True]()
    start = time.perf_counter()
    recording.position()  # what the recorder's threads do twice a second
    drain = 0.0 if control else time.perf_counter() - start
    by_fit = 0.0
    if kind not in BY_HAND and not control:
        by_fit = cost_of_fit(recording, lambda: fit(EPOCHS))
    recording.finish("finished")
    size = bytes_for_steps(launch.assemble(wanted, run, there, 0), run, 10_000)
    shutil.rmtree(folder)
    steps = -(-len(x) // (64 if kind == "convnet" else 32)) * EPOCHS
    part, error = mean_and_error(parts)
    return {
        "usual": statistics.median(usual),
        "more": mean_and_error(more),
        "used": mean_and_error(used),
        "by_fit": by_fit,
        "part": (part + (by_fit * 1e6 / (usual[-1] * steps) or drain / 0.5), error),
        "bytes": size,
    }


def cost_of_fit(recording, fit) -> float:
    """Seconds that the recorder takes in a fit for all but the steps themselves.

    In the thread that trains as they pass, for it waits; in others those of the processor, since
    they wait for the one that trains.
    """
    from repro_keras._src.patches import rows

    main = threading.get_ident()
    spent = 0.0

    def timed(method, in_main: bool):
        def call(*arguments, **named):
            nonlocal spent
            here = threading.get_ident() == main
            clock = time.perf_counter if here else time.thread_time
            start = clock()
            try:
                return method(*arguments, **named)
            finally:
                if here is in_main:
                    spent += clock() - start

        return call

    in_main = ("_data", "_outcomes", "epoch", "training_begins", "batch")
    parts = [(recording, name, True) for name in in_main]
    parts += [(recording, "flush", False), (rows.the_rows(), "drain", False)]
    for owner, name, where in parts:
        setattr(owner, name, timed(getattr(owner, name), where))
    fit()
    for owner, name, _ in parts:
        delattr(owner, name)
    return spent


def bytes_for_steps(statement, run: Path, steps: int) -> int:
    """How large the record of so many steps would be: its columns grow with them."""
    import msgspec

    from repro_keras._src import record
    from repro_keras._src.runs import store

    count = sum(len(segment.steps.loss) for segment in statement.predicate.trail) or 1
    size = (run / store.RECORD).stat().st_size
    empty = [msgspec.structs.replace(s, steps=record.Steps()) for s in statement.predicate.trail]
    predicate = msgspec.structs.replace(statement.predicate, trail=record.chained(empty))
    record.write(run / "empty.json", msgspec.structs.replace(statement, predicate=predicate))
    rest = (run / "empty.json").stat().st_size
    return rest + (size - rest) * steps // count


def middle(values: list[float]) -> float:
    """The mean of the three fifths in the middle."""
    fifth = len(values) // 5
    return statistics.mean(sorted(values)[fifth : len(values) - fifth])


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """The mean and its standard error."""
    return statistics.mean(values), statistics.stdev(values) / len(values) ** 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what recording costs.")
    parser.add_argument("--models", type=int, default=8, help="how many models (8)")
    parser.add_argument("--turns", type=int, default=100, help="how many turns each has (100)")
    parser.add_argument("--control", action="store_true", help="record neither")
    parser.add_argument("--only", choices=KINDS, nargs="+", default=KINDS, metavar="KIND")
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.kind:
        print(
            json.dumps(
                measure(arguments.kind, arguments.models, arguments.turns, arguments.control)
            )
        )
        return
    print(
        "                                     more, µs a step:           by fit of"
        "   together,      bytes for\n"
        "                       µs a step     clock       processor      10 epochs"
        "   % of the fit   10,000 steps"
    )
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONHASHSEED": "0"}
    numbers = [f"--models={arguments.models}", f"--turns={arguments.turns}"]
    numbers += ["--control"] if arguments.control else []
    for kind in arguments.only:
        command = [sys.executable, __file__, "--kind", kind, *numbers]
        output = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env=environment
        ).stdout
        found = json.loads(output.splitlines()[-1])
        (more, error), (used, error_used) = found["more"], found["used"]
        part, its_error = found["part"]
        print(
            f"{kind:22}{found['usual']:10.0f}{more:9.0f} ± {error:<4.0f}"
            f"{used:8.0f} ± {error_used:<4.0f}{found['by_fit'] * 1e3:10.1f} ms"
            f"{100 * part:12.2f} ± {100 * its_error:<5.2f}"
            f"{found['bytes']:11,}",
            flush=True,
        )


if __name__ == "__main__":
    main()
