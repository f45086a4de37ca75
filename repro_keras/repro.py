"""What repro_keras adds to Keras; the rest of `repro_keras` is Keras itself."""

from repro_keras._src.config import ReproConfig as ReproConfig
from repro_keras._src.config import config as config
from repro_keras._src.config import configure as configure
from repro_keras._src.digest import digest as digest
from repro_keras._src.doctor import doctor as doctor
from repro_keras._src.errors import ReproError as ReproError
from repro_keras._src.errors import ReproWarning as ReproWarning
from repro_keras._src.seeding import scope as scope
from repro_keras._src.seeding import seed_for as seed_for
from repro_keras._src.version import __version__ as __version__
