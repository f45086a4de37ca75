"""What verifying a run takes, in times of the run: they alternate.

    python benchmarks/verify.py [--pairs 4] [--epochs 3]

The run is the example `mnist_convnet.py`, in a folder of its own. Printed are the ratio of each
pair, and their mean.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
COMMAND = [sys.executable, "-m", "repro_keras"]


def seconds(*arguments: str, folder: Path) -> float:
    environment = {**os.environ, "PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    start = time.perf_counter()
    subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=environment, check=True, capture_output=True
    )
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what verifying takes.")
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / ".repro").mkdir()
        for file in ("mnist_convnet.py", "real_data.py"):
            shutil.copy(EXAMPLES / file, folder)
        for _ in range(arguments.pairs):
            run = seconds("run", "mnist_convnet.py", f"--epochs={arguments.epochs}", folder=folder)
            again = seconds("verify", "--yes", folder=folder)
            ratios.append(again / run)
            print(f"run {run:.1f} s, verify {again:.1f} s: {ratios[-1]:.3f}", flush=True)
    print(f"mean {statistics.mean(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}")


if __name__ == "__main__":
    main()
