"""`repro-keras doctor SCRIPT`: what is found in a script, and what must not be."""

import json
import re

import pytest
from click.testing import CliRunner
from fresh import ROOT

from repro_keras._src import advice
from repro_keras._src.advice.rules import RULES
from repro_keras.cli import main

SCRIPTS = {
    "generators": """
import random as rn
import numpy as np, tensorflow as tf
from numpy.random import default_rng, RandomState as State
default_rng()  # -> unseeded-generator
np.random.default_rng(None)  # -> unseeded-generator
np.random.default_rng(seed=None)  # -> unseeded-generator
State()  # -> unseeded-generator
rn.Random()  # -> unseeded-generator
rn.seed()  # -> unseeded-generator
np.random.seed()  # -> unseeded-generator
np.random.Generator(np.random.PCG64())  # -> unseeded-generator
np.random.SeedSequence()  # -> unseeded-generator
tf.random.Generator.from_non_deterministic_state()  # -> unseeded-generator
""",
    "seeded generators, and draws from the global ones": """
import random
import numpy as np
from somewhere import default_rng as other
seeds = [1, 2]
np.random.default_rng(0), np.random.default_rng(seed=seeds), np.random.default_rng(*seeds)
np.random.RandomState(3), np.random.SeedSequence(3), random.Random(3), random.seed(4)
random.random(), np.random.rand(3), np.random.permutation(4), random.shuffle(seeds)
other()
later = random.Random()
later.seed(4)
class Kept:
    def __init__(self, state):
        self.rng = np.random.default_rng()
        self.rng.bit_generator.state = state
def shadowed(random, np):
    return random.Random(), np.random.default_rng()
""",
    "entropy": """
import os, secrets, uuid, random
from uuid import uuid4
os.urandom(8)  # -> system-entropy
secrets.token_hex()  # -> system-entropy
uuid4(), 1  # -> system-entropy
uuid.uuid1()  # -> system-entropy
random.SystemRandom()  # -> system-entropy
uuid.uuid5(uuid.NAMESPACE_DNS, "a"), uuid.UUID(int=3)
secrets.compare_digest(b"a", b"b")
os.urandom(8)  # repro: ignore
""",
    "seeds from the clock": """
import os, random, time
from datetime import datetime
import numpy as np
random.seed(time.time())  # -> clock-seed
np.random.default_rng([7, os.getpid()])  # -> clock-seed
now = int(time.time() * 1000) % 2**32
np.random.seed(now)  # -> clock-seed
seed = datetime.now().microsecond  # -> clock-seed
train_test_split(x, random_state=time.time_ns())  # -> clock-seed
random.Random(hash("name"))  # -> clock-seed
""",
    "loops that end by the clock": """
import time, keras
start = time.time()
while time.time() - start < 60:  # -> clock-loop
    step()
deadline = time.monotonic() + 3600
for batch in data:
    if time.monotonic() > deadline:  # -> clock-loop
        break
class Stop(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.start = time.time()
    def on_epoch_end(self, epoch, logs=None):
        if time.time() - self.start > 3600:  # -> clock-loop
            self.model.stop_training = True
""",
    "clocks that only measure": """
import time, logging
from datetime import datetime
start = time.perf_counter()
train()
elapsed = time.perf_counter() - start
print(f"{elapsed:.1f} seconds", time.time() - start)
logging.info("at %s", datetime.now())
name = f"run-{datetime.now():%Y%m%d}-{int(time.time())}"
for epoch in range(10):
    if time.time() - start > 5:
        print(epoch)
        start = time.time()
while not ready() and time.monotonic() < start + 5:
    time.sleep(0.1)
history = {"seconds": time.time() - start}
if elapsed > 10:
    print("slow")
""",
    "hashes": """
import numpy as np
bucket = hash(name) % 10  # -> hash
is_test = abs(hash(name)) / 2**64 < 0.2  # -> hash
class Key:
    def __hash__(self):
        return hash((self.a, self.b)) % 2**31
hash(a) == hash(b)
cache[hash(key)] = 3
shuffled = np.random.default_rng(hash((seed, epoch)) % 2**32)
part = hash((fold, f"image-{number}")) % 10  # -> hash
""",
    "files": """
import glob, os
from glob import glob as find
from pathlib import Path
import tensorflow as tf
for name in os.listdir("data"):  # -> file-order
    train(name)
paths = glob.glob("*.png")  # -> file-order
data = tf.data.Dataset.from_tensor_slices(paths)
first = find("*.h5")[0]  # -> file-order
more = []
more += glob.glob("*.png")  # -> file-order
use(more)
for root, folders, files in os.walk("data"):  # -> file-order
    for name in files:
        train(name)
from settings import DATA
fit(DATA.iterdir())  # -> file-order
images = [load(path) for path in Path("data").iterdir()]  # -> file-order
use(images)
for i, path in enumerate(Path("data").rglob("*.png")):  # -> file-order
    x[i] = load(path)
def names(folder):
    return [n for n in os.listdir(folder) if n.endswith(".png")]  # -> file-order
def labels(folder):
    found = []
    for entry in os.scandir(folder):  # -> file-order
        found.append(entry.name)
    return found
with os.scandir("data") as entries:  # -> file-order
    train([entry.name for entry in entries])
for root, _, files in os.walk("data"):  # -> file-order
    train(files)
for path in Path("states").glob("*.h5"):  # -> file-order
    if path.stem.isdigit():
        newest = path
        break
class Data:
    def __init__(self):
        self.paths = list(Path("data").glob("*.png"))  # -> file-order
    def __getitem__(self, index):
        return load(self.paths[index])
""",
    "files in an order, or where none is needed": """
import glob, os, shutil
from pathlib import Path
folder = Path("data")
for name in sorted(os.listdir("data")):
    train(name)
found = sorted((path.name, path) for path in folder.iterdir() if path.suffix == ".rst")
ordered = sorted([load(p) for p in folder.glob("*")], key=len)
paths = glob.glob("*.png")
paths.sort()
train(paths)
again = list(folder.rglob("*"))
again = sorted(again)
train(again)
listed = []
for name in os.listdir("data"):
    path = os.path.join("data", name)
    if os.path.isfile(path):
        listed.append(path)
train(sorted(listed))
print(len(os.listdir("data")), "a" in os.listdir("data"), any(folder.iterdir()))
size = sum(path.stat().st_size for path in folder.rglob("*"))
newest = max(folder.glob("*.h5"), key=os.path.getmtime)
for path in (*folder.glob("*.tmp"), folder / "checkpoint"):
    path.unlink(missing_ok=True)
for path in folder.glob("*"):
    if path.is_dir():
        shutil.rmtree(path)
by_name = {path.stem: load(path) for path in folder.iterdir()}
kinds = {path.suffix for path in folder.iterdir()}
if not os.listdir("data"):
    raise SystemExit("no files")
def names(folder):
    return os.listdir(folder)
train(sorted(names("data")))
def each(folder):
    for path in folder.iterdir():
        yield path
train(sorted(each(folder)))
class Data:
    def __init__(self):
        self.paths = list(folder.glob("*.png"))
        self.paths.sort()
    def __getitem__(self, index):
        return load(self.paths[index])
for root, folders, files in os.walk("data"):
    folders.sort()
    for name in sorted(files):
        train(name)
found = []
for root, folders, files in os.walk("data"):
    folders[:] = [name for name in folders if name != ".git"]
    for name in files:
        found.append(os.path.join(root, name))
train(sorted(found))
more = []
for pattern in ("*.png", "*.jpg"):
    more += glob.glob(pattern)
more.sort()
train(more)
logging.info("%s", os.listdir("data"))
import ast
for node in ast.walk(tree):
    visit(node)
from natsort import natsorted
train(natsorted(os.listdir("data")))
""",
    "sets": """
import itertools
import numpy as np
characters = set(text)
index = {c: i for i, c in enumerate(characters)}  # -> set-order
for word in {"a", "b"}:  # -> set-order
    train(word)
names = list(set(words))  # -> set-order
use(names)
print(" ".join({w.lower() for w in words}))  # -> set-order
array = np.array(list(characters | {"x"}))  # -> set-order
use(array)
def vocabulary(words):
    seen = set()
    for word in words:
        seen.add(word)
    return seen
for word in vocabulary(words):  # -> set-order
    train(word)
ids = dict.fromkeys(set(words))  # -> set-order
rows = [embed(w) for w in frozenset(words)]  # -> set-order
fit(rows)
pairs = [*set(words)][0]  # -> set-order
""",
    "sets in an order, or where none is needed": """
characters = sorted(set(text))
for word in sorted({"a", "b"}):
    train(word)
for number in {1, 2, 3}:
    train(number)
for number in set(range(9)):
    train(number)
seen = set()
for word in words:
    if word in seen:
        continue
    seen.add(word)
print(len(seen), seen, f"{seen}", "a" in set(words), set(a) == set(b), set(a) - set(b))
names = list(set(words))
names.sort()
train(names)
total = len(list(set(words)))
longest = max({len(w) for w in words})
(only,) = set(words)
one, same = set(words).pop(), next(iter(set(words)))
left = list(set(range(9)) - set(numbers))
use(left)
for word in set(words):
    counts[word] = 0
for word in seen:
    other.add(word)
known(seen)
raise ValueError(", ".join(seen))
""",
    "threads": """
import random, threading
import numpy as np
from concurrent.futures import ThreadPoolExecutor
def augment(image):
    return image + np.random.normal(size=3)  # -> thread-draw
def load():
    random.shuffle(queue)  # -> thread-draw
threading.Thread(target=load).start()
with ThreadPoolExecutor() as pool:
    images = list(pool.map(augment, images))
class Reader(threading.Thread):
    def run(self):
        random.random()  # -> thread-draw
""",
    "threads that draw from generators of their own": """
import random, threading
import numpy as np
from concurrent.futures import ThreadPoolExecutor
def augment(number):
    return np.random.default_rng(number).normal(size=3)
def elsewhere():
    return random.random()
elsewhere()
threading.Thread(target=print).start()
with ThreadPoolExecutor() as pool:
    images = list(pool.map(augment, range(9)))
    list(map(lambda n: n + random.random(), range(3)))
""",
    "draws in no thread": """
import random
data = data.map(lambda x: x + random.random())
""",
    "a seed after the model": """
import repro_keras as keras
def build():
    return keras.Sequential([keras.layers.Dense(3)])
model = build()
keras.utils.set_random_seed(3)  # -> late-seed
""",
    "a configuration after the model": """
import repro_keras as keras
from repro_keras import repro
def main():
    model = keras.Sequential([keras.Input((3,))])
    repro.configure(seed=3)  # -> late-seed
""",
    "seeds before models": """
import numpy as np
import repro_keras as keras
from repro_keras import repro
keras.utils.set_random_seed(3)
model = keras.Sequential([keras.layers.Dense(3)])
np.random.seed(4)
for seed in range(3):
    keras.utils.set_random_seed(seed)
    keras.Sequential([keras.layers.Dense(3)])
repro.configure(guard="off")
""",
    "data after the model": """
import numpy as np
import repro_keras as keras
model = keras.Sequential([keras.layers.Dense(3)])
np.random.seed(4)
x = np.random.rand(3)
""",
    "plain Keras first": """
from keras.layers import Dense  # -> late-import
import repro_keras as keras
""",
    "plain Keras of TensorFlow first": """
from tensorflow import keras as plain  # -> late-import
from repro_keras import layers
""",
    "plain Keras later, or instead": """
import tensorflow as tf
try:
    import keras
except ImportError:
    pass
import repro_keras
import keras
def inside():
    import keras
""",
    "plain Keras alone": """
import keras
""",
}


