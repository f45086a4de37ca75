"""The order of data: the rule of docs/bits.md, and what models see in fresh processes."""

import hashlib
import itertools
import json
import random
import struct
import zlib
from pathlib import Path

import forks
import numpy as np
import pytest
from fresh import error_of, run, run_json, run_together
from hypothesis import given, settings
from hypothesis import strategies as st

from repro_keras._src import bits, loading, order

DOCS = Path(__file__).parents[1] / "docs"
VECTORS = json.loads((DOCS / "order_vectors.json").read_text())
SIZE, BATCH = 22, 4  # as in scripts/orders.py


def test_the_vectors_are_the_ones_that_were_published():
    text = (DOCS / "order_vectors.json").read_bytes()
    assert hashlib.sha256(text).hexdigest() == (
        "d31cbae28bb5caa148615ed418c72822d666ff916d4cebe27c9aaca04c06f026"
    )


def _fit(row):
    return order.Fit(row["root"], row["model"], row["fit"])


def _rank(index, key):
    """The rule as docs/bits.md has it, in Python's integers."""
    x, modulus = index, 2**64
    for word in key:
        x ^= word
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % modulus
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB % modulus
        x ^= x >> 31
    return x


@pytest.mark.parametrize("row", VECTORS["orders"], ids=lambda row: f"{row['model']}-{row['size']}")
def test_orders(row):
    assert _fit(row).permutation(row["pass"], row["size"], row["batch"]).tolist() == row["order"]
    key = bits.order_key(row["root"], "", row["model"], row["fit"], row["pass"])
    batch = row["batch"] or row["size"]
    by_hand = sorted(range(row["size"]), key=lambda i: (i // batch, _rank(i, key)))
    assert by_hand == row["order"]


def test_a_long_order():
    row = VECTORS["million"]
    order_ = _fit(row).permutation(row["pass"], row["size"])
    digest = hashlib.sha256(order_.astype("<i8").tobytes()).hexdigest()
    assert digest == row["sha256_of_little_endian_int64"]


@pytest.mark.parametrize("row", VECTORS["items"], ids=lambda row: row["model"])
def test_seeds_of_items(row):
    assert _fit(row).item_seed(row["pass"], row["index"]) == row["seed"]


@given(
    size=st.integers(0, 300),
    batch=st.none() | st.integers(1, 400),
    pass_=st.integers(0, 2**40),
    number=st.integers(0, 2**20),
)
@settings(max_examples=60, deadline=None)
def test_every_sample_comes_once(size, batch, pass_, number):
    result = order.Fit(0, "net", number).permutation(pass_, size, batch)
    assert sorted(result) == list(range(size))
    if batch:
        assert (result // batch == np.arange(size) // batch).all()


def test_orders_are_as_good_as_random_ones():
    """Each sample is as often at each place (chi-squared, 49 degrees of freedom, p = 10⁻⁴)."""
    passes = np.array([order.Fit(0, "net", 0).permutation(p, 50) for p in range(4000)])
    for place in (0, 1, 24, 49):
        counts = np.bincount(passes[:, place], minlength=50)
        assert ((counts - 80) ** 2 / 80).sum() < 96


def test_drawing_for_an_item_leaves_the_global_generators_as_they_were():
    before = order.global_state()
    with order.seeded_globally(5):
        first = random.random(), np.random.rand()
        assert order.drawn_since(before)
    assert not order.drawn_since(before)
    with order.seeded_globally(5):
        assert (random.random(), np.random.rand()) == first


def _load(index):
    return index * index


@pytest.mark.parametrize("ahead", [1, 3, 10])
@pytest.mark.parametrize("by", [loading.by_threads, loading.by_processes])
def test_items_come_in_order(by, ahead):
    indices = [5, 3, 8, 1, 0, 9, 2]
    assert list(by(_load, indices, 2, ahead)) == [i * i for i in indices]


def test_no_more_is_loaded_than_was_allowed():
    loaded = []
    endless = loading.by_threads(lambda i: loaded.append(i) or i, itertools.count(), 2, 3)
    assert [next(endless) for _ in range(4)] == [0, 1, 2, 3]
    endless.close()
    assert len(loaded) <= 4 + 3


def test_epochs_cut_passes():
    assert list(map(list, loading.epochs(range(5), 2))) == [[0, 1], [2, 3], [4]]
    assert list(map(list, loading.epochs(range(5), None))) == [[0, 1, 2, 3, 4]]


@pytest.fixture(scope="module")
def seen():
    """What models see, in two processes that have nothing in common but the program."""
    first, second = run_together(
        (("orders.py", "repro_keras"), {"hash_seed": 1, "extras": True}),
        (
            ("orders.py", "repro_keras", "--disturbed"),
            {"hash_seed": 2, "cores": "0", "extras": True},
        ),
    )
    assert first == second
    return first


def passes_of(batches, sizes):
    """The passes over the data: flat, and cut by the sizes of batches."""
    per_pass = len(sizes)
    for start in range(0, len(batches), per_pass):
        one = batches[start : start + per_pass]
        assert [len(batch) for batch in one] == sizes[: len(one)]
        yield [int(number) for batch in one for number in batch]


IN_BATCHES_OF_4 = [4, 4, 4, 4, 4, 2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        *("arrays", "no targets", "lists and dicts", "tensors", "pandas", "scipy", "torch"),
        *("together", "weighted", "cut"),
    ],
)
def test_arrays(seen, case):
    if seen[case] == "not installed":
        pytest.skip(f"{case} is not installed")
    for pass_, samples in enumerate(passes_of(seen[case], IN_BATCHES_OF_4)):
        expected = order.Fit(0, "net", 0).permutation(pass_, SIZE)
        assert samples == expected[: len(samples)].tolist()
    assert pass_ == 1


@pytest.mark.slow
def test_sizes_and_kinds_of_batches(seen):
    fit = order.Fit(0, "net", 0)
    for case, size in (("whole batches", 11), ("one batch", SIZE)):
        sizes = [size] * (SIZE // size)
        assert list(passes_of(seen[case], sizes)) == [
            fit.permutation(0, SIZE).tolist(),
            fit.permutation(1, SIZE).tolist(),
        ]
    assert list(passes_of(seen["inside batches"], IN_BATCHES_OF_4)) == [
        fit.permutation(p, SIZE, BATCH).tolist() for p in (0, 1)
    ]
    assert list(passes_of(seen["split"], [4, 4, 3])) == [
        fit.permutation(p, SIZE // 2).tolist() for p in (0, 1)
    ]
    in_order = list(range(SIZE))
    assert list(passes_of(seen["unshuffled"], IN_BATCHES_OF_4)) == [in_order, in_order]
    assert list(passes_of(seen["generator"], IN_BATCHES_OF_4)) == [in_order]


@pytest.mark.slow
def test_each_fit_has_an_order_of_its_own(seen):
    assert list(passes_of(seen["two fits"], [SIZE])) == [
        order.Fit(0, "net", number).permutation(0, SIZE).tolist() for number in (0, 1)
    ]


@pytest.mark.slow
def test_items_of_py_datasets(seen):
    expected = [order.Fit(0, "net", 0).permutation(p, 6).tolist() for p in (0, 1)]
    first_of = [int(batch[0]) // BATCH for batch in seen["items"]]
    assert [first_of[:6], first_of[6:]] == expected
    assert {len(batch) for batch in seen["items"]} == {4, 2}
    for case in ("items, no worker", "items, threads", "items, processes"):
        assert seen[case] == seen["items"]
    # Two steps an epoch: a pass goes on in the next epoch.
    assert seen["items, cut"] == seen["items, cut, threads"] == seen["items"][:10]
    assert [int(batch[0]) // 4 for batch in seen["endless"]] == [0, 1, 2, 3, 4, 0, 1, 2, 3]
    assert seen["endless, threads"] == seen["endless"]


@pytest.mark.slow
def test_items_that_draw(seen):
    items = seen["drawing"]
    assert len({batch[0] % 1 for batch in items}) == len(items) == 12
    for case in ("drawing, no worker", "drawing, threads", "drawing, processes"):
        assert seen[case] == items
    assert seen["drawing by Keras"] == seen["drawing by Keras, threads"]
    # Validation data is the same in each epoch and in `evaluate`.
    validation = seen["drawing, validation"]
    assert validation[:6] == validation[6:12] == validation[12:]


@pytest.mark.slow
def test_nothing_is_loaded_before_its_epoch(seen):
    epochs = [{int(number) // 100 for number in batch} for batch in seen["growing"]]
    # Keras ends an epoch once before the first.
    assert epochs == [{1}] * 3 + [{2}] * 3 + [{3}] * 3
    assert seen["growing, threads"] == seen["growing"]


@pytest.mark.slow
def test_plain_keras_fails_the_same_tests():
    cases = ["arrays", "two fits", "items", "drawing, threads"]
    first, second = run_together(
        (("orders.py", "keras", *cases), {}), (("orders.py", "keras", *cases, "--disturbed"), {})
    )
    passes = list(passes_of(first["arrays"], IN_BATCHES_OF_4))
    assert passes[0] == passes[1]  # fact: one permutation for all epochs
    assert first["items"] != second["items"]
    assert first["drawing, threads"] != second["drawing, threads"]


@pytest.mark.slow
def test_a_warning_says_why_items_are_loaded_one_at_a_time():
    process = run("-c", WARNED)
    assert "Drawing.__getitem__ draws from Python's or NumPy's generator" in process.stderr
    assert "use_multiprocessing=True" in process.stderr
    assert process.stderr.count("ReproWarning: ") == 1


WARNED = """
import sys
sys.path.insert(0, "tests/scripts")
sys.argv = ["orders.py", "repro_keras"]
import orders
orders.fit(orders.Drawing(workers=2))
orders.fit(orders.Items(workers=2))
"""


@pytest.mark.slow
def test_a_worker_that_dies_is_an_error():
    error = error_of(DYING)
    assert "A worker process of the PyDataset died" in error


DYING = """
import os, sys
sys.path.insert(0, "tests/scripts")
sys.argv = ["orders.py", "repro_keras"]
import orders

class Dying(orders.Items):
    parent = os.getpid()
    def __getitem__(self, index):
        if os.getpid() != self.parent and index == 3:
            os._exit(9)
        return super().__getitem__(index)

orders.fit(Dying(workers=2, use_multiprocessing=True))
"""


@pytest.mark.slow
def test_workers_end_with_a_fit_that_stops_early():
    assert run_json("-c", STOPPED) == [1, 0]


STOPPED = """
import json, multiprocessing, sys
sys.path.insert(0, "tests/scripts")
sys.argv = ["orders.py", "repro_keras"]
import orders

class Stop(orders.keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = True

data = orders.Items(workers=2, use_multiprocessing=True)
seen = orders.fit(data, callbacks=[Stop()])
for process in multiprocessing.active_children():
    process.join(60)
print(json.dumps([len(seen), len(multiprocessing.active_children())]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of images and one of texts, for two classes."""
    top = tmp_path_factory.mktemp("data")
    for name in ("a", "b"):
        for kind in ("images", "texts"):
            (top / kind / name).mkdir(parents=True)
        for i in range(10):
            (top / "texts" / name / f"{i}.txt").write_text(f"{name}{i}")
            (top / "images" / name / f"{i}.png").write_bytes(_png(i + ord(name)))
    return top / "images"


def _png(seed):
    """An image of 8 × 8 random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 24), dtype="uint8")
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    content = zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))
    result = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", header), (b"IDAT", content), (b"IEND", b"")):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        result += struct.pack(">I", len(data)) + kind + data + checksum
    return result


@pytest.mark.slow
def test_pipelines(folder):
    first, second, third = run_together(
        (("pipelines.py", "repro_keras", folder), {"hash_seed": 1}),
        (("pipelines.py", "repro_keras", folder, "--disturbed"), {"hash_seed": 2, "cores": "0"}),
        (("pipelines.py", "repro_keras", folder, "--disturbed"), {"hash_seed": 3}),
    )
    assert first == second == third
    assert not [name for name, digest in first.items() if "error" in digest]


@pytest.mark.slow
def test_pipelines_of_plain_keras_differ(folder):
    first, second = run_together(
        (("pipelines.py", "keras", folder), {}),
        (("pipelines.py", "keras", folder, "--disturbed"), {}),
    )
    same = {name for name in first if first[name] == second[name]}
    # What is seeded in the script, and what comes by chance or by Python's generators alone.
    assert same <= {"images in parts", "flow", "flow_from_directory", "generator", "numpy"}


def test_a_split_of_a_folder_still_needs_a_seed_of_the_users(folder):
    assert "you must provide a `seed` argument" in error_of(
        "import sys, repro_keras as keras\n"
        f"keras.utils.image_dataset_from_directory({str(folder)!r}, validation_split=0.5, "
        "subset='training')"
    )


def test_the_seed_of_a_data_set_has_a_name():
    first, second = run_json("-c", NAMED)
    assert first == second


NAMED = """
import json
import repro_keras as keras, tensorflow as tf
from repro_keras import repro
from repro_keras._src import bits
numbers = tf.data.Dataset.range(30)
unseeded = [int(x) for x in numbers.shuffle(30)]
named = [int(x) for x in numbers.shuffle(30, seed=bits.derive_seed(0, "#data"))]
print(json.dumps([unseeded, named]))
"""


@pytest.mark.slow
def test_nothing_is_left_of_data_after_training():
    """Threads and data waited for the garbage collector, or for the end of the process."""
    counts = forks.run_json("threads.py", "repro_keras")
    assert counts == counts[:1] * 10
