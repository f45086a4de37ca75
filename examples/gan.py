"""A generative adversarial network of handwritten digits: two optimizers in one `train_step`.

python examples/gan.py [--epochs 10] [--weights FILE] [--plot FILE.png]
"""

import repro_keras as keras  # was: import keras
from repro_keras import layers, ops  # was: from keras import layers, ops

import tensorflow as tf
from real_data import arguments, digits, plot_images

LATENT = 16


def build_generator():
    return keras.Sequential(
        [
            keras.Input((LATENT,)),
            layers.Dense(7 * 7 * 16),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Reshape((7, 7, 16)),
            layers.Conv2DTranspose(16, 4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2DTranspose(1, 4, strides=2, padding="same", activation="sigmoid"),
        ],
        name="generator",
    )


def build_discriminator():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Dropout(0.3),
            layers.Conv2D(32, 4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Flatten(),
            layers.Dense(1),
        ],
        name="discriminator",
    )


class GAN(keras.Model):
    """The generator draws digits, the discriminator tells them from real ones."""

    def __init__(self):
        super().__init__()
        self.generator = build_generator()
        self.discriminator = build_discriminator()
        self.noise = keras.random.SeedGenerator()

    def call(self, noise):
        return self.generator(noise)

    def compile(self, generator_optimizer, discriminator_optimizer):
        super().compile()
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        self.loss_of = keras.losses.BinaryCrossentropy(from_logits=True)

    def train_step(self, images):
        shape = (ops.shape(images)[0], LATENT)
        real, false = ops.ones((shape[0], 1)), ops.zeros((shape[0], 1))
        with tf.GradientTape() as tape:
            made = self.generator(keras.random.normal(shape, seed=self.noise))
            said = [self.discriminator(x, training=True) for x in (images, made)]
            d_loss = self.loss_of(real, said[0]) + self.loss_of(false, said[1])
        weights = self.discriminator.trainable_weights
        self.discriminator_optimizer.apply(tape.gradient(d_loss, weights), weights)
        with tf.GradientTape() as tape:
            made = self.generator(keras.random.normal(shape, seed=self.noise), training=True)
            g_loss = self.loss_of(real, self.discriminator(made))
        weights = self.generator.trainable_weights
        self.generator_optimizer.apply(tape.gradient(g_loss, weights), weights)
        return {"d_loss": d_loss, "g_loss": g_loss}


def main():
    given = arguments(__doc__.splitlines()[0], epochs=10)
    images, _ = digits(1250)
    model = GAN()
    model.compile(keras.optimizers.Adam(1e-3, beta_1=0.5), keras.optimizers.Adam(5e-4, beta_1=0.5))
    model.fit(images, batch_size=50, epochs=given.epochs, verbose=2)
    drawn = model.generator(keras.random.normal((20, LATENT), seed=1)).numpy()
    plot_images(given.plot, [drawn[:10], drawn[10:]], "Digits that nobody wrote")
    if given.weights:
        model.generator.save_weights(given.weights)


if __name__ == "__main__":
    main()
