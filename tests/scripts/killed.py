"""Kills a process while it saves, again and again, and looks at what it left.

    python killed.py FACE PATH KILLS

Two models are saved at PATH in turn. Prints how often the file was the one, the other, or neither.
"""

import importlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = importlib.import_module(sys.argv[1])


def models():
    for seed in (1, 2):
        init = keras.initializers.GlorotUniform(seed=seed)
        layers = [keras.layers.Dense(700, kernel_initializer=init, name=f"d{i}") for i in range(4)]
        yield keras.Sequential([keras.Input((700,)), *layers], name="net")


def save(model, path):
    (model.save_weights if path.name.endswith(".weights.h5") else model.save)(path)


def main(face, path, kills):
    path = Path(path)
    # The bytes of plain Keras differ each time, so that there only sizes can be compared.
    seen = Path.read_bytes if face == "repro_keras" else lambda p: p.stat().st_size
    one, other = models()
    whole = []
    for model in (one, other):
        save(model, path)
        whole.append(seen(path))
    start = time.perf_counter()
    save(other, path)
    duration = time.perf_counter() - start
    chance = random.Random(0)
    found = {"one": 0, "other": 0, "neither": 0}
    killed = 0
    while killed < int(kills):
        child = os.fork()
        if not child:
            save((one, other)[killed % 2], path)
            os._exit(0)
        time.sleep(chance.random() * duration * 1.2)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
        now = seen(path)
        if face != "repro_keras" and now == whole[0]:
            found["one"] += 1
        elif now in whole:
            found["one" if now == whole[0] else "other"] += 1
        else:
            found["neither"] += 1
    save(one, path)
    found["left"] = len(list(path.parent.iterdir())) - 1
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
