"""What comes out of data pipelines without a seed, case by case.

    python pipelines.py FACE FOLDER [--disturbed]

FACE is `repro_keras`, or `keras` with all seeds set; FOLDER holds a folder of images for each of
two classes. Prints a digest for each case. `--disturbed` makes other things before each case that
draw from global generators or take a seed of TensorFlow's.
"""

import hashlib
import importlib
import json
import os
import random
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = importlib.import_module(sys.argv[1])
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

FOLDER = sys.argv[2]
numbers = np.arange(60, dtype="float32")
images = np.random.default_rng(0).random((24, 8, 8, 3), "float32")
base = tf.data.Dataset.from_tensor_slices(numbers)
PARALLEL = {"num_parallel_calls": 8, "deterministic": False}


def busy(x):
    """Takes a time that differs from element to element, so that they overtake each other."""
    size = tf.cast(x, tf.int32) % 7 * 100 + 10
    matrix = tf.random.stateless_uniform([size, 100], [1, tf.cast(x, tf.int32)])
    return tf.reduce_sum(matrix @ tf.transpose(matrix))


def drawing_layer(layer, data):
    """What a layer makes of the data in a parallel map."""

    def draw(x):
        return busy(tf.reduce_sum(x)), layer(x[None], training=True)

    return tf.data.Dataset.from_tensor_slices(data).map(draw, **PARALLEL)


def two_passes(dataset):
    return [list(dataset), list(dataset)]


def parts(folder_data, **options):
    return [
        list(folder_data(FOLDER, validation_split=0.5, subset=subset, verbose=False, **options))
        for subset in ("training", "validation")
    ]


def from_folder(**options):
    return keras.utils.image_dataset_from_directory(
        FOLDER, image_size=(8, 8), batch_size=4, verbose=False, **options
    )


def flow(method, *source, **options):
    """Batches of `ImageDataGenerator`, and what a model is trained on."""
    from keras._tf_keras.keras.preprocessing.image import ImageDataGenerator

    made = ImageDataGenerator(rotation_range=30, horizontal_flip=True, zoom_range=0.2)
    batches = getattr(made, method)(*source, batch_size=4, **options)
    by_hand = [next(batches) for _ in range(8)]
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)], name="net")
    model.compile("sgd", "mse")
    history = model.fit(batches, epochs=2, verbose=0).history
    return [by_hand, history["loss"]]


def trained_on_a_generator():
    """A generator and a callback that draw from one generator in turn, while Keras trains."""

    def generator():
        while True:
            x = np.random.rand(4, 2)
            yield x, x[:, :1]

    drawn = []
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: drawn.append(np.random.rand())
    )
    model = keras.Sequential([keras.layers.Dense(1, kernel_initializer="ones")], name="net")
    model.compile("sgd", "mse")
    history = model.fit(generator(), steps_per_epoch=5, epochs=2, callbacks=[callback], verbose=0)
    return [history.history["loss"], drawn, np.random.rand()]


UNSEEDED = {
    "shuffle": lambda: two_passes(base.shuffle(20)),
    "random": lambda: list(tf.data.Dataset.random().take(9)),
    "sample": lambda: list(tf.data.Dataset.sample_from_datasets([base, base]).take(40)),
    "list_files": lambda: list(tf.data.Dataset.list_files(FOLDER + "/*/*")),
    "images": lambda: two_passes(from_folder()),
    "images in parts": lambda: parts(keras.utils.image_dataset_from_directory, seed=3),
    "texts": lambda: list(
        keras.utils.text_dataset_from_directory(FOLDER + "/../texts", verbose=False)
    ),
    "timeseries": lambda: list(
        keras.utils.timeseries_dataset_from_array(
            numbers, numbers, sequence_length=4, batch_size=8, shuffle=True
        )
    ),
    "split": lambda: [
        list(part) for part in keras.utils.split_dataset(numbers, left_size=0.5, shuffle=True)
    ],
}

PARALLEL_CASES = {
    "map": lambda: list(base.map(lambda x: (busy(x), tf.random.uniform([3])), **PARALLEL)),
    "map, Keras": lambda: list(
        base.map(lambda x: (busy(x), keras.random.uniform([3])), **PARALLEL)
    ),
    "map, no draws": lambda: list(base.map(busy, **PARALLEL)),
    "dropout": lambda: list(drawing_layer(keras.layers.Dropout(0.5), numbers[:, None])),
    "augmentation": lambda: list(drawing_layer(keras.layers.RandomRotation(0.3), images)),
    "interleave": lambda: list(
        base.interleave(
            lambda x: tf.data.Dataset.from_tensors(x).map(
                lambda y: (busy(y), tf.random.uniform([3]))
            ),
            cycle_length=8,
            **PARALLEL,
        )
    ),
    "numpy": lambda: list(
        base.map(
            lambda x: (busy(x), tf.numpy_function(lambda y: np.random.rand(), [x], tf.float64)),
            **PARALLEL,
        )
    ),
}

GENERATORS = {
    "flow": lambda: flow("flow", images, images[:, 0, 0, 0]),
    "flow_from_directory": lambda: flow(
        "flow_from_directory", FOLDER, target_size=(8, 8), class_mode="binary"
    ),
    "generator": trained_on_a_generator,
}


def disturb():
    random.random()
    np.random.rand()
    tf.random.uniform([2])
    list(tf.data.Dataset.range(3).shuffle(3, seed=1))


def digest(x):
    result = hashlib.sha256()
    for leaf in tf.nest.flatten(x):
        array = np.asarray(leaf)
        result.update(repr(array.tolist()).encode() if array.dtype == object else array.tobytes())
    return result.hexdigest()


def main(face, folder, *options):
    if face == "keras":
        keras.utils.set_random_seed(0)
    disturbed = "--disturbed" in options
    result = {}
    for group, cases in (("unseeded", UNSEEDED), ("parallel", PARALLEL_CASES), ("", GENERATORS)):
        for name, case in cases.items():
            keras.utils.clear_session()
            random.seed(0)
            np.random.seed(0)
            if disturbed and group == "unseeded":
                disturb()
            try:
                result[name] = digest(case())
            except ImportError as error:
                result[name] = f"not installed: {error}"
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
