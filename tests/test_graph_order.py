"""A step reads a variable before it updates it: in the graph that runs, too."""

import json

import pytest
from fresh import TENSORFLOW_FIRST, run, run_json, run_together


def _guarantee(name):
    return {"env": {"REPRO_KERAS_GUARANTEE": name}}


@pytest.mark.slow
@pytest.mark.parametrize("guarantee", ["machine", "portable"])
def test_no_read_and_update_of_a_variable_lose_their_order(guarantee):
    models = ("scores", "lstm/SGD", "gan/Adam")
    found, with_the_pass = run_together(
        (("graph_order.py", "repro_keras", *models), _guarantee(guarantee)),
        (("graph_order.py", "repro_keras", "with-the-pass", "scores"), _guarantee(guarantee)),
    )
    assert found == {name: [] for name in models}
    assert len(with_the_pass["scores"]) >= 3


def test_in_plain_keras_they_do():
    environment = {"REPRO_KERAS_OFF": "1", **TENSORFLOW_FIRST}
    assert len(run_json("graph_order.py", "keras", "scores", env=environment)["scores"]) >= 3


@pytest.mark.slow
def test_nor_in_any_family_of_models():
    found = run_json("graph_order.py", "repro_keras", "each")
    assert len(found) == 15
    assert set(map(tuple, found.values())) == {()}


@pytest.mark.parametrize("guarantee", ["machine", "portable"])
def test_the_pass_is_off_in_sessions_and_said_where_it_is_switched_on(guarantee):
    code = """
import json
import repro_keras as keras
from repro_keras import repro
keras.layers
import tensorflow as tf
with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    rewrites = session._config.graph_options.rewrite_options
before = repro.doctor()
tf.config.optimizer.set_experimental_options({"dependency_optimization": True})
print(json.dumps([rewrites.dependency_optimization, before, repro.doctor()]))
"""
    off, before, after = json.loads(
        run("-c", code, **_guarantee(guarantee)).stdout.splitlines()[-1]
    )
    assert off == 2  # RewriterConfig.OFF
    assert before == []
    (finding,) = after
    assert "dependency_optimization was switched on: it takes the order" in finding
