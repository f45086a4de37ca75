"""Families of trainings that can be killed and go on.

    python states.py FAMILY FOLDER [SAVE_FREQ] [--kill-at STEP] [--stock]

Trains one family with states in FOLDER/states, and prints what came out. It kills itself in the
middle of a step where it is told to; `--stock` takes Keras's own BackupAndRestore instead.
"""

import json
import os
import signal
import sys
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import repro_keras as keras
from repro_keras import repro

import numpy as np  # isort: skip
import tensorflow as tf  # isort: skip

L = keras.layers
SAMPLES = 40
given = np.random.default_rng(0)
images = given.random((SAMPLES, 8, 8, 1), "float32")
words = given.integers(0, 20, (SAMPLES, 6))
rows = given.random((SAMPLES, 5), "float32")
targets = given.random((SAMPLES, 1), "float32")
classes = given.integers(0, 3, SAMPLES)


def compiled(model, optimizer="adam", loss="mse", **options):
    model.compile(optimizer, loss, **options)
    return model


def small():
    """A model without weights before its first step."""
    return keras.Sequential([L.Dense(8, "relu"), L.Dropout(0.3), L.GaussianNoise(0.1), L.Dense(1)])


def mlp():
    model = compiled(small(), metrics=["mae"])
    return model, (rows, targets), {"validation_split": 0.2}


def convnet():
    stack = [
        L.RandomTranslation(0.1, 0.1),
        L.Conv2D(4, 3),
        L.BatchNormalization(),
        L.ReLU(),
        L.Flatten(),
        L.Dense(3, "softmax"),
    ]
    model = keras.Sequential([keras.Input((8, 8, 1)), *stack])
    rate = keras.optimizers.schedules.CosineDecay(0.01, 30)
    compiled(
        model,
        keras.optimizers.SGD(rate, 0.9, use_ema=True),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    options = {"callbacks": [keras.callbacks.SwapEMAWeights()]}
    return model, (images, classes), {"validation_data": (images, classes), **options}


def lstm():
    stack = [L.Embedding(20, 6), L.LSTM(4, dropout=0.2, recurrent_dropout=0.1), L.Dense(1)]
    model = compiled(keras.Sequential(stack), "rmsprop", steps_per_execution=2)
    return model, (words, targets), {"sample_weight": targets[:, 0], "shuffle": "batch"}


def attention():
    inputs = keras.Input((6,), dtype="int32")
    x = L.Embedding(20, 8)(inputs)
    x = L.LayerNormalization()(x + L.MultiHeadAttention(2, 4, dropout=0.1)(x, x))
    model = keras.Model(inputs, L.Dense(3, "softmax")(L.GlobalMaxPooling1D()(x)))
    optimizer = keras.optimizers.AdamW(0.01, gradient_accumulation_steps=3)
    compiled(model, optimizer, "sparse_categorical_crossentropy")
    return model, (words, classes), {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}}


class Autoencoder(keras.Model):
    """A variational one, with a step and metrics of its own."""

    def __init__(self):
        super().__init__()
        self.encoder = keras.Sequential([L.Dense(8, "tanh"), L.Dense(4)])
        self.decoder = keras.Sequential([L.Dense(8, "tanh"), L.Dense(5)])
        self.noise = keras.random.SeedGenerator()
        self.tracker = keras.metrics.Mean(name="elbo")
        self.count = tf.Variable(0, dtype="int64", trainable=False)
        self.built = True

    @property
    def metrics(self):
        return [self.tracker]

    def train_step(self, x):
        with tf.GradientTape() as tape:
            mean, spread = tf.split(self.encoder(x), 2, -1)
            z = mean + tf.exp(spread / 2) * keras.random.normal(tf.shape(mean), seed=self.noise)
            divergence = tf.reduce_mean(mean**2 + tf.exp(spread) - spread)
            loss = tf.reduce_mean((self.decoder(z) - x) ** 2) + 0.1 * divergence
        weights = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        self.tracker.update_state(loss)
        self.count.assign_add(1)
        return {"elbo": self.tracker.result(), "divergence": divergence}


def vae():
    model = Autoencoder()
    model.compile(optimizer="adam")
    return model, (rows,), {"steps_per_epoch": 7}


