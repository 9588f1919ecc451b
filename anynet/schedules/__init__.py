r"""Schedules: hyper-parameters that change with the step.

A schedule is a frozen dataclass, called with the number of earlier updates, a 0-d float array, that returns a nonnegative 0-d
array. All numeric hyper-parameters of optimizers accept schedules, except counts and those of `LossScale` and `LBFGS`. A
length can be given in epochs instead of steps; the first `Model.fit` converts it. Schedules use array API functions only, so
they work inside a compiled step.

====================  ================================================================================================
`ConstantSchedule`    constant; equivalent to a number
`StepDecay`           multiplied by a factor every T steps
`ExponentialDecay`    multiplied by a factor per T steps, continuously
`PolynomialDecay`     decreases to a final value as a power of the remaining time; linear by default
`CosineDecay`         decreases to a final value along half a cosine
`FlatCosine`          constant, then decreases along half a cosine
`CosineRestarts`      repeats `CosineDecay` in cycles of increasing length
`CosLog`              rises and falls in cycles of increasing length
`OneCycle`            increases to a peak along half a cosine, then decreases along another
`Warmup`              increases linearly before another schedule or a constant
====================  ================================================================================================

>>> import numpy as np
>>> from anynet import Adam
>>> schedule = Warmup(CosineDecay(1e-3, steps=900), steps=100)
>>> [round(float(schedule(np.asarray(float(step)))), 7) for step in (0, 50, 100, 550, 1000)]
[0.0, 0.0005, 0.001, 0.0005, 0.0]
>>> optimizer = Adam(schedule)
>>> optimizer = Adam(CosineDecay(1e-3, epochs=20))
"""

from anynet.schedules.cycles import (
    CosineRestarts as CosineRestarts,
    CosLog as CosLog,
    OneCycle as OneCycle,
    Warmup as Warmup,
)
from anynet.schedules.decay import (
    ConstantSchedule as ConstantSchedule,
    CosineDecay as CosineDecay,
    ExponentialDecay as ExponentialDecay,
    FlatCosine as FlatCosine,
    PolynomialDecay as PolynomialDecay,
    StepDecay as StepDecay,
)
