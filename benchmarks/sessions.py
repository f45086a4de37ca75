"""What TensorFlow 1 costs under repro_keras: `examples/lowlevel_get_variable.py`'s network.

Each run is a process of its own: plain TensorFlow with the recipe (one thread), plain TensorFlow
with all cores, and repro_keras, in turn. Also what `v1.save_state` costs against a `Saver`.

    python benchmarks/sessions.py [ROUNDS]
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
STEPS, SAVES = 150, 20
TIMED = """
import json, sys, tempfile, time
which = sys.argv[1]
import numpy as np
from repro_keras import v1  # REPRO_KERAS_OFF=1 for plain TensorFlow
sys.path.insert(0, ".")
import lowlevel_get_variable as example
tf = v1
x = tf.placeholder(tf.float32, [None, 28, 28, 1])
y = tf.placeholder(tf.int64, [None])
logits = example.network(x, 0.5)
loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
step = tf.train.AdamOptimizer().minimize(loss)
threads = 0 if which == "all cores" else 1
config = tf.ConfigProto(
    intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads
)
saver = tf.train.Saver()
data = np.random.random((64, 28, 28, 1)).astype("float32")
feed = dict([(x, data), (y, np.arange(64) % 10)])
with tf.Session(config=config) as session, tempfile.TemporaryDirectory(dir=".") as folder:
    session.run(tf.global_variables_initializer())
    for _ in range(10):
        session.run([step, loss], feed)
    start = time.perf_counter()
    for _ in range({steps}):
        session.run([step, loss], feed)
    per_step = (time.perf_counter() - start) / {steps}
    def save(i):
        if which == "ours":
            v1.save_state(session, folder + "/state", i)
        else:
            saver.save(session, folder + "/model", write_meta_graph=False)
    save(0)
    start = time.perf_counter()
    for i in range({saves}):
        save(i)
    print(json.dumps([per_step, (time.perf_counter() - start) / {saves}]))
"""


def seconds(which: str) -> list[float]:
    environment = {**os.environ, "PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if which != "ours":
        environment["REPRO_KERAS_OFF"] = "1"
    result = subprocess.run(
        [sys.executable, "-c", TIMED.format(steps=STEPS, saves=SAVES), which],
        env=environment,
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(result.stdout.splitlines()[-1])


def main(rounds: int = 5) -> None:
    ratios: dict[str, list[float]] = {"recipe": [], "all cores": []}
    saves = []
    for _ in range(rounds):
        ours, save = seconds("ours")
        for which, found in ratios.items():
            plain, plain_save = seconds(which)
            found.append(ours / plain)
            print(f"a step: {which} {plain * 1e3:.2f} ms, repro_keras {ours * 1e3:.2f} ms")
        saves.append((save - plain_save) * 1e3)
        print(f"a save: Saver {plain_save * 1e3:.1f} ms, save_state {save * 1e3:.1f} ms")
    for which, found in ratios.items():
        print(
            f"repro_keras / plain TensorFlow ({which}), on {len(os.sched_getaffinity(0))} cores: "
            f"median {statistics.median(found):.2f}, from {min(found):.2f} to {max(found):.2f}"
        )
    print(
        "save_state, more than a Saver (which neither waits for the disk nor keeps all): median "
        f"{statistics.median(saves):.1f} ms, from {min(saves):.1f} to {max(saves):.1f}"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
