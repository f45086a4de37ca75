"""Digests of files: of what they hold, and never of their incidental bytes.

A file of named arrays has the digest of the dict of these arrays.
"""

import io
import json
import mmap
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from repro_keras._src import checkpoint
from repro_keras._src.digest_arrays import (
    chunks,
    describe_array,
    describe_dict,
    describe_scalar,
    hexadecimal,
)
from repro_keras._src.errors import CanonicalError, FileFormatError

_HDF5 = (".h5", ".hdf5")
_KERAS_MEMBERS = ("config.json", "metadata.json")


def describe(path: str | os.PathLike) -> dict:
    """Describes a file or folder.

    Args:
        path: its place; of a TensorFlow checkpoint, the prefix or the index file.

    Raises:
        FileFormatError: where it is missing, cannot be read, or is not what its name says.
    """
    path = Path(path)
    try:
        return _describe(path)
    except OSError as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(
            f"{path} could not be read: {error.strerror or error}. Look at the path and at its "
            "permissions.",
            error.errno,
        ) from error
    except CanonicalError as error:
        raise FileFormatError(f"{path} holds what has no digest: {error}") from error


def _describe(path: Path) -> dict:
    if path.is_dir():
        if all((path / name).exists() for name in _KERAS_MEMBERS):
            return _describe_keras(path, _members(path))
        return _describe_folder(path)
    if path.suffix == ".index" or (not path.exists() and Path(f"{path}.index").exists()):
        return _describe_checkpoint(path.with_suffix("") if path.suffix == ".index" else path)
    with open(path, "rb"):  # the libraries' own errors say less
        pass
    return _BY_SUFFIX.get(path.suffix, _describe_bytes)(path)


