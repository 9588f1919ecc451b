r"""Loss scaling: keep the small gradients of half precision from vanishing."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from array_api_compat import device

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.checks import check_int, check_number
from anynet.optimizers.base import Elementwise, State, functional
from anynet.optimizers.wrapper import Keeper, only_if


@dataclass(frozen=True)
class LossScale(Keeper):
    r"""Multiply the loss's derivative by a large number before backward, and divide the gradients by it after.

    .. math::

        g = \frac{1}{s} \frac{∂(sL)}{∂θ}; \qquad
        \text{all finite: update, and } s ← 2s \text{ after 2000 in a row;} \quad
        \text{else: no update, and } s ← s/2

    For ``Model(compute_dtype="float16")``, whose smallest number is 6e-8: without it most gradients would be 0. Numbers of
    bfloat16 reach as far down as those of float32, and need none.

    Parameters
    ----------
    optimizer : Optimizer
        Who gets the gradients where they are finite.
    initial : float > 0
        The first s. It comes down within a few steps where it is too large.
    growth, backoff : float > 1, and in (0, 1)
        What s is multiplied by.
    every : int >= 1
        Updates in a row without overflow after which it grows, as long as it stays finite.

    Notes
    -----
    PyTorch's `GradScaler`, with its defaults; Keras' `LossScaleOptimizer`. The training step multiplies and divides; in a
    loop of your own take s from ``optimizer.loss_scale(state)``, and give `update` the gradients already divided by it.

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
        self, params: tree.Tree, grads: tree.Tree, state: State, elementwise: Elementwise = functional
    ) -> tuple[tree.Tree, State]:
        arrays = tree.leaves(grads)
        if not arrays:
            return params, state
        xp, scale = namespace(arrays[0]), state["scale"]
        finite = xp.all(xp.isfinite(arrays[0]))
        for array in arrays[1:]:
            finite = finite & xp.all(xp.isfinite(array))
        params, inside = only_if(finite, self.optimizer, params, grads, state["optimizer"], elementwise)
        good = xp.where(finite, state["good"] + 1, state["good"] * 0)
        grown = good >= self.every
        # Gradients that stay zero or infinite would take the scale to infinity or zero, from where it cannot return.
        limits = xp.finfo(scale.dtype)
        larger = xp.minimum(scale, float(limits.max) / self.growth**2) * self.growth
        smaller = xp.maximum(scale * self.backoff, float(limits.smallest_normal))
        scale = xp.where(finite, xp.where(grown, larger, scale), smaller)
        return params, {"optimizer": inside, "scale": scale, "good": xp.where(grown, good * 0, good)}
