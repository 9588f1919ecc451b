"""Run an update rule over all parameters in one kernel of CuPy.

`cupy.fuse` makes a kernel for arrays of one shape, and so one launch for each parameter. Here the rule is traced on objects that
write CUDA source, and a kernel receives a table of the addresses and sizes of many parameters as an argument.

>>> print(*trace_rule(lambda p, g, rate: (p - rate * g,), slots=0, coefficients=1), sep="\\n")
const T t0 = c0 * a1;
const T t1 = a0 - t0;
a0 = t1;
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from anynet.arrays import fallbacks

TABLE_BYTES = 3800
"""Upper bound of the table of a launch; all arguments of a kernel must fit into 4 KiB."""
THREADS, PER_THREAD = 256, 4
Run = Callable[[Sequence[tuple[Any, ...]], tuple[Any, ...]], None]


class UntraceableRuleError(Exception):
    """The rule uses something that `Term` does not have."""


class Term:
    """A number of the kernel: operations add a line to its source."""

    __array_ufunc__ = None

    def __init__(self, name: str, lines: list[str]) -> None:
        self.name, self.lines = name, lines

    def __array_namespace__(self, api_version: str | None = None) -> type[Functions]:
        return Functions

    def assign(self, expression: str) -> Term:
        name = f"t{len(self.lines)}"
        self.lines.append(f"const T {name} = {expression};")
        return Term(name, self.lines)

    def _with(self, operator: str, other: Any, swapped: bool = False) -> Term:
        if not isinstance(other, Term):
            raise UntraceableRuleError(f"{operator} with {other!r}")
        left, right = (other, self) if swapped else (self, other)
        return self.assign(f"{left.name} {operator} {right.name}")

    def __neg__(self) -> Term:
        return self.assign(f"-{self.name}")

    def __add__(self, other: Any) -> Term:
        return self._with("+", other)

    def __sub__(self, other: Any) -> Term:
        return self._with("-", other)

    def __mul__(self, other: Any) -> Term:
        return self._with("*", other)

    def __truediv__(self, other: Any) -> Term:
        return self._with("/", other)


class Functions:
    """The namespace of terms: the functions of `anynet.arrays.elementwise`."""

    @staticmethod
    def sqrt(x: Term) -> Term:
        return x.assign(f"sqrt({x.name})")

    @staticmethod
    def maximum(x: Term, y: Term) -> Term:
        # as NumPy's, NaN if either is
        return x.assign(f"({x.name} != {x.name} || {x.name} > {y.name}) ? {x.name} : {y.name}")


def trace_rule(rule: Callable[..., Any], slots: int, coefficients: int) -> list[str]:
    """Return the lines of CUDA source that apply a rule.

    Parameter, gradient and slots of an element are a0, a1, a2 and so on; coefficients are c0, c1 and so on.
    """
    lines: list[str] = []
    arrays = [Term(f"a{i}", lines) for i in range(2 + slots)]
    new = rule(*arrays, *[Term(f"c{i}", lines) for i in range(coefficients)])
    changed = [(old, value) for old, value in zip((arrays[0], *arrays[2:]), new, strict=True) if old is not value]
    if not all(isinstance(value, Term) for _, value in changed):
        raise UntraceableRuleError("a result that is no array")
    finals = [value.assign(value.name) if value in arrays else value for _, value in changed]
    return lines + [f"{old.name} = {value.name};" for (old, _), value in zip(changed, finals, strict=True)]


def rule_source(name: str, lines: Sequence[str], arrays: int, by_value: Sequence[bool], number: str) -> str:
    """Return the source of a kernel: each block updates `THREADS` × `PER_THREAD` elements of one parameter."""
    parameters = "".join(f", const T {'' if v else '*'}{'c' if v else 'p'}{i}" for i, v in enumerate(by_value))
    loads = "".join(f"const T c{i} = *p{i}; " for i, v in enumerate(by_value) if not v)
    read = "".join(f"T a{i} = x{i}[i]; " for i in range(arrays))
    write = "".join(f"x{i}[i] = a{i}; " for i in range(arrays) if i != 1)
    groups = group_limit(arrays)
    pointers = "".join(f"T *x{i} = (T *)table.array[group][{i}]; " for i in range(arrays))
    body = "\n        ".join(lines)
    return f"""
