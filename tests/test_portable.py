"""Guarantee `portable`: the same bits on another make of CPU, and `machine`: on any cores.

Another make is an emulator's, one that libraries are told of, or the one that made the golden
digests; `make golden` and `make portable` compare more, which takes longer.
"""

import functools
import itertools
import subprocess
import sys

import pytest
from fresh import SCRIPTS, needs_other_cpus, needs_told_cpus, run, run_json

from repro_keras._src import cpu
from repro_keras._src.backends import caches
from repro_keras._src.errors import NotPortableError, ReproWarning

sys.path.insert(0, str(SCRIPTS))
import golden

pytestmark = pytest.mark.slow

GRAPH = """
import json
import repro_keras as keras
import numpy as np, tensorflow as tf
keras.ops
x = tf.constant(np.exp(np.random.RandomState(0).uniform(-9, 9, 999)), "float32")
c = tf.constant(np.linspace(1, 2, 999), "float32")

def forms(x):
    return [1 / x, x / tf.sqrt(x + 1), 1 / tf.sqrt(x), x / c]

in_graph = tf.function(forms)(x)
print(json.dumps([bool((a.numpy() == b.numpy()).all()) for a, b in zip(in_graph, forms(x))]))
"""


def test_grappler_writes_no_approximations_into_a_graph():
    assert run_json("-c", GRAPH) == [True] * 4
    assert not any(run_json("-c", GRAPH, env={"REPRO_KERAS_GUARANTEE": "machine"})[:3])


KERNELS = """
import json
import repro_keras, numpy, scipy.linalg, threadpoolctl
print(json.dumps([pool["architecture"] for pool in threadpoolctl.threadpool_info()]))
"""


@needs_other_cpus
@pytest.mark.parametrize(
    ("guarantee", "cpu", "kernels"),
    [("portable", "EPYC-Rome", "Haswell"), ("machine", "Nehalem", "Nehalem")],
)
def test_only_portable_pins_the_kernels_of_numpy_and_scipy(guarantee, cpu, kernels):
    found = run_json("-c", KERNELS, cpu=cpu, env={"REPRO_KERAS_GUARANTEE": guarantee})
    assert found == [kernels] * 2  # NumPy's OpenBLAS, and SciPy's own


@needs_other_cpus
def test_optimizers_are_the_same_on_another_cpu():
    here, there = (run_json("ops.py", "optimizers", cpu=cpu) for cpu in (None, "Haswell"))
    assert here == there


@needs_other_cpus
def test_stock_optimizers_are_not():
    """The control."""
    here, there = (run_json("ops.py", "optimizers", "exact", cpu=cpu) for cpu in (None, "Haswell"))
    assert here != there


@pytest.fixture
def golden_digests():
    if not golden.path().exists():
        pytest.skip(f"there is no tests/golden/{golden.path().name}: `make golden` says more")
    return golden.known()


def test_models_come_to_the_golden_digests(golden_digests):
    found = golden.found("each", cores="0,1")
    assert len(found) == 15
    assert {name: golden_digests[name] for name in found} == found


def test_one_core_comes_to_the_same(golden_digests):
    found = golden.found("resnet/Nadam", "lstm/Adagrad", "vae/AdamW", cores="0")
    assert {name: golden_digests[name] for name in found} == found


@needs_other_cpus
def test_a_model_comes_to_its_golden_digest_on_another_cpu(golden_digests):
    found = golden.found("cnn/RMSprop", cpu="Haswell")
    assert found == {"cnn/RMSprop": golden_digests["cnn/RMSprop"]}


# Both have a first-level cache of 48 KiB. The first has what TensorFlow gives bfloat16 and float16
# to oneDNN for; the second has nothing that XLA would leave out beside AVX2, so that it might
# compile for that very model.
TOLD = ("Sapphire-Rapids", "Alder-Lake")


@needs_told_cpus
def test_models_come_to_the_golden_digests_whatever_the_cpu_says_of_itself(golden_digests):
    models = (
        "bfloat16/Adadelta",
        "float16/SGD",
        "unet/AdamW",
        "lstm/Adam",
        "transformer/SGD",
        "wide/AdamW",
    )
    found = golden.found(*(model for model in models if model in golden_digests), told=TOLD[0])
    assert {name: golden_digests[name] for name in found} == found


SHAPES = ("products-float16", "convolutions-bfloat16", "wide", "compiled", "linear_algebra")


@functools.cache
def shapes_here():
    return run_json("shapes.py", *SHAPES)


