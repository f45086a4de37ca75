"""Seeds for data pipelines: what shuffles or draws without a seed gets one by name."""

import functools
import inspect

from repro_keras._src import seeding
from repro_keras._src.patches import graphs
from repro_keras._src.patches.patch import Patch


def _next_seed() -> int:
    graph = graphs.graph_made_by_hand()
    frame = seeding.current_frame() if graph is None else graphs.frame_of(graph)
    return frame.seed(frame.take("#data"))


def _seed_pipelines(original):
    @functools.wraps(original)
    def get_seed(seed):
        return original(_next_seed() if seed is None else seed)

    return get_seed


def _seed_shuffled(original):
    signature = inspect.signature(original)

    @functools.wraps(original)
    def make(*args, **kwargs):
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        arguments = given.arguments
        # Two calls that split one folder must share a seed: Keras asks for it then.
        split = arguments.get("validation_split")
        if arguments["shuffle"] and arguments["seed"] is None and not split:
            arguments["seed"] = _next_seed()
        return original(*given.args, **given.kwargs)

    return make


PIPELINES = (
    Patch(
        target="tensorflow.python.data.util.random_seed:get_seed",
        parameters=("seed",),
        make=_seed_pipelines,
        why="`shuffle` and `random` of tf.data without a seed are shifted by any op before them",
    ),
)

PATCHES = tuple(
    Patch(
        target=f"keras.src.utils.{module}:{function}",
        parameters=None,  # they gain one now and then; `shuffle` and `seed` are what is used
        make=_seed_shuffled,
        everywhere=True,
        why="it draws its seed from a global generator, which anything shifts",
    )
    for module, function in (
        ("image_dataset_utils", "image_dataset_from_directory"),
        ("text_dataset_utils", "text_dataset_from_directory"),
        ("audio_dataset_utils", "audio_dataset_from_directory"),
        ("timeseries_dataset_utils", "timeseries_dataset_from_array"),
        ("dataset_utils", "split_dataset"),
    )
)
