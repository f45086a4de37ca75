"""How long `repro-keras diff` of two runs of many steps takes: the whole command.

    python benchmarks/diff.py [--steps 100000] [--rounds 5]

The records are made up: two runs that differ in one step's loss, at seven tenths of the trail, in
few epochs and in many, and in a loop of its own with two optimizers, which has no epochs.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from repro_keras._src import record

KINDS = {"100 epochs, 20 layers": 100, "5,000 epochs, 20 layers": 5000, "a loop": None}


def statement(steps: int, epochs: int | None, *, changed: bool) -> record.Statement:
    """A record; `changed` is the one that differs."""
    draw = random.Random(0)
    losses = [draw.random().hex() for _ in range(steps)]
    states = [f"{draw.getrandbits(64):016x}" for _ in range(steps)]
    layers = [{f"net/dense_{i}": f"{draw.getrandbits(256):064x}" for i in range(20)} for _ in "ab"]
    if changed:
        losses[steps * 7 // 10] = (0.5).hex()
    size = steps // (epochs or 1)
    trail = []
    for number in range(epochs or 1):
        part = slice(number * size, (number + 1) * size)
        columns = record.Steps(
            loss=losses[part],
            learning_rate=[(1e-3).hex()] * size,
            state=states[part],
            batch=states[part],
        )
        if epochs is None:
            columns.optimizer = [i % 2 for i in range(size)]
            trail.append(record.Segment(steps=columns))
        else:
            trail.append(
                record.Segment(
                    steps=columns,
                    fit=0,
                    model=0,
                    epoch=number,
                    layers=layers[number % 2],
                    by_batch={"accuracy": losses[part]},
                )
            )
    return record.Statement(
        type=record.STATEMENT,
        predicate_type=record.PREDICATE,
        subject=[],
        predicate=record.Run(
            schema=record.SCHEMA,
            status="finished",
            code=record.Code(kind="script", target="train.py"),
            configuration={"seed": 0},
            environment={},
            software=record.Software(python="3.11.0", packages={}, loaded=[]),
            machine=record.Machine(
                system="Linux x86_64",
                model="",
                architecture="",
                instruction_sets=[],
                caches={},
                cores=2,
            ),
            trail=record.chained(trail),
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Times `repro-keras diff`.")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"{given.steps} steps, seconds:")
    for kind, epochs in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, name) for name in ("a.json", "b.json")]
            for path, changed in zip(paths, (False, True), strict=True):
                record.write(path, statement(given.steps, epochs, changed=changed))
            size = os.path.getsize(paths[0]) / 1e6
            command = [sys.executable, "-m", "repro_keras", "diff", *map(str, paths)]
            seconds = []
            for _ in range(given.rounds):
                start = time.perf_counter()
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
                seconds.append(time.perf_counter() - start)
                assert f"(step {given.steps * 7 // 10 + 1} of the run)" in done.stdout, done
        print(
            f"{kind:24} median {statistics.median(seconds):.2f}, "
            f"from {min(seconds):.2f} to {max(seconds):.2f} ({size:.1f} MB a record)"
        )


if __name__ == "__main__":
    main()
