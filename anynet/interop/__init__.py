"""anynet's layers inside the automatic differentiation of other libraries, and other libraries' modules as layers.

==========================================  ==========================================================
`anynet.interop.torch.Module`               a network as a ``torch.nn.Module``
`anynet.interop.torch.TorchModule`          a ``torch.nn.Module`` as a layer
`anynet.interop.jax.function`               a network as a function that JAX differentiates
==========================================  ==========================================================

Each module imports its library and is therefore imported explicitly: ``from anynet.interop.torch import Module``.
"""
