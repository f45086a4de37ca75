"""Sessions and files of tf_keras: what sets the root seed, and what takes no names.

`clear_session` needs no row: it makes a new graph, in which names start afresh.
"""

import functools

from repro_keras._src import config, seeding
from repro_keras._src.patches import graphs
from repro_keras._src.patches.patch import Patch


def _reroot(original):
    @functools.wraps(original)
    def set_random_seed(seed):
        original(seed)
        config.root_seed_was_set(seed)

    return set_random_seed


def _load(original):
    @functools.wraps(original)
    def load_model(*args, **kwargs):
        with seeding.loading():
            return original(*args, **kwargs)

    return load_model


def _keep_intermediates(original):
    @functools.wraps(original)
    def _is_building_keras_layer():
        return original() or graphs.graph_made_by_hand() is not None

    return _is_building_keras_layer


PATCHES = (
    Patch(
        target="tf_keras.src.utils.tf_utils:set_random_seed",
        parameters=("seed",),
        make=_reroot,
        everywhere=True,
        why="makes its seed the root of all names from there on",
    ),
    Patch(
        target="tf_keras.src.saving.saving_api:load_model",
        parameters=("filepath", "custom_objects", "compile", "safe_mode", "kwargs"),
        make=_load,
        everywhere=True,
        why="what is built while a file is loaded takes no names from what is built after",
    ),
    Patch(
        target="tensorflow.python.ops.control_flow_util_v2:_is_building_keras_layer",
        parameters=(),
        make=_keep_intermediates,
        why="a recurrent model that has predicted cannot be trained: its loop kept too little",
    ),
)