class Adversaries(keras.Model):
    """Two models and two optimizers."""

    def __init__(self):
        super().__init__()
        self.critic = keras.Sequential([L.Dense(8, "relu"), L.Dropout(0.2), L.Dense(1)])
        self.maker = keras.Sequential([L.Dense(8, "relu"), L.Dense(5)])
        self.noise = keras.random.SeedGenerator()
        self.built = True

    def compile(self, critic, maker):
        super().compile()
        self.of_critic, self.of_maker = critic, maker

    def train_step(self, real):
        latent = keras.random.normal((tf.shape(real)[0], 3), seed=self.noise)
        with tf.GradientTape() as tape:
            made = self.maker(latent)
            difference = self.critic(made, training=True) - self.critic(real, training=True)
            of_critic = tf.reduce_mean(difference)
        weights = self.critic.trainable_variables
        gradients = tape.gradient(of_critic, weights)
        self.of_critic.apply_gradients(zip(gradients, weights, strict=True))
        with tf.GradientTape() as tape:
            of_maker = -tf.reduce_mean(self.critic(self.maker(latent), training=True))
        weights = self.maker.trainable_variables
        gradients = tape.gradient(of_maker, weights)
        self.of_maker.apply_gradients(zip(gradients, weights, strict=True))
        return {"of_critic": of_critic, "of_maker": of_maker}


def gan():
    model = Adversaries()
    model.compile(keras.optimizers.Adam(0.01), keras.optimizers.RMSprop(0.01))
    return model, (rows,), {}


class Items(keras.utils.PyDataset):
    """Batches in an order that its hook draws anew, from NumPy's global generator."""

    def __init__(self, **options):
        super().__init__(**options)
        self.order = np.arange(SAMPLES)

    def __len__(self):
        return SAMPLES // 8

    def __getitem__(self, index):
        part = self.order[8 * index : 8 * index + 8]
        return rows[part], targets[part]

    def on_epoch_end(self):
        np.random.shuffle(self.order)


def items():
    model = compiled(small(), keras.optimizers.Nadam())
    return model, (Items(workers=3),), {"shuffle": True, "validation_data": Items()}


def pipeline(augment=None):
    data = tf.data.Dataset.from_tensor_slices((rows, targets)).shuffle(16)
    if augment is not None:
        data = data.map(augment, num_parallel_calls=2)
    return data.batch(8).prefetch(2)


def tf_data():
    return compiled(small()), (pipeline(),), {"validation_data": pipeline()}


def tf_data_cut():
    return compiled(small()), (pipeline().repeat(),), {"steps_per_epoch": 7}


def tf_data_drawing():
    data = pipeline(lambda x, y: (x + tf.random.uniform([5]), y))
    return compiled(small()), (data,), {"validation_data": data}


def generator():
    def batches():
        draw = np.random.default_rng(3)
        while True:
            part = draw.permutation(SAMPLES)[:8]
            yield rows[part] + draw.random(), targets[part]

    return compiled(small()), (batches(),), {"steps_per_epoch": 6}


def eager():
    model = small()
    model.build((None, 5))
    return compiled(model, run_eagerly=True), (rows, targets), {"shuffle": False}


def mixed():
    keras.mixed_precision.set_global_policy("mixed_float16")
    return compiled(small(), keras.optimizers.SGD(0.1)), (rows, targets), {}


def cut():
    return compiled(small()), (rows, targets), {"steps_per_epoch": 3}


def late():
    return compiled(small()), (rows, targets), {"initial_epoch": 2, "validation_freq": 2}


FAMILIES = {f.__name__: f for f in (mlp, convnet, lstm, attention, vae, gan, items, tf_data)}
"""Those of the soak."""

OTHERS = {f.__name__: f for f in (tf_data_cut, tf_data_drawing, generator, eager, mixed, cut, late)}


class Remembering(keras.callbacks.Callback):
    """Remembers plain things, and draws."""

    def __init__(self):
        super().__init__()
        self.losses = []
        self.draw = np.random.default_rng(1)
        self.total = 0.0

    def on_epoch_end(self, epoch, logs=None):
        self.losses.append((epoch, self.draw.random(), np.random.rand()))

    def on_train_batch_end(self, batch, logs=None):
        self.total += float(next(iter(logs.values())))


