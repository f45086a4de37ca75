"""Scopes, frames and names: by themselves, and around real models in fresh processes."""

import threading

import pytest
from fresh import run_json

from repro_keras._src import seeding
from repro_keras._src.errors import ConfigError, ScopeError, SeedNameError
from repro_keras._src.seeding import Frame


def test_occurrences_and_numbers():
    frame = Frame("fold[2]:", 7)
    assert [str(frame.take("a/kernel")) for _ in range(3)] == [
        "fold[2]:a/kernel",
        "fold[2]:a/kernel@1",
        "fold[2]:a/kernel@2",
    ]
    top = frame.top
    assert [top.numbered("dense"), top.numbered("dense"), top.numbered("conv")] == [
        "dense#0",
        "dense#1",
        "conv#0",
    ]
    assert top.named("a/b") == "a%2Fb"
    assert top.inside("x").numbered("dense") == "x/dense#0"
    assert top.inside("x").numbered("dense") == "x/dense#1"
    assert str(frame.afresh().take("a/kernel")) == "fold[2]:a/kernel"


def test_names_derived_from_an_automatic_one_lose_its_number():
    node = seeding.Node(Frame("", 0), "block#0", (("block_3", "block"),))
    assert node.named("block_3_proj") == "block#0/block_proj"
    assert node.named("block_35") == "block#0/block_35"


@pytest.mark.parametrize("name", [3, "", b"net", ["net"]])
def test_bad_scope_names(name):
    with pytest.raises(ConfigError, match="name of a scope"):
        seeding.scope(name)


@pytest.mark.parametrize("index", [-1, 1.0, "1", None, True, 2**60])
def test_bad_scope_indices(index):
    with pytest.raises(ConfigError, match="index of a scope"):
        seeding.scope("net", index)


def test_what_a_scope_cannot_decorate():
    def generator():
        yield 1

    async def coroutine():
        pass

    for wrong in (generator, coroutine):
        with pytest.raises(ScopeError, match="inside it"):
            seeding.scope("net")(wrong)
    for wrong in (3, int):
        with pytest.raises(ScopeError, match="decorates a function"):
            seeding.scope("net")(wrong)
    with pytest.raises(ScopeError, match="needs a name"), seeding.scope():
        pass


def test_scopes_must_be_left_in_order():
    outer, inner = seeding.scope("outer"), seeding.scope("inner")
    outer.__enter__()
    inner.__enter__()
    with pytest.raises(ScopeError, match="opposite order"):
        outer.__exit__(None, None, None)
    inner.__exit__(None, None, None)
    outer.__exit__(None, None, None)
    assert seeding.current_frame().prefix == ""
    with pytest.raises(ScopeError, match="opposite order"):
        outer.__exit__(None, None, None)


def test_threads_are_in_their_own_scopes():
    seen, barrier = {}, threading.Barrier(2)
    shared = seeding.scope("shared")

    def work(name):
        with shared, seeding.scope(name):
            barrier.wait()
            seen[name] = seeding.current_frame().prefix
            barrier.wait()
        seen[name + " after"] = seeding.current_frame().prefix

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"a": "shared:a:", "b": "shared:b:", "a after": "", "b after": ""}


@pytest.mark.parametrize("path", ["", "a//b", "dense#x/kernel", 3, None])
def test_seed_for_refuses_what_is_no_name(path):
    with pytest.raises(SeedNameError):
        seeding.seed_for(path)


@pytest.mark.slow
def test_builders_in_scopes():
    one, two = run_json("-c", SCOPES, hash_seed=1, cores="0"), run_json("-c", SCOPES, hash_seed=2)
    assert one == two
    assert one["three calls"][0] == one["three calls"][1] == one["three calls"][2]
    assert one["lazy"][0] == one["lazy"][1]
    assert one["names"][0] == one["names"][1]
    assert one["model name"] == ["build", "build", "net_2", "fold", "fold_1"]
    members = one["members"]
    assert len(set(members)) == len(members)
    assert one["nested"][0] != one["nested"][1]
    assert one["nested"][0] == one["nested"][2]
    assert one["threads"][0] == one["threads"][1] == one["three calls"][0]
    assert one["outer"] == one["outer without"]
    assert one["seed inside"][0] == one["seed inside"][1]
    assert one["draws reseeded"][0] == one["draws reseeded"][1]
    assert one["draws"][0] == one["draws"][1] != one["draws"][2]


