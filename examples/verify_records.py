"""Makes or checks the records in `examples/records`, one for each example.

    python examples/verify_records.py            # runs each again and compares: 0, 1 or 2
    python examples/verify_records.py --update   # records each anew

The bits are those of every x86-64 CPU with AVX2 and FMA. On another one, or with other versions,
what comes out is "could not be told", with the reason.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent
RECORDS = EXAMPLES / "records"
NAMES = (
    "mnist_convnet",
    "bidirectional_lstm",
    "character_generation",
    "addition",
    "vae",
    "gan",
    "siamese",
    "autoencoder",
    "anomaly",
    "transformer",
    "gradient_tape",
    "lowlevel_get_variable",
    "legacy_recipe",
)
COMMAND = [sys.executable, "-m", "repro_keras"]


def update(name: str) -> None:
    script = EXAMPLES / f"{name}.py"
    weights = EXAMPLES / f"{name}.weights.h5"
    command = [*COMMAND, "run", "--json", str(script), "--epochs=1", f"--weights={weights}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    shutil.copyfile(found["record"], RECORDS / f"{name}.json")
    for path in (*EXAMPLES.glob(f"{weights.name}*"), EXAMPLES / "checkpoint"):
        path.unlink(missing_ok=True)  # a Saver makes several files


def main() -> int:
    parser = argparse.ArgumentParser(description="Checks the records of the examples.")
    parser.add_argument("--update", action="store_true", help="record each example anew")
    parser.add_argument("names", nargs="*", default=NAMES, help="which; all, if none is named")
    given = parser.parse_args()
    worst = 0
    for name in given.names:
        if given.update:
            update(name)
            continue
        print(f"{name}", flush=True)
        record = RECORDS / f"{name}.json"
        done = subprocess.run([*COMMAND, "verify", "--yes", str(record)], check=False)
        worst = max(worst, done.returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
