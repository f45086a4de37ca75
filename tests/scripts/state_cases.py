"""Cases of `repro.TrainingState` in one process, each of which must come out true.

    python state_cases.py [CASE…]

Prints, for each case, `true` or what went wrong. A kill is an exception here, after which
everything is built anew.
"""

import contextlib
import gc
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import repro_keras as keras
from repro_keras import repro

import numpy as np  # isort: skip
import tensorflow as tf  # isort: skip

from repro_keras._src.errors import ConfigError, FileFormatError, SaveError  # isort: skip
from repro_keras._src.state import files, folder, training, value  # isort: skip

L = keras.layers
gc.freeze()  # `clear_session` collects garbage, and need not look at what Keras is made of
rows = np.random.default_rng(0).random((24, 5), "float32")
targets = rows.sum(1, keepdims=True)


class KilledError(Exception):
    pass


class KillAt(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self._at, self._steps = step, 0

    def on_train_batch_begin(self, batch, logs=None):
        if self._steps == self._at:
            raise KilledError
        self._steps += 1

    def get_state(self):
        return None

    def set_state(self, state):
        pass


def net(units=4, activation="relu"):
    model = keras.Sequential([L.Dense(units, activation), L.Dropout(0.4), L.Dense(1)], name="net")
    # Eagerly and without Adam: tracing would take most of the time. states.py has both.
    momentum = keras.optimizers.SGD(0.01, momentum=0.9)
    model.compile(momentum, "mse", metrics=["mae"], run_eagerly=True)
    return model


def anew():
    """As in a fresh process, as far as states are concerned."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    training._fits.clear()


def trained(
    place, build=net, kill=None, callbacks=(), data=(rows, targets), setting=None, **options
):
    anew()
    model = build()
    keeper = repro.TrainingState(place, **{"save_freq": 2, **(setting or {})})
    options = {"batch_size": 4, "epochs": 3, "verbose": 0, "shuffle": True, **options}
    if not isinstance(data[0], np.ndarray):
        del options["batch_size"]
    with contextlib.suppress(KilledError):
        history = model.fit(*data, callbacks=[*callbacks, keeper, KillAt(kill)], **options)
        latest = keeper.latest()
        return {
            "history": history.history,
            "model": repro.digest(model, optimizer=True),
            "state": None if latest is None else repro.digest(latest),
        }
    return None


def new_folder():
    return Path(tempfile.mkdtemp(prefix="state-"))


def states_in(place):
    return sorted(place.glob("*.safetensors"))


def same_with(damage, warns):
    """Whether training goes on exactly after the newest state was damaged, with a warning."""
    expected = trained(new_folder())
    place = new_folder()
    trained(place, kill=10)
    newest = states_in(place)[-1]
    damage(newest)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = trained(place)
    told = [str(w.message) for w in caught if issubclass(w.category, repro.ReproWarning)]
    assert any(newest.name in text and warns in text for text in told), told
    return found == expected


def a_state_that_is_cut_off_is_passed_over():
    return same_with(lambda path: os.truncate(path, path.stat().st_size - 5), "cut off")


def an_empty_state_is_passed_over():
    return same_with(lambda path: os.truncate(path, 0), "cut off")


def a_flipped_bit_is_passed_over():
    def flip(path):
        content = bytearray(path.read_bytes())
        content[-3] ^= 16
        path.write_bytes(content)

    return same_with(flip, "digest")


def a_foreign_file_is_passed_over():
    from safetensors.numpy import save_file

    return same_with(lambda path: save_file({"a": rows}, path), "none of a state")


def any_flipped_bit_is_found():
    place = new_folder()
    trained(place, kill=5)
    path = states_in(place)[-1]
    content = path.read_bytes()
    chance = np.random.default_rng(0)
    header = int.from_bytes(content[:8], "little") + 8
    places = [*range(8), *chance.integers(0, header, 150), *chance.integers(0, len(content), 150)]
    for position in map(int, places):
        changed = bytearray(content)
        changed[position] ^= 1 << int(chance.integers(8))
        path.write_bytes(changed)
        try:
            files.read(path)
        except FileFormatError:
            continue
        raise AssertionError(f"not found at {position} of {len(content)}")
    path.write_bytes(content)
    files.read(path)
    return True


def without_a_whole_state_it_begins_anew():
    expected = trained(new_folder())
    place = new_folder()
    trained(place, kill=10)
    for path in states_in(place):
        path.write_bytes(b"?")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return trained(place) == expected


def any_reader_of_safetensors_finds_the_arrays():
    from safetensors.numpy import load_file

    place = new_folder()
    trained(place, kill=5)
    path = states_in(place)[-1]
    arrays, state = load_file(path), files.read(path)
    return set(arrays) == set(state.arrays) and all(
        np.array_equal(arrays[n].ravel(), state.arrays[n].ravel()) for n in arrays
    )


def refusal(**other):
    place = new_folder()
    trained(place, kill=10)
    try:
        trained(place, **other)
    except repro.StateError as error:
        return str(error)
    return "nothing"


def another_model_is_refused():
    return "variable" in refusal(build=lambda: net(5))


def another_activation_is_refused():
    return "layers" in refusal(build=lambda: net(activation="tanh"))


def other_data_is_refused():
    return "fit: x was sha256:" in refusal(data=(rows + 1, targets))


def another_batch_size_is_refused():
    return "fit: batch_size was 4 and is 6" in refusal(batch_size=6)


def another_optimizer_is_refused():
    def build():
        model = net()
        model.compile("adam", "mse", metrics=["mae"])
        return model

    text = refusal(build=build)
    return "optimizer: class was SGD and is Adam" in text


def other_callbacks_are_refused():
    return "EarlyStopping#0" in refusal(callbacks=[keras.callbacks.EarlyStopping("loss")])


def another_configuration_is_refused():
    def build():
        keras.utils.set_random_seed(5)
        return net()

    return "configuration: seed was 0 and is 5" in refusal(build=build)


def another_version_of_keras_is_refused():
    place = new_folder()
    trained(place, kill=10)
    import msgspec

    for path in states_in(place):
        state = files.read(path)
        facts = {**state.content.facts, "versions": {"keras": "3.0"}}
        content = msgspec.structs.replace(state.content, facts=facts)
        files.write(path, value.State(content, state.arrays))
    try:
        trained(place)
    except repro.StateError as error:
        return "versions: keras was 3.0 and is" in str(error)
    return False


def more_epochs_are_no_difference():
    place = new_folder()
    trained(place, epochs=2)
    return trained(place, epochs=4)["model"] == trained(new_folder(), epochs=4)["model"]


def what_is_over_returns_at_once():
    place = new_folder()
    expected = trained(place)
    return trained(place, kill=0) == expected


def two_fits_have_states_of_their_own():
    def both(place, kill):
        anew()
        model = net()
        options = {"batch_size": 4, "epochs": 2, "verbose": 0}
        keeper = repro.TrainingState(place, 2)
        history = model.fit(rows, targets, callbacks=[keeper], **options).history
        before = repro.digest(model)
        with contextlib.suppress(KilledError):
            killer = KillAt(kill)
            again = model.fit(rows, targets, callbacks=[keeper, killer], **options).history
            return history, again, before, repro.digest(model)
        return None

    expected = both(new_folder(), None)
    place = new_folder()
    both(place, 7)
    return both(place, None) == expected


@contextlib.contextmanager
def small_files(size=2000):
    """A disk that has room for `size` bytes of a file."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def a_full_disk_ends_saving_loudly_and_not_training():
    expected = trained(new_folder())
    place = new_folder()
    with warnings.catch_warnings(record=True) as caught, small_files():
        warnings.simplefilter("always")
        found = trained(place)
    told = [str(w.message) for w in caught if "not saved" in str(w.message)]
    left = [path for path in place.iterdir() if path.name != ".lock"]
    return bool(told) and found["model"] == expected["model"] and not left


def a_full_disk_ends_training_where_wanted():
    try:
        with small_files():
            trained(new_folder(), setting={"on_error": "raise"})
    except SaveError:
        return True
    return False


def a_folder_that_cannot_be_is_told():
    place = new_folder() / "file"
    place.write_text("")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = trained(place)
    told = [str(w.message) for w in caught if "not saved" in str(w.message)]
    return bool(told) and found is not None


def a_second_process_is_refused():
    place = new_folder()
    code = f"""
import fcntl, sys
file = open({str(place / ".lock")!r}, "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""
    pipe = subprocess.PIPE
    folder._PATIENCE = 0.2
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as other:
        other.stdout.readline()
        try:
            trained(place)
        except repro.StateError as error:
            return "another process" in str(error)
        finally:
            other.stdin.close()
    return False


def the_folder_is_free_after_a_failure():
    place = new_folder()
    trained(place, kill=3)
    return trained(place) == trained(new_folder())


def two_settings_are_refused():
    try:
        net().fit(rows, targets, callbacks=[repro.TrainingState("a"), repro.TrainingState("b")])
    except repro.StateError as error:
        return "2 of them" in str(error)
    return False


def half_a_protocol_is_refused():
    class Half(keras.callbacks.Callback):
        def get_state(self):
            return 1

    try:
        trained(new_folder(), callbacks=[Half()])
    except repro.StateError as error:
        return "only one of" in str(error)
    return False


def what_cannot_be_kept_is_told():
    class Holding(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.held = object()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trained(new_folder(), callbacks=[Holding()])
    return any("held (object)" in str(w.message) for w in caught)


def draws_of_tensorflow_are_refused():
    class Noise(L.Layer):
        def call(self, x):
            return x + tf.random.normal(tf.shape(x))

    def build():
        model = keras.Sequential([Noise(), L.Dense(1)])
        model.compile("sgd", "mse")
        return model

    try:
        trained(new_folder(), build=build)
    except repro.StateError as error:
        return "RandomStandardNormal" in str(error)
    return False


def a_generator_of_tensorflow_goes_on():
    class Noise(L.Layer):
        def __init__(self):
            super().__init__()
            self.draw = tf.random.Generator.from_seed(3)

        def call(self, x):
            return x + self.draw.normal(tf.shape(x))

    def build():
        model = keras.Sequential([Noise(), L.Dense(1)])
        model.compile("sgd", "mse")
        return model

    place = new_folder()
    trained(place, build=build, kill=9)
    return trained(place, build=build) == trained(new_folder(), build=build)


def a_generator_that_yields_others_is_refused():
    def batches(offset):
        while True:
            yield rows[:4] + offset, targets[:4]

    place = new_folder()
    trained(place, data=(batches(0),), kill=9, steps_per_epoch=5)
    try:
        trained(place, data=(batches(1),), steps_per_epoch=5)
    except Exception as error:
        return "another batch" in str(error)
    return False


def stopping_in_an_epoch_is_kept():
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 8:
                self.model.stop_training = True

    class DieAtEnd(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KilledError

    expected = trained(new_folder(), callbacks=[Stop()], setting={"save_freq": 1})
    place = new_folder()
    DieAtEnd.__name__ = "KillAt"
    with contextlib.suppress(KilledError):
        anew()
        model = net()
        options = {"batch_size": 4, "epochs": 3, "verbose": 0}
        every = [Stop(), repro.TrainingState(place, 1), DieAtEnd()]
        model.fit(rows, targets, callbacks=every, **options)
    return trained(place, callbacks=[Stop()], setting={"save_freq": 1}) == expected


def the_bar_shows_the_same():
    def last_line(place, kill=None):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            trained(place, kill=kill, verbose=1)
        line = out.getvalue().rstrip().split("\n")[-1].rpartition("\b")[2]
        return line.split(" - ")[1:]  # without the count and the times

    place = new_folder()
    expected = last_line(new_folder())
    last_line(place, kill=15)
    return [] != last_line(place) == expected


def the_bar_counts_to_the_epochs_of_this_fit():
    place, out = new_folder(), io.StringIO()
    trained(place, epochs=2)
    with contextlib.redirect_stdout(out):
        trained(place, epochs=3, verbose=2)
    return "Epoch 3/3" in out.getvalue() and "/2" not in out.getvalue()


def going_on_is_said_once():
    def said(place, kill=None):
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            trained(place, kill=kill)
        return err.getvalue().replace(str(place), "states")

    place = new_folder()
    state = "from states/fit000-epoch00001-step00000002.safetensors\n"
    over = "this fit was over; its result is that of states/fit000-epoch00003-step00000000"
    return (
        said(place, kill=9) == ""
        and said(place) == f"repro_keras: going on after step 2 of epoch 2, {state}"
        and said(place) == f"repro_keras: {over}.safetensors. Remove the folder to train anew.\n"
    )


def what_is_for_loops_is_refused_in_fit():
    try:
        trained(new_folder(), setting={"save_frq": 3})
    except ConfigError as error:
        return "Received also: save_frq." in str(error)
    return False


def tensorboard_goes_on_at_its_step():
    from tensorflow.python.summary.summary_iterator import summary_iterator

    def told(kills):
        place = new_folder()
        for kill in (*kills, None):
            board = keras.callbacks.TensorBoard(place / "logs", update_freq=1, write_graph=False)
            validation = (rows[:8], targets[:8])
            trained(place, kill=kill, callbacks=[board], validation_data=validation)
        files = (place / "logs").rglob("events*")
        events = [(f.parent.name, e) for f in files for e in summary_iterator(str(f))]
        # A step between the state and the kill is told twice, and TensorBoard shows the last.
        return {
            (name, value.tag, event.step, value.tensor.SerializeToString())
            for name, event in events
            for value in event.summary.value
        }

    expected = told([])
    steps = {step for _, tag, step, _ in expected if tag == "batch_loss"}
    return told([9]) == expected and len(steps) == 18


def the_order_of_callbacks_does_not_matter():
    def run(place, first, kill):
        anew()
        model = net()
        early = keras.callbacks.EarlyStopping("loss", patience=1, restore_best_weights=True)
        plateau = keras.callbacks.ReduceLROnPlateau("loss", 0.5, patience=1)
        keeper = repro.TrainingState(place, 2)
        every = [keeper, early, plateau] if first else [plateau, early, keeper]
        with contextlib.suppress(KilledError):
            history = model.fit(
                rows, targets, 4, epochs=4, verbose=0, callbacks=[*every, KillAt(kill)]
            )
            return history.history, repro.digest(model, optimizer=True)
        return None

    results = []
    for first in (True, False):
        expected = run(new_folder(), first, None)
        for kill in (8, 13):
            place = new_folder()
            run(place, first, kill)
            results.append(run(place, first, None) == expected)
    return all(results)


def dispatch_stays_asynchronous():
    with_it = keras.callbacks.CallbackList([repro.TrainingState("x")], model=net())
    return with_it._async_train == keras.callbacks.CallbackList([], model=net())._async_train


def stock_callbacks_are_pointed_out():
    place = new_folder()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            model = net()
            model.build((None, 5))
            model.fit(rows, targets, verbose=0, callbacks=[keras.callbacks.BackupAndRestore(place)])
        checkpoint = keras.callbacks.ModelCheckpoint(place / "m.keras")
        net().fit(rows, targets, verbose=0, callbacks=[checkpoint])
        net().fit(rows, targets, verbose=0, epochs=2, initial_epoch=1, callbacks=[checkpoint])
    told = [str(w.message)[:16] for w in caught if "repro.TrainingState" in str(w.message)]
    return told == ["BackupAndRestore", "Training that go"]


def the_newest_states_are_kept():
    place = new_folder()
    trained(place, setting={"keep": 3, "save_freq": 1})
    return len(states_in(place)) == 3


def a_digest_is_of_all_of_a_state():
    place = new_folder()
    trained(place, kill=5)
    state = files.read(states_in(place)[-1])
    digests = {repro.digest(state)}
    for name, array in state.arrays.items():
        changed = array.copy().reshape(-1)
        if changed.size:
            changed.view("uint8")[0] ^= 1
            arrays = {**state.arrays, name: changed.reshape(array.shape)}
            digests.add(repro.digest(value.State(state.content, arrays)))
    return len(digests) == 1 + sum(a.size > 0 for a in state.arrays.values())


def loop(place, steps, stop=None):
    """A loop of one's own, which stops as if it was killed."""
    anew()
    model = keras.Sequential([keras.Input((5,)), L.Dense(4, "relu"), L.Dropout(0.3), L.Dense(1)])
    optimizer = keras.optimizers.Adam(0.01)
    optimizer.build(model.trainable_variables)
    metric = keras.metrics.Mean()
    draw, losses = np.random.default_rng(0), []
    data = tf.data.Dataset.from_tensor_slices((rows, targets)).shuffle(24).repeat().batch(4)
    batches = iter(data)
    state = repro.TrainingState(
        place,
        model=model,
        optimizer=optimizer,
        metric=metric,
        draw=draw,
        losses=losses,
        batches=batches,
    )
    for step in range(state.restore() or 0, steps):
        x, y = next(batches)
        with tf.GradientTape() as tape:
            noise = float(draw.random()) + float(np.random.rand())
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2) * (1 + noise)
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        metric.update_state(loss)
        losses.append(float(loss))
        if step % 3 == 2:
            state.save(step + 1)
        if step == stop:
            state.folder.unlock()
            return None
    digest = repro.digest(state.latest())
    state.folder.unlock()
    return losses, float(metric.result()), repro.digest(model), repro.digest(optimizer), digest


