"""scikit-learn's estimator checks, and the optional dependency on scikit-learn."""

import subprocess
import sys
import warnings

import pytest

pytest.importorskip("sklearn")

from sklearn.neural_network import MLPClassifier as TheirClassifier, MLPRegressor as TheirRegressor
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

from anynet.sklearn import MLPClassifier, MLPRegressor


@pytest.mark.parametrize(
    "ours, theirs", [(MLPClassifier, TheirClassifier), (MLPRegressor, TheirRegressor)], ids=["classifier", "regressor"]
)
def test_estimator_checks(ours, theirs):
    """Every check passes, or is skipped for a reason that also applies to scikit-learn's estimators."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(ours(), on_fail=None, on_skip=None)
        bad = [(r["check_name"], repr(r["exception"])) for r in results if r["status"] not in ("passed", "skipped")]
        assert not bad
        skipped = {r["check_name"] for r in results if r["status"] == "skipped"}
        reasons = {str(r["exception"]).replace(ours.__name__, "") for r in results if r["status"] == "skipped"}
        their_reasons, names = set(), set()
        for estimator, check in estimator_checks_generator(theirs()):
            name = getattr(check, "func", check).__name__
            names.add(name)
            if name in skipped:
                try:
                    check(estimator)
                except Exception as skip:
                    their_reasons.add(str(skip).replace(theirs.__name__, ""))
    assert reasons <= their_reasons
    assert names <= {r["check_name"] for r in results}


def test_anynet_does_not_import_scikit_learn():
    script = "import sys, anynet; assert 'sklearn' not in sys.modules and 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_error_without_scikit_learn():
    script = (
        "import sys; sys.modules['sklearn'] = None\n"
        "try:\n    import anynet.sklearn\nexcept ImportError as e:\n    assert 'pip install scikit-learn' in str(e), e\n"
        "else:\n    raise SystemExit('imported')"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
