# Written by tools/make_stubs.py; do not edit.
# ruff: noqa
from keras.ops import *
from . import image as image
from . import linalg as linalg
from . import nn as nn
from . import numpy as numpy
