"""Report the backends of this machine, with advice on settings that make them faster."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from anynet._version import __version__
from anynet.arrays import fallbacks
from anynet.arrays.blas import loaded_blas, openblas, thread_count
from anynet.arrays.products import LARGE
from anynet.backends import jax as jax_backend, torch as torch_backend
from anynet.backends.base import Backend

AVX2_KERNELS = ("Haswell", "Zen")
"""OpenBLAS kernels for processors without AVX-512."""

AVX512_KERNELS = ("SkylakeX", "Cooperlake", "SapphireRapids")

MEASURE_KERNELS = (
    "for k in Haswell SkylakeX; do OPENBLAS_CORETYPE=$k python -m timeit "
    '-s "import numpy as np; a = np.ones((512, 512), np.float32)" "a @ a"; done'
)
"""Shell command that times a matrix product with each set of kernels."""


LOCAL_PROCESSES = ("MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", "LOCAL_WORLD_SIZE", "SLURM_TASKS_PER_NODE")
"""Environment variables with the number of processes on this machine."""


@dataclass(frozen=True)
class Processor:
    """Properties of a processor; other systems than Linux report only its name."""

    name: str
    vendor: str = ""
    family: str = ""
    flags: frozenset[str] = frozenset()

    @property
    def is_zen4(self) -> bool:
        """Whether this is AMD's Zen 4; Zen 3, of the same family, has no AVX-512."""
        return self.vendor == "AuthenticAMD" and self.family == "25" and "avx512f" in self.flags


@dataclass(frozen=True)
class Info:
    """Result of `anynet.backends.info`.

    Attributes
    ----------
    machine : dict
        Versions of anynet and Python, system, processor and cores.
    backends : dict
        Version, devices and threads of each backend; under "missing", the reason why it cannot run.
    advice : list of str
        Settings and packages that would make a backend faster.
    products : dict
        Rates of matrix products in 10⁹ operations per second, by library and size, if requested.
    """

    machine: dict[str, Any]
    backends: dict[str, dict[str, Any]]
    advice: list[str] = field(default_factory=list)
    products: dict[str, dict[str, float]] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [", ".join(f"{name} {value}" for name, value in self.machine.items())]
        for name, facts in self.backends.items():
            lines.append(f"  {name:7}" + "; ".join(v if k == "missing" else f"{k} {v}" for k, v in facts.items()))
        for name, rates in self.products.items():
            lines.append(f"  products by {name}, GFLOP/s: " + "; ".join(f"{size} {r:.0f}" for size, r in rates.items()))
        return "\n".join([*lines, *(f"advice: {line}" for line in self.advice)])

    __repr__ = __str__


def collect(backends: dict[str, Backend | Exception]) -> Info:
    """Return the properties of the machine and of its backends."""
    cpu = processor()
    machine = {
        "anynet": __version__,
        "python": platform.python_version(),
        "on": platform.system(),
        "processor": cpu.name,
        "cores": os.cpu_count(),
    }
    found: dict[str, dict[str, Any]] = {}
    advice: list[str] = []
    for name, backend in backends.items():
        if isinstance(backend, Exception):
            found[name] = {"missing": str(backend).removeprefix(f"backend '{name}': ")}
            continue
        found[name] = describe(backend)
        advice += _ADVICE.get(name, lambda facts, cpu: iter(()))(found[name], cpu)
    return Info(machine, found, advice)


def describe(backend: Backend) -> dict[str, Any]:
    """Return versions, devices and settings of a backend's library."""
    return _FACTS[backend.name.partition(":")[0]](backend)


def processor(path: Path = Path("/proc/cpuinfo")) -> Processor:
    """Return the processor from Linux's ``/proc/cpuinfo``, or only its name elsewhere."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return Processor(platform.processor() or platform.machine())
    entries = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip()}
    name, vendor, family, flags = (entries.get(key, "") for key in ("model name", "vendor_id", "cpu family", "flags"))
    return Processor(name or platform.machine(), vendor, family, frozenset(flags.split()))


def blas(backend: Backend) -> dict[str, Any]:
    """Return NumPy's BLAS: library, kernels, threads, and how products use them."""
    found = loaded_blas()
    if found is None:
        build: Any = np.show_config(mode="dicts")
        return {"blas": build["Build Dependencies"]["blas"]["name"], "products": "threads set by the library"}
    threads, how = found["num_threads"], f"threads set by {found['internal_api']}"
    if openblas() is not None:
        with backend.activate():
            threads = thread_count()
        how = f"one thread below {LARGE / 1e6:.0f} million multiplications, else in blocks"
    return {
        "blas": f"{found['internal_api']} {found['version']}",
        "kernels": found.get("architecture", "unknown"),
        "threads": threads,
        "products": how,
    }