def _members(folder: Path) -> dict[str, Path]:
    """The files of a folder, by their names below it."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in folders:
            if Path(place, name).is_symlink():
                raise FileFormatError(
                    f"{Path(place, name)} is a link to a folder, which may lead anywhere. Digest "
                    "that folder by its own path, or remove the link."
                )
        for name in files:
            file = Path(place, name)
            found[file.relative_to(folder).as_posix()] = file
    return found


def _describe_folder(folder: Path) -> dict:
    items = []
    files = _members(folder)
    prefixes = {name.removesuffix(".index") for name in files if name.endswith(".index")}
    for name, file in files.items():
        prefix = name.removesuffix(".index")
        if prefix in prefixes and prefix != name:
            items.append((prefix, hexadecimal(_describe_checkpoint(folder / prefix))))
        elif prefixes and file.name == "checkpoint":
            continue  # it says which checkpoint is the latest, by time and path
        elif any(name.startswith(f"{p}.data-") for p in prefixes):
            continue  # a part of a checkpoint
        else:
            items.append((name, hexadecimal(describe(file))))
    return {**describe_dict(items), "kind": "folder"}


def _describe_bytes(path: Path) -> dict:
    size = path.stat().st_size
    if not size:
        return {"kind": "file", "size": 0, "chunks": []}
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        memoryview(content) as view,
    ):
        return {"kind": "file", "size": size, "chunks": chunks(view)}


def _describe_keras_archive(path: Path) -> dict:
    with _call(path, "a `.keras` archive (a zip file)", zipfile.ZipFile, path) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        missing = [name for name in _KERAS_MEMBERS if name not in names]
        if missing:
            raise FileFormatError(
                f"{path} is a zip file, and not a model that Keras saved: it lacks "
                f"{' and '.join(missing)}."
            )
        try:
            return _describe_keras(path, {name: archive.read(name) for name in names})
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise _broken(path, "a `.keras` archive", error) from error


def _describe_keras(path: Path, members: dict[str, Any]) -> dict:
    """Describes what Keras saved of a model: an archive, or a folder of the same files.

    Args:
        path: the whole, for errors.
        members: by name, the bytes of each file, or its path.
    """
    items = []
    for name, member in members.items():
        content = member if isinstance(member, bytes) else member.read_bytes()
        if name in _KERAS_MEMBERS:
            description = _describe_json(path, name, content)
        elif name.endswith(_HDF5):
            description = _describe_hdf5(path, io.BytesIO(content))
        elif name.endswith(".npz"):
            description = _describe_npz(path, io.BytesIO(content))
        else:
            view = memoryview(content)
            description = {"kind": "file", "size": len(view), "chunks": chunks(view)}
        items.append((name, hexadecimal(description)))
    return {**describe_dict(items), "kind": "keras"}


def _describe_json(path: Path, name: str, content: bytes) -> dict:
    try:
        text = content.decode()
        if name == "config.json":
            text = checkpoint.canonical_config(text, by_key_alone=True)
        else:
            text = _without_date(text)
        return describe_scalar(json.dumps(json.loads(text), sort_keys=True))
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        raise _broken(path, f"JSON in its member {name}", error) from error


def _without_date(text: str) -> str:
    metadata = json.loads(text)
    metadata.pop("date_saved", None)
    return json.dumps(metadata)


def _describe_hdf5(path: Path, content: Any = None) -> dict:
    import h5py

    def opened(source):
        return h5py.File(source, "r")

    with _call(path, "an HDF5 file", opened, content or path) as file:
        try:
            return _describe_group(path, file)
        except (RuntimeError, KeyError, ValueError, OSError) as error:
            if isinstance(error, FileFormatError):
                raise
            raise _broken(path, "an HDF5 file", error) from error


def _describe_group(path: Path, group) -> dict:
    import h5py

    items = []
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise FileFormatError(
                f"{path} holds a link at {group.name}/{name} instead of an array, which may lead "
                "to another file. Copy what it leads to."
            )
        member = group[name]
        if isinstance(member, h5py.Group):
            items.append((name, hexadecimal(_describe_group(path, member))))
        else:
            array = describe_array(_array_of(member), f"{member.name}")
            if len(member.attrs):
                array = {
                    "kind": "dataset",
                    "attributes": _digest_attributes(member),
                    "value": hexadecimal(array),
                }
            items.append((name, hexadecimal(array)))
    return {
        **describe_dict(items),
        "kind": "group",
        "attributes": _digest_attributes(group),
    }


def _array_of(dataset):
    import numpy as np

    if dataset.external or dataset.is_virtual:
        raise FileFormatError(f"{dataset.file.filename}: {dataset.name} lies in other files.")
    return np.asarray(dataset[()])


def _digest_attributes(owner) -> str:
    import h5py
    import numpy as np

    items = []
    for name, value in owner.attrs.items():
        if isinstance(value, h5py.Empty):
            value = None
        if value is None or isinstance(value, str):
            description = describe_scalar(value)
        else:
            description = describe_array(np.asarray(value), f"{owner.name}@{name}")
        items.append((name, hexadecimal(description)))
    return hexadecimal(describe_dict(items))


def _describe_npz(path: Path, content: Any = None) -> dict:
    import numpy as np

    archive = _call(path, "a NumPy archive (.npz)", _load_numpy, content or path)
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise FileFormatError(
            f"{path} is named as a NumPy archive (.npz), and holds one array (.npy). Rename it."
        )
    with archive:
        return _describe_arrays(path, "a NumPy archive", archive.files, archive.__getitem__)


def _describe_npy(path: Path) -> dict:
    import numpy as np

    loaded = _call(path, "a NumPy array (.npy)", _load_numpy, path)
    if not isinstance(loaded, np.ndarray):
        loaded.close()
        raise FileFormatError(
            f"{path} is named as a NumPy array (.npy), and is an archive of several (.npz). "
            "Rename it."
        )
    return describe_array(loaded, str(path))


def _load_numpy(source):
    import numpy as np

    return np.load(source, allow_pickle=False)


def _describe_arrays(path: Path, expected: str, names: Iterable[str], get: Callable) -> dict:
    return describe_dict(
        (name, hexadecimal(describe_array(_call(path, expected, get, name), name)))
        for name in names
    )


_SAFETENSORS_DTYPES = {
    "BOOL": "bool",
    **{f"{kind}{bits}": f"{name}{bits}" for kind, name in (("I", "int"), ("U", "uint"))
       for bits in (8, 16, 32, 64)},
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    "BF16": "bfloat16",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
}  # fmt: skip


def _describe_safetensors(path: Path) -> dict:
    import ml_dtypes
    import numpy as np
    import safetensors

    content = path.read_bytes()
    try:
        tensors = dict(safetensors.deserialize(content))
    except safetensors.SafetensorError as error:
        raise _broken(path, "a safetensors file", error) from error

    def array(name):
        tensor = tensors[name]
        dtype = _SAFETENSORS_DTYPES.get(tensor["dtype"])
        if dtype is None:
            raise CanonicalError(f"{name} is of type {tensor['dtype']}, which NumPy does not have")
        dtype = getattr(ml_dtypes, dtype, None) or dtype
        flat = np.frombuffer(tensor["data"], np.dtype(dtype).newbyteorder("<"))
        return flat.reshape(tensor["shape"])

    return _describe_arrays(path, "a safetensors file", tensors, array)


def _describe_checkpoint(prefix: Path) -> dict:
    import tensorflow as tf

    expected = "a TensorFlow checkpoint"
    errors = (tf.errors.OpError, ValueError, RuntimeError)
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        names = [
            name
            for name in reader.get_variable_to_shape_map()
            if name != "_CHECKPOINTABLE_OBJECT_GRAPH"  # lists objects as they were in memory
        ]
        return describe_dict((name, _digest_value(reader.get_tensor(name), name)) for name in names)
    except errors as error:
        raise _broken(prefix, expected, error) from error


def _digest_value(value, where: str) -> str:
    import numpy as np

    return hexadecimal(describe_array(np.asarray(value), where))


def _call(path: Path, expected: str, function: Callable, argument: Any):
    """Calls a function of a library's, whose errors mean that a file is broken."""
    try:
        return function(argument)
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        RuntimeError,
        NotImplementedError,
        struct.error,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise _broken(path, expected, error) from error


def _broken(path: Path, expected: str, error: Exception) -> FileFormatError:
    begins = ""
    if path.is_file():
        with open(path, "rb") as file:
            begins = f", {path.stat().st_size} bytes that begin with {file.read(8)!r}"
    return FileFormatError(
        f"{path} should be {expected}, by its name{begins}; it cannot be read as one "
        f"({str(error).splitlines()[0] if str(error) else type(error).__name__}). It may be "
        "truncated or changed: get it again from where it came, or rename it to what it is."
    )


_BY_SUFFIX = {
    ".keras": _describe_keras_archive,
    **dict.fromkeys(_HDF5, _describe_hdf5),
    ".npz": _describe_npz,
    ".npy": _describe_npy,
    ".safetensors": _describe_safetensors,
}
