"""anynet's layers inside the automatic differentiation of other libraries.

`anynet.interop.jax.function` returns a network as a function that JAX differentiates. The module imports its library and is
therefore imported explicitly: ``from anynet.interop.jax import function``.
"""
