"""Compile loops of elementwise operations to machine code with llvmlite, which the extra ``fast`` installs.

A loop reads its arrays once, keeps all intermediate results in registers, and writes its results. LLVM vectorizes it for the
processor. It may neither reassociate nor contract operations, so each result has the bits of NumPy's. Compilation takes 10 to
20 ms, of which Python holds the interpreter for 1 ms.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from anynet.arrays.symbols import Operation

TYPES = {"float32": "float", "float64": "double", "int32": "i32", "int64": "i64", "int8": "i8", "bool": "i1"}
"""The types of numbers in registers; a bool has 8 bits in memory."""
C_TYPES: dict[str, Any] = {
    "float32": ctypes.c_float,
    "float64": ctypes.c_double,
    "int8": ctypes.c_int8,
    "int32": ctypes.c_int32,
    "int64": ctypes.c_int64,
    "bool": ctypes.c_uint8,
}
"""The types of scalars that a kernel takes by value."""
Ufunc: TypeAlias = Callable[..., Any]
_FLOATS: dict[Ufunc, str] = {np.add: "fadd", np.subtract: "fsub", np.multiply: "fmul", np.divide: "fdiv"}
_BITWISE: dict[Ufunc, str] = {np.bitwise_and: "and", np.bitwise_or: "or", np.bitwise_xor: "xor"}
_INTEGERS = {
    np.add: "add",
    np.subtract: "sub",
    np.multiply: "mul",
    np.left_shift: "shl",
    np.right_shift: "ashr",
} | _BITWISE
_LOGICAL = {np.logical_and: "and", np.logical_or: "or"} | _BITWISE
_ORDERED: dict[Ufunc, str] = {np.less: "lt", np.less_equal: "le", np.greater: "gt", np.greater_equal: "ge"}
_COMPARISONS = _ORDERED | {np.equal: "eq", np.not_equal: "ne"}
_TAKES_SECOND = platform.machine().lower() in ("x86_64", "amd64")
"""Whether the processor's maximum of zeros of both signs is the second one, as in NumPy."""


class Access(NamedTuple):
    """The value and dtype of an array, and whether it changes along rows and columns."""

    value: int
    dtype: np.dtype
    by_row: bool = True
    by_column: bool = True

    @property
    def is_scalar(self) -> bool:
        """Whether the array is one number, which is passed by value."""
        return not (self.by_row or self.by_column)


class Loop(NamedTuple):
    """Operations for each row and column.

    `operations` has the number of each result. The targets of `stores` are positions in `loads` of arrays to overwrite, or
    None for an array of its own.
    """

    loads: tuple[Access, ...]
    operations: tuple[tuple[int, Operation], ...]
    stores: tuple[tuple[Access, int | None], ...]


def is_native(operation: Operation, dtypes: tuple[np.dtype, ...]) -> bool:
    """Return whether an operation on inputs of these dtypes can be part of a loop."""
    try:
        _instructions("%y", operation, ["%a"] * len(dtypes), dtypes)
    except KeyError:
        return False
    return True


def _instructions(name: str, operation: Operation, inputs: list[str], dtypes: tuple[np.dtype, ...]) -> list[str]:
    """Return the instructions of an operation; raise KeyError if it has none."""
    ufunc, dtype = operation.ufunc, dtypes[0]
    kind, number = TYPES[dtype.name], TYPES[operation.dtype.name]
    first, second = inputs[0], inputs[-1]
    if ufunc is np.where:
        return [f"{name} = select i1 {first}, {number} {inputs[1]}, {number} {inputs[2]}"]
    if ufunc is np.astype:
        if kind != "i1" or number not in ("float", "double"):
            raise KeyError(ufunc)
        return [f"{name} = uitofp i1 {first} to {number}"]
    if ufunc in _COMPARISONS:
        word = _COMPARISONS[ufunc]
        if dtype.kind == "f":
            return [f"{name} = fcmp {'une' if word == 'ne' else 'o' + word} {kind} {first}, {second}"]
        return [f"{name} = icmp {word if word in ('eq', 'ne') else 's' + word} {kind} {first}, {second}"]
    if dtype.kind == "b":
        if ufunc in (np.logical_not, np.invert):
            return [f"{name} = xor i1 {first}, true"]
        return [f"{name} = {_LOGICAL[ufunc]} i1 {first}, {second}"]
    if dtype.kind == "i":
        if ufunc in (np.left_shift, np.right_shift):
            count = operation.inputs[1]
            if isinstance(count, int) or not 0 <= count < 8 * dtype.itemsize:
                raise KeyError(ufunc)
        return [f"{name} = {_INTEGERS[ufunc]} {kind} {first}, {second}"]
    if ufunc is np.negative:
        return [f"{name} = fneg {kind} {first}"]
    bits = 8 * dtype.itemsize
    if ufunc in (np.sqrt, np.absolute):
        return [f"{name} = call {kind} @llvm.{'sqrt' if ufunc is np.sqrt else 'fabs'}.f{bits}({kind} {first})"]
    if ufunc in (np.maximum, np.minimum):
        if not _TAKES_SECOND:
            return [f"{name} = call {kind} @llvm.{ufunc.__name__}.f{bits}({kind} {first}, {kind} {second})"]
        return [  # the first if it is NaN or beyond the second, as in NumPy
            f"{name}.nan = fcmp uno {kind} {first}, {first}",
            f"{name}.beyond = fcmp {'ogt' if ufunc is np.maximum else 'olt'} {kind} {first}, {second}",
            f"{name}.first = or i1 {name}.nan, {name}.beyond",
            f"{name} = select i1 {name}.first, {kind} {first}, {kind} {second}",
        ]
    return [f"{name} = {_FLOATS[ufunc]} {kind} {first}, {second}"]


