"""Explanation of one training step with every matrix, in the notation of the lecture notes.

The notes' letters, in the library's row convention (a batch is (N, features)):

====================  ==================================================================================
A0 = X                the batch
Z1, W1, b1            output and parameters of the first layer that has parameters; Z2, W2, b2 of the second
A1                    output of a layer without parameters after Z1; A1′, A1′′ of the following ones
e1 = ∂L/∂A1           the error of A1
δ1 = ∂L/∂Z1           the error of Z1
∂W1, ∂b1              ∂L/∂W1 and ∂L/∂b1
====================  ==================================================================================

>>> from anynet import SGD, Dense, HalfSquaredError, Model, Sigmoid
>>> neuron = Model([Dense(1, weight=[[0.1], [0.6]]), Sigmoid()], input_shape=2, loss=HalfSquaredError(), optimizer=SGD(1.0))
>>> step = explain(neuron, [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 1])
>>> print(step["δ1"].round(3).T)
[[ 0.031 -0.02  -0.03  -0.018]]
>>> print(round(step.loss, 3), step["W1 new"].round(3).T, step["b1 new"].round(3))
0.089 [[0.148 0.639]] [0.037]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anynet.arrays.namespace import ArrayLike
    from anynet.explain.explanation import Explanation
    from anynet.model import Model

__all__ = ["Explanation", "explain"]


def explain(model: Model, x: ArrayLike, y: ArrayLike) -> Explanation:
    """Explain the training step that `Model.train_step` would take, with every matrix.

    Parameters
    ----------
    model : Model
        Model with a loss and any layers, in any nesting. With an optimizer, the update is included. The model is not changed.
    x, y : array or list
        The batch, as for `Model.train_step`.

    Returns
    -------
    Explanation
        The step as text for ``print``, as Markdown in a notebook, and as matrices by name.

    Raises
    ------
    TypeError, ValueError
        If the batch does not fit the model, or the model has no loss.

    Notes
    -----
    Dropout and batch normalization act as in the next training step, and the loss and gradients include the regularizer. With
    an optimizer that scales the loss, the matrices are those without the scale.

    If a container passes one matrix to several layers, the error through the layer at 0.1 is named ``e1 via 0.1``, and ``e1``
    is the sum over these layers.

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
    # `import anynet` imports this package and must not import NumPy, so its modules are imported on first use
    with model.backend.activate():
        return __getattr__("Explanation")(*import_module("anynet.explain.narrate").explain_step(model, x, y))


def __getattr__(name: str) -> Any:
    if name == "Explanation":
        return import_module("anynet.explain.explanation").Explanation
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
