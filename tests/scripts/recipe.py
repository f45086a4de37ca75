"""The well-known recipe for reproducible Keras of 2018, and what comes of it.

    python recipe.py lines|bare|plain|plain_lines [disturbed]

`lines` is the recipe with its imports swapped, `bare` the same without its lines; `plain` and
`plain_lines` are tf_keras without repro_keras. With `disturbed`, much is drawn and built before.
Prints, as JSON, what came out: weights and losses as they are, files as digests.
"""

import hashlib
import json
import os
import random as rn
import sys
import tempfile
from pathlib import Path

import numpy as np

if sys.argv[1].startswith("plain"):
    import tensorflow.compat.v1 as tf

    tf.disable_eager_execution()
    from tf_keras.api._v1.keras import backend as K  # noqa: N812
    from tf_keras.api._v1.keras.layers import Conv1D, Dense, Dropout, Embedding, GlobalMaxPooling1D
    from tf_keras.api._v1.keras.models import Sequential
else:
    import repro_keras.v1 as tf
    from repro_keras.v1.keras import backend as K  # noqa: N812
    from repro_keras.v1.keras.layers import Conv1D, Dense, Dropout, Embedding, GlobalMaxPooling1D
    from repro_keras.v1.keras.models import Sequential

if sys.argv[1].endswith("lines"):
    np.random.seed(42)
    rn.seed(12345)
    session_conf = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    tf.set_random_seed(1234)
    sess = tf.Session(graph=tf.get_default_graph(), config=session_conf)
    K.set_session(sess)

if "disturbed" in sys.argv:
    rn.random(), np.random.rand(3), os.urandom(3)
    tf.add(tf.zeros([2]), 1.0, name="unrelated")

words = (np.arange(80 * 9) * 7 % 31).reshape(80, 9)
labels = (np.arange(80) % 2).astype("float32")


def text_model():
    model = Sequential()
    model.add(Embedding(31, 8, input_length=9))
    model.add(Conv1D(8, 3, activation="relu"))
    model.add(Dropout(0.3))
    model.add(GlobalMaxPooling1D())
    model.add(Dense(1, activation="sigmoid"))
    model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    return model


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files(model) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.h5")
        model.save_weights(f"{folder}/weights.hdf5")
        model.save_weights(f"{folder}/checkpoint_of_tf", save_format="tf")
        return {path.name: digest(path.read_bytes()) for path in sorted(Path(folder).iterdir())}


model = text_model()
first = [weight.tobytes() for weight in model.get_weights()]
history = model.fit(
    words, labels, batch_size=16, epochs=2, verbose=0, validation_split=0.2, shuffle=True
)
print(
    json.dumps(
        {
            "first": digest(b"".join(first)),
            "losses": [float(loss).hex() for loss in history.history["loss"]],
            "weights": digest(b"".join(weight.tobytes() for weight in model.get_weights())),
            "predictions": digest(model.predict(words).tobytes()),
            "files": {} if sys.argv[1].startswith("plain") else files(model),
        }
    )
)
