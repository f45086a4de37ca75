"""TensorFlow: thread pools, devices, deterministic operations, and its global seed."""

import contextlib
import gc
import os
import random
import warnings
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
from tensorflow.python.client import session
from tensorflow.python.eager import context
from tensorflow.python.eager.polymorphic_function import polymorphic_function
from tensorflow.python.framework import config as framework_config
from tensorflow.python.framework import op_def_registry
from tensorflow.python.ops import stateful_random_ops
from tensorflow.python.util import _pywrap_util_port

from repro_keras._src import cpu
from repro_keras._src.backends import caches
from repro_keras._src.errors import ConfigError, ReproWarning, StageError

if TYPE_CHECKING:
    from repro_keras._src.config import ReproConfig

APPROXIMATING = ("arithmetic_optimization", "constant_folding")
"""The passes of Grappler that write approximations into a graph.

The first makes x * rsqrt(y) of x / sqrt(y); the second makes Reciprocal(x) of 1 / x, and
x * Reciprocal(c) of x / c. They are off as a whole under `portable`. A division could also be
written so that they do not know it again, but only one that is written in this process and in
Python: not one in a graph that is loaded, and the fold of a constant is not seen from there.
"""

UNORDERING = ("dependency_optimization",)
"""The pass of Grappler that takes a graph's order from it; off under both guarantees.

`tf.function` has each write of a variable wait for the reads before it. The pass takes such an edge
away where another path leads from the read to the write, and then goes past the `IdentityN` that
Keras passes all gradients through, by which some of those paths went. Of 60 training steps of plain
Keras, drawn at random, 7 had then a read of a weight and its update in no order, and a weight that
is read late is read updated. (Loops pay for it: an LSTM of 64 units takes 5 to 7 % longer.)
"""

_FLOATING = {
    dtype.as_datatype_enum
    for dtype in (tf.bfloat16, tf.float16, tf.float32, tf.float64, tf.complex64, tf.complex128)
}
_OF_ANY_TYPE = {
    *("EagerPyFunc", "PyFunc", "PyFuncStateless"),  # whatever Python does there
    *("Einsum", "ScatterNd", "SparseTensorDenseMatMul", "TensorScatterAdd", "TensorScatterSub"),
}
"""Those that compute, although they take any type."""

_MOVE = (
    "Move `import repro_keras` above `import tensorflow`, to the top of the script; in a notebook, "
    "restart the kernel first."
)


_session_made = False


def started() -> bool:
    # The handle is made at the first op; asking the public functions would start it.
    return _session_made or context.context()._context_handle is not None  # pyright: ignore


def session_was_made() -> None:
    global _session_made
    _session_made = True


def onednn() -> bool:
    """Whether TensorFlow uses oneDNN, which it decides once, as it is imported."""
    return _pywrap_util_port.IsMklEnabled()


def check_before(config: "ReproConfig") -> None:
    if started():
        if not _as_configured(threads(), config):
            raise StageError(
                "TensorFlow was started before repro_keras was imported, with "
                f"{_pool(threads()[0])} intra-op and {_pool(threads()[1])} inter-op threads; "
                f"repro_keras needs {config.threads} of each, and the pools cannot be resized. "
                f"{_MOVE}"
            )
        if config.device == "cpu" and tf.config.get_visible_devices("GPU"):
            raise StageError(
                "TensorFlow was started on a GPU before repro_keras was imported, and "
                f"device='cpu' is configured. {_MOVE}"
            )
        if config.guarantee == "portable" and os.environ.get("ONEDNN_MAX_CPU_ISA") != "AVX2":
            raise StageError(
                "TensorFlow was started before repro_keras was imported, and may have chosen its "
                "kernels by the make of CPU already; guarantee='portable' needs those of AVX2. "
                f"{_MOVE} Or set REPRO_KERAS_GUARANTEE=machine."
            )
    for threads_of_session in _sessions_before():
        if not _as_configured(threads_of_session, config):
            raise StageError(
                "A session was made before repro_keras was imported, with "
                f"{_pool(threads_of_session[0])} intra-op and {_pool(threads_of_session[1])} "
                f"inter-op threads; repro_keras needs {config.threads} and 1, and the pools cannot "
                f"be resized. {_MOVE}"
            )
    if not onednn():
        raise StageError(
            "TensorFlow was imported before repro_keras, with its oneDNN operations off "
            "(TF_ENABLE_ONEDNN_OPTS=0, or its own choice for this CPU), and decides this only "
            f"once; repro_keras needs them on. {_MOVE}"
        )


def _sessions_before() -> list[tuple[int, int]]:
    """The thread numbers of the sessions that are there."""
    return [
        (found._config.intra_op_parallelism_threads, found._config.inter_op_parallelism_threads)
        for found in gc.get_objects()
        if isinstance(found, session.BaseSession) and hasattr(found, "_config")
    ]


def _pool(threads: int) -> str:
    return str(threads) if threads else "as many as cores"


def threads() -> tuple[int, int]:
    """The sizes of the intra-op and inter-op pools; 0 means as many as there are cores."""
    return (
        tf.config.threading.get_intra_op_parallelism_threads(),
        tf.config.threading.get_inter_op_parallelism_threads(),
    )


