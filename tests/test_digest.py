"""`repro.digest`: equal contents, equal digests; anything else, another one."""

import numpy as np
import pytest
from fresh import run_json
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from repro_keras._src.digest import CHUNK_BYTES, digest
from repro_keras._src.errors import CanonicalError

base = np.arange(24, dtype="float32").reshape(4, 6)


@pytest.mark.parametrize(
    "same",
    [
        base.copy(order="F"),
        base.astype(">f4"),
        np.repeat(base, 2, axis=1)[:, ::2],
        np.flip(np.flip(base, 0).copy(), 0),
    ],
    ids=["fortran", "big-endian", "strided", "reversed"],
)
def test_memory_layout_does_not_matter(same):
    assert digest(same) == digest(base)


def test_contents_matter():
    nan = np.float32("nan")
    payload = np.array([0x7FC00001], "uint32").view("float32")
    values = [
        base,
        base.reshape(6, 4),
        base.astype("float64"),
        base.astype("int32"),
        base + 1,
        [base],
        [base, base],
        {"a": base},
        {"b": base},
        np.zeros(3, "float32"),
        -np.zeros(3, "float32"),
        np.zeros((3, 0), "float32"),
        np.zeros((0, 3), "float32"),
        np.array([nan]),
        payload,
        np.array(["a", "bc"]),
        np.array(["ab", "c"]),
        0,
        0.0,
        -0.0,
        False,
        None,
        "",
        [],
        {},
        "0",
        1 + 0j,
        np.float64(0),
        np.array([True]),
        np.array([1], "int8"),
    ]
    assert len({digest(value) for value in values}) == len(values)


def test_scalars_of_numpy_are_arrays():
    assert digest(np.float64(1.5)) == digest(np.array(1.5)) != digest(1.5)
    assert digest((1, 2)) == digest([1, 2])
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})


@given(npst.arrays(npst.scalar_dtypes(), npst.array_shapes(min_side=0)))
@settings(max_examples=60, deadline=None)
def test_any_numeric_array(array):
    if array.dtype.kind in "mM":
        with pytest.raises(CanonicalError):
            digest(array)
    else:
        assert digest(array) == digest(array.copy(order="F"))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_one_flipped_bit_in_a_large_array_is_seen(bit):
    content = np.zeros(5 * CHUNK_BYTES + 3, "uint8")
    before = digest(content)
    content[(bit // 8) % len(content)] ^= 1 << bit % 8
    assert digest(content) != before


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (object(), r"\$: "),
        ({"a": [1, {2}]}, r"\$\.a\[1\]: "),
        ({1: 2}, "keys of a dict"),
        ({"x": np.array([object()])}, r"\$\.x: "),
        (np.zeros(2, "datetime64[s]"), "datetime64"),
        (np.zeros(2, [("a", "i4")]), "numbers, booleans and strings"),
        (b"bytes", "bytes"),
    ],
)
def test_what_cannot_be_digested_is_named(value, place):
    with pytest.raises(CanonicalError, match=place):
        digest(value)


def test_models_in_fresh_processes():
    first = run_json("-c", MODELS, hash_seed=1, cores="0")
    assert first == run_json("-c", MODELS, hash_seed=2)
    assert first["first"] == first["again"] == first["loaded"] == first["copied"]
    assert len({first[k] for k in ("first", "renamed", "other", "half")}) == 4
    assert "has no weights yet" in first["error"]
    assert first["tensor"] == first["variable"] == first["array"]
    assert first["bfloat16"] != first["float16"]


MODELS = """
import json, os, tempfile
import numpy as np
import repro_keras as keras
from repro_keras import repro

def build(name="net", dense="head", seed=1):
    init = keras.initializers.GlorotUniform(seed=seed)
    inputs = keras.Input((4,))
    x = keras.layers.Dense(3, kernel_initializer=init)(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, kernel_initializer=init, name=dense)(x))

model = build()
result = {"first": repro.digest(model), "again": repro.digest(build())}
result["renamed"] = repro.digest(build(dense="tail"))
result["other"] = repro.digest(build(seed=2))
path = os.path.join(tempfile.mkdtemp(), "m.keras")
model.save(path)
result["loaded"] = repro.digest(keras.models.load_model(path))
copy = keras.models.clone_model(model)
copy.set_weights(model.get_weights())
result["copied"] = repro.digest(copy)
half = keras.models.clone_model(model)
half.set_weights([w * np.float32(1.0000001) for w in model.get_weights()])
result["half"] = repro.digest(half)
try:
    repro.digest(keras.Sequential([keras.layers.Dense(2)]))
except repro.ReproError as error:
    result["error"] = str(error)
value = np.ones((2, 2), "float32")
result["array"] = repro.digest(value)
result["tensor"] = repro.digest(keras.ops.convert_to_tensor(value))
result["variable"] = repro.digest(keras.Variable(value))
for dtype in ("bfloat16", "float16"):
    result[dtype] = repro.digest(keras.ops.ones((2, 2), dtype))
print(json.dumps(result))
"""
