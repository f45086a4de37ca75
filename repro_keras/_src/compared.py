"""The operations of models that were not compared between makes of CPU.

`compared_ops.txt` has those that were: `tests/scripts/compared_ops.py` writes it.
"""

from pathlib import Path

from repro_keras._src import backends
from repro_keras._src.words import listed

LIST = Path(__file__).with_name("compared_ops.txt")
_STEPS = ("train_function", "test_function", "predict_function")


def operations() -> frozenset[str]:
    """The kinds of operations that came to the same bits on every make of CPU that was tried."""
    return frozenset(LIST.read_text().split())


def findings() -> list[str]:
    """For each model whose steps have others: a sentence with their names."""
    from repro_keras._src.patches import steps

    compared, found = operations(), []
    for model in steps.models():
        functions = [function for step in _STEPS if (function := getattr(model, step, None))]
        others = sorted(backends.operations(functions) - compared)
        if others:
            found.append(
                f"Outside of what was compared on other makes of CPU: {listed(others)} in the "
                f"model {model.name!r}. There it may come to other bits: verify a run on one, or "
                "say guarantee='machine'."
            )
    return found
