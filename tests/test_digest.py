"""`repro.digest`: equal contents, equal digests; anything else, another one."""

import contextlib
import hashlib
import json
import warnings
import zipfile
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest
from fresh import TENSORFLOW_FIRST, run_json
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from repro_keras._src.digest import digest
from repro_keras._src.digest_arrays import CHUNK_BYTES
from repro_keras._src.errors import CanonicalError, FileFormatError, ReproError, ReproWarning

VECTORS = Path(__file__).parents[1] / "docs" / "digest_vectors.json"
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
        (np.zeros(2, "longdouble"), "Convert it to float64"),
        (np.zeros(2, "clongdouble"), "complex128"),
        (np.zeros(2, [("a", "i4")]), "numbers, booleans and strings"),
        (b"bytes", "bytes"),
    ],
)
def test_what_cannot_be_digested_is_named(value, place):
    with pytest.raises(CanonicalError, match=place):
        digest(value)


# What the vectors are of: arrays of every kind, and files of every format.
ARRAYS = {
    **{
        name: np.arange(6).reshape(2, 3).astype(name)
        for name in ("bool", "int8", "uint16", "int32", "uint64", "float16", "float32", "float64")
    },
    **{
        name: np.array([[0.5, 1, -1], [0, 2, -0.5]]).astype(getattr(ml_dtypes, name))
        for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4")
    },
    "complex64": np.array([1 + 2j, -0.0], "complex64"),
    "zero-dimensional": np.array(2.5, "float32"),
    "empty": np.zeros((2, 0, 3), "float32"),
    "NaNs": np.array([0x7FC00000, 0x7FC00001, 0xFFC00000], "uint32").view("float32"),
    "zeros": np.array([0.0, -0.0], "float32"),
    "strings": np.array(["a", "", "ß€"]),
    "bytes": np.array([b"a", b"", b"\xff"], object),
}


def write_npz(path):
    np.savez(path, first=base, second=np.array(["a"]))


def write_npy(path):
    np.save(path, base.T)


def write_safetensors(path):
    """As https://huggingface.co/docs/safetensors has it: NumPy's side of it lacks bfloat16."""
    data = base.tobytes() + b"\0\0\x80\x3f"
    header = {
        "__metadata__": {"note": "not part of it"},
        "first": {"dtype": "F32", "shape": [4, 6], "data_offsets": [0, 96]},
        "half": {"dtype": "BF16", "shape": [2], "data_offsets": [96, 100]},
    }
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def write_h5(path):
    with h5py.File(path, "w") as file:
        file.attrs["text"] = "text"
        file.attrs["names"] = [b"a", b"bc"]
        file.attrs["nothing"] = h5py.Empty("f4")
        file["group/first"] = base
        file["group"].create_dataset("chunked", data=base, chunks=(2, 2), compression="gzip")
        file["group/first"].attrs["unit"] = 3


