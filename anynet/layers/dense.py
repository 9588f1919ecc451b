"""The fully connected layer.

Legend: N batch, I inputs, O outputs; M rows, the batch and all axes between it and the features.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import total
from anynet.checks import check_flags, check_int
from anynet.initializers import GlorotUniform, Zeros, as_initializer
from anynet.layers.base import (
    Cache,
    Grads,
    Key,
    Layer,
    Params,
    Shape,
    as_rows,
    check_features,
    from_rows,
    init_param,
    last_axis,
)


@dataclass(frozen=True)
class Dense(Layer):
    """Connect every input with every output by an affine map, along the last axis.

    .. math::

        y = x W + b, \\qquad
        \\frac{∂L}{∂x} = \\frac{∂L}{∂y} W^T, \\quad
        \\frac{∂L}{∂W} = x^T \\frac{∂L}{∂y}, \\quad
        \\frac{∂L}{∂b} = \\sum_m \\frac{∂L}{∂y_m}

    Parameters
    ----------
    units : int, at least 1
        Number of outputs O.
    use_bias : bool
        Whether to add b.
    weight : Initializer or array
        W, of shape (I, O): the transpose of PyTorch's.
    bias : Initializer or array
        b, of shape (O,).

    Notes
    -----
    Input (N, ..., I), output (N, ..., O): the same map for every position, as in PyTorch and Keras. Cache: x.

    Raises
    ------
    ValueError
        If an example has no axis of features, or a given array has the wrong shape.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Dense(1, weight=[[0.1], [0.6]], bias=[0.5])
    >>> params, _ = layer.init(np.random.default_rng(0), (2,))
    >>> layer.forward(params, np.array([[1.0, 1.0]]))[0]
    array([[1.2]])

    References
    ----------
    Rumelhart, Hinton, Williams (1986), "Learning representations by back-propagating errors", eqs. 1, 5 and 6.
    """

    units: int
    _: KW_ONLY
    use_bias: bool = True
    weight: Any = GlorotUniform()
    bias: Any = Zeros()

    uses_key: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_int("Dense", "units", self.units, at_least=1)
        check_flags("Dense", use_bias=self.use_bias)
        object.__setattr__(self, "weight", as_initializer(self.weight, "Dense: weight"))
        object.__setattr__(self, "bias", as_initializer(self.bias, "Dense: bias"))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        where = f"Dense({self.units})"
        features = last_axis(where, input_shape)
        params = {"weight": init_param(f"{where}: weight", self.weight, rng, (features, self.units))}
        if self.use_bias:
            params["bias"] = init_param(f"{where}: bias", self.bias, rng, (self.units,))
        return params, (*input_shape[:-1], self.units)

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        weight = params["weight"]  # (I, O)
        check_features("Dense", x, weight.shape[0])
        y = namespace(x).matmul(as_rows(x), weight)  # (M, O)
        if self.use_bias:
            y += params["bias"]
        return from_rows(y, like=x), x

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        x, rows, matmul = as_rows(cache), as_rows(dy), namespace(dy).matmul
        grads = {"weight": matmul(x.T, rows)}  # (I, M) @ (M, O)
        if self.use_bias:
            grads["bias"] = total(rows, axis=0)
        dx = from_rows(matmul(rows, params["weight"].T), like=dy) if need_dx else None
        return dx, grads
