"""scikit-learn's multi-layer perceptrons, and networks for tables, on any array library.

`MLPClassifier` and `MLPRegressor` have the parameters, attributes and methods of scikit-learn's estimators and compute on the
device of the data; only the import changes. docs/sklearn.md lists the additional parameters.

`RealMLPClassifier`, `RealMLPRegressor`, `TabMClassifier` and `TabMRegressor` take data frames with categories and missing
values.

>>> from sklearn.datasets import load_iris
>>> from anynet.sklearn import MLPClassifier
>>> x, y = load_iris(return_X_y=True)
>>> classifier = MLPClassifier(max_iter=500, random_state=0).fit(x, y)
>>> round(classifier.score(x, y), 2)
0.98
"""

import importlib.util as _util

if _util.find_spec("sklearn") is None:
    raise ModuleNotFoundError(
        "anynet.sklearn: expected the package scikit-learn to be installed, got none; run: pip install scikit-learn",
        name="sklearn",
    )

from anynet.sklearn.classifier import MLPClassifier as MLPClassifier
from anynet.sklearn.preprocessing import TablePreprocessor as TablePreprocessor
from anynet.sklearn.realmlp import RealMLPClassifier as RealMLPClassifier, RealMLPRegressor as RealMLPRegressor
from anynet.sklearn.regressor import MLPRegressor as MLPRegressor
from anynet.sklearn.tabm import TabMClassifier as TabMClassifier, TabMRegressor as TabMRegressor