@needs_told_cpus
@pytest.mark.parametrize("told", TOLD)
def test_shapes_do_not_depend_on_what_the_cpu_says_of_itself(told):
    assert run_json("shapes.py", *SHAPES, told=told) == shapes_here()


@needs_told_cpus
def test_xla_takes_no_instructions_that_only_some_have():
    """Those of AVX-NE-CONVERT, here, which would end the process where it has been told a lie."""
    here, there = (run_json("ops.py", "jit-bfloat16", told=cpu) for cpu in (None, "Sierra-Forest"))
    assert here == there


LEFT_OUT = """
import sys
import repro_keras as keras
from repro_keras import repro
from repro_keras._src import patches
patches.left_out.update(sys.argv[1:])
keras.layers
import numpy as np, tensorflow as tf
random = np.random.RandomState(0)
"""
NARROW = f"""
{LEFT_OUT}
print(tf.matmul(tf.ones((32, 64), "bfloat16"), tf.ones((64, 8), "bfloat16")).numpy()[0, 0])
"""


@needs_told_cpus
def test_without_its_rows_bfloat16_ends_the_process():
    """The control: oneDNN, held to AVX2, has no kernels for it."""
    assert run("-c", NARROW, told="Skylake-SP").stdout.strip() == "64"
    assert run("-c", NARROW, "exact_narrow", told="Skylake-SP", check=False).returncode != 0
    assert run("-c", NARROW, "exact_narrow", told="Zen-2").stdout.strip() == "64"


CACHES = """
import json, os, sys
import repro_keras as keras
from repro_keras import repro
from repro_keras._src.backends import caches
if "ask" in sys.argv:
    caches.set_sizes = lambda folder: None
keras.layers
import numpy as np, tensorflow as tf
random = np.random.RandomState(0)

def numbers(*shape):
    return tf.constant(random.normal(size=shape), "float32")

def convolved(images, filters, strides=1):
    with tf.GradientTape() as tape:
        tape.watch(images)
        y = tf.nn.conv2d(images, filters, strides, "SAME")
    return repro.digest([y, tape.gradient(y, images, y)])

print(json.dumps({
    "sizes": caches.sizes(os.path.dirname(tf.__file__)),
    "linear algebra": repro.digest(tf.linalg.qr(numbers(333, 333))[0]),
    "one image": convolved(numbers(1, 56, 56, 64), numbers(3, 3, 64, 64)),
    "with strides": convolved(numbers(32, 16, 16, 128), numbers(4, 4, 128, 256), 2),
}))
"""


@needs_told_cpus
def test_sums_are_cut_by_the_caches_where_libraries_are_left_to_ask():
    cpus = ("Haswell", "Sapphire-Rapids", "without-caches")
    told, asked = (
        [run_json("-c", CACHES, *argument, told=cpu) for cpu in cpus] for argument in ((), ("ask",))
    )
    assert told[0] == told[1] == told[2]
    for what in told[0]:  # the control
        assert len({str(found[what]) for found in asked}) > 1, what


def test_the_sizes_of_caches_are_left_alone_under_machine():
    def found(guarantee):
        env = {"REPRO_KERAS_GUARANTEE": guarantee}
        return run_json("-c", CACHES, env=env)["sizes"]

    assert list(found("portable").values()) == [list(caches.SIZES)] * 3
    assert list(caches.SIZES) not in found("machine").values()


def test_a_tensorflow_that_hides_its_caches_is_refused(tmp_path, monkeypatch):
    (tmp_path / "libtensorflow_cc.so.2").write_bytes(b"")  # not one that is loaded
    with pytest.raises(NotPortableError, match=r"does not show what Eigen .* Install"):
        caches.set_sizes(tmp_path)
    with pytest.raises(NotPortableError, match=r"does not show what oneDNN .* Install"):
        caches._set_onednn({})
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.warns(ReproWarning, match="compared on Linux alone"):
        caches.set_sizes(tmp_path)


@pytest.mark.parametrize(
    ("version", "flags"), [((2, 20), 1), ((2, 21), 3), ((2, 22), 1), (None, 1)]
)
def test_flags_go_to_the_versions_of_xla_that_know_them(version, flags, monkeypatch):
    monkeypatch.setattr(cpu, "_version_of_tensorflow", lambda: version)
    assert len(cpu.flags_of_xla().split()) == flags


ANOTHER_TENSORFLOW = """
import repro_keras as keras
from repro_keras._src import cpu
cpu._version_of_tensorflow = lambda: (2, 99)
keras.layers
"""


