"""TensorFlow 1: seeds by name, sessions, checkpoints, and loops that go on after a kill."""

import json
import signal

import eagerly  # noqa: F401 - first
import forks
import numpy as np
import pytest
import tensorflow as tf2
from fresh import error_of, run, run_json, run_together

from repro_keras import repro, v1

tf = v1


@pytest.fixture(autouse=True)
def _graph():
    with tf.Graph().as_default():
        yield


def values_of(*fetches, feed=None, runs=1):
    """What fetches are in each run of a fresh session of the default graph."""
    with tf.session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        found = [session.run(list(fetches), feed) for _ in range(runs)]
    return found if runs > 1 else found[0]


def in_new_graph(build, *, seed=None, runs=1):
    """The bytes of what `build` makes in a graph of its own."""
    with tf.Graph().as_default():
        if seed is not None:
            tf.set_random_seed(seed)
        made = build()
        return [[x.tobytes() for x in run] for run in _runs(made, runs)]


def _runs(made, runs):
    found = values_of(*made, runs=runs)
    return found if runs > 1 else [found]


def glorot(seed, shape=(4, 3)):
    """What plain TensorFlow makes with this seed in a graph seeded with 0."""
    with tf.Graph().as_default():
        tf.set_random_seed(0)
        initializer = tf.glorot_uniform_initializer(seed=seed)
        (value,) = values_of(tf.get_variable("any", shape, initializer=initializer))
    return value.tobytes()


# Seeds by name


@pytest.mark.slow
def test_the_rows_of_tensorflow_1_10_are_made_again():
    found = forks.run_json("v1_vectors.py")
    assert found == {"rows": 256, "different": []}


def test_a_variable_has_the_seed_of_its_full_name():
    with tf.variable_scope("a"), tf.variable_scope("b"):
        variable = tf.get_variable("w", [4, 3])
    (value,) = values_of(variable)
    assert value.tobytes() == glorot(repro.seed_for("a/b/w"))


def test_no_two_variables_share_a_seed():
    made = []
    for name in "ab":
        with tf.variable_scope(name):
            made += [tf.get_variable(n, [8, 8]) for n in "vw"]
    with tf.variable_scope("p", partitioner=tf.fixed_size_partitioner(4)):
        made += list(tf.get_variable("w", [32, 8]))
    made += [tf.Variable(tf.random_normal([8, 8])) for _ in range(2)]
    found = [value.tobytes() for value in values_of(*made)]
    assert len(set(found)) == len(found) == 10


def test_the_users_seed_wins():
    initializer = tf.glorot_uniform_initializer(seed=7)
    made = [tf.get_variable(n, [4, 3], initializer=initializer) for n in "vw"]
    assert {value.tobytes() for value in values_of(*made)} == {glorot(7)}


def test_what_is_added_moves_nothing_else():
    def net(added):
        if added:
            tf.get_variable("added", [3, 3])
            tf.random_normal([2], name="added_noise")
            tf.layers.dense(tf.ones([1, 2]), 2, name="added_layer")
        w = tf.get_variable("w", [4, 4])
        x = tf.nn.dropout(w, rate=0.5)
        sampled, _, _ = tf.random.log_uniform_candidate_sampler(
            tf.ones([1, 1], tf.int64), 1, 3, True, 1000
        )
        return [
            w,
            x,
            tf.random_shuffle(tf.range(50), name="shuffle"),
            tf.random.categorical(tf.zeros([1, 9]), 9),
            tf.random_gamma([5], 1.5),
            tf.random_poisson(3.0, [9]),
            tf.random_uniform([3], maxval=1000, dtype=tf.int32),
            sampled,
        ]

    without = in_new_graph(lambda: net(False), runs=2)
    assert without == in_new_graph(lambda: net(True), runs=2)
    drawn_anew = [a != b for a, b in zip(*without, strict=True)]
    assert drawn_anew == [False] + [True] * 7


