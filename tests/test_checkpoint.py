"""Files: the same bytes for equal models, and never half of one."""

import io
import json
import os
import stat
import subprocess
import sys
import time
import types
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fresh import SCRIPTS, environment, run_json, run_together

from repro_keras._src import atomic, checkpoint
from repro_keras._src.errors import ReproError, SaveError

MODELS = ("shared", "functions", "custom", "vocabularies", "half")  # of scripts/saves.py


def _archive(write):
    content = io.BytesIO()
    with checkpoint.CanonicalZipFile(content, "w") as archive:
        write(archive)
    return content.getvalue()


def test_an_archive_carries_names_and_contents_only(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"content")
    file.chmod(0o777)
    os.utime(file, (10**9, 10**9))

    def opened(archive):
        with archive.open("name", "w") as member:
            member.write(b"content")

    ways = [
        lambda archive: archive.write(file, "name"),
        lambda archive: archive.writestr("name", b"content"),
        opened,
    ]
    assert len({_archive(way) for way in ways}) == 1
    (member,) = zipfile.ZipFile(io.BytesIO(_archive(opened))).infolist()
    assert member.date_time == checkpoint.EPOCH


def test_what_is_in_memory_comes_last_in_an_archive():
    def weights_first(archive):
        archive.writestr("weights", b"w")
        with archive.open("asset", "w") as member:
            member.write(b"a")

    names = zipfile.ZipFile(io.BytesIO(_archive(weights_first))).namelist()
    assert names == ["asset", "weights"]


def test_a_configuration_without_shared_objects_is_as_it_was():
    text = '{"b": 1.0,  "a": [null, NaN]}'
    assert checkpoint.canonical_config(text) == text


def test_a_setting_that_is_called_like_the_number_of_an_object_is_kept():
    settings = {"shared_object_id": [7], "inner": {"shared_object_id": 7012}}
    text = json.dumps([settings, {"class_name": "L2", "shared_object_id": 5, "config": settings}])
    one, other = json.loads(checkpoint.canonical_config(text))
    assert one == other["config"] == settings
    assert other["shared_object_id"] == 1


def test_code_does_not_depend_on_its_place():
    source = "def outer(x):\n    def inner(y):\n        return y + x\n    return inner"

    def code(text, path):
        (found,) = (c for c in compile(text, path, "exec").co_consts if hasattr(c, "co_code"))
        return checkpoint.canonical_code(found)

    one, other = code(source, "/a/b.py"), code("\n\n# moved\n" + source, "c.py")
    assert one == other
    assert (one.co_filename, one.co_firstlineno) == ("<saved>", 1)
    assert types.FunctionType(one, {})(2)(3) == 5
    (inner,) = (c for c in one.co_consts if hasattr(c, "co_code"))
    assert (inner.co_filename, inner.co_firstlineno) == ("<saved>", 2)


def write(path, content=b"new"):
    with atomic.replacing(path) as place:
        assert place.name == Path(path).name
        place.write_bytes(content)


def write_half(path, error):
    with atomic.replacing(path) as place:
        place.write_bytes(b"half")
        raise error


def test_a_new_file(tmp_path):
    write(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask


def test_an_old_file_is_replaced_and_keeps_its_permissions(tmp_path):
    path = tmp_path / "a[1]*"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write(path)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError):
        write_half(path, ZeroDivisionError())
    assert path.read_bytes() == b"old"
    full = OSError(28, "No space left on device")
    with pytest.raises(SaveError, match=r"file could not be saved: .*untouched") as caught:
        write_half(path, full)
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, ReproError)
    assert caught.value.errno == 28
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(RuntimeError, match="of the user's"):
        write_half(path, RuntimeError("of the user's"))


def test_no_room_even_for_a_folder(tmp_path, monkeypatch):
    def full(**options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.tempfile, "mkdtemp", full)
    with pytest.raises(SaveError, match=r"No space left on device\. What was there"):
        write(tmp_path / "file")


def test_a_long_name(tmp_path):
    path = tmp_path / ("n" * 250)
    write(path)
    write(path, b"again")
    assert path.read_bytes() == b"again"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_symbolic_link_is_written_through(tmp_path):
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "file"
    link = tmp_path / "link"
    link.symlink_to(target)
    for content in (b"first", b"second"):  # a link to nothing, and to a file
        with atomic.replacing(link) as place:
            place.write_bytes(content)
        assert link.is_symlink()
        assert target.read_bytes() == content
    assert len(list(tmp_path.iterdir())) == 2


