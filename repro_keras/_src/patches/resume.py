"""`fit` with `repro.TrainingState`: when states are taken, and how training goes on from one.

A state is put back after all callbacks have begun, who start afresh then, and taken after all of
them have seen the end of a step or an epoch: their order does not matter.
"""

import functools
import inspect
import sys
import threading
import warnings

import keras
import tensorflow as tf
from keras.src import tree

from repro_keras._src.errors import ReproWarning, SaveError, StateError
from repro_keras._src.patches import callback_states, first_step, global_states, positions
from repro_keras._src.patches import order as orders
from repro_keras._src.patches.patch import Patch
from repro_keras._src.runs import recorder as recording
from repro_keras._src.state import facts, plain, value, variables


class _Current(threading.local):
    def __init__(self):
        self.runs: list[_Run | None] = []  # of the `fit` calls that this thread is in


_current = _Current()


class _Run:
    """One `fit` with a `TrainingState`.

    Args:
        setting: the callback.
        model: what is trained.
        arguments: of `fit`.
    """

    def __init__(self, setting, model, arguments: dict):
        self.model = model
        self._setting = setting
        self._number = setting.next_fit()
        self._facts = {**facts.of_process(), "fit": facts.of_fit(arguments)}
        self._epochs = arguments.get("epochs", 1)
        self._validation_data = arguments.get("validation_data")
        self._place: positions.Place | None = None
        self._callbacks: dict[str, object] = {}
        self._variables: dict | None = None
        self._going_on: value.State | None = None  # in the middle of an epoch
        self._logs = None
        self._last_logs = None
        self._epoch, self._total, self._saved_at = 0, 0, 0
        self._locked = self._checked = False
        self._initial_epoch = model._initial_epoch

    # When training begins

    def begin(self, callbacks) -> None:
        """All callbacks have begun."""
        passes = orders.training()
        assert passes is not None
        self._place = positions.Place(passes, passes.owner(), self._validation_data)
        self._callbacks = callback_states.named(
            [c for c in callbacks.callbacks if c is not self._setting]
        )
        counted = [n for n, c in self._callbacks.items() if not _is_progress(c)]
        self._facts["order"] = [passes.fit.root_seed, passes.fit.model, passes.fit.number]
        self._facts["model"] = facts.of_model(self.model)
        self._facts["callbacks"] = {
            name: callback_states.settings(self._callbacks[name]) for name in counted
        }
        self._facts["data"] = type(passes.owner().data_adapter).__name__
        callback_states.warn_of_unknown(self._callbacks)
        try:
            self._setting.folder.lock()
            self._locked = True
        except OSError as error:
            self._failed(error)
        if recording.current is not None:
            recording.current.keeps_states(self._setting.folder.path)
        state = self._setting.folder.newest(self._number)
        if state is not None:
            self._go_on(state)

    def _go_on(self, state: value.State) -> None:
        content = state.content
        assert self._place is not None
        first_step.build(self.model, self._place.element_spec)
        self._compare(content)
        position = content.position
        self._restore(state)
        self._total = self._saved_at = position.total
        self._setting.resumed = position
        if content.stop_training and not position.step:
            self.model._initial_epoch = self._epochs  # no more epochs
        elif position.epoch:
            self.model._initial_epoch = position.epoch
        self._last_logs = self._logs = plain.unpack(content.logs, state.arrays)
        if position.step:
            self._going_on = state
        self._say_where(content)
        if position.epoch >= self._epochs:
            self.model._initial_epoch = self._epochs
        elif content.data is not None:
            self._place.restore(content.data, position.step or None, state.arrays)
            if content.stop_training:
                self._place.stop()
        if recording.current is not None and content.recorded is not None:
            recording.current.resumed(content.recorded, position.step)

    def _say_where(self, content: value.Content) -> None:
        """Says that training does not begin at its beginning, which nothing else may show."""
        position = content.position
        place = self._setting.folder.file(self._number, position)
        if position.epoch >= self._epochs or (content.stop_training and not position.step):
            said = f"this fit was over; its result is that of {place}. Remove the folder to train "
            said += "anew."
        elif position.step:
            where = f"step {position.step} of epoch {position.epoch + 1}"
            said = f"going on after {where}, from {place}"
        else:
            said = f"going on after epoch {position.epoch}, from {place}"
        print(f"repro_keras: {said}", file=sys.stderr)

    def _compare(self, content: value.Content) -> None:
        self._variables = variables.collect({"model": self.model, **self._callbacks})
        forms = variables.listed(variables.forms(self._variables))
        found = facts.differences(content.facts, self._facts)
        found += facts.differences(content.variables, forms, "variable")
        if found:
            more = f"\n  and {len(found) - 12} more" if len(found) > 12 else ""
            raise StateError(
                f"The states in {self._setting.folder.path} are of another training:\n  "
                + "\n  ".join(found[:12])
                + more
                + "\nGo on with what it was, or give this one a folder of its own."
            )

    def _restore(self, state: value.State) -> None:
        assert self._variables is not None
        content = state.content
        variables.write(self._variables, state.arrays)
        callback_states.restore(self._callbacks, content.callbacks, state.arrays)
        global_states.restore_generators(plain.unpack(content.generators, state.arrays))
        self.model.stop_training = content.stop_training

    # While it goes on

    def epoch_begins(self, epoch: int) -> None:
        """All callbacks have begun an epoch; what they did, they had done before it was killed."""
        self._epoch = epoch
        state, self._going_on = self._going_on, None
        if state is not None:
            self._restore(state)
        else:
            self._logs = None

    def step_done(self, callbacks, batch: int, logs) -> None:
        """All callbacks have seen the end of a step, or will have when `callbacks` is flushed."""
        self._logs = None
        self._total += self.model.steps_per_execution
        steps = batch + 1
        every = self._setting.save_freq
        if every == "epoch" or self._total // every == self._saved_at // every:
            return
        assert self._place is not None
        if self._place.is_last(steps):
            return  # the end of the epoch is its state
        if callbacks._async_train:
            callbacks._flush_futures()
        self._save(self._epoch, steps, logs)

    def epoch_done(self, epoch: int, logs) -> None:
        """All callbacks have seen the end of an epoch."""
        self._last_logs = logs
        every = self._setting.save_freq
        last = epoch + 1 >= self._epochs or self.model.stop_training
        if every == "epoch" or last or self._total // every != self._saved_at // every:
            self._save(epoch + 1, None, logs)

    def _save(self, epoch: int, steps: int | None, logs) -> None:
        self._saved_at = self._total
        if not self._locked:
            return
        try:
            state = self._capture(epoch, steps, logs)
            self._setting.folder.save(self._number, state)
        except SaveError as error:
            self._failed(error)

    def _capture(self, epoch: int, steps: int | None, logs) -> value.State:
        if not self._checked:
            self._checked = True
            first_step.refuse_stateful(self.model)
        if self._variables is None or _has_grown(self.model, self._variables):
            self._variables = variables.collect({"model": self.model, **self._callbacks})
        assert self._place is not None
        arrays = variables.read(self._variables)
        recorder = recording.current
        position = value.Position(epoch=epoch, step=steps or 0, total=self._total)
        content = value.Content(
            position=position,
            facts=self._facts,
            variables=variables.listed(variables.forms(self._variables)),
            generators=plain.pack(global_states.captured_generators(), arrays, "generators"),
            data=self._place.capture(steps, arrays),
            callbacks=callback_states.capture(self._callbacks, arrays),
            stop_training=bool(self.model.stop_training),
            logs=plain.pack(_plain_logs(logs), arrays, "logs"),
            recorded=None if recorder is None else recorder.position(),
        )
        return value.State(content, arrays)

    def _failed(self, error: Exception) -> None:
        if self._setting.on_error == "raise":
            raise error
        warnings.warn(
            f"The state of training is not saved: {error} Training goes on, and what was saved "
            "before stays. (on_error='raise' ends it instead.)",
            ReproWarning,
            stacklevel=3,
        )

    # When it ends

    def logs_of_no_step(self, logs):
        """The logs of an epoch whose steps were all done before it was killed."""
        return self._logs if not logs and self._logs is not None else logs

    def logs_of_no_epoch(self, logs):
        """The logs of training whose epochs were all done before it was killed."""
        return self._last_logs if logs is None else logs

    def end(self) -> None:
        self.model._initial_epoch = self._initial_epoch
        if self._locked:
            self._setting.folder.unlock()