class Telling(keras.callbacks.Callback):
    """Says itself what its state is."""

    def __init__(self):
        super().__init__()
        self.inner = {"seen": np.zeros(3)}

    def on_train_batch_end(self, batch, logs=None):
        self.inner["seen"][batch % 3] += 1

    def get_state(self):
        return {"seen": self.inner["seen"].copy()}

    def set_state(self, state):
        self.inner = {"seen": state["seen"]}


class Steps(keras.callbacks.Callback):
    """Tells somebody of each step."""

    def __init__(self, tell):
        super().__init__()
        self._tell = tell

    def on_train_batch_end(self, batch, logs=None):
        self._tell()

    def get_state(self):
        return None

    def set_state(self, state):
        pass


def callbacks(model, folder, monitor):
    own = keras.callbacks
    every = [
        own.CSVLogger(folder / "log.csv"),
        own.EarlyStopping(monitor, patience=4, restore_best_weights=True),
        own.ModelCheckpoint(
            folder / "best.weights.h5",
            monitor,
            save_best_only=True,
            save_weights_only=True,
            mode="min",
        ),
        own.TerminateOnNaN(),
        Remembering(),
        Telling(),
    ]
    if isinstance(getattr(model, "optimizer", None), keras.Optimizer) and not isinstance(
        model.optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule
    ):
        every.append(own.ReduceLROnPlateau(monitor, 0.5, patience=1, mode="min"))
        every.insert(0, own.LearningRateScheduler(lambda epoch, rate: rate * 0.99))
    return every


def train(family, folder, save_freq="epoch", tell=lambda: None, stock=False, epochs=5):
    folder = Path(folder)
    warnings.filterwarnings("ignore", category=UserWarning)
    model, data, options = {**FAMILIES, **OTHERS}[family]()
    monitor = {"vae": "elbo", "gan": "of_critic"}.get(family, "loss")
    if "validation_split" in options or "validation_data" in options:
        monitor = "val_loss"
    if family == "late":
        monitor = "loss"
    every = callbacks(model, folder, monitor)
    remembering = next(c for c in every if isinstance(c, Remembering))
    early = next(c for c in every if isinstance(c, keras.callbacks.EarlyStopping))
    early.mode = "min"
    keeper = repro.TrainingState(folder / "states", save_freq=save_freq)
    used = keras.callbacks.BackupAndRestore(folder / "stock", save_freq) if stock else keeper
    if stock:
        model(data[0][:1])  # it needs a model that is built
    every = [*every[:3], used, *options.pop("callbacks", []), *every[3:], Steps(tell)]
    if isinstance(data[0], np.ndarray):
        options["batch_size"] = 8
    history = model.fit(*data, epochs=epochs, verbose=0, callbacks=every, **options)
    latest = None if stock else keeper.latest()
    from repro_keras._src.state import variables

    found = variables.read(variables.collect({"model": model}))
    return {
        "weights": repro.digest({n: found[n] for n in found}),
        "history": {k: [float(v).hex() for v in vs] for k, vs in history.history.items()},
        "epochs": history.epoch,
        "csv": (folder / "log.csv").read_text(),
        "best": repro.digest(folder / "best.weights.h5")
        if (folder / "best.weights.h5").exists()
        else None,
        "remembered": [[float(x).hex() for x in row] for row in remembering.losses],
        "total": remembering.total.hex(),
        "drawn": float(np.random.rand()).hex(),
        "state": None if latest is None else repro.digest(latest),
        "resumed": None if keeper.resumed is None else [keeper.resumed.epoch, keeper.resumed.step],
    }


def main(family, folder, *arguments):
    arguments = list(arguments)
    kill_at, stock = None, "--stock" in arguments
    if stock:
        arguments.remove("--stock")
    if "--kill-at" in arguments:
        place = arguments.index("--kill-at")
        kill_at = int(arguments[place + 1])
        del arguments[place : place + 2]
    freq = arguments[0] if arguments else "epoch"
    steps = 0

    def tell():
        nonlocal steps
        steps += 1
        if steps == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    freq = freq if freq == "epoch" else int(freq)
    result = train(family, folder, freq, tell, stock)
    print(json.dumps({**result, "steps": steps}))


if __name__ == "__main__":
    main(*sys.argv[1:])
