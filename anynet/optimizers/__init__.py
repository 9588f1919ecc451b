"""Optimisers: pure functions from parameters, gradients and state to new parameters and state."""

from anynet.optimizers.adam import Adam as Adam
from anynet.optimizers.adam import AdamW as AdamW
from anynet.optimizers.adaptive import Adadelta as Adadelta
from anynet.optimizers.adaptive import Adagrad as Adagrad
from anynet.optimizers.base import Optimizer as Optimizer
from anynet.optimizers.lion import Lion as Lion
from anynet.optimizers.nadam import Nadam as Nadam
from anynet.optimizers.radam import RAdam as RAdam
from anynet.optimizers.rmsprop import RMSprop as RMSprop
from anynet.optimizers.sgd import SGD as SGD
