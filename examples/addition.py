"""Sequence to sequence: an encoder and a decoder LSTM learn to add, from written numbers.

    python examples/addition.py [--epochs 20] [--weights FILE] [--plot FILE.png]

"27+5" is to become "32". The sums are drawn from a generator with a named seed.
"""

import repro_keras as keras  # was: import keras
from repro_keras import layers  # was: from keras import layers

import numpy as np
from real_data import arguments, held_out, plot_curves

CHARACTERS = "0123456789+ "
ASKED, ANSWERED = 5, 3


def encode(text, length):
    return [CHARACTERS.index(character) for character in text.ljust(length)]


def sums(count):
    """Different sums of numbers below 100, as the numbers of their characters."""
    pairs = np.random.permutation(100 * 100)[:count]
    asked = [encode(f"{pair // 100}+{pair % 100}", ASKED) for pair in pairs]
    answers = [encode(str(pair // 100 + pair % 100), ANSWERED) for pair in pairs]
    return np.array(asked, "int32"), np.array(answers, "int32")


def build():
    return keras.Sequential(
        [
            keras.Input((ASKED,), dtype="int32"),
            layers.Embedding(len(CHARACTERS), 12),
            layers.LSTM(64),
            layers.RepeatVector(ANSWERED),
            layers.LSTM(64, return_sequences=True),
            layers.Dense(len(CHARACTERS), activation="softmax"),
        ]
    )


def main():
    given = arguments(__doc__.splitlines()[0], epochs=20)
    (asked, answers), test = held_out(*sums(4000))
    model = build()
    model.compile(
        keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = model.fit(
        asked, answers, batch_size=64, epochs=given.epochs, validation_data=test, verbose=2
    ).history
    said = model.predict(test[0][:3], verbose=0).argmax(-1)
    for question, answer in zip(test[0][:3], said, strict=True):
        texts = ["".join(CHARACTERS[n] for n in row).strip() for row in (question, answer)]
        print(" = ".join(texts))
    plot_curves(
        given.plot, {"train": history["loss"], "test": history["val_loss"]}, "Learning to add"
    )
    if given.weights:
        model.save_weights(given.weights)


if __name__ == "__main__":
    main()
