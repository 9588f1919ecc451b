"""scikit-learn's multi-layer perceptrons, on any array library.

`MLPClassifier` and `MLPRegressor` take scikit-learn's parameters, have its attributes and methods, and compute where their
data lie: change the import and nothing else. What they have besides is in docs/sklearn.md.

>>> from sklearn.datasets import load_iris
>>> from anynet.sklearn import MLPClassifier
>>> x, y = load_iris(return_X_y=True)
>>> classifier = MLPClassifier(max_iter=500, random_state=0).fit(x, y)
>>> classifier.score(x, y) > 0.95
True
"""

import importlib.util as _util

if _util.find_spec("sklearn") is None:
    raise ModuleNotFoundError(
        "anynet.sklearn: expected the package scikit-learn to be installed, got none; run: pip install scikit-learn",
        name="sklearn",
    )

from anynet.sklearn.classifier import MLPClassifier as MLPClassifier
from anynet.sklearn.regressor import MLPRegressor as MLPRegressor
