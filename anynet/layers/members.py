"""Networks of several members in one, for ensembles that are trained together.

Legend: N batch, K members, I inputs, O outputs. Derivations: docs/derivations/members.md.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from anynet.arrays.namespace import Array, namespace
from anynet.arrays.reduce import total
from anynet.checks import check_flags, check_int
from anynet.initializers import Constant, FanInUniform, Initializer, RandomSigns, Stacked, Uniform, as_initializer
from anynet.layers.base import (
    Cache,
    Grads,
    Key,
    Layer,
    Params,
    Shape,
    as_rows,
    axis_sizes,
    from_rows,
    init_param,
)
from anynet.layers.stacks import each_gradient, each_matmul, each_transposed, over_examples


@dataclass(frozen=True)
class Members(Layer):
    """Scale the input by learned factors for each member of an ensemble.

    .. math:: y_{nk} = x_n ⊙ w_k, \\qquad
              \\frac{∂L}{∂x_n} = \\sum_k \\frac{∂L}{∂y_{nk}} ⊙ w_k, \\quad
              \\frac{∂L}{∂w_k} = \\sum_n \\frac{∂L}{∂y_{nk}} ⊙ x_n

    The following layers then compute all members at once: `Dense` with shared parameters, `BatchEnsemble` with a few parameters
    per member, `EachDense` with separate ones. `EachMember` is the loss.

    Parameters
    ----------
    count : int, at least 1
        Number K of members.
    weight : Initializer or array
        w, of shape (K, I). With ``Blocks(RandomSigns(), widths)``, the features of a column start with one factor.

    Notes
    -----
    Input (N, I), output (N, K, I). Cache: x.

    Raises
    ------
    ValueError
        If an example is not a vector of features, or a given array has the wrong shape.

    Examples
    --------
    >>> layer = Members(2, weight=[[1.0, 1.0], [1.0, -1.0]])
    >>> params, shape = layer.init(np.random.default_rng(0), (2,))
    >>> shape, layer.forward(params, np.array([[3.0, 4.0]]))[0].tolist()
    ((2, 2), [[[3.0, 4.0], [3.0, -4.0]]])

    References
    ----------
    Gorishniy, Kotelnikov, Babenko (2025), "TabM: advancing tabular deep learning with parameter-efficient ensembling", section
    3, the first adapter.
    """

    count: int
    _: KW_ONLY
    weight: Any = RandomSigns()

    uses_key: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_int("Members", "count", self.count, at_least=1)
        object.__setattr__(self, "weight", as_initializer(self.weight, "Members: weight"))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        shape = (self.count, *axis_sizes("Members", input_shape, "features", hint="; put Flatten() before it"))
        return {"weight": init_param("Members: weight", self.weight, rng, shape)}, shape

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        features = params["weight"].shape[1]
        if x.ndim != 2 or x.shape[1] != features:
            raise ValueError(f"Members: expected x of shape (N, {features}), got {tuple(x.shape)}")
        return x[:, None, :] * params["weight"], x

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        grads = {"weight": over_examples(dy, cache[:, None, :])}
        return (total(dy * params["weight"], axis=1) if need_dx else None), grads


@dataclass(frozen=True)
class BatchEnsemble(Layer):
    """Connect inputs with outputs by one matrix and by factors of each member.

    .. math::

        y_{nk} = ((x_{nk} ⊙ r_k) W) ⊙ s_k + b_k, \\quad z_{nk} = (x_{nk} ⊙ r_k) W, \\qquad
        \\frac{∂L}{∂s_k} = \\sum_n \\frac{∂L}{∂y_{nk}} ⊙ z_{nk}, \\quad
        \\frac{∂L}{∂b_k} = \\sum_n \\frac{∂L}{∂y_{nk}}

    and with :math:`g_{nk} = \\frac{∂L}{∂y_{nk}} ⊙ s_k`

    .. math::

        \\frac{∂L}{∂W} = \\sum_{nk} (x_{nk} ⊙ r_k)^T g_{nk}, \\quad
        \\frac{∂L}{∂r_k} = \\sum_n (g_{nk} W^T) ⊙ x_{nk}, \\quad
        \\frac{∂L}{∂x_{nk}} = (g_{nk} W^T) ⊙ r_k

    Parameters
    ----------
    units : int, at least 1
        Number of outputs O of each member.
    use_r, use_bias : bool
        Whether to multiply by r and to add b. Directly after `Members`, whose factors take the place of r, leave r out.
    weight : Initializer or array
        W, of shape (I, O); uniform on ±1/√I as in PyTorch.
    r, s : Initializer or array
        r, of shape (K, I), and s, of shape (K, O); ones.
    bias : Initializer or array, optional
        b, of shape (K, O); by default, uniform on ±1/√I and equal for all members.

    Notes
    -----
    Input (N, K, I), output (N, K, O). Cache: x and z.

    Raises
    ------
    ValueError
        If an example is not of shape (members, features), or a given array has the wrong shape.

    Examples
    --------
    >>> layer = BatchEnsemble(1, weight=[[1.0]], r=[[1.0], [2.0]], s=[[1.0], [10.0]], bias=[[0.0], [0.5]])
    >>> params, _ = layer.init(np.random.default_rng(0), (2, 1))
    >>> layer.forward(params, np.array([[[3.0], [3.0]]]))[0].tolist()
    [[[3.0], [60.5]]]

    References
    ----------
    Wen, Tran, Ba (2020), "BatchEnsemble: an alternative approach to efficient ensemble and lifelong learning", eq. 5.
    """

    units: int
    _: KW_ONLY
    use_r: bool = True
    use_bias: bool = True
    weight: Any = FanInUniform()
    r: Any = Constant(1.0)
    s: Any = Constant(1.0)
    bias: Any = None

    uses_key: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_int("BatchEnsemble", "units", self.units, at_least=1)
        check_flags("BatchEnsemble", use_r=self.use_r, use_bias=self.use_bias)
        for name in ("weight", "r", "s"):
            object.__setattr__(self, name, as_initializer(getattr(self, name), f"BatchEnsemble: {name}"))
        if self.bias is not None:
            object.__setattr__(self, "bias", as_initializer(self.bias, "BatchEnsemble: bias"))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        where, units = f"BatchEnsemble({self.units})", self.units
        members, features = _members(where, input_shape)
        params = {"weight": init_param(f"{where}: weight", self.weight, rng, (features, units))}
        if self.use_r:
            params["r"] = init_param(f"{where}: r", self.r, rng, (members, features))
        params["s"] = init_param(f"{where}: s", self.s, rng, (members, units))
        if self.use_bias:
            bias = Stacked(_bias(features), equal=True) if self.bias is None else self.bias
            params["bias"] = init_param(f"{where}: bias", bias, rng, (members, units))
        return params, (members, units)

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        weight = params["weight"]
        _check_members("BatchEnsemble", x, params["s"].shape[0], weight.shape[0])
        scaled = x * params["r"] if self.use_r else x
        z = from_rows(namespace(x).matmul(as_rows(scaled), weight), like=x)  # (N, K, O)
        y = z * params["s"]
        return (y + params["bias"] if self.use_bias else y), (x, z)

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        (x, z), matmul = cache, namespace(dy).matmul
        g = as_rows(dy * params["s"])  # (N·K, O)
        scaled = x * params["r"] if self.use_r else x
        grads = {"weight": matmul(as_rows(scaled).T, g), "s": over_examples(dy, z)}
        if self.use_bias:
            grads["bias"] = total(dy, axis=0)
        if not (need_dx or self.use_r):
            return None, grads
        inner = from_rows(matmul(g, params["weight"].T), like=dy)  # ∂L/∂(x ⊙ r)
        if not self.use_r:
            return inner, grads
        grads["r"] = over_examples(inner, x)
        return (inner * params["r"] if need_dx else None), grads


@dataclass(frozen=True)
class EachDense(Layer):
    """Apply a separate `Dense` to each member.

    .. math::

        y_{nk} = x_{nk} W_k + b_k, \\qquad
        \\frac{∂L}{∂x_{nk}} = \\frac{∂L}{∂y_{nk}} W_k^T, \\quad
        \\frac{∂L}{∂W_k} = \\sum_n x_{nk}^T \\frac{∂L}{∂y_{nk}}, \\quad
        \\frac{∂L}{∂b_k} = \\sum_n \\frac{∂L}{∂y_{nk}}

    Parameters
    ----------
    units : int, at least 1
        Number of outputs O of each member.
    use_bias : bool
        Whether to add b.
    weight : Initializer or array
        W, of shape (K, I, O); uniform on ±1/√I as in PyTorch. ``Stacked(HeNormal())`` draws each W_k as that of a `Dense`.
    bias : Initializer or array, optional
        b, of shape (K, O); by default, uniform on ±1/√I.

    Notes
    -----
    Input (N, K, I), output (N, K, O). The axis K may also be that of the columns of a table. Cache: x.

    Raises
    ------
    ValueError
        If an example is not of shape (members, features), or a given array has the wrong shape.

    Examples
    --------
    >>> layer = EachDense(1, weight=[[[1.0]], [[2.0]]], bias=[[0.0], [0.5]])
    >>> params, _ = layer.init(np.random.default_rng(0), (2, 1))
    >>> layer.forward(params, np.array([[[3.0], [3.0]]]))[0].tolist()
    [[[3.0], [6.5]]]

    References
    ----------
    Gorishniy, Kotelnikov, Babenko (2025), "TabM: advancing tabular deep learning with parameter-efficient ensembling", section
    3, the prediction heads.
    """

    units: int
    _: KW_ONLY
    use_bias: bool = True
    weight: Any = Stacked(FanInUniform())
    bias: Any = None

    uses_key: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_int("EachDense", "units", self.units, at_least=1)
        check_flags("EachDense", use_bias=self.use_bias)
        object.__setattr__(self, "weight", as_initializer(self.weight, "EachDense: weight"))
        if self.bias is not None:
            object.__setattr__(self, "bias", as_initializer(self.bias, "EachDense: bias"))

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        where = f"EachDense({self.units})"
        members, features = _members(where, input_shape)
        params = {"weight": init_param(f"{where}: weight", self.weight, rng, (members, features, self.units))}
        if self.use_bias:
            bias = _bias(features) if self.bias is None else self.bias
            params["bias"] = init_param(f"{where}: bias", bias, rng, (members, self.units))
        return params, (members, self.units)

    def forward(self, params: Params, x: Array, *, key: Key | None = None) -> tuple[Array, Cache]:
        weight = params["weight"]
        _check_members("EachDense", x, *weight.shape[:2])
        y = each_matmul(x, weight)
        return (y + params["bias"] if self.use_bias else y), x

    def backward(self, params: Params, cache: Cache, dy: Array, *, need_dx: bool = True) -> tuple[Array | None, Grads]:
        grads = {"weight": each_gradient(cache, dy)}
        if self.use_bias:
            grads["bias"] = total(dy, axis=0)
        return (each_transposed(dy, params["weight"]) if need_dx else None), grads


def _members(where: str, input_shape: Shape) -> tuple[int, ...]:
    return axis_sizes(where, input_shape, "members", "features", hint="; put Members(...) before it")


def _bias(features: int) -> Initializer:
    """Return PyTorch's initializer of the bias for a number of inputs."""
    return Uniform(-(features**-0.5), features**-0.5)


def _check_members(where: str, x: Array, members: int, features: int) -> None:
    if tuple(x.shape[1:]) != (members, features):
        raise ValueError(f"{where}: expected x of shape (N, {members}, {features}), got {tuple(x.shape)}")
