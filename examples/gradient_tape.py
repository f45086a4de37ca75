"""A training loop written by hand, with `tf.GradientTape`, on the measurements of cells.

    python examples/gradient_tape.py [--epochs 5] [--weights FILE] [--plot FILE.png]

The data are scikit-learn's of breast cancer: 569 patients, 30 measurements each.
"""

import repro_keras as keras  # was: import keras
from repro_keras import layers  # was: from keras import layers

import numpy as np
import tensorflow as tf
from real_data import arguments, held_out, plot_curves
from sklearn.datasets import load_breast_cancer

BATCH = 32


def build():
    inputs = keras.Input((30,))
    x = layers.Dense(32, activation="relu")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.3)(x)
    return keras.Model(inputs, layers.Dense(1)(x))


def main():
    given = arguments(__doc__.splitlines()[0], epochs=5)
    x, y = load_breast_cancer(return_X_y=True)
    x = ((x - x.mean(0)) / x.std(0)).astype("float32")
    (x, y), (test_x, test_y) = held_out(x, y.astype("float32")[:, None])
    model = build()
    schedule = keras.optimizers.schedules.CosineDecay(0.01, given.epochs * (len(x) // BATCH))
    optimizer = keras.optimizers.SGD(schedule, momentum=0.9)
    loss_of = keras.losses.BinaryCrossentropy(from_logits=True)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        weights = model.trainable_weights
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    losses = []
    for epoch in range(given.epochs):
        order = np.random.permutation(len(x))
        batches = [order[i : i + BATCH] for i in range(0, len(x) - BATCH + 1, BATCH)]
        losses.append(float(np.mean([step(x[batch], y[batch]) for batch in batches])))
        print(f"epoch {epoch + 1}: loss {losses[-1]:.6f}")
    right = ((model.predict(test_x, verbose=0) > 0) == test_y).mean()
    print(f"{len(test_y)} patients it has not seen: {right:.1%} right")
    plot_curves(given.plot, {"train": losses}, "A loop written by hand")
    if given.weights:
        model.save_weights(given.weights)


if __name__ == "__main__":
    main()
