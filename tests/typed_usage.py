"""What type checkers see of the public face; `make check` runs pyright on it, nothing runs it."""

from typing import assert_type

import keras as plain

import repro_keras as keras
import repro_keras.layers as L  # noqa: N812
from repro_keras import repro
from repro_keras.layers import Dense, RandomHeight
from repro_keras.preprocessing.text import Tokenizer

assert_type(keras.layers.Dense(1), plain.layers.Dense)
assert_type(L.Dense(1), plain.layers.Dense)
assert_type(Dense(1), plain.layers.Dense)
assert_type(repro.config(), repro.ReproConfig)
assert_type(repro.seed_for("net/dense#0/kernel"), int)
assert_type(repro.digest([1]), str)
keras.applications.ResNet50
keras.ops.relu
keras.preprocessing.text.Tokenizer
keras.losses.MSE
print(RandomHeight, Tokenizer, keras.__version__)

keras.layers.NoSuchLayer  # pyright: ignore[reportAttributeAccessIssue]
repro.no_such_name  # pyright: ignore[reportAttributeAccessIssue]


@repro.scope
def build(units: int) -> plain.Model:
    return keras.Sequential([Dense(units)])


assert_type(build(3), plain.Model)
build("3")  # pyright: ignore[reportArgumentType]
