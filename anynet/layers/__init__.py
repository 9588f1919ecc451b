"""Layers: pure functions of parameters and input, each with its hand-derived backward pass.

========================================================  ======================================
`Dense`                                                   affine map
`Conv1D`, `Conv2D`                                        the same affine map at every place
`MaxPool2D`, `AvgPool2D`, `GlobalAvgPool2D`               smaller images
`Embedding`                                               a vector for each integer
`Sigmoid`, `Tanh`, `Softplus`, `Identity`                 elementwise activations
`ReLU`, `LeakyReLU`, `PReLU`, `ELU`, `SELU`               rectifiers
`GELU`, `SiLU`, `Mish`                                    gates that the input opens
`Softmax`, `LogSoftmax`                                   over the last axis
`BatchNorm`, `LayerNorm`, `RMSNorm`                       normalisation
`Dropout`, `AlphaDropout`, `GaussianNoise`                noise while training
`Flatten`, `Reshape`                                      other shapes
`Rescale`                                                 another scale, for bytes of images
`Sequential`, `Residual`, `Parallel`                      containers
`Repeat`, `Shared`                                        one set of parameters in several places
`Frozen`                                                  layers that are not trained
========================================================  ======================================
"""

from anynet.layers.activations import Identity as Identity
from anynet.layers.activations import ReLU as ReLU
from anynet.layers.activations import Sigmoid as Sigmoid
from anynet.layers.activations import Tanh as Tanh
from anynet.layers.base import Layer as Layer
from anynet.layers.containers import Sequential as Sequential
from anynet.layers.convolution import Conv1D as Conv1D
from anynet.layers.convolution import Conv2D as Conv2D
from anynet.layers.dense import Dense as Dense
from anynet.layers.dropout import Dropout as Dropout
from anynet.layers.embedding import Embedding as Embedding
from anynet.layers.frozen import Frozen as Frozen
from anynet.layers.noise import AlphaDropout as AlphaDropout
from anynet.layers.noise import GaussianNoise as GaussianNoise
from anynet.layers.normalization import BatchNorm as BatchNorm
from anynet.layers.normalization import LayerNorm as LayerNorm
from anynet.layers.normalization import RMSNorm as RMSNorm
from anynet.layers.parallel import Parallel as Parallel
from anynet.layers.pooling import AvgPool2D as AvgPool2D
from anynet.layers.pooling import GlobalAvgPool2D as GlobalAvgPool2D
from anynet.layers.pooling import MaxPool2D as MaxPool2D
from anynet.layers.rectifiers import ELU as ELU
from anynet.layers.rectifiers import SELU as SELU
from anynet.layers.rectifiers import LeakyReLU as LeakyReLU
from anynet.layers.rectifiers import PReLU as PReLU
from anynet.layers.rescale import Rescale as Rescale
from anynet.layers.reshape import Flatten as Flatten
from anynet.layers.reshape import Reshape as Reshape
from anynet.layers.residual import Residual as Residual
from anynet.layers.sharing import Repeat as Repeat
from anynet.layers.sharing import Shared as Shared
from anynet.layers.smooth import GELU as GELU
from anynet.layers.smooth import Mish as Mish
from anynet.layers.smooth import SiLU as SiLU
from anynet.layers.smooth import Softplus as Softplus
from anynet.layers.softmax import LogSoftmax as LogSoftmax
from anynet.layers.softmax import Softmax as Softmax
