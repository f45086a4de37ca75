# Written by tools/make_stubs.py; do not edit.
# ruff: noqa
from keras.applications.inception_v3 import *