def test_the_seed_of_a_graph_keeps_its_meaning():
    def build():
        return [tf.get_variable("w", [4, 4]), tf.random_normal([4])]

    assert in_new_graph(build) == in_new_graph(build)
    one, other = in_new_graph(build, seed=1), in_new_graph(build, seed=2)
    assert one[0][0] != other[0][0]
    assert one[0][1] != other[0][1]
    assert one == in_new_graph(build, seed=1)


def test_a_repro_scope_begins_the_names_of_a_graph():
    def member(index):
        with repro.scope("member", index):
            return in_new_graph(lambda: [tf.get_variable("w", [4, 3]), tf.random_normal([3])])

    assert member(0) == member(0)
    assert member(0) != member(1)
    assert member(2)[0][0] == glorot(repro.seed_for("member[2]:w"))


def test_random_ops_in_branches_loops_and_data_sets():
    def build():
        chosen = tf.cond(tf.constant(True), lambda: tf.random_normal([2]), lambda: tf.zeros([2]))
        _, summed = tf.while_loop(
            lambda i, x: i < 3, lambda i, x: (i + 1, x + tf.random_uniform([])), [0, 0.0]
        )
        data = tf.data.Dataset.range(20).shuffle(20)
        data = data.map(lambda v: tf.cast(v, tf.float32) + tf.random_uniform([]))
        data = data.map(lambda v: v + tf.random_uniform([]))
        return [chosen, summed, tf.data.make_one_shot_iterator(data).get_next()]

    first = in_new_graph(build, runs=2)
    assert first == in_new_graph(build, runs=2)
    assert all(a != b for a, b in zip(*first, strict=True))


# Scopes, as TensorFlow 1 has them


def test_reuse_and_nested_scopes():
    with tf.variable_scope("a") as scope:
        first = tf.get_variable("w", [2])
    with tf.variable_scope(scope, reuse=True):
        assert tf.get_variable("w", [2]) is first
    with tf.variable_scope("a", reuse=tf.AUTO_REUSE):
        assert v1.get_variable("w", [2]) is first
        assert tf2.compat.v1.get_variable("v", [2]).op.name == "a/v"
    with pytest.raises(ValueError, match="already exists"), tf.variable_scope("a"):
        tf.get_variable("w", [2])
    names = []
    for _ in range(2):
        with v1.variable_scope(None, default_name="block"):
            names.append(tf.get_variable("w", [2]).op.name)
    assert names == ["block/w", "block_1/w"]


def test_initializers_regularizers_and_getters_of_a_scope():
    asked = []

    def asking(getter, name, *args, **kwargs):
        asked.append(name)
        return getter(name, *args, **kwargs)

    with tf.variable_scope(
        "s",
        initializer=tf.random_normal_initializer(stddev=2.0),
        regularizer=lambda w: tf.reduce_sum(w * w),
        custom_getter=asking,
    ):
        variable = tf.get_variable("w", [4, 3])
    assert asked == ["s/w"]
    (loss,) = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    value, loss = values_of(variable, loss)
    assert loss == pytest.approx(np.sum(value * value))
    with tf.Graph().as_default():
        tf.set_random_seed(0)
        initializer = tf.random_normal_initializer(stddev=2.0, seed=repro.seed_for("s/w"))
        (by_hand,) = values_of(tf.get_variable("any", [4, 3], initializer=initializer))
    assert value.tobytes() == by_hand.tobytes()


# Sessions


def test_config_proto():
    proto = v1.config_proto(log_device_placement=True)
    assert proto.intra_op_parallelism_threads == 1
    assert proto.inter_op_parallelism_threads == -1  # in the thread that calls
    assert proto.device_count["GPU"] == 0
    assert proto.log_device_placement
    with pytest.raises(repro.ReproError, match="takes the fields of ConfigProto"):
        v1.config_proto(threads=1)


@pytest.mark.parametrize("make", [v1.session, tf.Session, tf.InteractiveSession])
def test_a_session_does_not_pass_over_other_threads_in_silence(make):
    with pytest.raises(repro.ReproError, match="asks for intra_op_parallelism_threads=4"):
        make(config=tf.ConfigProto(intra_op_parallelism_threads=4))
    with pytest.raises(repro.ReproError, match="asks for 1 GPU"):
        make(config=tf.ConfigProto(device_count={"GPU": 1}))


