"""Golden digests: what the models of `models.py` come to under `portable`, on whatever CPU.

    python golden.py [--update] [--cpu NAME | --told NAME] [MODEL…]

MODEL is as in `models.py` (`all` where none is given). Each is trained, here or as on another make
of CPU (`tools/other_cpu`, `tools/told_cpu`), and its digest compared with that in `tests/golden`,
in the file of the versions that are installed. Prints what differs and exits with 1 where something
does. `--update` writes the file.
"""

import argparse
import importlib.metadata
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from fresh import run_json

FOLDER = Path(__file__).parents[1] / "golden"
PACKAGES = ("keras", "tensorflow", "numpy")  # those that decide bits


def path() -> Path:
    """The file of the versions that are installed, whether it is there or not."""
    versions = [f"{name}-{importlib.metadata.version(name)}" for name in PACKAGES]
    return FOLDER / f"{'_'.join(versions)}.json"


def known() -> dict[str, str]:
    """The digests for the versions that are installed, by model."""
    return json.loads(path().read_text())


def found(*models: str, **options) -> dict[str, str]:
    """What models come to in a fresh process, with options of `fresh.run`."""
    return run_json("models.py", "repro_keras", *models, **options)


def differing(digests: dict[str, str]) -> list[str]:
    """The models whose digests are not those that are known."""
    golden = known()
    return [name for name, digest in digests.items() if golden.get(name) != digest]


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares models with their golden digests.")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--cpu")
    parser.add_argument("--told")
    parser.add_argument("models", nargs="*", default=["all"])
    arguments = parser.parse_args()
    digests = found(*arguments.models, cpu=arguments.cpu, told=arguments.told)
    if arguments.update:
        golden = {**(known() if path().exists() else {}), **digests}
        path().write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n")
        print(f"{len(digests)} digests are in {path().name}.")
        return 0
    if not path().exists():
        print(f"There is no {path().name}: `make golden UPDATE=--update` on a CPU that is trusted.")
        return 2
    different = differing(digests)
    other = arguments.cpu or arguments.told
    where = f"as on {other}" if other else "here"
    print(
        f"{len(different)} of {len(digests)} models differ {where}. {' '.join(different)}".rstrip()
    )
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main())
