"""Description of the machine."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

PACKAGES = ("numpy", "array-api-compat", "llvmlite", "torch", "jax", "jaxlib", "keras", "scikit-learn", "thinc")
GPU_PACKAGES = ("cupy-cuda12x", "cupy-cuda13x", "jax-cuda12-plugin", "jax-cuda13-plugin")
VARIABLES = ("OPENBLAS", "OMP_", "MKL_", "XLA_", "JAX_", "CUPY_", "NVIDIA_TF32", "TORCH_")
BLAS = """
import json, numpy, threadpoolctl
pool = next(pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas")
print(json.dumps({key: pool.get(key) for key in ("internal_api", "version", "architecture", "num_threads")}))
"""


def describe():
    """Return processor, memory, versions, NumPy's BLAS, GPU and the environment variables that matter."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: version for name in (*PACKAGES, *GPU_PACKAGES) if (version := _version(name))},
        "blas": _output([sys.executable, "-c", BLAS], json.loads),
        "gpu": _output(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"], str.strip),
        "variables": {key: value for key, value in sorted(os.environ.items()) if key.startswith(VARIABLES)},
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _cpu():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = facts.get("model name", platform.machine())
    return f"{name} (family {facts.get('cpu family', '?')}, model {facts.get('model', '?')})"


def _memory():
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)
    except (AttributeError, ValueError, OSError):
        return None


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _output(command, read):
    """Return the output of a command, parsed by `read`, or None if it cannot run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return read(done.stdout)