POOL_OF_ONE = """
import tensorflow.compat.v1 as plain
plain.Session = lambda session=plain.Session: session(
    config=plain.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
)
"""
FETCHED = """
import json, zlib
import repro_keras.v1 as tf
import numpy as np

def fetched():
    with tf.Graph().as_default():
        x = tf.constant(1.0, shape=(8, 30))
        for n in range(3):
            kernel = tf.constant_initializer(np.random.RandomState(n).normal(size=(30, 30)) / 5)
            x = tf.layers.dense(x, 30, tf.nn.relu, kernel_initializer=kernel)
        loss = tf.reduce_mean(x * x)
        step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
        norm = tf.add_n([tf.nn.l2_loss(v) for v in tf.trainable_variables()])
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            return float(session.run([step, loss, norm])[2])

print(json.dumps(sorted({fetched() for _ in range(25)})))
"""


@pytest.mark.slow
def test_what_is_read_beside_a_step_is_the_same_in_every_session():
    one, other = (run_json("-c", FETCHED, hash_seed=seed) for seed in (0, 1))
    assert len(one) == 1
    assert one == other
    off = {"REPRO_KERAS_OFF": "1"}
    assert len(run_json("-c", POOL_OF_ONE + FETCHED, env=off)) > 1  # the well-known recipe


@pytest.mark.slow
def test_a_session_before_repro_keras_is_an_error():
    code = (
        "import tensorflow.compat.v1 as tf; tf.disable_eager_execution(); s = tf.Session()\n"
        "import repro_keras"
    )
    assert "A session was made before repro_keras was imported" in error_of(code)


@pytest.mark.slow
def test_threads_are_configured_before_the_first_session():
    code = (
        "from repro_keras import repro; repro.configure(threads=2, guarantee='machine')\n"
        "import repro_keras.v1 as tf\n"
        "for s in (tf.session(), tf.Session(), tf.Session(config=tf.ConfigProto())):\n"
        "    assert s._config.intra_op_parallelism_threads == 2\n"
        "    assert s._config.inter_op_parallelism_threads == -1\n"
        "repro.configure(threads=1)"
    )
    assert "comes too late" in error_of(code)


@pytest.mark.slow
def test_graphs_are_the_default_where_v1_comes_first():
    code = (
        "import repro_keras.v1 as tf\n"
        "x = tf.placeholder(tf.float32, []); print(tf.Session().run(x + 1, {x: 1.0}))"
    )
    assert run("-c", code).stdout.split()[-1] == "2.0"
    code = (
        "import repro_keras; import tensorflow as tf; tf.constant(1)\n"
        "from repro_keras import v1\n"
        "assert tf.executing_eagerly()"
    )
    run("-c", code)


def test_queues_are_refused_with_the_fix():
    with pytest.raises(repro.ReproError, match=r"Make the input with tf\.data"):
        tf.train.batch([tf.constant(1)], 2)


# Whole programs, in fresh processes


@pytest.mark.slow
def test_the_same_in_every_process(tmp_path):
    folders = [tmp_path / str(i) for i in range(4)]
    for folder in folders:
        folder.mkdir()
    one, two, extra, plain = run_together(
        (("v1_net.py", "ours", "--save", folders[0]), {"cores": "0"}),
        (("v1_net.py", "ours", "--save", folders[1]), {"hash_seed": 5}),
        (("v1_net.py", "ours", "--extra"), {}),
        (("v1_net.py", "plain"), {}),
    )
    assert one == two == extra
    files = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders[:2]]
    assert files[0] == files[1]
    assert set(files[0]) == {
        "checkpoint",
        "net-4.data-00000-of-00001",
        "net-4.index",
        "net-4.meta",
    }
    assert repro.digest(folders[0] / "net-4") == repro.digest(folders[1] / "net-4")
    # Controls: with TensorFlow alone, one more op and four threads make other results.
    more, threads = run_together(
        (("v1_net.py", "plain", "--extra"), {}),
        (("v1_net.py", "plain", "--threads", 4), {}),
    )
    assert more["variables"] != plain["variables"] != threads["variables"]


