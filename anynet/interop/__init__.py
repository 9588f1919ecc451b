"""anynet's layers inside the automatic differentiation of other libraries, and other libraries' modules as layers.

==========================================  ==========================================================
`anynet.interop.jax.function`               a network as a function that JAX differentiates
`anynet.interop.torch.TorchModule`          a ``torch.nn.Module`` as a layer
==========================================  ==========================================================

Each module imports its library and is therefore imported explicitly: ``from anynet.interop.torch import TorchModule``.
"""
