# Written by tools/make_stubs.py; do not edit.
# ruff: noqa
from keras.layers import *
from keras._tf_keras.keras.layers import RandomHeight as RandomHeight
from keras._tf_keras.keras.layers import RandomWidth as RandomWidth
from keras._tf_keras.keras.layers import ThresholdedReLU as ThresholdedReLU
