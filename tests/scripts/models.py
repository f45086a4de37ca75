"""Trains small models of many families for three epochs: a digest of each, to compare CPUs by.

    python models.py FACE MODEL…

FACE is `repro_keras`, which runs with guarantee `portable` where the environment names no other, or
`keras`, which runs by the recipe that is pasted into scripts: seeds, deterministic operations and
one thread. MODEL is a family and an optimizer, `cnn/SGD`; or `each`, which is every family once, or
`all`, every family with three optimizers. Prints the digests as JSON, by model.
"""

import hashlib
import importlib
import itertools
import json
import os
import sys
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("REPRO_KERAS_GUARANTEE", "portable")
warnings.simplefilter("ignore")
keras = importlib.import_module(sys.argv[1])
import numpy as np  # noqa: E402

L, ops = keras.layers, keras.ops
random = np.random.RandomState(0)
IMAGES = random.uniform(0, 1, (48, 12, 12, 3)).astype("float32")
CLASSES = random.randint(0, 4, 48)
ROWS = random.normal(0, 1, (48, 10)).astype("float32")
SEQUENCES = random.normal(0, 1, (48, 7, 6)).astype("float32")
TOKENS = random.randint(0, 30, (48, 9))

CROSS_ENTROPY = "sparse_categorical_crossentropy"


def augmented():
    return keras.Sequential(
        [
            L.RandomFlip("horizontal"),
            L.RandomTranslation(0.1, 0.1),
            L.RandomRotation(0.05),
            L.RandomContrast(0.2),
        ]
    )


def sequential(*layers):
    return keras.Sequential([*layers, L.Dense(4, activation="softmax")])


def cnn():
    """Convolutions with batch normalization."""
    normalized = [
        layer
        for filters in (8, 12)
        for layer in (
            L.Conv2D(filters, 3, use_bias=False),
            L.BatchNormalization(),
            L.ReLU(),
        )
    ]
    model = sequential(augmented(), *normalized, L.MaxPooling2D(), L.Flatten(), L.Dropout(0.3))
    return model, IMAGES, CLASSES, CROSS_ENTROPY


def block(x, layer, filters):
    """A residual block of two convolutions."""
    y = x
    for number in range(2):
        y = L.BatchNormalization()(layer(filters)(y))
        y = L.ReLU()(y) if number == 0 else y
    if x.shape[-1] != filters:
        x = L.Conv2D(filters, 1)(x)
    return L.ReLU()(L.Add()([x, y]))


def of_blocks(layer):
    inputs = keras.Input(IMAGES.shape[1:])
    x = L.Conv2D(8, 3)(augmented()(inputs))
    for filters in (8, 12):
        x = block(x, layer, filters)
    outputs = L.Dense(4, activation="softmax")(L.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, outputs), IMAGES, CLASSES, CROSS_ENTROPY


def resnet():
    return of_blocks(lambda filters: L.Conv2D(filters, 3, padding="same"))


def depthwise():
    return of_blocks(lambda filters: L.SeparableConv2D(filters, 3, padding="same"))


def unet():
    inputs = keras.Input(IMAGES.shape[1:])
    fine = L.Conv2D(6, 3, padding="same", activation="relu")(L.GaussianNoise(0.05)(inputs))
    coarse = L.Conv2D(12, 3, padding="same", activation="relu")(L.MaxPooling2D()(fine))
    coarse = L.GroupNormalization(3)(coarse)
    up = L.Conv2DTranspose(6, 2, strides=2)(coarse)
    outputs = L.Conv2D(1, 1, activation="sigmoid")(L.Concatenate()([fine, up]))
    masks = (IMAGES.mean(-1, keepdims=True) > 0.5).astype("float32")
    return keras.Model(inputs, outputs), IMAGES, masks, "binary_crossentropy"


def mlp():
    hidden = [
        layer
        for units in (24, 16)
        for layer in (
            L.Dense(units, "gelu", kernel_regularizer="l2"),
            L.LayerNormalization(),
            L.Dropout(0.2),
        )
    ]
    return sequential(L.GaussianNoise(0.1), *hidden), ROWS, CLASSES, CROSS_ENTROPY


