"""Finds the odd stretch of a time series: an autoencoder learns what is usual, and stops early.

    python examples/anomaly.py [--epochs 12] [--weights FILE] [--plot FILE.png]

The series is an electroencephalogram; into its last part a stretch of noise is put, to be found.
"""

import repro_keras as keras  # was: import keras
from repro_keras import layers  # was: from keras import layers

import numpy as np
from real_data import arguments, eeg, plot_curves

WINDOW = 16


def windows(series):
    return np.stack([series[i : i + WINDOW] for i in range(len(series) - WINDOW + 1)])


def build(channels):
    return keras.Sequential(
        [
            keras.Input((WINDOW, channels)),
            layers.Conv1D(16, 5, padding="same", strides=2, activation="relu"),
            layers.Dropout(0.1),
            layers.Conv1D(8, 5, padding="same", strides=2, activation="relu"),
            layers.Conv1DTranspose(16, 5, padding="same", strides=2, activation="relu"),
            layers.Conv1DTranspose(channels, 5, padding="same", strides=2),
        ]
    )


def main():
    given = arguments(__doc__.splitlines()[0], epochs=12)
    series = eeg()
    usual, last = series[:600], series[600:].copy()
    last[90:110] = np.random.normal(size=(20, series.shape[1]))
    model = build(series.shape[1])
    model.compile(keras.optimizers.Adam(3e-3), "mse")
    stop = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=2, min_delta=1e-3, restore_best_weights=True
    )
    x = windows(usual)
    history = model.fit(
        x, x, batch_size=32, epochs=given.epochs, validation_split=0.1, callbacks=[stop], verbose=2
    ).history
    tested = windows(last)
    errors = ((model.predict(tested, verbose=0) - tested) ** 2).mean((1, 2))
    print(f"oddest at {errors.argmax()} to {errors.argmax() + WINDOW}, put there: 90 to 110")
    plot_curves(
        given.plot, {"train": history["loss"], "held out": history["val_loss"]}, "Time series"
    )
    if given.weights:
        model.save_weights(given.weights)


if __name__ == "__main__":
    main()
