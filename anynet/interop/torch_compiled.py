"""The pass of a `Module` as one operation of the graphs of ``torch.compile`` and ``torch.export``.

TorchDynamo reads Python and would stop at array-api-compat. ``nonstrict_trace`` hides the pass from it; AOTAutograd then runs
the pass, forward and backward, on fake tensors and records PyTorch's own operations. Importing TorchDynamo takes a second, so
`Module` imports this file only while it is compiled.
"""

from __future__ import annotations

import torch._dynamo as dynamo
from torch.utils import _pytree as pytree

from anynet.interop.torch_pass import Plan, run

if hasattr(dynamo, "nonstrict_trace") and hasattr(pytree, "register_constant"):  # from PyTorch 2.7
    pytree.register_constant(Plan)
    run_compiled = dynamo.nonstrict_trace(run)
else:
    run_compiled = dynamo.disable(run)
