"""Measure matrix products by NumPy's BLAS, its other kernels, PyTorch and MKL.

Each library multiplies in a process of its own, because kernels are chosen when a library is loaded, and threads of two
libraries compete for the cores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from anynet.arrays.blas import loaded_blas

KERNELS = ("Haswell", "SkylakeX", "Zen")
"""Kernels of OpenBLAS for x86 to try, by ``OPENBLAS_CORETYPE``."""
WORTHWHILE = 1.15
"""Factor by which a library must be faster than NumPy for advice to use it."""
SECONDS = 0.3
"""Time to measure each size for."""

_TIMED = """
import json, sys, time
import numpy as np
def rates(multiply, arrays):
    found = []
    for m, k, n in json.loads(sys.argv[1]):
        a, b = arrays(m, k), arrays(k, n)
        run, best, end = multiply(a, b), float("inf"), time.perf_counter() + float(sys.argv[2])
        while best == float("inf") or time.perf_counter() < end:
            run()
            start = time.perf_counter()
            run()
            best = min(best, time.perf_counter() - start)
        found.append(2e-9 * m * k * n / best)
    print(json.dumps(found))
def host(m, n):
    return np.random.default_rng(0).random((m, n)).astype(sys.argv[3])
"""
PROGRAMS = {
    "numpy": _TIMED
    + """
from anynet.arrays.blas import limited
from anynet.arrays.products import matmul
def multiply(a, b):
    out = np.empty((a.shape[0], b.shape[1]), a.dtype)
    return lambda: matmul(a, b, out)
with limited():
    rates(multiply, host)
""",
    "torch": _TIMED
    + """
import torch
def multiply(a, b):
    out = torch.empty((a.shape[0], b.shape[1]), dtype=a.dtype)
    return lambda: torch.matmul(a, b, out=out)
rates(multiply, lambda m, n: torch.from_numpy(host(m, n)))
""",
    "mkl": _TIMED
    + """
import ctypes
library, number = ctypes.CDLL(sys.argv[4]), ctypes.c_float if sys.argv[3] == "float32" else ctypes.c_double
gemm = library.cblas_sgemm if sys.argv[3] == "float32" else library.cblas_dgemm
def multiply(a, b):
    (m, k), n, out = a.shape, b.shape[1], np.empty((a.shape[0], b.shape[1]), a.dtype)
    pointers = [ctypes.c_void_p(x.ctypes.data) for x in (a, b, out)]
    return lambda a=a, b=b, out=out: gemm(
        101, 111, 111, m, n, k, number(1), pointers[0], k, pointers[1], n, number(0), pointers[2], n
    )
rates(multiply, host)
""",
}
"""Programs that print the rate of each size. Arguments: sizes as JSON, seconds, dtype, and the file of a library."""


def measure(sizes: Sequence[tuple[int, int, int]], dtype: str = "float32") -> dict[str, list[float]]:
    """Return the rate of products (m, k) × (k, n) by each library that can run, in 10⁹ operations per second.

    Raises
    ------
    ValueError
        If a size is not three positive integers.
    """
    for size in sizes:
        if len(size) != 3 or not all(isinstance(n, int) and n > 0 for n in size):
            raise ValueError(f"info: products: expected sizes (m, k, n) of positive integers, got {size!r}")
    found = {}
    for name, program, variables, more in candidates():
        command = [sys.executable, "-c", PROGRAMS[program], json.dumps(sizes), str(SECONDS), dtype, *more]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **variables})
        except (OSError, subprocess.CalledProcessError):
            continue
        found[name] = json.loads(done.stdout.splitlines()[-1])
    return found


def candidates() -> Iterator[tuple[str, str, dict[str, str], list[str]]]:
    """Yield name, program, environment variables and further arguments of each library."""
    yield "numpy", "numpy", {}, []
    blas: dict[str, Any] = loaded_blas() or {}
    if blas.get("internal_api") == "openblas":
        current = blas.get("architecture", "")
        for kernel in KERNELS if current in (*KERNELS, "Cooperlake", "SapphireRapids") else ():
            if kernel != current:
                yield f"numpy, OPENBLAS_CORETYPE={kernel}", "numpy", {"OPENBLAS_CORETYPE": kernel}, []
    if find_spec("torch") is not None:
        yield "torch", "torch", {}, []
    for path in _mkl():
        yield "mkl", "mkl", {}, [path]


def _mkl() -> list[str]:
    """Return the file of MKL's library if its package is installed."""
    try:
        found = [Path(str(file.locate())) for file in files("mkl") or [] if "mkl_rt" in file.name]
    except PackageNotFoundError:
        return []
    return [str(path) for path in found if path.exists()][:1]


def advice(rates: dict[str, list[float]]) -> list[str]:
    """Return what to choose, if anything is faster than NumPy over all sizes together.

    >>> advice({"numpy": [50.0], "torch": [90.0]})[0]
    "numpy: torch multiplies 1.80 times as fast; use backend='torch'"
    >>> advice({"numpy": [50.0], "torch": [51.0]})
    []
    """
    times = {name: sum(1.0 / rate for rate in found) for name, found in rates.items()}
    if "numpy" not in times:
        return []
    best = min(times, key=lambda name: times[name])
    factor = times["numpy"] / times[best]
    if factor < WORTHWHILE:
        return []
    what = {"torch": "use backend='torch'", "mkl": "install a NumPy that is built with MKL, or use backend='torch'"}
    hint = what.get(best) or f"set {best.rpartition(' ')[2]} before Python starts"
    return [f"numpy: {best} multiplies {factor:.2f} times as fast; {hint}"]
