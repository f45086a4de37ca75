# Written by tools/make_stubs.py; do not edit.
# ruff: noqa
from keras.utils.bounding_boxes import *
