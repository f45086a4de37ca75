# Written by tools/make_stubs.py; do not edit.
# ruff: noqa
from keras.losses import *
from keras._tf_keras.keras.losses import KLD as KLD
from keras._tf_keras.keras.losses import MAE as MAE
from keras._tf_keras.keras.losses import MAPE as MAPE
from keras._tf_keras.keras.losses import MSE as MSE
from keras._tf_keras.keras.losses import MSLE as MSLE
from keras._tf_keras.keras.losses import Reduction as Reduction
from keras._tf_keras.keras.losses import kld as kld
from keras._tf_keras.keras.losses import kullback_leibler_divergence as kullback_leibler_divergence
from keras._tf_keras.keras.losses import logcosh as logcosh
from keras._tf_keras.keras.losses import mae as mae
from keras._tf_keras.keras.losses import mape as mape
from keras._tf_keras.keras.losses import mse as mse
from keras._tf_keras.keras.losses import msle as msle
