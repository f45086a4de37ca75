"""The user's seeds, and derived seeds given by hand: by_hand.py FACE."""

import hashlib
import importlib
import json
import sys

import numpy as np

keras = importlib.import_module(sys.argv[1])
L, K = keras.layers, keras.initializers


def derived(name):
    """`repro.seed_for` at root seed 0, as docs/bits.md has it: plain Keras is without us."""
    text = json.dumps(["repro_keras/seed/1", 0, name], separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % (2**31 - 1) + 1


def hashed(*values):
    return hashlib.sha256(b"".join(np.asarray(v).tobytes() for v in values)).hexdigest()


x = np.ones((2, 3, 4), "float32")


def explicit():
    results = []
    for make in (
        lambda: L.Dense(3, kernel_initializer=K.HeNormal(seed=5)),
        lambda: L.LSTM(
            3,
            bias_initializer=K.RandomNormal(seed=5),
            dropout=0.5,
            seed=9,
            kernel_initializer=K.Zeros(),
            recurrent_initializer=K.Orthogonal(seed=2),
        ),
        lambda: L.Bidirectional(
            L.GRU(
                2,
                kernel_initializer=K.GlorotUniform(seed=3),
                recurrent_initializer=K.Orthogonal(seed=2),
            )
        ),
        lambda: L.Dropout(0.5, seed=1),
        lambda: L.RandomCrop(2, 2, seed=4),
        lambda: L.GaussianNoise(0.5, seed=8),
    ):
        layer = make()
        inputs = np.ones((2, 8, 8, 3)) if isinstance(layer, L.RandomCrop) else x
        outputs = layer(inputs, training=True)
        # Plain Keras multiplies matrices with as many threads, and as the CPU likes.
        results.append(hashed(*layer.weights) if layer.weights else hashed(outputs))
    init = K.GlorotUniform()
    init.seed = 77
    results.append(hashed(init((3, 3))))
    generator = keras.random.SeedGenerator(3)
    results.append(hashed(keras.random.normal((3,), seed=generator), generator.state))
    results.append(hashed(keras.random.normal((3,), seed=3)))
    return results


def results_of(net):
    outputs = net(x, training=True)
    return {"variables": hashed(*net.variables), "outputs": hashed(outputs)}


def without_seeds():
    net = keras.Sequential(
        [
            keras.Input((3, 4)),
            L.LSTM(3, bias_initializer="uniform", return_sequences=True, dropout=0.5),
            L.Conv1D(2, 2, name="conv"),
            L.Dropout(0.5),
            L.Dense(2),
            L.Dense(2),
        ],
        name="net",
    )
    return results_of(net)


def with_derived_seeds():
    lstm = "net/lstm#0/lstm_cell"
    net = keras.Sequential(
        [
            keras.Input((3, 4)),
            L.LSTM(
                3,
                kernel_initializer=K.GlorotUniform(seed=derived(f"{lstm}/kernel")),
                recurrent_initializer=K.Orthogonal(seed=derived(f"{lstm}/recurrent_kernel")),
                bias_initializer=K.RandomUniform(seed=derived(f"{lstm}/bias")),
                return_sequences=True,
                dropout=0.5,
                seed=derived(f"{lstm}/seed_generator#0"),
            ),
            L.Conv1D(2, 2, kernel_initializer=K.GlorotUniform(seed=derived("net/conv/kernel"))),
            L.Dropout(0.5, seed=derived("net/dropout#0/seed_generator#0")),
            *(
                L.Dense(2, kernel_initializer=K.GlorotUniform(derived(f"net/dense#{k}/kernel")))
                for k in (0, 1)
            ),
        ],
    )
    return results_of(net)


result = {"explicit": explicit()}
if sys.argv[1] == "repro_keras":
    result["derived"] = without_seeds()
result["by hand"] = with_derived_seeds()
print(json.dumps(result))
