# Written by tools/make_stubs.py; do not edit.
# ruff: noqa
from keras.preprocessing.sequence import *
from keras._tf_keras.keras.preprocessing.sequence import TimeseriesGenerator as TimeseriesGenerator
from keras._tf_keras.keras.preprocessing.sequence import make_sampling_table as make_sampling_table
from keras._tf_keras.keras.preprocessing.sequence import skipgrams as skipgrams
