"""Every layer of Keras that has weights or draws, made and called; prints what came out.

    python zoo.py FACE [noise] [seed=N]

FACE is `keras` or `repro_keras`. With `noise`, unrelated things happen before each layer. The
result is a JSON object: layer → digests of its weights, generators and output in training.
"""

import hashlib
import importlib
import inspect
import json
import os
import random
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = importlib.import_module(sys.argv[1])
ours = sys.argv[1] == "repro_keras"
noise = "noise" in sys.argv
seeds = [int(a.partition("=")[2]) for a in sys.argv if a.startswith("seed=")]
L = keras.layers

import numpy as np  # noqa: E402

if ours:
    from repro_keras import repro
if seeds:
    keras.utils.set_random_seed(seeds[0])

data = np.random.RandomState(5)
vector, series = data.rand(2, 6), data.rand(2, 5, 4)
series3 = data.rand(2, 4, 4, 4, 2)
image, volume = data.rand(2, 8, 8, 3), data.rand(2, 4, 4, 4, 2)
film, film1, film3 = data.rand(2, 3, 6, 6, 2), data.rand(2, 3, 6, 2), data.rand(2, 2, 4, 4, 4, 2)
tokens = data.randint(0, 9, (2, 5))
picture = (image * 255).astype("float32")
labelled = {"images": picture, "labels": np.eye(2, dtype="float32")}

WEIGHTED = {
    "AdditiveAttention": (lambda: L.AdditiveAttention(dropout=0.5), [series, series]),
    "Attention": (lambda: L.Attention(use_scale=True, dropout=0.5), [series, series]),
    "BatchNormalization": (lambda: L.BatchNormalization(gamma_initializer="uniform"), series),
    "Bidirectional": (lambda: L.Bidirectional(L.LSTM(3, dropout=0.5)), series),
    "Conv1D": (lambda: L.Conv1D(2, 2), series),
    "Conv1DTranspose": (lambda: L.Conv1DTranspose(2, 2), series),
    "Conv2D": (lambda: L.Conv2D(2, 2), image),
    "Conv2DTranspose": (lambda: L.Conv2DTranspose(2, 2), image),
    "Conv3D": (lambda: L.Conv3D(2, 2), volume),
    "Conv3DTranspose": (lambda: L.Conv3DTranspose(2, 2), volume),
    "ConvLSTM1D": (lambda: L.ConvLSTM1D(2, 2, dropout=0.5), film1),
    "ConvLSTM2D": (lambda: L.ConvLSTM2D(2, 2, dropout=0.5), film),
    "ConvLSTM3D": (lambda: L.ConvLSTM3D(2, 2, dropout=0.5), film3),
    "Dense": (lambda: L.Dense(3), vector),
    "DepthwiseConv1D": (lambda: L.DepthwiseConv1D(2), series),
    "DepthwiseConv2D": (lambda: L.DepthwiseConv2D(2), image),
    "EinsumDense": (lambda: L.EinsumDense("ab,bc->ac", 3, bias_axes="c"), vector),
    "Embedding": (lambda: L.Embedding(9, 4), tokens),
    "GRU": (lambda: L.GRU(3, dropout=0.5, recurrent_dropout=0.5), series),
    "GRUCell": (lambda: L.RNN(L.GRUCell(3, dropout=0.5)), series),
    "GroupNormalization": (lambda: L.GroupNormalization(2, gamma_initializer="normal"), series),
    "GroupQueryAttention": (lambda: L.GroupQueryAttention(2, 4, 2, dropout=0.5), (series, series)),
    "LSTM": (lambda: L.LSTM(3, dropout=0.5, bias_initializer="uniform"), series),
    "LSTMCell": (lambda: L.RNN(L.LSTMCell(3)), series),
    "LayerNormalization": (lambda: L.LayerNormalization(beta_initializer="normal"), series),
    "MultiHeadAttention": (lambda: L.MultiHeadAttention(2, 3, dropout=0.5), (series, series)),
    "PReLU": (lambda: L.PReLU("glorot_normal"), vector),
    "RMSNormalization": (lambda: L.RMSNormalization(), series),
    "RNN": (lambda: L.RNN([L.LSTMCell(3), L.GRUCell(2, dropout=0.5)]), series),
    "ReversibleEmbedding": (lambda: L.ReversibleEmbedding(9, 4), tokens),
    "SeparableConv1D": (lambda: L.SeparableConv1D(2, 2), series),
    "SeparableConv2D": (lambda: L.SeparableConv2D(2, 2), image),
    "SimpleRNN": (lambda: L.SimpleRNN(3, dropout=0.5), series),
    "SimpleRNNCell": (lambda: L.RNN(L.SimpleRNNCell(3)), series),
    "SpectralNormalization": (lambda: L.SpectralNormalization(L.Dense(3)), vector),
    "StackedRNNCells": (lambda: L.RNN(L.StackedRNNCells([L.LSTMCell(3), L.LSTMCell(3)])), series),
    "TimeDistributed": (lambda: L.TimeDistributed(L.Dense(3)), series),
}
DRAWING = {
    "AlphaDropout": (lambda: L.AlphaDropout(0.5), vector),
    "AugMix": (lambda: L.AugMix(), picture),
    "CutMix": (lambda: L.CutMix(), labelled),
    "Dropout": (lambda: L.Dropout(0.5), vector),
    "GaussianDropout": (lambda: L.GaussianDropout(0.5), vector),
    "GaussianNoise": (lambda: L.GaussianNoise(0.5), vector),
    "MixUp": (lambda: L.MixUp(), labelled),
    "Pipeline": (lambda: L.Pipeline([L.RandomFlip(), L.RandomRotation(0.4)]), picture),
    "RandAugment": (lambda: L.RandAugment(), picture),
    "RandomBrightness": (lambda: L.RandomBrightness(0.5), picture),
    "RandomColorDegeneration": (lambda: L.RandomColorDegeneration(0.5), picture),
    "RandomColorJitter": (lambda: L.RandomColorJitter(brightness_factor=0.5), picture),
    "RandomContrast": (lambda: L.RandomContrast(0.5), picture),
    "RandomCrop": (lambda: L.RandomCrop(4, 4), picture),
    "RandomElasticTransform": (lambda: L.RandomElasticTransform(), picture),
    "RandomErasing": (lambda: L.RandomErasing(), picture),
    "RandomFlip": (lambda: L.RandomFlip(), picture),
    "RandomGaussianBlur": (lambda: L.RandomGaussianBlur(), picture),
    "RandomGrayscale": (lambda: L.RandomGrayscale(), picture),
    "RandomHue": (lambda: L.RandomHue(0.5), picture),
    "RandomInvert": (lambda: L.RandomInvert(), picture),
    "RandomPerspective": (lambda: L.RandomPerspective(), picture),
    "RandomPosterization": (lambda: L.RandomPosterization(5), picture),
    "RandomRotation": (lambda: L.RandomRotation(0.5), picture),
    "RandomSaturation": (lambda: L.RandomSaturation(0.5), picture),
    "RandomSharpness": (lambda: L.RandomSharpness(0.5), picture),
    "RandomShear": (lambda: L.RandomShear(0.5, 0.5), picture),
    "RandomTranslation": (lambda: L.RandomTranslation(0.5, 0.5), picture),
    "RandomZoom": (lambda: L.RandomZoom(0.5), picture),
    "Solarization": (lambda: L.Solarization(), picture),
    "SpatialDropout1D": (lambda: L.SpatialDropout1D(0.5), series),
    "SpatialDropout2D": (lambda: L.SpatialDropout2D(0.5), image),
    "SpatialDropout3D": (lambda: L.SpatialDropout3D(0.5), volume),
}
TF_KERAS = {  # names that only `tf.keras` has
    "RandomHeight": (lambda: L.RandomHeight(0.5), picture),
    "RandomWidth": (lambda: L.RandomWidth(0.5), picture),
}
# State that is not drawn: counts, vocabularies, other libraries' modules, or nothing of their own.
NOT_RANDOM = {
    "AutoContrast",
    "CategoryEncoding",
    "CenterCrop",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "Equalization",
    "MaxNumBoundingBoxes",
    "Rescaling",
    "Resizing",
    "Discretization",
    "FlaxLayer",
    "IntegerLookup",
    "JaxLayer",
    "Lambda",
    "Layer",
    "MelSpectrogram",
    "Normalization",
    "STFTSpectrogram",
    "StringLookup",
    "TFSMLayer",
    "TextVectorization",
    "TorchModuleWrapper",
    "Wrapper",
}


