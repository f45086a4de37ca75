# Written by tools/make_stubs.py; do not edit.
# ruff: noqa
from keras.metrics import *
from keras._tf_keras.keras.metrics import KLD as KLD
from keras._tf_keras.keras.metrics import MAE as MAE
from keras._tf_keras.keras.metrics import MAPE as MAPE
from keras._tf_keras.keras.metrics import MSE as MSE
from keras._tf_keras.keras.metrics import MSLE as MSLE
from keras._tf_keras.keras.metrics import kld as kld
from keras._tf_keras.keras.metrics import kullback_leibler_divergence as kullback_leibler_divergence
from keras._tf_keras.keras.metrics import logcosh as logcosh
from keras._tf_keras.keras.metrics import mae as mae
from keras._tf_keras.keras.metrics import mape as mape
from keras._tf_keras.keras.metrics import mse as mse
from keras._tf_keras.keras.metrics import msle as msle
