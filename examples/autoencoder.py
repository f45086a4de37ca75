"""A convolutional autoencoder that takes noise off handwritten digits.

python examples/autoencoder.py [--epochs 3] [--weights FILE] [--plot FILE.png]
"""

import repro_keras as keras  # was: import keras
from repro_keras import layers  # was: from keras import layers

import tensorflow as tf
from real_data import arguments, digits, held_out, plot_images


def build():
    images = keras.Input((28, 28, 1))
    x = layers.GaussianNoise(0.3)(images)
    x = layers.Conv2D(16, 3, activation="relu", padding="same")(x)
    x = layers.MaxPooling2D(padding="same")(x)
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(x)
    x = layers.UpSampling2D()(x)
    seen = layers.Conv2D(1, 3, activation="sigmoid", padding="same")(x)
    return keras.Model(images, seen)


def main():
    given = arguments(__doc__.splitlines()[0], epochs=3)
    (images,), (test,) = held_out(digits(1250)[0])
    # A pipeline of tf.data that shuffles: the swapped import names its seed.
    data = tf.data.Dataset.from_tensor_slices((images, images)).shuffle(len(images)).batch(50)
    model = build()
    model.compile(keras.optimizers.Nadam(2e-3), "binary_crossentropy")
    model.fit(data, epochs=given.epochs, validation_data=(test, test), verbose=2)
    noisy = test[::25] + keras.random.normal(test[::25].shape, stddev=0.3).numpy()
    cleaned = model.predict(noisy, verbose=0)
    plot_images(given.plot, [noisy.clip(0, 1), cleaned], "With noise, and without")
    if given.weights:
        model.save_weights(given.weights)


if __name__ == "__main__":
    main()
