"""A variational autoencoder of handwritten digits, with a `train_step` of its own.

python examples/vae.py [--epochs 3] [--weights FILE] [--plot FILE.png]
"""

import repro_keras as keras  # was: import keras
from repro_keras import layers, ops  # was: from keras import layers, ops

import tensorflow as tf
from real_data import arguments, digits, plot_images

LATENT = 2


class VAE(keras.Model):
    """An encoder to a mean and a variance, a draw, and a decoder."""

    def __init__(self):
        super().__init__()
        self.encoder = keras.Sequential(
            [
                layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
                layers.Flatten(),
                layers.Dense(32, activation="relu"),
                layers.Dense(2 * LATENT),
            ]
        )
        self.decoder = keras.Sequential(
            [
                layers.Dense(7 * 7 * 16, activation="relu"),
                layers.Reshape((7, 7, 16)),
                layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu"),
                layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid"),
            ]
        )
        self.noise = keras.random.SeedGenerator()
        self.loss_tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.loss_tracker]

    def call(self, images):
        mean, log_variance = ops.split(self.encoder(images), 2, axis=-1)
        drawn = keras.random.normal(ops.shape(mean), seed=self.noise)
        return self.decoder(mean + ops.exp(0.5 * log_variance) * drawn), mean, log_variance

    def train_step(self, images):
        with tf.GradientTape() as tape:
            seen, mean, log_variance = self(images, training=True)
            errors = keras.losses.binary_crossentropy(images, seen)
            reconstruction = ops.mean(ops.sum(errors, axis=(1, 2)))
            divergence = -0.5 * (1 + log_variance - ops.square(mean) - ops.exp(log_variance))
            loss = reconstruction + ops.mean(ops.sum(divergence, axis=1))
        weights = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        self.loss_tracker.update_state(loss)
        return {"loss": self.loss_tracker.result()}


def main():
    given = arguments(__doc__.splitlines()[0], epochs=3)
    images, _ = digits(2500)
    model = VAE()
    model.compile(optimizer=keras.optimizers.Adam(2e-3))
    model.fit(images, batch_size=50, epochs=given.epochs, verbose=2)
    shown = images[::250]
    plot_images(given.plot, [shown, model(shown)[0].numpy()], "Digits, and what the VAE sees")
    if given.weights:
        model.save_weights(given.weights)


if __name__ == "__main__":
    main()
