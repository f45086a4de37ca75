"""Mean, deviation, least and greatest of large weights: moments.py FACE."""

import importlib
import json
import sys

import numpy as np

keras = importlib.import_module(sys.argv[1])
result = {}
for name in (
    "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform",
    "Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling",
):  # fmt: skip
    layer = keras.layers.Dense(256, kernel_initializer=getattr(keras.initializers, name)())
    layer.build((None, 256))
    k = np.asarray(layer.kernel)
    result[name] = [float(v) for v in (k.mean(), k.std(), k.min(), k.max())]
dropped = np.asarray(keras.layers.Dropout(0.3)(np.ones((256, 256), "float32"), training=True))
result["Dropout"] = [float(v) for v in (dropped.mean(), dropped.std(), 0.0, dropped.max())]
noise = np.asarray(keras.layers.GaussianNoise(1.0)(np.zeros((256, 256)), training=True))
result["GaussianNoise"] = [float(v) for v in (noise.mean(), noise.std(), noise.min(), noise.max())]
print(json.dumps(result))
