"""What each row of the seam for TensorFlow 1 and tf_keras is there for, as `controls.py` says it.

    python controls_v1.py rows|api|all|ROW [LEFT OUT…]

Prints the installed rows, whether each of the rows of `legacy_api` does its work, whether each
control holds, or whether that of one row does. The rows that are named after it are left out.
"""

import json
import os
import random
import re
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.simplefilter("ignore")
from repro_keras import repro  # noqa: E402
from repro_keras._src import errors, patches  # noqa: E402

patches.left_out.update(sys.argv[2:])
import numpy as np  # noqa: E402

import repro_keras.v1 as tf  # noqa: E402

ones = np.ones((1, 4), "float32")


def run(*tensors):
    """The values of tensors of the default graph, in a session of their own."""
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return [value.tolist() for value in session.run(list(tensors))]


def in_graph(build):
    """What tensors built in a new graph come to."""
    with tf.Graph().as_default():
        return run(*build())


def raises(error, function):
    try:
        function()
    except error:
        return True
    except Exception:
        return False
    return False


# Graphs, random ops and sessions


def a_new_graph_has_the_root_seed():
    return tf.Graph().seed == repro.config().seed


def an_older_graph_has_the_root_seed():
    graph = tf.Graph()
    graph._seed = None  # as if it were made before repro_keras was imported
    with graph.as_default():
        return graph.seed == repro.config().seed


def _drawn_late(step):
    """A draw that every second iteration comes to later than the one after it."""
    products = tf.reduce_sum(tf.matmul(tf.ones((50, 50)), tf.ones((50, 50))))
    late = tf.cond(tf.equal(step % 2, 0), lambda: tf.cast(products * 0, tf.int32), lambda: 0)
    return tf.random_uniform([3 + late], seed=1)


def iterations_draw_one_after_another(*, v2, loaded=False):
    def drawn(together):
        with tf.Graph().as_default() as graph:
            result = tf.map_fn(_drawn_late, tf.range(12), tf.float32, together)
            if not loaded:
                return run(result)
        definition = graph.as_graph_def()
        for node in definition.node:
            if "parallel_iterations" in node.attr:  # as another program wrote it
                node.attr["parallel_iterations"].i = together
        with tf.Graph().as_default():
            return run(tf.import_graph_def(definition, return_elements=[result.name])[0])

    from tensorflow.compat import v1

    from repro_keras._src.backends import subnormals

    before, can = v1.control_flow_v2_enabled(), subnormals.can_be_taken_for_0
    (v1.enable_control_flow_v2 if v2 else v1.disable_control_flow_v2)()
    subnormals.can_be_taken_for_0 = lambda: False  # in a pool, as functions run
    try:
        return all(drawn(10) == drawn(1) for _ in range(20))
    finally:
        subnormals.can_be_taken_for_0 = can
        (v1.enable_control_flow_v2 if before else v1.disable_control_flow_v2)()


def a_random_op_is_not_shifted():
    def build():
        return [tf.random_normal([3], name="noise")]

    return in_graph(build) == in_graph(lambda: [tf.random_normal([]), *build()][1:])


def two_ops_have_two_seeds(add):
    """Whether two ops that keep their state in their kernels are seeded apart."""
    with tf.Graph().as_default() as graph:
        add(), add()
        seeds = [
            op.get_attr("seed2") for op in graph.get_operations() if "seed2" in op.node_def.attr
        ]
    return len(seeds) == 2 and seeds[0] != seeds[1]


def _sample(function, *more):
    sampler = getattr(tf.random, function, None) or getattr(tf.nn, function)
    return lambda: two_ops_have_two_seeds(lambda: sampler([[0]], 1, 8, False, *more))


def a_pool_needs_a_seed():
    def pool():
        with tf.Graph().as_default():
            tf.nn.fractional_avg_pool(tf.ones([1, 8, 8, 1]), [1, 1.4, 1.4, 1])

    return raises(errors.ConfigError, pool)


def a_variable_draws_from_the_seed_of_its_name():
    def build(**seed):
        with tf.variable_scope("net"):
            initializer = tf.glorot_uniform_initializer(**seed)
            return [tf.get_variable("kernel", [4, 3], initializer=initializer)]

    return in_graph(build) == in_graph(lambda: build(seed=repro.seed_for("net/kernel")))


