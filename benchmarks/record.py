"""What recording costs: the time of a step with the recorder and without, side by side.

    python benchmarks/record.py [--rounds 5]

Each round runs both, for each kind of training, in fresh processes that take turns. Printed are the
medians of the time of a step and of the ratio and difference, with the smallest and largest, and
the bytes of the run's `record.json` for 10,000 steps.
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
    """Trains in this process and prints the seconds and steps of its last part."""
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
    start = time.perf_counter()
    steps = part(300)
    seconds = time.perf_counter() - start
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
    print(json.dumps({"seconds": seconds, "steps": steps, "bytes": size}))


def measure(kind: str, recorded: bool) -> dict:
    command = [sys.executable, __file__, "--train", kind, *["--recorded"] * recorded]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(process.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what recording costs.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--train", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--recorded", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.train, arguments.recorded)
        return
    print(
        "                              µs a step    recorded, times  (from, to)    more, µs"
        "    bytes for 10,000 steps"
    )
    for kind in KINDS:
        plain, ratios, more, sizes = [], [], [], []
        for number in range(arguments.rounds):
            pair = {r: measure(kind, r) for r in ((False, True), (True, False))[number % 2]}
            step = {r: run["seconds"] / run["steps"] * 1e6 for r, run in pair.items()}
            plain.append(step[False])
            ratios.append(step[True] / step[False])
            more.append(step[True] - step[False])
            sizes.append(pair[True]["bytes"])
        print(
            f"{kind:30}{statistics.median(plain):9.0f}    {statistics.median(ratios):8.3f}"
            f"      {min(ratios):.3f}, {max(ratios):.3f}{statistics.median(more):11.0f}"
            f"{max(sizes):14,}",
            flush=True,
        )


if __name__ == "__main__":
    main()
