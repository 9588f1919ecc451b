"""anynet: neural networks on any array library.

One source of layer maths, written against the Python array API standard, trains on NumPy, CuPy, PyTorch and JAX arrays.
Every layer has its own hand-derived backward pass; there is no autodiff.

>>> from anynet import Adam, Dense, Model, ReLU, SoftmaxCrossEntropy
>>> model = Model([Dense(128), ReLU(), Dense(10)], input_shape=784, loss=SoftmaxCrossEntropy(), optimizer=Adam(1e-3))
"""

from anynet import backends as backends
from anynet import callbacks as callbacks
from anynet._version import __version__ as __version__
from anynet.checkpoint import load as load
from anynet.datasets import load_digits as load_digits
from anynet.datasets import load_mnist as load_mnist
from anynet.explain import Explanation as Explanation
from anynet.explain import explain as explain
from anynet.gradcheck import GradientError as GradientError
from anynet.gradcheck import GradientReport as GradientReport
from anynet.gradcheck import check_gradients as check_gradients
from anynet.history import History as History
from anynet.initializers import Constant as Constant
from anynet.initializers import Given as Given
from anynet.initializers import GlorotNormal as GlorotNormal
from anynet.initializers import GlorotUniform as GlorotUniform
from anynet.initializers import HeNormal as HeNormal
from anynet.initializers import HeUniform as HeUniform
from anynet.initializers import Initializer as Initializer
from anynet.initializers import LecunNormal as LecunNormal
from anynet.initializers import LecunUniform as LecunUniform
from anynet.initializers import Normal as Normal
from anynet.initializers import Orthogonal as Orthogonal
from anynet.initializers import Uniform as Uniform
from anynet.initializers import Zeros as Zeros
from anynet.layers import ELU as ELU
from anynet.layers import GELU as GELU
from anynet.layers import SELU as SELU
from anynet.layers import AlphaDropout as AlphaDropout
from anynet.layers import BatchNorm as BatchNorm
from anynet.layers import Dense as Dense
from anynet.layers import Dropout as Dropout
from anynet.layers import Flatten as Flatten
from anynet.layers import GaussianNoise as GaussianNoise
from anynet.layers import Identity as Identity
from anynet.layers import Layer as Layer
from anynet.layers import LayerNorm as LayerNorm
from anynet.layers import LeakyReLU as LeakyReLU
from anynet.layers import LogSoftmax as LogSoftmax
from anynet.layers import Mish as Mish
from anynet.layers import PReLU as PReLU
from anynet.layers import ReLU as ReLU
from anynet.layers import Reshape as Reshape
from anynet.layers import RMSNorm as RMSNorm
from anynet.layers import Sequential as Sequential
from anynet.layers import Sigmoid as Sigmoid
from anynet.layers import SiLU as SiLU
from anynet.layers import Softmax as Softmax
from anynet.layers import Softplus as Softplus
from anynet.layers import Tanh as Tanh
from anynet.losses import BinaryCrossEntropy as BinaryCrossEntropy
from anynet.losses import CategoricalCrossEntropy as CategoricalCrossEntropy
from anynet.losses import FocalLoss as FocalLoss
from anynet.losses import HalfSquaredError as HalfSquaredError
from anynet.losses import Hinge as Hinge
from anynet.losses import Huber as Huber
from anynet.losses import KLDivergence as KLDivergence
from anynet.losses import LogCosh as LogCosh
from anynet.losses import Loss as Loss
from anynet.losses import MeanAbsoluteError as MeanAbsoluteError
from anynet.losses import MeanSquaredError as MeanSquaredError
from anynet.losses import Poisson as Poisson
from anynet.losses import SigmoidCrossEntropy as SigmoidCrossEntropy
from anynet.losses import SoftmaxCrossEntropy as SoftmaxCrossEntropy
from anynet.metrics import Accuracy as Accuracy
from anynet.metrics import Metric as Metric
from anynet.model import Model as Model
from anynet.optimizers import SGD as SGD
from anynet.optimizers import Adadelta as Adadelta
from anynet.optimizers import Adagrad as Adagrad
from anynet.optimizers import Adam as Adam
from anynet.optimizers import AdamW as AdamW
from anynet.optimizers import Lion as Lion
from anynet.optimizers import Nadam as Nadam
from anynet.optimizers import Optimizer as Optimizer
from anynet.optimizers import RAdam as RAdam
from anynet.optimizers import RMSprop as RMSprop
from anynet.schedules import ConstantSchedule as ConstantSchedule
from anynet.schedules import CosineDecay as CosineDecay
from anynet.schedules import CosineRestarts as CosineRestarts
from anynet.schedules import ExponentialDecay as ExponentialDecay
from anynet.schedules import OneCycle as OneCycle
from anynet.schedules import PolynomialDecay as PolynomialDecay
from anynet.schedules import StepDecay as StepDecay
from anynet.schedules import Warmup as Warmup
