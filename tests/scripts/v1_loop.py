"""A training loop in a session that goes on where it was killed.

    python v1_loop.py FOLDER [KILL AFTER STEP [saver]]

Prints the digest of what came out, as JSON. Dropout, a user's seed, tf.data and NumPy draw. With
`saver` the state is what TensorFlow's own Saver keeps.
"""

import json
import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np

import repro_keras.v1 as tf
from repro_keras import repro

STEPS = 12
folder = Path(sys.argv[1])
folder.mkdir(exist_ok=True)
kill_after = int(sys.argv[2]) if len(sys.argv) > 2 else None

x = tf.placeholder(tf.float32, [None, 6], name="x")
data = tf.data.Dataset.range(40).shuffle(40).repeat().batch(8)
iterator = tf.data.make_initializable_iterator(data)
targets = tf.cast(iterator.get_next()[:, None], tf.float32) / 40
hidden = tf.layers.dense(x, 8, activation=tf.nn.relu)
hidden = tf.layers.batch_normalization(hidden, training=True)
hidden = tf.nn.dropout(hidden, rate=0.3)
hidden += tf.random_normal(tf.shape(hidden), stddev=0.01, seed=5)
hidden = tf.random_shuffle(hidden)
loss = tf.reduce_mean((tf.layers.dense(hidden, 1) - targets) ** 2)
rate = tf.train.exponential_decay(0.01, tf.train.get_or_create_global_step(), 3, 0.9)
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    step = tf.train.AdamOptimizer(rate).minimize(loss, tf.train.get_global_step())

losses, saver = [], tf.train.Saver()


def save(session, position):
    if "saver" in sys.argv:
        saver.save(session, str(folder / "stock.ckpt"))
        (folder / "position.json").write_text(json.dumps(position))
    else:
        tf.save_state(session, folder / "loop.safetensors", position)


def restore(session):
    if "saver" not in sys.argv:
        return tf.restore_state(session, folder / "loop.safetensors")
    if (folder / "position.json").exists():
        saver.restore(session, str(folder / "stock.ckpt"))
        return json.loads((folder / "position.json").read_text())
    return None


with tf.session() as session:
    session.run([tf.global_variables_initializer(), iterator.initializer])
    position = restore(session) or {"step": 0, "losses": []}
    losses = position["losses"]
    for number in range(position["step"], STEPS):
        batch = np.random.random((8, 6))
        losses.append(float(session.run([step, loss], {x: batch})[1]).hex())
        position = {"step": number + 1, "losses": losses}
        save(session, position)
        if kill_after == number + 1:
            os.kill(os.getpid(), signal.SIGKILL)
    found = session.run({v.op.name: v for v in tf.global_variables()})
    saver.save(session, str(folder / "model.ckpt"))
print(json.dumps({"losses": losses, "variables": repro.digest(found)}))
