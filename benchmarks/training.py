"""What the swapped import costs in training: the network of `examples/mnist_convnet.py`.

Each run is a process of its own, plain Keras (all cores) and repro_keras (one thread, op
determinism) in turn; the time is that of the epochs after the first, which traces the graph.

    python benchmarks/training.py [PAIRS]
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
EPOCHS = 4
TIMED = """
import time
import {face} as keras
import sys
sys.modules["repro_keras"] = keras  # the example's own import
sys.modules["repro_keras.layers"] = keras.layers
import mnist_convnet
(images, classes), _ = mnist_convnet.digits()
model = mnist_convnet.build()
model.fit(images, classes, batch_size=64, verbose=0)
start = time.perf_counter()
model.fit(images, classes, batch_size=64, epochs={epochs}, verbose=0)
print((time.perf_counter() - start) / {epochs})
"""


def seconds(face: str) -> float:
    result = subprocess.run(
        [sys.executable, "-c", TIMED.format(face=face, epochs=EPOCHS)],
        env={**os.environ, "PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(result.stdout)


def main(pairs: int = 5) -> None:
    ratios = []
    for _ in range(pairs):
        plain, ours = seconds("keras"), seconds("repro_keras")
        ratios.append(ours / plain)
        print(f"an epoch of 4,000 digits: plain {plain:.3f} s, repro_keras {ours:.3f} s")
    print(
        f"repro_keras / plain Keras on {len(os.sched_getaffinity(0))} cores: "
        f"median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
