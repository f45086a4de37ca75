"""The complete state of a session: written, read, and put back."""

import contextlib
import dataclasses
import os
import tempfile
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf  # pyright: ignore[reportMissingImports]

from repro_keras._src import config
from repro_keras._src.errors import ConfigError, FileFormatError, ReproWarning, StateError
from repro_keras._src.patches import random_ops, sessions, shuffles
from repro_keras._src.state import files, generators, plain, value

_VARIABLE, _RANDOM_OP, _ITERATOR = "variable", "random op", "iterator"
_ITERATORS = ("IteratorV2", "Iterator", "OneShotIterator")
_FAIL = 2  # `ExternalStatePolicy`: where an iterator has a state that cannot be saved


def save_state(session: tf.Session, path: str | os.PathLike, position: Any = None) -> None:
    """Writes everything that decides what a loop written by hand does next.

    That is: all variables (the optimizers' slots, the local ones too), the state of every random
    op, of every iterator of `tf.data`, and of Python's and NumPy's generators; and `position`,
    which tells where the loop is in what it feeds. The file is written whole or not at all: not
    where an iterator is just between two passes over what it shuffles, with a warning.

    Args:
        session: the session, also a monitored one.
        path: the file, which other tools read as `.safetensors`. What is there is replaced.
        position: numbers, strings, arrays, or containers of these; `restore_state` returns it.

    Raises:
        StateError: where something has a state out of reach. It is named.
        SaveError: where the file cannot be written; what was there is untouched.
        ConfigError: where `session` is no session.

    Example:

    ```python
    position = v1.restore_state(sess, "loop.safetensors") or {"step": 0}
    for step in range(position["step"], 1000):
        sess.run(train_op, feed(step))
        v1.save_state(sess, "loop.safetensors", {"step": step + 1})
    ```
    """
    session = _session(session)
    hidden = random_ops.out_of_reach(session.graph)
    if hidden:
        raise StateError(
            f"The states of the random ops {', '.join(hidden[:5])} cannot be saved: TensorFlow "
            "keeps them in its kernels. Expected: ops without a seed (theirs is made of their "
            "names), outside of the functions of data sets."
        )
    iterators = _iterator_states(session)
    for iterator in _iterators(session.graph):
        if iterator.name in iterators and not iterator.has_all(iterators[iterator.name]):
            warnings.warn(
                f"The iterator {iterator.name!r} has read the last element of what it shuffles, "
                "and begins to shuffle again at its next; between the two, its place cannot be "
                f"saved. {path} stays as it was until the next save. With repeat() before "
                "batch() there is no such place.",
                ReproWarning,
                stacklevel=2,
            )
            return
    arrays: dict[str, np.ndarray] = {}
    for kind, found in (
        (_VARIABLE, sessions.values(session)),
        (_RANDOM_OP, _states(session)),
        (_ITERATOR, iterators),
    ):
        arrays.update({f"{kind}/{name}": np.asarray(found[name]) for name in sorted(found)})
    kinds = (_VARIABLE, _RANDOM_OP, _ITERATOR)
    names = {kind: [n for n in arrays if n.startswith(f"{kind}/")] for kind in kinds}
    try:
        where = plain.pack(position, arrays, "position")
    except plain.NotPlainError as error:
        raise ConfigError(
            "position must be made of numbers, strings, arrays and containers of these. "
            f"Received: {error.where} of type {error.type}"
        ) from None
    content = value.Content(
        position=value.Position(loop=where),
        facts=_facts(),
        variables=names,
        generators=plain.pack(generators.capture(), arrays, "generators"),
    )
    files.write(Path(path), value.State(content, arrays))


