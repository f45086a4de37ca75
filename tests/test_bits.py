"""The rules of docs/bits.md, against its test vectors, which may never change."""

import doctest
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repro_keras._src import bits, digest, scripts
from repro_keras._src.cells import naming
from repro_keras._src.errors import CanonicalError, SeedNameError

VECTORS = json.loads((Path(__file__).parents[1] / "docs" / "bits_vectors.json").read_text())


def test_the_vectors_are_the_ones_that_were_published():
    text = (Path(__file__).parents[1] / "docs" / "bits_vectors.json").read_bytes()
    assert hashlib.sha256(text).hexdigest() == (
        "bbdda5301e4edf168df05db2328a92704121abbea28cfa05a40477a5db2f60e3"
    )


@pytest.mark.parametrize(("value", "text"), VECTORS["canonical_json"])
def test_canonical_json(value, text):
    assert bits.canonical_json(value).decode() == text


@pytest.mark.parametrize(("text", "label"), VECTORS["labels"])
def test_labels(text, label):
    assert bits.label(text) == label


@pytest.mark.parametrize("name", VECTORS["valid_names"])
def test_valid_names(name):
    bits.check_name(name)


@pytest.mark.parametrize("name", [*VECTORS["invalid_names"], None, 3, b"kernel"])
def test_invalid_names(name):
    with pytest.raises(SeedNameError, match=r"must look like .*Received"):
        bits.check_name(name)


@pytest.mark.parametrize(("root", "name", "seed"), VECTORS["seeds"])
def test_seeds(root, name, seed):
    assert bits.derive_seed(root, name) == seed
    text = json.dumps(["repro_keras/seed/1", root, name], separators=(",", ":"), ensure_ascii=False)
    by_hand = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    assert seed == by_hand % (2**31 - 1) + 1


@pytest.mark.parametrize(("root", "prefix", "model", "fit", "pass_", "key"), VECTORS["orders"])
def test_order_keys(root, prefix, model, fit, pass_, key):
    assert [str(k) for k in bits.order_key(root, prefix, model, fit, pass_)] == key


@pytest.mark.parametrize("row", VECTORS["array_digests"], ids=lambda row: row["dtype"])
def test_array_digests(row):
    dtype = np.dtype(row["dtype"]).newbyteorder("<")
    if "hex" in row:
        array = np.frombuffer(bytes.fromhex(row["hex"]), dtype)
    else:
        array = (np.arange(np.prod(row["shape"])) % 251).astype(dtype)
    assert digest.digest(array.reshape(row["shape"])) == row["digest"]


@pytest.mark.parametrize(("value", "expected"), VECTORS["value_digests"])
def test_value_digests(value, expected):
    assert digest.digest(value) == expected


@pytest.mark.parametrize(("text", "expected"), VECTORS["float_digests"])
def test_float_digests(text, expected):
    assert digest.digest(float.fromhex(text)) == expected


@pytest.mark.parametrize(("strings", "expected"), VECTORS["string_array_digests"])
def test_string_array_digests(strings, expected):
    for array in (np.array(strings), np.array(strings, object)):
        assert digest.digest(array) == expected
    assert digest.digest(np.array([s.encode() for s in strings])) == expected


@pytest.mark.parametrize(("paths", "canonical"), VECTORS["model_paths"])
def test_model_paths(paths, canonical):
    assert digest.canonical_paths(paths) == canonical


@pytest.mark.parametrize(
    "value", [1.5, 2**53, -(2**53), {1: 2}, {"a": {"b": object()}}, "\ud800", {"\ud800": 1}]
)
def test_what_has_no_canonical_json(value):
    with pytest.raises(CanonicalError):
        bits.canonical_json(value)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(json_values)
def test_canonical_json_is_json_and_a_fixed_point(value):
    text = bits.canonical_json(value)
    assert json.loads(text) == value
    assert bits.canonical_json(json.loads(text)) == text


@given(st.text(min_size=1), st.integers(0, 10), st.text(min_size=1), st.integers(0, 5))
def test_any_label_makes_a_valid_name(scope, index, text, number):
    prefix = bits.scope_prefix(scope, index)
    bits.check_name(str(bits.Name(prefix, f"{bits.label(text)}#{number}", number)))


@given(st.text(min_size=1), st.text(min_size=1))
def test_labels_are_one_to_one(one, two):
    assert (bits.label(one) == bits.label(two)) == (one == two)


def test_seeds_are_in_range_and_spread():
    seeds = {bits.derive_seed(0, f"w#{i}") for i in range(2000)}
    assert len(seeds) == 2000
    assert min(seeds) >= 1
    assert max(seeds) <= 2**31 - 1
    assert min(seeds) < 2**31 // 500 < 2**31 - max(seeds) + 2**31 // 250


@pytest.mark.parametrize("module", [bits, digest, naming, scripts])
def test_examples_in_docstrings(module):
    examples = doctest.testmod(
        module, optionflags=doctest.ELLIPSIS, extraglobs={"np": np, "repro": digest}
    )
    assert examples.attempted
    assert not examples.failed
