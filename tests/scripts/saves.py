"""Saves models of all kinds, in all formats.

    python saves.py FACE FOLDER [--little-memory]

Prints the SHA-256 of each file by its name below FOLDER, and of what was written to file objects.
"""

import hashlib
import importlib
import io
import json
import os
import pickle
import sys
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = importlib.import_module(sys.argv[1])
import numpy as np  # noqa: E402

L = keras.layers
rows = np.arange(12, dtype="float32").reshape(3, 4)
texts = np.array([["the quick brown fox"], ["jumps over the dog"], ["quick quick dog"]])


def shared():
    """One layer and one initializer that are used twice."""
    inputs = keras.Input((4,))
    regularizer = keras.regularizers.L2(0.1)
    layer = L.Dense(4, kernel_regularizer=regularizer)
    x = L.Dense(4, kernel_regularizer=regularizer)(layer(inputs))
    return keras.Model(inputs, L.Dense(1)(layer(x))), rows


def functions(offset=3):
    """Lambdas with constants, closures and functions inside."""

    scale = lambda x: sum([x * by + offset for by in (1.5, 2.5)])  # noqa: E731
    layers = [L.Lambda(lambda x: x + 1), L.Lambda(scale), L.Dense(1)]
    return keras.Sequential([keras.Input((4,)), *layers]), rows


@keras.saving.register_keras_serializable("saves")
class Custom(L.Layer):
    """Has settings of several types, weights in a dict, and assets of its own."""

    def __init__(self, settings=None, **kwargs):
        super().__init__(**kwargs)
        self.settings = settings or {"b": [1, 2.5], "a": (None, True), "n": float("nan")}
        self.parts = {"second": L.Dense(3), "first": L.Dense(3)}

    def call(self, x):
        return self.parts["first"](x) + self.parts["second"](x)

    def get_config(self):
        return {**super().get_config(), "settings": self.settings}

    def save_assets(self, folder):
        for name in ("z", "a", "m", "b/inner", "c"):
            place = Path(folder, name)
            place.parent.mkdir(exist_ok=True)
            place.write_text(name)

    def load_assets(self, folder):
        assert Path(folder, "b/inner").read_text() == "b/inner"


def custom():
    inputs = keras.Input((4,))
    return keras.Model(inputs, Custom()(inputs)), rows


def vocabularies():
    inputs = keras.Input((1,), dtype="string")
    vectorize = L.TextVectorization(output_sequence_length=4)
    vectorize.adapt(texts)
    lookup = L.StringLookup(output_mode="multi_hot")
    lookup.adapt(texts)
    x = L.Flatten()(L.Embedding(20, 3)(vectorize(inputs)))
    return keras.Model(inputs, L.Dense(1)(L.concatenate([x, lookup(inputs)]))), texts


def half():
    layers = [L.Dense(4, dtype="mixed_bfloat16"), L.BatchNormalization(), L.Dense(1, "gelu")]
    return keras.Sequential([keras.Input((4,)), *layers]), rows


MODELS = (shared, functions, custom, vocabularies, half)


def build(make):
    keras.utils.clear_session()
    model, x = make()
    if x is rows:
        schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.9)
        model.compile(keras.optimizers.Adam(schedule, weight_decay=0.1), "mse", metrics=["mae"])
        model.fit(x, np.ones(len(model(x)), "float32"), epochs=2, verbose=0)
    return model, x


def hashed(content):
    return hashlib.sha256(content).hexdigest()


def main(face, folder, *options):
    warnings.simplefilter("ignore")
    from keras.src.saving import saving_lib

    saving_lib.is_memory_sufficient = lambda model: "--little-memory" not in options
    folder = Path(folder)
    result = {}
    for make in MODELS:
        model, x = build(make)
        np.save(folder / f"{make.__name__}.npy", np.asarray(model(x)))
        model.save(folder / f"{make.__name__}.keras")
        model.save_weights(folder / f"{make.__name__}.weights.h5")
        model.save_weights(folder / f"{make.__name__}.parts.weights.json", max_shard_size=4e-7)
        if make is not vocabularies:
            model.save(folder / f"{make.__name__}.h5")
        keras.saving.save_model(model, folder / f"{make.__name__}.folder", zipped=False)
        model.export(folder / f"{make.__name__}.exported", verbose=False)
        content = io.BytesIO()
        saving_lib._save_model_to_fileobj(model, content, "h5")
        result[f"{make.__name__} in memory"] = hashed(content.getvalue())
        if make is not functions:
            result[f"{make.__name__} pickled"] = hashed(pickle.dumps(model))
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".npy":
            result[path.relative_to(folder).as_posix()] = hashed(path.read_bytes())
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
