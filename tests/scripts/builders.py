"""Weights and generators made in every way that users have; prints digests of them.

    python builders.py FACE [noise] [seed=N]

FACE is `keras` or `repro_keras`. The result is a JSON object: way → [first, second of its kind].
"""

import hashlib
import importlib
import json
import os
import random
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = importlib.import_module(sys.argv[1])
ours = sys.argv[1] == "repro_keras"
noise = "noise" in sys.argv
seeds = [int(a.partition("=")[2]) for a in sys.argv if a.startswith("seed=")]
L = keras.layers

import numpy as np  # noqa: E402
import third_party  # noqa: E402

if ours:
    from repro_keras import repro
if seeds:
    keras.utils.set_random_seed(seeds[0])


class Counted(keras.layers.Layer):
    """Weights made in `__init__`, in `build`, at the first call, and as raw variables."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.early = self.add_weight(shape=(3, 3), initializer="normal", name="early")
        self.raw = keras.Variable(keras.initializers.RandomUniform(), shape=(2, 2))
        self.generator = keras.random.SeedGenerator()
        self.inner = L.Dense(3)
        self.derived = L.Dense(3, name=f"{self.name}_derived")

    def build(self, shape):
        self.late = self.add_weight(shape=(shape[-1], 3), name="late")
        self.named = keras.Variable("uniform", shape=(4,), name="raw")
        self.inner.build((None, 3))
        self.built_here = L.Dropout(0.5)

    def call(self, x, training=False):
        x = self.derived(self.inner(x @ self.late + keras.ops.sum(self.early)))
        x = self.built_here(x, training=training)
        return x + keras.random.normal((3,), seed=self.generator)


class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [Counted(), Counted()]
        self.head = keras.Sequential([L.Dense(4), L.Dropout(0.5), L.Dense(2)])

    def call(self, x, training=False):
        for block in self.blocks:
            x = block(x, training=training)
        return self.head(x, training=training)


class DrawsTwice(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return keras.random.normal(shape, dtype=dtype) + keras.random.uniform(shape, dtype=dtype)


x = np.ones((2, 4), "float32")


def sequential():
    model = keras.Sequential([keras.Input((4,)), L.Dense(3), L.Dropout(0.5), L.Dense(3)])
    return [*model.variables, model(x, training=True)]


def lazy():
    model = keras.Sequential([L.Dense(3), L.GaussianNoise(0.5), L.Dense(3)])
    return [model(x, training=True), *model.variables]


def functional():
    inputs = keras.Input((4,))
    outputs = L.Dropout(0.5)(L.Dense(3)(L.Dense(3)(inputs)))
    model = keras.Model(inputs, outputs)
    return [*model.variables, model(x, training=True)]


def subclassed():
    model = Subclassed()
    return [model(x, training=True), *model.variables]


def nested():
    inner = keras.Sequential([keras.Input((4,)), L.Dense(3)], name="inner")
    model = keras.Sequential([keras.Input((4,)), inner, L.Dense(2)], name="outer")
    return model.variables


def built_in_graph():
    import tensorflow as tf

    model = keras.Sequential([L.Dense(3), L.Dropout(0.5)])
    return [tf.function(lambda v: model(v, training=True))(tf.constant(x)), *model.variables]


def fitted():
    model = keras.Sequential([L.Dense(3), L.Dropout(0.5), L.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(x, x[:, :1], verbose=0)
    return model.variables


def closure():
    layer = L.Dense(3, kernel_initializer=lambda shape, dtype=None: keras.random.normal(shape))
    layer.build((None, 4))
    return layer.weights


def closure_of_initializers():
    def init(shape, dtype=None):
        uniform, normal = keras.initializers.HeUniform(), keras.initializers.RandomNormal()
        return uniform(shape) + normal(shape)

    layer = L.Dense(3, kernel_initializer=init)
    layer.build((None, 4))
    return layer.weights


def custom_initializer():
    layer = L.Dense(3, kernel_initializer=DrawsTwice(), name="custom")
    layer.build((None, 4))
    return layer.weights


def initializers_called():
    return [
        getattr(keras.initializers, name)()((4, 4))
        for name in (
            "GlorotNormal",
            "GlorotUniform",
            "HeNormal",
            "HeUniform",
            "LecunNormal",
            "LecunUniform",
            "Orthogonal",
            "RandomNormal",
            "RandomUniform",
            "TruncatedNormal",
            "VarianceScaling",
        )
    ]


def shared_initializer():
    shared = keras.initializers.GlorotUniform()
    layers = [L.Dense(4, kernel_initializer=shared) for _ in range(2)]
    for layer in layers:
        layer.build((None, 4))
    if ours:
        assert not np.array_equal(layers[0].kernel, layers[1].kernel)
    return [layer.kernel for layer in layers]


def lora():
    model = keras.Sequential([keras.Input((4,)), L.Dense(4), L.EinsumDense("ab,bc->ac", 4)])
    for layer in model.layers:
        layer.enable_lora(2)
    return model.weights


def quantized():
    model = keras.Sequential([keras.Input((4,)), L.Dense(4), L.Dense(4)])
    model.quantize("int8")
    return model.weights


def generator():
    own = keras.random.SeedGenerator()
    first = keras.random.normal((3,), seed=own)
    return [first, keras.random.normal((3,), seed=own), own.state]


def generator_as_seed():
    init = keras.initializers.GlorotUniform(seed=keras.random.SeedGenerator())
    layer = L.Dense(3, kernel_initializer=init)
    layer.build((None, 4))
    return layer.weights


def third():
    model = keras.Sequential([keras.Input((4,)), third_party.Gate(3)])
    return model.variables


def cloned():
    inputs = keras.Input((3, 4))
    model = keras.Model(inputs, L.Dense(2)(L.Bidirectional(L.GRU(3, dropout=0.5))(inputs)))
    clone = keras.models.clone_model(model)
    return [*model.variables, *clone.variables]


def from_config():
    model = keras.Sequential([keras.Input((4,)), L.Dense(3)])
    return keras.Sequential.from_config(model.get_config()).weights


def application():
    return keras.applications.MobileNetV2(
        weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=3
    ).weights


def hashed(values) -> list[str]:
    return [
        hashlib.sha256(np.asarray(keras.ops.convert_to_numpy(v)).tobytes()).hexdigest()[:16]
        for v in values
    ]


WAYS = [
    sequential,
    lazy,
    functional,
    subclassed,
    nested,
    built_in_graph,
    fitted,
    closure,
    closure_of_initializers,
    custom_initializer,
    initializers_called,
    shared_initializer,
    lora,
    quantized,
    generator,
    generator_as_seed,
    third,
    cloned,
    from_config,
    application,
]
saved = keras.Sequential([keras.Input((4,)), L.Dense(3), L.Dropout(0.5)], name="saved")
file = os.path.join(tempfile.mkdtemp(), f"saved{os.getpid()}.keras")
saved.save(file)
result = {}
for way in WAYS:
    if noise:
        random.random()
        L.Dense(3, name="unrelated")(x)
        L.Dropout(0.5, name="unrelated_too")(x, training=True)
        keras.initializers.RandomNormal(seed=3)((2,))
        keras.saving.load_model(file)
        if ours:
            with repro.scope("elsewhere"):
                sequential()
    result[way.__name__] = [hashed(way()), hashed(way())]
json.dump(result, sys.stdout)
