"""What must be the same where training goes on: versions, configuration, model, data, settings."""

import hashlib
import json
import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from repro_keras._src import config
from repro_keras._src import digest as digests
from repro_keras._src.errors import ReproError

_FREE = ("callbacks", "verbose", "epochs")  # arguments of `fit` that may change
_DATA = ("x", "y", "sample_weight", "validation_data")


def of_process() -> dict[str, Any]:
    """The versions and the configuration."""
    return {
        "versions": {
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
        },
        "configuration": {name: repr(value) for name, value in config.recorded().items()},
    }


def of_fit(arguments: dict) -> dict[str, Any]:
    """The arguments of `fit`, its data by digests."""
    found: dict[str, Any] = {}
    for name, value in arguments.items():
        if name in ("self", *_FREE) or value is None:
            continue
        found[name] = of_data(value) if name in _DATA else _text(value)
    return found


def of_data(value) -> str:
    """What tells a data set: the digest of arrays, the type and form of what cannot be read."""
    if isinstance(value, tf.data.Dataset):
        return f"tf.data.Dataset of {int(value.cardinality())} × {value.element_spec}"
    if isinstance(value, keras.utils.PyDataset):
        return f"{type(value).__name__} of {value.num_batches}"
    if hasattr(value, "__next__"):
        return type(value).__name__
    try:
        return digests.digest(value)
    except (ReproError, TypeError, ValueError):
        return type(value).__name__


def of_model(model) -> dict[str, Any]:
    """A model's layers, optimizer, loss and metrics by what they were made with."""
    found: dict[str, Any] = {"class": type(model).__name__}
    try:
        made = model.get_config()
    except Exception:  # of the user's own class
        made = {}
    layers = made.get("layers") if isinstance(made, dict) else None
    if isinstance(layers, list):
        found["layers"] = {
            f"{i} {layer.get('class_name') if isinstance(layer, dict) else ''}": _short(layer)
            for i, layer in enumerate(layers)
        }
    elif made:
        found["made with"] = _short(made)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        found["optimizer"] = of_optimizer(optimizer)
    try:
        compiled = model.get_compile_config() or {}
    except Exception:
        compiled = {}
    for name, value in compiled.items():
        if name != "optimizer":
            found[name] = _text(value)
    return found


def of_optimizer(optimizer) -> dict[str, str]:
    """An optimizer's settings."""
    try:
        made = optimizer.get_config()
    except Exception:
        made = {}
    without = {name: value for name, value in made.items() if name != "name"}
    return {
        "class": type(optimizer).__name__,
        **{name: _text(value) for name, value in without.items()},
    }


def differences(then: Any, now: Any, where: str = "") -> list[str]:
    """What is not the same, a line each."""
    if isinstance(then, dict) and isinstance(now, dict):
        found = []
        for name in {**then, **now}:
            inner = f"{where}: {name}" if where else name
            found += differences(then.get(name), now.get(name), inner)
        return found
    if then == now:
        return []
    return [f"{where} was {_shown(then)} and is {_shown(now)}"]


def _shown(value) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _text(value) -> str:
    """A setting as a text that is the same in each process."""
    text = json.dumps(value, sort_keys=True, default=repr)
    text = re.sub(r" at 0x[0-9a-f]+", "", text)
    return re.sub(r'_\d+(?=")', "", text)  # automatic names have numbers of the process


def _short(value) -> str:
    return hashlib.sha256(_text(value).encode()).hexdigest()[:16]
