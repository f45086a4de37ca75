"""What saving costs: a model of 100 MB, to a `.keras` file, a weights file and the legacy format.

Each run is a process of its own, plain Keras and repro_keras in turn, in one folder. repro_keras
also waits until the file is on the disk (fsync), which plain Keras leaves to the system.

    python benchmarks/save.py [PAIRS]
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile

NAMES = ("model.keras", "model.weights.h5", "model.h5")
SAVES = 5
TIMED = """
import json, os, statistics, sys, time
import {face} as keras
model = keras.Sequential([keras.Input((2500,)), *(keras.layers.Dense(2500) for _ in range(4))])
result = dict()
for name in {names}:
    path = os.path.join(sys.argv[1], name)
    save = model.save_weights if "weights" in name else model.save
    save(path)
    times = []
    for _ in range({saves}):
        start = time.perf_counter()
        save(path)
        times.append(time.perf_counter() - start)
    result[name] = statistics.median(times)
    os.remove(path)
print(json.dumps(result))
"""


def seconds(face: str, folder: str) -> dict[str, float]:
    result = subprocess.run(
        [sys.executable, "-c", TIMED.format(face=face, names=NAMES, saves=SAVES), folder],
        env={**os.environ, "PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(result.stdout.splitlines()[-1])


def main(pairs: int = 5) -> None:
    ratios: dict[str, list[float]] = {name: [] for name in NAMES}
    with tempfile.TemporaryDirectory(dir=".") as folder:
        for _ in range(pairs):
            plain, ours = seconds("keras", folder), seconds("repro_keras", folder)
            for name in NAMES:
                ratios[name].append(ours[name] / plain[name])
                print(f"{name}: plain {plain[name]:.3f} s, repro_keras {ours[name]:.3f} s")
    for name in NAMES:
        print(
            f"saving 100 MB to {name}, repro_keras / plain Keras: median "
            f"{statistics.median(ratios[name]):.2f}, from {min(ratios[name]):.2f} to "
            f"{max(ratios[name]):.2f}"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