@pytest.mark.slow
def test_a_killed_loop_goes_on(tmp_path):
    whole = forks.run_json("v1_loop.py", tmp_path / "whole")
    folder = tmp_path / "killed"
    for kill_after in (1, 2, 7, 11):
        process = forks.run("v1_loop.py", folder, kill_after, check=False)
        assert process.returncode == -signal.SIGKILL, process.stderr[-2000:]
    assert forks.run_json("v1_loop.py", folder) == whole
    states = [(tmp_path / name / "loop.safetensors").read_bytes() for name in ("whole", "killed")]
    assert states[0] == states[1]
    # Control: checkpoints of TensorFlow alone forget the states of random ops.
    stock = tmp_path / "stock"
    forks.run("v1_loop.py", stock, 7, "saver", check=False)
    assert forks.run_json("v1_loop.py", stock, 0, "saver") != whole


def optimizers():
    return {
        "GradientDescent": lambda: tf.train.GradientDescentOptimizer(0.1),
        "Momentum": lambda: tf.train.MomentumOptimizer(0.1, 0.9, use_nesterov=True),
        "Adam": lambda: tf.train.AdamOptimizer(0.1),
        "RMSProp": lambda: tf.train.RMSPropOptimizer(0.1, momentum=0.5, centered=True),
        "Adagrad": lambda: tf.train.AdagradOptimizer(0.1),
        "AdagradDA": lambda: tf.train.AdagradDAOptimizer(0.1, tf.train.get_global_step()),
        "Adadelta": lambda: tf.train.AdadeltaOptimizer(0.1),
        "Ftrl": lambda: tf.train.FtrlOptimizer(0.1, l1_regularization_strength=0.01),
        "ProximalAdagrad": lambda: tf.train.ProximalAdagradOptimizer(0.1),
        "ProximalGradientDescent": lambda: tf.train.ProximalGradientDescentOptimizer(0.1),
    }


@pytest.mark.parametrize("name", list(optimizers()))
def test_the_slots_of_each_optimizer_are_part_of_the_state(name, tmp_path):
    tf.train.get_or_create_global_step()
    loss = tf.reduce_mean((tf.layers.dense(tf.random_uniform([4, 3]), 2) - 1.0) ** 2)
    step = optimizers()[name]().minimize(loss, tf.train.get_global_step())

    def go_on(session, steps):
        losses = [session.run([step, loss])[1] for _ in range(steps)]
        return losses, session.run({v.op.name: v for v in tf.global_variables()})

    with tf.session() as session:
        session.run(tf.global_variables_initializer())
        go_on(session, 2)
        v1.save_state(session, tmp_path / "s.safetensors")
        expected = go_on(session, 3)
    with tf.session() as session:
        v1.restore_state(session, tmp_path / "s.safetensors")
        found = go_on(session, 3)
    assert repro.digest(list(found)) == repro.digest(list(expected))


def test_a_monitored_session_and_its_state(tmp_path):
    number = tf.train.get_or_create_global_step()
    loss = tf.reduce_mean((tf.layers.dense(tf.random_uniform([4, 3]), 2) - 1.0) ** 2)
    step = tf.train.AdamOptimizer().minimize(loss, number)
    data = tf.data.make_one_shot_iterator(tf.data.Dataset.range(50).shuffle(50)).get_next()
    with tf.train.MonitoredTrainingSession() as session:
        for _ in range(3):
            session.run([step, data])
        v1.save_state(session, tmp_path / "s.safetensors", "third")
        expected = [session.run([step, loss, data])[1:] for _ in range(3)]
    with tf.train.MonitoredTrainingSession() as session:
        assert v1.restore_state(session, tmp_path / "s.safetensors") == "third"
        assert [session.run([step, loss, data])[1:] for _ in range(3)] == expected


