"""One digest for each shape of the operations that split their work, to compare makes of CPU by.

    python shapes.py GROUP… | all

GROUP is one of `GROUPS`. It runs with guarantee `portable`, in graphs; digests are of the results
and of the gradients with respect to all inputs. How a product or a sum is cut into blocks follows
from its shape and from the sizes of the caches, so these are the shapes that models have, and some
that no model has.
"""

import hashlib
import json
import os
import sys
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("REPRO_KERAS_GUARANTEE", "portable")
warnings.simplefilter("ignore")
import repro_keras as keras  # noqa: E402

assert keras.ops  # loads Keras, and makes its operations exact
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

nn = tf.nn


def numbers(shape, seed):
    """Numbers of both signs that use their whole mantissa; the same on every CPU, and cheap."""
    count = int(np.prod(shape))
    bits = np.random.RandomState(seed).bytes(4 * count)
    return (np.frombuffer(bits, "int32").astype("float32") / 2**31).reshape(shape)


def digest(*tensors):
    found = hashlib.sha256()
    for tensor in tensors:
        array = tensor.numpy()
        if array.dtype == "float16":
            array = np.where(abs(array) < NORMAL, 0, array)
        found.update(array.tobytes())
    return found.hexdigest()[:12]


NORMAL = np.float16(2**-14)
"""QEMU takes float16's subnormal numbers for 0, where a processor does not."""


def no_small(x):
    """Numbers whose products are no subnormal ones."""
    return tf.where(abs(x) < 0.02, tf.cast(0.02, x.dtype), x) if x.dtype == "float16" else x


