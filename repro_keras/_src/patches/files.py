"""What Keras writes: the same bytes for equal models, and never half a file."""

import functools
import io
import os
import types
import zipfile
from pathlib import Path

import h5py
from keras.src.backend.common import global_state
from keras.src.utils import file_utils, naming

from repro_keras._src import atomic, checkpoint
from repro_keras._src.patches.patch import Patch


def _write_canonical_config(original):
    @functools.wraps(original)
    def _serialize_model_as_json(model):
        config, metadata = original(model)
        return checkpoint.canonical_config(config), checkpoint.canonical_metadata(metadata)

    return _serialize_model_as_json


def _zip_canonically(original):
    """Stands for the module `zipfile` where Keras saves."""
    assert original is zipfile
    module = types.ModuleType("zipfile")
    vars(module).update(vars(zipfile))
    vars(module)["ZipFile"] = checkpoint.CanonicalZipFile
    return module


def _zip_in_order(original):
    @functools.wraps(original)
    def _write_to_zip_recursively(zipfile_to_save, system_path, zip_path):
        top = Path(system_path)
        files = [path for path in top.rglob("*") if path.is_file()]
        names = {f"{zip_path}/{path.relative_to(top).as_posix()}": path for path in files}
        for name in sorted(names):
            zipfile_to_save.write(names[name], name)

    return _write_to_zip_recursively


def _write_through_one_driver(original):
    @functools.wraps(original)
    def _get_h5_file(self, path_or_io, mode=None):
        if (mode or self.mode) != "w" or self.archive or isinstance(path_or_io, io.BytesIO):
            return original(self, path_or_io, mode)
        self.io_file = checkpoint.FileForHdf5(path_or_io)
        return h5py.File(self.io_file, mode="w")

    return _get_h5_file


def _keep_what_was_serialized(original):
    @functools.wraps(original)
    def record_object_after_serialization(obj, config):
        original(obj, config)
        # Lasts as long as the scope in which objects are compared.
        recorded = global_state.get_global_attribute("shared_objects/id_to_config_map")
        if recorded is not None:
            recorded.setdefault("kept", []).append(obj)

    return record_object_after_serialization


def _dump_canonically(original):
    @functools.wraps(original)
    def func_dump(func):
        _, defaults, closure = original(func)
        return checkpoint.dumped(func.__code__), defaults, closure

    return func_dump


def _name_optimizer(original):
    @functools.wraps(original)
    def __init__(self, *args, name=None, **kwargs):
        if name is None:
            name = naming.to_snake_case(type(self).__name__)
        original(self, *args, name=name, **kwargs)

    return __init__


def _name_loss(original):
    @functools.wraps(original)
    def __init__(self, name=None, *args, **kwargs):
        original(self, name or naming.to_snake_case(type(self).__name__), *args, **kwargs)

    return __init__


def _keep_the_optimizer(original):
    @functools.wraps(original)
    def model_metadata(model, include_optimizer=True, require_config=True):
        compiled = getattr(model, "_compile_config", None)
        config = dict(compiled.config) if compiled is not None else None
        try:
            return original(model, include_optimizer, require_config)
        finally:
            if compiled is not None:
                compiled.config = config

    return model_metadata


def _save_whole(original):
    @functools.wraps(original)
    def save(model, filepath, *args, **kwargs):
        if not isinstance(filepath, (str, os.PathLike)) or file_utils.is_remote_path(filepath):
            return original(model, filepath, *args, **kwargs)
        with atomic.replacing(filepath) as place:
            return original(model, str(place), *args, **kwargs)

    return save


def _save_whole_legacy(original):
    @functools.wraps(original)
    def save_model_to_hdf5(model, filepath, overwrite=True, include_optimizer=True):
        if not isinstance(filepath, (str, os.PathLike)):
            return original(model, filepath, overwrite, include_optimizer)
        # Whether to overwrite was asked before; here it would be asked of another file.
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        with (
            atomic.replacing(filepath) as place,
            checkpoint.FileForHdf5(place) as content,
            h5py.File(content, mode="w") as file,
        ):
            return original(model, file, True, include_optimizer)

    return save_model_to_hdf5


PATCHES = (
    Patch(
        target="keras.src.saving.saving_lib:_serialize_model_as_json",
        parameters=("model",),
        make=_write_canonical_config,
        why="a `.keras` file says when it was saved, and where shared objects were in memory",
        issue="keras-team/keras#15143",
    ),
    Patch(
        target="keras.src.saving.saving_lib:zipfile",
        parameters=None,
        make=_zip_canonically,
        why="members of a `.keras` file carry times",
        issue="keras-team/keras#15143",
    ),
    Patch(
        target="keras.src.saving.saving_lib:_write_to_zip_recursively",
        parameters=("zipfile_to_save", "system_path", "zip_path"),
        make=_zip_in_order,
        why="assets are written in the order in which the file system lists them",
    ),
    Patch(
        target="keras.src.saving.saving_lib:H5IOStore._get_h5_file",
        parameters=("self", "path_or_io", "mode"),
        make=_write_through_one_driver,
        why="HDF5 arranges a file otherwise on disk than in memory, and free memory decides which",
    ),
    Patch(
        target="keras.src.saving.serialization_lib:record_object_after_serialization",
        parameters=("obj", "config"),
        make=_keep_what_was_serialized,
        why="objects that a `get_config` makes can have one address in turn, and pass for one",
    ),
    Patch(
        target="keras.src.utils.python_utils:func_dump",
        parameters=("func",),
        make=_dump_canonically,
        why="a Lambda layer's code holds the path of its script, and who else uses its constants",
    ),
    Patch(
        target="keras.src.optimizers.base_optimizer:BaseOptimizer.__init__",
        parameters=(
            "self",
            "learning_rate",
            "weight_decay",
            "clipnorm",
            "clipvalue",
            "global_clipnorm",
            "use_ema",
            "ema_momentum",
            "ema_overwrite_frequency",
            "loss_scale_factor",
            "gradient_accumulation_steps",
            "name",
            "kwargs",
        ),
        make=_name_optimizer,
        why="the name of an optimizer counts those made before, and goes into files",
    ),
    Patch(
        target="keras.src.losses.loss:Loss.__init__",
        parameters=("self", "name", "reduction", "dtype"),
        make=_name_loss,
        why="the same for a loss of one's own",
    ),
    Patch(
        target="keras.src.legacy.saving.saving_utils:model_metadata",
        parameters=("model", "include_optimizer", "require_config"),
        make=_keep_the_optimizer,
        why="saving in the legacy format takes the optimizer out of files that are saved later",
    ),
    Patch(
        target="keras.src.saving.saving_lib:save_model",
        parameters=("model", "filepath", "weights_format", "zipped"),
        make=_save_whole,
        why="a process that is killed while it saves leaves half a file, and not the old one",
        issue="keras-team/keras#15948",
    ),
    Patch(
        target="keras.src.saving.saving_lib:save_weights_only",
        parameters=("model", "filepath", "max_shard_size", "objects_to_skip"),
        make=_save_whole,
        why="the same for weights",
    ),
    Patch(
        target="keras.src.legacy.saving.legacy_h5_format:save_model_to_hdf5",
        parameters=("model", "filepath", "overwrite", "include_optimizer"),
        make=_save_whole_legacy,
        why="the same for the legacy format",
    ),
)