def has_a_state(draw):
    """Whether the state of what `draw` adds to a graph can be read."""
    from repro_keras._src.patches import random_ops

    with tf.Graph().as_default() as graph:
        draw()
        return random_ops.out_of_reach(graph) == [] != random_ops.generators(graph)


def _truncated():
    from tensorflow.python.ops import random_ops

    return random_ops.parameterized_truncated_normal([3])


def other_threads_are_refused():
    config = tf.ConfigProto(intra_op_parallelism_threads=repro.config().threads + 1)
    return raises(errors.ConfigError, lambda: tf.Session(config=config))


SMALL = np.float32(1e-38)


def subnormal_numbers_are_0():
    with tf.Graph().as_default(), tf.Session() as session:
        small = tf.placeholder(tf.float32, [])
        return session.run(small * 0.1, {small: SMALL}).tolist() == 0


def subnormal_numbers_are_0_in_a_callable():
    from tensorflow.core.protobuf.config_pb2 import CallableOptions

    with tf.Graph().as_default(), tf.Session() as session:
        small = tf.placeholder(tf.float32, [])
        options = CallableOptions(feed=[small.name], fetch=[(small * 0.1).name])
        return session._make_callable_from_options(options)(SMALL)[0].tolist() == 0


def what_follows_on_data_runs_in_the_calling_thread():
    import threading

    with tf.Graph().as_default():
        iterator = tf.data.make_initializable_iterator(tf.data.Dataset.range(9))
        thread = tf.py_func(lambda _: threading.get_ident(), [iterator.get_next()], tf.int64)
        with tf.Session() as session:
            session.run(iterator.initializer)
            return all(session.run(thread) == threading.get_ident() for _ in range(9))


def _recorded():
    """What a record has of two steps and a save, and of a session that is closed before its end."""
    from repro_keras._src.runs import journal, recorder

    folder = Path(tempfile.mkdtemp())
    recording = recorder.start(folder, folder)
    with tf.Graph().as_default():
        weight = tf.get_variable("w", [3])
        loss = tf.reduce_sum(weight * weight)
        step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
        with tf.Session() as session:
            session.run(weight.initializer)
            losses = [float(session.run([step, loss])[1]).hex() for _ in range(2)]
            tf.train.Saver().save(session, str(folder / "net"))
    recording.finish("finished")
    return journal.Story(folder), losses


def steps_are_recorded_with_their_losses():
    story, losses = _recorded()
    return [loss for segment in story.trail for loss in segment.steps.loss] == losses


def a_save_ends_a_part_of_the_trail():
    return [set(segment.layers) for segment in _recorded()[0].trail] == [{"w"}]


def a_closed_session_has_its_end_on_the_record():
    return "session/0/variables" in _recorded()[0].outcomes


def the_file_checkpoint_names_no_folder():
    folder = tempfile.mkdtemp()
    with tf.Graph().as_default(), tf.Session() as session:
        session.run(tf.get_variable("w", [1]).initializer)
        tf.train.Saver().save(session, f"{folder}/net")
    return folder not in Path(folder, "checkpoint").read_text()


def a_session_begins_the_states():
    return len(in_graph(lambda: [tf.random_normal([3])])) == 1


def queues_are_refused():
    with tf.Graph().as_default():
        return raises(errors.DataError, lambda: tf.train.batch([tf.zeros([])], 2))


# tf_keras


def keras():
    import repro_keras.v1.keras as keras

    return keras


def afresh(build):
    """What `build` gives in a new graph of Keras's."""
    keras().backend.clear_session()
    return build()


def unmoved_by(unrelated, build):
    def both():
        unrelated()
        return build()

    return afresh(build) == afresh(both)


def weights(model):
    return [weight.tolist() for weight in model.get_weights()]


def net(*layers):
    k = keras()
    return k.Sequential([k.layers.InputLayer(ones.shape[1:]), *layers])


def drawn_with(seed, shape=(4, 3)):
    import tf_keras

    initializer = tf_keras.initializers.GlorotUniform(seed=seed)
    return keras().backend.get_value(initializer(shape)).tolist()


def has_the_seed_of(path, build):
    """Whether the kernel of the layer that `build` makes has the seed of a path."""
    return afresh(lambda: weights(build())[0] == drawn_with(repro.seed_for(path)))


