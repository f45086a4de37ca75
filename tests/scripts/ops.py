"""One digest for each operation and form of it, to compare makes of CPU by.

    python ops.py FORM [LEFT OUT…]

FORM is `eager`, `graph` or `jit` with `float32`, `float16` or `bfloat16` (`graph-float16`),
`layers`, `optimizers` or `arrays`, or `all`. It runs with guarantee `portable`; the rows of the
seam that are named after it, or all of a file's (`exact`), are left out. Digests are of the results
and, with a prime, of the gradients with respect to the inputs.
"""

import hashlib
import json
import os
import sys
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["REPRO_KERAS_GUARANTEE"] = "portable"
warnings.simplefilter("ignore")
import repro_keras as keras  # noqa: E402
from repro_keras._src import patches  # noqa: E402

patches.left_out.update(sys.argv[2:])
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from repro_keras._src.backends.tensorflow import APPROXIMATING  # noqa: E402

if "exact" in patches.left_out:  # as in stock TensorFlow
    tf.config.optimizer.set_experimental_options(dict.fromkeys(APPROXIMATING, True))

L, ops = keras.layers, keras.ops
random = np.random.RandomState(0)
POSITIVE = np.exp(random.uniform(-12, 12, (61, 67))).astype("float32")
SIGNED = random.normal(0, 2, (61, 67)).astype("float32")
SIGNED = np.copysign(np.maximum(abs(SIGNED), 0.01), SIGNED)
FAR = random.uniform(-60, 60, (61, 67)).astype("float32")
UNIT = random.uniform(-0.999, 0.999, (61, 67)).astype("float32")
COLORS = random.uniform(0, 1, (4, 9, 9, 3)).astype("float32")


def digest(*arrays):
    bytes_ = b"".join(_array(a).tobytes() for a in arrays)
    return hashlib.sha256(bytes_).hexdigest()[:12]


def _array(x):
    x = x.value if isinstance(x, keras.Variable) else x
    return x.numpy() if hasattr(x, "numpy") else np.asarray(x)