class Wait(keras.callbacks.Callback):
    """Gives the threads that read ahead the time to come to the end."""

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.02)


def pipeline(kind):
    """Batches of which the last were shuffled, and read ahead, before they are used."""
    data = tf.data.Dataset.from_tensor_slices((rows[:22], targets[:22]))
    if kind == "twice":
        data = data.shuffle(5)
    elif kind == "two in a row":
        data = data.take(8).shuffle(4).concatenate(data.skip(8).shuffle(3))
    data = data.shuffle(7).batch(4)
    if kind == "repeated":
        data = data.repeat()
    return data.prefetch(2)


def on_pipeline(kind, place, kill, setting):
    data, options = pipeline(kind), {}
    if kind == "repeated":
        options = {"steps_per_epoch": 7}
    elif kind.startswith("validated"):
        options = {"validation_data": data if kind.endswith("with it") else pipeline("")}
    found = trained(place, data=(data,), kill=kill, callbacks=[Wait()], setting=setting, **options)
    return found and (found["history"], found["model"])


def the_passes_to_come_are_known_when_all_was_shuffled():
    wrong = []
    for kind in ("once", "twice", "two in a row", "repeated", "validated", "validated with it"):
        expected = on_pipeline(kind, new_folder(), None, {"save_freq": 1})
        for freq, kills in ((1, (5, 11)), ("epoch", (9,))):
            for kill in kills:
                place = new_folder()
                on_pipeline(kind, place, kill, {"save_freq": freq})
                if on_pipeline(kind, place, None, {"save_freq": freq}) != expected:
                    wrong.append((kind, freq, kill))
    return not wrong or str(wrong)


def a_loop_of_ones_own_goes_on():
    expected = loop(new_folder(), 12)
    results = []
    for stop in (1, 4, 8, 10):
        place = new_folder()
        loop(place, 12, stop)
        goes_on = states_in(place) != []
        with contextlib.redirect_stderr(io.StringIO()) as said:
            results.append(loop(place, 12) == expected)
        said_so = said.getvalue().startswith(f"repro_keras: going on from {place}/fit000")
        results.append(said_so == goes_on)
    return all(results)


def a_loop_without_things_is_refused():
    try:
        repro.TrainingState(new_folder()).save()
    except repro.ReproError as error:
        return "loops of one's own" in str(error)
    return False


CASES = {
    name: case
    for name, case in list(globals().items())
    if callable(case)
    and getattr(case, "__module__", "") == "__main__"
    and "_" in name
    and name.count("_") >= 2
}


def main(*names):
    result = {}
    for name in names or CASES:
        folder._held.clear()
        try:
            result[name] = CASES[name]()
        except Exception:
            result[name] = traceback.format_exc()[-1500:]
        print(name, result[name], file=sys.stderr, flush=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
