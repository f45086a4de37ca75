"""What recording costs: the time of a step with the recorder and without, side by side.

    python benchmarks/record.py [--rounds 15]

For each kind of training, a process that is recorded and one that is not take turns, so that both
meet the machine as it is at the time: a round is a part of the training in each. Printed are the
medians of the processor's time for a step and, over the rounds, of the ratio and the difference,
with the quarters of the ratio; and the bytes of the run's `record.json` for 10,000 steps.
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

KINDS = ("convnet", "mlp", "mlp, steps_per_execution=10", "GradientTape", "train_on_batch")


def train(kind: str, recorded: bool) -> None:
    """Trains a part for each line of the input, and prints its seconds and steps."""
    import msgspec
    import numpy as np

    import repro_keras as keras
    from repro_keras._src import project, record
    from repro_keras._src.runs import launch, recorder, request, store

    folder = Path(tempfile.mkdtemp())
    run = store.new(project.Project(folder))
    (folder / "script.py").touch()
    wanted = request.Request(
        kind="script", target="script.py", root=str(folder), folder=str(folder)
    )
    there = launch.prepare(wanted, run, dict(os.environ))
    if recorded:
        recorder.start(run, folder)
    layers = keras.layers
    rng = np.random.default_rng(0)
    if kind == "convnet":
        x = rng.random((4096, 28, 28, 1), "float32")
        y = rng.integers(0, 10, 4096)
        parts = [layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D()]
        parts += [layers.Conv2D(32, 3, activation="relu"), layers.Flatten(), layers.Dense(10)]
        batch = 64
    else:
        x = rng.random((16384, 64), "float32")
        y = rng.integers(0, 10, 16384)
        parts = [layers.Dense(128, "relu"), layers.Dense(128, "relu"), layers.Dense(10)]
        batch = 32
    model = keras.Sequential([keras.Input(x.shape[1:]), *parts])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    together = 10 if "steps_per_execution" in kind else 1
    model.compile("adam", loss, steps_per_execution=together)
    if kind == "GradientTape":
        import tensorflow as tf

        optimizer = keras.optimizers.Adam()

        def part(steps):
            for i in range(steps):
                with tf.GradientTape() as tape:
                    value = loss(y[i * 32 : i * 32 + 32], model(x[i * 32 : i * 32 + 32]))
                weights = model.trainable_variables
                optimizer.apply(tape.gradient(value, weights), weights)
            return steps

    elif kind == "train_on_batch":

        def part(steps):
            for i in range(steps):
                model.train_on_batch(x[i * 32 : i * 32 + 32], y[i * 32 : i * 32 + 32])
            return steps

    else:

        def part(steps):
            model.fit(x, y, batch_size=batch, epochs=2, verbose=0)
            return 2 * (len(x) // batch)

    part(20)
    for _ in sys.stdin:
        # Of the processor: that of the clock hangs on who else is on the machine.
        start = time.process_time()
        steps = part(300)
        print(json.dumps([time.process_time() - start, steps]), flush=True)
    size = 0
    if recorded:
        recorder.current.finish("finished")
        statement = launch.assemble(wanted, run, there, 0)
        count = sum(len(segment.steps.loss) for segment in statement.predicate.trail)
        size = (run / store.RECORD).stat().st_size
        # The columns grow with the steps; what else is in it does not.
        empty = [
            msgspec.structs.replace(part, steps=record.Steps())
            for part in statement.predicate.trail
        ]
        predicate = msgspec.structs.replace(statement.predicate, trail=record.chained(empty))
        record.write(run / "empty.json", msgspec.structs.replace(statement, predicate=predicate))
        rest = (run / "empty.json").stat().st_size
        size = rest + (size - rest) * 10_000 // count
    shutil.rmtree(folder)
    print(size)


class Training:
    """A process that trains, part by part."""

    def __init__(self, kind: str, recorded: bool):
        command = [sys.executable, __file__, "--train", kind, *["--recorded"] * recorded]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.step()  # the first one is not like the others

    def step(self) -> float:
        """Microseconds of a step of the next part."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        seconds, steps = json.loads(self._process.stdout.readline())
        return seconds / steps * 1e6

    def end(self) -> int:
        """The bytes of its record for 10,000 steps."""
        out, _ = self._process.communicate()
        return int(out.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what recording costs.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--train", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--recorded", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.train, arguments.recorded)
        return
    print(
        "                              µs a step    recorded, times  (quarters)    more, µs"
        "    bytes for 10,000 steps"
    )
    for kind in KINDS:
        trainings = {recorded: Training(kind, recorded) for recorded in (False, True)}
        plain, ratios, more = [], [], []
        for number in range(arguments.rounds):
            order = (False, True) if number % 2 else (True, False)
            step = {recorded: trainings[recorded].step() for recorded in order}
            plain.append(step[False])
            ratios.append(step[True] / step[False])
            more.append(step[True] - step[False])
        size = max(training.end() for training in trainings.values())
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(
            f"{kind:30}{statistics.median(plain):9.0f}    {middle:8.3f}"
            f"      {low:.3f}, {high:.3f}{statistics.median(more):11.0f}{size:14,}",
            flush=True,
        )


if __name__ == "__main__":
    main()
