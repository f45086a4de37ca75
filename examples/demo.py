"""What `make demo` runs: a script twice with plain Keras, twice with repro_keras, and a proof.

    python examples/demo.py [--epochs 3]

The script is `mnist_convnet.py` beside this file. For plain Keras its import lines are swapped
back, as they were before, and nothing else. Each run is a process of its own. At the end
`repro-keras run` records it, and `repro-keras verify` runs the record again and compares. The exit
status is 0 where repro_keras gave the same bits each time and plain Keras did not, and 1 otherwise.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}
SCRIPT = Path(__file__).with_name("mnist_convnet.py")
SWAPS = {
    "import repro_keras as keras": "import keras",
    "from repro_keras import layers": "from keras import layers",
}
console = Console(highlight=False)


def swapped_back(script: str) -> str:
    """The script as it was before its import was swapped."""
    lines = []
    for line in script.splitlines():
        code, _, comment = line.partition("  # was: ")
        if comment:
            if SWAPS.get(code) != comment:
                raise SystemExit(f"{SCRIPT.name}: this line is not one that can be swapped: {line}")
            line = comment
        lines.append(line)
    return "\n".join(lines) + "\n"


def train(script: Path, epochs: int) -> dict:
    """Runs the script in a process of its own and returns what it came to."""
    weights, history = script.with_suffix(".weights.h5"), script.with_suffix(".json")
    command = [sys.executable, str(script), f"--epochs={epochs}"]
    command += [f"--weights={weights}", f"--history={history}"]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            console.print(f"    [dim]{escape(line.rstrip())}", soft_wrap=True)
        if process.wait():
            errors.seek(0)
            raise SystemExit(f"{script.name} failed:\n{errors.read()}")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    return {**json.loads(history.read_text()), "file": digest}


def prove(epochs: int) -> bool:
    """Records the script, and verifies the record: the commands are those of a shell."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(SCRIPT, folder)
        script = f"{SCRIPT.name} --epochs={epochs} --weights=digits.weights.h5"
        for command in (f"run {script}", "verify --yes"):
            console.print(f"\n[bold]$ repro-keras {command}[/bold]", soft_wrap=True)
            arguments = [sys.executable, "-m", "repro_keras", *command.split()]
            with tempfile.TemporaryFile("w+") as errors:
                done = subprocess.run(
                    arguments, env=ENVIRONMENT, cwd=folder, stderr=errors, check=False
                )
                errors.seek(0)
                said = errors.read()
            for line in said.splitlines():
                if done.returncode or line.startswith("repro-keras: "):
                    console.print(line, soft_wrap=True, markup=False)
            if done.returncode:
                return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description="Trains twice without and twice with repro_keras.")
    parser.add_argument("--epochs", type=int, default=3)
    epochs = parser.parse_args().epochs
    start = time.monotonic()
    table = Table(title="\nThe same script, four times", title_justify="left")
    for column in ("import", "run", "last loss", "accuracy", "saved file", ""):
        table.add_column(column, no_wrap=True)
    same = {}
    with tempfile.TemporaryDirectory() as folder:
        text = SCRIPT.read_text()
        for line, script in (
            ("import keras", swapped_back(text)),
            ("import repro_keras as keras", text),
        ):
            copy = Path(folder, "script.py")
            copy.write_text(script)
            runs = []
            for number in (1, 2):
                console.print(f"[bold]{line}[/bold], run {number} of 2")
                runs.append(train(copy, epochs))
            same[line] = runs[0] == runs[1]
            for number, run in enumerate(runs, 1):
                verdict = "[green]the same[/green]" if same[line] else "[red]different[/red]"
                table.add_row(
                    line.removesuffix(" as keras") if number == 1 else "",
                    str(number),
                    f"{float.fromhex(run['steps'][-1]):.8f}",
                    f"{float.fromhex(run['test'][1]):.1%}",
                    run["file"][:12] + "…",
                    verdict if number == 2 else "",
                )
            table.add_section()
    console.print(table)
    plain, ours = same.values()
    if ours and not plain:
        console.print(
            "With the import swapped, every loss came out the same to the last bit, and the saved "
            "file to the last byte.\nNothing else in the script was changed.",
            soft_wrap=True,
        )
    elif not ours:
        console.print(
            "[red]repro_keras gave different results: this must not be. Please report it."
        )
    else:
        console.print("Plain Keras came out the same too; nothing was shown.")
    proved = ours and prove(epochs)
    console.print(f"({time.monotonic() - start:.0f} seconds)")
    return 0 if proved and not plain else 1


if __name__ == "__main__":
    sys.exit(main())
