"""The seam: the few functions of Keras that are wrapped in place, one file per subject.

`install_in_backend` runs right after TensorFlow was imported, `install` after Keras, by whomever.
Only here, in `_src/backends` and in `v1` are private names of Keras and TensorFlow touched.
"""

import importlib
import os

from repro_keras._src.errors import SeamError

TESTED = ("3.12", "3.15")
"""The first and last minor version of Keras that the seam was tested on."""

TESTED_LEGACY = ("2.20", "2.21")
"""The same for tf_keras, which is Keras 2."""

installed: list = []
"""The rows in force, for `repro.doctor()`."""

EXACT = ("exact", "exact_updates", "exact_narrow", "exact_graphs")
"""The files whose rows are for guarantee `portable` alone. A later one wraps what an earlier one
did."""

left_out: set[str] = set()
"""Names of rows, or of their files, that tests leave out, to see their controls fail."""


def install() -> None:
    """Puts every row in place; raises `SeamError` where this Keras is not one that is known."""
    import keras

    from repro_keras._src import backends, config

    if config.OFF:  # plain Keras, where the names of `tf.keras` can still be found
        from repro_keras._src.patches import tf_names

        _put_in_place(tf_names.patches())
        return
    backends.require_supported(keras.backend.backend())
    if _version(keras.__version__) not in _range(*TESTED):
        if os.environ.get("REPRO_KERAS_UNTESTED", "") != "1":
            raise SeamError(
                f"Keras {keras.__version__} is not one that repro_keras was tested on. "
                f"{_what_to_do()} REPRO_KERAS_UNTESTED=1 goes on, with guarantee 'none'."
            )
        config.lose_guarantee()
    if config.config().device == "gpu":
        backends.require_gpu(config.config())
    try:
        _put_in_place(_rows())
    except (SeamError, ImportError) as error:
        raise SeamError(
            f"Keras {keras.__version__} is not as repro_keras knows it: {error}. {_what_to_do()}"
        ) from error


def install_in_backend() -> None:
    """Puts the rows in place that need no Keras, right after the backend was imported."""
    from repro_keras._src import config
    from repro_keras._src.patches import (
        data_seeds,
        graphs,
        loops,
        random_ops,
        session_steps,
        sessions,
    )
    from repro_keras._src.runs import recorder

    recorder.when_started(session_steps.begin)
    rows = [
        *graphs.PATCHES,
        *loops.PATCHES,
        *random_ops.PATCHES,
        *sessions.PATCHES,
        *session_steps.PATCHES,
        *data_seeds.PIPELINES,
    ]
    if config.config().guarantee == "portable":  # settled by now: it is too late to change it
        for file in EXACT:
            rows += importlib.import_module(f"{__name__}.{file}").PATCHES
    try:
        _put_in_place(rows)
    except (SeamError, ImportError) as error:
        import tensorflow

        raise SeamError(
            f"TensorFlow {tensorflow.__version__} is not as repro_keras knows it: {error}. "
            "Install a newer repro_keras, or an older TensorFlow."
        ) from error


def install_guard() -> None:
    """Puts the guard's rows in place where they are not yet; at each call they ask the setting."""
    import sys

    from repro_keras._src.patches import entropy

    rows = [*entropy.PATCHES, *(entropy.NUMPY if "numpy" in sys.modules else ())]
    _put_in_place([row for row in rows if row not in installed])


def install_in_legacy() -> None:
    """Puts the rows for tf_keras in place, right after it was imported."""
    import tf_keras

    from repro_keras._src import config
    from repro_keras._src.patches import legacy_api

    if config.OFF:  # plain tf_keras, where the names of 2018 can still be found
        _put_in_place(legacy_api.patches())
        return
    if _version(tf_keras.__version__) not in _range(*TESTED_LEGACY):
        if os.environ.get("REPRO_KERAS_UNTESTED", "") != "1":
            raise SeamError(
                f"tf_keras {tf_keras.__version__} is not one that repro_keras was tested on. "
                f"{_what_to_do_in_legacy()} REPRO_KERAS_UNTESTED=1 goes on, with guarantee 'none'."
            )
        config.lose_guarantee()
    try:
        from repro_keras._src.patches import (
            legacy_files,
            legacy_names,
            legacy_order,
            legacy_seeds,
            legacy_session,
        )

        rows = [
            *legacy_api.patches(),
            *legacy_names.PATCHES,
            *legacy_seeds.PATCHES,
            *legacy_order.PATCHES,
            *legacy_session.PATCHES,
            *legacy_files.PATCHES,
        ]
        _put_in_place(rows)
    except (SeamError, ImportError) as error:
        raise SeamError(
            f"tf_keras {tf_keras.__version__} is not as repro_keras knows it: {error}. "
            f"{_what_to_do_in_legacy()}"
        ) from error


def _rows() -> list:
    # Loaded late: these import Keras.
    from repro_keras._src import seeding
    from repro_keras._src.patches import (
        batches,
        data_seeds,
        eager,
        export,
        files,
        fits,
        generators,
        names,
        order,
        positions,
        resume,
        session,
        steps,
        tf_names,
        weights,
    )
    from repro_keras._src.replaying import look
    from repro_keras._src.runs import recorder

    recorder.when_started(fits.begin)
    looked_at = []
    if look.current is not None:
        from repro_keras._src.patches import looking

        recorder.when_started(looking.begin)
        looked_at += looking.PATCHES
    seeding.hooks.entered = session.enter_scope
    seeding.hooks.left = session.leave_scope
    seeding.hooks.rerooted = session.forget_draws
    return [
        *names.PATCHES,
        *generators.PATCHES,
        *weights.PATCHES,
        *session.PATCHES,
        *order.PATCHES,
        *data_seeds.PATCHES,
        *files.PATCHES,
        *export.PATCHES,
        *fits.PATCHES,
        *steps.PATCHES,
        *batches.PATCHES,
        *eager.PATCHES,
        *positions.PATCHES,
        *resume.PATCHES,
        *tf_names.patches(),
        *looked_at,
    ]


def _put_in_place(rows: list) -> None:
    from repro_keras._src.patches.patch import replace_imported

    imported_by_name = []
    for row in rows:
        if not left_out & {row.name, row.file}:
            pair = row.install()
            installed.append(row)
            if row.everywhere:
                imported_by_name.append(pair)
    if imported_by_name:
        replace_imported(imported_by_name)


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def _range(first: str, last: str) -> list[tuple[int, int]]:
    (major, first_minor), (_, last_minor) = _version(first), _version(last)
    return [(major, minor) for minor in range(first_minor, last_minor + 1)]


def _what_to_do() -> str:
    return (
        f"It works with Keras {TESTED[0]} to {TESTED[1]}: "
        f"`pip install 'keras>={TESTED[0]},<{TESTED[1]}.99'`, or a newer repro_keras."
    )


def _what_to_do_in_legacy() -> str:
    return (
        f"It works with tf_keras {TESTED_LEGACY[0]} to {TESTED_LEGACY[1]}, the one of your "
        "TensorFlow's number: `pip install 'repro_keras[legacy]'`, or a newer repro_keras."
    )
