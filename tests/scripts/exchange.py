"""Models as files, pickles and configurations: exchange.py FACE write|read FOLDER."""

import copy
import importlib
import json
import os
import pickle
import sys
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
face, action, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
keras = importlib.import_module(face)
import numpy as np  # noqa: E402

L = keras.layers
folder.mkdir(exist_ok=True)
x = np.random.RandomState(0).rand(3, 5, 4).astype("float32")


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.rnn = L.Bidirectional(L.GRU(units, dropout=0.2))
        self.head = keras.Sequential([L.Dense(4), L.Dropout(0.5), L.Dense(2)])

    def call(self, inputs, training=False):
        return self.head(self.rnn(inputs), training=training)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def functional():
    inputs = keras.Input((5, 4))
    outputs = L.RandomFlip()(L.Reshape((5, 4, 1))(inputs))
    outputs = L.Dense(2)(L.Flatten()(L.BatchNormalization()(L.Conv2D(3, 2)(outputs))))
    return keras.Model(inputs, outputs)


def sequential():
    return keras.Sequential([keras.Input((5, 4)), L.LSTM(3), L.Dense(2)])


models = {"functional": functional, "sequential": sequential, "subclassed": Subclassed}
result = {"predictions": {}, "names": {}}


def note(name, model):
    result["predictions"][name] = [float(v).hex() for v in np.ravel(model.predict(x, verbose=0))]
    result["names"][name] = [v.path for v in model.variables]


for name, make in models.items():
    if action == "write":
        model = make()
        model.compile("adam", "mse")
        model.fit(x, x[:, 0, :2], verbose=0)
        model.save(folder / f"{name}.keras")
        model.save_weights(folder / f"{name}.weights.h5")
        if name != "subclassed":
            (folder / f"{name}.json").write_text(model.to_json())
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(model))
        (folder / f"{name}.config").write_bytes(pickle.dumps(model.get_config()))
        assert [w.shape for w in copy.deepcopy(model).weights] == [w.shape for w in model.weights]
        note(name, model)
    else:
        model = keras.models.load_model(folder / f"{name}.keras")
        note(name, model)
        pickle.loads((folder / f"{name}.config").read_bytes())
        others = [pickle.loads((folder / f"{name}.pickle").read_bytes())]
        if name != "subclassed":
            text = (folder / f"{name}.json").read_text()
            others.append(keras.models.model_from_json(text))
            others[-1].load_weights(folder / f"{name}.weights.h5")
        for other in others:
            assert np.array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0)), name
if action == "write":
    texts = [p.read_bytes() for p in folder.iterdir()]
    texts += [zipfile.ZipFile(p).read("config.json") for p in folder.glob("*.keras")]
    result["plain files"] = not any(b"repro" in text for text in texts)
result["repro_keras loaded"] = "repro_keras" in sys.modules
print(json.dumps(result))
