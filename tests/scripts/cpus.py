"""Compares makes of CPU: every operation of `ops.py` and every model of `models.py`.

    python cpus.py [--stock] [CPU…]

CPU is one that `tools/other_cpu --list` names (Haswell and EPYC-Rome where none is given); each is
compared with the one that is there, which takes about half an hour. `--stock` leaves the exact
operations out and trains with plain Keras: what differs then is what they are for. The exit code
is 1 where something differs.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from fresh import run_json

from repro_keras._src import patches


def compare(cpus: list[str], stock: bool) -> bool:
    """Prints what differs; whether anything does."""
    face, left_out = ("keras", patches.EXACT) if stock else ("repro_keras", [])
    differs = False
    for command in (("ops.py", "all", *left_out), ("models.py", face, "all")):
        here = _groups(run_json(*command))
        for cpu in cpus:
            there = _groups(run_json(*command, cpu=cpu))
            for group, digests in here.items():
                different = [name for name in digests if digests[name] != there[group][name]]
                differs = differs or bool(different)
                title = f"{cpu} {' '.join(command[1:])} {group}".rstrip()
                count = f"{len(different)} of {len(digests)} differ"
                print(f"{title}: {count} {' '.join(different)}".rstrip(), flush=True)
    return differs


def _groups(found: dict) -> dict:
    return found if all(isinstance(value, dict) for value in found.values()) else {"": found}


if __name__ == "__main__":
    arguments = sys.argv[1:]
    stock = "--stock" in arguments
    cpus = [a for a in arguments if a != "--stock"] or ["Haswell", "EPYC-Rome"]
    sys.exit(compare(cpus, stock))
