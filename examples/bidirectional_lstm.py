"""A bidirectional LSTM that tells what a passage of text is about.

    python examples/bidirectional_lstm.py [--epochs 4] [--weights FILE] [--plot FILE.png]

The passages are from the descriptions of data sets that scikit-learn ships: measurements of cells
and wines, or houses, faces and networks.
"""

import repro_keras as keras  # was: import keras
from repro_keras import layers  # was: from keras import layers

from real_data import arguments, held_out, passages, plot_curves


def build(vectorize):
    return keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            layers.Embedding(vectorize.vocabulary_size(), 16),
            layers.SpatialDropout1D(0.2),
            layers.Bidirectional(layers.LSTM(16, recurrent_dropout=0.1)),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def main():
    given = arguments(__doc__.splitlines()[0], epochs=4)
    (texts, labels), (test_texts, test_labels) = held_out(*passages())
    vectorize = layers.TextVectorization(max_tokens=800, output_sequence_length=20)
    vectorize.adapt(texts)
    x, test = vectorize(texts).numpy(), (vectorize(test_texts).numpy(), test_labels)
    model = build(vectorize)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(
        x, labels, batch_size=16, epochs=given.epochs, validation_data=test, verbose=2
    ).history
    print(f"{len(test_labels)} passages it has not seen: {history['val_accuracy'][-1]:.1%} right")
    plot_curves(
        given.plot, {"train": history["loss"], "test": history["val_loss"]}, "Bidirectional LSTM"
    )
    if given.weights:
        model.save_weights(given.weights)


if __name__ == "__main__":
    main()