def restore_state(session: tf.Session, path: str | os.PathLike) -> Any:
    """Puts back what `save_state` wrote: the loop goes on as if it had not been killed.

    Call it once the graph is built and its initializers are run (iterators' too).

    Args:
        session: a session of an equal graph.
        path: the file.

    Returns:
        The position that was saved; `None` where there is no such file yet.

    Raises:
        StateError: where the file is cut off or changed, or is of another graph, configuration or
            version. All differences are named, and nothing is restored.

    Example:

    >>> v1.restore_state(sess, "nothing-yet.safetensors") is None
    True
    """
    session = _session(session)
    path = Path(path)
    if not path.exists():
        return None
    try:
        state = files.read(path)
    except FileFormatError as error:
        raise StateError(f"{error} Remove it, or restore another one.") from None
    differences = _differences(session, state)
    if differences:
        raise StateError(
            f"{path} is the state of another session, so that what follows would not be the same: "
            f"{'; '.join(differences)}."
        )
    for name, variable in sessions.variables(session.graph).items():
        begin = variable.initializer
        if f"{_VARIABLE}/{name}" in state.arrays:
            session.run(begin, {begin.inputs[1]: state.arrays[f"{_VARIABLE}/{name}"]})
    for op in random_ops.generators(session.graph):
        session.run(op.begin, {op.begin.inputs[1]: state.arrays[f"{_RANDOM_OP}/{op.name}"]})
    for iterator in _iterators(session.graph):
        if f"{_ITERATOR}/{iterator.name}" in state.arrays:
            _restore_iterator(session, iterator, state.arrays[f"{_ITERATOR}/{iterator.name}"])
    generators.restore(plain.unpack(state.content.generators, state.arrays))
    return plain.unpack(state.content.position.loop, state.arrays)


def _session(session) -> tf.Session:
    inner = sessions.innermost(session) if hasattr(session, "graph") else session
    if not isinstance(inner, (tf.Session, tf.InteractiveSession)):
        raise ConfigError(
            "Expected a session, as v1.session() makes it. Received: "
            f"{session!r} (of type {type(session).__name__})"
        )
    return inner


def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = {f"configuration {k}": v for k, v in _configuration().items()}
    facts["TensorFlow"] = tf.__version__
    facts["NumPy"] = np.__version__
    return facts


def _configuration() -> dict:
    return dataclasses.asdict(config.config())


def _states(session: tf.Session) -> dict[str, np.ndarray]:
    wanted = {op.name: op.state for op in random_ops.generators(session.graph)}
    return session.run(wanted) if wanted else {}


def _differences(session: tf.Session, state: value.State) -> list[str]:
    found = []
    then, now = state.content.facts, _facts()
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            found.append(f"{name} was {then.get(name)} and is {now.get(name)}")
    here = {
        _VARIABLE: set(sessions.variables(session.graph)),
        _RANDOM_OP: {op.name for op in random_ops.generators(session.graph)},
        _ITERATOR: {iterator.name for iterator in _iterators(session.graph)},
    }
    for kind, names in here.items():
        saved = {n.removeprefix(f"{kind}/") for n in state.content.variables.get(kind, [])}
        gone = sorted(saved - names)
        # A variable or iterator that had no value yet is not in the file.
        new = sorted(names - saved) if kind == _RANDOM_OP else []
        found += [f"the graph has no {kind} {name!r}" for name in gone[:5]]
        found += [f"the file has no {kind} {name!r}" for name in new[:5]]
    for name, variable in sessions.variables(session.graph).items():
        array = state.arrays.get(f"{_VARIABLE}/{name}")
        if array is None:
            continue
        form = (variable.dtype.base_dtype.name, variable.shape)
        if form[0] != array.dtype.name or not variable.shape.is_compatible_with(array.shape):
            found.append(
                f"the variable {name!r} was {array.dtype.name} of shape {array.shape} and is "
                f"{form[0]} of shape {form[1]}"
            )
    return found


class _Iterator(NamedTuple):
    """An iterator of `tf.data`, with the ops that write it to a file and read it.

    `sources` are the types of the ops that make its data, of each data set that it can be given.
    """

    name: str
    file: tf.Tensor
    save: tf.Operation
    restore: tf.Operation
    sources: list[list[str]]

    def has_all(self, packed: np.ndarray) -> bool:
        """Whether its checkpoint has the places of all that will shuffle again."""
        places = shuffles.places(packed.tobytes())
        return any(
            "RepeatDataset" not in types or places == sum(map(shuffles.is_shuffle, types))
            for types in self.sources
        )


