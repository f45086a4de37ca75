"""Canonical digests: the same for equal contents, in any process and in any place.

The form is fixed in `docs/bits.md`: a digest is the SHA-256 of the canonical JSON of a
description, in which large contents stand as the SHA-256 of their chunks. Arrays are in
`digest_arrays`, files in `digest_files`; here is what they are found in.
"""

import os
import re
import sys
import warnings
from collections import Counter
from typing import Any

from repro_keras._src import digest_arrays, digest_files
from repro_keras._src.errors import CanonicalError, ReproWarning


def digest(x: Any, *, optimizer: bool = False) -> str:
    """The digest of a model, an array, a container of these, a data set or a file.

    It covers names, dtypes, shapes and little-endian bytes in a defined order, and nothing else:
    not where something is in memory, its strides or byte order, nor the process-wide numbers in
    automatic names, nor what a file says beside its contents.

    Args:
        x: one of

            * a Keras model or layer that is built (its weights are digested), or an optimizer,
            * a Keras variable, a tensor (sparse and ragged ones too), a NumPy array or scalar, a
              pandas frame or series, a SciPy sparse matrix,
            * a Python number, string, boolean or `None`,
            * a dict (with string keys), list or tuple of these,
            * a `tf.data.Dataset` or `PyDataset` that ends (its elements are digested in order),
            * a `pathlib.Path` of a file or folder: `.keras`, `.h5`, `.npz`, `.npy`,
              `.safetensors`, a TensorFlow checkpoint (its prefix or index), or any other, whose
              bytes are digested. (A string is a string, with a warning where there is such a file.)
        optimizer: whether the digest of a model covers its optimizer's variables too.

    Returns:
        `"sha256:"` and 64 hexadecimal digits.

    Raises:
        CanonicalError: for anything else, with its place in the container, and for a model
            without weights yet.
        FileFormatError: where a file is missing, cannot be read, or is not what its name says.

    Example:

    >>> repro.digest({"w": np.zeros((2, 3), "float32")})
    'sha256:b3d8b3852bad24e1aafc7b03f620a0687abb0fdbaf646992d01c057148fb2286'
    """
    if isinstance(x, str) and os.path.isfile(x):
        warnings.warn(
            f"The digest is that of the text {x!r}, and not of the file of that name. For the "
            f"file's, give pathlib.Path({x!r}).",
            ReproWarning,
            stacklevel=2,
        )
    description = _describe_trained(x) if optimizer else _describe(x, "$")
    return f"sha256:{digest_arrays.hexadecimal(description)}"


def _digest(x, where: str) -> str:
    return digest_arrays.hexadecimal(_describe(x, where))


def _describe(x, where: str) -> dict:
    import numpy as np

    if isinstance(x, np.generic):  # before Python's numbers: np.float64 is a float too
        return digest_arrays.describe_array(np.asarray(x), where)
    if x is None or isinstance(x, (bool, str, int, float, complex)):
        return digest_arrays.describe_scalar(x)
    if isinstance(x, dict):
        for key in x:
            if not isinstance(key, str):
                raise CanonicalError(
                    f"{where}: the keys of a dict must be strings. Received: {key!r} "
                    f"(of type {type(key).__name__})"
                )
        return digest_arrays.describe_dict(
            (key, _digest(value, f"{where}.{key}")) for key, value in x.items()
        )
    if isinstance(x, (list, tuple)):
        return digest_arrays.describe_list(
            _digest(value, f"{where}[{i}]") for i, value in enumerate(x)
        )
    if isinstance(x, os.PathLike):
        return digest_files.describe(x)
    for package, describe in _OF_PACKAGES.items():
        library = sys.modules.get(package)
        if library is not None:
            description = describe(library, x, where)
            if description is not None:
                return description
    if isinstance(x, np.ndarray) or hasattr(x, "__array__"):
        return digest_arrays.describe_array(np.asarray(x), where)
    raise CanonicalError(
        f"{where}: a model, an array, a number, a string, a data set, a path or a container of "
        f"these can be digested. Received: an object of type {type(x).__name__}"
    )


def _describe_of_keras(keras, x, where: str) -> dict | None:
    if isinstance(x, keras.Layer):
        return _describe_layer(x, where)
    if isinstance(x, keras.Optimizer):
        return _describe_optimizer(x, where)
    if isinstance(x, keras.utils.PyDataset):
        if x.num_batches is None:
            raise CanonicalError(f"{where}: a PyDataset without an end cannot be digested.")
        return digest_arrays.describe_list(
            _digest(x[i], f"{where}[{i}]") for i in range(x.num_batches)
        )
    if isinstance(x, keras.Variable):
        return _describe(x.value, where)
    return None


def _describe_of_tensorflow(tf, x, where: str) -> dict | None:
    if isinstance(x, tf.data.Dataset):
        if x.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise CanonicalError(
                f"{where}: a data set without an end cannot be digested; use `.take(number)`."
            )
        return digest_arrays.describe_list(
            _digest(element, f"{where}[{i}]") for i, element in enumerate(x)
        )
    if isinstance(x, tf.SparseTensor):
        x = tf.sparse.reorder(x)
        return _describe_sparse(x.shape.as_list(), x.indices.numpy(), x.values.numpy(), where)
    if isinstance(x, tf.RaggedTensor):
        splits = digest_arrays.describe_list(_digest(split, where) for split in x.nested_row_splits)
        return {
            "kind": "ragged",
            "splits": digest_arrays.hexadecimal(splits),
            "values": _digest(x.flat_values, where),
        }
    if tf.is_tensor(x):
        import numpy as np

        # Unlike `numpy()`, these copy nothing; the second takes three times as long as the first.
        handle = getattr(x, "handle", None)
        if handle is not None and tf.executing_eagerly():
            tensor = tf.raw_ops.ReadVariableOp(resource=handle, dtype=x.dtype)
        else:
            tensor = tf.convert_to_tensor(x)
        return digest_arrays.describe_array(np.asarray(tensor), where)
    return None


