# Written by tools/make_stubs.py; do not edit.
# ruff: noqa
from keras.utils import *
from . import bounding_boxes as bounding_boxes
from . import legacy as legacy
