"""Replaying two runs that differ: the step, the tensor and the cause are named."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from projects import edit, records, shell
from test_record import TRAIL, statement

from repro_keras._src import project, record
from repro_keras._src.comparing import causes
from repro_keras._src.replaying import places
from repro_keras._src.replaying.seen import Seen, State, Tensor
from repro_keras._src.runs import kept, store
from repro_keras.cli import main

# Places


def tensor(folder, name, array, part="forward"):
    """A tensor that a replay saw, with its bytes in a folder."""
    array = np.asarray(array)
    file = f"{name.replace(' ', '_').replace('/', '_')}.bin"
    folder.mkdir(exist_ok=True)
    (folder / file).write_bytes(array.tobytes())
    return Tensor(
        part=part,
        what=name,
        dtype=array.dtype.name,
        shape=list(array.shape),
        digest=array.tobytes().hex(),
        file=file,
    )


def place_of(tmp_path, one, other):
    """What differs first of two lists of (name, array)."""
    folders = [tmp_path / "a", tmp_path / "b"]
    seen = [
        Seen(states=[], tensors=[tensor(folder, *item) for item in items])
        for folder, items in zip(folders, (one, other), strict=True)
    ]
    found = places.first_tensor(*seen)
    return found and (found[0], places.place(found[1], folders, 7))


def test_the_first_tensor_that_differs(tmp_path):
    x = np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3)
    y = x.copy()
    y[1, 0] = np.nextafter(y[1, 0], np.float32(2))
    y[1, 2] = np.nextafter(np.nextafter(y[1, 2], np.float32(2)), np.float32(2))
    assert place_of(tmp_path, [("a", x)], [("a", x)]) is None
    before, found = place_of(tmp_path, [("a", x), ("b", x)], [("a", x), ("b", y)])
    assert before == 1
    assert (found.step, found.part, found.what, found.index) == (7, "forward", "b", [1, 0])
    assert (found.recorded, found.now) == (float(x[1, 0]).hex(), float(y[1, 0]).hex())
    assert (found.ulps, found.differing, found.elements) == (2, 2, 6)


@pytest.mark.parametrize(
    ("x", "y", "ulps"),
    [
        (np.float32(0.0), np.float32(-0.0), 0),
        (np.float32(1e-45), np.float32(-1e-45), 2),
        (np.float64(1), np.nextafter(np.float64(1), 2), 1),
        (np.float16(1), np.float16(2), 1024),
        (np.float32("nan"), np.float32(1), None),
        (np.int64(3), np.int64(4), None),
        (np.array([True]), np.array([False]), None),
        (np.complex64(1j), np.complex64(1), None),
    ],
)
def test_distances(tmp_path, x, y, ulps):
    _, found = place_of(tmp_path, [("a", x)], [("a", y)])
    assert found.ulps == ulps
    assert found.differing == 1


def test_bfloat16(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = np.array([1, 2], ml_dtypes.bfloat16)
    _, found = place_of(tmp_path, [("a", x)], [("a", np.array([1, 2.015625], x.dtype))])
    assert (found.index, found.ulps, found.now) == ([1], 1, (2.015625).hex())


def test_what_a_step_began_with_comes_first(tmp_path):
    zero, one = np.zeros(2, "float32"), np.ones(2, "float32")
    items = [("w before the step", zero, "weights"), ("x", zero), ("data", zero, "data")]
    others = [("w before the step", zero, "weights"), ("x", one), ("data", one, "data")]
    before, found = place_of(tmp_path, items, others)
    assert (before, found.what, found.also) == (1, "data", [])
    others[0] = ("w before the step", one, "weights")
    before, found = place_of(tmp_path, items, others)
    assert (before, found.what, found.also) == (0, "w before the step", ["data"])


def test_another_shape_and_a_tensor_that_one_has_alone(tmp_path):
    x = np.zeros((2, 3), "float32")
    _, found = place_of(tmp_path, [("a", x)], [("a", x[:1])])
    assert (found.recorded, found.now) == ("float32 (2, 3)", "float32 (1, 3)")
    _, found = place_of(tmp_path, [("a", x), ("b", x)], [("a", x)])
    assert (found.what, found.recorded, found.now) == ("b", "float32 (2, 3)", "not there")
    _, found = place_of(tmp_path, [("a", x)], [("a", x), ("b", x)])
    assert (found.what, found.recorded, found.now) == ("b", "not there", "float32 (2, 3)")


def test_the_first_state_that_differs():
    def seen(*digests):
        states = [
            State(steps=n // 2, begins=n % 2 == 0, variables=d, generators={"numpy": d})
            for n, d in enumerate(digests)
        ]
        return Seen(states=states, tensors=[])

    assert places.first_state(seen(*"abcd"), seen(*"abcd")) is None
    assert places.first_state(seen(*"abcd"), seen(*"abxd")).step == 2  # before its second step
    found = places.first_state(seen(*"abcd"), seen(*"abcx"))
    assert (found.step, found.is_first) == (1, False)  # after its first step
    assert places.first_state(seen(*"abcd"), seen(*"xbcd")).is_first
    assert places.generators(seen(*"abcd"), seen(*"abxd")) == "numpy before step 2"
    assert places.generators(seen(*"abcd"), seen(*"abcd")) == ""


# Copies of code and data


def test_small_files_are_kept_as_they_were(tmp_path):
    home = project.Project(tmp_path)
    folder = store.new(home)
    path = tmp_path / "train.py"

    def written(content):
        path.write_bytes(content)
        digest, size = project.sha256(path), len(content)
        kept.keep(folder, path, digest, size)
        return record.File(path="train.py", sha256=digest, size=size)

    first, second = written(b"a = 1\n"), written(b"a = 2\n")
    copy = kept.as_it_was(home, first)
    assert copy.parent == tmp_path / ".repro" / "kept"
    assert copy.read_bytes() == b"a = 1\n"
    assert kept.as_it_was(home, second) == path
    copy.write_bytes(b"a = 3\n")
    assert kept.as_it_was(home, first) is None  # somebody has changed it
    large = written(b"0" * (kept.LARGEST + 1))
    written(b"a = 1\n")
    assert kept.as_it_was(home, large) is None
    assert {path.name for path in kept.unused(home, [])} == {first.sha256, second.sha256}


def test_gc_removes_the_copies_that_no_run_needs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = project.Project(tmp_path)
    folder = store.new(home)
    for name in (b"needed", b"not needed"):
        (tmp_path / "train.py").write_bytes(name)
        digest = project.sha256(tmp_path / "train.py")
        kept.keep(folder, tmp_path / "train.py", digest, len(name))
        if name == b"needed":
            file = record.File(path="train.py", sha256=digest, size=len(name))
    code = record.Code(kind="script", target="train.py", files=[file])
    record.write(folder / store.RECORD, statement(TRAIL, code=code))

    def left():
        return [path.name for path in (tmp_path / ".repro" / "kept").iterdir()]

    assert CliRunner().invoke(main, ["gc", "--yes", "--dry-run"]).exit_code == 0
    assert len(left()) == 2
    assert CliRunner().invoke(main, ["gc", "--yes"]).exit_code == 0
    assert left() == [file.sha256]
    assert CliRunner().invoke(main, ["gc", "--yes", "--keep=0"]).exit_code == 0
    assert left() == []


def test_lines_that_differ():
    contents = {
        "train.py": (b"a = 1\nb = 2\n", b"a = 1\nb = 3\n"),
        "same.py": (b"a", b"a"),
        "x.npy": (b"\xff", b"\xfe"),
    }
    lines = causes.changed_lines(contents)
    assert lines == ["train.py, line 2:", "-b = 2", "+b = 3", "x.npy: no text"]


# Planted causes: what is changed in a script, or around it, between two recorded runs

SCRIPT = """
import os
import numpy as np
import repro_keras as keras

