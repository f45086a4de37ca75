"""Eight families of models, trained for three epochs on arrays and on a `PyDataset`, and saved.

    python families.py FACE WORKERS FOLDER

Prints, for each, the digests of weights and optimizer, the histories as hex floats, and the SHA-256
of the files saved into FOLDER.
"""

import hashlib
import importlib
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = importlib.import_module(sys.argv[1])
import numpy as np  # noqa: E402

from repro_keras._src.digest import digest  # noqa: E402

L = keras.layers
SAMPLES = 48
given = np.random.default_rng(0)
images = given.random((SAMPLES, 8, 8, 1), "float32")
words = given.integers(0, 20, (SAMPLES, 6))
rows = given.random((SAMPLES, 5), "float32")
targets = given.random((SAMPLES, 1), "float32")
classes = given.integers(0, 3, SAMPLES)


def mlp():
    stack = [L.Dense(8, "relu"), L.Dropout(0.3), L.GaussianNoise(0.1), L.Dense(1)]
    return keras.Sequential([keras.Input((5,)), *stack]), rows, targets


def convnet():
    stack = [
        L.RandomTranslation(0.1, 0.1),
        L.Conv2D(4, 3),
        L.BatchNormalization(),
        L.ReLU(),
        L.MaxPooling2D(),
        L.Flatten(),
        L.Dense(3, "softmax"),
    ]
    return keras.Sequential([keras.Input((8, 8, 1)), *stack]), images, classes


def residual():
    inputs = keras.Input((8, 8, 1))
    x = L.Conv2D(4, 3, padding="same", kernel_initializer="he_normal")(inputs)
    y = L.SeparableConv2D(4, 3, padding="same")(L.LayerNormalization()(x))
    x = L.GlobalAveragePooling2D()(L.SpatialDropout2D(0.2)(L.add([x, y])))
    return keras.Model(inputs, L.Dense(3, "softmax")(x)), images, classes


def recurrent():
    stack = [L.Embedding(20, 6), L.Bidirectional(L.LSTM(4, dropout=0.2)), L.Dense(1)]
    return keras.Sequential([keras.Input((6,), dtype="int32"), *stack]), words, targets


def gated():
    inputs = keras.Input((6,), dtype="int32")
    x = L.GRU(4, recurrent_dropout=0.2, return_sequences=True)(L.Embedding(20, 6)(inputs))
    return keras.Model(inputs, L.Dense(1)(L.GRU(4)(x))), words, targets


def transformer():
    inputs = keras.Input((6,), dtype="int32")
    x = L.Embedding(20, 8)(inputs)
    x = L.LayerNormalization()(x + L.MultiHeadAttention(2, 4, dropout=0.1)(x, x))
    x = L.LayerNormalization()(x + L.Dense(8, "gelu")(x))
    return keras.Model(inputs, L.Dense(3, "softmax")(L.GlobalMaxPooling1D()(x))), words, classes


def autoencoder():
    inputs = keras.Input((8, 8, 1))
    x = L.MaxPooling2D()(L.Conv2D(4, 3, padding="same", activation="relu")(inputs))
    x = L.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid")(x)
    return keras.Model(inputs, x), images, images


@keras.saving.register_keras_serializable("families")
class Sampling(L.Layer):
    """Draws from the normal distribution that it is given, and adds its divergence to the loss."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.noise = keras.random.SeedGenerator()

    def call(self, inputs):
        mean, log_variance = inputs
        spread = keras.ops.exp(log_variance)
        self.add_loss(keras.ops.mean(spread + mean**2 - log_variance) * 0.01)
        noise = keras.random.normal(keras.ops.shape(mean), seed=self.noise)
        return mean + keras.ops.sqrt(spread) * noise


def variational():
    inputs = keras.Input((5,))
    x = L.Dense(8, "tanh")(inputs)
    z = Sampling()([L.Dense(2)(x), L.Dense(2)(x)])
    return keras.Model(inputs, L.Dense(5)(L.Dense(8, "tanh")(z))), rows, rows


FAMILIES = {
    mlp: "rmsprop",
    convnet: "adam",
    residual: "lion",
    recurrent: "adam",
    gated: "nadam",
    transformer: "adamw",
    autoencoder: "adagrad",
    variational: "adam",
}


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y, **options):
        super().__init__(**options)
        self.x, self.y = x, y

    def __len__(self):
        return SAMPLES // 8

    def __getitem__(self, index):
        part = slice(8 * index, 8 * index + 8)
        return self.x[part], self.y[part]


def hexadecimal(history):
    return {name: [float(value).hex() for value in history[name]] for name in sorted(history)}


def main(face, workers, folder):
    result = {}
    for family, optimizer in FAMILIES.items():
        keras.utils.clear_session()
        model, x, y = family()
        loss = "sparse_categorical_crossentropy" if y is classes else "mse"
        model.compile(optimizer, loss, weighted_metrics=[])
        first = model.fit(x, y, batch_size=8, epochs=3, validation_split=0.25, verbose=0)
        data = Batches(x, y, workers=int(workers))
        checkpoint = Path(folder, f"{family.__name__}.best.keras")
        save_best = keras.callbacks.ModelCheckpoint(checkpoint, monitor="loss", save_best_only=True)
        second = model.fit(data, epochs=3, shuffle=True, callbacks=[save_best], verbose=0)
        files = {}
        for ending in (".weights.h5", ".h5", ".keras"):
            path = Path(folder, family.__name__ + ending)
            (model.save_weights if "weights" in ending else model.save)(path)
            files[ending] = hashlib.sha256(path.read_bytes()).hexdigest()
        files["checkpoint"] = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        loaded = keras.models.load_model(Path(folder, f"{family.__name__}.keras"))
        result[family.__name__] = {
            "loaded": digest(loaded, optimizer=True) == digest(model, optimizer=True),
            "weights": digest(model),
            "optimizer": digest([np.asarray(v) for v in model.optimizer.variables]),
            "histories": [hexadecimal(first.history), hexadecimal(second.history)],
            "files": files,
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
