"""Run scikit-learn's own tests of its multi-layer perceptrons with those of anynet.

python -m tests.sklearn.upstream [options of pytest]
"""

import importlib.util
import os
import sys

import pytest

MODULE = "sklearn.neural_network.tests.test_mlp"

PRIVATE = {
    "test_fit": "sets the weights of an estimator that is not fitted, and calls _initialize and _fit_stochastic",
    "test_gradient": "calls _loss_grad_lbfgs",
    "test_learning_rate_warmstart": "reads _optimizer.learning_rate",
    "test_adaptive_learning_rate": "reads _optimizer.learning_rate",
}
"""Tests that are not run, because they use private members of scikit-learn's estimators."""

REWORDED = {
    "test_early_stopping_stratified": "names the class 1 by its code, 'True'",
    "test_minimum_input_sample_size": "The validation set is too small",
    "test_mlp_partial_fit_after_fit": "partial_fit does not support early_stopping=True",
    "test_nonfinite_params": "Solver produced non-finite parameter weights",
    "test_warm_start": "warm_start can only be used where `y` has the same classes",
}
"""Tests that run without comparing the wording of errors, given here in the words of scikit-learn."""


class Replace:
    """A plugin of pytest that replaces scikit-learn's estimators before its tests are imported."""

    def pytest_configure(self):
        from sklearn import neural_network

        from anynet.sklearn import MLPClassifier, MLPRegressor

        neural_network.MLPClassifier, neural_network.MLPRegressor = MLPClassifier, MLPRegressor

    def pytest_collection_modifyitems(self, config, items):
        config.hook.pytest_deselected(items=[item for item in items if item.originalname in PRIVATE])
        items[:] = [item for item in items if item.originalname not in PRIVATE]

    @pytest.fixture
    def global_random_seed(self):
        """Return the seed for which scikit-learn's conftest.py is not needed."""
        return 42

    @pytest.fixture(autouse=True)
    def any_wording(self, request, monkeypatch):
        """Compare only the types of errors in `REWORDED`."""
        if request.node.originalname in REWORDED:
            raises = pytest.raises
            monkeypatch.setattr(pytest, "raises", lambda error, match=None: raises(error))


def main(options):
    """Run the tests, and return pytest's exit status."""
    path = importlib.util.find_spec(MODULE).origin
    return pytest.main([path, "--noconftest", "-p", "no:cacheprovider", "-q", "-c", os.devnull, *options], [Replace()])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
