"""`repro-keras migrate`: what becomes of scripts; TensorFlow is not imported for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from fresh import run

from repro_keras._src.errors import MissingExtraError
from repro_keras._src.migrate import Migrated, migrate
from repro_keras.cli import main

YESTERDAY = sorted(Path(__file__).parent.joinpath("fixtures", "yesterday").iterdir())

FIRST = "import repro_keras  # first: it sets up NumPy and TensorFlow\n"


def migrated(folder, text, name="script.py", **options):
    """A script as `migrate` makes it."""
    path = folder / name
    path.write_bytes(text.encode())
    unconcerned = Migrated(file=str(path), before=text, after=text)
    found = next(iter(migrate([path], **options)), unconcerned)
    assert not found.trouble
    return found


def reasons(found):
    return [f"{Path(left.place).name}: {left.code}: {left.why}" for left in found.left]


IMPORTS = """
import keras -> import repro_keras as keras
import keras as k -> import repro_keras as k
import keras.layers -> import repro_keras as keras
import keras.layers as L -> import repro_keras.layers as L
import keras.backend as K -> import repro_keras.backend as K
import keras, os -> import repro_keras as keras, os
import os, keras.layers as L  # both -> import os, repro_keras.layers as L  # both
import tensorflow.keras as tfk -> import repro_keras as tfk
import tensorflow.keras.layers as L -> import repro_keras.layers as L
import tensorflow.compat.v2.keras as k -> import repro_keras as k
from tensorflow import keras -> import repro_keras as keras
from tensorflow import keras as k -> import repro_keras as k
from tensorflow.keras import layers as L -> from repro_keras import layers as L
from tensorflow.keras import backend as K, layers -> from repro_keras import backend as K, layers
from tensorflow.keras.layers import (Dense,) -> from repro_keras.layers import (Dense,)
from keras import Input, Model -> from repro_keras import Input, Model
from keras.layers import * -> from repro_keras.layers import *
from keras.layers import Dense; x = 1 -> from repro_keras.layers import Dense; x = 1
from keras.utils.np_utils import normalize as n -> from repro_keras.utils import normalize as n
from keras.utils import np_utils -> from repro_keras import utils as np_utils
from keras.backend import tensorflow_backend as K -> from repro_keras import backend as K
from keras.layers.experimental import preprocessing as p -> from repro_keras import layers as p
from keras.layers.experimental.preprocessing import X -> from repro_keras.layers import X
import keras_tuner -> import keras_tuner
from .keras import layers -> from .keras import layers
import tensorflow as tf -> import tensorflow as tf
import torch -> import torch
import repro_keras as keras -> import repro_keras as keras
"""

IMPORTS_OF_1 = """
import tensorflow as tf -> import repro_keras.v1 as tf
import tensorflow -> import repro_keras.v1 as tensorflow
import tensorflow.compat.v1 as tf -> import repro_keras.v1 as tf
from tensorflow.compat import v1 as tf -> import repro_keras.v1 as tf
from tensorflow.compat.v1 import Session, nn -> from repro_keras.v1 import Session, nn
from tensorflow.train import AdamOptimizer -> from repro_keras.v1.train import AdamOptimizer
import tensorflow.keras.layers -> import repro_keras.v1 as tensorflow
from tensorflow import keras -> from repro_keras.v1 import keras
from tensorflow.keras.layers import Dense -> from repro_keras.v1.keras.layers import Dense
import keras -> import repro_keras.v1.keras as keras
from keras import backend as K -> from repro_keras.v1.keras import backend as K
from keras.layers.core import Dense -> from repro_keras.v1.keras.layers.core import Dense
from keras.utils import np_utils -> from repro_keras.v1.keras.utils import np_utils
import keras.backend.tensorflow_backend as K -> import repro_keras.v1.keras.backend as K
from tensorflow.python.client import device_lib -> from tensorflow.python.client import device_lib
"""


def rows(table):
    return [line.split(" -> ") for line in table.strip().splitlines()]


@pytest.mark.parametrize(
    ("v1", "before", "after"),
    [(v1, *row) for v1, table in ((False, IMPORTS), (True, IMPORTS_OF_1)) for row in rows(table)],
)
def test_each_form_of_import(tmp_path, v1, before, after):
    for start, indent in (("", ""), ("def f():\n", "    "), ("try:\n", "    ")):
        end = "finally:\n    pass\n" if start == "try:\n" else ""
        if before.endswith("*") and start.startswith("def"):
            continue
        code = migrated(tmp_path, f"{start}{indent}{before}\n{end}", v1=v1).after
        device_lib = code.startswith("import repro_keras  # first")  # before TensorFlow's own
        assert code == f"{FIRST * device_lib}{start}{indent}{after}\n{end}"


SCRIPTS = {
    "names of tf.keras, where tf is used for nothing else": (
        """
        import tensorflow as tf

        model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
        """,
        """
        import repro_keras as keras

        model = keras.Sequential([keras.layers.Dense(1)])
        """,
    ),
    "and where it is": (
        '''
        #!/usr/bin/env python
        # A comment.
        """Docstring."""
        from __future__ import annotations

        import os

        # Numbers.
        import numpy as np
        import tensorflow as tf

        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


        class Net(tf.keras.Model):  # tf.keras
            """Of tf.keras."""

            @tf.function
            def call(self, x, f=tf.keras.activations.relu):
                return (
                    tf.keras
                    .ops.relu(x)  # kept
                )
        ''',
        '''
        #!/usr/bin/env python
        # A comment.
        """Docstring."""
        from __future__ import annotations

        import os

        import repro_keras as keras
        # Numbers.
        import numpy as np
        import tensorflow as tf

        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


        class Net(keras.Model):  # tf.keras
            """Of tf.keras."""

            @tf.function
            def call(self, x, f=keras.activations.relu):
                return (
                    keras
                    .ops.relu(x)  # kept
                )
        ''',
    ),
    "the import moves up, its comment with it": (
        """
        import numpy as np
        import tensorflow as tf
        from tensorflow import keras, data  # Keras

        # Layers.
        from tensorflow.keras import layers

        tf.print(tf.keras.Model, data)
        """,
        """
        import repro_keras as keras
        import numpy as np
        import tensorflow as tf
        from tensorflow import data  # Keras

        # Layers.
        from repro_keras import layers

        tf.print(keras.Model, data)
        """,
    ),
    "without one to move": (
        """
        import numpy as np
        from keras.layers import Dense
        """,
        f"""
        {FIRST.strip()}
        import numpy as np
        from repro_keras.layers import Dense
        """,
    ),
    "a name keras that is something else": (
        """
        import tensorflow as tf
        keras = tf.keras
        Dense = keras.layers.Dense
        """,
        """
        import repro_keras
        keras = repro_keras
        Dense = keras.layers.Dense
        """,
    ),
    "but not there": (
        """
        import tensorflow as tf

        def f(keras):
            return keras.layers

        def g(tf):
            return tf.keras

        x = [tf.keras for tf in f], tf.keras.Model
        """,
        """
        import repro_keras as keras

        def f(keras):
            return keras.layers

        def g(tf):
            return tf.keras

        x = [tf.keras for tf in f], keras.Model
        """,
    ),
    "an alias that is there is used": (
        """
        import tensorflow as tf
        import tensorflow.keras as tfk
        tf.keras.Model, tfk.Model, tf.data
        """,
        """
        import repro_keras as tfk
        import tensorflow as tf
        tfk.Model, tfk.Model, tf.data
        """,
    ),
    "unless it comes too late": (
        """
        import tensorflow as tf
        tf.keras.Model
        import keras as k
        """,
        """
        import repro_keras as k
        k.Model
        """,
    ),
    "whatever is installed": (
        """
        try:
            import keras
        except ImportError:
            from tensorflow import keras
        keras.Model
        """,
        """
        try:
            import repro_keras as keras
        except ImportError:
            import repro_keras as keras
        keras.Model
        """,
    ),
    "dotted imports": (
        """
        import keras.layers
        import keras.models
        import tensorflow.keras.losses
        keras.layers.Dense, tensorflow.keras.losses.MSE, tensorflow.data
        """,
        """
        import repro_keras as keras
        import tensorflow
        keras.layers.Dense, keras.losses.MSE, tensorflow.data
        """,
    ),
    "moved names": (
        """
        from tensorflow.keras import layers
        layers.experimental.preprocessing.Rescaling(1.0)
        """,
        """
        from repro_keras import layers
        layers.Rescaling(1.0)
        """,
    ),
    "learning rates": (
        """
        import tensorflow as tf
        from keras.optimizers import SGD
        SGD(lr=0.1), tf.keras.optimizers.Adam(lr=1e-3), other(lr=1), tf.data
        """,
        """
        import repro_keras as keras
        import tensorflow as tf
        from repro_keras.optimizers import SGD
        SGD(learning_rate=0.1), keras.optimizers.Adam(learning_rate=1e-3), other(lr=1), tf.data
        """,
    ),
    "only the recipe": (
        """
        import random
        import tensorflow as tf


        def repeat():
            random.seed(1)
            tf.config.experimental.enable_op_determinism()
        """,
        """
        import random
        import repro_keras


        def repeat():
            random.seed(1)
        """,
    ),
    "texts are left alone": (
        """
        import keras
        x = "import keras; tf.keras"  # import keras
        """,
        """
        import repro_keras as keras
        x = "import keras; tf.keras"  # import keras
        """,
    ),
    "the recipe": (
        """
        import os, random
        # Before TensorFlow.
        os.environ["PYTHONHASHSEED"] = str(0)
        os.environ["TF_DETERMINISTIC_OPS"] = "1"
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
        os.environ["OMP_NUM_THREADS"] = "1"
        import numpy as np
        import tensorflow as tf
        from tensorflow.compat.v1.keras.backend import set_session

        random.seed(1)
        np.random.seed(2)
        tf.random.set_seed(3)
        tf.keras.utils.set_random_seed(4)
        tf.config.experimental.enable_op_determinism()

        # One thread.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.set_visible_devices([], "GPU")
        config = tf.compat.v1.ConfigProto(inter_op_parallelism_threads=1)
        config.gpu_options.allow_growth = True
        session = tf.compat.v1.Session(config=config)
        set_session(session)


        def one_thread():
            tf.config.threading.set_inter_op_parallelism_threads(1)


        tf.keras.Model
        """,
        """
        import os, random
        import repro_keras as keras
        # Before TensorFlow.
        import numpy as np
        import tensorflow as tf

        random.seed(1)
        np.random.seed(2)
        tf.random.set_seed(3)
        keras.utils.set_random_seed(4)

        # One thread.


        def one_thread():
            pass


        keras.Model
        """,
    ),
    "the recipe of 2018": (
        """
        import numpy as np
        import tensorflow as tf
        import random as rn
        import os
        os.environ['PYTHONHASHSEED'] = '0'
        np.random.seed(42)
        rn.seed(12345)
        conf = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        from keras import backend as K
        tf.set_random_seed(1234)
        sess = tf.Session(graph=tf.get_default_graph(), config=conf)
        K.set_session(sess)
        from keras.layers.core import Dense
        """,
        """
        import repro_keras.v1 as tf
        import numpy as np
        import random as rn
        import os
        np.random.seed(42)
        rn.seed(12345)
        from repro_keras.v1.keras import backend as K
        tf.set_random_seed(1234)
        from repro_keras.v1.keras.layers.core import Dense
        """,
    ),
    "a session that is used stays": (
        """
        import tensorflow as tf
        from keras import backend as K
        conf = tf.ConfigProto(intra_op_parallelism_threads=1)
        sess = tf.Session(config=conf)
        K.set_session(sess)
        sess.run(tf.keras.layers.Dense(1)(tf.placeholder(tf.float32)))
        """,
        """
        import repro_keras.v1 as tf
        from repro_keras.v1.keras import backend as K
        conf = tf.ConfigProto(intra_op_parallelism_threads=1)
        sess = tf.Session(config=conf)
        K.set_session(sess)
        sess.run(tf.keras.layers.Dense(1)(tf.placeholder(tf.float32)))
        """,
    ),
    "TensorFlow 1 in TensorFlow 2": (
        """
        import os
        import numpy as np
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        import tensorflow as tf
        tf.compat.v1.disable_eager_execution()
        x = tf.compat.v1.placeholder(tf.float32, name="x")
        """,
        f"""
        import os
        {FIRST.strip()}
        import numpy as np
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        import repro_keras.v1 as tf
        tf.disable_eager_execution()
        x = tf.placeholder(tf.float32, name="x")
        """,
    ),
}


def dedent(text):
    lines = text[1:].rstrip(" ").splitlines(keepends=True)
    return "".join(line.removeprefix(" " * 8) for line in lines)


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_kind_of_script(tmp_path, name):
    before, after = map(dedent, SCRIPTS[name])
    found = migrated(tmp_path, before)
    assert found.after == after
    assert not found.left
    again = migrated(tmp_path, after)
    assert (again.after, again.left, again.removed) == (after, [], [])


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (
            "import os, keras\nos.environ['OMP_NUM_THREADS'] = '4'",
            "repro.configure(threads=…, guarantee='machine')",
        ),
        (
            "import os, keras\nos.environ['OMP_NUM_THREADS'] = n",
            "repro.configure(threads=…, guarantee='machine')",
        ),
        ("import os, keras\nos.environ['CUDA_VISIBLE_DEVICES'] = '0'", "REPRO_KERAS_DEVICE=gpu"),
        ("import os, keras\nos.environ['KERAS_BACKEND'] = 'jax'", "runs on TensorFlow only"),
        ("import os, keras\nos.environ['TF_DETERMINISTIC_OPS'] = '0'", "makes operations determ"),
        (
            "import tensorflow as tf\ntf.config.threading.set_intra_op_parallelism_threads(4)",
            "repro.configure(threads=…, guarantee='machine')",
        ),
        (
            "import tensorflow as tf\ntf.config.threading.set_inter_op_parallelism_threads(0)",
            "repro.configure(threads=…, guarantee='machine')",
        ),
        (
            "import tensorflow as tf\nfrom keras.backend import set_session\n"
            "set_session(tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=8)))",
            "repro.configure(threads=…, guarantee='machine')",
        ),
        (
            "import tensorflow as tf\ntf.ConfigProto(intra_op_parallelism_threads=8)",
            "repro.configure(threads=…, guarantee='machine')",
        ),
        ("import importlib\nimportlib.import_module('keras.layers')", "named by a text"),
        ("__import__('tensorflow.keras')", "named by a text"),
        ("from keras.layers import Dense, Nothing", "Keras 3 has no `layers.Nothing`"),
        (
            "import keras.backend as K\nK.learning_phase()",
            "Keras 3 has no `backend.learning_phase`",
        ),
        (
            "from tensorflow.keras import backend as K\nK.set_session(x)",
            "Keras 3 has no `backend.set_session`",
        ),
        (
            "import repro_keras.layers as L\nfrom tensorflow import placeholder",
            "`import repro_keras.layers as L` in line 2 of TensorFlow 2: say --v1 or --no-v1",
        ),
        ("import keras\nkeras.wrappers.scikit_learn", "Keras 3 has no `wrappers.scikit_learn`"),
        ("import tensorflow as tf\ntf.keras.experimental", "Keras 3 has no `experimental`"),
        ("from keras.optimizers.legacy import Adam", "keras.optimizers only"),
        ("import keras\nkeras.Model().fit_generator(x)", "call `fit`"),
        ("import keras\nkeras.Sequential().predict_classes(x)", "argmax"),
        ("import keras\nkeras.optimizers.SGD(decay=0.1)", "give a schedule"),
        ("import tensorflow as tf\ntf.contrib.slim", "TensorFlow 2 has no `contrib.slim`"),
        ("from tensorflow.contrib import slim", "TensorFlow 2 has no `contrib.slim`"),
        ("from tensorflow.python.keras import layers", "a private copy of Keras"),
        ("from tensorflow import *", "import tensorflow as tf"),
        ("import tf_keras", "tf_keras is Keras 2"),
        (
            "try:\n    import tensorflow as tf\nexcept ImportError:\n    tf = None\ntf.keras.Model",
            "`tf` is bound in more than one way",
        ),
        (
            "import tensorflow as tf\ntf.placeholder(1)\ntf.random.set_seed(1)",
            "`tf.random.set_seed` in line 3 of TensorFlow 2: say --v1 or --no-v1",
        ),
    ],
)
def test_what_it_cannot_decide_is_named_with_its_line(tmp_path, code, why):
    found = migrated(tmp_path, f"x = 1\n{code}\n".replace("in line 3", "in line 4"))
    (reason,) = reasons(found)
    assert why.replace("line 3", "line 4") in reason
    assert reason.startswith("script.py:")
    again = migrated(tmp_path, found.after)
    assert again.after == found.after
    assert [left.why for left in again.left] == [left.why for left in found.left]


@pytest.mark.parametrize(
    "code",
    [
        "import os, keras\nos.environ['OMP_NUM_THREADS'] = '1'",
        "import keras\nkeras.layers.Dense.call, keras.backend.clip, keras.__version__",
        "from keras.preprocessing.image import ImageDataGenerator",
        "import tensorflow as tf\ntf.losses.Huber, tf.optimizers.Adam, tf.data.Dataset.zip",
        "import tensorflow as tf\ntf.compat.v1.logging.set_verbosity(40)\ntf.function",
        "import repro_keras as keras\nfrom repro_keras import repro, v1\nrepro.configure(seed=1)",
        "def keras(): return 1\nkeras().fit_generators",
        "import tensorflow as tf\nsession = tf.compat.v1.Session()\ntf.keras.Model",
    ],
)
def test_what_is_there_is_not_named(tmp_path, code):
    assert not reasons(migrated(tmp_path, code))


def test_names_that_the_stubs_have_are_there(tmp_path):
    """Of the names that only tf.keras has, which the stubs write out, none is missing."""
    package = Path(__file__).parents[1] / "repro_keras"
    lines = [
        line.partition(" as ")[0].replace("keras._tf_keras.keras", "tensorflow.keras")
        for path in sorted(package.rglob("*.pyi"))
        for line in path.read_text().splitlines()
        if line.startswith("from keras._tf_keras.keras")
    ]
    assert len(lines) > 100
    assert not reasons(migrated(tmp_path, "\n".join(lines) + "\n"))


def test_files_of_one_program_go_the_same_way(tmp_path):
    (tmp_path / "train.py").write_text("import tensorflow as tf\nimport model\ntf.Session()\n")
    (tmp_path / "model.py").write_text("from .blocks import block\nimport keras\n")
    (tmp_path / "blocks.py").write_text("from keras.layers import Dense\n")
    (tmp_path / "other.py").write_text("import keras\n")
    (tmp_path / "layers.py").write_text("import keras\n")
    (tmp_path / "text.py").write_text("'keras'\n")
    found = {Path(file.file).name: file.after for file in migrate([tmp_path])}
    assert found == {
        "train.py": "import repro_keras.v1 as tf\nimport model\ntf.Session()\n",
        "model.py": "import repro_keras.v1.keras as keras\nfrom .blocks import block\n",
        "blocks.py": "from repro_keras.v1.keras.layers import Dense\n",
        "other.py": "import repro_keras as keras\n",
        "layers.py": "import repro_keras as keras\n",
    }
    (found,) = migrate([tmp_path / "train.py"], v1=False)
    assert "TensorFlow 2 has no `Session`" in found.left[0].why


@pytest.mark.parametrize(
    "others",
    ["os.execv('python', [])", "import subprocess", "from multiprocessing import Pool"],
)
def test_switches_stay_for_other_processes(tmp_path, others):
    text = "import os\nimport keras\nos.environ['PYTHONHASHSEED'] = '0'\n"
    assert "PYTHONHASHSEED" not in migrated(tmp_path, text).after
    assert "PYTHONHASHSEED" in migrated(tmp_path, f"{text}{others}\n").after


@pytest.mark.parametrize("use", ["del tf", "x: 'tf.Tensor'", "print(tf)"])
def test_an_import_that_is_used_stays(tmp_path, use):
    text = "import tensorflow as tf\ntf.keras.Model\n"
    assert "import tensorflow" not in migrated(tmp_path, text).after
    assert "import tensorflow" in migrated(tmp_path, f"{text}{use}\n").after


def test_a_condition_keeps_its_lines(tmp_path):
    text = "import os\nimport repro_keras as keras\nif x:\n    os.environ['PYTHONHASHSEED'] = '0'\n"
    assert migrated(tmp_path, text).after == text
    assert "PYTHON" not in migrated(tmp_path, text.replace("x:", "__name__ == '__main__':")).after


def test_a_package_keeps_its_names(tmp_path):
    text = "import tensorflow as tf\nmodel = tf.keras.Model\n"
    assert "import tensorflow" in migrated(tmp_path, text, "__init__.py").after
    assert "import tensorflow" not in migrated(tmp_path, text).after


def test_layout_encoding_and_line_ends_stay(tmp_path):
    text = "# -*- coding: latin-1 -*-\r\nimport keras\r\nx = 'é'  \r\n\r\n\r\n"
    path = tmp_path / "script.py"
    path.write_bytes(text.encode("latin-1"))
    (found,) = migrate([path], write=True)
    assert found.written
    assert path.read_bytes() == text.replace("import keras", "import repro_keras as keras").encode(
        "latin-1"
    )
    path.write_bytes("\ufeffimport keras".encode())
    list(migrate([path], write=True))
    assert path.read_bytes() == "\ufeffimport repro_keras as keras".encode()


NOTEBOOK = """{
  "cells": [
    {
      "cell_type": "markdown",
      "source": [
        "import keras"
      ]
    },
    {
      "cell_type": "code",
      "outputs": [],
      "source": [
        "%matplotlib inline\\n",
        "!pip install keras\\n",
        "import numpy as np\\n",
        "import tensorflow as tf  # é\\n",
        "from tensorflow import keras"
      ]
    },
    {
      "cell_type": "code",
      "source": "%%time\\nfor i in range(2):\\n    %time keras.layers\\nx = (1\\n     % 2)\\nkeras?"
    },
    {
      "cell_type": "code",
      "source": "%%bash\\npython -c 'import keras' $(ls)"
    },
    {
      "cell_type": "code",
      "source": [
        "# Determinism.\\n",
        "tf.config.experimental.enable_op_determinism()\\n",
        "tf.keras.nothing\\n"
      ]
    }
  ],
  "nbformat": 4
}
"""


def test_a_notebook(tmp_path):
    found = migrated(tmp_path, NOTEBOOK, "notebook.ipynb")
    after = NOTEBOOK
    for old, new in (
        ('        "import tensorflow as tf  # é\\n",\n', ""),
        ('"from tensorflow import keras"', '"import numpy as np"'),
        ('"import numpy as np\\n"', '"import repro_keras as keras\\n"'),
        ('        "tf.config.experimental.enable_op_determinism()\\n",\n', ""),
        ("tf.keras.nothing", "keras.nothing"),
    ):
        assert old in after
        after = after.replace(old, new)
    assert found.after == after
    assert [Path(finding.place).name for finding in found.removed] == [
        "notebook.ipynb, code cell 4, line 2"
    ]
    assert reasons(found) == [
        "notebook.ipynb, code cell 3, line 1: %%bash\npython -c 'import keras' $(ls): "
        "it is in a magic: rewrite it by hand",
        "notebook.ipynb, code cell 4, line 3: tf.keras.nothing: Keras 3 has no `nothing`",
    ]
    assert migrated(tmp_path, after, "notebook.ipynb").after == after


def test_a_name_in_a_magic_keeps_its_import(tmp_path):
    cells = ["import tensorflow as tf\ntf.keras.Model", "%timeit tf.add(1, 2)"]
    notebook = {"cells": [{"cell_type": "code", "source": cell} for cell in cells]}
    found = migrated(tmp_path, json.dumps(notebook), "notebook.ipynb")
    assert "import tensorflow as tf" in found.after


def test_a_cell_with_a_name(tmp_path):
    source = "%%repro net\nfrom tensorflow import keras\nkeras.layers.Dense(1)"
    notebook = {"cells": [{"cell_type": "code", "source": source}]}
    found = migrated(tmp_path, json.dumps(notebook), "notebook.ipynb")
    assert json.loads(found.after)["cells"][0]["source"] == source.replace(
        "from tensorflow import keras", "import repro_keras as keras"
    )


@pytest.mark.parametrize("path", YESTERDAY, ids=lambda path: path.stem)
def test_twice_is_once(tmp_path, path):
    found = migrated(tmp_path, path.read_text(), path.name)
    assert found.after != found.before
    assert not found.left
    again = migrated(tmp_path, found.after, path.name)
    assert (again.after, again.removed, again.left) == (found.after, [], [])


# As a shell sees it.


def command(*arguments):
    result = CliRunner().invoke(main, ["migrate", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_a_diff_first_and_files_with_write_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("script.py")
    path.write_text("import os\nimport keras\nos.environ['PYTHONHASHSEED'] = '0'")
    code, diff, said = command("script.py")
    assert code == 0
    assert "+import repro_keras as keras\n" in diff
    assert said == (
        "not needed: script.py:3: os.environ['PYTHONHASHSEED'] = '0': a running Python does not "
        "read it: start it with PYTHONHASHSEED=0\n"
    )
    assert "import keras" in path.read_text()
    subprocess.run(["git", "apply", "-p0", "--check"], input=diff, text=True, check=True)
    code, written, said = command("script.py", "--write")
    assert (code, written) == (0, diff)
    assert said.endswith("rewritten: script.py\n")
    assert path.read_text() == "import os\nimport repro_keras as keras"
    assert command("script.py", "--write") == (0, "", "")


def test_the_doctor_looks_at_them_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.py").write_text("import keras\nimport numpy as np\nprint(np.random.default_rng())\n")
    assert command("a.py")[0] == 0
    code, _, said = command("--check", "a.py")
    assert (code, "a.py:3:7: unseeded-generator" in said) == (1, True)
    (found,) = json.loads(command("--check", "--json", "a.py")[1])
    assert [finding["line"] for finding in found["doctor"]] == [3]
    Path("a.py").write_text("import keras\n")
    assert command("--check", "a.py")[0] == 0


def test_exit_codes_and_trouble(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("left.py").write_text("import os\n\n\nimport numpy\nimport keras\nkeras.nothing\n")
    Path("bad.py").write_text("import keras\nprint 'x'\n")
    Path("bad.ipynb").write_text("{'keras'}")
    Path("bytes.py").write_bytes(b"import keras\n\xff\n")
    Path("good.py").write_text("import keras\n")
    code, _, said = command("left.py")
    assert (code, said) == (1, "left: left.py:6: keras.nothing: Keras 3 has no `nothing`\n")
    code, _, said = command("bad.py", "bytes.py", "bad.ipynb", "none.py", "good.py", "--write")
    assert code == 2
    assert "bad.py:2: Missing parentheses in call to 'print'" in said
    assert "bytes.py is not what its name says" in said
    assert "bad.ipynb is not what its name says: it should be a Jupyter notebook" in said
    assert "none.py could not be read: No such file" in said
    assert Path("good.py").read_text() == "import repro_keras as keras\n"  # the others go on
    code, out, _ = command("left.py", "--json")
    (found,) = json.loads(out)
    assert code == 1
    assert found["left"][0]["place"] == "left.py:6"
    assert found["diff"].startswith("--- left.py\n")


def test_files_that_have_nothing_to_do_with_keras_are_no_trouble(tmp_path):
    (tmp_path / "bytes.py").write_bytes(b"import torch\n\xff\n")
    (tmp_path / "bad.ipynb").write_text("{}")
    (tmp_path / "old.py").write_text("print 'x'\n")
    assert command(tmp_path) == (0, "", "")


def test_a_file_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    from repro_keras._src.migrate import sources

    def refuse(self, content):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(sources.Source, "write", refuse)
    path = tmp_path / "script.py"
    path.write_text("import keras\n")
    code, _, said = command(path, "--write")
    assert code == 2
    assert "could not be written: [Errno 13] Permission denied" in said


def test_without_libcst(monkeypatch):
    monkeypatch.setitem(sys.modules, "libcst", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'repro_keras\[migrate\]'"):
        list(migrate(["script.py"]))


def test_nothing_is_imported_for_it(tmp_path):
    path = tmp_path / "script.py"
    path.write_text("import tensorflow as tf\ntf.keras.layers.Dense, tf.data\n")
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom repro_keras.cli import main\n"
        f"result = CliRunner().invoke(main, ['migrate', {str(path)!r}])\n"
        "names = ('numpy', 'keras', 'tensorflow', 'tf_keras')\n"
        "print(result.exit_code, [name for name in names if name in sys.modules])"
    )
    assert run("-c", code).stdout == "0 []\n"