def _is_progress(callback) -> bool:
    return isinstance(callback, keras.callbacks.ProgbarLogger)


def _has_grown(model, known: dict) -> bool:
    return len(variables.collect({"model": model})) > sum(n.startswith("model/") for n in known)


def _plain_logs(logs) -> dict:
    found = {}
    for name, number in dict(logs or {}).items():
        try:
            found[name] = float(number)
        except (TypeError, ValueError):
            continue
    return found


def _setting_of(arguments: dict):
    """The `TrainingState` among the callbacks of a `fit`."""
    callbacks = arguments.get("callbacks")
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    every = tree.flatten(callbacks) if callbacks else []
    found = [c for c in every if getattr(c, "keeps_training_state", False)]
    if len(found) > 1:
        raise StateError(
            f"A fit takes one TrainingState. Received: {len(found)} of them. Give it one."
        )
    backups = any(isinstance(c, keras.callbacks.BackupAndRestore) for c in every)
    if found and backups:
        raise StateError(
            "TrainingState and BackupAndRestore would both put back where training was, and only "
            "the first does so exactly. Remove BackupAndRestore."
        )
    if backups:
        _warn_once(
            "BackupAndRestore keeps weights and the number of the epoch, not the state of random "
            "layers, callbacks, metrics, or the place in the epoch: training that goes on from it "
            "ends otherwise than if it had not been interrupted. Use "
            "repro.TrainingState(directory) instead."
        )
    by_hand = arguments.get("initial_epoch") and not found
    if by_hand and any(isinstance(c, keras.callbacks.ModelCheckpoint) for c in every):
        _warn_once(
            "Training that goes on at initial_epoch from a file of ModelCheckpoint's ends "
            "otherwise than if it had not been interrupted: the file has neither the state of "
            "random layers nor that of callbacks, and the order of the data begins anew. Use "
            "repro.TrainingState(directory) to go on exactly."
        )
    return found[0] if found else None


