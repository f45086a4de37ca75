"""What each row of the seam is there for, as a sentence that is true only with the row in place.

    python controls.py rows|tf_names|ROW [LEFT OUT…]

Prints the installed rows, whether each of the rows of `tf_names` does its work, or whether the
control of one row holds. The rows that are named after it are left out of the seam.
"""

import base64
import io
import json
import multiprocessing
import os
import pickle
import random
import re
import sys
import tempfile
import time
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import repro_keras as keras
from repro_keras import repro
from repro_keras._src import patches

patches.left_out.update(sys.argv[2:])
import numpy as np  # noqa: E402

L = keras.layers
ones = np.ones((1, 4), "float32")


def net(*layers, name="net"):
    return keras.Sequential([keras.Input(ones.shape[1:]), *layers], name=name)


def state(model):
    return [np.asarray(v).tolist() for v in model.variables]


def unmoved_by(unrelated, build):
    """Whether `build()` in a fresh session gives the same with something unrelated before it."""
    keras.utils.clear_session()
    first = build()
    keras.utils.clear_session()
    unrelated()
    return first == build()


def drawn_with(seed):
    return keras.initializers.GlorotUniform(seed=seed)((4, 3)).numpy().tolist()


class InInitAndInBuild(L.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.early = self.add_weight(shape=(1,), initializer="zeros", name="early")

    def build(self, shape):
        self.kernel = self.add_weight(shape=(4, 3), initializer="glorot_uniform", name="kernel")

    def call(self, x):
        return x @ self.kernel


def automatic_names_count_within_their_parent():
    return unmoved_by(
        lambda: net(L.Dense(2), name="other"),
        lambda: state(net(L.Dense(3))),
    )


def a_layer_is_placed_where_it_is_first_called():
    kernel = net(InInitAndInBuild()).layers[0].kernel.numpy().tolist()
    return kernel == drawn_with(repro.seed_for("net/in_init_and_in_build#0/kernel"))


def directions_count_as_the_layer_they_copy():
    def build():
        return state(net(L.Reshape((2, 2)), L.Bidirectional(L.LSTM(2))))

    return unmoved_by(lambda: L.LSTM(2), build)


def generators_wait_for_the_name_of_their_layer():
    return unmoved_by(keras.random.SeedGenerator, lambda: state(net(L.Dropout(0.5))))


def a_generator_that_nobody_holds_is_named_where_it_is_used():
    generator = keras.random.SeedGenerator()
    named = keras.random.SeedGenerator(repro.seed_for("seed_generator#0"))
    one, other = (keras.random.normal((2,), seed=g).numpy().tolist() for g in (generator, named))
    return one == other


def a_layer_seeds_its_generators_before_they_are_drawn_from():
    model = net(L.Dropout(0.5))
    return state(model) == [[repro.seed_for("net/dropout#0/seed_generator#0"), 0]]


def draws_of_an_initializer_are_its_weights():
    def build():
        dense = L.Dense(3, kernel_initializer=lambda shape, dtype: keras.random.normal(shape))
        return state(net(dense))

    return unmoved_by(lambda: keras.random.normal(()), build)


def default_seeds_are_not_drawn_from_python():
    def build():
        return np.asarray(keras.random.SeedGenerator().state).tolist()

    return unmoved_by(random.random, build)


def no_made_up_seed_in_a_configuration():
    return L.RandomCrop(4, 4).get_config()["seed"] is None


def choices_are_not_drawn_from_python():
    picture = np.arange(2 * 8 * 8 * 3, dtype="float32").reshape(2, 8, 8, 3) % 255

    def build():
        return np.asarray(L.AugMix(name="mix")(picture, training=True)).tolist()

    return all(unmoved_by(lambda n=n: random.seed(n), build) for n in range(4))


def a_weight_draws_from_the_seed_of_its_name():
    kernel = net(L.Dense(3)).layers[0].kernel.numpy().tolist()
    return kernel == drawn_with(repro.seed_for("net/dense#0/kernel"))


def set_random_seed_sets_the_root():
    keras.utils.set_random_seed(3)
    three = state(net(L.Dense(3)))
    keras.utils.set_random_seed(4)
    return three != state(net(L.Dense(3))) and repro.config().seed == 4


def clear_session_starts_names_afresh():
    return unmoved_by(lambda: None, lambda: state(net(L.Dense(3))))


def build_named():
    inputs = keras.Input((4,))
    return keras.Model(inputs, L.Dense(3, name="head")(inputs))


def what_a_file_holds_takes_no_names():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.h5")  # other formats go through `_load_model_from_fileobj` too
        build_named().save(path)
        return unmoved_by(lambda: keras.models.load_model(path), lambda: state(build_named()))


def what_a_pickle_holds_takes_no_names():
    pickled = pickle.dumps(build_named())
    return unmoved_by(lambda: pickle.loads(pickled), lambda: state(build_named()))


NUMBERS = np.arange(12, dtype="float32")[:, None]


class Seeing(keras.Model):
    """Remembers the first number of each batch that it is trained or evaluated on."""

    def __init__(self):
        super().__init__(name="net")
        self.seen = []
        self.compile(loss="mse", run_eagerly=True)

    def call(self, x):
        return x

    def train_step(self, data):
        self.seen.append(float(data[0][0, 0]))
        return {"loss": keras.ops.zeros(())}

    test_step = train_step


class Items(keras.utils.PyDataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        return NUMBERS[index : index + 1], NUMBERS[index : index + 1]


class Drawing(Items):
    def __getitem__(self, index):
        return NUMBERS[:1] + random.random(), NUMBERS[:1]


def seen_in_fit(*data, **options):
    model = Seeing()
    model.fit(*data, batch_size=1, verbose=0, **options)
    return model.seen


def expected(passes, size, fit=0):
    from repro_keras._src.order import Fit

    return [i for p in range(passes) for i in Fit(0, "net", fit).permutation(p, size).tolist()]


def a_second_fit_has_another_order():
    model = Seeing()
    for _ in range(2):
        model.fit(NUMBERS, NUMBERS, batch_size=1, verbose=0)
    return model.seen == expected(1, 12) + expected(1, 12, fit=1)


def arrays_have_an_order_for_each_pass():
    return seen_in_fit(NUMBERS, NUMBERS, epochs=3) == expected(3, 12)


def items_have_an_order_for_each_pass():
    return seen_in_fit(Items(), epochs=3, shuffle=True) == expected(3, 6)


def validation_data_is_the_same_in_each_epoch():
    model = Seeing()
    model.fit(NUMBERS[:1], NUMBERS[:1], validation_data=Drawing(), epochs=2, verbose=0)
    return model.seen[1:7] == model.seen[8:14]


class Stop(keras.callbacks.Callback):
    def on_test_batch_end(self, batch, logs=None):
        self.model.stop_evaluating = True

    def on_predict_batch_end(self, batch, logs=None):
        self.model.stop_predicting = True


def no_workers_are_left_after(method):
    """Whether the workers of data that was not used up have ended."""
    data = Items(workers=2, use_multiprocessing=True)
    getattr(Seeing(), method)(data, callbacks=[Stop()], verbose=0)
    end = time.monotonic() + 15
    while multiprocessing.active_children() and time.monotonic() < end:
        time.sleep(0.05)  # a thread of the pool's waits for them
    return not multiprocessing.active_children()


def a_training_function_gets_an_iterator_of_tensorflow():
    import tensorflow as tf

    got = []
    model = net(L.Dense(1))
    model.compile(loss="mse")
    model.train_function = lambda iterator: (
        got.append(type(iterator)) or {"loss": next(iterator)[1]}
    )
    model.fit(ones, ones[:, :1], verbose=0)
    return issubclass(got[0], tf.data.Iterator)


def unmoved_by_drawing(make):
    """Whether a data set is the same after draws of global generators, and an op with a seed."""
    import tensorflow as tf

    def draw():
        random.random()
        np.random.rand()
        tf.data.Dataset.range(2).shuffle(2, seed=1)

    def contents():
        return [tf.nest.map_structure(lambda x: np.asarray(x).tolist(), item) for item in make()]

    return unmoved_by(draw, contents)


def a_shuffle_of_tf_data_is_named():
    import tensorflow as tf

    return unmoved_by_drawing(lambda: tf.data.Dataset.range(30).shuffle(30))


def from_folder(function, suffix, content, **options):
    """Makes a data set of a folder of files, without a seed."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a", "b"):
            Path(folder, name).mkdir()
            for i in range(20):
                Path(folder, name, f"{i}{suffix}").write_bytes(content(i))
        make = getattr(keras.utils, function)
        return unmoved_by_drawing(lambda: make(folder, verbose=False, batch_size=1, **options))


def a_folder_of_images_is_named():
    import tensorflow as tf

    def content(i):
        return tf.io.encode_png(np.full((2, 2, 3), i, "uint8")).numpy()

    return from_folder("image_dataset_from_directory", ".png", content, image_size=(2, 2))


def a_folder_of_texts_is_named():
    return from_folder("text_dataset_from_directory", ".txt", lambda i: str(i).encode())


def a_folder_of_sounds_is_named():
    import tensorflow as tf

    def content(i):
        return tf.audio.encode_wav(np.full((4, 1), i / 40, "float32"), 8000).numpy()

    return from_folder("audio_dataset_from_directory", ".wav", content, output_sequence_length=4)


def a_time_series_is_named():
    return unmoved_by_drawing(
        lambda: keras.utils.timeseries_dataset_from_array(
            NUMBERS, None, sequence_length=2, shuffle=True
        )
    )


def a_split_is_named():
    return unmoved_by_drawing(
        lambda: keras.utils.split_dataset(NUMBERS, left_size=0.5, shuffle=True)[0]
    )


def compiled(*layers):
    model = net(*layers, L.Dense(1, name="out"))
    model.compile("sgd", "mse")
    return model


def written(model, name="m.keras", save="save"):
    """The bytes of a file that a model was saved to."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        getattr(model, save)(path)
        return path.read_bytes()


def member(content, name):
    return zipfile.ZipFile(io.BytesIO(content)).read(name)


def a_configuration_has_neither_times_nor_addresses():
    regularizer = keras.regularizers.L2(0.1)
    content = written(net(*(L.Dense(2, kernel_regularizer=regularizer) for _ in range(2))))
    ids = re.findall(rb'"shared_object_id": (\d+)', member(content, "config.json"))
    return max(map(int, ids)) < 10 and b"1980-01-01" in member(content, "metadata.json")


def members_of_an_archive_have_no_times():
    members = zipfile.ZipFile(io.BytesIO(written(net(L.Dense(2))))).infolist()
    return {m.date_time for m in members} == {(1980, 1, 1, 0, 0, 0)}


class WithAssets(L.Layer):
    def save_assets(self, folder):
        for number in range(20):
            Path(folder, f"{number * 7919 % 23}").write_text("")


def assets_come_in_order():
    names = zipfile.ZipFile(io.BytesIO(written(net(WithAssets())))).namelist()
    assets = [name for name in names if name.startswith("assets/")]
    return len(assets) == 20 and assets == sorted(assets)


def little_memory_makes_no_difference():
    from keras.src.saving import saving_lib

    contents = set()
    model = build_named()
    for enough in (True, False):
        saving_lib.is_memory_sufficient = lambda model, enough=enough: enough
        contents.add(member(written(model), "model.weights.h5"))
    return len(contents) == 1


def code_of_a_lambda_has_no_path():
    layer = L.Lambda(lambda x: x)
    return Path(__file__).name not in str(marshalled(layer.get_config()["function"]["config"]))


def marshalled(config):
    return base64.b64decode(config["code"])


def a_second_optimizer_has_no_number():
    class Own(keras.optimizers.Optimizer):
        pass

    return [Own(learning_rate=0.1).name for _ in range(2)] == ["own", "own"]


def a_second_loss_has_no_number():
    class Own(keras.losses.Loss):
        pass

    return [Own().name for _ in range(2)] == ["own", "own"]


def objects_that_a_configuration_makes_are_not_shared():
    class Making(L.Layer):
        def get_config(self):
            made = map(keras.initializers.Constant, range(1000))
            return {"made": [keras.saving.serialize_keras_object(c) for c in made]}

    content = member(written(net(Making())), "config.json")
    (layer,) = json.loads(content)["config"]["layers"][1:]
    return not any("shared_object_id" in made for made in layer["config"]["made"])


def saving_in_the_legacy_format_changes_nothing():
    model = compiled()
    before = written(model)
    written(model, "m.h5")
    return written(model) == before


def survives(name, save):
    """Whether an old file survives that saving a new one fails."""

    class Failing(L.Layer):
        def save_own_variables(self, store):
            raise ZeroDivisionError

        @property
        def weights(self):
            if sys._getframe(1).f_code.co_name != "__init__" and failing:
                raise ZeroDivisionError
            return super().weights

    failing = False
    model = net(Failing(name="fails"))
    failing = True
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(b"old")
        try:
            getattr(model, save)(path)
        except ZeroDivisionError:
            return path.read_bytes() == b"old"
        raise AssertionError("it did not fail")


def exported(model):
    """The variables of a SavedModel, in the order in which it lists them, and its number."""
    import tensorflow as tf
    from tensorflow.core.protobuf import fingerprint_pb2

    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        fingerprint = Path(folder, "fingerprint.pb").read_bytes()
        reader = tf.train.load_checkpoint(f"{folder}/variables/variables")
        variables = [
            reader.get_tensor(f"_all_variables/{i}/.ATTRIBUTES/VARIABLE_VALUE").tolist()
            for i in range(len(model.variables))
        ]
    return variables, fingerprint_pb2.FingerprintDef.FromString(fingerprint).uuid


def variables_of_a_saved_model_come_as_they_were_made():
    model = net(*(L.Dense(4) for _ in range(12)))
    for number, variable in enumerate(model.variables):
        variable.assign(keras.ops.full(variable.shape, number))
    variables, _ = exported(model)
    return [np.ravel(value)[0] for value in variables] == list(range(24))


def a_saved_model_has_no_random_number():
    return exported(net(L.Dense(2)))[1] == ""


class Killing(keras.callbacks.Callback):
    """Ends training as if the process was killed, before a step or at the end of an epoch."""

    def __init__(self, step=None, epoch=None, stop=None):
        super().__init__()
        self.told = [step, epoch, stop, 0]
        self.at_end = None

    def on_train_batch_begin(self, batch, logs=None):
        if self.told[3] == self.told[0]:
            raise ZeroDivisionError
        self.told[3] += 1

    def on_train_batch_end(self, batch, logs=None):
        if self.told[3] == self.told[2]:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.told[1]:
            raise ZeroDivisionError

    def on_train_end(self, logs=None):
        self.at_end = logs

    def get_state(self):
        return None

    def set_state(self, state):
        pass


def goes_on(data=None, save_freq=3, step=10, epoch=None, stop=None, **options):
    """Whether training that was killed goes on, and comes to what it does without that."""
    from repro_keras._src.state import training

    def run(folder, *killing):
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        training._fits.clear()
        model = net(L.Dropout(0.5), L.Dense(1))
        model.compile("adam", "mse")
        keeper, killer = repro.TrainingState(folder, save_freq), Killing(*killing)
        given = (inputs, inputs[:, :1]) if data is None else (data(),)
        settings = {"batch_size": 2, **options} if data is None else options
        every = [keeper, killer]
        try:
            history = model.fit(*given, epochs=3, verbose=0, callbacks=every, **settings)
        except ZeroDivisionError:
            return None
        return [history.history, killer.at_end, state(model)], keeper.resumed

    inputs = np.random.default_rng(0).random((12, 4), "float32")
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        expected, _ = run(one, None, None, stop)
        run(other, step, epoch, stop)
        found, resumed = run(other, None, None, stop)
        return resumed is not None and found == expected


class Hooked(keras.utils.PyDataset):
    begun, ended = 0, 0

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return ones * (index + self.begun + self.ended), ones[:, :1]


class Beginning(Hooked):
    def on_epoch_begin(self):
        self.begun += 1


class Ending(Hooked):
    def on_epoch_end(self):
        self.ended += 1


def counting():
    for i in range(100):
        yield ones * i, ones[:, :1]


CONTROLS = {
    "positions: TFEpochIterator.__init__": lambda: goes_on(Ending),
    "positions: PyDatasetAdapter.on_epoch_begin": lambda: goes_on(Beginning),
    "positions: PyDatasetAdapter.on_epoch_end": lambda: goes_on(Ending),
    "positions: GeneratorDataAdapter.get_tf_dataset": lambda: goes_on(counting, steps_per_epoch=6),
    "positions: EpochIterator._enumerate_iterator": goes_on,
    "resume: TensorFlowTrainer.fit": goes_on,
    "resume: CallbackList.on_train_begin": goes_on,
    "resume: CallbackList.on_epoch_begin": goes_on,
    "resume: CallbackList.on_train_batch_end": lambda: goes_on(step=5),
    "resume: CallbackList.on_epoch_end": lambda: goes_on(save_freq="epoch"),
    "resume: CallbackList.on_train_end": lambda: goes_on(step=None),
    "resume: Trainer._get_metrics_result_or_logs": (
        lambda: goes_on(save_freq=1, step=None, epoch=1, stop=8)
    ),
    "names: Layer.__init__": automatic_names_count_within_their_parent,
    "names: Layer._open_name_scope": a_layer_is_placed_where_it_is_first_called,
    "names: Bidirectional.__init__": directions_count_as_the_layer_they_copy,
    "generators: SeedGenerator.__init__": generators_wait_for_the_name_of_their_layer,
    "generators: SeedGenerator.next": a_generator_that_nobody_holds_is_named_where_it_is_used,
    "generators: Layer._open_name_scope": a_layer_seeds_its_generators_before_they_are_drawn_from,
    "generators: seed_generator.global_seed_generator": draws_of_an_initializer_are_its_weights,
    "generators: seed_generator.python_random": default_seeds_are_not_drawn_from_python,
    "generators: RandomCrop.__init__": no_made_up_seed_in_a_configuration,
    "generators: aug_mix.py_random": choices_are_not_drawn_from_python,
    "weights: Variable.__init__": a_weight_draws_from_the_seed_of_its_name,
    "weights: RandomInitializer.__init__": a_weight_draws_from_the_seed_of_its_name,
    "weights: RandomInitializer.seed": a_weight_draws_from_the_seed_of_its_name,
    "session: rng_utils.set_random_seed": set_random_seed_sets_the_root,
    "session: global_state.clear_session": clear_session_starts_names_afresh,
    "session: saving_api.load_model": what_a_file_holds_takes_no_names,
    "session: saving_lib._load_model_from_fileobj": what_a_pickle_holds_takes_no_names,
    "order: TensorFlowTrainer.fit": a_second_fit_has_another_order,
    "order: TensorFlowTrainer.evaluate": lambda: no_workers_are_left_after("evaluate"),
    "order: TensorFlowTrainer.predict": lambda: no_workers_are_left_after("predict"),
    "order: TFEpochIterator.__init__": arrays_have_an_order_for_each_pass,
    "order: EpochIterator.reset": validation_data_is_the_same_in_each_epoch,
    "order: TFEpochIterator._get_iterator": arrays_have_an_order_for_each_pass,
    "order: TFEpochIterator.__next__": (a_training_function_gets_an_iterator_of_tensorflow),
    "order: ArrayDataAdapter.get_tf_dataset": arrays_have_an_order_for_each_pass,
    "order: PyDatasetAdapter.get_tf_dataset": items_have_an_order_for_each_pass,
    "data_seeds: random_seed.get_seed": a_shuffle_of_tf_data_is_named,
    "data_seeds: image_dataset_utils.image_dataset_from_directory": a_folder_of_images_is_named,
    "data_seeds: text_dataset_utils.text_dataset_from_directory": a_folder_of_texts_is_named,
    "data_seeds: audio_dataset_utils.audio_dataset_from_directory": a_folder_of_sounds_is_named,
    "data_seeds: timeseries_dataset_utils.timeseries_dataset_from_array": a_time_series_is_named,
    "data_seeds: dataset_utils.split_dataset": a_split_is_named,
    "files: saving_lib._serialize_model_as_json": a_configuration_has_neither_times_nor_addresses,
    "files: saving_lib.zipfile": members_of_an_archive_have_no_times,
    "files: saving_lib._write_to_zip_recursively": assets_come_in_order,
    "files: H5IOStore._get_h5_file": little_memory_makes_no_difference,
    "files: python_utils.func_dump": code_of_a_lambda_has_no_path,
    "files: BaseOptimizer.__init__": a_second_optimizer_has_no_number,
    "files: Loss.__init__": a_second_loss_has_no_number,
    "files: serialization_lib.record_object_after_serialization": (
        objects_that_a_configuration_makes_are_not_shared
    ),
    "files: saving_utils.model_metadata": saving_in_the_legacy_format_changes_nothing,
    "files: saving_lib.save_model": lambda: survives("m.keras", "save"),
    "files: saving_lib.save_weights_only": lambda: survives("m.weights.h5", "save_weights"),
    "files: legacy_h5_format.save_model_to_hdf5": lambda: survives("m.h5", "save"),
    "export: saved_model_export_archive._list_variables_used_by_fns": (
        variables_of_a_saved_model_come_as_they_were_made
    ),
    "export: saved_model._list_variables_used_by_fns": (
        variables_of_a_saved_model_come_as_they_were_made
    ),
    "export: SavedModelExportArchive.write_out": a_saved_model_has_no_random_number,
    "export: ExportArchive.write_out": a_saved_model_has_no_random_number,
}


def tf_names() -> dict[str, bool]:
    """For each row of `tf_names`, whether the names that it is for are found."""
    L.Layer  # noqa: B018 - loads Keras, and with it the seam
    from repro_keras._src.patches import tf_names

    found = {}
    for module in tf_names.public_modules():
        wanted = tf_names.names_only_in_tf(module)
        if wanted:
            row = f"tf_names: {module}.__getattr__"
            found[row] = all(hasattr(sys.modules[module], name) for name in wanted)
    return found


def rows() -> list[str]:
    L.Layer  # noqa: B018
    return [row.name for row in patches.installed]


others = {"rows": rows, "tf_names": tf_names}
print(json.dumps({**CONTROLS, **others}[sys.argv[1]]()))