BESSEL = "i0 i0e i1 i1e j0 j1 k0 k0e k1 k1e y0 y1"
# Each a function and what it is given.
OPS = {
    "rsqrt": (tf.math.rsqrt, POSITIVE),
    "raw_rsqrt": (lambda x: tf.raw_ops.Rsqrt(x=x), POSITIVE),
    "reciprocal": (tf.math.reciprocal, POSITIVE),
    "raw_reciprocal": (lambda x: tf.raw_ops.Reciprocal(x=x), POSITIVE),
    "raw_inv": (lambda x: tf.raw_ops.Inv(x=x), POSITIVE),
    "reciprocal_no_nan": (tf.math.reciprocal_no_nan, POSITIVE),
    "one_over": (lambda x: 1 / x, POSITIVE),
    "over_sqrt": (lambda x: x / tf.sqrt(x + 1), POSITIVE),
    "one_over_sqrt": (lambda x: 1 / tf.sqrt(x), POSITIVE),
    "over_constant": (lambda x: x / np.linspace(1, 2, 67, dtype="float32"), SIGNED),
    "power_of_minus_half": (lambda x: x**-0.5, POSITIVE),
    "power_of_minus_one": (lambda x: x**-1.0, POSITIVE),
    "power": (lambda x: x**1.7, POSITIVE),
    "sqrt": (tf.sqrt, POSITIVE),
    "log": (tf.math.log, POSITIVE),
    "log1p": (tf.math.log1p, POSITIVE),
    "exp": (tf.exp, SIGNED),
    "expm1": (tf.math.expm1, SIGNED),
    "sin": (tf.sin, SIGNED),
    "cos": (tf.cos, SIGNED),
    "tan": (tf.tan, SIGNED),
    "asin": (tf.asin, UNIT),
    "acos": (tf.acos, UNIT),
    "atan": (tf.atan, SIGNED),
    "atan2": (lambda x: tf.atan2(x, x + 1), SIGNED),
    "sinh": (tf.sinh, SIGNED),
    "cosh": (tf.cosh, SIGNED),
    "tanh": (tf.tanh, SIGNED),
    "asinh": (tf.asinh, SIGNED),
    "acosh": (tf.acosh, POSITIVE + 1),
    "atanh": (tf.atanh, UNIT),
    "sigmoid": (tf.sigmoid, SIGNED),
    "erf": (tf.math.erf, SIGNED),
    "erfc": (tf.math.erfc, SIGNED),
    "erfinv": (tf.math.erfinv, UNIT),
    "erfcinv": (tf.math.erfcinv, UNIT + 1),
    "ndtri": (tf.math.ndtri, UNIT / 2 + 0.5),
    "lgamma": (tf.math.lgamma, POSITIVE),
    "digamma": (tf.math.digamma, POSITIVE),
    "igamma": (lambda x: tf.math.igamma(abs(x) + 0.1, abs(x)), SIGNED),
    **{f"bessel_{f}": (getattr(tf.math.special, f"bessel_{f}"), FAR) for f in BESSEL.split()},
    **{
        f"bessel_{f}_near": (getattr(tf.math.special, f"bessel_{f}"), SIGNED)
        for f in BESSEL.split()
    },
    "relu6": (tf.nn.relu6, SIGNED),
    "elu": (tf.nn.elu, SIGNED),
    "selu": (tf.nn.selu, SIGNED),
    "silu": (tf.nn.silu, SIGNED),
    "softplus": (tf.nn.softplus, SIGNED),
    "softsign": (tf.nn.softsign, SIGNED),
    "gelu": (tf.nn.gelu, SIGNED),
    "gelu_approximate": (lambda x: tf.nn.gelu(x, approximate=True), SIGNED),
    "softmax": (tf.nn.softmax, SIGNED),
    "softmax_3d": (lambda x: tf.nn.softmax(x[None]), SIGNED),
    "log_softmax": (tf.nn.log_softmax, SIGNED),
    "cross_entropy": (
        lambda x: tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(x), x),
        SIGNED,
    ),
    "sparse_cross_entropy": (
        lambda x: tf.nn.sparse_softmax_cross_entropy_with_logits(np.arange(61), x),
        SIGNED,
    ),
    "logsumexp": (tf.reduce_logsumexp, SIGNED),
    "l2_normalize": (lambda x: tf.math.l2_normalize(x, 1), SIGNED),
    "norm": (lambda x: tf.norm(x, axis=1), SIGNED),
    "std": (lambda x: tf.math.reduce_std(x, 1), SIGNED),
    "mean": (lambda x: tf.reduce_mean(x, 1), SIGNED),
    "clip_by_norm": (lambda x: tf.clip_by_norm(x, 1.5, 1), SIGNED),
    "divide_no_nan": (lambda x: tf.math.divide_no_nan(x, x + 1), SIGNED),
    "xdivy": (lambda x: tf.math.xdivy(x, x + 1), SIGNED),
    "floormod": (lambda x: tf.math.floormod(x, 0.7), SIGNED),
    "lrn": (lambda x: tf.nn.lrn(x[None, None], beta=0.5), SIGNED),
    "average_pool": (lambda x: tf.nn.avg_pool2d(x[None, ..., None], 3, 2, "SAME"), SIGNED),
    "resize_bilinear": (lambda x: tf.image.resize(x, (13, 17)), COLORS),
    "resize_bicubic": (lambda x: tf.image.resize(x, (13, 17), "bicubic"), COLORS),
    "resize_area": (lambda x: tf.image.resize(x, (5, 4), "area"), COLORS),
    "rgb_to_hsv": (tf.image.rgb_to_hsv, COLORS),
    "hsv_to_rgb": (tf.image.hsv_to_rgb, COLORS),
    "adjust_hue": (lambda x: tf.image.adjust_hue(x, 0.2), COLORS),
    "adjust_saturation": (lambda x: tf.image.adjust_saturation(x, 1.3), COLORS),
    "adjust_contrast": (lambda x: tf.image.adjust_contrast(x, 1.3), COLORS),
    "standardize_image": (tf.image.per_image_standardization, COLORS),
    "complex_abs": (lambda x: abs(tf.complex(x, x + 1)), SIGNED),
    "complex_angle": (lambda x: tf.math.angle(tf.complex(x, x + 1)), SIGNED),
    "complex_reciprocal": (
        lambda x: tf.math.real(tf.math.reciprocal(tf.complex(x, x + 1))),
        SIGNED,
    ),
    "complex_rsqrt": (lambda x: tf.math.real(tf.math.rsqrt(tf.complex(x, x + 1))), SIGNED),
    "complex_log": (lambda x: tf.math.imag(tf.math.log(tf.complex(x, x + 1))), SIGNED),
    "complex_xlogy": (
        lambda x: tf.math.imag(tf.math.xlogy(tf.complex(x, x), tf.complex(x, x + 1))),
        SIGNED,
    ),
    "fused_training": (
        lambda x: tf.compat.v1.nn.fused_batch_norm(x, np.ones(3, "f"), np.zeros(3, "f"))[0],
        COLORS,
    ),
    "fused_inference": (
        lambda x: tf.compat.v1.nn.fused_batch_norm(
            x, *np.ones((3, 3), "f"), np.float32([0.3, 0.7, 0.9]), is_training=False
        )[0],
        COLORS,
    ),
    "cholesky": (lambda x: tf.linalg.cholesky(x @ tf.transpose(x) + tf.eye(61)), SIGNED),
    "inverse": (lambda x: tf.linalg.inv(x[:, :61] + 9 * tf.eye(61)), SIGNED),
    "eigenvalues": (lambda x: tf.linalg.eigh(x[:12] @ tf.transpose(x[:12]))[0], SIGNED),
    "singular_values": (lambda x: tf.linalg.svd(x[:12], compute_uv=False), SIGNED),
    "matmul": (lambda x: x @ tf.transpose(x), SIGNED),
}
ONLY_IN_FLOAT32 = """
    raw_inv erfcinv ndtri lgamma digamma igamma cholesky inverse eigenvalues singular_values lrn
    rgb_to_hsv hsv_to_rgb adjust_hue adjust_saturation adjust_contrast standardize_image
    over_constant atan2 erfinv resize_bilinear resize_bicubic resize_area
"""
ONLY_IN_FLOAT32 = {
    *ONLY_IN_FLOAT32.split(),
    *(name for name in OPS if name.startswith(("bessel", "complex", "fused"))),
}
IN_XLA = ("bessel_i0e", "bessel_i1e")
NOT_IN_XLA = {
    *("adjust_hue", "resize_area", "resize_bicubic"),
    *(name for name in OPS if name.startswith("bessel") and not name.startswith(IN_XLA)),
}


