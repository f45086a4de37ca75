"""Loads the files in `tests/fixtures/keras2` and prints by how much their outputs differ."""

import json
from pathlib import Path

import numpy as np

from repro_keras.v1 import keras

FOLDER = Path(__file__).parents[1] / "fixtures" / "keras2"
expected = json.loads((FOLDER / "expected.json").read_text())


def data(spec):
    names = {"np": np, "n": int(np.prod(spec["shape"])), **spec}
    return eval(expected["formulas"][spec["kind"]], names)


def bare(specs):
    made = [data(spec) for spec in specs]
    return made if len(made) > 1 else made[0]


def floats(value):
    return [floats(item) for item in value] if isinstance(value, list) else float.fromhex(value)


def difference(one, other):
    return float(np.abs(np.asarray(one) - np.asarray(floats(other))).max())


def check(entry):
    keras.backend.clear_session()
    if "architecture" in entry:
        text = (FOLDER / entry["architecture"]).read_text()
        model = keras.models.model_from_json(text)
        model.load_weights(FOLDER / entry["file"])
    else:
        model = keras.models.load_model(FOLDER / entry["file"])
    x = bare(entry["inputs"])
    made = model.predict(x)
    made = made if isinstance(made, list) else [made]
    found = {
        "predictions": max(map(difference, made, entry["predictions"])),
        "weights": sorted(list(weight.shape) for weight in model.get_weights())
        == sorted(shape for _, shape in entry["weights"]),
    }
    if "targets" in entry:
        y = bare(entry["targets"])
        found["evaluate"] = difference(np.ravel(model.evaluate(x, y, verbose=0)), entry["evaluate"])
        found["optimizer"] = type(model.optimizer).__name__ == entry["optimizer"]
    if entry["file"] == "lstm_text.h5":  # plain tf_keras cannot train one that has predicted
        found["goes on"] = len(model.fit(x, y, verbose=0).history["loss"]) == 1
    return found


print(json.dumps({name: check(entry) for name, entry in expected["models"].items()}))
