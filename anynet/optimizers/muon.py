r"""Muon: momentum with orthogonalized updates for matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from array_api_compat import device

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_hyperparameter, check_int, check_kind
from anynet.optimizers.adam import AdamW
from anynet.optimizers.base import Elementwise, Optimizer, Schedule, State, out_of_place, value_at

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of a polynomial with a steep slope at 0, which maps singular values to between 0.7 and 1.2, not exactly 1."""

TINY = 1e-7


@dataclass(frozen=True)
class Muon(Optimizer):
    r"""Muon: momentum orthogonalized by Newton-Schulz iterations, for matrices.

    .. math::

        M ← M + (1 - μ)(G - M), \quad U = G + μ (M - G), \quad
        W ← W - α \big(r \operatorname{orth}(U) + λ W\big), \quad r = \sqrt{\max(1, O / I)}

    orth(U) approximates :math:`P Q^T` of the singular value decomposition :math:`U = P Σ Q^T`. It iterates
    :math:`X ← a X + (b A + c A^2) X` with :math:`A = X X^T`, starting with :math:`X = U / ‖U‖`, with matrix products only.

    Parameters
    ----------
    learning_rate : float or Schedule, in (0, inf)
        Learning rate α; typically 0.02.
    momentum : float or Schedule, in [0, 1)
        Momentum μ.
    nesterov : bool
        Whether to use Nesterov momentum, as above; otherwise U is M.
    weight_decay : float or Schedule, in [0, inf)
        Decoupled decay rate λ.
    iterations : int, in [1, inf)
        Number of Newton-Schulz iterations.
    match_adamw : bool
        Whether to use :math:`r = 0.2 \sqrt{\max(I, O)}` instead. Updates are then as large as those of AdamW, so that both can
        share one learning rate.
    otherwise : Optimizer
        Optimizer for parameters with one axis. Arrays with more than two axes are reshaped to matrices with one column per
        unit (last axis).

    Notes
    -----
    PyTorch's `Muon` accepts only matrices and computes orth in bfloat16; here orth uses the parameters' dtype. Use AdamW for
    embeddings and the last layer: ``Groups(Muon(0.02), {"4.*": AdamW(1e-3)})``.

    Examples
    --------
    >>> import numpy as np
    >>> optimizer = Muon(1.0, momentum=0.0, weight_decay=0.0)
    >>> p = {"weight": np.zeros((2, 2))}
    >>> p, _ = optimizer.update(p, {"weight": np.array([[100.0, 0.0], [0.0, 1.0]])}, optimizer.init(p))
    >>> print((0.0 - p["weight"]).round(1))
    [[0.7 0. ]
     [0.  0.7]]

    References
    ----------
    Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks"; Liu et al. (2025), "Muon is scalable for
    LLM training", section 2.2 (decay and `match_adamw`).
    """

    learning_rate: float | Schedule = 1e-3
    _: KW_ONLY
    momentum: float | Schedule = 0.95
    nesterov: bool = True
    weight_decay: float | Schedule = 0.1
    iterations: int = 5
    match_adamw: bool = False
    otherwise: Optimizer = AdamW()

    def __post_init__(self) -> None:
        check_hyperparameter("Muon", "learning_rate", self.learning_rate, "(0, inf)")
        check_hyperparameter("Muon", "momentum", self.momentum, "[0, 1)")
        check_hyperparameter("Muon", "weight_decay", self.weight_decay, "[0, inf)")
        check_int("Muon", "iterations", self.iterations, at_least=1)
        check_kind("Muon", "otherwise", self.otherwise, Optimizer, "AdamW()")
        if self.otherwise.full_batch:
            raise ValueError(f"Muon: expected otherwise to take gradients, got {self.otherwise!r}")

    def check_parameters(self, named: Sequence[tuple[tree.Path, Array]]) -> None:
        self.otherwise.check_parameters(named)

    def init(self, params: tree.Tree) -> State:
        arrays = tree.leaves(params)
        if not arrays:
            return {}
        xp = namespace(arrays[0])
        return {
            "step": xp.zeros((), dtype=xp.int32, device=device(arrays[0])),
            "momentum": tree.map(xp.zeros_like, matrices(params)),
            "otherwise": self.otherwise.init(vectors(params)),
        }

    def carried(self, params: tree.Tree, state: State) -> State:
        new = super().carried(params, state)
        rest = self.otherwise.carried(vectors(params), state.get("otherwise", {}))
        return {**new, "otherwise": rest} if new else new

    def averaged(self, params: tree.Tree, state: State) -> tree.Tree:
        return self.otherwise.averaged(params, state.get("otherwise", {}))

    def update(
        self, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise = out_of_place
    ) -> tuple[tree.Tree, State]:
        arrays = tree.leaves(grads)
        if not arrays:
            return params, state
        params, rest = self.otherwise.update(params, vectors(grads), state["otherwise"], elementwise)
        step = namespace(state["step"]).astype(state["step"], arrays[0].dtype)
        rate, mu, decay = (value_at(value, step) for value in (self.learning_rate, self.momentum, self.weight_decay))
        meant = matrices(grads)
        weights, memory = [], []
        for p, g, m in tree.zip_leaves(meant, params, grads, state["momentum"]):
            m = m + (1.0 - mu) * (g - m)
            u = g + mu * (m - g) if self.nesterov else m
            weights.append(p - rate * (self.moved(u) + decay * p))
            memory.append(m)
        momentum = tree.set_leaves(state["momentum"], iter(memory), like=meant)
        params = tree.set_leaves(params, iter(weights), like=meant)
        return params, {"step": state["step"] + 1, "momentum": momentum, "otherwise": rest}

    def moved(self, u: Array) -> Array:
        """Return r orth(U) in the shape of U."""
        xp, outputs = namespace(u), u.shape[-1]
        matrix = xp.reshape(u, (-1, outputs))
        inputs = matrix.shape[0]
        ratio = 0.2 * max(inputs, outputs) ** 0.5 if self.match_adamw else max(1.0, outputs / inputs) ** 0.5
        return ratio * xp.reshape(orthogonalized(matrix, self.iterations), u.shape)


def orthogonalized(u: Array, iterations: int) -> Array:
    """Approximate P Qᵀ for U = P Σ Qᵀ by iterating the quintic."""
    xp, (a, b, c) = namespace(u), QUINTIC
    wide = u.shape[0] <= u.shape[1]
    x = u if wide else xp.matrix_transpose(u)  # use the smaller of the two Gram matrices
    x = x / xp.maximum(xp.sqrt(xp.sum(x * x)), TINY)
    for _ in range(iterations):
        gram = xp.matmul(x, xp.matrix_transpose(x))
        x = a * x + xp.matmul(b * gram + c * xp.matmul(gram, gram), x)
    return x if wide else xp.matrix_transpose(x)


def matrices(values: tree.Tree) -> tree.Tree:
    """Return the tree with None in place of leaves with fewer than two axes."""
    return tree.select(values, lambda _, leaf: leaf.ndim >= 2)


def vectors(values: tree.Tree) -> tree.Tree:
    """Return the tree with None in place of leaves with two axes or more."""
    return tree.select(values, lambda _, leaf: leaf.ndim < 2)
