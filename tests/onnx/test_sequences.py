"""Sequences of different lengths as ONNX, and what is not an example of its own."""

import numpy as np
import pytest

from anynet import Lengths, Model
from tests.layers.test_sequences import CHANNELS, LENGTHS, NETWORKS, POSITIONS, X

onnx = pytest.importorskip("onnx", reason="onnx, the extra 'onnx', is not installed")

from tests.onnx.tools import RUNNERS, as_input, error  # noqa: E402


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_lengths(network, runner):
    if runner == "reference" and ("LSTM(" in repr(network) or "GRU(" in repr(network)):
        pytest.skip("ONNX's reference evaluator ignores the lengths of LSTM and GRU")
    model = Model([Lengths(network)], input_shape=((POSITIONS, CHANNELS), ()), dtype="float64")
    x = (X[LENGTHS > 0], LENGTHS[LENGTHS > 0])
    found = RUNNERS[runner](model.to_onnx(), x_0=as_input(x[0]), x_1=as_input(x[1]))
    assert error(found, model.predict(x)) <= 1e-6


def test_a_sequence_of_length_zero():
    """Attention gives zeros, not NaN."""
    model = Model([Lengths(NETWORKS["attention"])], input_shape=((POSITIONS, CHANNELS), ()), dtype="float64")
    x = (X[:2], np.array([0, 3]))
    found = RUNNERS["onnxruntime"](model.to_onnx(), x_0=as_input(x[0]), x_1=as_input(x[1]))
    assert error(found, model.predict(x)) <= 1e-6