SCOPES = """
import json, threading
import numpy as np
import repro_keras as keras
from repro_keras import repro

L = keras.layers
x = np.ones((2, 4), "float32")

def make():
    return keras.Sequential([keras.Input((4,)), L.Dense(3), L.Dropout(0.5), L.Dense(3)])

def state(model):
    return repro.digest([np.asarray(v) for v in model.variables] + [model(x, training=True)])

@repro.scope
def build():
    return make()

@repro.scope()
def build_lazily():
    return keras.Sequential([L.Dense(3), L.GaussianNoise(0.5)])

result = {}
models = [build() for _ in range(3)]
result["three calls"] = [state(m) for m in models]
result["names"] = [[v.path for v in m.variables] + [l.name for l in m.layers] for m in models]
L.Dense(3)(x)
lazy = [build_lazily() for _ in range(2)]
L.Dense(3)(x)
result["lazy"] = [state([m, m(x)][0]) for m in lazy]
with repro.scope("net", np.int64(2)):
    named = make()
folds = []
for index in range(3):
    with repro.scope("fold", index):
        folds.append(make())
result["model name"] = [models[0].name, models[1].name, named.name, folds[0].name, folds[1].name]
result["members"] = [state(m) for m in folds]

def in_outer(name):
    with repro.scope(name):
        return state(build())
result["nested"] = [in_outer("one"), in_outer("two"), in_outer("one")]

try:
    with repro.scope("broken"):
        make()
        raise KeyError
except KeyError:
    pass
again = repro.scope("again")
with again:
    L.Dense(2)
    with again:
        pass
from_threads = []
threads = [threading.Thread(target=lambda: from_threads.append(state(build()))) for _ in range(2)]
for t in threads: t.start()
for t in threads: t.join()
result["threads"] = from_threads

keras.utils.clear_session()
first = [state(make()), L.Dense(1).name]
keras.utils.clear_session()
with repro.scope("between"):
    make()
    keras.utils.clear_session()
    make()
build()
result["outer"] = first
result["outer without"] = [state(make()), L.Dense(1).name]

inside = []
for _ in range(2):
    with repro.scope("net"):
        keras.utils.set_random_seed(5)
        inside.append(state(make()))
result["seed inside"] = inside
reseeded = []
keras.random.normal(())
for _ in range(2):
    with repro.scope("net"):
        keras.random.normal(())
        repro.configure(seed=6)
        inner = float(keras.random.normal(()))
    reseeded.append([inner, float(keras.random.normal(()))])
result["draws reseeded"] = reseeded
draws = []
for name in "aab":
    with repro.scope(name):
        draws.append([float(keras.random.normal(())) for _ in range(3)])
result["draws"] = draws
print(json.dumps(result))
"""


@pytest.mark.slow
def test_scikit_learn_wrappers_and_searches():
    one, two = (
        run_json("-c", SEARCHES, hash_seed=1, cores="0", extras=True),
        run_json("-c", SEARCHES, hash_seed=2, extras=True),
    )
    assert one == two
    plain = [
        run_json(
            "-c",
            SEARCHES.replace("repro_keras", "keras")
            .replace("from keras import repro\n", "")
            .replace("@repro.scope\n", "")
            .replace("with repro.scope(f'trial', trial):", "if True:")
            .replace("repro.digest(", "repr("),
            extras=True,
        )
        for _ in range(2)
    ]
    assert plain[0]["scores"] != plain[1]["scores"]
    assert len(set(one["builds"])) == 3  # the folds' models start differently
    assert len(set(one["trials"])) == 3
    assert one["scoped builds"][0] == one["scoped builds"][1]


SEARCHES = """
import json
import numpy as np
import repro_keras as keras
from repro_keras import repro
from sklearn.model_selection import KFold, cross_val_score

L = keras.layers
rng = np.random.RandomState(0)
x, y = rng.rand(60, 4).astype("float32"), rng.rand(60, 1).astype("float32")
builds = []

def make(X, y):
    model = keras.Sequential([keras.Input((4,)), L.Dense(8), L.Dropout(0.3), L.Dense(1)])
    model.compile("adam", "mse")
    builds.append(repro.digest([np.asarray(w) for w in model.weights]))
    return model

wrapper = keras.wrappers.SKLearnRegressor(make, fit_kwargs={"epochs": 2, "verbose": 0})
scores = cross_val_score(wrapper, x, y, cv=KFold(3))
result = {"scores": [float(s).hex() for s in scores], "builds": builds[:]}

trials = []
for trial in range(3):
    with repro.scope(f'trial', trial):
        model = make(x, y)
        history = model.fit(x, y, epochs=2, verbose=0)
        trials.append(history.history["loss"][-1].hex())
result["trials"] = trials

@repro.scope
def scoped(X, y):
    return make(X, y)
del builds[:]
for _ in range(2):
    scoped(x, y).fit(x, y, verbose=0)
result["scoped builds"] = builds
print(json.dumps(result))
"""


FLIPPED = """
import json, os
import repro_keras as keras
import tensorflow as tf

if "REPRO_KERAS_OFF" in os.environ:  # by the well-known recipe
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
images = tf.reshape(tf.range(16 * 48.0), (16, 4, 4, 3))

@tf.function
def flipped():
    return tf.map_fn(lambda image: tf.image.random_flip_left_right(image, seed=1), images)

def first_pixels():
    tf.random.set_seed(1)
    return tuple(flipped()[:, 0, 0, 0].numpy().tolist())

print(json.dumps(sorted({first_pixels() for _ in range(300)})))
"""


@pytest.mark.slow
def test_random_operations_in_a_loop_draw_one_after_another():
    one, other = (run_json("-c", FLIPPED, cores=cores) for cores in ("0", None))
    assert len(one) == 1
    assert one == other
    assert len(run_json("-c", FLIPPED, env={"REPRO_KERAS_OFF": "1"})) > 1
    several = {"REPRO_KERAS_GUARANTEE": "machine", "REPRO_KERAS_THREADS": "4"}
    assert run_json("-c", FLIPPED, env=several) == one
