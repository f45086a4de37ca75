"""A siamese network: one encoder, used twice, learns whether two digits are the same.

python examples/siamese.py [--epochs 8] [--weights FILE] [--plot FILE.png]
"""

import repro_keras as keras  # was: import keras
from repro_keras import layers, ops  # was: from keras import layers, ops

import numpy as np
from real_data import arguments, digits, held_out, plot_curves


def pairs(images, classes):
    """For each image one of its class and one of another, and whether they are the same."""
    first, second, same = [], [], []
    for number, kind in enumerate(classes):
        for wanted in (True, False):
            others = np.flatnonzero((classes == kind) == wanted)
            first.append(images[number])
            second.append(images[np.random.choice(others)])
            same.append(wanted)
    return [np.stack(first), np.stack(second)], np.array(same, "float32")


def build():
    encoder = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(8, 5, strides=2, activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.1),
            layers.Dense(16),
        ],
        name="encoder",
    )
    one, other = keras.Input((28, 28, 1)), keras.Input((28, 28, 1))
    distance = ops.sum(ops.square(encoder(one) - encoder(other)), axis=1, keepdims=True)
    return keras.Model([one, other], ops.sqrt(ops.maximum(distance, 1e-7)))


def contrastive_loss(same, distance):
    """Hadsell, Chopra and LeCun 2006: pull equal ones together, push others apart."""
    apart = ops.square(ops.maximum(1.0 - distance, 0.0))
    return ops.mean(same * ops.square(distance) + (1.0 - same) * apart)


def main():
    given = arguments(__doc__.splitlines()[0], epochs=8)
    (images, classes), (test_images, test_classes) = held_out(*digits(1250))
    x, same = pairs(images, classes)
    test = pairs(test_images, test_classes)
    model = build()
    model.compile("adam", contrastive_loss)
    history = model.fit(
        x, same, batch_size=50, epochs=given.epochs, validation_data=test, verbose=2
    ).history
    right = ((model.predict(test[0], verbose=0)[:, 0] < 0.5) == test[1]).mean()
    print(f"{len(test[1])} pairs it has not seen: {right:.1%} right")
    plot_curves(
        given.plot, {"train": history["loss"], "test": history["val_loss"]}, "Siamese network"
    )
    if given.weights:
        model.save_weights(given.weights)


if __name__ == "__main__":
    main()
