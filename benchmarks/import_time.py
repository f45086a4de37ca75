"""What the swapped import costs: `import repro_keras` alone, and the first use of Keras.

Each figure is the wall time of an import in a fresh process, plain Keras and repro_keras in turn.

    python benchmarks/import_time.py [PAIRS]
"""

import os
import statistics
import subprocess
import sys

TIMED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"


def seconds(statement: str) -> float:
    environment = {**os.environ, "PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(
        [sys.executable, "-c", TIMED.format(statement)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(result.stdout)


def main(pairs: int = 9) -> None:
    alone = [seconds("import repro_keras") for _ in range(pairs)]
    print(f"import repro_keras alone: {describe(alone)} (target: 50 ms)")
    seconds("import keras")  # warms the disk
    plain, ours = [], []
    for _ in range(pairs):
        plain.append(seconds("import keras; keras.layers"))
        ours.append(seconds("import repro_keras as keras; keras.layers"))
    extra = [b - a for a, b in zip(plain, ours, strict=True)]
    print(f"plain Keras, first use:   {describe(plain)}")
    print(f"repro_keras, first use:   {describe(ours)}")
    print(f"difference, pair by pair: {describe(extra)} (target: 100 ms)")


def describe(values: list[float]) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"median {middle * 1e3:6.0f} ms, from {low * 1e3:.0f} to {high * 1e3:.0f}"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