layers = keras.layers
points = np.loadtxt("data/points.csv", delimiter=",").astype("float32")
more = [np.load(f"data/parts/{name}") for name in sorted(os.listdir("data/parts"))]
x = np.concatenate([points, *more])
names = {"red", "green", "blue", "white"}
colors = list(names)
y = np.arange(len(x)) % len(colors)
y = np.array([colors.index("red") == i for i in y], "float32")[:, None]
rng = np.random.default_rng(1)
x += rng.normal(scale=0.01, size=x.shape).astype("float32")


@keras.saving.register_keras_serializable()
class Scale(layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

    def call(self, x):
        return x * self.scale


class Draws(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        noise = np.random.normal(size=1)


class Flips(keras.callbacks.Callback):
    step = -1

    def on_train_batch_begin(self, batch, logs=None):
        kernel = self.model.get_layer("first").kernel
        if self.model.optimizer.iterations == self.step:
            value = kernel.numpy()
            value[2, 3] = np.nextafter(value[2, 3], np.float32(9))
            kernel.assign(value)


model = keras.Sequential(
    [
        keras.Input((8,)),
        layers.Dense(16, "relu", name="first"),
        layers.Dropout(0.2, seed=3, name="drop"),
        Scale(name="scale"),
        layers.Dense(1, name="last"),
    ],
    name="net",
)
loss = keras.losses.BinaryCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(1e-3), loss)


def batches():
    while True:
        for start in range(0, 96, 16):
            rows = np.random.permutation(16) + start
            yield x[rows], y[rows]


model.fit(batches(), steps_per_epoch=6, epochs=2, verbose=0, callbacks=[Flips()])
"""


def make_project(folder):
    (folder / "data" / "parts").mkdir(parents=True)
    (folder / ".repro").mkdir()
    numbers = np.random.RandomState(0).uniform(size=(96, 8)).round(3)
    np.savetxt(folder / "data" / "points.csv", numbers[:64], delimiter=",", fmt="%.3f")
    for part in range(2):
        np.save(folder / "data" / "parts" / f"{part}.npy", numbers[64 + part * 16 :][:16])
    (folder / "train.py").write_text(SCRIPT)


def code(old, new):
    return lambda folder: edit(folder / "train.py", old, new)


def one_line_of_data(folder):
    path = folder / "data" / "points.csv"
    lines = path.read_text().splitlines()
    lines[56] = "0.5," + lines[56].partition(",")[2]
    path.write_text("\n".join(lines) + "\n")


def order_of_files(folder):
    parts = folder / "data" / "parts"
    (parts / "0.npy").rename(parts / "2.npy")


PLANTED = {
    # name: (what is changed, environment, first cause, part, the tensor, the step)
    "a line of data": (one_line_of_data, {}, "data", "data", "the input of net", 4),
    "the order of files": (order_of_files, {}, "data", "data", "the input of net", None),
    "an order in the code": (
        code('"data/parts"))]', '"data/parts"), reverse=True)]'),
        {},
        "code",
        "data",
        "the input of net",
        None,
    ),
    "a callback that draws": (
        code("callbacks=[Flips()]", "callbacks=[Flips(), Draws()]"),
        {},
        "code",
        "data",
        "the input of net",
        None,
    ),
    "a dropped seed": (
        code("layers.Dropout(0.2, seed=3,", "layers.Dropout(0.2,"),
        {},
        "code",
        "random state",
        "drop/seed_generator/seed_generator_state before the step",
        1,
    ),
    "a changed op": (
        code("return x * self.scale", "return x * self.scale + 1e-6"),
        {},
        "code",
        "forward",
        "the output of net/scale",
        1,
    ),
    "a float flipped in one weight": (
        code("step = -1", "step = 7"),
        {},
        "code",
        "weights",
        "net/first/kernel before the step",
        8,
    ),
    "an initializer": (
        code('initializer="ones"', "initializer=keras.initializers.Constant(1.5)"),
        {},
        "code",
        "weights",
        "net/scale/scale before the step",
        1,
    ),
    "another loss": (
        code("from_logits=True)", "from_logits=True, label_smoothing=0.01)"),
        {},
        "code",
        "loss",
        "the loss binary_crossentropy",
        1,
    ),
    "a gradient that stops": (
        code("return x * self.scale", "return keras.ops.stop_gradient(x) * self.scale"),
        {},
        "code",
        "gradient",
        "the gradient with respect to the output of net/drop",
        1,
    ),
    "another learning rate": (
        code("Adam(1e-3)", "Adam(2e-3)"),
        {},
        "code",
        "optimizer",
        "adam/learning_rate before the step",
        1,
    ),
    "a setting of the optimizer": (
        code("Adam(1e-3)", "Adam(1e-3, beta_2=0.99)"),
        {},
        "code",
        "optimizer",
        "adam/net_first_kernel_velocity after the step",
        1,
    ),
    "a set iterated": (
        None,
        {"PYTHONHASHSEED": "3"},
        "hash seed",
        "data",
        "the targets of binary_crossentropy",
        1,
    ),
    "another seed": (
        None,
        {"REPRO_KERAS_SEED": "1"},
        "seed",
        "weights",
        "net/first/kernel before the step",
        1,
    ),
}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A project with one run in it."""
    folder = tmp_path_factory.mktemp("first")
    make_project(folder)
    done = shell("run", "train.py", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def again(first, tmp_path):
    """A copy of it: the same time, the same bytes."""
    return shutil.copytree(first, tmp_path / "project")


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_planted_causes_are_named(again, name):
    change, variables, cause, part, what, step = PLANTED[name]
    if change is not None:
        change(again)
    done = shell("run", "train.py", cwd=again, **variables)
    assert done.returncode == 0, done.stderr
    done = shell("diff", "--replay", "--yes", "--json", cwd=again)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["causes"][0]["what"] == cause
    replay = found["replay"]
    assert all(note.endswith("it came to what it recorded") for note in replay["notes"])
    place = replay["place"]
    assert (place["part"], place["what"]) == (part, what)
    if step is not None:
        assert place["step"] == step
    if name == "a float flipped in one weight":
        assert (place["index"], place["ulps"], place["differing"]) == ([2, 3], 1, 1)
        assert "outside of the steps" in replay["meaning"]


LOOP = """
import sys
import numpy as np
import tensorflow as tf
import repro_keras as keras

x = np.random.RandomState(0).uniform(size=(64, 4)).astype("float32")
down = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a")], name="down")
up = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="b")], name="up")
optimizers = [keras.optimizers.SGD(0.1), keras.optimizers.Adam()]


def step(x):
    with tf.GradientTape() as tape, tf.GradientTape() as other:
        loss = keras.ops.mean((up(down(x)) - x) ** 2)
    models = (down, up)
    gradients = [t.gradient(loss, m.trainable_weights) for t, m in zip((tape, other), models)]
    for optimizer, gradient, model in zip(optimizers, gradients, models):
        optimizer.apply(gradient, model.trainable_weights)
    return loss


if "graph" in sys.argv:
    step = tf.function(step)
if "together" in sys.argv:
    one = step

    @tf.function
    def step(x):
        for _ in tf.range(4):
            one(x)


for number in range(6):
    step(x + 0.0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["eager", "graph", "together"])
def test_loops_written_by_hand(tmp_path, how):
    (tmp_path / ".repro").mkdir()
    (tmp_path / "loop.py").write_text(LOOP)
    assert shell("run", "loop.py", how, cwd=tmp_path).returncode == 0
    edit(tmp_path / "loop.py", "x + 0.0", "x + 0.25 * (number == 3)")
    assert shell("run", "loop.py", how, cwd=tmp_path).returncode == 0
    done = shell("diff", "--replay", "--yes", "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    replay = json.loads(done.stdout)["replay"]
    assert replay["place"]["what"] == "the input of down"
    assert replay["place"]["step"] == (25 if how == "together" else 7)  # two steps in each
    assert (replay["place"]["differing"], replay["place"]["index"]) == (256, [0, 0])


@pytest.mark.slow
def test_a_generator_without_a_seed(tmp_path):
    make_project(tmp_path)
    edit(tmp_path / "train.py", "default_rng(1)", "default_rng()")
    for _ in range(2):
        assert shell("run", "train.py", cwd=tmp_path).returncode == 0
    done = shell("diff", "--replay", "--yes", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert found["causes"][-1]["what"] == "unknown"
    assert (found["replay"]["place"]["part"], found["replay"]["place"]["step"]) == ("data", 1)
    assert found["replay"]["remark"].startswith("Neither is what was recorded")


STATES = """
import repro_keras as keras
import numpy as np
from repro_keras import repro

x = np.random.RandomState(0).uniform(size=(64, 4)).astype("float32")
net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="a")], name="net")
net.compile(keras.optimizers.Adam(), "mse")


