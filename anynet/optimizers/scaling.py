r"""Loss scaling, which keeps small gradients from underflowing in half precision."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from array_api_compat import device

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_int, check_number
from anynet.optimizers.base import Elementwise, State, out_of_place
from anynet.optimizers.wrapper import StatefulWrapper, update_where


@dataclass(frozen=True)
class LossScale(StatefulWrapper):
    r"""Scale the loss during backward so that float16 gradients do not underflow.

    .. math::

        g = \frac{1}{s} \frac{∂(sL)}{∂θ}; \qquad
        \text{all finite: update, and } s ← 2s \text{ after 2000 consecutive updates;} \quad
        \text{else: no update, and } s ← s/2

    Use it with ``Model(compute_dtype="float16")``: float16 has no positive numbers below 6e-8, so most gradients would be 0.
    bfloat16 has the range of float32 and needs no loss scaling.

    Parameters
    ----------
    optimizer : Optimizer
        Optimizer to wrap; it updates when all gradients are finite.
    initial : float, in (0, inf)
        Initial scale s. If it is too large, it decreases within a few steps.
    growth, backoff : float, in (1, inf) and (0, 1)
        Factors of s after `every` updates without overflow, and after an overflow.
    every : int, in [1, inf)
        Number of consecutive updates without overflow after which s grows, unless it would overflow.

    Notes
    -----
    Equivalent to PyTorch's `GradScaler` with its defaults, and to Keras' `LossScaleOptimizer`. The training step of `Model`
    applies s. In a custom loop, get s from ``optimizer.loss_scale(state)`` and pass gradients divided by s to `update`.

    Examples
    --------
    >>> import numpy as np
    >>> from anynet import SGD
    >>> optimizer, p = LossScale(SGD(1.0), initial=8.0), [np.array([1.0])]
    >>> p, state = optimizer.update(p, [np.array([np.inf])], optimizer.init(p))
    >>> p, float(optimizer.loss_scale(state))
    ([array([1.])], 4.0)

    References
    ----------
    Micikevicius et al. (2018), "Mixed precision training", section 3.2.
    """

    _: KW_ONLY
    initial: float = 65536.0
    growth: float = 2.0
    backoff: float = 0.5
    every: int = 2000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("LossScale", "initial", self.initial, "(0, inf)")
        check_number("LossScale", "growth", self.growth, "(1, inf)")
        check_number("LossScale", "backoff", self.backoff, "(0, 1)")
        check_int("LossScale", "every", self.every, at_least=1)

    def init(self, params: tree.Tree) -> State:
        arrays = tree.leaves(params)
        if not arrays:
            return {"optimizer": self.optimizer.init(params)}
        xp, place = namespace(arrays[0]), device(arrays[0])
        return {
            "optimizer": self.optimizer.init(params),
            "scale": xp.asarray(self.initial, dtype=xp.float32, device=place),
            "good": xp.zeros((), dtype=xp.int32, device=place),
        }

    def loss_scale(self, state: State) -> Array | None:
        return state.get("scale")

    def update(
        self, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise = out_of_place
    ) -> tuple[tree.Tree, State]:
        arrays = tree.leaves(grads)
        if not arrays:
            return params, state
        xp, scale = namespace(arrays[0]), state["scale"]
        finite = xp.all(xp.isfinite(arrays[0]))
        for array in arrays[1:]:
            finite = finite & xp.all(xp.isfinite(array))
        params, inside = update_where(finite, self.optimizer, params, grads, state["optimizer"], elementwise)
        good = xp.where(finite, state["good"] + 1, state["good"] * 0)
        grown = good >= self.every
        # Gradients that stay zero or infinite would take the scale to infinity or zero, from where it cannot return.
        limits = xp.finfo(scale.dtype)
        larger = xp.minimum(scale, float(limits.max) / self.growth**2) * self.growth
        smaller = xp.maximum(scale * self.backoff, float(limits.smallest_normal))
        scale = xp.where(finite, xp.where(grown, larger, scale), smaller)
        return params, {"optimizer": inside, "scale": scale, "good": xp.where(grown, good * 0, good)}
