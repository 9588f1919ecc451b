"""What can run on this machine, and where speed is left lying."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from anynet.backends.base import Backend

AVX2_KERNELS = ("Haswell", "Zen")
"""Names of OpenBLAS's kernels for processors without AVX-512."""

AVX512_KERNELS = ("SkylakeX", "Cooperlake", "SapphireRapids")

MEASURE_KERNELS = (
    "for k in Haswell SkylakeX; do OPENBLAS_CORETYPE=$k python -m timeit "
    '-s "import numpy as np; a = np.ones((512, 512), np.float32)" "a @ a"; done'
)
"""Times a product with either kind of kernels, in a shell."""


@dataclass(frozen=True)
class Processor:
    """What is known of a processor; on Linux more than its name."""

    name: str
    vendor: str = ""
    family: str = ""
    flags: frozenset[str] = frozenset()

    @property
    def is_zen4(self) -> bool:
        """Whether it is AMD's Zen 4: Zen 3, of the same family, has no AVX-512."""
        return self.vendor == "AuthenticAMD" and self.family == "25" and "avx512f" in self.flags


@dataclass(frozen=True)
class Info:
    """What `anynet.backends.info` found.

    Attributes
    ----------
    machine : dict
        Processor, cores, Python and system.
    backends : dict
        For each backend that runs here: version, devices, threads; for each other why it does not.
    advice : list of str
        What would make it faster.
    """

    machine: dict[str, Any]
    backends: dict[str, dict[str, Any]]
    advice: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [", ".join(f"{name} {value}" for name, value in self.machine.items())]
        for name, facts in self.backends.items():
            lines.append(f"  {name:7}" + "; ".join(v if k == "missing" else f"{k} {v}" for k, v in facts.items()))
        return "\n".join([*lines, *(f"advice: {line}" for line in self.advice)])

    __repr__ = __str__


def collect() -> Info:
    """Look at the machine and at each backend; imports every library that is installed."""
    from anynet.backends import NAMES, get

    cpu = processor()
    machine = {
        "python": platform.python_version(),
        "on": platform.system(),
        "processor": cpu.name,
        "cores": os.cpu_count(),
    }
    found: dict[str, dict[str, Any]] = {}
    advice: list[str] = []
    for name in NAMES:
        try:
            backend = get(name)
        except (ImportError, RuntimeError) as error:
            found[name] = {"missing": str(error).removeprefix(f"backend '{name}': ")}
            continue
        found[name] = _FACTS[name](backend)
        advice += _ADVICE.get(name, lambda facts, cpu: iter(()))(found[name], cpu)
    return Info(machine, found, advice)


def processor(path: Path = Path("/proc/cpuinfo")) -> Processor:
    """Return what Linux tells of the processor, elsewhere its name."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return Processor(platform.processor() or platform.machine())
    entries = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip()}
    name, vendor, family, flags = (entries.get(key, "") for key in ("model name", "vendor_id", "cpu family", "flags"))
    return Processor(name or platform.machine(), vendor, family, frozenset(flags.split()))


def blas() -> dict[str, Any]:
    """Return the BLAS that NumPy calls: library, kernels and threads; only its name without threadpoolctl."""
    import numpy as np

    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        dependencies: Any = np.show_config(mode="dicts")
        return {"blas": dependencies["Build Dependencies"]["blas"]["name"]}
    for pool in threadpool_info():
        if pool["user_api"] == "blas" and "numpy" in pool["filepath"]:
            return {
                "blas": f"{pool['internal_api']} {pool['version']}",
                "kernels": pool.get("architecture", "unknown"),
                "threads": pool["num_threads"],
            }
    return {"blas": "none that threadpoolctl knows"}


def _numpy(backend: Backend) -> dict[str, Any]:
    import numpy as np

    try:
        numba = version("numba")
    except PackageNotFoundError:
        numba = "not installed"
    return {"version": np.__version__, **blas(), "numba": numba}


def _torch(backend: Backend) -> dict[str, Any]:
    import torch

    from anynet.backends.torch import devices

    return {"version": torch.__version__, "devices": ", ".join(devices()), "threads": torch.get_num_threads()}


def _jax(backend: Backend) -> dict[str, Any]:
    import jax

    from anynet.backends.jax import devices

    return {
        "version": jax.__version__,
        "devices": ", ".join(devices()),
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
        "tf32": "on" if os.environ.get("CUPY_TF32") == "1" else "off",
    }


def _strict(backend: Backend) -> dict[str, Any]:
    return {"version": version("array-api-strict"), "for": "tests"}


_FACTS = {"numpy": _numpy, "torch": _torch, "jax": _jax, "cupy": _cupy, "strict": _strict}


def _numpy_advice(facts: dict[str, Any], cpu: Processor) -> Iterator[str]:
    if facts["numba"] == "not installed":
        yield 'numpy: pip install "anynet-nn[fast]" makes the optimiser several times as fast, and changes no number'
    kernels, other = str(facts.get("kernels", "")), ""
    if kernels.startswith(AVX2_KERNELS) and "avx512f" in cpu.flags and not cpu.is_zen4:
        why, other = f"its {kernels} kernels, for AVX2, on a processor with AVX-512", "SkylakeX"
    elif kernels.startswith(AVX512_KERNELS) and cpu.is_zen4:
        why, other = (
            f"its {kernels} kernels, for AVX-512, on a Zen 4, where those for AVX2 were seen to be faster",
            "Haswell",
        )
    if other:
        now = os.environ.get("OPENBLAS_CORETYPE")
        yield (
            f"numpy: OpenBLAS runs {why}; whether OPENBLAS_CORETYPE={other}, set before Python starts"
            f"{f' (it is {now} now)' if now else ''}, is faster here is worth measuring: {MEASURE_KERNELS}"
        )


def _jax_advice(facts: dict[str, Any], cpu: Processor) -> Iterator[str]:
    if "gpu" not in facts["devices"] and Path("/proc/driver/nvidia/version").exists():
        yield 'jax: there is an NVIDIA driver, but JAX has no plugin for it: pip install "jax[cuda13]"'


def _torch_advice(facts: dict[str, Any], cpu: Processor) -> Iterator[str]:
    if "cuda" not in facts["devices"] and Path("/proc/driver/nvidia/version").exists():
        yield "torch: there is an NVIDIA driver, but this PyTorch was built without CUDA"


def _cupy_advice(facts: dict[str, Any], cpu: Processor) -> Iterator[str]:
    if facts["tf32"] == "off":
        yield "cupy: CUPY_TF32=1, set before Python starts, makes float32 matrix products faster and a little less exact"


_ADVICE = {"numpy": _numpy_advice, "jax": _jax_advice, "torch": _torch_advice, "cupy": _cupy_advice}
