"""Fits that either succeed or change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sklearn.base import BaseEstimator


@contextmanager
def unchanged_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Restore an estimator if the block raises, also if Ctrl-C aborts it.

    Attributes are expected to be replaced, except lists, to which the block may append, and `model_`, which it may train.
    """
    before: dict[str, Any] = {name: list(v) if isinstance(v, list) else v for name, v in vars(estimator).items()}
    models = [(model, model.state, model.epoch, model.history) for name, model in before.items() if name == "model_"]
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        for model, *training in models:
            model.state, model.epoch, model.history = training
        raise
