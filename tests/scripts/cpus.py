"""Compares makes of CPU: operations (`ops.py`), shapes (`shapes.py`) and models (`models.py`).

    python cpus.py [--emulated | --stock] [CPU…]

CPU is one that `tools/told_cpu --list` names, or all of them where none is given: each takes some
minutes. `--emulated` emulates instead those that `tools/other_cpu --list` names, by default Haswell
and EPYC-Rome, which takes hours; `--stock` does the same with the exact operations left out and
with plain Keras: what differs then is what they are for. Each is compared with the CPU that is
there. The exit code is 1 where something differs.
"""

import argparse
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from fresh import TOLD_CPU, run_json

from repro_keras._src import patches


def compare(cpus: list[str], emulated: bool, stock: bool) -> bool:
    """Prints what differs; whether anything does."""
    commands = [("ops.py", "all"), ("models.py", "repro_keras", "all"), ("shapes.py", "all")]
    if stock:
        commands = [("ops.py", "all", *patches.EXACT), ("models.py", "keras", "all")]
    differs = False
    for command in commands:
        here = _groups(run_json(*command))
        for cpu in cpus:
            there = _groups(run_json(*command, **{"cpu" if emulated or stock else "told": cpu}))
            for group, digests in here.items():
                different = [name for name in digests if digests[name] != there[group][name]]
                differs = differs or bool(different)
                title = f"{cpu} {' '.join(command[1:])} {group}".rstrip()
                count = f"{len(different)} of {len(digests)} differ"
                print(f"{title}: {count} {' '.join(different)}".rstrip(), flush=True)
    return differs


def _groups(found: dict) -> dict:
    return found if all(isinstance(value, dict) for value in found.values()) else {"": found}


def _told() -> list[str]:
    listed = subprocess.run([sys.executable, TOLD_CPU, "--list"], capture_output=True, text=True)
    return [line.split()[0] for line in listed.stdout.splitlines()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compares makes of CPU.")
    parser.add_argument("--emulated", action="store_true")
    parser.add_argument("--stock", action="store_true")
    parser.add_argument("cpus", nargs="*")
    given = parser.parse_args()
    named = given.cpus or (["Haswell", "EPYC-Rome"] if given.emulated or given.stock else _told())
    sys.exit(compare(named, given.emulated, given.stock))
