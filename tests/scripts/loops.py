"""Ways to train, for the record: prints what it was, as JSON.

    python loops.py KIND

`losses` are the true losses of the steps, as hexadecimal floats, where the kind of training shows
them; `weights` is the digest of what came out; `copied` are the weights of which each reading makes
a copy from then on, as TensorFlow does it after some operations.
"""

import json
import os
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import repro_keras as keras
from repro_keras import repro

L = keras.layers
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

kind = sys.argv[1]
x = np.random.default_rng(0).random((64, 8), "float32")
y = x[:, :1]
losses = []


def net():
    parts = [L.Dense(8, "relu"), L.BatchNormalization(), L.Dropout(0.1), L.Dense(1)]
    return keras.Sequential([keras.Input((8,)), *parts])


def mse(model):
    return keras.ops.mean((model(x, training=True) - y) ** 2)


class Losses(keras.callbacks.Callback):
    """The true losses where an epoch has one step: its mean is that of the step."""

    def on_epoch_end(self, epoch, logs=None):
        losses.append(float(logs["loss"]))


def fit(model, batch=64, epochs=6, **options):
    model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0, callbacks=[Losses()], **options)
    if batch < 64:
        losses.clear()


def step_of(model, compiled, **options):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.9)
    optimizer = keras.optimizers.SGD(schedule)
    optimizer.build(model.trainable_variables)

    def step():
        with tf.GradientTape() as tape:
            loss = mse(model)
        gradients = tape.gradient(loss, model.trainable_variables)
        gradients = [tf.clip_by_norm(gradient, 1.0) for gradient in gradients]
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    function = tf.function(step, **options) if compiled else step
    function.optimizer = optimizer
    return function


def loop(steps, *functions):
    """Steps of each function, in turns."""
    losses.extend(float(functions[i % len(functions)]()) for i in range(steps))


class Gan(keras.Model):
    """Both gradients are taken before either is applied, and the other one is applied first."""

    def __init__(self):
        super().__init__()
        self.g, self.d = net(), net()
        self.noise = keras.random.SeedGenerator()

    def compile(self, first, second):
        super().compile()
        self.first, self.second = first, second

    def train_step(self, data):
        with tf.GradientTape() as tape, tf.GradientTape() as other:
            made = self.g(keras.random.normal((64, 8), seed=self.noise))
            fooled = tf.reduce_mean(self.d(tf.repeat(made, 8, 1)))
            told = tf.reduce_mean(self.d(data)) - fooled
        of_d = tape.gradient(told, self.d.trainable_weights)
        of_g = other.gradient(fooled, self.g.trainable_weights)
        self.second.apply(of_g, self.g.trainable_weights)
        self.first.apply(of_d, self.d.trainable_weights)
        return {"told": told, "fooled": fooled}


class Both(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        losses.extend([float(logs["fooled"]), float(logs["told"])])


model = net()
if kind == "fit":
    model.compile("adam", "mse")
    fit(model)
elif kind == "two fits":
    model.compile("adam", "mse")
    fit(model)
    fit(model)
elif kind == "eager fit":
    model.compile("adam", "mse", run_eagerly=True)
    fit(model)
elif kind == "steps_per_execution":
    model.compile("adam", "mse", steps_per_execution=3)
    fit(model, batch=8)
elif kind == "mixed precision":
    keras.mixed_precision.set_global_policy("mixed_float16")
    model = net()
    model.compile("adam", "mse")
    fit(model)
    keras.mixed_precision.set_global_policy("float32")
elif kind == "accumulation":
    model.compile(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2), "mse")
    fit(model)
elif kind == "gan":
    model = Gan()
    model.compile(keras.optimizers.Adam(), keras.optimizers.SGD())
    model.fit(x, batch_size=64, epochs=3, verbose=0, callbacks=[Both()])
elif kind == "train_on_batch":
    model.compile("sgd", "mse")
    losses = [float(model.train_on_batch(x, y)) for _ in range(5)]
elif kind == "eager loop":
    loop(6, step_of(model, False))
elif kind == "graph loop":
    loop(5000, step_of(model, True))
elif kind == "compiled loop":
    loop(50, step_of(model, True, jit_compile=True))
elif kind == "functions in turns":
    other = keras.Sequential([keras.Input((8,)), L.Dense(1, use_bias=False)])
    of_xla = step_of(other, True, jit_compile=True)
    loop(3000, step_of(model, True), step_of(other, True), of_xla)
elif kind == "saved loop":
    saved = tf.Module()
    saved.step = step_of(model, True, input_signature=[])
    saved.parts = [v.value for v in (*model.variables, *saved.step.optimizer.variables)]
    loop(3, saved.step)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(saved, folder)
        loaded = tf.saved_model.load(folder)
    here, there = (float(function()) for function in (saved.step, loaded.step))
    assert here == there
    losses.append(here)
elif kind == "loop in a graph":
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)

    @tf.function
    def train():
        for _ in tf.range(10000):
            with tf.GradientTape() as tape:
                loss = mse(model)
            weights = model.trainable_variables
            optimizer.apply(tape.gradient(loss, weights), weights)

    train()
elif kind == "variables":
    variable = keras.Variable(np.ones(3, "float32"))
    optimizer = keras.optimizers.SGD(0.1)
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(variable**2)
        optimizer.apply(tape.gradient(loss, [variable]), [variable])
        losses.append(float(loss))
elif kind == "predictions":
    for i in range(3):
        model.predict(x + i, verbose=0)
elif kind == "crash":
    model.compile("sgd", "mse")
    fit(model)
    raise RuntimeError("on purpose")
elif kind == "exit":
    sys.exit(7)
elif kind == "killed":
    model.compile("sgd", "mse")
    fit(model)
    os.kill(os.getpid(), 9)
elif kind == "waits":
    loop(20, step_of(model, True))
    print("waiting", flush=True)
    time.sleep(60)
else:
    raise SystemExit(f"no such kind: {kind}")


def is_copied(variable):
    first, second = (
        np.asarray(tf.raw_ops.ReadVariableOp(resource=variable.value.handle, dtype=variable.dtype))
        for _ in range(2)
    )
    return not np.shares_memory(first, second)


copied = [v.path for v in model.variables if is_copied(v)]
weights = repro.digest([v.numpy() for v in model.variables]) if model.variables else None
print(json.dumps({"losses": [loss.hex() for loss in losses], "weights": weights, "copied": copied}))
