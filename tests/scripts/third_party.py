"""Stands for another package's layers: it imports plain Keras and knows nothing of us."""

import keras


class Gate(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.layers.Dense(units)
        self.noise = keras.layers.GaussianNoise(0.1)

    def build(self, shape):
        self.gate = self.add_weight(shape=(shape[-1], self.inner.units), name="gate")
        self.inner.build(shape)

    def call(self, x, training=False):
        return self.noise(self.inner(x), training=training) * keras.ops.sigmoid(x @ self.gate)
