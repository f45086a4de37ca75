"""`repro_keras.v1.keras`: tf_keras in graphs and sessions, with results that come out the same."""

import pytest
from fresh import error_of, run, run_json, run_together

pytestmark = pytest.mark.slow

FORMS = """
import json, pickle
import repro_keras.v1 as tf
import repro_keras.v1.keras as keras
from repro_keras.v1 import keras as same
from repro_keras.v1.keras import backend as K
from repro_keras.v1.keras.layers import Dense, Input
from repro_keras.v1.keras.layers.core import Dropout, Flatten
from repro_keras.v1.keras.layers.convolutional import Conv2D, MaxPooling2D
from repro_keras.v1.keras.layers.normalization import BatchNormalization
from repro_keras.v1.keras.engine.topology import Layer
from repro_keras.v1.keras.models import Sequential
from repro_keras.v1.keras.utils import np_utils, to_categorical
from repro_keras.v1.keras.utils.np_utils import to_categorical as to_categorical_too
from repro_keras.v1.keras.preprocessing.image import ImageDataGenerator
from repro_keras.v1.keras.preprocessing import sequence
from repro_keras.v1.keras.datasets import mnist
import repro_keras.v1.keras.applications.vgg16
import repro_keras.v1.nn
from repro_keras.v1.train import AdamOptimizer
import tf_keras, tensorflow.compat.v1 as plain
from tf_keras.api._v1 import keras as api

print(json.dumps([
    keras is same is api is tf.keras,
    K is api.backend and K.set_session is not None,
    Dense is tf_keras.layers.Dense and Dropout is tf_keras.layers.Dropout,
    Layer is api.layers.Layer and BatchNormalization is api.layers.BatchNormalization,
    np_utils.to_categorical is to_categorical is to_categorical_too,
    keras.utils.set_random_seed is tf_keras.utils.set_random_seed,
    keras.__version__ == tf_keras.__version__,
    keras.losses.MSE is not None and keras.callbacks.ModelCheckpoint is not None,
    repro_keras.v1.nn is plain.nn and AdamOptimizer is plain.train.AdamOptimizer,
    pickle.loads(pickle.dumps(Dense)) is Dense,
    Dense(1).__class__.__module__.startswith("tf_keras"),
    not hasattr(keras, "nothing") and not hasattr(tf, "contrib"),
]))
"""


def test_each_form_of_import_finds_the_same_objects():
    assert all(run_json("-c", FORMS))


def test_the_recipe_gives_the_same_bits_in_every_process():
    one, other = run_together(
        (("recipe.py", "lines"), {"cores": "0"}),
        (("recipe.py", "lines", "disturbed"), {"hash_seed": "7"}),
    )
    assert len(one["files"]) == 5
    assert one == other


def test_so_do_the_scripts_without_its_lines():
    one, other = run_together(
        (("recipe.py", "bare"), {"cores": "0", "hash_seed": "3"}),
        (("recipe.py", "bare", "disturbed"), {"hash_seed": None}),
    )
    assert one == other


def test_plain_keras_differs_without_the_recipe():
    one, other = run_together((("recipe.py", "plain"), {}), (("recipe.py", "plain"), {}))
    for what in ("first", "losses", "weights", "predictions"):
        assert one[what] != other[what]


def test_the_rules_of_seeds_orders_and_files():
    assert {name for name, holds in run_json("rules_v1.py").items() if not holds} == set()


def test_files_of_2018_load():
    found = run_json("fixtures_of_2018.py")
    assert len(found) == 7
    for name, outcome in found.items():
        assert outcome.pop("predictions") <= 1e-5, name
        # Keras 2.2 did not divide the activity regularizer by the size of the batch.
        assert outcome.pop("evaluate", 0) <= (1e-3 if name == "autoencoder" else 1e-5), name
        assert all(outcome.values()), (name, outcome)


KERAS_3_FIRST = """
import numpy as np, repro_keras as keras
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.predict(np.ones((1, 2)), verbose=0)
"""


@pytest.mark.parametrize(
    "swapped",
    ["import repro_keras.v1.keras", "import repro_keras.v1 as tf; tf.keras.layers"],
)
def test_keras_2_is_refused_after_keras_3_ran_eagerly(swapped):
    error = error_of(KERAS_3_FIRST + swapped)
    assert "StageError: repro_keras.v1.keras is Keras 2 in graphs and sessions" in error


def test_keras_3_is_refused_after_graphs_became_the_default():
    error = error_of("import repro_keras.v1" + KERAS_3_FIRST)
    assert "StageError: Sequential.predict is Keras 3's, which needs eager execution" in error


def test_without_tf_keras_the_error_says_what_to_install():
    code = "import sys, repro_keras; sys.modules['tf_keras'] = None\nimport repro_keras.v1.keras"
    error = error_of(code)
    assert "MissingExtraError" in error
    assert "pip install 'repro_keras[legacy]'" in error


def test_an_untested_tf_keras_is_refused():
    code = (
        "from repro_keras._src import patches; patches.TESTED_LEGACY = ('2.15', '2.16')\n"
        "import repro_keras.v1.keras"
    )
    assert "SeamError: tf_keras 2.2" in error_of(code)
    assert run("-c", code, env={"REPRO_KERAS_UNTESTED": "1"}).returncode == 0


def test_a_model_in_the_format_of_keras_3_is_refused(tmp_path):
    code = (
        "from repro_keras.v1 import keras\n"
        "keras.Sequential([keras.layers.Dense(1, input_shape=(2,))]).save('m.keras')"
    )
    assert "FileFormatError: m.keras cannot be saved or loaded here" in error_of(code, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_its_session_runs_in_the_calling_thread_with_the_configured_pool():
    code = (
        "import repro_keras.v1 as tf\n"
        "config = tf.keras.backend.get_session()._config\n"
        "print(config.intra_op_parallelism_threads, config.inter_op_parallelism_threads)"
    )
    env = {"REPRO_KERAS_THREADS": "2", "REPRO_KERAS_GUARANTEE": "machine"}
    assert run("-c", code, env=env).stdout.splitlines()[-1] == "2 -1"