def a_layer_in_a_model():
    return has_the_seed_of("sequential#0/dense#0/kernel", lambda: net(keras().layers.Dense(3)))


def a_layer_in_a_layer():
    def build():
        layers = keras().layers

        class Outer(layers.Layer):
            def __init__(self):
                super().__init__()
                self.inner = layers.Dense(3)

            def call(self, x):
                return self.inner(x)

        layer = Outer()
        layer(layers.Input((4,)))
        return layer

    return has_the_seed_of("outer#0/dense#0/kernel", build)


def a_layer_in_a_model_that_is_built():
    def build():
        k = keras()

        class Mine(k.Model):
            def __init__(self):
                super().__init__()
                self.inner = k.layers.Dense(3)

            def call(self, x):
                return self.inner(x)

        model = Mine()
        model.build((None, 4))
        return model

    return has_the_seed_of("mine#0/dense#0/kernel", build)


def directions_count_as_the_layer_they_copy():
    def build():
        layers = keras().layers
        return net(layers.Reshape((2, 2)), layers.Bidirectional(layers.SimpleRNN(3)))

    path = "sequential#0/bidirectional#0/forward_simple_rnn#0/simple_rnn_cell/kernel"
    return afresh(lambda: weights(build())[0] == drawn_with(repro.seed_for(path), (2, 3)))


def default_seeds_are_not_drawn_from_python():
    return unmoved_by(lambda: random.seed(5), lambda: weights(net(keras().layers.Dense(3))))


def dropout_is_named_by_its_layer():
    def build():
        k = keras()
        model = net(k.layers.Dropout(0.5))
        inputs = [model.input, k.backend.learning_phase()]
        return k.backend.function(inputs, [model.output])([np.ones((9, 4)), 1])[0].tolist()

    # It has the same number in its model, and another in the graph.
    return unmoved_by(lambda: keras().layers.Dropout(0.5)(tf.ones([2, 4])), build)


def a_draw_is_not_seeded_by_numpy(draw):
    def build():
        return np.asarray(draw()).tolist()

    return all(unmoved_by(lambda n=n: np.random.seed(n), build) for n in range(2))


def _random_normal():
    backend = keras().backend
    return backend.get_value(backend.random_normal((3,)))


def _fourier():
    import tf_keras

    layer = tf_keras.layers.experimental.RandomFourierFeatures(3, "laplacian")
    return weights(net(layer))[1]


NUMBERS = np.arange(12, dtype="float32")[:, None]


def seen_in_fit(*data, fits=1, model=None, **options):
    """The first number of each batch that a model is trained and evaluated on, in order."""
    k = keras()
    k.backend.clear_session()
    seen = []

    def see(x):
        seen.append(float(x[0, 0]))
        return x

    def look(x):
        y = tf.numpy_function(see, [x], tf.float32)
        y.set_shape(x.shape)
        return y

    inputs = k.layers.Input((1,))
    outputs = k.layers.Dense(1)(k.layers.Lambda(look)(inputs))
    model = k.Model(inputs, outputs, name=model)
    model.compile("sgd", "mse")
    if len(data) == 2:
        options["batch_size"] = options.get("batch_size", 1)
    for _ in range(fits):
        model.fit(*data, verbose=0, **options)
    return seen


def expected(passes, size, fit=0, model="model#0"):
    from repro_keras._src.order import Fit

    return [i for p in range(passes) for i in Fit(0, model, fit).permutation(p, size).tolist()]


def a_second_fit_has_another_order():
    seen = seen_in_fit(NUMBERS, NUMBERS, fits=2, model="net")
    return seen == expected(1, 12, model="net") + expected(1, 12, fit=1, model="net")


def arrays_have_an_order_for_each_pass():
    return seen_in_fit(NUMBERS, NUMBERS, epochs=3) == expected(3, 12)


def validation_is_no_pass():
    other = NUMBERS[:2] + 100
    seen = seen_in_fit(NUMBERS, NUMBERS, validation_data=(other, other), epochs=2)
    return [number for number in seen if number < 100] == expected(2, 12)


def batches_have_an_order_for_each_pass():
    seen = seen_in_fit(NUMBERS, NUMBERS, epochs=2, shuffle="batch", batch_size=2)
    return seen == [2 * i for i in expected(2, 6)]


