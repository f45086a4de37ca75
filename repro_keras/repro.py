"""What repro_keras adds to Keras; the rest of `repro_keras` is Keras itself."""

from typing import TYPE_CHECKING

from repro_keras._src.config import ReproConfig as ReproConfig
from repro_keras._src.config import config as config
from repro_keras._src.config import configure as configure
from repro_keras._src.digest import digest as digest
from repro_keras._src.doctor import doctor as doctor
from repro_keras._src.errors import ReproError as ReproError
from repro_keras._src.errors import ReproWarning as ReproWarning
from repro_keras._src.errors import StateError as StateError
from repro_keras._src.seeding import scope as scope
from repro_keras._src.seeding import seed_for as seed_for
from repro_keras._src.version import __version__ as __version__

if TYPE_CHECKING:
    from repro_keras._src.runs.callback import Record as Record
    from repro_keras._src.state.training import TrainingState as TrainingState
else:
    # Callbacks of Keras's, which is not loaded before they are asked for.

    def __getattr__(name: str):
        if name == "Record":
            from repro_keras._src.runs.callback import Record

            return Record
        if name == "TrainingState":
            from repro_keras._src.state.training import TrainingState

            return TrainingState
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
