"""Optimizers: pure functions from parameters, gradients and state to new parameters and state.

=============================================  =========================================================================
optimizer                                      step
=============================================  =========================================================================
`SGD`                                          along the gradient, with optional momentum and weight decay
`Adam` (`amsgrad`), `AdamW`, `Nadam`, `RAdam`  along the momentum, divided by the size of recent gradients
`RMSprop`, `Adagrad`, `Adadelta`               along the gradient, divided by the size of previous gradients
`Lion`                                         of constant size, along the sign of the momentum
`Muon`                                         of equal size in all directions of a matrix
`LBFGS`                                        along a quasi-Newton direction with a line search, for the full batch
=============================================  =========================================================================

=============================================  =========================================================================
wrapper                                        adds
=============================================  =========================================================================
`Groups`                                       different hyper-parameters, or freezing, for some parameters
`Clip`, `MaxNorm`                              limits on the gradients, and on the weights after the step
`EMA`, `SWA`                                   an average of the weights; see `Model.averaged`
`Accumulate`                                   one update per several batches
`LossScale`                                    loss scaling for float16, which skips updates that overflow
=============================================  =========================================================================

A hyper-parameter may be a schedule (`anynet.schedules`) if its type is ``float or Schedule``. A typical recipe:

>>> from anynet import EMA, AdamW, Clip, CosineDecay, Groups, Warmup
>>> rate = Warmup(CosineDecay(1e-3, steps=9_000), steps=1_000)
>>> adam = Groups(AdamW(rate, weight_decay=0.1), {1: {"weight_decay": 0.0}})   # 1: biases and scales, which have one axis
>>> optimizer = EMA(Clip(adam, norm=1.0), decay=0.999)

Derivations: docs/derivations/optimizers.md.
"""

from anynet.optimizers.accumulation import Accumulate as Accumulate
from anynet.optimizers.adam import Adam as Adam, AdamW as AdamW
from anynet.optimizers.adaptive import Adadelta as Adadelta, Adagrad as Adagrad
from anynet.optimizers.averaging import EMA as EMA, SWA as SWA
from anynet.optimizers.base import Optimizer as Optimizer
from anynet.optimizers.groups import Groups as Groups
from anynet.optimizers.lbfgs import LBFGS as LBFGS
from anynet.optimizers.limits import Clip as Clip, MaxNorm as MaxNorm
from anynet.optimizers.lion import Lion as Lion
from anynet.optimizers.muon import Muon as Muon
from anynet.optimizers.nadam import Nadam as Nadam
from anynet.optimizers.radam import RAdam as RAdam
from anynet.optimizers.rmsprop import RMSprop as RMSprop
from anynet.optimizers.scaling import LossScale as LossScale
from anynet.optimizers.sgd import SGD as SGD
