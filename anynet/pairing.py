"""Does the network end in what its loss takes? The commonest mistake that raises no error: a softmax too many or too few."""

from __future__ import annotations

import warnings

from anynet.layers import Dense, Layer, Sequential, Sigmoid, Softmax
from anynet.losses.base import Loss


def warn_of_mismatch(layer: Layer, loss: Loss) -> None:
    """Warn if a loss of logits stands behind probabilities, or one of probabilities behind a layer of any numbers.

    Only layers that are certain count: any other, yours perhaps, may give either.
    """
    last = layer
    while isinstance(last, Sequential) and last.layers:
        last = last.layers[-1]
    ends, name = type(last).__name__, type(loss).__name__
    if loss.expects == "logits" and isinstance(last, (Sigmoid, Softmax)):
        advice = f"leave {ends}() out, since {name} brings its own"
    elif loss.expects == "probabilities" and isinstance(last, Dense):
        advice = f"end it in Sigmoid() or Softmax(), or use {_OF_LOGITS.get(name, 'a loss of logits')}"
    else:
        return
    warnings.warn(
        f"Model: expected {loss.expects} for {name}, got a network that ends in {ends}; {advice}", stacklevel=3
    )


_OF_LOGITS = {"BinaryCrossEntropy": "SigmoidCrossEntropy()", "CategoricalCrossEntropy": "SoftmaxCrossEntropy()"}
