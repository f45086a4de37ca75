"""Keras 3 trains eagerly: a clear error where `repro_keras.v1` has made graphs the default."""

import functools

from tensorflow.python.framework import ops

from repro_keras._src.errors import StageError
from repro_keras._src.patches.patch import Patch


def _require_eager(original):
    @functools.wraps(original)
    def method(self, *args, **kwargs):
        if not ops.executing_eagerly_outside_functions():
            raise StageError(
                f"{type(self).__name__}.{original.__name__} is Keras 3's, which needs eager "
                "execution, and `import repro_keras.v1` has made graphs the default in this "
                "process (TensorFlow 1). Take layers and models from repro_keras.v1.keras, which "
                "is Keras 2, or run Keras 3 in a process of its own."
            )
        return original(self, *args, **kwargs)

    return method


PATCHES = tuple(
    Patch(
        target=f"keras.src.backend.tensorflow.trainer:TensorFlowTrainer.{method}",
        parameters=None,  # they are handed on as they come
        make=_require_eager,
        why="in graphs it would fail with an error that does not say why",
    )
    for method in (
        "fit",
        "evaluate",
        "predict",
        "train_on_batch",
        "test_on_batch",
        "predict_on_batch",
    )
)
