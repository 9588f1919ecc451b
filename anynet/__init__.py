"""anynet: neural networks on any array library.

One source of layer maths, written against the Python array API standard, trains on NumPy, CuPy, PyTorch and JAX arrays.
Every layer has its own hand-derived backward pass; there is no autodiff.

>>> from anynet import Adam, Dense, Model, ReLU, SoftmaxCrossEntropy
>>> model = Model([Dense(128), ReLU(), Dense(10)], input_shape=784, loss=SoftmaxCrossEntropy(), optimizer=Adam(1e-3))
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

from anynet._version import __version__ as __version__
from anynet.explain import explain as explain

# Where each public name lives. It is looked up when it is first asked for, so that `import anynet` costs next to nothing;
# `explain` alone is there at once, since its module has the same name.
_HOMES = {
    "callbacks": """
        Callback Checkpoint CSVLogger EarlyStopping LambdaCallback ProgressBar ReduceLROnPlateau Run StopOnNaN
    """,
    "checkpoint": """
        load
    """,
    "datasets": """
        load_digits load_mnist
    """,
    "explain": """
        Explanation
    """,
    "gradcheck": """
        check_gradients GradientError GradientReport
    """,
    "history": """
        History
    """,
    "initializers": """
        Constant Given GlorotNormal GlorotUniform HeNormal HeUniform Initializer LecunNormal LecunUniform Normal
        Orthogonal Uniform Zeros
    """,
    "layers": """
        AlphaDropout AvgPool2D BatchNorm Conv1D Conv2D Dense Dropout ELU Embedding Flatten Frozen GaussianNoise
        GELU GlobalAvgPool2D Identity Layer LayerNorm LeakyReLU LogSoftmax MaxPool2D Mish Parallel PReLU ReLU
        Repeat Rescale Reshape Residual RMSNorm SELU Sequential Shared Sigmoid SiLU Softmax Softplus Tanh
    """,
    "losses": """
        BinaryCrossEntropy CategoricalCrossEntropy FocalLoss HalfSquaredError Hinge Huber KLDivergence LogCosh
        Loss Losses MeanAbsoluteError MeanSquaredError Poisson SigmoidCrossEntropy SoftmaxCrossEntropy
    """,
    "metrics": """
        Accuracy ConfusionMatrix Custom F1 MAE Mean Metric OutputMetric Precision R2 Recall RMSE ROCAUC TopK
    """,
    "model": """
        Model
    """,
    "optimizers": """
        Accumulate Adadelta Adagrad Adam AdamW Clip EMA Groups LBFGS Lion LossScale MaxNorm Muon Nadam Optimizer RAdam
        RMSprop SGD SWA
    """,
    "plots": """
        plot_decision_boundary plot_history plot_predictions plot_weights
    """,
    "rangetest": """
        learning_rate_test RangeTest
    """,
    "regularizers": """
        L1 L2 Regularizer
    """,
    "schedules": """
        ConstantSchedule CosineDecay CosineRestarts ExponentialDecay OneCycle PolynomialDecay StepDecay Warmup
    """,
}

_home = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted([*_home, "explain"])

if TYPE_CHECKING:  # for editors and type checkers, which do not run `__getattr__`
    from anynet.callbacks import Callback as Callback
    from anynet.callbacks import Checkpoint as Checkpoint
    from anynet.callbacks import CSVLogger as CSVLogger
    from anynet.callbacks import EarlyStopping as EarlyStopping
    from anynet.callbacks import LambdaCallback as LambdaCallback
    from anynet.callbacks import ProgressBar as ProgressBar
    from anynet.callbacks import ReduceLROnPlateau as ReduceLROnPlateau
    from anynet.callbacks import Run as Run
    from anynet.callbacks import StopOnNaN as StopOnNaN
    from anynet.checkpoint import load as load
    from anynet.datasets import load_digits as load_digits
    from anynet.datasets import load_mnist as load_mnist
    from anynet.explain import Explanation as Explanation
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
    from anynet.layers import AvgPool2D as AvgPool2D
    from anynet.layers import BatchNorm as BatchNorm
    from anynet.layers import Conv1D as Conv1D
    from anynet.layers import Conv2D as Conv2D
    from anynet.layers import Dense as Dense
    from anynet.layers import Dropout as Dropout
    from anynet.layers import Embedding as Embedding
    from anynet.layers import Flatten as Flatten
    from anynet.layers import Frozen as Frozen
    from anynet.layers import GaussianNoise as GaussianNoise
    from anynet.layers import GlobalAvgPool2D as GlobalAvgPool2D
    from anynet.layers import Identity as Identity
    from anynet.layers import Layer as Layer
    from anynet.layers import LayerNorm as LayerNorm
    from anynet.layers import LeakyReLU as LeakyReLU
    from anynet.layers import LogSoftmax as LogSoftmax
    from anynet.layers import MaxPool2D as MaxPool2D
    from anynet.layers import Mish as Mish
    from anynet.layers import Parallel as Parallel
    from anynet.layers import PReLU as PReLU
    from anynet.layers import ReLU as ReLU
    from anynet.layers import Repeat as Repeat
    from anynet.layers import Rescale as Rescale
    from anynet.layers import Reshape as Reshape
    from anynet.layers import Residual as Residual
    from anynet.layers import RMSNorm as RMSNorm
    from anynet.layers import Sequential as Sequential
    from anynet.layers import Shared as Shared
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
    from anynet.losses import Losses as Losses
    from anynet.losses import MeanAbsoluteError as MeanAbsoluteError
    from anynet.losses import MeanSquaredError as MeanSquaredError
    from anynet.losses import Poisson as Poisson
    from anynet.losses import SigmoidCrossEntropy as SigmoidCrossEntropy
    from anynet.losses import SoftmaxCrossEntropy as SoftmaxCrossEntropy
    from anynet.metrics import F1 as F1
    from anynet.metrics import MAE as MAE
    from anynet.metrics import R2 as R2
    from anynet.metrics import RMSE as RMSE
    from anynet.metrics import ROCAUC as ROCAUC
    from anynet.metrics import Accuracy as Accuracy
    from anynet.metrics import ConfusionMatrix as ConfusionMatrix
    from anynet.metrics import Custom as Custom
    from anynet.metrics import Mean as Mean
    from anynet.metrics import Metric as Metric
    from anynet.metrics import OutputMetric as OutputMetric
    from anynet.metrics import Precision as Precision
    from anynet.metrics import Recall as Recall
    from anynet.metrics import TopK as TopK
    from anynet.model import Model as Model
    from anynet.optimizers import EMA as EMA
    from anynet.optimizers import LBFGS as LBFGS
    from anynet.optimizers import SGD as SGD
    from anynet.optimizers import SWA as SWA
    from anynet.optimizers import Accumulate as Accumulate
    from anynet.optimizers import Adadelta as Adadelta
    from anynet.optimizers import Adagrad as Adagrad
    from anynet.optimizers import Adam as Adam
    from anynet.optimizers import AdamW as AdamW
    from anynet.optimizers import Clip as Clip
    from anynet.optimizers import Groups as Groups
    from anynet.optimizers import Lion as Lion
    from anynet.optimizers import LossScale as LossScale
    from anynet.optimizers import MaxNorm as MaxNorm
    from anynet.optimizers import Muon as Muon
    from anynet.optimizers import Nadam as Nadam
    from anynet.optimizers import Optimizer as Optimizer
    from anynet.optimizers import RAdam as RAdam
    from anynet.optimizers import RMSprop as RMSprop
    from anynet.plots import plot_decision_boundary as plot_decision_boundary
    from anynet.plots import plot_history as plot_history
    from anynet.plots import plot_predictions as plot_predictions
    from anynet.plots import plot_weights as plot_weights
    from anynet.rangetest import RangeTest as RangeTest
    from anynet.rangetest import learning_rate_test as learning_rate_test
    from anynet.regularizers import L1 as L1
    from anynet.regularizers import L2 as L2
    from anynet.regularizers import Regularizer as Regularizer
    from anynet.schedules import ConstantSchedule as ConstantSchedule
    from anynet.schedules import CosineDecay as CosineDecay
    from anynet.schedules import CosineRestarts as CosineRestarts
    from anynet.schedules import ExponentialDecay as ExponentialDecay
    from anynet.schedules import OneCycle as OneCycle
    from anynet.schedules import PolynomialDecay as PolynomialDecay
    from anynet.schedules import StepDecay as StepDecay
    from anynet.schedules import Warmup as Warmup


def __getattr__(name: str) -> Any:
    if name in _home:
        value = getattr(_import_module(f"anynet.{_home[name]}"), name)
    elif name in ("backends", "callbacks", "datasets", "random", "schedules"):
        value = _import_module(f"anynet.{name}")
    else:
        raise AttributeError(f"module 'anynet' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "backends", "callbacks", "__version__"]
