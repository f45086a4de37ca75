"""The face: a true drop-in, by every form of import, and what it costs to load."""

import json
import subprocess
import sys

import pytest
from fresh import ROOT, TENSORFLOW_FIRST, error_of, run, run_json, run_together

FACES = ("keras", "repro_keras")


def test_the_whole_public_interface_is_keras_own():
    ours, plain = run_together((("walk.py",), {}), (("walk.py", "plain"), {}))
    assert ours["not the same"] == []
    assert ours["gained"] == []
    assert ours["only ours"] == ["repro", "v1"]
    assert ours["names"].keys() == plain["names"].keys()
    differences = [
        (module, name, plain["names"][module].get(name), ours["names"][module].get(name))
        for module in plain["names"]
        for name in {**plain["names"][module], **ours["names"][module]}
        if plain["names"][module].get(name) != ours["names"][module].get(name)
    ]
    assert differences == []
    assert ours["only tf.keras"] == plain["only tf.keras"]
    assert len(plain["only tf.keras"]) > 100
    assert "layers.RandomHeight" in plain["only tf.keras"]


def test_forms_of_import():
    result = run_json("-c", FORMS)
    assert all(result.values()), result


FORMS = """
import json, sys
import repro_keras as keras
result = {"nothing loaded": not {"numpy", "keras", "tensorflow"} & set(sys.modules)}
import repro_keras.layers as L
from repro_keras.layers import Dense
from repro_keras import layers, ops, Model
from repro_keras.applications.resnet50 import ResNet50
from repro_keras.preprocessing.text import Tokenizer
from repro_keras import repro
import repro_keras.repro as R
import keras as K
import tensorflow as tf
spec = K.layers.__spec__.name, K.layers.__name__, K.layers.__package__, K.layers.__loader__
result["modules"] = L is K.layers is keras.layers is layers
result["classes"] = Dense is K.layers.Dense is keras.layers.Dense and Model is K.Model
result["deep"] = ResNet50 is K.applications.ResNet50
result["attributes"] = keras.ops is K.ops and keras.ops.numpy.sum is K.ops.numpy.sum
result["tf.keras"] = (Tokenizer is tf.keras.preprocessing.text.Tokenizer
    and keras.preprocessing.text.Tokenizer is Tokenizer
    and L.RandomHeight is tf.keras.layers.RandomHeight and tf.keras.layers.Dense is Dense
    and keras.losses.MSE is tf.keras.losses.MSE and keras.backend.abs is tf.keras.backend.abs)
result["spec"] = spec[:3] == ("keras.layers", "keras.layers", "keras.layers")
result["version"] = keras.__version__ == K.__version__ and repro.__version__ != K.__version__
result["repro"] = keras.repro is repro is R and not hasattr(K, "repro")
result["dir"] = "repro" in dir(keras) and "layers" in dir(keras) and "Tokenizer" not in dir(L)
space = {}
exec("from repro_keras import *", space)
result["star"] = space["layers"] is L and "repro" not in space
space = {}
exec("from keras import *\\nfrom repro_keras import layers", space)
result["star of keras first"] = space["layers"] is L
try:
    keras.no_such_name
except AttributeError as error:
    result["missing"] = str(error) == "module 'repro_keras' has no attribute 'no_such_name'"
try:
    keras.layers.no_such_name
except AttributeError as error:
    result["missing below"] = str(error) == "module 'keras.layers' has no attribute 'no_such_name'"
try:
    import repro_keras.no_such_module
except ModuleNotFoundError as error:
    result["missing module"] = error.name == "repro_keras.no_such_module"
import importlib
finders = len(sys.meta_path)
importlib.reload(sys.modules["repro_keras"])
result["reload"] = len(sys.meta_path) == finders
import pickle, inspect, pkgutil
result["pickle"] = pickle.loads(pickle.dumps(keras.layers.Dense)) is Dense
result["source"] = "class Dense" in inspect.getsource(keras.layers.Dense)
import numpy
result["loaders"] = "_Loader" not in type(numpy.__spec__.loader).__qualname__ and (
    pkgutil.get_data("keras", "__init__.py") is not None)
print(json.dumps({k: bool(v) for k, v in result.items()}))
"""


@pytest.mark.slow
def test_keras_imported_before_us_is_wrapped_all_the_same():
    code = """
import json
{first}
from keras.utils import set_random_seed
import repro_keras as rk
from repro_keras import repro
set_random_seed(3)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
print(json.dumps([repro.digest(model), repro.config().seed]))
"""
    before = run_json("-c", code.format(first="import keras"), env=TENSORFLOW_FIRST)
    after = run_json("-c", code.format(first="import repro_keras, keras"))
    first = "import tensorflow as tf, keras"
    tf_first = run_json("-c", code.format(first=first), env=TENSORFLOW_FIRST)
    assert before == after == tf_first
    assert before[1] == 3


@pytest.mark.slow
def test_models_go_to_plain_keras_and_back(tmp_path):
    # The same kernels for plain Keras; "portable" computes some operations otherwise than it does.
    env = {**TENSORFLOW_FIRST, "REPRO_KERAS_GUARANTEE": "machine"}
    ours = run_json("exchange.py", "repro_keras", "write", tmp_path / "ours", hash_seed=1, env=env)
    plain = run_json("exchange.py", "keras", "write", tmp_path / "plain", hash_seed=1, env=env)
    assert ours["names"] == plain["names"]
    assert ours["plain files"]
    for written, folder in ((ours, "ours"), (plain, "plain")):
        by_plain, by_ours = run_together(
            *((("exchange.py", face, "read", tmp_path / folder), {"env": env}) for face in FACES)
        )
        assert not by_plain["repro_keras loaded"]
        assert by_plain["predictions"] == by_ours["predictions"] == written["predictions"]
        # Loading builds in another order than writing did, so Keras's own paths differ there.
        assert by_plain["names"] == by_ours["names"]


