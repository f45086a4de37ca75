# Written by tools/make_stubs.py; do not edit.
# ruff: noqa
from keras.preprocessing.image import *
from keras._tf_keras.keras.preprocessing.image import DirectoryIterator as DirectoryIterator
from keras._tf_keras.keras.preprocessing.image import ImageDataGenerator as ImageDataGenerator
from keras._tf_keras.keras.preprocessing.image import Iterator as Iterator
from keras._tf_keras.keras.preprocessing.image import NumpyArrayIterator as NumpyArrayIterator
from keras._tf_keras.keras.preprocessing.image import apply_affine_transform as apply_affine_transform
from keras._tf_keras.keras.preprocessing.image import apply_brightness_shift as apply_brightness_shift
from keras._tf_keras.keras.preprocessing.image import apply_channel_shift as apply_channel_shift
from keras._tf_keras.keras.preprocessing.image import random_brightness as random_brightness
from keras._tf_keras.keras.preprocessing.image import random_channel_shift as random_channel_shift
from keras._tf_keras.keras.preprocessing.image import random_rotation as random_rotation
from keras._tf_keras.keras.preprocessing.image import random_shear as random_shear
from keras._tf_keras.keras.preprocessing.image import random_shift as random_shift
from keras._tf_keras.keras.preprocessing.image import random_zoom as random_zoom