def test_several_graphs_and_sessions_at_once():
    graphs = [tf.Graph(), tf.Graph()]
    made = []
    for graph in graphs:
        with graph.as_default():
            made.append((tf.get_variable("w", [3]), tf.random_normal([3])))
    with tf.session(graphs[0]) as a, tf.session(graphs[1]) as b, tf.session(graphs[0]) as c:
        found = []
        for session, (w, noise) in ((a, made[0]), (b, made[1]), (c, made[0])):
            session.run(w.initializer)
            found.append([session.run([w, noise]) for _ in range(2)])
    digests = {repro.digest(runs) for runs in found}
    assert len(digests) == 1


# States


@pytest.fixture
def saved(tmp_path):
    w = tf.get_variable("w", [3])
    noise = tf.random_normal([2], name="noise")
    path = tmp_path / "s.safetensors"
    with tf.session() as session:
        session.run(w.initializer)
        session.run(noise)
        v1.save_state(session, path, {"epoch": 2, "order": np.arange(3)})
    return path


def test_a_position_comes_back(saved, tmp_path):
    with tf.session() as session:
        position = v1.restore_state(session, saved)
        assert position["epoch"] == 2
        assert position["order"].tolist() == [0, 1, 2]
        assert v1.restore_state(session, tmp_path / "none") is None


@pytest.mark.parametrize("change", ["cut", "flipped", "foreign"])
def test_a_broken_state_is_refused(saved, change):
    content = bytearray(saved.read_bytes())
    if change == "cut":
        content = content[:-9]
    elif change == "flipped":
        content[-5] ^= 1
    else:
        content = b"{}"
    saved.write_bytes(content)
    with tf.session() as session, pytest.raises(repro.ReproError, match=r"s\.safetensors should"):
        v1.restore_state(session, saved)


def test_the_state_of_another_graph_is_refused_with_what_differs(saved):
    with tf.Graph().as_default(), tf.session() as session:
        tf.get_variable("w", [4])
        tf.random_normal([2], name="other")
        with pytest.raises(repro.ReproError) as error:
            v1.restore_state(session, saved)
    assert "the graph has no random op 'noise/RandomStandardNormal'" in str(error.value)
    assert "the file has no random op 'other/RandomStandardNormal'" in str(error.value)
    assert "'w' was float32 of shape (3,) and is float32 of shape (4,)" in str(error.value)


@pytest.mark.slow
def test_the_state_of_another_seed_is_refused(saved):
    code = (
        "import repro_keras.v1 as tf; tf.get_variable('w', [3]); "
        f"tf.random_normal([2], name='noise'); tf.restore_state(tf.session(), {str(saved)!r})"
    )
    error = error_of(code, env={"REPRO_KERAS_SEED": "3"})
    assert "configuration seed was 0 and is 3" in error


def test_what_has_its_state_out_of_reach_is_named(tmp_path):
    tf.random_shuffle(tf.range(3), seed=1, name="mine")
    with tf.session() as session, pytest.raises(repro.ReproError, match="random ops mine"):
        v1.save_state(session, tmp_path / "s")
    with pytest.raises(repro.ReproError, match="Expected a session"):
        v1.save_state(None, tmp_path / "s")


@pytest.mark.parametrize("make", ["make_initializable_iterator", "make_one_shot_iterator"])
def test_the_passes_to_come_are_known(make, tmp_path):
    """Between the last batch of a pass and the next, no checkpoint of TensorFlow's has them."""
    path = tmp_path / "state.safetensors"

    def batches(steps, save_after=None):
        with tf.Graph().as_default(), tf.Session() as session:
            options = tf.data.Options()
            options.experimental_optimization.apply_default_optimizations = False  # read no further
            data = tf.data.Dataset.range(10).shuffle(7).batch(4).repeat().with_options(options)
            iterator = getattr(tf.data, make)(data)
            if make == "make_initializable_iterator":
                session.run(iterator.initializer)
            batch, found = iterator.get_next(), []
            for step in range(tf.restore_state(session, path) or 0, steps):
                found.append(session.run(batch).tolist())
                if save_after is not None:
                    tf.save_state(session, path, step + 1)
            return found

    whole = batches(8)
    assert whole[:3] != whole[3:6]  # it is shuffled anew
    batches(2, save_after=2)
    assert batches(8) == whole[2:]
    with pytest.warns(repro.ReproWarning, match="between the two"):
        batches(3, save_after=3)
    assert batches(8) == whole[2:]  # from the state before


