"""Test the settings of a model: normal form, equality, errors, and that they cannot be assigned."""

import numpy as np
import pytest

from anynet import Adam, Dense, Model, SoftmaxCrossEntropy

pytestmark = pytest.mark.without("jax")


@pytest.mark.parametrize(
    ("settings", "kind", "match"),
    [
        ({"dtype": "float16"}, ValueError, "dtype: expected one of 'float32', 'float64', got 'float16'"),
        ({"dtype": np.float32}, ValueError, "dtype: expected one of 'float32', 'float64', got <class"),
        ({"seed": -1}, ValueError, "Model: expected seed >= 0, got -1"),
        ({"seed": None}, TypeError, "Model: expected seed to be an integer, got None"),
        ({"seed": 1.0}, TypeError, "Model: expected seed to be an integer, got 1.0"),
        ({"input_shape": 0}, ValueError, "expected input_shape >= 1, got 0"),
        (
            {"input_shape": (2, 2)},
            ValueError,
            r"layer 0: Dense\(5\): expected input of shape \(features,\), got \(2, 2\)",
        ),
        ({"metrics": ["auc"]}, ValueError, "metrics: expected 'accuracy', a Metric or a Loss, got 'auc'"),
        ({"metrics": ["accuracy", "accuracy"]}, ValueError, "metrics: expected different names"),
        ({"device": "nowhere"}, (ValueError, RuntimeError), "expected .*device .*, got 'nowhere'"),
        ({"optimizer": Adam}, TypeError, "expected optimizer .*, got the class Adam; write it with parentheses"),
        ({"loss": "mse"}, TypeError, "expected loss to be .*, got 'mse'"),
    ],
)
def test_settings_of_a_model(settings, kind, match, backend):
    if "device" in settings:
        backend = backend.name.partition(":")[0]
    arguments = {"input_shape": 4, "loss": SoftmaxCrossEntropy(), "backend": backend, **settings}
    with pytest.raises(kind, match=match):
        Model([Dense(5), Dense(3)], **arguments)