_known: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def _iterators(graph: tf.Graph) -> list[_Iterator]:
    known = _known.setdefault(graph, {})
    for op in graph.get_operations():
        if op.type in _ITERATORS and op.name not in known:
            known[op.name] = _iterator(graph, op)
    return list(known.values())


def _iterator(graph: tf.Graph, op: tf.Operation) -> _Iterator:
    with _open(graph), tf.name_scope(f"repro_keras/{op.name}/"), tf.control_dependencies(None):
        file = tf.placeholder(tf.string, [], name="file")
        resource = op.outputs[0]
        state = tf.raw_ops.SerializeIterator(resource_handle=resource, external_state_policy=_FAIL)
        about = {"prefix": file, "tensor_names": ["iterator"], "shape_and_slices": [""]}
        save = tf.raw_ops.SaveV2(**about, tensors=[state])
        (read,) = tf.raw_ops.RestoreV2(**about, dtypes=[tf.variant])
        restore = tf.raw_ops.DeserializeIterator(resource_handle=resource, serialized=read)
    return _Iterator(op.name, file, save, restore, _sources(graph, op))


def _sources(graph: tf.Graph, iterator: tf.Operation) -> list[list[str]]:
    if iterator.type == "OneShotIterator":
        function = iterator.get_attr("dataset_factory").name
        library = graph.as_graph_def().library.function
        return [
            [node.op for node in each.node_def]
            for each in library
            if each.signature.name == function
        ]
    found = []
    for op in iterator.outputs[0].consumers():
        if op.type == "MakeIterator":
            seen, waiting = set(), [op.inputs[0].op]
            while waiting:
                source = waiting.pop()
                seen.add(source)
                waiting += [tensor.op for tensor in source.inputs if tensor.op not in seen]
            found.append([source.type for source in seen])
    return found


@contextlib.contextmanager
def _open(graph: tf.Graph) -> Iterator[None]:
    """Inside, ops can be added, to a finalized graph too, as monitored sessions have."""
    finalized = graph.finalized
    if finalized:
        graph._unsafe_unfinalize()
    try:
        with graph.as_default():
            yield
    finally:
        if finalized:
            graph.finalize()


def _iterator_states(session: tf.Session) -> dict[str, np.ndarray]:
    """The bytes of each iterator that is at work."""
    found = {}
    for iterator in _iterators(session.graph):
        with tempfile.TemporaryDirectory() as folder:
            prefix = os.path.join(folder, "iterator")
            try:
                session.run(iterator.save, {iterator.file: prefix})
            except tf.errors.OpError as error:
                if "not been initialized" in error.message:
                    continue  # it has no state yet
                why = error.message.rpartition("Node: ")[2].splitlines()[1:2] or [error.message]
                raise StateError(
                    f"The place of the iterator {iterator.name!r} in its data cannot be saved: "
                    f"{why[0]} Draw random numbers and call Python outside of the functions of "
                    "the data set, or feed the data and save your place as `position`."
                ) from None
            found[iterator.name] = _packed(Path(folder))
    return found


def _packed(folder: Path) -> np.ndarray:
    """The files of a checkpoint as an array: each one's length and bytes."""
    contents = [path.read_bytes() for path in sorted(folder.iterdir())]
    lengths = b"".join(len(content).to_bytes(8, "little") for content in contents)
    return np.frombuffer(lengths + b"".join(contents), "uint8")


def _restore_iterator(session: tf.Session, iterator: _Iterator, packed: np.ndarray) -> None:
    content = packed.tobytes()
    length = int.from_bytes(content[:8], "little")
    with tempfile.TemporaryDirectory() as folder:
        prefix = os.path.join(folder, "iterator")
        Path(f"{prefix}.data-00000-of-00001").write_bytes(content[16 : 16 + length])
        Path(f"{prefix}.index").write_bytes(content[16 + length :])
        try:
            session.run(iterator.restore, {iterator.file: prefix})
        except tf.errors.FailedPreconditionError:
            raise StateError(
                f"The iterator {iterator.name!r} has no data set yet. Run its initializer before "
                "v1.restore_state."
            ) from None
