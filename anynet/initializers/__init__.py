"""Initial values of parameters, drawn on the host with NumPy, so identical on every backend.

An initializer is called with a NumPy `Generator` and a shape. `fan_in` and `fan_out` assume a shape ``(*window, in, out)``:
``(in, out)`` for a dense layer, ``(kh, kw, in, out)`` for a convolution, whose window size multiplies both fans.

=====================================  ===============================================================
`Zeros`, `Constant`                    a constant
`Normal`, `Uniform`                    a distribution with given parameters
`GlorotUniform`, `GlorotNormal`        variance ``2 / (fan_in + fan_out)``; for sigmoid, tanh, softmax
`HeUniform`, `HeNormal`                variance ``2 / fan_in``; for ReLU and similar
`LecunUniform`, `LecunNormal`          variance ``1 / fan_in``; for SELU
`Orthogonal`                           orthonormal rows or columns
`FanInUniform`                         uniform on ±1/√fan_in, as in PyTorch
`RandomSigns`                          +1 or −1
`Stacked`, `Blocks`                    another initializer for each member of an ensemble, or each block of features
`ForgetBias`                           for the bias of an `LSTM`
`Sinusoids`                            fixed positions, for `Position`
`Given`                                given values; created from any array passed as a weight
=====================================  ===============================================================

>>> import numpy as np
>>> HeNormal()(np.random.default_rng(0), (784, 128)).shape
(784, 128)
"""

from anynet.initializers.basic import (
    Constant as Constant,
    FanInUniform as FanInUniform,
    ForgetBias as ForgetBias,
    Given as Given,
    GlorotNormal as GlorotNormal,
    GlorotUniform as GlorotUniform,
    HeNormal as HeNormal,
    HeUniform as HeUniform,
    Initializer as Initializer,
    LecunNormal as LecunNormal,
    LecunUniform as LecunUniform,
    Normal as Normal,
    Orthogonal as Orthogonal,
    RandomSigns as RandomSigns,
    Sinusoids as Sinusoids,
    Uniform as Uniform,
    Zeros as Zeros,
    as_initializer as as_initializer,
    fans as fans,
    transposed_hint as transposed_hint,
)
from anynet.initializers.structured import Blocks as Blocks, Stacked as Stacked