def test_a_device_is_written_in_place():
    write(os.devnull)
    assert not Path(os.devnull).is_file()


def test_a_folder_that_is_not_there_is_left_to_who_writes(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write(tmp_path / "nowhere" / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_or_folder_that_is_protected(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o400)
    with pytest.raises(PermissionError):
        write(path)
    path.chmod(0o600)
    tmp_path.chmod(0o500)
    with pytest.warns(match="is written in place"):
        write(path)
    tmp_path.chmod(0o700)
    assert path.read_bytes() == b"new"


def test_folders_and_several_files(tmp_path):
    path = tmp_path / "folder"
    for content in (b"first", b"second"):
        with atomic.replacing(path) as place:
            (place / "inner").mkdir(parents=True)
            (place / "inner" / "file").write_bytes(content)
        assert (path / "inner" / "file").read_bytes() == content
        (path / "of the user").write_bytes(b"")
    with atomic.replacing(tmp_path / "index") as place:
        place.write_bytes(b"index")
        place.with_name("part").write_bytes(b"part")
    assert (tmp_path / "part").read_bytes() == b"part"
    assert sorted(p.name for p in path.iterdir()) == ["inner", "of the user"]


def test_what_a_killed_process_left_is_removed_and_no_more(tmp_path):
    path = tmp_path / "file"
    writing = "from repro_keras._src import atomic\nimport time, sys\n" + (
        f"with atomic.replacing({str(path)!r}) as place:\n"
        "    place.write_bytes(b'half')\n    print('writing', flush=True)\n    time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", writing],
        stdout=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    process.stdout.readline()
    write(path, b"meanwhile")
    assert len(list(tmp_path.iterdir())) == 2  # the other process still writes
    process.kill()
    process.wait()
    write(path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_threads_that_save_at_once(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([i]) * 10**6 for i in range(4)]
    seen = []

    def save(content):
        for _ in range(25):
            write(path, content)

    with ThreadPoolExecutor() as pool:
        savers = [pool.submit(save, content) for content in contents]
        while not all(saver.done() for saver in savers):
            if path.exists():
                seen.append(path.read_bytes())
            time.sleep(0.001)
    for saver in savers:
        saver.result()
    assert seen
    assert all(content in contents for content in seen)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """What two processes saved that differ in folder, hash seed, cores and free memory."""
    here, there = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("there")
    # A Lambda's code has the path and the lines of its script.
    source = (SCRIPTS / "saves.py").read_text()
    (there / "moved.py").write_text(source.replace("import", "# moved\nimport", 1))
    (there / "out").mkdir()
    first, second = run_together(
        (("saves.py", "repro_keras", here), {"hash_seed": 1}),
        (
            (there / "moved.py", "repro_keras", "out", "--little-memory"),
            {"hash_seed": 2, "cores": "0", "cwd": there},
        ),
    )
    assert first == second
    return here, first


@pytest.mark.slow
def test_files_of_all_kinds(saved):
    _, digests = saved
    kinds = {Path(name.partition(" ")[0]).suffix for name in digests}
    assert {".keras", ".h5", ".json", ""} <= kinds
    for name in MODELS:
        assert digests[f"{name} in memory"] == digests[f"{name}.keras"]


@pytest.mark.slow
def test_files_of_plain_keras_differ(tmp_path):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    one, two = run_together(*((("saves.py", "keras", folder), {}) for folder in folders))
    same = {name for name in one if one[name] == two[name] and "assets/" not in name}
    assert {Path(name).suffix for name in same} <= {".json", ".pb"}
    assert len(same) < 20


@pytest.mark.slow
def test_plain_keras_opens_them(saved):
    folder, _ = saved
    assert run_json("-c", OPEN, str(folder)) == dict.fromkeys(MODELS, True)


OPEN = """
import json, sys
from pathlib import Path
sys.path.insert(0, "tests/scripts")
folder = Path(sys.argv[1])
sys.argv = ["saves.py", "keras"]
import saves
import numpy as np
assert "repro_keras" not in sys.modules
result = {}
for make in saves.MODELS:
    name = make.__name__
    loaded = saves.keras.models.load_model(folder / f"{name}.keras", safe_mode=False)
    x = saves.texts if make is saves.vocabularies else saves.rows
    expected = np.load(folder / f"{name}.npy")
    same = np.allclose(loaded(x), expected)  # of plain Keras, on another number of threads
    built, _ = make()
    built(x)
    built.load_weights(folder / f"{name}.weights.h5")
    built.load_weights(folder / f"{name}.parts.weights.json")
    if make is not saves.vocabularies:
        same = same and loaded.optimizer.iterations == 2
        same = same and np.allclose(built(x), expected)
    result[name] = bool(same)
print(json.dumps(result))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.h5"])
def test_a_hundred_kills_leave_a_whole_file(tmp_path, name):
    found = run_json("killed.py", "repro_keras", tmp_path / name, 100)
    assert found["neither"] == 0
    assert found["one"] + found["other"] >= 100
    assert found["left"] == 0


@pytest.mark.slow
def test_kills_break_a_file_of_plain_keras(tmp_path):
    assert run_json("killed.py", "keras", tmp_path / "m.keras", 20)["neither"] > 0


@pytest.mark.slow
def test_a_full_disk(tmp_path):
    found = run_json("-c", FULL, str(tmp_path))
    assert found == {name: ["SaveError", True, 1] for name in ("m.keras", "m.weights.h5", "m.h5")}


FULL = """
import json, resource, sys
from pathlib import Path
import repro_keras as keras
from repro_keras import repro

model = keras.Sequential([keras.Input((700,)), keras.layers.Dense(700)])
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
result = {}
for name in ("m.keras", "m.weights.h5", "m.h5"):
    path = Path(sys.argv[1], name + ".d", name)
    path.parent.mkdir()
    path.write_bytes(b"old")
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    error = None
    try:
        (model.save_weights if "weights" in name else model.save)(path)
    except repro.ReproError as caught:
        error = type(caught).__name__
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    result[name] = [error, path.read_bytes() == b"old", len(list(path.parent.iterdir()))]
print(json.dumps(result))
"""


@pytest.mark.slow
def test_saving_keeps_the_ways_of_keras(tmp_path):
    assert run_json("-c", WAYS, str(tmp_path)) == {
        "missing folder": "FileNotFoundError",
        "missing folder, legacy": "saved",
        "ending": "ValueError",
        "not built": "ValueError",
        "overwrite": "asked once",
        "checkpoint": ["best.keras", "last.weights.h5"],
        "h5py file": True,
    }


WAYS = """
import builtins, json, sys
from pathlib import Path
import h5py
import repro_keras as keras

folder = Path(sys.argv[1])
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
model.compile("sgd", "mse")
x = keras.ops.ones((4, 3))
result = {}

def outcome(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        return type(error).__name__
    return "saved"

result["missing folder"] = outcome(model.save, folder / "no" / "m.keras")
result["missing folder, legacy"] = outcome(model.save, folder / "yes" / "m.h5")
result["ending"] = outcome(model.save, folder / "m.xyz")
unbuilt = keras.Sequential([keras.layers.Dense(2)])
result["not built"] = outcome(unbuilt.save_weights, folder / "u.weights.h5")

asked = []
builtins.input = lambda text: asked.append(text) or "y"
model.save(folder / "yes" / "m.h5", overwrite=False)
result["overwrite"] = "asked once" if len(asked) == 1 else len(asked)

(folder / "c").mkdir()
callbacks = [
    keras.callbacks.ModelCheckpoint(folder / "c/best.keras", monitor="loss", save_best_only=True),
    keras.callbacks.ModelCheckpoint(folder / "c/last.weights.h5", save_weights_only=True),
]
model.fit(x, x[:, :2], epochs=2, callbacks=callbacks, verbose=0)
result["checkpoint"] = sorted(path.name for path in (folder / "c").iterdir())

with h5py.File(folder / "f.h5", "w") as file:
    keras.src.legacy.saving.legacy_h5_format.save_model_to_hdf5(model, file)
    result["h5py file"] = "model_weights" in file
print(json.dumps(result))
"""
