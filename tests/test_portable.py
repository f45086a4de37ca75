"""Guarantee `portable`: the same bits on another make of CPU, which an emulator stands for.

`make portable` compares far more, which takes most of an hour or longer.
"""

import pytest
from fresh import needs_other_cpus, run_json

pytestmark = pytest.mark.slow

GRAPH = """
import json
import repro_keras as keras
import numpy as np, tensorflow as tf
keras.ops
x = tf.constant(np.exp(np.random.RandomState(0).uniform(-9, 9, 999)), "float32")
c = tf.constant(np.linspace(1, 2, 999), "float32")

def forms(x):
    return [1 / x, x / tf.sqrt(x + 1), 1 / tf.sqrt(x), x / c]

in_graph = tf.function(forms)(x)
print(json.dumps([bool((a.numpy() == b.numpy()).all()) for a, b in zip(in_graph, forms(x))]))
"""


def test_grappler_writes_no_approximations_into_a_graph():
    portable = run_json("-c", GRAPH, env={"REPRO_KERAS_GUARANTEE": "portable"})
    assert portable == [True] * 4
    assert not any(run_json("-c", GRAPH)[:3])


KERNELS = """
import json
import repro_keras, numpy, scipy.linalg, threadpoolctl
print(json.dumps([pool["architecture"] for pool in threadpoolctl.threadpool_info()]))
"""


@needs_other_cpus
@pytest.mark.parametrize(
    ("guarantee", "cpu", "kernels"),
    [("portable", "EPYC-Rome", "Haswell"), ("machine", "Nehalem", "Nehalem")],
)
def test_only_portable_pins_the_kernels_of_numpy_and_scipy(guarantee, cpu, kernels):
    found = run_json("-c", KERNELS, cpu=cpu, env={"REPRO_KERAS_GUARANTEE": guarantee})
    assert found == [kernels] * 2  # NumPy's OpenBLAS, and SciPy's own


@needs_other_cpus
def test_optimizers_are_the_same_on_another_cpu():
    here, there = (run_json("ops.py", "optimizers", cpu=cpu) for cpu in (None, "Haswell"))
    assert here == there


@needs_other_cpus
def test_stock_optimizers_are_not():
    """The control."""
    here, there = (run_json("ops.py", "optimizers", "exact", cpu=cpu) for cpu in (None, "Haswell"))
    assert here != there


@needs_other_cpus
def test_a_model_is_the_same_on_another_cpu():
    arguments = "models.py", "repro_keras", "RMSprop", "cnn"
    assert run_json(*arguments) == run_json(*arguments, cpu="Haswell")
