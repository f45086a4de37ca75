"""An LSTM that learns to write, a character at a time, and shows what it writes between fits.

    python examples/character_generation.py [--epochs 8] [--weights FILE] [--plot FILE.png]

It reads the descriptions of data sets that scikit-learn ships. After each `fit` it writes a few
words, drawing each character from what it thinks is likely.
"""

import repro_keras as keras  # was: import keras
from repro_keras import layers  # was: from keras import layers

import numpy as np
from real_data import arguments, plot_curves, prose

LENGTH = 24


def text():
    found = prose()
    return " ".join((found["diabetes"] + found["iris"] + found["olivetti_faces"]).lower().split())


def build(characters):
    return keras.Sequential(
        [
            keras.Input((LENGTH,), dtype="int32"),
            layers.Embedding(characters, 16),
            layers.LSTM(48),
            layers.Dense(characters, activation="softmax"),
        ]
    )


def write(model, seed, size, temperature=0.6):
    """Goes on from some characters, by their numbers, drawing each from the model's prediction."""
    written = list(seed)
    for _ in range(size):
        likely = model.predict(np.array([written[-LENGTH:]]), verbose=0)[0].astype("float64")
        likely = np.exp(np.log(likely + 1e-9) / temperature)
        # From NumPy's global generator, which the swapped import has seeded.
        written.append(np.random.choice(len(likely), p=likely / likely.sum()))
    return written[len(seed) :]


def main():
    given = arguments(__doc__.splitlines()[0], epochs=8)
    content = text()
    characters = sorted(set(content))
    numbers = np.array([characters.index(character) for character in content], "int32")
    starts = np.arange(0, len(numbers) - LENGTH, 3)
    x = np.stack([numbers[start : start + LENGTH] for start in starts])
    y = numbers[starts + LENGTH]
    model = build(len(characters))
    model.compile(keras.optimizers.RMSprop(0.01), "sparse_categorical_crossentropy")
    losses = []
    for epoch in range(given.epochs):
        losses += model.fit(x, y, batch_size=64, verbose=2).history["loss"]
        written = write(model, numbers[:LENGTH], 40)
        print(f"after {epoch + 1}: {''.join(characters[number] for number in written)!r}")
    plot_curves(given.plot, {"train": losses}, "Character generation")
    if given.weights:
        model.save_weights(given.weights)


if __name__ == "__main__":
    main()
