"""How fast `repro.digest` is, next to `hashlib` on one thread and to `sha256sum`.

python benchmarks/digest.py [ROUNDS]
"""

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import repro_keras as keras
from repro_keras import repro

import numpy as np  # isort: skip - after repro_keras, as in a script

SIZE = 2**29
MODEL = 4 * 10**8


def main(rounds: int = 5) -> None:
    array = np.random.default_rng(0).integers(0, 2**32, SIZE // 4, "uint32").view("float32")
    layers = [keras.layers.Dense(5000, kernel_initializer="ones") for _ in range(4)]
    model = keras.Sequential([keras.Input((5000,)), *layers])
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder, "array.bin")
        array.tofile(path)
        ways = {
            "hashlib, one thread": (SIZE, lambda: hashlib.sha256(array).hexdigest()),
            "sha256sum of a file": (SIZE, lambda: subprocess.run(["sha256sum", path], stdout=-3)),
            "repro.digest of an array": (SIZE, lambda: repro.digest(array)),
            "… in the other byte order": (SIZE, lambda: repro.digest(array.view(">f4"))),
            "… transposed": (SIZE, lambda: repro.digest(array.reshape(-1, 1024).T)),
            "… of a model": (MODEL, lambda: repro.digest(model)),
            "… of a file": (SIZE, lambda: repro.digest(path)),
        }
        speeds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, (size, run) in ways.items():
                start = time.perf_counter()
                run()
                speeds[name].append(size / (time.perf_counter() - start) / 1e9)
    print(f"on {len(os.sched_getaffinity(0))} cores:")
    for name, values in speeds.items():
        print(
            f"{name:28} median {statistics.median(values):.2f} GB/s, "
            f"from {min(values):.2f} to {max(values):.2f}"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
