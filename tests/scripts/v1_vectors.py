"""The initial values that TensorFlow 1.10.0 made, made again: prints the rows that differ."""

import hashlib
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import repro_keras.v1 as tf

of_scale = tf.variance_scaling_initializer
INITIALIZERS = {
    "glorot_uniform": tf.glorot_uniform_initializer,
    "glorot_normal": tf.glorot_normal_initializer,
    "he_normal": lambda seed: of_scale(2.0, "fan_in", "truncated_normal", seed=seed),
    "he_uniform": lambda seed: of_scale(2.0, "fan_in", "uniform", seed=seed),
    "lecun_uniform": lambda seed: of_scale(1.0, "fan_in", "uniform", seed=seed),
    "random_uniform": lambda seed: tf.random_uniform_initializer(-0.05, 0.05, seed=seed),
    "random_normal": lambda seed: tf.random_normal_initializer(stddev=0.05, seed=seed),
    "truncated_normal": lambda seed: tf.truncated_normal_initializer(stddev=0.05, seed=seed),
}

fixture = Path(__file__).parents[1] / "fixtures" / "tf1_10_initializers.json"
rows = json.loads(fixture.read_text())["rows"]
different = []
for row in rows:
    with tf.Graph().as_default():
        tf.set_random_seed(row["graph_seed"])
        initializer = INITIALIZERS[row["initializer"]](seed=row["op_seed"])
        with tf.variable_scope("scope"):
            variable = tf.get_variable("v", row["shape"], tf.float32, initializer=initializer)
        with tf.session() as session:
            session.run(tf.global_variables_initializer())
            value = session.run(variable).astype("<f4")
    first = [float(x).hex() for x in value.ravel()[: len(row["first"])]]
    if hashlib.sha256(value.tobytes()).hexdigest() != row["sha256"] or first != row["first"]:
        different.append(row)
print(json.dumps({"rows": len(rows), "different": different}))