def test_a_scope_and_loading_leave_keras_names_as_they_were():
    code = """
import json
import {face} as keras
names = [keras.layers.Dense(1).name for _ in range(2)]
model = keras.Sequential([keras.layers.Dense(1), keras.layers.Dropout(0.5)])
model = keras.models.clone_model(model)
names += [model.name, *(l.name for l in model.layers), keras.layers.Dense(1).name]
inputs = keras.Input((3, 4))
b = keras.layers.Bidirectional(keras.layers.LSTM(2))
out = b(inputs)
names += [b.name, b.forward_layer.name, keras.Model(inputs, out).name, keras.Input((1,)).name]
names += [keras.random.SeedGenerator().name, keras.layers.Dropout(0.1).seed_generator.name]
print(json.dumps(names))
"""
    assert run_json("-c", code.format(face="repro_keras")) == run_json(
        "-c", code.format(face="keras")
    )


@pytest.mark.slow
def test_off_is_plain_keras():
    code = """
import json, os
import repro_keras as keras
from repro_keras import repro
from repro_keras.layers import RandomHeight
from repro_keras.preprocessing.text import Tokenizer
repro.configure(seed=3)
@repro.scope
def build():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
import tensorflow as tf
print(json.dumps([repro.digest(build()), repro.config().guarantee,
    tf.config.threading.get_intra_op_parallelism_threads(), os.environ.get("OMP_NUM_THREADS"),
    keras.layers.Layer.__init__.__module__, repro.doctor()]))
"""
    results = [run_json("-c", code, env={"REPRO_KERAS_OFF": "1"}) for _ in range(2)]
    assert results[0][0] != results[1][0]
    assert results[0][1:5] == ["none", 0, None, "keras.src.layers.layer"]
    assert "plain Keras" in results[0][5][0]
    assert run_json("-c", code) == run_json("-c", code)


def test_importing_loads_nothing():
    code = "import sys, repro_keras; print([m for m in sys.modules if m.split('.')[0] in {}])"
    heavy = ("numpy", "keras", "tensorflow", "h5py", "rich", "threadpoolctl", "archspec")
    assert run("-c", code.format(heavy)).stdout.strip() == "[]"


def test_importing_costs_little():
    """Not a timed test (benchmarks/import_time.py is): the modules that it loads are counted."""
    code = """
import sys
before = set(sys.modules)
import repro_keras
print(len(set(sys.modules) - before))
"""
    assert int(run("-c", code).stdout) < 100


@pytest.mark.parametrize("name", ["__wrapped__", "__file__x", "__path__x"])
def test_what_tools_ask_for_loads_nothing(name):
    code = f"import sys, repro_keras; print(hasattr(repro_keras, {name!r}), 'keras' in sys.modules)"
    assert run("-c", code).stdout.strip() == "False False"


def test_stubs_are_current():
    check = [sys.executable, str(ROOT / "tools" / "make_stubs.py"), "--check"]
    result = subprocess.run(check, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
def test_an_untested_keras_is_refused_by_version():
    code = """
import json, sys
import repro_keras
from repro_keras._src import patches
patches.TESTED = ("9.0", "9.1")
import keras
from repro_keras import repro
print(json.dumps([repro.config().guarantee, repro.configure(seed=1).guarantee, repro.doctor()]))
"""
    error = error_of(code)
    assert "is not one that repro_keras was tested on" in error
    assert "works with Keras 9.0 to 9.1" in error
    assert "REPRO_KERAS_UNTESTED=1" in error
    guarantee, still, findings = run_json("-c", code, env={"REPRO_KERAS_UNTESTED": "1"})
    assert guarantee == still == "none"
    assert any("untested" in finding for finding in findings)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("del layer.Layer._open_name_scope", "Layer._open_name_scope is missing"),
        (
            "layer.Layer._open_name_scope = lambda self, more: None",
            "takes (self, more) in the installed Keras, and (self)",
        ),
    ],
)
def test_a_changed_target_is_an_error_that_names_the_versions_that_work(change, said):
    error = error_of(
        f"import keras\nfrom keras.src.layers import layer\n{change}\nimport repro_keras",
        env=TENSORFLOW_FIRST,
    )
    assert said in error
    assert "works with Keras 3.12 to" in error
    assert json.dumps("repro_keras._src.errors.SeamError")[1:-1] in error


def test_another_backend_is_refused():
    code = "import keras; keras.backend.backend = lambda: 'torch'; import repro_keras"
    error = error_of(code, env=TENSORFLOW_FIRST)
    assert "Keras runs on the backend 'torch'" in error
    assert "KERAS_BACKEND=tensorflow" in error
    # Before Keras finds that it is not installed.
    error = error_of("import repro_keras\nrepro_keras.layers", env={"KERAS_BACKEND": "jax"})
    assert "SeamError: Keras runs on the backend 'jax'" in error
    off = {"KERAS_BACKEND": "none", "REPRO_KERAS_OFF": "1"}
    assert "SeamError" not in error_of("import repro_keras\nrepro_keras.layers", env=off)
