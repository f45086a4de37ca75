# Written by tools/make_stubs.py; do not edit.
# ruff: noqa
from keras.initializers import *