def random_layers() -> set[str]:
    """The layers whose source, or that of a base, makes a weight or a generator."""
    found = set()
    for cls in vars(L).values():
        if inspect.isclass(cls) and issubclass(cls, keras.Layer):
            sources = [
                inspect.getsource(base)
                for base in cls.__mro__
                if "layers" in base.__module__ and base is not keras.Layer
            ]
            if any(w in s for s in sources for w in ("add_weight(", "SeedGenerator(")):
                found.add(next(n for n, c in vars(L).items() if c is cls and n == cls.__name__))
    return found


def hashed(value) -> str:
    flat = keras.tree.flatten(value)
    arrays = [np.asarray(keras.ops.convert_to_numpy(x)) for x in flat]
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()[:16]


def generators(layer) -> list:
    return [v for v in layer.variables if "seed_generator" in v.path]


result = {}
cases = {**WEIGHTED, **DRAWING, **TF_KERAS} if ours else {**WEIGHTED, **DRAWING}
# Older Kerases lack a few; that none which is there is left out is looked up below.
cases = {name: case for name, case in cases.items() if hasattr(L, name)}
for name, (make, inputs) in cases.items():
    if noise:
        random.random()
        np.random.rand()
        keras.random.normal((2,))
        L.Dense(3, name="unrelated")(vector)
        with repro.scope("elsewhere"):
            L.Dense(3)(vector)
    both = []
    for _ in range(2):  # two of a kind must differ
        layer = make()
        args = inputs if isinstance(inputs, tuple) else (inputs,)
        output = layer(*args, training=True)
        again = layer(*args, training=True)  # the generators go on
        both.append(
            {
                "weights": {w.path.split("/")[-1]: hashed(w) for w in layer.weights},
                "all": hashed(list(layer.weights)),
                "generators": hashed(generators(layer)),
                "output": hashed(output) + hashed(again),
            }
        )
    result[name] = both
json.dump(
    {
        "layers": result,
        "left out": sorted(random_layers() - set(cases) - NOT_RANDOM),
        "weighted": sorted(WEIGHTED),
        "drawing": sorted(DRAWING),
        "python draws": random.random() if not noise else None,
    },
    sys.stdout,
)
