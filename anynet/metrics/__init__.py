"""Metrics: measures of the quality of predictions, computed on the device of the arrays."""

from __future__ import annotations

from collections.abc import Iterable
from sys import modules
from typing import Any

from anynet import losses
from anynet.losses.base import Loss
from anynet.metrics.base import (
    Custom as Custom,
    LossMetric as LossMetric,
    Mean as Mean,
    Metric as Metric,
    OutputMetric as OutputMetric,
    PartsMetric as PartsMetric,
)
from anynet.metrics.classification import (
    F1 as F1,
    ROCAUC as ROCAUC,
    Accuracy as Accuracy,
    ConfusionMatrix as ConfusionMatrix,
    Precision as Precision,
    Recall as Recall,
    TopK as TopK,
)
from anynet.metrics.perplexity import Perplexity as Perplexity
from anynet.metrics.regression import MAE as MAE, R2 as R2, RMSE as RMSE
from anynet.names.text import classes_of, from_text


def resolve(metrics: Any, loss: Loss | None) -> tuple[Metric, ...]:
    """Convert names, losses and functions to metrics.

    Each metric takes settings from the loss, such as the default threshold of binary classes (`Metric.for_loss`).

    Raises
    ------
    ValueError
        If a name is unknown, or two metrics have the same name.
    TypeError
        If an item has another type.
    """
    found: list[Metric] = []
    if not isinstance(metrics, (str, Metric, Loss, Iterable)):
        raise TypeError(f"metrics: expected a list of names, metrics or losses, got {metrics!r}")
    classes = classes_of(Metric, modules[__name__]) | classes_of(Loss, losses)
    for given in (metrics,) if isinstance(metrics, (str, Metric, Loss)) else metrics:
        metric = from_text("metrics", "metrics", given, classes, "'accuracy', a Metric, a Loss")
        if isinstance(metric, Metric):
            found.append(metric)
        elif isinstance(metric, Loss):
            found.append(LossMetric(metric))
        elif callable(metric) and not isinstance(metric, type):
            found.append(Custom(metric))
        else:
            got = (
                f"the class {metric.__name__}; write it with parentheses" if isinstance(metric, type) else repr(metric)
            )
            raise TypeError(f"metrics: expected names, metrics, losses or functions, got {got}")
    if loss is not None:
        found = [metric.for_loss(loss) for metric in found]
    names = [metric.name for metric in found]
    if len(set(names)) < len(names) or "loss" in names:
        raise ValueError(f"metrics: expected different names, none of them 'loss', got {', '.join(names)}")
    return tuple(found)