@pytest.mark.parametrize(("guarantee", "warns"), [("portable", True), ("machine", False)])
def test_a_tensorflow_that_was_not_compared_is_said(guarantee, warns):
    env = {"REPRO_KERAS_GUARANTEE": guarantee}
    assert ("TensorFlow 2.99" in run("-c", ANOTHER_TENSORFLOW, env=env).stderr) is warns


POOLS = (1, 2, 4, 8)


@functools.cache
def of_machine(threads, cores):
    env = {"REPRO_KERAS_GUARANTEE": "machine", "REPRO_KERAS_THREADS": str(threads)}
    return golden.found("cnn/SGD", "transformer/Adam", cores=cores, env=env)


@pytest.mark.parametrize("threads", POOLS)
def test_machine_does_not_depend_on_the_cores(threads):
    assert of_machine(threads, "0") == of_machine(threads, "0,1")


def test_machine_depends_on_the_pool():
    """The control: the models are large enough to be split."""
    for one, other in itertools.combinations(POOLS, 2):
        assert of_machine(one, "0,1") != of_machine(other, "0,1"), (one, other)


def test_machine_does_not_depend_on_the_load():
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        loaded = of_machine.__wrapped__(4, "0,1")
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert loaded == of_machine(4, "0,1")


EVERY_POOL = """
import json
import repro_keras as keras
from repro_keras import repro
keras.ops
import numpy as np, scipy.linalg, tensorflow as tf, threadpoolctl

random = np.random.RandomState(0)
x = random.normal(size=(512, 3000)).astype("float32")
images = random.normal(size=(16, 31, 33, 8)).astype("float32")
filters = tf.constant(random.normal(size=(3, 3, 8, 16)), "float32")

def split(images):
    with tf.GradientTape() as tape:
        tape.watch(filters)
        y = tf.reduce_sum(tf.nn.conv2d(images, filters, 1, "SAME") ** 2)
    return [y, tape.gradient(y, filters)]

data = tf.data.Dataset.from_tensors(images).repeat(3)
data = data.map(lambda images: tuple(split(images)), num_parallel_calls=tf.data.AUTOTUNE)
print(json.dumps({
    "sizes": sorted({pool["num_threads"] for pool in threadpoolctl.threadpool_info()}),
    "NumPy": repro.digest([x @ x.T, x.T @ x[:, 0]]),
    "SciPy": repro.digest(scipy.linalg.lu_factor(x[:, :512])[0]),
    "TensorFlow": repro.digest(split(images)),
    "XLA": repro.digest(tf.function(split, jit_compile=True)(images)),
    "tf.data": repro.digest([list(each) for each in data]),
}))
"""


def test_every_pool_has_its_size_on_fewer_cores():
    def found(threads, cores):
        env = {"REPRO_KERAS_GUARANTEE": "machine", "REPRO_KERAS_THREADS": str(threads)}
        return run_json("-c", EVERY_POOL, cores=cores, env=env)

    of_eight, of_two = found(8, "0"), found(2, "0")
    assert of_eight["sizes"] == [8]
    assert of_eight == found(8, "0,1")
    # The control: each has been split (with AVX-512 the threads of a product of two matrices leave
    # no trace in it, those of a matrix and a vector do).
    assert all(of_two[name] != of_eight[name] for name in of_two)


OUTSIDE = """
import json
import repro_keras as keras
import numpy as np, tensorflow as tf
from repro_keras import repro

class Other(keras.layers.Layer):
    def call(self, x):
        return tf.math.betainc(tf.abs(x) + 1.0, tf.abs(x) + 2.0, tf.sigmoid(x))

x, y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")
models = {}
for name, layers in {
    "plain": [keras.layers.Dense(3, "relu"), keras.layers.Dense(1)],
    "other": [keras.layers.Dense(3), Other(), keras.layers.Dense(1)],
    "untrained": [Other()],
}.items():
    model = models[name] = keras.Sequential([keras.Input((4,)), *layers], name=name)
    if name != "untrained":
        model.compile("sgd", "mse")
        model.predict(x, verbose=0)
        if name == "plain":
            model.fit(x, y, verbose=0)
            model.evaluate(x, y, verbose=0)
print(json.dumps(repro.doctor()))
"""


def test_doctor_names_operations_that_were_not_compared():
    (said,) = run_json("-c", OUTSIDE)
    assert said.startswith("Outside of what was compared on other makes of CPU: Betainc in the")
    assert "model 'other'" in said
    assert run_json("-c", OUTSIDE, env={"REPRO_KERAS_GUARANTEE": "machine"}) == []
