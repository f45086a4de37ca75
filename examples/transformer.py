"""A small transformer that tells what a passage of text is about.

python examples/transformer.py [--epochs 4] [--weights FILE] [--plot FILE.png]
"""

import repro_keras as keras  # was: import keras
from repro_keras import layers, ops  # was: from keras import layers, ops

from real_data import arguments, held_out, passages, plot_curves

LENGTH, WIDTH = 20, 24


class PositionAndToken(layers.Layer):
    """The sum of an embedding of each word and one of its place."""

    def __init__(self, vocabulary):
        super().__init__()
        self.words = layers.Embedding(vocabulary, WIDTH)
        self.places = layers.Embedding(LENGTH, WIDTH)

    def call(self, tokens):
        return self.words(tokens) + self.places(ops.arange(LENGTH))


def block(x):
    attended = layers.MultiHeadAttention(num_heads=2, key_dim=12, dropout=0.1)(x, x)
    x = layers.LayerNormalization(epsilon=1e-6)(x + layers.Dropout(0.1)(attended))
    fed = layers.Dense(WIDTH)(layers.Dense(48, activation="gelu")(x))
    return layers.LayerNormalization(epsilon=1e-6)(x + layers.Dropout(0.1)(fed))


def build(vocabulary):
    tokens = keras.Input((LENGTH,), dtype="int32")
    x = block(PositionAndToken(vocabulary)(tokens))
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(tokens, layers.Dense(2, activation="softmax")(x))


def main():
    given = arguments(__doc__.splitlines()[0], epochs=4)
    (texts, labels), (test_texts, test_labels) = held_out(*passages(LENGTH))
    vectorize = layers.TextVectorization(max_tokens=800, output_sequence_length=LENGTH)
    vectorize.adapt(texts)
    test = (vectorize(test_texts).numpy(), test_labels)
    model = build(vectorize.vocabulary_size())
    model.compile(
        keras.optimizers.AdamW(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = model.fit(
        vectorize(texts).numpy(),
        labels,
        batch_size=16,
        epochs=given.epochs,
        validation_data=test,
        verbose=2,
    ).history
    print(f"{len(test_labels)} passages it has not seen: {history['val_accuracy'][-1]:.1%} right")
    plot_curves(given.plot, {"train": history["loss"], "test": history["val_loss"]}, "Transformer")
    if given.weights:
        model.save_weights(given.weights)


if __name__ == "__main__":
    main()