def _found(text, tmp_path):
    path = tmp_path / "script.py"
    path.write_text(text)
    found, errors, count = advice.check([str(path)])
    assert (errors, count) == ([], 1)
    return {(finding.line, finding.rule) for finding in found}


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_is_found_in_a_script(name, tmp_path):
    text = SCRIPTS[name]
    expected = {
        (number, match[1])
        for number, line in enumerate(text.splitlines(), 1)
        if (match := re.search(r"# -> ([\w-]+)$", line))
    }
    assert _found(text, tmp_path) == expected


def test_each_rule_has_a_script_and_a_line_in_the_documentation():
    flagged = set(re.findall(r"# -> ([\w-]+)$", "".join(SCRIPTS.values()), re.MULTILINE))
    assert flagged == set(RULES)
    documented = re.findall(r"^\| `([\w-]+)`", (ROOT / "docs/doctor.md").read_text(), re.MULTILINE)
    assert documented == list(RULES)


def test_nothing_is_found_in_the_examples_and_notebooks():
    found, errors, count = advice.check([str(ROOT / "examples"), str(ROOT / "notebooks")])
    assert (found, errors) == ([], [])
    assert count >= 18


def test_a_notebook(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": "text"},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "!ls\n", "import numpy as np\n"]},
        {"cell_type": "code", "source": "%%bash\nrm -rf build"},
        {"cell_type": "code", "source": "%%time\nnp.array?\nfor i in range(2):\n    %pwd\na = !ls"},
        {"cell_type": "code", "source": "x = ('%d, %d'\n     % (1, 2))"},
        {"cell_type": "code", "source": "x = 1\nnp.random.default_rng()"},
    ]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": cells, "nbformat": 4}))
    (finding,), errors, _ = advice.check([str(tmp_path)])
    assert errors == []
    assert str(finding).startswith(
        f"{path}:cell 5:2:1: unseeded-generator: np.random.default_rng()"
    )


