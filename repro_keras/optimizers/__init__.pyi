# Written by tools/make_stubs.py; do not edit.
# ruff: noqa
from keras.optimizers import *
from . import legacy as legacy
from . import schedules as schedules
