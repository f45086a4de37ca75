"""Sessions with the configured thread pool."""

import importlib.util
import sys
from typing import Any

import tensorflow.compat.v1 as tf  # pyright: ignore[reportMissingImports]

from repro_keras._src.errors import ConfigError, MissingExtraError
from repro_keras._src.patches import sessions


def config_proto(**overrides) -> tf.ConfigProto:
    """A `ConfigProto` for one CPU thread (or `repro.configure(threads=…)`), without GPUs.

    Every session has that much of it, whatever `ConfigProto` it is given; this is for what takes
    one, and to add settings of one's own.

    Args:
        overrides: fields of `ConfigProto`, e.g. `log_device_placement=True`.

    Returns:
        The `ConfigProto`.

    Raises:
        ConfigError: where an override is no field, or asks for other threads than configured, or
            for a GPU.

    Example:

    >>> v1.config_proto(allow_soft_placement=True).intra_op_parallelism_threads
    1
    """
    try:
        given = tf.ConfigProto(**overrides)
    except (TypeError, ValueError) as error:
        fields = ", ".join(sorted(tf.ConfigProto.DESCRIPTOR.fields_by_name))
        raise ConfigError(
            f"config_proto takes the fields of ConfigProto ({fields}). Received: {overrides!r} "
            f"({error})"
        ) from None
    return sessions.config_proto(given)


def session(graph: tf.Graph | None = None, config: tf.ConfigProto | None = None) -> tf.Session:
    """A session with the configured thread pool, which `tf_keras` uses too where it is loaded.

    Args:
        graph: the graph to run; `None` for the default graph.
        config: a `ConfigProto` with further settings.

    Returns:
        A `tf.compat.v1.Session`; as a context manager it is the default session and is closed at
        the end.

    Raises:
        ConfigError: where `config` asks for other threads than the pool in force has, which
            TensorFlow would pass over in silence, or for a GPU.

    Example:

    ```python
    with v1.session() as sess:
        sess.run(v1.global_variables_initializer())
    ```
    """
    made = tf.Session(graph=graph, config=config)
    if "tf_keras" in sys.modules and (graph is None or graph is tf.get_default_graph()):
        set_session(made)
    return made


def set_session(session: tf.Session) -> None:
    """Makes Keras 2 (`v1.keras`, which is `tf_keras`) run in a session.

    Args:
        session: a session of the default graph.

    Raises:
        MissingExtraError: where `tf_keras` is not installed.
        ConfigError: where it is no session.

    Example:

    ```python
    v1.set_session(v1.session())
    ```
    """
    if not isinstance(session, (tf.Session, tf.InteractiveSession)):
        raise ConfigError(
            "set_session needs a session, as v1.session() makes it. Received: "
            f"{session!r} (of type {type(session).__name__})"
        )
    keras_backend().set_session(session)


def keras_backend() -> Any:
    """The backend of Keras 2 with its sessions.

    Raises:
        MissingExtraError: where `tf_keras` is not installed.
    """
    if importlib.util.find_spec("tf_keras") is None:
        raise MissingExtraError(
            "Keras 2 (tf_keras) is not installed. `pip install 'repro_keras[legacy]'`"
        )
    from tf_keras.api._v1.keras import backend

    return backend