def test_a_cell_with_a_name(tmp_path):
    sources = ["%%repro net\n%%time\nimport os\nos.urandom(3)", "%%repro files\n%%bash\nls | wc"]
    cells = [{"cell_type": "code", "source": source} for source in sources]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    (finding,), errors, _ = advice.check([str(path)])
    assert errors == []
    assert (finding.cell, finding.line, finding.rule) == (1, 4, "system-entropy")


def test_the_command(tmp_path):
    def doctor(*arguments):
        return CliRunner().invoke(main, ["doctor", *map(str, arguments)])

    good, bad, broken = (tmp_path / name for name in ("good.py", "bad.py", "broken.py"))
    good.write_text("print(1)\n")
    bad.write_text("import os\nprint(os.urandom(3))\n")
    result = doctor(good)
    assert (result.exit_code, result.stdout) == (0, "Nothing found in 1 file.\n")
    result = doctor(good, bad)
    assert result.exit_code == 1
    assert f"{bad}:2:7: system-entropy: os.urandom(3)\n    It draws" in result.stdout
    assert "1 found in 2 files." in result.stdout
    found = json.loads(doctor("--json", bad).stdout)
    assert found["errors"] == []
    assert found["findings"][0]["line"] == 2
    broken.write_text("def f(:\n")
    result = doctor(tmp_path, tmp_path / "none.py")
    assert result.exit_code == 2
    assert "1 found in 2 files." in result.stdout
    assert f"{broken}, line 1 is not Python" in result.stderr
    assert "none.py could not be read: No such file" in result.stderr
    (tmp_path / "empty").mkdir()
    assert "has none" in doctor(tmp_path / "empty").stderr