def _numpy(backend: Backend) -> dict[str, Any]:
    return {"version": np.__version__, **blas(backend), "llvmlite": _installed("llvmlite")}


def _installed(package: str) -> str:
    """Return the version of a package without importing it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _torch(backend: Backend) -> dict[str, Any]:
    import torch

    devices = ", ".join(torch_backend.devices())
    return {"version": torch.__version__, "devices": devices, "threads": torch.get_num_threads()}


def _jax(backend: Backend) -> dict[str, Any]:
    import jax

    return {
        "version": jax.__version__,
        "devices": ", ".join(jax_backend.devices()),
        "float64": "on" if jax.config.jax_enable_x64 else "off (JAX_ENABLE_X64=1)",
        "matmul precision": jax.config.jax_default_matmul_precision
        or "default, on GPUs possibly TF32 (JAX_DEFAULT_MATMUL_PRECISION=highest)",
    }


def _cupy(backend: Backend) -> dict[str, Any]:
    import cupy

    names = [
        cupy.cuda.runtime.getDeviceProperties(i)["name"].decode() for i in range(cupy.cuda.runtime.getDeviceCount())
    ]
    return {
        "version": cupy.__version__,
        "devices": ", ".join(names),
        "cuda": cupy.cuda.runtime.runtimeGetVersion(),
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "tf32": "on" if os.environ.get("CUPY_TF32") == "1" else "off",
        **_slower(),
    }


def _slower() -> dict[str, str]:
    """Return the reasons why something runs in a slower way than it could, if there are any."""
    reasons = [f"{what} ({reason})" for what, reason in fallbacks.noted().items()]
    return {"slower in this process": ", ".join(reasons)} if reasons else {}


def _strict(backend: Backend) -> dict[str, Any]:
    return {"version": backend.xp.__version__, "for": "tests"}


_FACTS = {"numpy": _numpy, "torch": _torch, "jax": _jax, "cupy": _cupy, "strict": _strict}


def local_processes() -> int:
    """Return the number of processes that `mpiexec`, `srun` or `torchrun` started on this machine."""
    numbers = (os.environ.get(name, "").partition("(")[0] for name in LOCAL_PROCESSES)
    return next((int(number) for number in numbers if number.isdigit()), 1)


def _numpy_advice(facts: dict[str, Any], cpu: Processor) -> Iterator[str]:
    count, cores = local_processes(), os.cpu_count() or 1
    if count > 1 and "OPENBLAS_NUM_THREADS" not in os.environ:
        yield (
            f"numpy: {count} processes on this machine compete for its {cores} cores; set OPENBLAS_NUM_THREADS="
            f"{max(1, cores // count)} before they start"
        )
    if facts["llvmlite"] == "not installed":
        yield 'numpy: pip install "anynet-nn[fast]" speeds up activations and optimizer updates and leaves results unchanged'
    kernels, other = str(facts.get("kernels", "")), ""
    if kernels.startswith(AVX2_KERNELS) and "avx512f" in cpu.flags and not cpu.is_zen4:
        reason, other = f"its AVX2 kernels ({kernels}) on a processor with AVX-512", "SkylakeX"
    elif kernels.startswith(AVX512_KERNELS) and cpu.is_zen4:
        reason, other = f"its AVX-512 kernels ({kernels}) on a Zen 4, where AVX2 kernels were faster", "Haswell"
    if other:
        current = os.environ.get("OPENBLAS_CORETYPE")
        yield (
            f"numpy: OpenBLAS uses {reason}; OPENBLAS_CORETYPE={other}, set before Python starts"
            f"{f' (now {current})' if current else ''}, may be faster; to compare, run: {MEASURE_KERNELS}"
        )


def _jax_advice(facts: dict[str, Any], cpu: Processor) -> Iterator[str]:
    if "gpu" not in facts["devices"] and Path("/proc/driver/nvidia/version").exists():
        yield 'jax: the machine has an NVIDIA driver, but JAX has no CUDA plugin; run: pip install "jax[cuda13]"'


def _torch_advice(facts: dict[str, Any], cpu: Processor) -> Iterator[str]:
    if "cuda" not in facts["devices"] and Path("/proc/driver/nvidia/version").exists():
        yield "torch: the machine has an NVIDIA driver, but this PyTorch was built without CUDA"


def _cupy_advice(facts: dict[str, Any], cpu: Processor) -> Iterator[str]:
    if facts["tf32"] == "off":
        yield "cupy: CUPY_TF32=1, set before Python starts, speeds up float32 matrix products and rounds them to TF32"


_ADVICE = {"numpy": _numpy_advice, "jax": _jax_advice, "torch": _torch_advice, "cupy": _cupy_advice}
