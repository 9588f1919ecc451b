"""Every optimizer. To test a new one, add a row ``(optimizer, steps)`` with enough steps to minimize a parabola."""

from anynet import (
    EMA,
    SGD,
    SWA,
    Accumulate,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Clip,
    CosineDecay,
    ExponentialDecay,
    Groups,
    Lion,
    LossScale,
    MaxNorm,
    Muon,
    Nadam,
    PolynomialDecay,
    RAdam,
    RMSprop,
    StepDecay,
)

ELEMENTWISE = [
    (SGD(0.1), 100),
    (SGD(0.05, momentum=0.9), 150),
    (SGD(0.05, momentum=0.9, nesterov=True), 150),
    (SGD(ExponentialDecay(0.2, factor=0.5, steps=50), momentum=0.5), 100),
    (SGD(0.1, weight_decay=1e-3), 150),
    (SGD(0.05, momentum=0.9, weight_decay=1e-3), 150),
    (SGD(0.05, momentum=0.9, nesterov=True, weight_decay=1e-3, decoupled=True), 150),
    (Adam(0.1), 200),
    (Adam(0.1, amsgrad=True), 200),
    (Adam(0.1, beta1=0.0), 200),
    (Adam(0.1, beta1=0.8, beta2=0.9, epsilon=1e-4), 200),
    (Adam(ExponentialDecay(0.3, factor=0.5, steps=50)), 200),
    (AdamW(0.1, weight_decay=1e-3), 200),
    (AdamW(0.1, weight_decay=1e-3, amsgrad=True), 200),
    (Adagrad(1.0), 200),
    (Adadelta(10.0), 200),
    (Lion(ExponentialDecay(0.1, factor=0.5, steps=50)), 400),
    (Nadam(0.1), 200),
    (RAdam(0.1), 300),
    (RMSprop(ExponentialDecay(0.1, factor=0.5, steps=50)), 300),
    (RMSprop(ExponentialDecay(0.1, factor=0.5, steps=50), momentum=0.5, centered=True), 300),
]

WRAPPERS = [
    (Clip(SGD(0.1), norm=2.0), 150),
    (Clip(Adam(0.1), value=0.1), 200),
    (MaxNorm(SGD(0.1), 0.5), 100),
    (Groups(Adam(0.1), {1: {"learning_rate": 0.2}}), 200),
    (Groups(SGD(0.1), [("*", Adam(0.1))]), 200),
    (EMA(SGD(0.1), decay=0.9), 100),
    (SWA(Adam(0.1), start=1, every=2), 200),
    (Accumulate(SGD(0.1), steps=1), 100),
    (LossScale(SGD(0.1, momentum=0.5)), 100),
    (Muon(0.02, otherwise=Adam(0.1)), 200),
]

SCHEDULED = [
    (Nadam(0.1, beta1=PolynomialDecay(0.95, steps=50, final=0.8)), 200),
    (Nadam(0.1, beta1=CosineDecay(0.9, steps=50, final=0.5), momentum_decay=StepDecay(0.1, 20)), 200),
    (Clip(SGD(0.1), norm=PolynomialDecay(5.0, steps=50, final=1.0)), 150),
    (Clip(SGD(0.1), value=StepDecay(4.0, 20, factor=0.5)), 150),
    (MaxNorm(SGD(0.1), PolynomialDecay(4.0, steps=50, final=2.0)), 100),
    (EMA(SGD(0.1), decay=PolynomialDecay(0.5, steps=50, final=0.9)), 100),
    (RAdam(0.1, beta2=PolynomialDecay(0.5, steps=50, final=0.999)), 300),
]
"""Optimizers with schedules that need state or a separate code path."""

OPTIMIZERS = ELEMENTWISE + WRAPPERS + SCHEDULED
