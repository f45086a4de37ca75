"""What shuffles a `tf.data.Dataset` anew in each pass, and TensorFlow's checkpoints of iterators.

What shuffles has a generator of seeds, of which each iterator that is made over it takes the next.
A checkpoint has the place of that generator, but only as long as the iterator below still shuffles:
once its last element was read, ahead of training often, the place is not in it, and the passes to
come would be others. How many were begun tells it too, unless something between begins passes by
itself.
"""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

_KEY = b"epoch_num_random_samples"  # by which a checkpoint has the place of a generator of seeds
# These make the iterator of their input as they are made, and only then.
_AT_ONCE = re.compile(
    "_(Batch|ParallelBatch|PaddedBatch|DenseToRagged|Rebatch|Unbatch|Map|ParallelMap|Scan|FlatMap|"
    "Interleave|ParallelInterleave|Filter|IgnoreErrors|Take|TakeWhile|Skip|Shard|Zip|Window|"
    "Prefetch|Options|Restructured)Dataset"
)


def checkpoint(iterator) -> dict[str, np.ndarray] | None:
    """TensorFlow's checkpoint of an iterator; `None` where it has none."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            tf.train.Checkpoint(iterator=iterator).write(f"{folder}/x")
        except (tf.errors.FailedPreconditionError, tf.errors.UnimplementedError, ValueError):
            return None
        return {
            path.name: np.frombuffer(path.read_bytes(), "uint8")
            for path in sorted(Path(folder).iterdir())
        }


def restore_checkpoint(iterator, files: dict[str, np.ndarray]) -> None:
    """Puts an iterator where a checkpoint was taken."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            Path(folder, name).write_bytes(content.tobytes())
        tf.train.Checkpoint(iterator=iterator).read(f"{folder}/x").assert_consumed()


def follow_passes(dataset) -> bool:
    """Whether all that shuffles in it is begun once with each pass, so that counting tells."""
    return all(at_once for _, at_once in _shuffles(dataset))


def are_known(files: dict[str, np.ndarray], dataset) -> bool:
    """Whether a checkpoint, or else the number of passes, tells how the next are shuffled."""
    return follow_passes(dataset) or are_in(files, dataset)


def are_in(files: dict[str, np.ndarray], dataset) -> bool:
    """Whether a checkpoint has the places of all that shuffles."""
    found = sum(places(content.tobytes()) for content in files.values())
    return found == sum(1 for _ in _shuffles(dataset))


def places(content: bytes) -> int:
    """How many generators of seeds a checkpoint has the places of."""
    return content.count(_KEY)


def is_shuffle(name: str) -> bool:
    """Whether a data set, by its class or the type of its operation, is one that shuffles."""
    return name.lstrip("_").startswith(("ShuffleDataset", "RandomDataset"))


def _shuffles(dataset, at_once: bool = True) -> Iterator[tuple[object, bool]]:
    """What shuffles in a data set, and whether it is begun as soon as a pass over all is."""
    name = type(dataset).__name__
    if is_shuffle(name):
        yield dataset, at_once
    at_once = at_once and bool(_AT_ONCE.fullmatch(name))
    for source in dataset._inputs():
        yield from _shuffles(source, at_once)


def continued(dataset, files: dict[str, np.ndarray], passes: int):
    """The iterator of a pass that goes on where a checkpoint was taken.

    Args:
        dataset: the data set; so far, no pass over it was begun of those that are to be.
        files: the checkpoint, by which they `are_known`.
        passes: how many were begun in all.
    """
    iterator = iter(dataset)
    first = None if are_in(files, dataset) else checkpoint(iterator)
    restore_checkpoint(iterator, files)
    if first is not None:
        # Restoring begins a pass of its own. The first one comes once more: nothing of it was
        # read, and its checkpoint has the places of all.
        restore_checkpoint(iter(dataset), first)
        for _ in range(passes - 1):
            iter(dataset)
    return iterator
