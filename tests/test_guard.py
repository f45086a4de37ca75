"""The guard: what the user's code draws from the operating system is caught, and nothing else."""

import re

import pytest
from fresh import ROOT, error_of, run, run_json

GUARDED = """
import copy, os, pickle, random, tempfile, uuid
import repro_keras
import numpy as np
from numpy.random import default_rng

default_rng()  # !
np.random.default_rng()  # !
np.random.default_rng(None)  # !
random.Random()  # !
random.SystemRandom()  # !
random.seed()  # !
np.random.seed()  # !
os.urandom(3)  # !
for _ in range(2):
    uuid.uuid4()  # !
seed = None
random.Random(seed)  # !

os.urandom(3)  # repro: ignore
np.random.default_rng(3), np.random.RandomState(3), np.random.PCG64(3).jumped()
rng = random.Random()
rng.seed(3)
random.Random(3), random.seed(3), np.random.seed(3)
tempfile.mkdtemp(), tempfile.TemporaryFile().close()
for one in (rng, np.random.default_rng(3), np.random.RandomState(3), np.random.SeedSequence(3)):
    pickle.loads(pickle.dumps(one)), copy.deepcopy(one)
for one in (os.urandom, np.random.default_rng, random.Random, random.SystemRandom):
    assert pickle.loads(pickle.dumps(one)) is one
assert isinstance(random.SystemRandom(), random.Random)  # repro: ignore
print(np.random.default_rng(5).random() == np.random.Generator(np.random.PCG64(5)).random())
"""


def _lines(stderr):
    return [int(n) for n in re.findall(r"guarded\.py:(\d+): ReproWarning: ", stderr)]


@pytest.fixture
def guarded(tmp_path):
    path = tmp_path / "guarded.py"
    path.write_text(GUARDED)
    return path


def test_the_guard_warns_once_per_line_that_draws_from_the_system(guarded):
    result = run(guarded)
    marked = [n for n, line in enumerate(GUARDED.splitlines(), 1) if line.endswith("# !")]
    assert _lines(result.stderr) == marked
    assert result.stdout == "True\n"


@pytest.mark.parametrize("switch", ["REPRO_KERAS_OFF", "REPRO_KERAS_GUARD"])
def test_the_guard_can_be_left_out(guarded, switch):
    code = "import os, random; a = os.urandom, random.seed, random.Random.seed\n"
    code += "import repro_keras; print(a == (os.urandom, random.seed, random.Random.seed))"
    env = {switch: "1" if switch.endswith("OFF") else "off"}
    assert run("-c", code, env=env).stdout == "True\n"
    assert run(guarded, env=env).stderr == ""


def test_the_guard_as_an_error():
    code = "import repro_keras, numpy as np\n\nnp.random.default_rng()"
    error = error_of(code, env={"REPRO_KERAS_GUARD": "error"})
    assert "GuardError: <string>, line 3: This generator has no seed" in error
    assert "np.random.default_rng(repro.seed_for(" in error


def test_the_guard_can_be_changed_at_any_time():
    code = """
import json, warnings
from repro_keras import repro  # first: late, doctor has more to say where the CPU has AVX-512
import numpy as np
warnings.simplefilter("error")
said = []
for guard in ("off", "warn", "error", "off"):
    assert repro.configure(guard=guard).guard == guard
    try:
        np.random.default_rng()
        said.append(None)
    except Exception as error:
        said.append(type(error).__name__)
print(json.dumps([said, [text.split(":")[0] for text in repro.doctor()]]))
"""
    caught = [None, "ReproWarning", "GuardError", None], ["<string>, line 10"]
    assert run_json("-c", code, env={"REPRO_KERAS_GUARD": "off"}) == list(caught)


def test_libraries_may_draw_what_they_like(tmp_path):
    package = tmp_path / "site-packages" / "library"
    package.mkdir(parents=True)
    draw = "import os, random\ndef draw():\n    return os.urandom(3), random.Random()\n"
    (package / "__init__.py").write_text(draw)
    (tmp_path / "guarded.py").write_text(
        f"import sys; sys.path.insert(0, {str(package.parent)!r})\n"
        "import repro_keras, library\nlibrary.draw()\n"
    )
    assert run(tmp_path / "guarded.py").stderr == ""


@pytest.mark.slow
def test_an_example_is_not_caught(tmp_path):
    weights = tmp_path / "cells.weights.h5"
    example = ROOT / "examples" / "gradient_tape.py"
    env = {"REPRO_KERAS_GUARD": "error"}
    result = run(example, "--epochs=1", f"--weights={weights}", env=env, extras=True)
    assert "ReproWarning" not in result.stderr
    assert weights.exists()


def test_a_record_has_no_guard():
    from repro_keras._src import config, record

    old = record.read(ROOT / "examples" / "records" / "mnist_convnet.json")
    assert list(config.recorded()) == list(old.predicate.configuration)
