"""Callbacks from functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anynet.callbacks.base import Callback, Run, check_hook

Hook = Callable[[Run], Any]


class LambdaCallback(Callback):
    """Call the given functions as hooks.

    Parameters
    ----------
    on_fit_begin, on_epoch_begin, on_batch_end, on_epoch_end, on_fit_end : callable, optional
        Functions of the `Run`.

    Examples
    --------
    >>> import numpy as np
    >>> from anynet import SGD, Dense, HalfSquaredError, Model
    >>> model = Model([Dense(1)], input_shape=1, loss=HalfSquaredError(), optimizer=SGD(0.1))
    >>> report = LambdaCallback(on_epoch_end=lambda run: print(run.epoch, run.logs["loss"]))
    >>> history = model.fit(np.zeros((4, 1)), np.zeros(4), epochs=2, callbacks=[report])
    1 0.0
    2 0.0
    """

    def __init__(
        self,
        *,
        on_fit_begin: Hook | None = None,
        on_epoch_begin: Hook | None = None,
        on_batch_end: Hook | None = None,
        on_epoch_end: Hook | None = None,
        on_fit_end: Hook | None = None,
    ) -> None:
        given = {
            "on_fit_begin": on_fit_begin,
            "on_epoch_begin": on_epoch_begin,
            "on_batch_end": on_batch_end,
            "on_epoch_end": on_epoch_end,
            "on_fit_end": on_fit_end,
        }
        for hook, function in given.items():
            if function is not None:
                check_hook("LambdaCallback", hook, function, method=False)
                setattr(self, hook, function)
