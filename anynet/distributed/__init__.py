"""Data-parallel training on several processes.

==================  ==============================================================================================
`MPI`               mpi4py, for arrays of any backend; processes start with ``mpiexec`` or ``srun``
`NCCL`              NVIDIA GPUs with CuPy arrays, on processes of MPI
`Torch`             torch.distributed; processes start with ``torchrun``
`Communicator`      base class of these, for engines of your own
`RankError`         an error on another process
==================  ==============================================================================================

Training on several processes has the result of one process with the whole batch, up to rounding. So `batch_size` and the
learning rate keep their values for any number of processes.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec

from anynet.distributed.base import Communicator, RankError
from anynet.distributed.mpi import MPI
from anynet.distributed.nccl import NCCL
from anynet.distributed.torch import Torch

__all__ = ["MPI", "NAMES", "NCCL", "Communicator", "RankError", "Torch", "device_of", "get"]

_CLASSES = {"mpi": MPI, "nccl": NCCL, "torch": Torch}
NAMES = tuple(_CLASSES)


def get(name: str | Communicator) -> Communicator:
    """Return the communicator of a name: ``"mpi"``, ``"nccl"`` or ``"torch"``; a `Communicator` is returned unchanged.

    Raises
    ------
    TypeError, ValueError
        If there is no such name.
    ImportError
        If the engine is not installed.
    """
    if isinstance(name, Communicator):
        return name
    if not isinstance(name, str):
        raise TypeError(f"distributed: expected a name or a Communicator, got {name!r}")
    if name not in _CLASSES:
        raise ValueError(f"distributed: expected one of {', '.join(map(repr, NAMES))}, got {name!r}")
    return _engine(name)


@cache
def _engine(name: str) -> Communicator:
    """Return the one communicator of all processes."""
    return _CLASSES[name]()


def device_of(communicator: Communicator, backend: str, device: str | None) -> str | None:
    """Return the device of this process, given those of a model.

    It is the GPU of the local rank if they name a kind of GPU without a number.
    """
    name, _, suffix = backend.partition(":")
    kind = ":".join(part for part in (name, suffix or device) if part)
    if communicator.size == 1 or kind not in ("cupy", "torch:cuda"):
        return device
    if find_spec(name) is None:
        return device
    library = import_module(name)
    count = library.cuda.runtime.getDeviceCount() if name == "cupy" else library.cuda.device_count()
    number = str(communicator.local_rank % max(count, 1))
    return number if name == "cupy" else f"cuda:{number}"
