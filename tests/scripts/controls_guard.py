"""What each row of the guard is there for, as `controls.py` has it for the others.

    python controls_guard.py ROW [LEFT OUT…]

Prints whether the call that the row is for is caught. Neither Keras nor TensorFlow is loaded.
"""

import json
import os
import random
import sys

os.environ.setdefault("REPRO_KERAS_GUARD", "off")
import numpy as np

from repro_keras import repro
from repro_keras._src import patches

CONTROLS = {
    "entropy: os.urandom": lambda: os.urandom(3),
    "entropy: SystemRandom.seed": lambda: random.SystemRandom(),
    "entropy: Random.seed": lambda: random.Random(),
    "entropy: random.seed": lambda: random.seed(),
    "entropy: numpy.random.default_rng": lambda: np.random.default_rng(),
    "entropy: numpy.random.seed": lambda: np.random.seed(),
}

patches.left_out.update(sys.argv[2:])
repro.configure(guard="error")
try:
    CONTROLS[sys.argv[1]]()
    print(json.dumps(False))
except repro.ReproError:
    print(json.dumps(True))
