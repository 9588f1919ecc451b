"""Optimisers: pure functions from parameters, gradients and state to new parameters and state."""

from anynet.optimizers.accumulation import Accumulate as Accumulate
from anynet.optimizers.adam import Adam as Adam
from anynet.optimizers.adam import AdamW as AdamW
from anynet.optimizers.adaptive import Adadelta as Adadelta
from anynet.optimizers.adaptive import Adagrad as Adagrad
from anynet.optimizers.averaging import EMA as EMA
from anynet.optimizers.averaging import SWA as SWA
from anynet.optimizers.base import Optimizer as Optimizer
from anynet.optimizers.groups import Groups as Groups
from anynet.optimizers.lbfgs import LBFGS as LBFGS
from anynet.optimizers.limits import Clip as Clip
from anynet.optimizers.limits import MaxNorm as MaxNorm
from anynet.optimizers.lion import Lion as Lion
from anynet.optimizers.muon import Muon as Muon
from anynet.optimizers.nadam import Nadam as Nadam
from anynet.optimizers.radam import RAdam as RAdam
from anynet.optimizers.rmsprop import RMSprop as RMSprop
from anynet.optimizers.scaling import LossScale as LossScale
from anynet.optimizers.sgd import SGD as SGD