def _describe_of_state(states, x, where: str) -> dict | None:
    return x.describe() if isinstance(x, states.State) else None


def _describe_of_pandas(pandas, x, where: str) -> dict | None:
    if isinstance(x, pandas.DataFrame):  # in its order, which models see
        return digest_arrays.describe_list(
            _digest([name, column], f"{where}[{name!r}]") for name, column in x.items()
        )
    if isinstance(x, (pandas.Series, pandas.Index)):
        return digest_arrays.describe_array(x.to_numpy(), where)
    return None


def _describe_of_scipy(sparse, x, where: str) -> dict | None:
    import numpy as np

    if not sparse.issparse(x):
        return None
    rows = x.tocsr(copy=True)
    rows.sum_duplicates()  # sorts too
    entries = rows.tocoo()
    indices = np.stack(entries.coords, axis=1)
    return _describe_sparse(list(x.shape), indices, entries.data, where)


def _describe_of_torch(torch, x, where: str) -> dict | None:
    if not isinstance(x, torch.Tensor):
        return None
    x = x.detach().cpu()
    if x.dtype == torch.bfloat16:  # which NumPy does not have
        import ml_dtypes

        array = x.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    else:
        array = x.numpy()
    return digest_arrays.describe_array(array, where)


_OF_PACKAGES = {
    "keras": _describe_of_keras,
    "tensorflow": _describe_of_tensorflow,
    "repro_keras._src.state.value": _describe_of_state,
    "pandas": _describe_of_pandas,
    "scipy.sparse": _describe_of_scipy,
    "torch": _describe_of_torch,
}


def _describe_sparse(shape, indices, values, where: str) -> dict:
    return {
        "kind": "sparse",
        "shape": shape,
        "indices": _digest(indices.astype("int64"), where),
        "values": _digest(values, where),
    }


def _describe_layer(layer, where: str) -> dict:
    if not layer.built:
        raise CanonicalError(
            f"{where}: {layer.name!r} ({type(layer).__name__}) has no weights yet. Build it "
            "first: call it on data, or give it an Input."
        )
    # What is around a layer is not in the paths of all models, once they were loaded from a file.
    own = ["/".join(weight.path.split("/")[-2:]) for weight in layer.weights]
    names = canonical_paths(own)
    return {
        "kind": "model",
        "weights": [
            [name, _digest(weight, f"{where}/{name}")]
            for name, weight in zip(names, layer.weights, strict=True)
        ],
    }


def layer_digests(model) -> dict[str, str]:
    """The digest of the variables of each layer, generators included, by the layer's path.

    Args:
        model: anything with Keras variables in `variables`.

    Returns:
        For each path of a layer (`"net/dense"`), 64 hexadecimal digits.
    """
    layers: dict[str, list[list[str]]] = {}
    for variable in model.variables:
        layer, _, name = variable.path.rpartition("/")
        layers.setdefault(layer or name, []).append([name, _digest(variable, variable.path)])
    return {
        layer: digest_arrays.hexadecimal({"kind": "layer", "variables": variables})
        for layer, variables in layers.items()
    }


def _describe_optimizer(optimizer, where: str) -> dict:
    return {
        "kind": "optimizer",
        "class": type(optimizer).__name__,
        "variables": [
            _digest(variable, f"{where}.variables[{i}]")
            for i, variable in enumerate(optimizer.variables)
        ],
    }


def _describe_trained(model) -> dict:
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        raise CanonicalError(
            "$: optimizer=True takes a model that was compiled with an optimizer. Received: an "
            f"object of type {type(model).__name__}. Compile it, or leave optimizer out."
        )
    return {**_describe(model, "$"), "optimizer": _digest(optimizer, "$.optimizer")}


def canonical_paths(paths: list[str]) -> list[str]:
    """Paths of weights with each part's final `_number` replaced by its order of appearance.

    Keras numbers automatic names through the process (`dense_7`), so that a second build of one
    model is called otherwise. Here a part is its name without the number, and its rank among the
    parts that differ in it only, in the order of `layer.weights`.

    >>> canonical_paths(["dense_7/kernel", "dense_7/bias", "dense_9/kernel"])
    ['dense#0/kernel#0', 'dense#0/bias#0', 'dense#1/kernel#0']
    """
    seen: dict[str, dict[str, str]] = {}
    result = []
    for path in paths:
        parent = ""
        for part in path.split("/"):
            known = seen.setdefault(parent, {})
            if part not in known:
                base = re.sub(r"_\d+$", "", part)
                rank = Counter(re.sub(r"_\d+$", "", other) for other in known)[base]
                known[part] = f"{base}#{rank}"
            parent = f"{parent}/{known[part]}" if parent else known[part]
        result.append(parent)
    return result
