"""Matrix products by direct calls of cuBLAS, which a CUDA graph can record.

CuPy refuses to call cuBLAS while it records a graph. The library is the one that CuPy has loaded. Each product is the call that
CuPy's `matmul` makes, with the same arguments, so that its bits are the same.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import cupy
from cupy._core import get_compute_type

PEDANTIC, TF32 = 2, 7
"""CuPy's compute types that differ from the default."""

_int, _long, _pointer = ctypes.c_int, ctypes.c_longlong, ctypes.c_void_p
_SIGNATURES = {
    "cublasCreate_v2": [ctypes.POINTER(_pointer)],
    "cublasSetStream_v2": [_pointer, _pointer],
    "cublasSetWorkspace_v2": [_pointer, _pointer, ctypes.c_size_t],
    "cublasGemmEx": [
        *(_pointer, *[_int] * 5, _pointer),
        *([_pointer, _int, _int] * 2),
        *(_pointer, _pointer, _int, _int),
        *(_int, _int),
    ],
    "cublasGemmStridedBatchedEx": [
        *(_pointer, *[_int] * 5, _pointer),
        *([_pointer, _int, _int, _long] * 2),
        *(_pointer, _pointer, _int, _int, _long),
        *(_int, _int, _int),
    ],
}


class CublasError(RuntimeError):
    """A call of cuBLAS that failed."""


class Cublas:
    """A handle of cuBLAS for the current device.

    It is bound to one stream at a time, and only one thread at a time may use it.
    """

    def __init__(self) -> None:
        constants = cupy.cuda.cublas
        major = constants.getVersion(cupy.cuda.device.get_cublas_handle()) // 10000  # after CuPy has loaded the library
        library = ctypes.CDLL(f"cublas64_{major}.dll" if sys.platform == "win32" else f"libcublas.so.{major}")
        self._functions = {name: getattr(library, name) for name in _SIGNATURES}
        for name, signature in _SIGNATURES.items():
            self._functions[name].argtypes, self._functions[name].restype = signature, _int
        self._handle = _pointer()
        self._call("cublasCreate_v2", ctypes.byref(self._handle))
        self._capability = int(cupy.cuda.device.get_compute_capability())
        self.workspace_bytes = 2**25 if self._capability >= 90 else 2**22
        """Size of cuBLAS's own workspace on this device; its choice of an algorithm may depend on it."""

    def _call(self, name: str, *arguments: Any) -> None:
        status = self._functions[name](*arguments)
        if status != 0:
            raise CublasError(f"{name} returned status {status}")

    def bind(self, stream: Any, workspace: Any) -> None:
        """Compute products on a stream, with the memory of an array as their workspace."""
        self._call("cublasSetStream_v2", self._handle, stream.ptr)  # resets the workspace
        self._call("cublasSetWorkspace_v2", self._handle, workspace.data.ptr, workspace.nbytes)

    def matmul(self, a: Any, b: Any) -> Any:
        """Return the product of two matrices, or of two stacks of matrices."""
        if a.dtype == b.dtype and a.dtype.name in ("float16", "float32", "float64") and a.size and b.size:
            if a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0] and (a.shape[0] > 1 or b.shape[1] > 1):
                return self._matrices(a, b)
            if a.ndim == b.ndim == 3 and a.shape[0] == b.shape[0] and a.shape[2] == b.shape[1]:
                return self._stacks(a, b)
        return cupy.matmul(a, b)  # by a kernel, or with an error

    def _matrices(self, a: Any, b: Any) -> Any:
        (rows, inner), columns, dtype = a.shape, b.shape[1], a.dtype
        c = cupy.empty((rows, columns), dtype)
        # cuBLAS has column-major matrices, so it computes cᵀ = bᵀ aᵀ.
        a, a_transposed, a_stride = _as_operand(a.T, 0)
        b, b_transposed, b_stride = _as_operand(b, 1)
        kind, compute, (one, zero) = self._types(dtype, get_compute_type(dtype))
        tensor_cores = self._capability >= 80 or (self._capability >= 70 and dtype.name == "float16")
        constants = cupy.cuda.cublas
        self._call(
            "cublasGemmEx",
            *(self._handle, b_transposed, a_transposed, columns, rows, inner, ctypes.byref(one)),
            *(b.data.ptr, kind, b_stride, a.data.ptr, kind, a_stride),
            *(ctypes.byref(zero), c.data.ptr, kind, columns, compute),
            constants.CUBLAS_GEMM_DEFAULT_TENSOR_OP if tensor_cores else constants.CUBLAS_GEMM_DEFAULT,
        )
        return c

    def _stacks(self, a: Any, b: Any) -> Any:
        (count, rows, inner), columns, given = a.shape, b.shape[2], a.dtype
        dtype = cupy.dtype("float32") if given.name == "float16" else given  # as CuPy does
        a, b = cupy.ascontiguousarray(a, dtype), cupy.ascontiguousarray(b, dtype)
        c = cupy.empty((count, rows, columns), dtype)
        kind, compute, (one, zero) = self._types(dtype, None)
        self._call(
            "cublasGemmStridedBatchedEx",
            *(self._handle, 0, 0, columns, rows, inner, ctypes.byref(one)),
            *(b.data.ptr, kind, columns, inner * columns, a.data.ptr, kind, inner, rows * inner),
            *(ctypes.byref(zero), c.data.ptr, kind, columns, rows * columns),
            *(count, compute, cupy.cuda.cublas.CUBLAS_GEMM_DEFAULT),
        )
        return c.astype(given, copy=False)

    def _types(self, dtype: Any, compute_type: int | None) -> tuple[int, int, tuple[Any, Any]]:
        """Return cuBLAS's number of a dtype, that of the dtype of the sums, and 1 and 0 in the latter."""
        constants, runtime = cupy.cuda.cublas, cupy.cuda.runtime
        pedantic = compute_type == PEDANTIC
        if dtype.name == "float64":
            compute = constants.CUBLAS_COMPUTE_64F_PEDANTIC if pedantic else constants.CUBLAS_COMPUTE_64F
            return runtime.CUDA_R_64F, compute, (ctypes.c_double(1), ctypes.c_double(0))
        compute = constants.CUBLAS_COMPUTE_32F_PEDANTIC if pedantic else constants.CUBLAS_COMPUTE_32F
        if compute_type == TF32 and dtype.name == "float32":
            compute = constants.CUBLAS_COMPUTE_32F_FAST_TF32
        kind = runtime.CUDA_R_16F if dtype.name == "float16" else runtime.CUDA_R_32F
        return kind, compute, (ctypes.c_float(1), ctypes.c_float(0))


def _as_operand(matrix: Any, transposed: int) -> tuple[Any, int, int]:
    """Return a matrix whose rows or columns are contiguous, whether cuBLAS transposes it, and its leading dimension.

    `transposed` is the answer for a matrix with contiguous columns.
    """
    if matrix.flags.f_contiguous:
        return matrix, transposed, max(matrix.strides[1] // matrix.itemsize, matrix.shape[0])
    matrix = cupy.ascontiguousarray(matrix)
    return matrix, 1 - transposed, matrix.strides[0] // matrix.itemsize
