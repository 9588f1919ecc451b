"""Estimators on several processes; here, the processes are threads."""

import numpy as np
import pytest

from tests.distributed.cases import X, Y
from tests.distributed.tools import together

pytest.importorskip("sklearn")
from scipy.sparse import csr_array

from anynet.sklearn import MLPClassifier, MLPRegressor

SETTINGS = {"hidden_layer_sizes": (12,), "random_state": 0, "max_iter": 4, "batch_size": 30}


@pytest.mark.filterwarnings("ignore:.*expected to converge")
@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (MLPClassifier, {"solver": "sgd", "early_stopping": True}),
        (MLPClassifier, {"dropout": 0.2, "alpha": 0.1, "class_weight": "balanced"}),
        (MLPRegressor, {"batch_norm": True}),
    ],
)
def test_estimators_equal_those_of_one_process(make, settings):
    expected = make(**SETTINGS, **settings).fit(X, Y)
    group, results = together(2, lambda c: make(**SETTINGS, **settings, distributed=c).fit(X, Y))
    for found in results:
        np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-10)
        np.testing.assert_allclose(found.predict(X), expected.predict(X), rtol=0, atol=1e-8)
        assert found.model_.distributed.size == 2
    assert group.calls[0] == group.calls[1]


def test_sparse_arrays_are_refused():
    _, results = together(2, lambda c: MLPClassifier(**SETTINGS, distributed=c).fit(csr_array(X), Y))
    assert all("expected a dense array with distributed" in str(error) for error in results)


def test_an_unknown_engine_is_refused():
    with pytest.raises(ValueError, match="'distributed' parameter of MLPClassifier must be"):
        MLPClassifier(distributed="dask").fit(X, Y)
