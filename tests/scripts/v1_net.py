"""A convolutional network built by hand, trained in a session.

    python v1_net.py ours|plain [--extra] [--threads N] [--save FOLDER]

Prints the losses and the digest of the variables, as JSON. `plain` is TensorFlow with the recipe's
seeds; `--extra` adds an unrelated variable and an unrelated random op before all others.
"""

import argparse
import hashlib
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("which", choices=("ours", "plain"))
parser.add_argument("--extra", action="store_true")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--save")
given = parser.parse_args()

if given.which == "ours":
    import repro_keras.v1 as tf
else:
    import tensorflow
    import tensorflow.compat.v1 as tf

    tf.disable_eager_execution()
    tensorflow.config.experimental.enable_op_determinism()
    tf.set_random_seed(0)
    np.random.seed(0)

config = tf.ConfigProto(intra_op_parallelism_threads=given.threads, inter_op_parallelism_threads=1)
images = tf.placeholder(tf.float32, [None, 24, 24, 3], name="images")
if given.extra:
    tf.get_variable("unrelated", [3, 3])
    tf.random_normal([2], name="unrelated_noise")
with tf.variable_scope("conv"):
    kernel = tf.get_variable("kernel", [5, 5, 3, 32])
    x = tf.nn.relu(tf.nn.conv2d(images, kernel, [1, 1, 1, 1], "SAME"))
x = tf.reshape(tf.nn.max_pool(x, [1, 4, 4, 1], [1, 4, 4, 1], "VALID"), [-1, 6 * 6 * 32])
with tf.variable_scope("dense"):
    weights = tf.get_variable("weights", [6 * 6 * 32, 10])
    bias = tf.get_variable("bias", [10], initializer=tf.zeros_initializer())
x = tf.matmul(tf.nn.dropout(x, rate=0.2), weights) + bias
loss = tf.reduce_mean(tf.square(x - tf.random_uniform(tf.shape(x))))
step = tf.train.MomentumOptimizer(0.001, 0.9).minimize(loss)

losses = []
with tf.Session(config=config) as session:
    session.run(tf.global_variables_initializer())
    for _ in range(4):
        batch = np.random.random((64, 24, 24, 3))
        losses.append(float(session.run([step, loss], {images: batch})[1]).hex())
    trained = session.run(tf.trainable_variables("conv") + tf.trainable_variables("dense"))
    if given.save:
        tf.train.Saver().save(session, os.path.join(given.save, "net"), global_step=4)
digest = hashlib.sha256(b"".join(array.tobytes() for array in trained)).hexdigest()
print(json.dumps({"losses": losses, "variables": digest}))
