"""JAX backend: training steps compiled by XLA, on CPU, GPU or TPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from array_api_compat import is_torch_array

from anynet import tree
from anynet.arrays.convert import is_on_gpu, to_numpy
from anynet.arrays.namespace import Array
from anynet.backends.base import Backend, Step, bad_device, missing
from anynet.tree import map_arrays


class JaxBackend(Backend):
    """JAX arrays; functions are jitted, and a step reuses the memory of its old carry.

    Parameters
    ----------
    device : str, optional
        Platform and number, such as ``"cpu:1"``. ``"all"`` splits the examples of each batch over all devices, and keeps
        everything else on each of them; after ``jax.distributed.initialize()``, these are the devices of all processes.
    """

    steps_per_call = 32
    is_traced = True

    def __init__(self, device: str | None = None) -> None:
        try:
            import jax
        except ImportError:
            raise missing("jax", "jax", "pip install jax") from None
        import jax.numpy as xp

        platform, _, index = ("" if device == "all" else device or "").partition(":")
        try:
            found = jax.devices(platform or None)
            self._first = found[int(index or 0)]
        except (RuntimeError, IndexError, ValueError):
            hint = '; for an NVIDIA GPU run: pip install "jax[cuda13]"' if platform in ("gpu", "cuda") else ""
            raise bad_device("jax", str(device), "one of " + ", ".join(map(repr, [*devices(), "all"])), hint) from None
        from anynet.backends import jax_carry

        self.xp, self._jax, self._carry = xp, jax, jax_carry
        self.device: Any = self._first
        self._batch: Any = None
        if device == "all":
            mesh = jax.sharding.Mesh(np.array(found), ("batch",))
            self.device, self._batch = (
                jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes)) for axes in ((), ("batch",))
            )
        self.name = "jax" if device is None else f"jax:{device}"

    def dtype(self, name: str) -> Any:
        dtype = super().dtype(name)
        if name == "float64" and not self._jax.config.jax_enable_x64:
            raise ValueError(
                "dtype: expected 'float32' while jax_enable_x64 is off, got 'float64'; to enable it, run "
                'jax.config.update("jax_enable_x64", True) before creating any JAX array, or set JAX_ENABLE_X64=1'
            )
        return dtype

    def asarray(self, x: Any, dtype: Any = None, *, copy: bool | None = None) -> Array:
        if self._first.platform == "gpu" and not isinstance(x, self._jax.Array) and is_on_gpu(x):
            x = self._jax.dlpack.from_dlpack(x.detach() if is_torch_array(x) else x)
            copy = True  # the memory is shared, and JAX may read it after its owner has changed it
        if isinstance(x, self._jax.Array):
            if not copy and dtype in (None, x.dtype) and x.device == self.device:
                return x
            x = self.xp.array(x, dtype=dtype, copy=copy)
        else:
            x = to_numpy(x)
            new = np.dtype(self._jax.dtypes.canonicalize_dtype(x.dtype if dtype is None else dtype))
            if new.kind in "iu" and x.dtype.kind in "iu" and new.itemsize < x.dtype.itemsize:
                _check_fits(x, new)
            # JAX may keep the memory of a NumPy array and read it after the caller has refilled it
            x = np.array(x, dtype=new)
        return self._jax.device_put(x, self.device)

    def device_key(self, x: Array) -> Any:
        return getattr(x, "sharding", None)

    def to_numpy(self, x: Array) -> np.ndarray:
        return np.asarray(x)

    def shares_memory(self, a: Array, b: Array) -> bool:
        return False  # JAX arrays are immutable

    def free_memory(self) -> int | None:
        stats = None if self._first.platform == "cpu" else self._first.memory_stats()
        return None if stats is None else stats["bytes_limit"] - stats["bytes_in_use"]

    def synchronize(self) -> None:
        self._jax.device_put(0.0, self.device).block_until_ready()

    def compile(self, function: Callable[..., Any], *, donate: Sequence[int] = ()) -> Callable[..., Any]:
        return self._jax.jit(function, donate_argnums=tuple(donate), **self._placed)

    @property
    def _placed(self) -> dict[str, Any]:
        """Options of `jax.jit` that place results on all devices."""
        return {} if self._batch is None else {"out_shardings": self.device}

    def over_devices(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if self._batch is None:
            return function
        split = self._jax.lax.with_sharding_constraint

        def run(params: Any, *batch: Any) -> Any:
            # parts of an uneven batch differ in size, which only a compiled function allows
            x, y, weight = [map_arrays(lambda a: split(a, self._batch), part) for part in (*batch, None)[:3]]
            return function(params, x, y, weight, *batch[3:])

        return run

    def compile_step(self, step: Step) -> Step:
        carry_type, as_carry, pack, unpack = (
            self._carry.JaxCarry,
            self._carry.as_carry,
            self._carry.pack,
            self._carry.unpack,
        )

        def packed(carry: Any, *args: Any) -> tuple[Any, Any]:
            state, out = step(unpack(carry), *args)
            return pack(state), out

        compiled = self._jax.jit(packed, donate_argnums=0, **self._placed)

        def run(carry: Any, *args: Any) -> tuple[Any, Any]:
            return compiled(carry if type(carry) is carry_type else as_carry(carry), *args)

        return run

    def elementwise(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        return self._carry.run_joined(rule)

    def loop(self, step: Step, *, compiled: bool = True) -> Callable[..., tuple[Any, list[Any]]]:
        if not compiled:
            return super().loop(step, compiled=False)
        jax, xp, carried = self._jax, self.xp, self._carry
        cut = jax.lax.dynamic_slice_in_dim

        def batch(data: Sequence[Any], order: Array | None, start: Array, size: int) -> list[Any]:
            if order is None:
                return [map_arrays(lambda a: cut(a, start, size), a) for a in data]
            index = cut(order, start, size)
            # Every index is in range, so no check is needed.
            return [map_arrays(lambda a: xp.take(a, index, axis=0, mode="clip"), a) for a in data]

        def one(carry: Any, data: Sequence[Any], order: Array | None, start: Array, size: int) -> Any:
            state, out = step(carried.unpack(carry), *batch(data, order, start, size))
            return carried.pack(state), out

        def many(carry: Any, data: Sequence[Any], order: Array | None, start: Array, count: Array, size: int) -> Any:
            def body(i: Array, state: tuple[Any, Any]) -> tuple[Any, Any]:
                carry, out = one(state[0], data, order, start + i * size, size)
                return carry, jax.tree.map(lambda all, row: all.at[i].set(row), state[1], out)

            _, out = jax.eval_shape(partial(one, size=size), carry, data, order, start)
            outs = jax.tree.map(lambda a: xp.zeros((self.steps_per_call, *a.shape), a.dtype), out)
            return jax.lax.fori_loop(0, count, body, (carry, outs))

        one_step = jax.jit(one, static_argnames="size", donate_argnums=0, **self._placed)
        many_steps = jax.jit(many, static_argnames="size", donate_argnums=0, **self._placed)

        def run(
            carry: Any, data: Sequence[Any], order: Array | None, start: int, stop: int, size: int
        ) -> tuple[Any, list[Any]]:
            # Batches of `size` examples in loops of any length, which is one compilation, and other batches alone.
            outs: list[Any] = []
            carry, data = carried.as_carry(carry), tuple(data)
            while (stop - start) // size and tree.leaves(data)[0].shape[0] > size:
                count = min((stop - start) // size, self.steps_per_call)
                carry, out = many_steps(carry, data, order, start, count, size)
                leaves, structure = jax.tree.flatten(out)
                rows = [
                    leaf[:count] for leaf in map(np.asarray, _sent(leaves))
                ]  # unstacked on the host without a dispatch
                outs += map(structure.unflatten, zip(*rows, strict=True))
                start += size * count
            for i in range(start, stop, size):
                carry, out = one_step(carry, data, order, i, min(size, stop - i))
                _sent(jax.tree.leaves(out))
                outs.append(out)
            return carry, outs

        return run


def _sent(out: list[Any]) -> list[Any]:
    """Return arrays after their transfers to the host have started."""
    for array in out:
        array.copy_to_host_async()
    return out


def _check_fits(x: np.ndarray, dtype: np.dtype) -> None:
    """Raise if an integer would wrap around, as a label 2³² would become 0 in int32."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if x.size and not low <= int(x.min()) <= int(x.max()) <= high:
        actual = f"{x.min()} to {x.max()}"
        raise ValueError(
            f"expected integers from {low} to {high} on JAX without 64 bits, got {actual}; set JAX_ENABLE_X64=1"
        )


def devices() -> list[str]:
    """Return the names of JAX's devices."""
    import jax

    names = []
    for platform in ("cpu", "gpu", "tpu"):
        try:
            names += [f"{platform}:{i}" for i in range(len(jax.devices(platform)))]
        except RuntimeError:
            continue
    return names
