"""torch.distributed, for processes that `torchrun` started."""

from __future__ import annotations

import atexit
import os
from typing import Any

import numpy as np

from anynet.backends.base import Backend
from anynet.distributed.base import Communicator, end_all_after_exceptions


class Torch(Communicator):
    """Processes of torch.distributed: gloo for arrays on the host, NCCL for tensors on GPUs.

    An existing process group is used; otherwise one is created from the variables that `torchrun` sets.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    ValueError
        If there is no process group, and the process was not started by `torchrun`.
    """

    def __init__(self) -> None:
        try:
            import torch
            from torch import distributed
        except ImportError:
            raise ImportError(
                "distributed 'torch': expected the package torch to be installed, got none; run: pip install torch"
            ) from None
        if not distributed.is_initialized():
            if "WORLD_SIZE" not in os.environ:
                raise ValueError(
                    "distributed 'torch': expected a process that torchrun started, got no WORLD_SIZE in the environment; run: "
                    "torchrun --nproc-per-node 2 train.py"
                )
            distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
            atexit.register(distributed.destroy_process_group)
        self._torch, self._distributed = torch, distributed
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self.local_rank = int(os.environ.get("LOCAL_RANK", self.rank))
        end_all_after_exceptions(self)

    def attach(self, backend: Backend) -> None:
        self.on_device = backend.name.startswith("torch:cuda")

    def sum(self, array: Any) -> Any:
        # a tensor of a NumPy array has its memory
        self._distributed.all_reduce(self._torch.from_numpy(array) if isinstance(array, np.ndarray) else array)
        return array

    def gather(self, value: Any) -> list[Any]:
        values = [None] * self.size
        self._distributed.all_gather_object(values, value)
        return values

    def abort(self) -> None:
        os._exit(1)  # torchrun ends the others
