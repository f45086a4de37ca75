"""The layers of TensorFlow 1.10, `tf.layers`, for graphs and sessions built by hand.

Each comes as a function (`conv2d`), which makes variables and calls the layer once, and as a class
(`Conv2D`), whose objects can be called again. Variables, operations and collections have the names
they had then.
"""

from repro_keras.v1.layers.base import Layer as Layer
from repro_keras.v1.layers.convolutional import Conv1D as Conv1D
from repro_keras.v1.layers.convolutional import Conv2D as Conv2D
from repro_keras.v1.layers.convolutional import Conv3D as Conv3D
from repro_keras.v1.layers.convolutional import conv1d as conv1d
from repro_keras.v1.layers.convolutional import conv2d as conv2d
from repro_keras.v1.layers.convolutional import conv3d as conv3d
from repro_keras.v1.layers.core import Dense as Dense
from repro_keras.v1.layers.core import Dropout as Dropout
from repro_keras.v1.layers.core import Flatten as Flatten
from repro_keras.v1.layers.core import dense as dense
from repro_keras.v1.layers.core import dropout as dropout
from repro_keras.v1.layers.core import flatten as flatten
from repro_keras.v1.layers.input_spec import InputSpec as InputSpec
from repro_keras.v1.layers.normalization import BatchNormalization as BatchNormalization
from repro_keras.v1.layers.normalization import batch_normalization as batch_normalization
from repro_keras.v1.layers.pooling import AveragePooling1D as AveragePooling1D
from repro_keras.v1.layers.pooling import AveragePooling2D as AveragePooling2D
from repro_keras.v1.layers.pooling import AveragePooling3D as AveragePooling3D
from repro_keras.v1.layers.pooling import MaxPooling1D as MaxPooling1D
from repro_keras.v1.layers.pooling import MaxPooling2D as MaxPooling2D
from repro_keras.v1.layers.pooling import MaxPooling3D as MaxPooling3D
from repro_keras.v1.layers.pooling import average_pooling1d as average_pooling1d
from repro_keras.v1.layers.pooling import average_pooling2d as average_pooling2d
from repro_keras.v1.layers.pooling import average_pooling3d as average_pooling3d
from repro_keras.v1.layers.pooling import max_pooling1d as max_pooling1d
from repro_keras.v1.layers.pooling import max_pooling2d as max_pooling2d
from repro_keras.v1.layers.pooling import max_pooling3d as max_pooling3d
from repro_keras.v1.layers.separable import SeparableConv1D as SeparableConv1D
from repro_keras.v1.layers.separable import SeparableConv2D as SeparableConv2D
from repro_keras.v1.layers.separable import separable_conv1d as separable_conv1d
from repro_keras.v1.layers.separable import separable_conv2d as separable_conv2d
from repro_keras.v1.layers.transposed import Conv2DTranspose as Conv2DTranspose
from repro_keras.v1.layers.transposed import Conv3DTranspose as Conv3DTranspose
from repro_keras.v1.layers.transposed import conv2d_transpose as conv2d_transpose
from repro_keras.v1.layers.transposed import conv3d_transpose as conv3d_transpose
