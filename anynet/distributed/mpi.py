"""MPI through mpi4py, for arrays of any backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from anynet.distributed.base import Communicator, end_all_after_exceptions

INSTALL = "pip install mpi4py mpich"


class MPI(Communicator):
    """Processes that `mpiexec` or `srun` started.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, optional
        Communicator of mpi4py; by default, that of all processes.

    Raises
    ------
    ImportError
        If mpi4py or an MPI library is not installed.
    """

    def __init__(self, comm: Any = None) -> None:
        try:
            from mpi4py import MPI as mpi
        except (ImportError, RuntimeError) as error:  # RuntimeError: mpi4py finds no MPI library
            missing = "mpi4py" if isinstance(error, ImportError) else "mpich"
            raise ImportError(
                f"distributed 'mpi': expected the package {missing} to be installed, got none; run: {INSTALL}"
            ) from None
        self._mpi, self._comm = mpi, mpi.COMM_WORLD if comm is None else comm
        self.rank, self.size = self._comm.Get_rank(), self._comm.Get_size()
        host = self._comm.Split_type(mpi.COMM_TYPE_SHARED)
        self.local_rank = host.Get_rank()
        host.Free()
        end_all_after_exceptions(self)

    def sum(self, array: np.ndarray) -> np.ndarray:
        self._comm.Allreduce(self._mpi.IN_PLACE, array)
        return array

    def gather(self, value: Any) -> list[Any]:
        return self._comm.allgather(value)

    def abort(self) -> None:
        self._comm.Abort(1)