def write_keras(path):
    weights = path.with_suffix(".h5")
    write_h5(weights)
    config = {"b": [1.5, {"shared_object_id": 8}], "a": {"shared_object_id": 9}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3", "date_saved": "now"}))
        archive.write(weights, "model.weights.h5")
        archive.writestr("assets/a.txt", "asset")


def write_other(path):
    path.write_bytes(b"any" * 1_000_000)


def write_folder(path):
    (path / "inner").mkdir(parents=True)
    write_npz(path / "inner" / "a.npz")
    write_other(path / "b.bin")
    (path / "empty").write_bytes(b"")


FILES = {
    "a.npz": write_npz,
    "a.npy": write_npy,
    "a.safetensors": write_safetensors,
    "a.h5": write_h5,
    "a.keras": write_keras,
    "a.bin": write_other,
    "folder": write_folder,
}


def test_the_vectors_are_the_ones_that_were_published():
    assert hashlib.sha256(VECTORS.read_bytes()).hexdigest() == (
        "facd9c3632be896c9e191eefd68b87fa5d8fc55bf0637c83173c5ad194ae2f36"
    )


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_every_kind(name):
    assert digest(ARRAYS[name]) == json.loads(VECTORS.read_text())["arrays"][name]


@pytest.mark.parametrize("name", FILES)
def test_files_of_every_format(tmp_path, name):
    FILES[name](tmp_path / name)
    assert digest(tmp_path / name) == json.loads(VECTORS.read_text())["files"][name]


def test_a_file_of_arrays_is_the_dict_of_them(tmp_path):
    write_npz(tmp_path / "a.npz")
    assert digest(tmp_path / "a.npz") == digest({"first": base, "second": np.array(["a"])})
    write_npy(tmp_path / "a.npy")
    assert digest(tmp_path / "a.npy") == digest(base.T)
    write_safetensors(tmp_path / "a.safetensors")
    half = np.array([0, 1], ml_dtypes.bfloat16)
    assert digest(tmp_path / "a.safetensors") == digest({"first": base, "half": half})


def test_strings_of_numpy_2_are_strings():
    texts = ["a", "", "ß€"]
    assert digest(np.array(texts, np.dtypes.StringDType())) == digest(np.array(texts))


def test_incidental_bytes_of_files_do_not_count(tmp_path):
    path = tmp_path / "a.h5"
    write_h5(path)
    before = digest(path)
    with h5py.File(path, "w", libver="latest", track_order=True) as file:
        file["group/chunked"] = base
        file["group/first"] = base.astype(">f4")
        file["group/first"].attrs["unit"] = 3
        file.attrs["nothing"] = h5py.Empty("f4")
        file.attrs["names"] = [b"a", b"bc"]
        file.attrs["text"] = "text"
    assert digest(path) == before
    with h5py.File(path, "r+") as file:
        file["group/first"][0, 0] += 1
    assert digest(path) != before


def test_a_keras_file_is_what_it_holds(tmp_path):
    path = tmp_path / "a.keras"
    write_keras(path)
    before = digest(path)
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(unpacked)
    assert digest(unpacked) == before
    config = (unpacked / "config.json").read_text()
    (unpacked / "config.json").write_text(config.replace("9", "70001").replace("8", "70000"))
    assert digest(unpacked) == before
    (unpacked / "assets" / "a.txt").write_text("other")
    assert digest(unpacked) != before


def _truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _changed(path):
    content = bytearray(path.read_bytes())
    content[max(content.find(base[2].tobytes()), 0)] ^= 1  # in an array, where there is one
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.safetensors", "a.h5", "a.keras"])
@pytest.mark.parametrize("content", [b"", b"x", b"PK\3\4" + bytes(100), b"\x89HDF\r\n\x1a\n" * 9])
def test_a_file_that_is_not_what_its_name_says(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileFormatError, match=f"{name} .*(by its name|is named as)"):
        digest(tmp_path / name)


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.safetensors", "a.h5", "a.keras"])
def test_a_truncated_file(tmp_path, name):
    FILES[name](tmp_path / name)
    _truncated(tmp_path / name)
    with pytest.raises(FileFormatError, match="truncated or changed"):
        digest(tmp_path / name)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_seen(tmp_path, name):
    path = tmp_path / name
    FILES[name](path)
    before = digest(path)
    _changed(path / "b.bin" if path.is_dir() else path)
    with contextlib.suppress(FileFormatError):  # its own checksums
        assert digest(path) != before


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ReproError, match=r"no\.npz could not be read: No such file") as caught:
        digest(tmp_path / "no.npz")
    assert isinstance(caught.value, OSError)
    assert caught.value.errno == 2
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(FileFormatError, match="could not be read"):
        digest(tmp_path / "link")
    np.savez(tmp_path / "objects.npz", a=np.array([{}], object))
    with pytest.raises(FileFormatError, match="allow_pickle"):
        digest(tmp_path / "objects.npz")
    np.savez(tmp_path / "times.npz", a=np.zeros(2, "datetime64[s]"))
    with pytest.raises(FileFormatError, match="holds what has no digest"):
        digest(tmp_path / "times.npz")


def test_links_are_not_followed_out_of_a_file_or_folder(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["outside"] = h5py.ExternalLink("other.h5", "/x")
    with pytest.raises(FileFormatError, match="holds a link at //outside"):
        digest(tmp_path / "a.h5")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "up").symlink_to(tmp_path)
    with pytest.raises(FileFormatError, match="link to a folder"):
        digest(tmp_path / "folder")


def test_pandas_and_scipy():
    pd = pytest.importorskip("pandas")
    sparse = pytest.importorskip("scipy.sparse")
    frame = pd.DataFrame({"b": [1.0, 2.0], "a": ["x", "y"]}, index=[5, 6])
    assert digest(frame) == digest([["b", np.array([1.0, 2.0])], ["a", np.array(["x", "y"])]])
    assert digest(frame) != digest(frame[["a", "b"]])
    assert digest(frame["b"]) == digest(np.array([1.0, 2.0]))
    dense = np.array([[0, 0, 2.0], [1, 0, 0]])
    kinds = (sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix, sparse.lil_matrix)
    assert len({digest(kind(dense)) for kind in kinds}) == 1
    assert digest(sparse.csr_matrix(dense)) != digest(sparse.csr_matrix(dense.T))


