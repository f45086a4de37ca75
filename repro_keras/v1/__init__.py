"""TensorFlow 1, with results that come out the same again.

```python
import repro_keras.v1 as tf  # was: import tensorflow as tf
```

Every name of `tensorflow.compat.v1` is here, as the same object, and so is `tf.layers`, which
TensorFlow took away. Graphs, variables and random ops are seeded by their names, whoever makes
them; sessions have the configured thread pool. What is ours beyond that: `session`,
`config_proto`, `set_session`, `save_state`, `restore_state` and `record`.

Importing this module makes graphs the default, as they were in TensorFlow 1. Where TensorFlow
already runs eagerly it leaves that as it is: then build graphs inside
`with tf.Graph().as_default():`.
"""

import importlib
from typing import TYPE_CHECKING, Any

import tensorflow.compat.v1 as _tf  # pyright: ignore[reportMissingImports]

from repro_keras._src import backends as _backends

if not _backends.started():
    _tf.disable_eager_execution()

from repro_keras.v1.recording import record as record
from repro_keras.v1.sessions import config_proto as config_proto
from repro_keras.v1.sessions import session as session
from repro_keras.v1.sessions import set_session as set_session
from repro_keras.v1.state import restore_state as restore_state
from repro_keras.v1.state import save_state as save_state

get_variable = _tf.get_variable
variable_scope = _tf.variable_scope

if TYPE_CHECKING:
    from repro_keras.v1 import layers as layers

    def __getattr__(name: str) -> Any: ...
else:

    def __getattr__(name: str):
        if name in ("layers", "keras"):
            return importlib.import_module(f"{__name__}.{name}")
        try:
            return getattr(_tf, name)
        except AttributeError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__():
    return sorted({*globals(), *dir(_tf)})
