"""What tf_keras writes in graph mode: the same bytes for equal models, and never half a file."""

import functools
import inspect
import os
from pathlib import Path

import h5py
from tensorflow.core.protobuf import fingerprint_pb2
from tensorflow.python.framework import ops
from tf_keras.src.saving.legacy import save as legacy_save

from repro_keras._src import atomic, checkpoint
from repro_keras._src.errors import FileFormatError
from repro_keras._src.patches.patch import Patch


def _is_local(filepath) -> bool:
    return isinstance(filepath, (str, os.PathLike)) and "://" not in str(filepath)


def _save_whole(original):
    @functools.wraps(original)
    def save_model_to_hdf5(model, filepath, overwrite=True, include_optimizer=True):
        if not overwrite or not _is_local(filepath):  # it asks whether to overwrite
            return original(model, filepath, overwrite, include_optimizer)
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        with (
            atomic.replacing(filepath) as place,
            checkpoint.FileForHdf5(place) as content,
            h5py.File(content, mode="w") as file,
        ):
            return original(model, file, True, include_optimizer)

    return save_model_to_hdf5


def _save_weights_whole(original):
    @functools.wraps(original)
    def save_weights(model, filepath, overwrite=True, save_format=None, options=None):
        is_hdf5 = save_format == "h5" or str(filepath).endswith((".h5", ".hdf5", ".keras"))
        if not overwrite or not is_hdf5 or not _is_local(filepath):
            return original(model, filepath, overwrite, save_format, options)
        with atomic.replacing(filepath) as place:
            return original(model, str(place), True, save_format, options)

    return save_weights


def _write_without_uuid(original):
    @functools.wraps(original)
    def save(model, filepath, *args, **kwargs):
        original(model, filepath, *args, **kwargs)
        path = Path(filepath, "fingerprint.pb")
        if _is_local(filepath) and path.exists():
            fingerprint = fingerprint_pb2.FingerprintDef.FromString(path.read_bytes())
            fingerprint.ClearField("uuid")
            path.write_bytes(fingerprint.SerializeToString(deterministic=True))

    return save


def _dump_canonically(original):
    @functools.wraps(original)
    def func_dump(func):
        _, defaults, closure = original(func)
        return checkpoint.dumped(func.__code__), defaults, closure

    return func_dump


def _refuse_in_graphs(original):
    signature = inspect.signature(original)

    @functools.wraps(original)
    def save_or_load(*args, **kwargs):
        if not ops.executing_eagerly_outside_functions():
            path = signature.bind(*args, **kwargs).arguments["filepath"]
            raise FileFormatError(
                f"{path} cannot be saved or loaded here: tf_keras has the format .keras for eager "
                "execution only, and in graphs and sessions it would leave half a file, or the "
                "weights as they were. Save as .h5 (`model.save('model.h5')`), and open .keras "
                "files with Keras 3."
            )
        return original(*args, **kwargs)

    return save_or_load


def _keep_the_older_format(original):
    @functools.wraps(original)
    def save_or_load_weights(model, filepath, *args, **kwargs):
        if not str(filepath).endswith(".weights.h5") or ops.executing_eagerly_outside_functions():
            return original(model, filepath, *args, **kwargs)
        if original.__name__ == "load_weights":
            _require_older_format(filepath)
        older = getattr(legacy_save, original.__name__)
        return older(model, filepath, *args, **kwargs)

    return save_or_load_weights


def _require_older_format(filepath) -> None:
    with h5py.File(filepath, "r") as file:
        if "layer_names" not in file.attrs and "model_weights" not in file:
            raise FileFormatError(
                f"{filepath} holds weights in the format of Keras 3, which tf_keras reads in eager "
                "execution only. Load it with Keras 3, or save the weights there under a name that "
                "ends in .h5 and not in .weights.h5."
            )


PATCHES = (
    Patch(
        target="tf_keras.src.saving.legacy.hdf5_format:save_model_to_hdf5",
        parameters=("model", "filepath", "overwrite", "include_optimizer"),
        make=_save_whole,
        why="a process that is killed while it saves leaves half a file, and not the old one",
    ),
    Patch(
        target="tf_keras.src.saving.legacy.save:save_weights",
        parameters=("model", "filepath", "overwrite", "save_format", "options"),
        make=_save_weights_whole,
        why="the same for weights",
    ),
    Patch(
        target="tf_keras.src.saving.legacy.saved_model.save:save",
        parameters=(
            "model",
            "filepath",
            "overwrite",
            "include_optimizer",
            "signatures",
            "options",
            "save_traces",
        ),
        make=_write_without_uuid,
        why="a SavedModel's fingerprint holds a random number",
    ),
    Patch(
        target="tf_keras.src.utils.generic_utils:func_dump",
        parameters=("func",),
        make=_dump_canonically,
        why="a Lambda layer's code holds the path of its script, and who else uses its constants",
    ),
    *(
        Patch(
            target=f"tf_keras.src.saving.saving_lib:{function}",
            parameters=None,
            make=_refuse_in_graphs,
            why="it needs eager execution, and leaves half a file or the weights as they were",
        )
        for function in ("save_model", "load_model", "load_weights_only")
    ),
    *(
        Patch(
            target=f"tf_keras.src.saving.saving_api:{function}",
            parameters=parameters,
            make=_keep_the_older_format,
            why="the format that a name in .weights.h5 now means needs eager execution",
        )
        for function, parameters in (
            ("save_weights", ("model", "filepath", "overwrite", "kwargs")),
            ("load_weights", ("model", "filepath", "skip_mismatch", "kwargs")),
        )
    ),
)