_warned: set[str] = set()


def _warn_once(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        warnings.warn(text, ReproWarning, stacklevel=5)


def _keep(original):
    signature = inspect.signature(original)

    @functools.wraps(original)
    def fit(self, *args, **kwargs):
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        arguments = dict(bound.arguments)
        setting = _setting_of(arguments)
        run = None
        if setting is not None:
            if tf.distribute.has_strategy() or self.distribute_strategy.num_replicas_in_sync > 1:
                raise StateError(
                    "TrainingState keeps what one replica trains. Received: a model under a "
                    "tf.distribute strategy. Train it without one."
                )
            if hasattr(arguments.get("validation_data"), "__next__"):
                raise StateError(
                    "The place in a generator of validation data cannot be kept. Give `fit` "
                    "arrays, a PyDataset or a tf.data.Dataset as validation_data."
                )
            run = _Run(setting, self, arguments)
        _current.runs.append(run)
        try:
            with orders.keeping(run is not None):
                return original(self, *args, **kwargs)
        finally:
            _current.runs.pop()
            if run is not None:
                run.end()

    return fit


def _run_of(callbacks) -> _Run | None:
    run = _current.runs[-1] if _current.runs else None
    return run if run is not None and getattr(callbacks, "_model", None) is run.model else None


def _restore_at_begin(original):
    @functools.wraps(original)
    def on_train_begin(self, logs=None):
        original(self, logs)
        run = _run_of(self)
        if run is not None:
            run.begin(self)

    return on_train_begin


def _restore_in_epoch(original):
    @functools.wraps(original)
    def on_epoch_begin(self, epoch, logs=None):
        original(self, epoch, logs)
        run = _run_of(self)
        if run is not None:
            run.epoch_begins(epoch)

    return on_epoch_begin


def _save_after_step(original):
    @functools.wraps(original)
    def on_train_batch_end(self, batch, logs=None):
        original(self, batch, logs)
        run = _run_of(self)
        if run is not None:
            run.step_done(self, batch, logs)

    return on_train_batch_end


def _save_after_epoch(original):
    @functools.wraps(original)
    def on_epoch_end(self, epoch, logs=None):
        original(self, epoch, logs)
        run = _run_of(self)
        if run is not None:
            run.epoch_done(epoch, logs)

    return on_epoch_end


def _end_with_logs(original):
    @functools.wraps(original)
    def on_train_end(self, logs=None):
        run = _run_of(self)
        original(self, logs if run is None else run.logs_of_no_epoch(logs))

    return on_train_end


def _take_logs(original):
    @functools.wraps(original)
    def _get_metrics_result_or_logs(self, logs):
        run = _current.runs[-1] if _current.runs else None
        if run is not None and run.model is self:
            logs = run.logs_of_no_step(logs)
        return original(self, logs)

    return _get_metrics_result_or_logs


_CALLBACKS = "keras.src.callbacks.callback_list:CallbackList"

PATCHES = (
    Patch(
        target="keras.src.backend.tensorflow.trainer:TensorFlowTrainer.fit",
        parameters=None,
        make=_keep,
        why="Keras forgets the state of training but for weights (Dropout, order, callbacks)",
        issue="tensorflow/tensorflow#27049",
    ),
    Patch(
        target=f"{_CALLBACKS}.on_train_begin",
        parameters=("self", "logs"),
        make=_restore_at_begin,
        why="a state is put back after all callbacks have started afresh",
    ),
    Patch(
        target=f"{_CALLBACKS}.on_epoch_begin",
        parameters=("self", "epoch", "logs"),
        make=_restore_in_epoch,
        why="and in the middle of an epoch, after they have begun it a second time",
    ),
    Patch(
        target=f"{_CALLBACKS}.on_train_batch_end",
        parameters=("self", "batch", "logs"),
        make=_save_after_step,
        why="a state is taken after all callbacks have seen the step, whatever their order",
    ),
    Patch(
        target=f"{_CALLBACKS}.on_epoch_end",
        parameters=("self", "epoch", "logs"),
        make=_save_after_epoch,
        why="the same for an epoch",
    ),
    Patch(
        target=f"{_CALLBACKS}.on_train_end",
        parameters=("self", "logs"),
        make=_end_with_logs,
        why="training that was over already ends with the logs that it had",
    ),
    Patch(
        target="keras.src.trainers.trainer:Trainer._get_metrics_result_or_logs",
        parameters=("self", "logs"),
        make=_take_logs,
        why="an epoch whose steps were all done has the logs of its last step",
    ),
)
