"""Which reads of a variable are in no order with an update of it, in the graph that runs.

    python graph_order.py FACE [with-the-pass] MODEL…

FACE is `keras` or `repro_keras`, MODEL as in `models.py`, or `scores`, or `drawn/N` for a step of
models, losses and optimizers that are drawn with N as the seed, or `drawn` for sixty of them.
Prints, for each, the pairs of a reading and a writing operation (or of two writing ones) that
`tf.function` had put in order, and that are in none in the graph of a training step as TensorFlow
runs it, after its passes. `with-the-pass` has TensorFlow do what repro_keras leaves out.
"""

import graphlib
import itertools
import json
import os
import random
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import models  # sets FACE up

keras = models.keras
import tensorflow as tf  # noqa: E402
from tensorflow.python.eager import context  # noqa: E402

READS = ("ReadVariableOp", "ResourceGather")


def updates(model, optimizer, loss):
    """A function that trains a model for a step and returns what the loss was."""
    model(models.ROWS[:8])
    optimizer.build(model.trainable_variables)

    def update(rows):
        with tf.GradientTape() as tape:
            value = loss(rows)
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(value, weights), weights, strict=True))
        return value

    return update


def scores():
    """A model whose loss is the sum of its outputs: the last layer's gradient needs no weight."""
    layers = keras.layers
    model = keras.Sequential(
        [layers.Dense(3), layers.LayerNormalization(), layers.Dense(1, use_bias=False)]
    )
    return updates(
        model, keras.optimizers.SGD(0.1), lambda rows: tf.reduce_sum(model(rows, training=True))
    )


def drawn(seed):
    """One model, two, or two against each other (a GAN), with a few layers each."""
    draw, layers, optimizers = random.Random(seed), keras.layers, keras.optimizers
    losses = (
        tf.reduce_mean,
        tf.reduce_sum,
        lambda y: tf.reduce_mean(y * y),
        lambda y: -tf.reduce_mean(tf.math.softplus(y)),
    )
    ways = (
        lambda: optimizers.SGD(0.1),
        lambda: optimizers.SGD(0.1, momentum=0.9),
        lambda: optimizers.Adam(),
        lambda: optimizers.Adam(clipnorm=1.0),
        lambda: optimizers.Adam(global_clipnorm=1.0),
        lambda: optimizers.AdamW(),
        lambda: optimizers.RMSprop(),
        lambda: optimizers.Adagrad(),
        lambda: optimizers.Lion(),
    )
    others = (layers.BatchNormalization, layers.LayerNormalization, lambda: layers.Dropout(0.2))

    def net(*last):
        parts = []
        for _ in range(draw.randint(1, 3)):
            activation = draw.choice([None, "relu", "tanh", "gelu"])
            bias = draw.random() < 0.7
            parts.append(layers.Dense(draw.choice([3, 4, 8]), activation, use_bias=bias))
            if draw.random() < 0.5:
                parts.append(draw.choice(others)())
        return keras.Sequential([*parts, *last])

    kind = draw.choice(["one", "two", "against"])
    one = net(layers.Dense(1, use_bias=draw.random() < 0.7))
    other = net(layers.Dense(models.ROWS.shape[1]))
    loss, other_loss = draw.choice(losses), draw.choice(losses)

    def of_one(rows):
        given = one(other(rows, training=True), training=True) if kind == "against" else 0
        return loss(given - one(rows, training=True))

    def of_other(rows):
        made = other(rows, training=True)
        return other_loss(one(made, training=True) if kind == "against" else made)

    steps = [updates(one, draw.choice(ways)(), of_one)]
    if kind != "one":
        steps.append(updates(other, draw.choice(ways)(), of_other))
    return lambda rows: [step(rows) for step in steps]


def training(name):
    """A step, and its batch."""
    family, _, optimizer = name.partition("/")
    if family in ("scores", "drawn"):
        step = scores() if family == "scores" else drawn(int(optimizer))
        return step, tf.constant(models.ROWS[:8])
    model, x, y, loss = models.FAMILIES[family]()
    model.compile(getattr(keras.optimizers, optimizer)(**models.OPTIMIZERS[optimizer]), loss)
    batch = [part[:8] for part in (x, y) if part is not None]
    model.fit(*batch, verbose=0)  # builds it
    return model.train_step, tuple(map(tf.constant, batch))


def graphs(step, data):
    """The graph of a function before and after TensorFlow's passes."""
    context.context().enable_graph_collection()
    tf.function(step)(data)
    metadata = context.context().export_run_metadata()
    context.context().disable_graph_collection()
    found = max(metadata.function_graphs, key=lambda one: len(one.pre_optimization_graph.node))
    return found.pre_optimization_graph, found.post_optimization_graph


def before(graph):
    """For each node, what comes before it; of a loop, in one iteration."""
    nodes = {node.name: node for node in graph.node}
    sources = {}
    for node in graph.node:
        names = [name.lstrip("^").split(":")[0] for name in node.input]
        sources[node.name] = [name for name in names if nodes[name].op != "NextIteration"]
    found = {}
    for name in graphlib.TopologicalSorter(sources).static_order():
        found[name] = set(sources[name]).union(*(found[source] for source in sources[name]))
    return found


def users(graph):
    """For each variable, the operations that read or write it."""
    nodes = {node.name: node for node in graph.node}
    found = {}
    for node in graph.node:
        for name in node.input:
            given = nodes.get(name.split(":")[0])  # none for an edge of control
            while given is not None and given.op == "Identity":
                given = nodes[given.input[0].split(":")[0]]
            if given is None or node.op in ("Identity", "IdentityN", "VariableShape"):
                continue
            if given.op == "_Arg" and given.attr["T"].type == tf.resource.as_datatype_enum:
                found.setdefault(given.name, {})[node.name] = node.op
    return found


def lost(early, late):
    """The pairs that are in order in the first graph, and in none in the second."""
    was, now = before(early), before(late)

    def in_order(order, one, other):
        return one in order[other] or other in order[one]

    return [
        pair
        for operations in users(late).values()
        for pair in itertools.combinations(operations, 2)
        if not all(operations[name] in READS for name in pair)
        and set(pair) <= set(was)
        and in_order(was, *pair)
        and not in_order(now, *pair)
    ]


if __name__ == "__main__":
    found, asked = {}, sys.argv[2:]
    if "with-the-pass" in asked:
        asked.remove("with-the-pass")
        keras.utils.set_random_seed(0)  # repro_keras sets up here
        tf.config.optimizer.set_experimental_options({"dependency_optimization": True})
    names = {**models.NAMES, "drawn": [f"drawn/{seed}" for seed in range(60)]}
    for name in itertools.chain(*(names.get(one, [one]) for one in asked)):
        found[name] = lost(*graphs(*training(name)))
        print(name, len(found[name]), file=sys.stderr, flush=True)
    print(json.dumps(found))