def with_gradients(function, compiled=False):
    """A graph of a function that gives its results, and its gradients by all its arguments."""

    @tf.function(jit_compile=compiled)
    def both(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = function(*inputs)
        # A gradient of ones would be summed without rounding.
        above = tf.nest.map_structure(lambda y: no_small(y) * (1 + no_small(y)), y)
        return y, tape.gradient(y, inputs, above, unconnected_gradients="zero")

    return both


def row(function, *shapes, dtype="float32", compiled=False):
    """The digest of a function of arrays of these shapes, and of its gradients."""
    inputs = [no_small(tf.cast(numbers(shape, seed), dtype)) for seed, shape in enumerate(shapes)]
    y, gradients = with_gradients(function, compiled)(*inputs)
    flat = [*tf.nest.flatten(y), *gradients]
    return digest(*(tf.convert_to_tensor(tensor) for tensor in flat))


def products(dtype="float32", largest=65536):
    inner = (1, 3, 17, 64, 255, 1024, 4095, 16384, 65536)
    found = {}
    for k in inner:
        for m, n in ((1, 1), (1, 10), (7, 13), (32, 64), (128, 10), (512, 33)):
            if k <= largest and m * k * n <= 2**26:
                found[f"{m}x{k}x{n}"] = row(tf.matmul, (m, k), (k, n), dtype=dtype)
    for m, n in ((512, 1000), (1000, 1), (1, 4096), (2048, 33)):
        found[f"{m}x129x{n}"] = row(tf.matmul, (m, 129), (129, n), dtype=dtype)
    for batch in (1, 5, 64):
        found[f"{batch} of 31x127x29"] = row(
            tf.matmul, (batch, 31, 127), (batch, 127, 29), dtype=dtype
        )
    found["a' b'"] = row(
        lambda a, b: tf.matmul(a, b, transpose_a=True, transpose_b=True),
        (300, 70),
        (50, 300),
        dtype=dtype,
    )
    return found


def dense(x, w, b):
    return nn.relu(nn.bias_add(x @ w, b))


def dense_layers():
    """Products with bias and activation, which become one operation, at each size of batch."""
    return {
        f"{batch} of {k} to {n}": row(dense, (batch, k), (k, n), (n,))
        for batch in (1, 2, 7, 32, 128, 512)
        for k, n in ((784, 128), (128, 10), (63, 65), (400, 1))
    }


def convolution(strides=1, dilations=1, padding="SAME"):
    return lambda x, w: nn.convolution(x, w, strides, padding, dilations=dilations)


def conv_layer(strides=1):
    return lambda x, w, b: nn.relu(nn.bias_add(nn.conv2d(x, w, strides, "SAME"), b))


def resnet50():
    """The convolutions of ResNet-50, and its Dense: side, kernel, channels in and out, stride."""
    shapes = [(224, 7, 3, 64, 2)]
    below = 64
    for side, width in ((56, 64), (28, 128), (14, 256), (7, 512)):
        first = 1 if width == 64 else 2
        shapes += [
            (side * first, 1, below, width, first),
            (side * first, 1, below, 4 * width, first),
            (side, 3, width, width, 1),
            (side, 1, width, 4 * width, 1),
            (side, 1, 4 * width, width, 1),
        ]
        below = 4 * width
    found = {
        f"{side}² {kernel}x{kernel} {i} to {o} /{stride}": row(
            conv_layer(stride), (1, side, side, i), (kernel, kernel, i, o), (o,)
        )
        for side, kernel, i, o, stride in shapes
    }
    found["dense"] = row(dense, (1, 2048), (2048, 1000), (1000,))
    return found


def depthwise(strides=1, dilations=(1, 1)):
    return lambda x, w: nn.depthwise_conv2d(
        x, w, (1, strides, strides, 1), "SAME", dilations=dilations
    )


def mobilenet():
    found = {"first": row(convolution(2), (1, 224, 224, 3), (3, 3, 3, 32))}
    side, width = 112, 32
    for out, stride in (
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        (512, 1),
        (1024, 2),
        (1024, 1),
    ):
        found[f"depthwise {side}² {width} /{stride}"] = row(
            depthwise(stride), (1, side, side, width), (3, 3, width, 1)
        )
        side //= stride
        found[f"pointwise {side}² {width} to {out}"] = row(
            conv_layer(), (1, side, side, width), (1, 1, width, out), (out,)
        )
        width = out
    found["dense"] = row(dense, (1, 1024), (1024, 1000), (1000,))
    return found


def transformer(batch=2, length=128, width=256, heads=8, vocabulary=5000):
    size = width // heads
    split = (batch, length, heads, size)

    def attention(q, k, v):
        scores = tf.einsum("bqhd,bkhd->bhqk", q, k) / np.float32(size**0.5)
        return tf.einsum("bhqk,bkhd->bqhd", nn.softmax(scores), v)

    x = (batch, length, width)
    return {
        "projection": row(lambda x, w: tf.einsum("btd,dhe->bthe", x, w), x, (width, heads, size)),
        "attention": row(attention, split, split, split),
        "back": row(lambda x, w: tf.einsum("bthe,hed->btd", x, w), split, (heads, size, width)),
        "wide": row(lambda x, w: tf.tensordot(x, w, 1), x, (width, 4 * width)),
        "narrow": row(
            lambda x, w: tf.tensordot(x, w, 1), (batch, length, 4 * width), (4 * width, width)
        ),
        "logits": row(lambda x, w: tf.tensordot(x, w, 1), x, (width, vocabulary)),
        "softmax": row(nn.log_softmax, (batch, length, vocabulary)),
        "embeddings": row(
            lambda table: tf.gather(table, _indices((batch, length), vocabulary)),
            (vocabulary, width),
        ),
    }


def _indices(shape, below):
    return np.random.RandomState(3).randint(below, size=shape)


def convolutions(dtype="float32"):
    """What models have less often, at odd sizes, and one convolution at each size of batch."""
    found = {
        f"{batch} of 9²": row(convolution(), (batch, 9, 9, 16), (3, 3, 16, 33), dtype=dtype)
        for batch in (1, 2, 7, 32, 128, 512)
    }
    cases = {
        "5x5 valid": (convolution(padding="VALID"), (3, 29, 31, 5), (5, 5, 5, 7)),
        "1x7": (convolution(), (3, 17, 17, 19), (1, 7, 19, 23)),
        "11x11 /4": (convolution(4), (2, 67, 67, 3), (11, 11, 3, 24)),
        "dilated": (convolution(dilations=2), (2, 23, 21, 13), (3, 3, 13, 17)),
        "in groups": (convolution(), (2, 14, 14, 24), (3, 3, 6, 36)),
        "depthwise 5x5": (depthwise(), (2, 19, 23, 31), (5, 5, 31, 1)),
        "depthwise, two each": (depthwise(), (2, 19, 23, 13), (3, 3, 13, 2)),
        "depthwise dilated": (depthwise(dilations=(2, 2)), (2, 19, 23, 13), (3, 3, 13, 1)),
        "1-D": (lambda x, w: nn.conv1d(x, w, 1, "SAME"), (4, 301, 40), (5, 40, 64)),
        "1-D causal, dilated": (
            lambda x, w: nn.convolution(
                tf.pad(x, ((0, 0), (8, 0), (0, 0))), w, 1, "VALID", dilations=4
            ),
            (4, 301, 16),
            (3, 16, 16),
        ),
        "3-D": (
            lambda x, w: nn.conv3d(x, w, (1, 1, 1, 1, 1), "SAME"),
            (2, 9, 11, 13, 5),
            (3, 3, 3, 5, 8),
        ),
        "3-D /2": (
            lambda x, w: nn.conv3d(x, w, (1, 2, 2, 2, 1), "VALID"),
            (1, 17, 16, 15, 3),
            (3, 3, 3, 3, 8),
        ),
        "transposed /2": (
            lambda x, w: nn.conv2d_transpose(x, w, (2, 28, 28, 16), 2, "SAME"),
            (2, 14, 14, 32),
            (3, 3, 16, 32),
        ),
        "transposed, 4x4": (
            lambda x, w: nn.conv2d_transpose(x, w, (3, 15, 13, 5), 1, "SAME"),
            (3, 15, 13, 7),
            (4, 4, 5, 7),
        ),
        "transposed 1-D": (
            lambda x, w: nn.conv1d_transpose(x, w, (3, 62, 5), 2, "SAME"),
            (3, 31, 7),
            (4, 5, 7),
        ),
        "transposed 3-D": (
            lambda x, w: nn.conv3d_transpose(x, w, (1, 10, 12, 8, 4), 2, "SAME"),
            (1, 5, 6, 4, 6),
            (3, 3, 3, 4, 6),
        ),
        "separable": (
            lambda x, d, p: nn.separable_conv2d(x, d, p, (1, 1, 1, 1), "SAME"),
            (2, 21, 21, 12),
            (3, 3, 12, 2),
            (1, 1, 24, 40),
        ),
    }
    for name, (function, *shapes) in cases.items():
        found[name] = row(function, *shapes, dtype=dtype)
    return found


def wide():
    """Convolutions for which oneDNN has kernels that it cuts by the second level of caches too."""

    def first(x, w):
        return nn.conv2d(x, w, 1, "SAME", data_format="NCHW")

    def transposed(batch, side, channels):
        return lambda x, w: nn.conv2d_transpose(
            x, w, (batch, 2 * side, 2 * side, channels), 2, "SAME"
        )

    found = {
        f"{batch} of {side}² {kernel}x{kernel} {i} to {o} /{stride}": row(
            convolution(stride), (batch, side, side, i), (kernel, kernel, i, o)
        )
        for batch, side, kernel, i, o, stride in (
            *((2, 32, 3, 64, 256, 2), (8, 32, 3, 64, 256, 2), (32, 32, 3, 64, 256, 2)),
            *((8, 32, 4, 64, 128, 2), (2, 14, 5, 128, 256, 2), (2, 32, 7, 16, 256, 3)),
            *((1, 28, 3, 128, 128, 1), (1, 56, 3, 64, 64, 1), (2, 14, 3, 256, 256, 1)),
        )
    }
    for batch, side, kernel, i, o in (
        *((16, 4, 4, 512, 256), (16, 8, 4, 256, 128), (4, 16, 4, 128, 64)),
        *((2, 7, 5, 256, 128), (1, 16, 2, 256, 128), (2, 32, 3, 64, 32)),
    ):
        found[f"transposed {batch} of {side}² {kernel}x{kernel} {i} to {o}"] = row(
            transposed(batch, side, o), (batch, side, side, i), (kernel, kernel, o, i)
        )
    for batch, length, channels, dilation in (
        *((2, 1000, 64, 1), (2, 1000, 64, 4), (32, 1000, 64, 2), (1, 1120, 128, 4)),
        *((8, 500, 48, 2), (2, 1120, 16, 1)),
    ):
        found[f"1-D {batch} of {length} {channels} dilated {dilation}"] = row(
            convolution(dilations=dilation), (batch, length, channels), (3, channels, channels)
        )
    for batch, side, i, o in ((4, 20, 16, 32), (1, 33, 31, 64), (3, 14, 128, 96)):
        found[f"channels first {batch} of {side}² {i} to {o}"] = row(
            first, (batch, i, side, side), (3, 3, i, o)
        )
    return found


def einsums():
    cases = {
        "ij,jk->ik": ((33, 65), (65, 129)),
        "bij,bjk->bik": ((3, 33, 65), (3, 65, 17)),
        "bhwc,cd->bhwd": ((2, 7, 9, 33), (33, 65)),
        "abc,bcd->ad": ((5, 33, 41), (33, 41, 17)),
        "abc,abd->cd": ((64, 33, 7), (64, 33, 5)),
        "i,j->ij": ((513,), (257,)),
        "i,i->": ((100_003,), (100_003,)),
        "ijk->k": ((65, 33, 17),),
        "aecd,abcd->acbe": ((2, 33, 4, 8), (2, 31, 4, 8)),
        "acbe,aecd->abcd": ((2, 4, 31, 33), (2, 33, 4, 8)),
    }
    return {name: row(lambda *x, name=name: tf.einsum(name, *x), *s) for name, s in cases.items()}


def compiled():
    """What XLA makes of products, convolutions and linear algebra."""

    def positive(x):
        return tf.matmul(x, x, transpose_b=True) / len(x) + tf.eye(len(x))

    cases = {
        **{
            f"{m}x{k}x{n}": (tf.matmul, (m, k), (k, n))
            for m, k, n in (
                *((1, 1024, 10), (32, 64, 32), (64, 784, 513), (7, 2000, 1)),
                *((128, 4096, 100), (64, 1024, 1024)),
            )
        },
        "batches": (tf.matmul, (4, 33, 2000), (4, 2000, 65)),
        "einsum": (lambda a, b: tf.einsum("bik,bkj->ij", a, b), (4, 33, 300), (4, 300, 65)),
        "dense": (dense, (64, 784), (784, 128), (128,)),
        "convolution": (convolution(), (8, 28, 28, 64), (3, 3, 64, 128)),
        "of one image": (convolution(), (1, 28, 28, 64), (3, 3, 64, 128)),
        "depthwise": (depthwise(), (2, 19, 23, 31), (5, 5, 31, 1)),
        "sum": (lambda x: tf.reduce_sum(x * x), (1_000_003,)),
        "softmax": (nn.log_softmax, (64, 5000)),
        "cholesky": (lambda x: tf.linalg.cholesky(positive(x)), (150, 150)),
        "eigh": (lambda x: tf.linalg.eigh(positive(x))[0], (33, 33)),
        "svd": (lambda x: tf.linalg.svd(x, compute_uv=False), (33, 17)),
    }
    return {name: row(f, *s, compiled=True) for name, (f, *s) in cases.items()}


def sums():
    """Reductions of the whole, of rows, of columns and of the middle, and what is made of them."""
    reductions = {
        "sum": tf.reduce_sum,
        "mean": tf.reduce_mean,
        "variance": tf.math.reduce_variance,
        "prod": lambda x, axis: tf.reduce_prod(1 + x / 1024, axis),
        "logsumexp": tf.reduce_logsumexp,
        "norm": lambda x, axis: tf.sqrt(tf.reduce_sum(x * x, axis)),
    }
    shapes = {
        "all": ((1_000_003,), None),
        "rows": ((37, 10_007), 1),
        "columns": ((10_007, 37), 0),
        "few columns": ((100_003, 3), 0),
        "middle": ((17, 301, 23), 1),
        "channels": ((8, 31, 33, 16), (0, 1, 2)),
    }
    found = {
        f"{name} {where}": row(lambda x, f=f, axis=axis: f(x, axis), shape)
        for name, f in reductions.items()
        for where, (shape, axis) in shapes.items()
    }
    segments = _indices((5003,), 61)
    return {
        **found,
        "l2_loss": row(nn.l2_loss, (300_007,)),
        "bias": row(lambda x, b: nn.bias_add(x, b), (64, 31, 31, 16), (16,)),
        "bias, few rows": row(lambda x, b: nn.bias_add(x, b), (7, 4099), (4099,)),
        "cumsum": row(lambda x: tf.cumsum(x, 1), (7, 4099)),
        "cumprod": row(lambda x: tf.math.cumprod(1 + x / 64, 1), (7, 4099)),
        "cumulative_logsumexp": row(lambda x: tf.math.cumulative_logsumexp(x, 1), (7, 999)),
        "softmax, wide": row(nn.softmax, (3, 50_021)),
        "unsorted_segment_sum": row(
            lambda x: tf.math.unsorted_segment_sum(x, segments, 61), (5003, 19)
        ),
        "unsorted_segment_mean": row(
            lambda x: tf.math.unsorted_segment_mean(x, segments, 61), (5003, 19)
        ),
        "segment_sum": row(lambda x: tf.math.segment_sum(x, np.sort(segments)), (5003, 19)),
        "segment_mean": row(lambda x: tf.math.segment_mean(x, np.sort(segments)), (5003, 19)),
        "embeddings, often the same": row(
            lambda table: tf.gather(table, _indices((32, 401), 13)), (13, 64)
        ),
        "scatter_nd": row(lambda x: tf.scatter_nd(segments[:, None], x, (61, 19)), (5003, 19)),
        "sparse product": row(
            lambda x: tf.sparse.sparse_dense_matmul(
                tf.sparse.from_dense(np.maximum(numbers((67, 501), 1), 0)), x
            ),
            (501, 33),
        ),
        "average_pool": row(lambda x: nn.avg_pool2d(x, 7, 1, "VALID"), (2, 23, 23, 64)),
        "max_pool": row(lambda x: nn.max_pool2d(x, 3, 2, "SAME"), (2, 23, 23, 64)),
        "average_pool 3-D": row(lambda x: nn.avg_pool3d(x, 3, 2, "SAME"), (1, 9, 11, 13, 7)),
        "batch normalization": row(
            lambda x, s, b: tf.compat.v1.nn.fused_batch_norm(x, s, b)[0],
            (64, 17, 17, 32),
            (32,),
            (32,),
        ),
        "fft": row(lambda x: abs(tf.signal.rfft(x)), (3, 2000)),
        "stft": row(lambda x: abs(tf.signal.stft(x, 256, 64)), (2, 3001)),
    }


def linear_algebra():
    found = {}
    for n in (3, 17, 64, 150):
        identity = np.eye(n, dtype="float32")

        def positive(x, identity=identity, n=n):
            return tf.matmul(x, x, transpose_b=True) / n + identity

        functions = {
            "cholesky": lambda x: tf.linalg.cholesky(positive(x)),
            "inverse": lambda x: tf.linalg.inv(positive(x)),
            "determinant": lambda x: tf.linalg.logdet(positive(x)),
            "solve": lambda x: tf.linalg.solve(positive(x), x),
            "triangular_solve": lambda x: tf.linalg.triangular_solve(
                tf.linalg.band_part(positive(x), -1, 0), x
            ),
            "cholesky_solve": lambda x: tf.linalg.cholesky_solve(
                tf.linalg.cholesky(positive(x)), x
            ),
            "lstsq": lambda x: tf.linalg.lstsq(positive(x), x),
            "qr": lambda x: tf.linalg.qr(x),
            "eigh": lambda x: tf.linalg.eigh(positive(x)),
            "svd": lambda x: tf.linalg.svd(x, compute_uv=False),
            "svd, vectors": lambda x: tf.stop_gradient(tf.linalg.svd(x)[1]),
            "lu": lambda x: tf.stop_gradient(tf.linalg.lu(positive(x))[0]),
            "expm": lambda x: tf.linalg.expm(x / x.shape[0]),
            "eig": lambda x: tf.stop_gradient(tf.math.real(tf.linalg.eigvals(x))),
        }
        for name, function in functions.items():
            found[f"{name} {n}"] = row(function, (n, n))
    return found


GROUPS = {
    "products": products,
    "products-bfloat16": lambda: products("bfloat16", 4095),
    "products-float16": lambda: products("float16", 4095),
    "dense": dense_layers,
    "resnet50": resnet50,
    "mobilenet": mobilenet,
    "transformer": transformer,
    "convolutions": convolutions,
    "convolutions-bfloat16": lambda: convolutions("bfloat16"),
    "convolutions-float16": lambda: convolutions("float16"),
    "wide": wide,
    "einsum": einsums,
    "compiled": compiled,
    "sums": sums,
    "linear_algebra": linear_algebra,
}


if __name__ == "__main__":
    wanted = list(GROUPS) if sys.argv[1] == "all" else sys.argv[1:]
    found = {}
    for group in wanted:
        print(group, file=sys.stderr, flush=True)
        found[group] = GROUPS[group]()
    print(json.dumps(found))