typedef {number} T;
struct Table {{ long long array[{groups}][{arrays}]; long long size[{groups}]; int last_block[{groups}]; }};
extern "C" __global__ void {name}(const Table table{parameters}) {{
    int group = 0;
    while ((int)blockIdx.x >= table.last_block[group]) ++group;
    const long long first = blockIdx.x - (group ? table.last_block[group - 1] : 0);
    const long long stop = min((first + 1) * {THREADS * PER_THREAD}, table.size[group]);
    {pointers}
    {loads}
    for (long long i = first * {THREADS * PER_THREAD} + threadIdx.x; i < stop; i += {THREADS}) {{
        {read}
        {body}
        {write}
    }}
}}
"""


def group_limit(arrays: int) -> int:
    """Return the number of parameters per launch, each with `arrays` arrays."""
    return TABLE_BYTES // (8 * arrays + 12)


@cache
def _kernel(cupy: ModuleType, rule: Callable[..., Any], slots: int, by_value: tuple[bool, ...], number: str) -> Any:
    """Return the kernel of a rule, or None if the rule cannot be traced."""
    try:
        lines = trace_rule(rule, slots, len(by_value))
    except (
        Exception
    ) as error:  # a rule may use anything of its arrays' namespace, and each missing thing has its own error
        fallbacks.note(f"update rule {rule.__name__} in one kernel per parameter", error)
        return None
    name = f"anynet_{rule.__name__}_{slots}"
    return cupy.RawKernel(rule_source(name, lines, 2 + slots, by_value, number), name)


def run_together(cupy: ModuleType, rule: Callable[..., Any], run_each: Run) -> Run:
    """Return ``run(leaf_groups, coefficients)`` that updates all parameters in one kernel, in place.

    `run_each` takes over where the arrays of a group are not contiguous or differ in dtype or size, and for rules that cannot be
    traced.
    """

    def run(leaf_groups: Sequence[tuple[Any, ...]], coefficients: tuple[Any, ...]) -> None:
        dtype, width = leaf_groups[0][0].dtype, len(leaf_groups[0])
        number = {"float32": "float", "float64": "double"}.get(dtype.name)
        typed = [dtype.type(c) if isinstance(c, (int, float)) else c for c in coefficients]
        kernel = None
        if number is not None and all(c.dtype == dtype and c.ndim == 0 for c in typed) and _alike(leaf_groups, dtype):
            kernel = _kernel(cupy, rule, width - 2, tuple([isinstance(c, np.generic) for c in typed]), number)
        if kernel is None:
            return run_each(leaf_groups, coefficients)
        limit = group_limit(width)
        for start in range(0, len(leaf_groups), limit):
            table, blocks = _table(leaf_groups[start : start + limit], width)
            if blocks:
                kernel((blocks,), (THREADS,), (table, *typed))
        return None

    return run


def _alike(leaf_groups: Sequence[tuple[Any, ...]], dtype: Any) -> bool:
    return all(
        array.dtype == dtype and array.size == group[0].size and array.flags.c_contiguous
        for group in leaf_groups
        for array in group
    )


@cache
def _table_dtype(width: int) -> np.dtype:
    limit = group_limit(width)
    fields = [("array", np.int64, (limit, width)), ("size", np.int64, (limit,)), ("last_block", np.int32, (limit,))]
    return np.dtype(fields, align=True)


def _table(leaf_groups: Sequence[tuple[Any, ...]], width: int) -> tuple[Any, int]:
    """Return the table of some parameters, and the number of blocks that they take."""
    table, count = np.zeros((), _table_dtype(width)), len(leaf_groups)
    sizes = np.array([group[0].size for group in leaf_groups])
    last = np.cumsum(-(-sizes // (THREADS * PER_THREAD)))
    table["array"][:count] = [[array.data.ptr for array in group] for group in leaf_groups]
    table["size"][:count], table["last_block"][:count] = sizes, last
    return table[()], int(last[-1])
