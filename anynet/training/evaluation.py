"""Evaluation of a model over a source of data."""

from __future__ import annotations

import math
from typing import Any

from anynet.backends.base import Backend
from anynet.config import ModelConfig
from anynet.data.batch import Batch, eval_batch_size
from anynet.data.sources import Source
from anynet.training.compiled import Compiled
from anynet.training.processes import Alone
from anynet.training.running_metrics import RunningMetrics


def evaluate_source(
    config: ModelConfig, backend: Backend, compiled: Compiled, params: Any, source: Source, processes: Alone
) -> dict[str, Any]:
    """Return the loss and the metrics over a source, whose pieces the processes share."""
    metrics, regularizer = RunningMetrics(backend, compiled.reported), config.regularizer

    def evaluate(batch: Batch) -> tuple[Any, float]:
        return compiled.evaluate(params, *batch), 0.0 if regularizer is None else compiled.count_examples(batch)

    examples = 0.0
    size = eval_batch_size(config, backend.max_eval_numbers, source.inputs)
    for sums, count in processes.evaluated(source, size, evaluate):
        metrics.add(sums)
        examples += float(count)
    values = metrics.values()
    if regularizer is not None:
        values["loss"] += float(regularizer.value(config.layer.trainable(params), examples or math.inf))
    return values
