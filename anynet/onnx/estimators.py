"""Estimators with scikit-learn's interface as ONNX files, with the outputs of sklearn-onnx."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anynet.layers import Sigmoid, Softmax
from anynet.onnx.export import export
from anynet.onnx.graph import Graph, Value

if TYPE_CHECKING:
    from anynet.sklearn import MLPClassifier, MLPRegressor


def classifier_to_onnx(estimator: MLPClassifier, path: str | Path | None, *, opset: int, dtype: str) -> Any:
    """Convert a fitted classifier; `MLPClassifier.to_onnx` describes the file."""
    classes = np.asarray(estimator.classes_)
    multilabel = estimator.out_activation_ == "logistic" and estimator.n_outputs_ > 1

    def add_outputs(graph: Graph, z: Value) -> None:
        p = graph.write(Softmax() if estimator.out_activation_ == "softmax" else Sigmoid(), {}, z, "")
        if multilabel:
            above = graph.node("Greater", p.name, graph.number(0.5))
            graph.output("label", Value(graph.node("Cast", above, to=_INT64), p.shape), np.int64)
        else:
            if estimator.n_outputs_ == 1:
                p = Value(graph.node("Concat", graph.node("Sub", graph.number(1.0), p.name), p.name, axis=1), (2,))
            labels = _as_labels(np.resize(classes, p.shape), dtype)  # twice the same for a single class
            number = graph.node("ArgMax", p.name, axis=1, keepdims=0)
            label = graph.node("Gather", graph.constant("classes", labels), number)
            graph.output("label", Value(label, ()), labels.dtype)
        graph.output("probabilities", p)

    text = json.dumps(classes.tolist(), default=str)
    return export(estimator.model_, path, "X", add_outputs, opset=opset, dtype=dtype, classes=text)


def regressor_to_onnx(estimator: MLPRegressor, path: str | Path | None, *, opset: int, dtype: str) -> Any:
    """Convert a fitted regressor; `MLPRegressor.to_onnx` describes the file."""

    def add_outputs(graph: Graph, z: Value) -> None:
        graph.output("variable", graph.same(z, "Exp") if estimator.out_activation_ == "exp" else z)

    return export(estimator.model_, path, "X", add_outputs, opset=opset, dtype=dtype)


_INT64 = 7
"""onnx.TensorProto.INT64."""


def _as_labels(classes: np.ndarray, dtype: str) -> np.ndarray:
    """Return classes in a data type of ONNX: integers, floats or strings."""
    if classes.dtype.kind in "biu":
        return classes.astype(np.int64)
    return classes.astype(dtype) if classes.dtype.kind == "f" else np.array([str(c) for c in classes], dtype=object)