def lstm():
    layers = L.LSTM(8, return_sequences=True, dropout=0.1), L.LSTM(6, recurrent_dropout=0.1)
    return sequential(L.GaussianNoise(0.1), *layers), SEQUENCES, CLASSES, CROSS_ENTROPY


def gru():
    return (
        sequential(L.GaussianNoise(0.1), L.GRU(8, dropout=0.1)),
        SEQUENCES,
        CLASSES,
        CROSS_ENTROPY,
    )


def bidirectional():
    layers = L.Embedding(30, 6, mask_zero=True), L.Bidirectional(L.LSTM(5)), L.Dropout(0.2)
    return sequential(*layers), TOKENS, CLASSES, CROSS_ENTROPY


def transformer():
    inputs = keras.Input(TOKENS.shape[1:], dtype="int32")
    x = L.Embedding(30, 8)(inputs)
    for _ in range(2):
        x = L.LayerNormalization()(x + L.MultiHeadAttention(2, 4, dropout=0.1)(x, x))
        x = L.RMSNormalization()(x + L.Dense(8)(L.Dense(16, activation="gelu")(x)))
    outputs = L.Dense(4, activation="softmax")(L.GlobalAveragePooling1D()(x))
    return keras.Model(inputs, outputs), TOKENS, CLASSES, CROSS_ENTROPY


class Sampling(L.Layer):
    def __init__(self):
        super().__init__()
        self.generator = keras.random.SeedGenerator(3)

    def call(self, inputs):
        mean, log_variance = inputs
        self.add_loss(-0.5 * ops.mean(1 + log_variance - ops.square(mean) - ops.exp(log_variance)))
        noise = keras.random.normal(ops.shape(mean), seed=self.generator)
        return mean + ops.exp(0.5 * log_variance) * noise


def vae():
    inputs = keras.Input(IMAGES.shape[1:])
    x = L.Flatten()(L.Conv2D(6, 3, strides=2, activation="relu")(augmented()(inputs)))
    z = Sampling()([L.Dense(4)(x), L.Dense(4)(x)])
    x = L.Reshape((6, 6, 4))(L.Dense(144, activation="relu")(z))
    outputs = L.Conv2DTranspose(3, 2, strides=2, activation="sigmoid")(x)
    return keras.Model(inputs, outputs), IMAGES, IMAGES, "mse"


class GAN(keras.Model):
    """Both nets in one step.

    There is no tanh after a Dense layer here: the emulator crashes on the two fused.
    """

    def __init__(self):
        super().__init__()
        self.generator = keras.Sequential(
            [
                L.Dense(12, activation="leaky_relu"),
                L.BatchNormalization(),
                L.Dense(10, activation="softsign"),
            ]
        )
        self.discriminator = keras.Sequential(
            [L.SpectralNormalization(L.Dense(12)), L.LeakyReLU(), L.Dropout(0.2), L.Dense(1)]
        )
        self.noise = keras.random.SeedGenerator(5)

    def call(self, real, training=False):
        latent = keras.random.normal((ops.shape(real)[0], 4), seed=self.noise)
        fake = self.generator(latent, training=training)
        of_real = self.discriminator(real, training=training)
        of_fake = self.discriminator(ops.stop_gradient(fake), training=training)
        self.add_loss(ops.mean(ops.softplus(-of_real) + ops.softplus(of_fake)))
        self.add_loss(ops.mean(ops.softplus(-self.discriminator(fake, training=training))))
        return of_real


def gan():
    return GAN(), ROWS, None, None


def autoencoder():
    layers = [
        layer
        for units, activation in ((8, "selu"), (3, "softsign"), (8, "silu"))
        for layer in (L.Dense(units, activation), L.UnitNormalization())
    ]
    return keras.Sequential([L.GaussianNoise(0.1), *layers, L.Dense(10)]), ROWS, ROWS, "mse"


