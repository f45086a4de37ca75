"""Import this before `repro_keras.v1` where other tests of the same process run eagerly.

`v1` makes graphs the default where TensorFlow has not begun to run eagerly.
"""

import repro_keras  # noqa: F401 - before TensorFlow

import tensorflow as tf  # isort: skip

tf.constant(0)
