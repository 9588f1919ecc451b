r"""Schedules: hyper-parameters that change with the step.

A schedule is a frozen dataclass that is called with the number of updates made before, a 0-d float array, and gives a 0-d
array. Any number that an optimiser takes may be one, but for counts and what `LossScale` and `LBFGS` take. All are written in
array API functions, so that they work inside a compiled step, and none can go below zero.

====================  ================================================================================================
`ConstantSchedule`    one value; the same as a number
`StepDecay`           times a factor every so many steps
`ExponentialDecay`    the same, smoothly
`PolynomialDecay`     down to a final value on a power of the time left; linear by default
`CosineDecay`         down to a final value on half a cosine
`CosineRestarts`      the same over and over, each time longer
`OneCycle`            up on half a cosine, then far down on another
`Warmup`              up from zero, in front of any of these or of a number
====================  ================================================================================================

>>> import numpy as np
>>> from anynet import Adam
>>> schedule = Warmup(CosineDecay(1e-3, steps=900), steps=100)
>>> [round(float(schedule(np.asarray(float(step)))), 7) for step in (0, 50, 100, 550, 1000)]
[0.0, 0.0005, 0.001, 0.0005, 0.0]
>>> optimizer = Adam(schedule)
"""

from anynet.schedules.cycles import CosineRestarts as CosineRestarts, OneCycle as OneCycle, Warmup as Warmup
from anynet.schedules.decay import (
    ConstantSchedule as ConstantSchedule,
    CosineDecay as CosineDecay,
    ExponentialDecay as ExponentialDecay,
    PolynomialDecay as PolynomialDecay,
    StepDecay as StepDecay,
)