def _as_configured(found: tuple[int, int], config: "ReproConfig") -> bool:
    intra_op, inter_op = found
    return intra_op == config.threads and inter_op in (1, config.threads)


def apply(config: "ReproConfig") -> None:
    if not started():  # otherwise `check_before` has looked
        tf.config.threading.set_intra_op_parallelism_threads(config.threads)
        # No bits depend on it: what has a state is put in order by TensorFlow, and by `loops`.
        tf.config.threading.set_inter_op_parallelism_threads(config.threads)
    if config.device == "cpu":
        if not started():  # otherwise `check_before` has looked
            tf.config.set_visible_devices([], "GPU")
    else:
        require_gpu(config)
    tf.config.experimental.enable_op_determinism()
    tf.config.optimizer.set_experimental_options(dict.fromkeys(passes_left_out(config), False))
    if config.guarantee == "portable":
        caches.set_sizes(os.path.dirname(tf.__file__))
        version = cpu.untested_tensorflow()
        if version is not None:
            warnings.warn(
                f"guarantee='portable' was not compared between makes of CPU with TensorFlow "
                f"{version}, which may come to other bits on another one. Install 2.20 or 2.21.",
                ReproWarning,
                stacklevel=2,
            )


def passes_left_out(config: "ReproConfig") -> tuple[str, ...]:
    """Grappler's passes that are off, as `tf.config.optimizer` and `RewriterConfig` call them."""
    return UNORDERING + (APPROXIMATING if config.guarantee == "portable" else ())


def seed(number: int) -> None:
    tf.random.set_seed(number)


def drawn() -> object:
    seeds = context.context()._rng  # it seeds each op that has no seed  # pyright: ignore
    return None if seeds is None else seeds.getstate()


def draws() -> dict:
    seeds = context.context()._rng  # pyright: ignore
    state = None
    if seeds is not None:
        version, numbers, gauss = seeds.getstate()
        state = [version, np.array(numbers, "uint32"), gauss]
    made = stateful_random_ops.global_generator
    return {"ops": state, "generator": None if made is None else made.state.numpy()}


def set_draws(states: dict) -> None:
    if states["ops"] is not None:
        version, numbers, gauss = states["ops"]
        if context.context()._rng is None:  # pyright: ignore
            context.context()._rng = random.Random()  # pyright: ignore
        context.context()._rng.setstate((version, tuple(numbers.tolist()), gauss))  # pyright: ignore
    if states["generator"] is not None:
        tf.random.get_global_generator().state.assign(states["generator"])


def require_gpu(config: "ReproConfig") -> None:
    if not tf.config.list_physical_devices("GPU"):
        raise ConfigError(
            f"device={config.device!r} needs a GPU that TensorFlow can use, and it finds none. "
            "Use device='cpu', or install TensorFlow with CUDA and look at `nvidia-smi`."
        )


def amiss(config: "ReproConfig") -> list[str]:
    found = []
    if not _as_configured(threads(), config):
        found.append(
            f"TensorFlow's pools have {_pool(threads()[0])} intra-op and {_pool(threads()[1])} "
            f"inter-op threads, not {config.threads} of each. Remove the line that sets them; use "
            "repro.configure(threads=…)."
        )
    if not framework_config.is_op_determinism_enabled():
        found.append("Op determinism was switched off. Remove the line that does it.")
    options = tf.config.optimizer.get_experimental_options()
    for name in passes_left_out(config):
        if options.get(name) is not False:
            does = (
                "writes approximations that differ between makes of CPU into graphs"
                if name in APPROXIMATING
                else "takes the order of reading and updating a variable from graphs"
            )
            found.append(f"Grappler's {name} was switched on: it {does}. Remove that line.")
    if not onednn():
        found.append(
            "TensorFlow's oneDNN operations are off: TF_ENABLE_ONEDNN_OPTS was changed before "
            "TensorFlow was imported. Remove that line."
        )
    return found


def operations(functions: list) -> set[str]:
    found: set[str] = set()
    waiting, seen = list(functions), set()
    while waiting:  # Keras hands a step's `tf.function` about in closures
        function = waiting.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        if isinstance(function, polymorphic_function.Function):
            for traced in function._list_all_concrete_functions():
                graph = traced.graph.as_graph_def()
                bodies = [graph.node, *(body.node_def for body in graph.library.function)]
                found.update(node.op for body in bodies for node in body)
        for cell in getattr(function, "__closure__", None) or ():
            with contextlib.suppress(ValueError):  # it is empty
                waiting.append(cell.cell_contents)
    return set(filter(computes, found))


def computes(kind: str) -> bool:
    """Whether an operation may round: one that takes any type at all moves what it is given."""
    if kind in _OF_ANY_TYPE:
        return True
    definition = op_def_registry.get(kind)
    if definition is None:  # a call of a function by its name
        return False
    types = {attribute.name: attribute.allowed_values.list.type for attribute in definition.attr}
    return any(
        argument.type in _FLOATING or not _FLOATING.isdisjoint(types.get(argument.type_attr, ()))
        for argument in (*definition.input_arg, *definition.output_arg)
    )


def outside_graph():
    return tf.init_scope()
