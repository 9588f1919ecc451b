"""Tell one training step as the lecture notes tell it: Z and A forward, the loss, e, δ, ∂W and ∂b backward, the update.

The notes' letters, in the library's row convention (a batch is (N, features)):

====================  ==================================================================================
A0 = X                the batch
Z1, W1, b1            what the first layer with parameters makes, and its parameters; Z2, W2, b2 the second
A1                    what the layers without parameters make of it; A1′, A1′′ where there are more of them
e1 = ∂L/∂A1           the error that comes back to A1
δ1 = ∂L/∂Z1           the same for Z1
∂W1, ∂b1              ∂L/∂W1 and ∂L/∂b1
====================  ==================================================================================

>>> from anynet import SGD, Dense, HalfSquaredError, Model, Sigmoid
>>> neuron = Model([Dense(1, weight=[[0.1], [0.6]]), Sigmoid()], input_shape=2, loss=HalfSquaredError(), optimizer=SGD(1.0))
>>> told = explain(neuron, [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 1])
>>> print(told["δ1"].round(3).T)
[[ 0.031 -0.02  -0.03  -0.018]]
>>> print(round(told.loss, 3), told["W1 new"].round(3).T, told["b1 new"].round(3))
0.089 [[0.148 0.639]] [0.037]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anynet.explain.explanation import Explanation
    from anynet.model import Model

__all__ = ["Explanation", "explain"]


def explain(model: Model, x: Any, y: Any) -> Explanation:
    """Tell one training step of a model on a batch: what `train_step` would do, with every matrix on the way.

    Parameters
    ----------
    model : Model
        With a loss; the update is told if it has an optimiser. Any layers, in any nesting. It is not changed.
    x, y : array or list
        The batch, as for `Model.train_step`.

    Returns
    -------
    Explanation
        Text for ``print``, Markdown for a notebook, matrices by name.

    Raises
    ------
    TypeError, ValueError
        If the batch does not fit the model, or the model has no loss.

    Notes
    -----
    Dropout drops and batch normalisation normalises by the batch, as in the next training step; a regularizer's part of the
    loss and of the gradients is told too. With an optimiser that scales the loss, what is told is not scaled.

    Where a container lets several layers read one matrix, the error that comes back through each is told as ``e1 via 0.1``,
    by the layer's place, and ``e1`` is their sum.

    Examples
    --------
    >>> from anynet import Dense, HalfSquaredError, Model
    >>> line = Model([Dense(1, weight=[[2.0]])], input_shape=1, loss=HalfSquaredError())
    >>> print(explain(line, [[1.0], [2.0]], [3.0, 3.0]))
    One training step of Dense on 2 examples
    <BLANKLINE>
    The batch
      A0 = X   (2, 1)
          1
          2
    <BLANKLINE>
    Forward: layer 0, Dense
      W1   (1, 1)
          2
      b1   (1,)
          0
      Z1 = A0·W1 + b1   (2, 1)
          2
          4
    <BLANKLINE>
    The loss
      y   (2, 1)
          3
          3
      L = HalfSquaredError(Z1, y) = 0.5
      δ1 = (Z1 − y) / N   (2, 1)
          -0.5
           0.5
    <BLANKLINE>
    Backward: layer 0, Dense
      ∂W1 = A0ᵀ·δ1   (1, 1)
          0.5
      ∂b1 = Σ over the batch of δ1   (1,)
          0
    """
    # `import anynet` imports this package and must not import NumPy, so the rest of it is imported here.
    with model.backend.activate():
        return __getattr__("Explanation")(*import_module("anynet.explain.narrate").explain_step(model, x, y))


def __getattr__(name: str) -> Any:
    if name == "Explanation":
        return import_module("anynet.explain.explanation").Explanation
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