def result_and_gradient(function, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    try:
        gradient = tape.gradient(y, x)
    except LookupError:  # it has none
        gradient = None
    return y, tf.zeros(()) if gradient is None else gradient


def operations(form, dtype):
    # QEMU 7.2 takes float16's subnormal numbers for 0 where a processor does not.
    some = {
        name: (
            function,
            tf.constant(x.clip(0.01, 99) if x is POSITIVE and dtype == "float16" else x, dtype),
        )
        for name, (function, x) in OPS.items()
        if (dtype == "float32" or name not in ONLY_IN_FLOAT32)
        and (form != "jit" or name not in NOT_IN_XLA)
    }
    functions = {name: function for name, (function, _) in some.items()}
    inputs = {name: x for name, (_, x) in some.items()}

    def all_of_them(inputs):
        return {name: result_and_gradient(functions[name], x) for name, x in inputs.items()}

    if form != "eager":
        # One at a time would take as many compilations.
        all_of_them = tf.function(all_of_them, jit_compile=form == "jit")
    results = all_of_them(inputs)
    return {
        **{name: digest(y) for name, (y, _) in results.items()},
        **{f"{name}'": digest(gradient) for name, (_, gradient) in results.items()},
    }


LAYERS = {
    "batch": lambda **o: L.BatchNormalization(**o),
    "layer": lambda **o: L.LayerNormalization(**o),
    "group": lambda **o: L.GroupNormalization(3, **o),
    "rms": lambda **o: L.RMSNormalization(**o),
    "unit": lambda **o: L.UnitNormalization(**o),
    "spectral": lambda **o: L.SpectralNormalization(L.Dense(12, use_bias=False), **o),
    "attention": lambda **o: L.MultiHeadAttention(2, 5, **o),
    "gelu": lambda **o: L.Dense(12, activation="gelu", **o),
    "softmax": lambda **o: L.Dense(12, activation="softmax", **o),
    "lstm": lambda **o: L.LSTM(5, **o),
    "gru": lambda **o: L.GRU(5, **o),
    "orthogonal": lambda **o: L.Dense(
        12, kernel_initializer="orthogonal", activation="sigmoid", **o
    ),
}


def layers():
    found = {}
    for policy in ("float32", "mixed_float16", "mixed_bfloat16"):
        for name, make in LAYERS.items():
            layer = make(dtype=policy)
            x = tf.constant(SIGNED[:60, :12].reshape(5, 12, 12))
            inputs = [x, x] if name == "attention" else [x]
            layer(*inputs)
            y, gradients = _training(layer)(inputs)
            key = f"{name}-{policy}"
            found[key] = digest(y, *gradients, *layer.weights)
            if policy == "float32":
                found[f"{key}-inference"] = digest(tf.function(layer)(*inputs))
    return found


def _training(layer):
    @tf.function
    def train(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = layer(*inputs, training=True)
            loss = tf.reduce_sum(tf.cast(y, "float32") ** 2)
        sources = [inputs, [weight.value for weight in layer.trainable_weights]]
        of_inputs, of_weights = tape.gradient(loss, sources, unconnected_gradients="zero")
        return y, [*of_inputs, *of_weights]

    return train


OPTIMIZERS = """
    SGD RMSprop Adam AdamW Adadelta Adagrad Adamax Adafactor Nadam Ftrl Lion Lamb Muon
"""


def optimizers():
    made = {name: getattr(keras.optimizers, name)(0.01) for name in OPTIMIZERS.split()}
    made["Adam-amsgrad"] = keras.optimizers.Adam(0.01, amsgrad=True)
    made["RMSprop-centered"] = keras.optimizers.RMSprop(0.01, centered=True, momentum=0.5)
    made["SGD-clipnorm"] = keras.optimizers.SGD(0.01, momentum=0.9, clipnorm=1.0)
    made["SGD-global_clipnorm"] = keras.optimizers.SGD(0.01, global_clipnorm=1.0)
    return {name: _optimized(optimizer) for name, optimizer in made.items()}


def _optimized(optimizer):
    weights = [keras.Variable(SIGNED), keras.Variable(SIGNED[0])]
    optimizer.build(weights)

    @tf.function
    def step():
        optimizer.apply([tf.sin(w.value * 3) for w in weights], weights)

    for _ in range(4):
        step()
    return digest(*weights, *optimizer.variables)


def optimizers_v1():
    """Those of TensorFlow 1, whose steps are kernels of their own."""
    v1 = tf.compat.v1.train
    made = {
        "Adadelta": v1.AdadeltaOptimizer(0.01),
        "Adagrad": v1.AdagradOptimizer(0.01),
        "AdagradDA": v1.AdagradDAOptimizer(0.01, tf.Variable(0, dtype="int64")),
        "Adam": v1.AdamOptimizer(0.01),
        "Ftrl": v1.FtrlOptimizer(0.01, l1_regularization_strength=0.01),
        "Momentum": v1.MomentumOptimizer(0.01, 0.9, use_nesterov=True),
        "ProximalAdagrad": v1.ProximalAdagradOptimizer(0.01),
        "ProximalGradientDescent": v1.ProximalGradientDescentOptimizer(0.01),
        "RMSProp": v1.RMSPropOptimizer(0.01, momentum=0.5),
        "RMSProp-centered": v1.RMSPropOptimizer(0.01, centered=True),
    }
    found = {}
    for name, optimizer in made.items():
        weights = [tf.Variable(SIGNED), tf.Variable(SIGNED[0])]
        for _ in range(4):
            gradients = [tf.sin(w * 3) for w in weights]
            # Sparse ones have kernels of their own.
            gradients[0] = tf.IndexedSlices(gradients[0][3:40], tf.range(3, 40), weights[0].shape)
            optimizer.apply_gradients(zip(gradients, weights, strict=True))
        found[name] = digest(*weights, *optimizer.variables())
    return found


INITIALIZERS = """
    Orthogonal GlorotNormal GlorotUniform HeNormal LecunNormal RandomNormal TruncatedNormal
    RandomUniform VarianceScaling
"""


def arrays():
    """What Keras computes with NumPy and SciPy."""
    import scipy.linalg

    square = SIGNED[:, :61]
    return {
        "np_dot": digest(SIGNED @ SIGNED.T),
        "np_dot_64": digest(SIGNED.astype("d") @ SIGNED.T.astype("d")),
        "np_qr": digest(*np.linalg.qr(SIGNED)),
        "np_svd": digest(*np.linalg.svd(SIGNED)),
        "np_inv": digest(np.linalg.inv(square)),
        "np_norm": digest(np.linalg.norm(SIGNED)),
        "np_exp": digest(np.exp(SIGNED)),
        "np_sin": digest(np.sin(SIGNED)),
        "np_sin_64": digest(np.sin(SIGNED.astype("d"))),
        "np_exp_64": digest(np.exp(SIGNED.astype("d"))),
        "np_log_64": digest(np.log(POSITIVE.astype("d"))),
        "np_tanh": digest(np.tanh(SIGNED)),
        "np_power": digest(POSITIVE**1.7),
        "np_sum": digest(SIGNED.sum(), SIGNED.mean(0), SIGNED.std(1)),
        "np_normal": digest(np.random.RandomState(1).normal(size=99)),
        "np_default_rng": digest(np.random.default_rng(1).normal(size=99)),
        "scipy_svd": digest(*scipy.linalg.svd(SIGNED)),
        "scipy_qr": digest(*scipy.linalg.qr(SIGNED.astype("d"))),
        **{
            f"initializer_{name}": digest(getattr(keras.initializers, name)(seed=1)((33, 20)))
            for name in INITIALIZERS.split()
        },
        "initializer_STFT": digest(keras.initializers.STFT("real")((64, 1, 33))),
    }


FORMS = {
    **{
        f"{form}-{dtype}": lambda form=form, dtype=dtype: operations(form, dtype)
        for form in ("eager", "graph", "jit")
        for dtype in ("float32", "float16", "bfloat16")
    },
    "layers": layers,
    "optimizers": optimizers,
    "optimizers_v1": optimizers_v1,
    "arrays": arrays,
}


if __name__ == "__main__":
    wanted = FORMS if sys.argv[1] == "all" else sys.argv[1].split(",")
    found = {}
    for form in wanted:
        print(form, file=sys.stderr, flush=True)
        found[form] = FORMS[form]()
    print(json.dumps(found))
