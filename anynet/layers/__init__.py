"""Layers: pure functions of parameters and input, each with its hand-derived backward pass.

=====================================  =============================
`Dense`                                affine map
`Sigmoid`, `Tanh`, `ReLU`, `Identity`  elementwise activations
`Softmax`, `LogSoftmax`                over the last axis
`Dropout`                              noise while training
`Flatten`, `Reshape`                   other shapes
`Sequential`                           containers
=====================================  =============================
"""

from anynet.layers.activations import Identity as Identity
from anynet.layers.activations import ReLU as ReLU
from anynet.layers.activations import Sigmoid as Sigmoid
from anynet.layers.activations import Tanh as Tanh
from anynet.layers.base import Layer as Layer
from anynet.layers.containers import Sequential as Sequential
from anynet.layers.dense import Dense as Dense
from anynet.layers.dropout import Dropout as Dropout
from anynet.layers.reshape import Flatten as Flatten
from anynet.layers.reshape import Reshape as Reshape
from anynet.layers.softmax import LogSoftmax as LogSoftmax
from anynet.layers.softmax import Softmax as Softmax
