"""Run exported models in onnxruntime and in ONNX's reference evaluator."""

from functools import cache

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx, the extra 'onnx', is not installed")

BATCHES = (1, 5)
OLDEST, DEFAULT = 17, 18


class Runner:
    """A program that runs ONNX files.

    Attributes
    ----------
    newest : int
        The newest opset that it can run.
    """

    def newest(self):
        raise NotImplementedError

    def __call__(self, proto, **inputs):
        """Return the list of outputs."""
        raise NotImplementedError


class Reference(Runner):
    """The evaluator of the package onnx, which computes with NumPy."""

    def newest(self):
        return onnx.defs.onnx_opset_version()

    def __call__(self, proto, **inputs):
        from onnx.reference import ReferenceEvaluator

        return ReferenceEvaluator(proto).run(None, inputs)


class OnnxRuntime(Runner):
    """Microsoft's runtime."""

    @cache  # noqa: B019
    def newest(self):
        x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N"])
        y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N"])
        graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
        for opset in range(onnx.defs.onnx_opset_version(), DEFAULT, -1):
            opsets = [onnx.helper.make_opsetid("", opset)]
            version = onnx.helper.find_min_ir_version_for(opsets)
            try:
                self.session(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=version))
            except Exception:  # its exceptions have no common base
                continue
            return opset
        return DEFAULT

    def session(self, proto):
        runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        options = runtime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 3, 1
        return runtime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def __call__(self, proto, **inputs):
        return self.session(proto).run(None, inputs)


RUNNERS = {"onnxruntime": OnnxRuntime(), "reference": Reference()}
OPSETS = {"oldest": lambda runner: OLDEST, "default": lambda runner: DEFAULT, "newest": lambda runner: runner.newest()}


def error(outputs, expected):
    """Return the largest error of outputs, relative to 1 + |y|."""
    expected = expected if isinstance(expected, tuple) else (expected,)
    assert [np.shape(y) for y in outputs] == [np.shape(y) for y in expected]
    return max(float(np.max(np.abs(a - b) / (1.0 + np.abs(b)))) for a, b in zip(outputs, expected, strict=True))


def as_input(x, dtype="float32"):
    return x.astype(np.int64 if x.dtype.kind in "iu" else dtype)
