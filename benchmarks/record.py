"""What recording costs: the time of a step with the recorder and without, side by side.

    python benchmarks/record.py [--rounds 40] [--only KIND]

For each kind of training, one process has two equal models, of which one is recorded; they take
turns, so that both meet the machine as it is at the time. A round is a part of the training of
each. Printed are the median time of a step that is not recorded and, over the rounds, the mean
without the fifths at both ends (a trimmed mean, with its standard error after Tukey and McLaughlin,
1963) of the ratio, of the difference, and of the difference in processor time, of all threads; and
the bytes of the run's `record.json` for 10,000 steps.

Of two processes, one is some percent faster than the other for as long as they live, with the same
code: too much to see what is measured here.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KINDS = (
    "convnet",
    "mlp",
    "mlp, steps_per_execution=10",
    "wide: 17 million weights",
    "GradientTape",
    "train_on_batch",
)


def data_of(kind: str):
    import numpy as np

    rng = np.random.default_rng(0)
    count = 640 if "wide" in kind else 16384
    shape = (4096, 28, 28, 1) if kind == "convnet" else (count, 64)
    return rng.random(shape, "float32"), rng.integers(0, 10, shape[0])


def trainer(kind: str, x, y):
    """A function that trains a new model for a part, and gives the number of its steps."""
    import repro_keras as keras

    layers = keras.layers
    if kind == "convnet":
        parts = [layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D()]
        parts += [layers.Conv2D(32, 3, activation="relu"), layers.Flatten(), layers.Dense(10)]
        batch = 64
    else:
        width = 4096 if "wide" in kind else 128
        parts = [layers.Dense(width, "relu"), layers.Dense(width, "relu"), layers.Dense(10)]
        batch = 32
    model = keras.Sequential([keras.Input(x.shape[1:]), *parts])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    together = 10 if "steps_per_execution" in kind else 1
    model.compile("adam", loss, steps_per_execution=together)
    batches = [slice(i * 32, i * 32 + 32) for i in range(100)]

    epochs = 10 if kind == "convnet" else 2

    def fit():
        model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0)
        return epochs * (len(x) // batch)

    def with_tape():
        import tensorflow as tf

        weights = model.trainable_variables
        for part in batches[:20]:
            with tf.GradientTape() as tape:
                value = loss(y[part], model(x[part]))
            model.optimizer.apply(tape.gradient(value, weights), weights)
        return 20

    def on_batches():
        for part in batches:
            model.train_on_batch(x[part], y[part])
        return len(batches)

    return {"GradientTape": with_tape, "train_on_batch": on_batches}.get(kind, fit)


def measure(kind: str, rounds: int) -> dict:
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
    trainers = {recorded: trainer(kind, x, y) for recorded in (False, True)}

    def step(recorded: bool) -> tuple[float, float]:
        """Microseconds of a step of the next part, by the clock and of the processor."""
        # Its threads end where nothing is recorded; what they would do is then done by `fit`.
        recorder.current = recording if recorded else None
        start, before = time.perf_counter(), time.process_time()
        steps = trainers[recorded]()
        taken, used = time.perf_counter() - start, time.process_time() - before
        return taken / steps * 1e6, used / steps * 1e6

    times: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for number in range(-1, rounds):  # the first round is not like the others
        for recorded in (True, False) if number % 2 else (False, True):
            taken = step(recorded)
            if number >= 0:
                times[recorded].append(taken)
    recorder.current = recording
    recording.finish("finished")
    size = bytes_for_steps(launch.assemble(wanted, run, there, 0), run, 10_000)
    shutil.rmtree(folder)
    return {"plain": times[False], "recorded": times[True], "bytes": size}


def bytes_for_steps(statement, run: Path, steps: int) -> int:
    """How large the record of so many steps would be: its columns grow with them."""
    import msgspec

    from repro_keras._src import record
    from repro_keras._src.runs import store

    count = sum(len(segment.steps.loss) for segment in statement.predicate.trail)
    size = (run / store.RECORD).stat().st_size
    empty = [msgspec.structs.replace(s, steps=record.Steps()) for s in statement.predicate.trail]
    predicate = msgspec.structs.replace(statement.predicate, trail=record.chained(empty))
    record.write(run / "empty.json", msgspec.structs.replace(statement, predicate=predicate))
    rest = (run / "empty.json").stat().st_size
    return rest + (size - rest) * steps // count


def middle(values: list[float]) -> tuple[float, float]:
    """The mean of the three fifths in the middle, and its standard error."""
    count, fifth = len(values), len(values) // 5
    inner = sorted(values)[fifth : count - fifth]
    winsorized = [inner[0]] * fifth + inner + [inner[-1]] * fifth
    error = statistics.stdev(winsorized) * count**0.5 / len(inner)
    return statistics.mean(inner), error


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what recording costs.")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", choices=KINDS, nargs="+", default=KINDS, metavar="KIND")
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.kind:
        print(json.dumps(measure(arguments.kind, arguments.rounds)))
        return
    print(
        "                              µs a step    recorded, times    more, µs"
        "    of the CPU, µs    bytes for 10,000 steps"
    )
    for kind in arguments.only:
        command = [sys.executable, __file__, "--kind", kind, "--rounds", str(arguments.rounds)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        found = json.loads(output.splitlines()[-1])
        pairs = list(zip(found["plain"], found["recorded"], strict=True))
        ratio, its_error = middle([recorded[0] / plain[0] for plain, recorded in pairs])
        more, error = middle([recorded[0] - plain[0] for plain, recorded in pairs])
        used, error_used = middle([recorded[1] - plain[1] for plain, recorded in pairs])
        usual = statistics.median(taken for taken, _ in found["plain"])
        print(
            f"{kind:30}{usual:9.0f}    {ratio:.3f} ± {its_error:.3f}{more:9.0f} ± {error:<5.0f}"
            f"{used:12.0f} ± {error_used:<5.0f}{found['bytes']:12,}",
            flush=True,
        )


if __name__ == "__main__":
    main()