class Turns(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if net.optimizer.iterations == 13:
            net.layers[0].bias.assign_add([0, STEP, 0, 0])


saves = repro.TrainingState("states", save_freq=5, keep=9)
net.fit(x, x, batch_size=16, epochs=4, verbose=0, callbacks=[Turns(), saves])
"""


@pytest.mark.slow
def test_a_replay_begins_at_the_nearest_state(tmp_path):
    (tmp_path / ".repro").mkdir()
    for step, states in ((0.0, "one"), (0.5, "other")):
        text = STATES.replace("STEP", str(step)).replace("states", states)
        (tmp_path / "train.py").write_text(text)
        assert shell("run", "train.py", cwd=tmp_path).returncode == 0
    first = records(tmp_path)[0]
    done = shell("export", first.parent.name, "--states", "-o", "first.zip", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for path in (tmp_path / "one").iterdir():
        path.unlink()
    for one, began in (
        (first.parent.name, ("its start", "its state after step 10")),
        ("first.zip", ("its state after step 10",) * 2),
    ):
        other = records(tmp_path)[1].parent.name
        done = shell("diff", one, other, "--replay", "--yes", "--json", cwd=tmp_path)
        assert done.returncode == 1, done.stderr
        replay = json.loads(done.stdout)["replay"]
        assert replay["place"]["what"] == "net/a/bias before the step"
        assert (replay["place"]["step"], replay["place"]["now"] is not None) == (14, True)
        for note, whence in zip(replay["notes"], began, strict=True):
            assert note == f"replayed from {whence}, it came to what it recorded"
    assert len(records(tmp_path)) == 2  # nothing of the replays is left
    assert not list((tmp_path / "one").glob("*.safetensors"))


@pytest.mark.slow
def test_what_cannot_be_replayed(tmp_path):
    make_project(tmp_path)
    (tmp_path / "data" / "points.csv").write_text("0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8\n" * 40_000)
    assert shell("run", "train.py", cwd=tmp_path).returncode == 0
    one_line_of_data(tmp_path)
    assert shell("run", "train.py", cwd=tmp_path).returncode == 0
    done = shell("diff", "--replay", "--yes", cwd=tmp_path)
    assert done.returncode == 2
    assert "data/points.csv is not there as it was, and kept are files of at most" in done.stderr
    done = shell("diff", "--replay", cwd=tmp_path)
    assert done.returncode == 2
