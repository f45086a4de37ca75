"""Writes `compared_ops.txt`: the operations of what is compared between makes of CPU.

    python compared_ops.py

These are the operations in the graphs of `models.py` (each family), of `ops.py` and of `shapes.py`:
what `make portable` and `tests/test_portable.py` compare. What differs there must not be listed.
"""

import functools
import os
import sys

os.environ["REPRO_KERAS_GUARANTEE"] = "portable"
sys.argv = [sys.argv[0], "repro_keras"]  # what the others read
import models  # noqa: E402
import ops  # noqa: E402
import shapes  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow.python.framework import ops as framework  # noqa: E402

from repro_keras._src import compared  # noqa: E402
from repro_keras._src.backends.tensorflow import computes  # noqa: E402

kinds: set[str] = set()


def collect() -> None:
    """Has every operation that a graph gets from here on put among the kinds."""
    original = framework.Graph._create_op_internal

    @functools.wraps(original)
    def _create_op_internal(self, op_type, *args, **kwargs):
        kinds.add(op_type)
        return original(self, op_type, *args, **kwargs)

    framework.Graph._create_op_internal = _create_op_internal


def traced(function, *sizes, dtype="float32", compiled=False):
    """In the place of `shapes.row`: nothing is computed."""
    specs = [tf.TensorSpec(size, dtype) for size in sizes]
    shapes.with_gradients(function, compiled).get_concrete_function(*specs)
    return ""


def main() -> None:
    collect()
    for form in ("graph-float32", "layers", "optimizers"):
        ops.FORMS[form]()
    ops.digest = lambda *arrays: ""
    with tf.Graph().as_default():
        ops.optimizers_v1()
    shapes.row = traced
    for group in shapes.GROUPS.values():
        group()
    for name in models.NAMES["each"]:
        models.digest(name)
    computing = sorted(filter(computes, kinds))
    compared.LIST.write_text("\n".join(computing) + "\n")
    print(f"{len(computing)} operations are in {compared.LIST.name}.")


if __name__ == "__main__":
    main()
