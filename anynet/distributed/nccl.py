"""NCCL through CuPy, for one GPU per process."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

from anynet.backends.base import Backend
from anynet.distributed.base import Communicator, ranks_text
from anynet.distributed.mpi import MPI


class NCCL(Communicator):
    """Processes with one NVIDIA GPU each, whose arrays are summed on the GPUs.

    MPI starts the processes and carries what is on the host. No process waits for its GPU.

    Parameters
    ----------
    control : MPI, optional
        Communicator for values on the host.
    """

    on_device = True

    def __init__(self, control: Communicator | None = None) -> None:
        self.control = MPI() if control is None else control
        self.rank, self.size, self.local_rank = self.control.rank, self.control.size, self.control.local_rank
        self._backend: Backend | None = None

    def attach(self, backend: Backend) -> None:
        if backend.name.partition(":")[0] != "cupy":
            raise ValueError(
                f"distributed 'nccl': expected backend='cupy', got {backend.name!r}; use distributed='mpi'"
            )
        if self.size == 1 or (self._backend is not None and self._backend.device == backend.device):
            return
        from cupy.cuda import nccl, runtime

        gpu = (platform.node(), runtime.deviceGetPCIBusId(backend.device.id))
        gpus = self.control.gather(gpu)
        shared = [rank for rank, each in enumerate(gpus) if gpus.count(each) > 1]
        if shared:
            raise ValueError(
                f"distributed 'nccl': expected one GPU per process, got the same one on {ranks_text(shared)}; start fewer "
                "processes per host, or use distributed='mpi'"
            )
        identifier = self.control.gather(nccl.get_unique_id() if self.rank == 0 else None)[0]
        with backend.device:
            self._nccl = nccl.NcclCommunicator(self.size, identifier, self.rank)
        self._types = {"float32": nccl.NCCL_FLOAT32, "float64": nccl.NCCL_FLOAT64}
        self._sum, self._backend = nccl.NCCL_SUM, backend

    def sum(self, array: Any) -> Any:
        if isinstance(array, np.ndarray):
            return self.control.sum(array)
        from cupy.cuda import get_current_stream

        pointer, kind = array.data.ptr, self._types[array.dtype.name]
        self._nccl.allReduce(pointer, pointer, array.size, kind, self._sum, get_current_stream().ptr)
        return array

    def gather(self, value: Any) -> list[Any]:
        return self.control.gather(value)

    def abort(self) -> None:
        self.control.abort()