def _constant(value: np.generic) -> str:
    if value.dtype.kind == "f":
        return f"0x{np.float64(value).view(np.uint64):016X}"
    return str(int(value))


def source(loop: Loop) -> str:
    """Return the loop as a function of numbers of rows and columns, and of pointers."""
    arrays = [*loop.loads, *[access for access, target in loop.stores if target is None]]
    owned = iter(range(len(loop.loads), len(arrays)))
    targets = [next(owned) if target is None else target for _, target in loop.stores]
    kinds = [_memory(access.dtype) if access.is_scalar else "ptr noalias" for access in arrays]
    parameters = "".join(f", {kind} %a{i}" for i, kind in enumerate(kinds))
    lines = [f"define void @kernel(i64 %rows, i64 %columns{parameters}) {{", "entry:"]
    for i, access in enumerate(arrays):
        if access.is_scalar:
            lines += _named(access, f"%a{i}")
    lines += ["  br label %row", "row:", "  %r = phi i64 [0, %entry], [%r.next, %row.end]"]
    for i, access in enumerate(arrays):  # the start of the row
        if access.is_scalar:
            continue
        stride = "%r" if not access.by_column else f"%o{i}"
        if access.by_row and access.by_column:
            lines.append(f"  %o{i} = mul i64 %r, %columns")
        start = stride if access.by_row else "0"
        lines.append(f"  %p{i} = getelementptr inbounds {_memory(access.dtype)}, ptr %a{i}, i64 {start}")
        if i < len(loop.loads) and not access.by_column:
            lines += _load(access, f"%p{i}")
    lines += ["  br label %column", "column:", "  %c = phi i64 [0, %row], [%c.next, %column]"]
    for i, access in enumerate(arrays):
        if access.by_column:
            lines.append(f"  %q{i} = getelementptr inbounds {_memory(access.dtype)}, ptr %p{i}, i64 %c")
            if i < len(loop.loads):
                lines += _load(access, f"%q{i}")
    dtypes = {access.value: access.dtype for access in loop.loads}
    for value, operation in loop.operations:
        inputs = [f"%v{i}" if isinstance(i, int) else _constant(i) for i in operation.inputs]
        given = tuple([dtypes[i] if isinstance(i, int) else i.dtype for i in operation.inputs])
        lines += ["  " + line for line in _instructions(f"%v{value}", operation, inputs, given)]
        dtypes[value] = operation.dtype
    for (access, _), i in zip(loop.stores, targets, strict=True):
        name = f"%v{access.value}"
        if access.dtype.kind == "b":
            lines.append(f"  %b{i} = zext i1 {name} to i8")
            name = f"%b{i}"
        lines.append(f"  store {_memory(access.dtype)} {name}, ptr %q{i}")
    lines += ["  %c.next = add nuw i64 %c, 1", "  %c.done = icmp eq i64 %c.next, %columns"]
    lines += ["  br i1 %c.done, label %row.end, label %column", "row.end:", "  %r.next = add nuw i64 %r, 1"]
    lines += ["  %r.done = icmp eq i64 %r.next, %rows", "  br i1 %r.done, label %exit, label %row"]
    lines += ["exit:", "  ret void", "}"]
    for number, bits in (("float", 32), ("double", 64)):
        lines += [f"declare {number} @llvm.{name}.f{bits}({number})" for name in ("sqrt", "fabs")]
        lines += [f"declare {number} @llvm.{name}.f{bits}({number}, {number})" for name in ("maximum", "minimum")]
    return "\n".join(lines)


def _memory(dtype: np.dtype) -> str:
    return "i8" if dtype.kind == "b" else TYPES[dtype.name]


def _load(access: Access, pointer: str) -> list[str]:
    name = f"%m{access.value}"
    return [f"  {name} = load {_memory(access.dtype)}, ptr {pointer}", *_named(access, name)]


def _named(access: Access, name: str) -> list[str]:
    """Give a number from memory the name of its value."""
    if access.dtype.kind == "b":
        return [f"  %v{access.value} = icmp ne i8 {name}, 0"]
    return [f"  %v{access.value} = bitcast {_memory(access.dtype)} {name} to {_memory(access.dtype)}"]


@cache
def llvmlite() -> ModuleType | None:
    """Return llvmlite's binding of LLVM, ready to compile for this processor, or None without llvmlite."""
    try:
        import llvmlite.binding as binding
    except ImportError:
        return None
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding


def compile_loop(loop: Loop) -> Callable[..., None]:
    """Return ``kernel(rows, columns, *arguments)``, which needs at least one row and one column.

    The arguments are the addresses of the arrays of `loads`, or numbers for scalars, and those of the arrays that are written.
    """
    binding = llvmlite()
    assert binding is not None
    machine: Any = binding.Target.from_default_triple().create_target_machine(
        opt=3, cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), jit=True
    )
    module = binding.parse_assembly(source(loop))
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    options = binding.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    passes = binding.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    loads = [C_TYPES[access.dtype.name] if access.is_scalar else ctypes.c_void_p for access in loop.loads]
    own = sum(target is None for _, target in loop.stores)
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_size_t, ctypes.c_size_t, *loads, *[ctypes.c_void_p] * own)
    kernel: Any = prototype(engine.get_function_address("kernel"))
    kernel.engine = engine  # which owns the machine code
    return kernel
