"""Layers: pure functions of parameters and input, with hand-derived backward passes.

========================================================  ======================================
`Dense`                                                   affine map
`Conv1D`, `Conv2D`                                        the same affine map at every position
`MaxPool1D`, `AvgPool1D`, `GlobalAvgPool1D`               downsampling of sequences
`MaxPool2D`, `AvgPool2D`, `GlobalAvgPool2D`               downsampling of images
`Embedding`, `Tied`                                       a vector for each integer
`PeriodicEmbedding`, `PiecewiseLinear`                    a vector for each number of a table
`SelfAttention`, `Attention`, `transformer_block`         attention between positions of sequences
`LSTM`, `GRU`                                             recurrence along a sequence
`Position`                                                a vector for each position
`Sigmoid`, `Tanh`, `Softplus`, `Identity`                 elementwise activations
`ReLU`, `LeakyReLU`, `PReLU`, `ELU`, `SELU`               rectifiers
`GELU`, `SiLU`, `Mish`                                    self-gated activations
`Blend`                                                   a learned mixture of an activation and its input
`Softmax`, `LogSoftmax`                                   over the last axis
`BatchNorm`, `LayerNorm`, `RMSNorm`                       normalization
`Dropout`, `AlphaDropout`, `GaussianNoise`                noise during training
`Flatten`, `Reshape`                                      changes of shape
`Columns`                                                 selection of features
`Rescale`                                                 a fixed scale and offset, for bytes of images
`Scale`                                                   a learned factor for each feature
`Members`, `BatchEnsemble`, `EachDense`                   members of an ensemble, trained together
`Sequential`, `Residual`, `Parallel`                      containers
`Repeat`, `Shared`                                        one set of parameters in several places
`Frozen`                                                  layers that are not trained
`Lengths`                                                 sequences of different lengths
========================================================  ======================================
"""

from anynet.layers.activations import Identity as Identity, ReLU as ReLU, Sigmoid as Sigmoid, Tanh as Tanh
from anynet.layers.attention import Attention as Attention, SelfAttention as SelfAttention
from anynet.layers.base import Layer as Layer
from anynet.layers.blend import Blend as Blend
from anynet.layers.columns import Columns as Columns
from anynet.layers.containers import Sequential as Sequential
from anynet.layers.convolution import Conv1D as Conv1D, Conv2D as Conv2D
from anynet.layers.dense import Dense as Dense
from anynet.layers.dropout import Dropout as Dropout
from anynet.layers.embedding import Embedding as Embedding
from anynet.layers.frozen import Frozen as Frozen
from anynet.layers.global_pooling import GlobalAvgPool1D as GlobalAvgPool1D, GlobalAvgPool2D as GlobalAvgPool2D
from anynet.layers.gru import GRU as GRU
from anynet.layers.lengths import Lengths as Lengths
from anynet.layers.lstm import LSTM as LSTM
from anynet.layers.members import BatchEnsemble as BatchEnsemble, EachDense as EachDense, Members as Members
from anynet.layers.noise import AlphaDropout as AlphaDropout, GaussianNoise as GaussianNoise
from anynet.layers.normalization import BatchNorm as BatchNorm, LayerNorm as LayerNorm, RMSNorm as RMSNorm
from anynet.layers.number_embeddings import PeriodicEmbedding as PeriodicEmbedding, PiecewiseLinear as PiecewiseLinear
from anynet.layers.parallel import Parallel as Parallel
from anynet.layers.pooling import (
    AvgPool1D as AvgPool1D,
    AvgPool2D as AvgPool2D,
    MaxPool1D as MaxPool1D,
    MaxPool2D as MaxPool2D,
)
from anynet.layers.position import Position as Position
from anynet.layers.rectifiers import ELU as ELU, SELU as SELU, LeakyReLU as LeakyReLU, PReLU as PReLU
from anynet.layers.rescale import Rescale as Rescale
from anynet.layers.reshape import Flatten as Flatten, Reshape as Reshape
from anynet.layers.residual import Residual as Residual
from anynet.layers.scale import Scale as Scale
from anynet.layers.sharing import Repeat as Repeat, Shared as Shared
from anynet.layers.smooth import GELU as GELU, Mish as Mish, SiLU as SiLU, Softplus as Softplus, Swish as Swish
from anynet.layers.softmax import LogSoftmax as LogSoftmax, Softmax as Softmax
from anynet.layers.tied import Tied as Tied
from anynet.layers.transformer import transformer_block as transformer_block