def items_have_an_order_for_each_pass():
    class Items(keras().utils.Sequence):
        def __len__(self):
            return 6

        def __getitem__(self, index):
            return NUMBERS[index : index + 1], NUMBERS[index : index + 1]

    return seen_in_fit(Items(), epochs=3, shuffle=True) == expected(3, 6)


def set_random_seed_sets_the_root():
    keras().utils.set_random_seed(3)
    held = repro.config().seed == 3
    keras().utils.set_random_seed(0)
    return held


def in_folder(function):
    with tempfile.TemporaryDirectory() as folder:
        return function(Path(folder))


def what_a_file_holds_takes_no_names():
    def build():
        layers = keras().layers
        inputs = layers.Input((4,))
        return keras().Model(inputs, layers.Dense(3, name="head")(inputs))

    def load(folder):
        build().save(folder / "net.h5")
        return unmoved_by(
            lambda: keras().models.load_model(folder / "net.h5"), lambda: weights(build())
        )

    return in_folder(load)


def a_recurrent_model_is_trained_after_it_predicted():
    def fit():
        layers = keras().layers
        model = net(layers.Reshape((2, 2)), layers.LSTM(2), layers.Dense(1))
        model.compile("adam", "mse")
        model.predict(ones)
        return len(model.fit(ones, ones[:, :1], verbose=0).epoch) == 1

    return afresh(fit)


def survives(name, save):
    """Whether a file is as it was where saving fails halfway."""

    def fail(folder):
        keras().backend.clear_session()
        model = net(keras().layers.Dense(2))
        (folder / name).write_bytes(b"old")
        from tf_keras.src.saving.legacy import hdf5_format

        save_group = hdf5_format.save_weights_to_hdf5_group

        def half(group, model):
            save_group(group, model)
            raise ZeroDivisionError

        hdf5_format.save_weights_to_hdf5_group = half
        try:
            getattr(model, save)(folder / name)
        except ZeroDivisionError:
            return (folder / name).read_bytes() == b"old"
        finally:
            hdf5_format.save_weights_to_hdf5_group = save_group
        raise AssertionError("it did not fail")

    return in_folder(fail)


def a_saved_model_has_no_random_number():
    from tensorflow.core.protobuf import fingerprint_pb2

    def save(folder):
        keras().backend.clear_session()
        net(keras().layers.Dense(2)).save(folder / "net", save_format="tf")
        content = (folder / "net" / "fingerprint.pb").read_bytes()
        return fingerprint_pb2.FingerprintDef.FromString(content).uuid == ""

    return in_folder(save)


def code_of_a_lambda_has_no_path():
    layer = keras().layers.Lambda(lambda x: x + 1)
    import base64

    return __file__.encode() not in base64.b64decode(layer.get_config()["function"][0])


def is_refused(function):
    """Whether a format for eager execution is refused; `function` takes a model and a folder."""

    def call(folder):
        keras().backend.clear_session()
        with zipfile.ZipFile(folder / "old.keras", "w") as archive:
            archive.writestr("config.json", "{}")
        model = net(keras().layers.Dense(2))
        return raises(errors.FileFormatError, lambda: function(model, folder))

    return in_folder(call)


def weights_are_saved():
    def save(folder):
        keras().backend.clear_session()
        net(keras().layers.Dense(2)).save_weights(folder / "m.weights.h5")
        return (folder / "m.weights.h5").stat().st_size > 0

    return in_folder(save)


def weights_of_2018_are_loaded():
    def load(folder):
        keras().backend.clear_session()
        one, other = (net(keras().layers.Dense(2)) for _ in range(2))
        one.save_weights(folder / "m.h5")
        other.load_weights((folder / "m.h5").rename(folder / "m.weights.h5"))
        return weights(one) == weights(other)

    return in_folder(load)


def keras_3_is_refused(method, *data):
    import keras as keras_3

    model = keras_3.Sequential([keras_3.Input((4,)), keras_3.layers.Dense(1)])
    model.compile("sgd", "mse")
    return raises(errors.StageError, lambda: getattr(model, method)(*data))


def _state(draw):
    return lambda: has_a_state(draw)


