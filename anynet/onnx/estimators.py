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
    from anynet.sklearn.tabular import TableEstimator


def classifier_to_onnx(estimator: MLPClassifier, path: str | Path | None, *, opset: int, dtype: str) -> Any:
    """Convert a fitted classifier; `MLPClassifier.to_onnx` describes the file."""
    classes = np.asarray(estimator.classes_)
    multilabel = estimator.out_activation_ == "logistic" and estimator.n_outputs_ > 1

    def add_outputs(graph: Graph, z: Value) -> None:
        p = graph.write(Softmax() if estimator.out_activation_ == "softmax" else Sigmoid(), {}, z, "")
        if multilabel:
            above = graph.node("Greater", p.name, graph.number(0.5))
            graph.output("label", Value(graph.node("Cast", above, to=_INT64), p.shape), np.int64)
            graph.output("probabilities", p)
            return
        if estimator.n_outputs_ == 1:
            p = Value(graph.node("Concat", graph.node("Sub", graph.number(1.0), p.name), p.name, axis=1), (2,))
        _add_classes(graph, p, classes, dtype)

    return export(estimator.model_, path, "X", add_outputs, opset=opset, dtype=dtype, classes=_as_json(classes))


def regressor_to_onnx(estimator: MLPRegressor, path: str | Path | None, *, opset: int, dtype: str) -> Any:
    """Convert a fitted regressor; `MLPRegressor.to_onnx` describes the file."""

    def add_outputs(graph: Graph, z: Value) -> None:
        graph.output("variable", graph.same(z, "Exp") if estimator.out_activation_ == "exp" else z)

    return export(estimator.model_, path, "X", add_outputs, opset=opset, dtype=dtype)


def table_to_onnx(estimator: TableEstimator, path: str | Path | None, *, opset: int, dtype: str) -> Any:
    """Convert the network of a fitted estimator for tables; `TableEstimator.to_onnx` describes the file."""
    classes = getattr(estimator, "classes_", None)

    def add_outputs(graph: Graph, z: Value) -> None:
        if classes is not None:
            z = graph.write(Softmax(), {}, z, "")
        if len(z.shape) == 2:  # members
            z = Value(
                graph.node(
                    "Einsum",
                    z.name,
                    graph.constant("share", np.full(z.shape[0], 1.0 / z.shape[0])),
                    equation="nko,k->no",
                ),
                z.shape[1:],
            )
        if classes is not None:
            _add_classes(graph, z, classes, dtype)
            return
        mean, scale, low, high = estimator.denormalization
        z = graph.same(graph.same(z, "Mul", graph.constant("scale", scale)), "Add", graph.constant("mean", mean))
        if estimator.clamps:
            z = graph.same(graph.same(z, "Max", graph.constant("low", low)), "Min", graph.constant("high", high))
        graph.output("variable", z)

    about = {} if classes is None else {"classes": _as_json(classes)}
    return export(estimator.model_, path, "X", add_outputs, opset=opset, dtype=dtype, **about)


def _add_classes(graph: Graph, p: Value, classes: np.ndarray, dtype: str) -> None:
    """Add the label and the probabilities of classes."""
    labels = _as_labels(np.resize(classes, p.shape), dtype)  # twice the same for a single class
    number = graph.node("ArgMax", p.name, axis=1, keepdims=0)
    label = graph.node("Gather", graph.constant("classes", labels), number)
    graph.output("label", Value(label, ()), labels.dtype)
    graph.output("probabilities", p)


def _as_json(classes: np.ndarray) -> str:
    return json.dumps(classes.tolist(), default=str)


_INT64 = 7
"""onnx.TensorProto.INT64."""


def _as_labels(classes: np.ndarray, dtype: str) -> np.ndarray:
    """Return classes in a data type of ONNX: integers, floats or strings."""
    if classes.dtype.kind in "biu":
        return classes.astype(np.int64)
    return classes.astype(dtype) if classes.dtype.kind == "f" else np.array([str(c) for c in classes], dtype=object)
