"""What each row that records training is there for, as `controls.py` has it for the others.

    python controls_record.py ROW [LEFT OUT…]

Prints whether the control of the row holds. The rows that are named after it are left out.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import repro_keras as keras
from repro_keras._src import patches

patches.left_out.update(sys.argv[2:])
import numpy as np  # noqa: E402

L = keras.layers
ones = np.ones((1, 4), "float32")


def net(*layers, name="net"):
    return keras.Sequential([keras.Input((4,)), *layers], name=name)


def recorded(train):
    """What the journal tells of some training."""
    from repro_keras._src.runs import journal, recorder

    folder = Path(tempfile.mkdtemp())
    recording = recorder.start(folder, folder)
    train()
    recording.finish("finished")
    return journal.Story(folder)


def steps_of(story):
    return [step for segment in story.trail for step in segment.steps.loss]


def trained(optimizer, factor=1.0):
    """A model after one step of `fit`, and the loss of that step."""
    keras.utils.set_random_seed(3)
    model = net(L.Dense(1))
    model.compile(optimizer, "mse")
    loss = model.fit(ones, factor * ones[:, :1], verbose=0).history["loss"]
    return loss[0].hex()


def a_step_has_its_loss():
    found = []
    story = recorded(lambda: found.append(trained("sgd")))
    return steps_of(story) == found


def each_step_is_recorded():
    return len(steps_of(recorded(lambda: [trained("sgd") for _ in range(3)]))) == 3


def a_step_that_overflows_is_recorded():
    def train():
        trained(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), 2.0**127), 1e10)

    return len(steps_of(recorded(train))) == 1


def a_loss_is_not_scaled():
    found = []
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), 1024.0)
    return steps_of(recorded(lambda: found.append(trained(scaled)))) == found


def a_loss_is_not_scaled_by_a_fixed_factor():
    found = []
    scaled = keras.optimizers.SGD(loss_scale_factor=1024.0)
    return steps_of(recorded(lambda: found.append(trained(scaled)))) == found


def a_schedule_is_asked_once():
    class Counted(keras.optimizers.schedules.LearningRateSchedule):
        asked = 0

        def __call__(self, step):
            self.asked += 1
            return 1.0 / self.asked

    def train():
        variable = keras.Variable(1.0)
        optimizer = keras.optimizers.SGD(Counted())
        for _ in range(3):
            optimizer.apply([ones[0, 0]], [variable])

    (segment,) = recorded(train).trail
    return [float.fromhex(rate) for rate in segment.steps.learning_rate] == [1.0, 0.5, 1 / 3]


def a_loop_has_its_model():
    def train():
        model = net(L.BatchNormalization(), name="mine")
        keras.optimizers.SGD().apply([ones[0], ones[0]], model.trainable_variables)

    return [model.name for model in recorded(train).models] == ["mine"]


def a_fit_has_its_data():
    return [data.call for data in recorded(lambda: trained("sgd")).data] == ["fit 0", "fit 0"]


def an_evaluation_has_its_data():
    model = net(L.Dense(1))
    model.compile("sgd", "mse")
    story = recorded(lambda: model.evaluate(ones, ones[:, :1], verbose=0))
    return [data.argument for data in story.data] == ["x", "y"]


def a_prediction_has_its_data():
    story = recorded(lambda: net(L.Dense(1)).predict(ones, verbose=0))
    return [data.call for data in story.data] == ["predict 0"]


def a_fit_has_the_weights_it_starts_with():
    (model,) = recorded(lambda: trained("sgd")).models or [None]
    return model is not None and list(model.initial) == ["net/dense"]


def an_epoch_has_its_metrics():
    story = recorded(lambda: trained("sgd"))
    return [list(segment.metrics) for segment in story.trail] == [["loss"]]


def a_batch_has_its_metrics():
    def train():
        model = net(L.Dense(1))
        model.compile("sgd", "mse", metrics=["mae"])
        model.fit(ones, ones[:, :1], batch_size=2, verbose=0)

    (segment,) = recorded(train).trail
    return [len(told) for told in segment.by_batch.values()] == [len(segment.steps.loss)]


def a_data_set():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((ones, ones[:, :1])).batch(2)


def a_fit_has_the_batches_of_a_data_set():
    def train():
        model = net(L.Dense(1))
        model.compile("sgd", "mse")
        model.fit(a_data_set(), verbose=0)

    (segment,) = recorded(train).trail
    return len(segment.steps.batch) == len(segment.steps.loss)


def a_prediction_has_the_batches_of_a_data_set():
    story = recorded(lambda: net(L.Dense(1)).predict(a_data_set(), verbose=0))
    return story.data[0].digest is not None


CONTROLS = {
    "fits: TensorFlowTrainer.fit": a_fit_has_its_data,
    "fits: TensorFlowTrainer.evaluate": an_evaluation_has_its_data,
    "fits: TensorFlowTrainer.predict": a_prediction_has_its_data,
    "fits: CallbackList.on_train_begin": a_fit_has_the_weights_it_starts_with,
    "fits: CallbackList.on_epoch_end": an_epoch_has_its_metrics,
    "fits: CallbackList.on_train_batch_end": a_batch_has_its_metrics,
    "steps: GradientTape.gradient": a_step_has_its_loss,
    "steps: BaseOptimizer.apply": each_step_is_recorded,
    "steps: LossScaleOptimizer.apply": a_step_that_overflows_is_recorded,
    "steps: LossScaleOptimizer.scale_loss": a_loss_is_not_scaled,
    "steps: BaseOptimizer.scale_loss": a_loss_is_not_scaled_by_a_fixed_factor,
    "steps: BaseOptimizer._get_current_learning_rate": a_schedule_is_asked_once,
    "batches: TensorFlowTrainer._make_function": a_fit_has_the_batches_of_a_data_set,
    "batches: TensorFlowTrainer._autoconvert_optionals": a_fit_has_the_batches_of_a_data_set,
    "batches: TensorFlowTrainer.make_predict_function": a_prediction_has_the_batches_of_a_data_set,
    "steps: TensorFlowTrainer.__init__": a_loop_has_its_model,
}

print(json.dumps(CONTROLS[sys.argv[1]]()))
