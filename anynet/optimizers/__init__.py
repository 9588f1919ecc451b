"""Optimisers: pure functions from parameters, gradients and state to new parameters and state."""

from anynet.optimizers.adam import Adam as Adam
from anynet.optimizers.base import Optimizer as Optimizer
from anynet.optimizers.sgd import SGD as SGD