def bfloat16():
    """Convolutions, pooling and normalization in mixed precision."""
    narrow = {"dtype": "mixed_bfloat16"}
    layers = [
        L.Conv2D(12, 3, **narrow),
        L.BatchNormalization(**narrow),
        L.AveragePooling2D(2, 1, **narrow),
        L.DepthwiseConv2D(3, activation="swish", **narrow),
        L.MaxPooling2D(**narrow),
        L.Flatten(),
        L.Dense(24, activation="relu", **narrow),
    ]
    return sequential(augmented(), *layers), IMAGES, CLASSES, CROSS_ENTROPY


def float16():
    """Attention and a recurrent layer in mixed precision."""
    narrow = {"dtype": "mixed_float16"}
    inputs = keras.Input(TOKENS.shape[1:], dtype="int32")
    x = L.Embedding(30, 8, **narrow)(inputs)
    x = L.LayerNormalization(**narrow)(x + L.MultiHeadAttention(2, 4, **narrow)(x, x))
    x = L.LSTM(9, **narrow)(L.Conv1D(8, 3, activation="gelu", **narrow)(x))
    outputs = L.Dense(4, activation="softmax")(x)
    return keras.Model(inputs, outputs), TOKENS, CLASSES, CROSS_ENTROPY


def wide():
    """Convolutions with as many channels as have other kernels than few, which the caches cut."""
    model = sequential(
        L.ZeroPadding2D(4),
        L.Conv2D(128, 3, padding="same", activation="relu"),
        L.Conv2D(256, 4, strides=2, padding="same", activation="relu"),
        L.Conv2DTranspose(128, 4, strides=2, padding="same", activation="relu"),
        L.Reshape((400, 128)),
        L.Conv1D(64, 3, padding="causal", dilation_rate=4, activation="relu"),
        L.GlobalAveragePooling1D(),
    )
    return model, IMAGES, CLASSES, CROSS_ENTROPY


FAMILIES = {
    make.__name__: make
    for make in (
        *(cnn, resnet, depthwise, unet, mlp, lstm, gru, bidirectional, transformer, vae, gan),
        *(autoencoder, bfloat16, float16, wide),
    )
}


OPTIMIZERS = {
    "SGD": {"momentum": 0.9, "nesterov": True, "clipnorm": 1.0},
    "Adam": {"amsgrad": True},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "AdamW": {"weight_decay": 0.01},
    "Adagrad": {},
    "Nadam": {"use_ema": True},
    "Lion": {},
    "Adafactor": {},
    "Adamax": {},
    "Lamb": {},
    "Adadelta": {"global_clipnorm": 1.0},
    "Ftrl": {},
    "Muon": {},
}
_cycle = itertools.cycle(OPTIMIZERS)
GRID = {family: tuple(itertools.islice(_cycle, 3)) for family in FAMILIES}
NAMES = {
    "each": [f"{family}/{optimizers[0]}" for family, optimizers in GRID.items()],
    "all": [f"{family}/{one}" for family, optimizers in GRID.items() for one in optimizers],
}


def digest(name: str) -> str:
    keras.utils.set_random_seed(0)
    family, optimizer = name.split("/")
    model, x, y, loss = FAMILIES[family]()
    optimizer = getattr(keras.optimizers, optimizer)(0.01, **OPTIMIZERS[optimizer])
    model.compile(optimizer, loss, jit_compile=False)
    history = model.fit(x, y, batch_size=16, epochs=3, validation_split=0.25, verbose=0).history
    arrays = [np.array(history[key]) for key in sorted(history)]
    arrays += [ops.convert_to_numpy(v) for v in (*model.variables, *model.optimizer.variables)]
    arrays.append(model.predict(x, verbose=0))
    assert all(np.isfinite(array).all() for array in arrays if array.dtype.kind == "f"), name
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()[:16]


if __name__ == "__main__":
    if sys.argv[1] == "keras":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.config.experimental.enable_op_determinism()
    found = {}
    for name in itertools.chain(*(NAMES.get(argument, [argument]) for argument in sys.argv[2:])):
        found[name] = digest(name)
        print(name, found[name], file=sys.stderr, flush=True)
    print(json.dumps(found))