CONTROLS = {
    "graphs: Graph.__init__": a_new_graph_has_the_root_seed,
    "graphs: Graph.as_default": an_older_graph_has_the_root_seed,
    "graphs: random_seed.get_seed": a_random_op_is_not_shifted,
    "graphs: gen_candidate_sampling_ops.all_candidate_sampler": _sample("all_candidate_sampler"),
    "graphs: gen_candidate_sampling_ops.fixed_unigram_candidate_sampler": lambda: (
        two_ops_have_two_seeds(
            lambda: tf.nn.fixed_unigram_candidate_sampler([[0]], 1, 2, True, 3, unigrams=[1, 2, 3])
        )
    ),
    "graphs: gen_candidate_sampling_ops.learned_unigram_candidate_sampler": _sample(
        "learned_unigram_candidate_sampler", 1000
    ),
    "graphs: gen_candidate_sampling_ops.log_uniform_candidate_sampler": _sample(
        "log_uniform_candidate_sampler", 1000
    ),
    "graphs: gen_candidate_sampling_ops.uniform_candidate_sampler": _sample(
        "uniform_candidate_sampler", 1000
    ),
    "graphs: gen_nn_ops.fractional_avg_pool": a_pool_needs_a_seed,
    "graphs: _VariableStore._get_single_variable": a_variable_draws_from_the_seed_of_its_name,
    "loops: while_v2.while_loop": lambda: iterations_draw_one_after_another(v2=True),
    "loops: WhileContext._init_from_args": lambda: iterations_draw_one_after_another(v2=False),
    "loops: importer._import_graph_def_internal": lambda: iterations_draw_one_after_another(
        v2=False, loaded=True
    ),
    "random_ops: gen_random_ops.random_uniform": _state(lambda: tf.random_uniform([3])),
    "random_ops: gen_random_ops.random_standard_normal": _state(lambda: tf.random_normal([3])),
    "random_ops: gen_random_ops.truncated_normal": _state(lambda: tf.truncated_normal([3])),
    "random_ops: gen_random_ops.random_uniform_int": _state(
        lambda: tf.random_uniform([3], maxval=9, dtype=tf.int32)
    ),
    "random_ops: gen_random_ops.random_gamma": _state(lambda: tf.random_gamma([3], 1.0)),
    "random_ops: gen_random_ops.random_shuffle": _state(lambda: tf.random_shuffle([1, 2, 3])),
    "random_ops: gen_random_ops.multinomial": _state(lambda: tf.multinomial([[0.5, 0.5]], 3)),
    "random_ops: gen_random_ops.random_poisson_v2": _state(lambda: tf.random_poisson(1.0, [3])),
    "random_ops: gen_random_ops.parameterized_truncated_normal": _state(_truncated),
    "sessions: BaseSession.__init__": other_threads_are_refused,
    "sessions: BaseSession._call_tf_sessionrun": subnormal_numbers_are_0,
    "sessions: BaseSession._Callable.__call__": subnormal_numbers_are_0_in_a_callable,
    "sessions: gen_dataset_ops.iterator_get_next": what_follows_on_data_runs_in_the_calling_thread,
    "sessions: BaseSession._extend_graph": a_session_begins_the_states,
    "sessions: QueueRunner.__init__": queues_are_refused,
    "legacy_names: Layer._init_set_name": a_layer_in_a_model,
    "legacy_names: Functional._init_set_name": arrays_have_an_order_for_each_pass,
    "legacy_names: Layer.__call__": a_layer_in_a_layer,
    "legacy_names: Model.build": a_layer_in_a_model_that_is_built,
    "legacy_names: Sequential.add": a_layer_in_a_model,
    "legacy_names: Bidirectional.__init__": directions_count_as_the_layer_they_copy,
    "legacy_seeds: Layer.add_weight": a_layer_in_a_model,
    "legacy_seeds: RandomGenerator._maybe_init": default_seeds_are_not_drawn_from_python,
    "legacy_seeds: RandomGenerator.make_seed_for_stateless_op": a_layer_in_a_model,
    "legacy_seeds: RandomGenerator.make_legacy_seed": dropout_is_named_by_its_layer,
    "legacy_seeds: backend.np": lambda: a_draw_is_not_seeded_by_numpy(_random_normal),
    "legacy_seeds: kernelized.np": lambda: a_draw_is_not_seeded_by_numpy(_fourier),
    "legacy_order: Model.fit": a_second_fit_has_another_order,
    "legacy_order: training_arrays_v1.model_iteration": validation_is_no_pass,
    "legacy_order: training_arrays_v1.np": arrays_have_an_order_for_each_pass,
    "legacy_order: training_utils_v1.np": batches_have_an_order_for_each_pass,
    "legacy_order: training_generator_v1._make_enqueued_generator": (
        items_have_an_order_for_each_pass
    ),
    "legacy_session: tf_utils.set_random_seed": set_random_seed_sets_the_root,
    "legacy_session: saving_api.load_model": what_a_file_holds_takes_no_names,
    "legacy_session: control_flow_util_v2._is_building_keras_layer": (
        a_recurrent_model_is_trained_after_it_predicted
    ),
    "legacy_files: hdf5_format.save_model_to_hdf5": lambda: survives("m.h5", "save"),
    "legacy_files: save.save_weights": lambda: survives("m.h5", "save_weights"),
    "legacy_files: save.save": a_saved_model_has_no_random_number,
    "legacy_files: generic_utils.func_dump": code_of_a_lambda_has_no_path,
    "legacy_files: saving_lib.save_model": lambda: is_refused(
        lambda model, folder: model.save(folder / "m.keras")
    ),
    "legacy_files: saving_lib.load_model": lambda: is_refused(
        lambda model, folder: keras().models.load_model(folder / "old.keras")
    ),
    "legacy_files: saving_lib.load_weights_only": lambda: is_refused(
        lambda model, folder: model.load_weights(folder / "old.keras")
    ),
    "legacy_files: saving_api.save_weights": weights_are_saved,
    "legacy_files: saving_api.load_weights": weights_of_2018_are_loaded,
    "eager: TensorFlowTrainer.fit": lambda: keras_3_is_refused("fit", ones, ones[:, :1]),
    "eager: TensorFlowTrainer.evaluate": lambda: keras_3_is_refused("evaluate", ones, ones[:, :1]),
    "eager: TensorFlowTrainer.predict": lambda: keras_3_is_refused("predict", ones),
    "eager: TensorFlowTrainer.train_on_batch": lambda: keras_3_is_refused(
        "train_on_batch", ones, ones[:, :1]
    ),
    "session_steps: BaseSession.run": steps_are_recorded_with_their_losses,
    "session_steps: BaseSession.close": a_closed_session_has_its_end_on_the_record,
    "session_steps: Saver.save": a_save_ends_a_part_of_the_trail,
    "session_steps: Optimizer.compute_gradients": steps_are_recorded_with_their_losses,
    "session_steps: Optimizer.apply_gradients": steps_are_recorded_with_their_losses,
    "sessions: checkpoint_management.update_checkpoint_state_internal": (
        the_file_checkpoint_names_no_folder
    ),
    "eager: TensorFlowTrainer.test_on_batch": lambda: keras_3_is_refused(
        "test_on_batch", ones, ones[:, :1]
    ),
    "eager: TensorFlowTrainer.predict_on_batch": lambda: keras_3_is_refused(
        "predict_on_batch", ones
    ),
}


def api() -> dict[str, bool]:
    """For each row of `legacy_api`, whether the names that it is for are found."""
    keras()
    from repro_keras._src.patches import legacy_api

    found = {}
    for name in legacy_api.public_modules():
        wanted = legacy_api.names_elsewhere(name)
        if wanted:
            module = f"{legacy_api.API}.{name}".rstrip(".")
            found[f"legacy_api: {module}.__getattr__"] = all(
                hasattr(sys.modules[module], wanted_name) for wanted_name in wanted
            )
    return found


def rows() -> list[str]:
    import keras as keras_3

    keras_3.layers.Layer  # noqa: B018 - loads Keras 3, and with it its seam
    keras()
    names = [row.name for row in patches.installed]
    return [name for name in names if re.match("graphs|random_ops|session|legacy|eager", name)]


def holds(control) -> bool:
    try:
        return control()
    except Exception:
        if not patches.left_out:
            raise
        return False  # what stands on a row may fail outright without it


def everything() -> dict[str, bool]:
    return {name: holds(control) for name, control in CONTROLS.items()}


if __name__ == "__main__":
    others = {"rows": rows, "api": api, "all": everything}
    name = sys.argv[1]
    print(json.dumps(others[name]() if name in others else holds(CONTROLS[name])))