def test_an_iterator_that_calls_python_is_named(tmp_path):
    data = tf.data.Dataset.range(5).map(lambda x: tf.py_func(lambda v: v, [x], tf.int64))
    iterator = tf.data.make_initializable_iterator(data)
    with tf.session() as session:
        session.run(iterator.initializer)
        with pytest.raises(repro.ReproError, match="PyFunc is stateful"):
            v1.save_state(session, tmp_path / "s")


def test_a_position_that_cannot_be_saved(tmp_path):
    with tf.session() as session, pytest.raises(repro.ReproError, match="type object"):
        v1.save_state(session, tmp_path / "s", {"what": object()})


# Records


@pytest.mark.slow
def test_sessions_are_recorded_and_verified(tmp_path):
    (tmp_path / ".repro").mkdir()
    script = tmp_path / "train.py"
    script.write_text(RECORDED)
    done = run("-m", "repro_keras", "run", "--json", "train.py", cwd=tmp_path)
    found = json.loads(done.stdout.splitlines()[-1])
    printed = done.stdout.splitlines()[:-1]
    record = json.loads((tmp_path / found["record"]).read_text())
    (first, second) = record["predicate"]["trail"]
    assert [*first["steps"]["loss"], *second["steps"]["loss"]] == printed[:-1]
    assert set(first["layers"]) == {"w", "by_hand"}
    assert first["steps"]["optimizer"] == [0, 1, 0, 1]
    assert {subject["name"] for subject in record["subject"]} >= {"session/0/variables"}
    # Recording changes no bit.
    plain = run("-c", RECORDED, cwd=tmp_path).stdout.splitlines()
    assert plain[-1] == printed[-1]
    verify = ("-m", "repro_keras", "verify", "--yes")
    assert run(*verify, cwd=tmp_path).stdout.splitlines()[-1] == "The same"
    script.write_text(RECORDED.replace("0.3", "0.31"))
    different = run(*verify, cwd=tmp_path, check=False)
    assert different.returncode == 1
    assert "step 1" in different.stdout


RECORDED = """
import hashlib
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import repro_keras.v1 as tf
x = tf.placeholder(tf.float32, [None, 3])
w = tf.get_variable("w", [3, 2])
loss = tf.reduce_mean(tf.square(tf.nn.dropout(x @ w, rate=0.5) - 1.0))
step = tf.train.GradientDescentOptimizer(0.3).minimize(loss)
by_hand = tf.get_variable("by_hand", [2], initializer=tf.ones_initializer())
other = tf.reduce_sum(by_hand * by_hand)
update = tf.assign_sub(by_hand, 0.1 * tf.gradients(other, by_hand)[0])
tf.record(other, step=update, learning_rate=0.1)
with tf.session() as session:
    session.run(tf.global_variables_initializer())
    for i in range(4):
        found = session.run({"a": [tf.group(step), loss]}, {x: np.random.random((4, 3))})
        print(float(found["a"][1]).hex())
        print(float(session.run([update, other])[1]).hex())
        if i == 1:
            tf.train.Saver().save(session, "model.ckpt")
    values = session.run([w, by_hand])
print(hashlib.sha256(b"".join(v.tobytes() for v in values)).hexdigest())
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"step": 3}, "step must be an op"),
        ({"step": "op", "loss": 1.0}, "loss must be a tensor"),
        ({"step": "op", "learning_rate": "x"}, "learning_rate must be a tensor or a number"),
    ],
)
def test_bad_names_of_steps(arguments, message):
    if arguments["step"] == "op":
        arguments = {**arguments, "step": tf.no_op()}
    with pytest.raises(repro.ReproError, match=message):
        v1.record(**arguments)