def test_data_sets_tensors_and_optimizers():
    found = run_json("-c", OBJECTS, env=TENSORFLOW_FIRST)
    for name, (first, second) in found["same"].items():
        assert first == second, name
    assert len(set(found["different"])) == len(found["different"])
    assert "without an end" in found["endless"]
    assert "optimizer=True takes a model that was compiled" in found["not compiled"]


OBJECTS = """
import json, os, tempfile
from pathlib import Path
import numpy as np
import tensorflow as tf
import repro_keras as keras
from repro_keras import repro

x = np.arange(12, dtype="float32").reshape(6, 2)
digest, same = repro.digest, {}
data = tf.data.Dataset.from_tensor_slices((x, {"a": x[:, 0]})).batch(2)
elements = [(x[i:i + 2], {"a": x[i:i + 2, 0]}) for i in (0, 2, 4)]
same["tf.data"] = digest(data), digest(elements)

class Items(keras.utils.PyDataset):
    num_batches = 3
    def __getitem__(self, index):
        return elements[index]

same["PyDataset"] = digest(Items()), digest(elements)
same["strings"] = digest(tf.constant(["a", "ß"])), digest(np.array(["a", "ß"]))
int4 = tf.dtypes.experimental.int4
same["int4"] = digest(tf.cast(tf.constant([1, -2]), int4)), digest(
    np.array([1, -2]).astype(int4.as_numpy_dtype))
same["sparse"] = (
    digest(tf.SparseTensor([[1, 0], [0, 1]], [2.0, 1.0], [2, 2])),
    digest(tf.sparse.from_dense([[0.0, 1.0], [2.0, 0.0]])),
)

def trained(name, steps=1):
    with repro.scope("net"):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name=name)])
    model.compile("adam", "mse")
    for _ in range(steps):
        model.train_on_batch(x, x)
    return model

one, two, longer = trained("a"), trained("a"), trained("a", 2)
longer.set_weights(one.get_weights())
same["model"] = digest(one), digest(longer)
same["model and optimizer"] = digest(one, optimizer=True), digest(two, optimizer=True)
folder = Path(tempfile.mkdtemp())
one.save(folder / "m.keras")
loaded = keras.models.load_model(folder / "m.keras")
same["loaded"] = digest(one, optimizer=True), digest(loaded, optimizer=True)
two.save(folder / "n.keras")
same["files"] = digest(folder / "m.keras"), digest(folder / "n.keras")

checkpoint = tf.train.Checkpoint(v=tf.Variable(x), w=tf.Variable(1))
for name in ("c", "d"):
    checkpoint.write(str(folder / name / "ckpt"))
same["checkpoint"] = digest(folder / "c" / "ckpt"), digest(folder / "d" / "ckpt.index")
same["checkpoint in a folder"] = digest(folder / "c"), digest(folder / "d")
manager = tf.train.CheckpointManager(checkpoint, folder / "c", 1)
ragged = tf.ragged.constant([[1.0], [2.0, 3.0]])
different = [
    digest(one), digest(one, optimizer=True), digest(longer, optimizer=True), digest(one.optimizer),
    digest(ragged), digest(tf.ragged.constant([[1.0, 2.0], [3.0]])), digest(folder / "m.keras"),
]
(folder / "ckpt.index").write_bytes(b"nothing")
errors = {}
for name, call in {
    "endless": lambda: digest(data.repeat()),
    "not compiled": lambda: digest(x, optimizer=True),
    "checkpoint": lambda: digest(folder / "ckpt"),
}.items():
    try:
        call()
    except repro.ReproError as error:
        errors[name] = str(error)
assert "should be a TensorFlow checkpoint" in errors.pop("checkpoint")
print(json.dumps({"same": same, "different": different, **errors}))
"""


@pytest.mark.slow
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


def test_a_string_is_a_string_with_a_warning_where_it_names_a_file(tmp_path):
    path = tmp_path / "a.txt"
    name = str(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = digest(name)
    path.write_text("1")
    with pytest.warns(ReproWarning, match="that of the text .* give pathlib.Path"):
        assert digest(name) == expected
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert digest(path) != expected
