"""Every layer, with the shape of an example that it takes. A new layer is a new row.

``(layer, input_shape)``, or ``(layer, input_shape, inputs)`` where `inputs(rng, shape)` makes a batch that suits it better
than numbers away from zero: ``away_from(0, 6)`` where there are other kinks, ``indices(7)`` for integers.
"""

from anynet import (
    Constant,
    Dense,
    Dropout,
    Flatten,
    HeNormal,
    Identity,
    LogSoftmax,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)

LAYERS = [
    (Dense(5), (4,)),
    (Dense(1, use_bias=False), (3,)),
    (Dense(2, weight=[[0.1, -0.2], [0.6, 0.3]], bias=[0.5, 0.0]), (2,)),
    (Dense(3, weight=HeNormal(), bias=Constant(0.1)), (6,)),
    (Identity(), (3,)),
    (Sigmoid(), (4,)),
    (Sigmoid(), (2, 3)),
    (Tanh(), (4,)),
    (ReLU(), (4,)),
    (ReLU(), (2, 2, 3)),
    (Softmax(), (5,)),
    (Softmax(), (2, 3)),
    (LogSoftmax(), (5,)),
    (LogSoftmax(), (2, 3)),
    (Dropout(0.0), (4,)),
    (Dropout(0.3), (7,)),
    (Dropout(0.5), (3, 2)),
    (Flatten(), (2, 3)),
    (Flatten(), (4,)),
    (Reshape((3, 2)), (6,)),
    (Reshape(4), (2, 2)),
    (Sequential([]), (3,)),
    (Sequential([Dense(6), Tanh(), Dropout(0.25), Dense(3), Softmax()]), (4,)),
    (Sequential([Flatten(), Sequential([Dense(5), ReLU()]), Sequential([Dense(2)])]), (2, 3)),
]
