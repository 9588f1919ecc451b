"""Every optimiser. A new one is a new row: ``(optimizer, steps)``, with the steps in which it descends a parabola."""

from anynet import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    ExponentialDecay,
    Lion,
    Nadam,
    RAdam,
    RMSprop,
)

OPTIMIZERS = [
    (SGD(0.1), 100),
    (SGD(0.05, momentum=0.9), 150),
    (SGD(0.05, momentum=0.9, nesterov=True), 150),
    (SGD(ExponentialDecay(0.2, factor=0.5, steps=50), momentum=0.5), 100),
    (Adam(0.1), 200),
    (Adam(0.1, beta1=0.0), 200),
    (Adam(0.1, beta1=0.8, beta2=0.9, epsilon=1e-4), 200),
    (Adam(ExponentialDecay(0.3, factor=0.5, steps=50)), 200),
    (AdamW(0.1, weight_decay=1e-3), 200),
    (Adagrad(1.0), 200),
    (Adadelta(10.0), 200),
    (Lion(ExponentialDecay(0.1, factor=0.5, steps=50)), 400),
    (Nadam(0.1), 200),
    (RAdam(0.1), 300),
    (RMSprop(ExponentialDecay(0.1, factor=0.5, steps=50)), 300),
]
