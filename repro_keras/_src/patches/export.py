"""What `model.export` writes as a TensorFlow SavedModel."""

import functools
import importlib.util
from pathlib import Path

from keras.src.utils import file_utils
from tensorflow.core.protobuf import fingerprint_pb2

from repro_keras._src.patches.patch import Patch

_HOME, _CLASS = "keras.src.export.saved_model_export_archive", "SavedModelExportArchive"
if importlib.util.find_spec(_HOME) is None:  # before Keras 3.14
    _HOME, _CLASS = "keras.src.export.saved_model", "ExportArchive"


def _list_in_order(original):
    def order(variable):
        return int(variable._unique_id.rpartition("_")[2])  # counts the variables of a process

    @functools.wraps(original)
    def _list_variables_used_by_fns(fns):
        return tuple(sorted(variables, key=order) for variables in original(fns))

    return _list_variables_used_by_fns


def _write_without_uuid(original):
    @functools.wraps(original)
    def write_out(self, filepath, options=None, verbose=True):
        original(self, filepath, options, verbose)
        path = Path(filepath, "fingerprint.pb")
        if file_utils.is_remote_path(str(filepath)) or not path.exists():
            return
        fingerprint = fingerprint_pb2.FingerprintDef.FromString(path.read_bytes())
        fingerprint.ClearField("uuid")
        path.write_bytes(fingerprint.SerializeToString(deterministic=True))

    return write_out


PATCHES = (
    Patch(
        target=f"{_HOME}:_list_variables_used_by_fns",
        parameters=("fns",),
        make=_list_in_order,
        why="a SavedModel lists variables in the order of their addresses",
    ),
    Patch(
        target=f"{_HOME}:{_CLASS}.write_out",
        parameters=("self", "filepath", "options", "verbose"),
        make=_write_without_uuid,
        why="a SavedModel's fingerprint holds a random number",
    ),
)
