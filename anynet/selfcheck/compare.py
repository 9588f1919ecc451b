"""Run the self-check on one backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from time import perf_counter
from typing import Any

import numpy as np

from anynet import random, tree
from anynet.backends import get
from anynet.backends.base import DTYPES, Backend
from anynet.backends.report import describe
from anynet.gradcheck import check_gradients
from anynet.model import Model
from anynet.optimizers import SGD, LossScale
from anynet.selfcheck.cases import Case, networks, optimizers
from anynet.selfcheck.libraries import first_wait, full_precision, reports_waiting
from anynet.selfcheck.reference import (
    ROUNDOFF,
    PlainNumpy,
    Reference,
    compute,
    gap,
    host_arrays,
    limits,
    make_reference,
)
from anynet.selfcheck.report import CheckReport, Row
from anynet.selfcheck.speed import measure

KNOWN_ANSWERS = (
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
)
"""Key, counter and result of Threefry-2x32-20, from the test file kat_vectors of Random123."""

HALF = "float16"
SCALE = 1024.0
"""Initial loss scale."""


def run(backend: str | Backend, *, quick: bool = False) -> CheckReport:
    """Return the report of a backend; `anynet.backends.check` describes `quick`."""
    found = get(backend)
    start, described, skipped = perf_counter(), describe(found), list[str]()
    roundoff = ROUNDOFF | ({"float32": ROUNDOFF["tf32"]} if described.get("tf32") == "on" else {})
    with full_precision(found), found.activate(), np.errstate(all="ignore"):
        if quick:
            rows = [*_random_rows(found), *_rows(found, "networks", _quick(), roundoff, ("float32",))]
            return CheckReport(found.name, described, rows, seconds=perf_counter() - start)
        rows = [
            *_reference_rows(),
            *_random_rows(found),
            *_rows(found, "networks", _networks(), roundoff),
            *_rows(found, "optimizers", _optimizers(), roundoff),
            *_half_rows(found, skipped),
            *_synchronization_rows(found),
        ]
        speed = measure(found)
    return CheckReport(found.name, described, rows, speed, skipped, perf_counter() - start)


@cache
def _quick() -> list[tuple[Case, Reference]]:
    return [(case, make_reference(case)) for case in networks() if case.name == "normalization"]


@cache
def _networks() -> list[tuple[Case, Reference]]:
    return [(case, make_reference(case)) for case in networks()]


@cache
def _optimizers() -> list[tuple[Case, Reference]]:
    return [(case, make_reference(case)) for case in optimizers()]


def _reference_rows() -> Iterator[Row]:
    """Compare the gradients of the reference with finite differences."""
    for case, known in _networks():
        model = Model.from_config(replace(case.config, dtype="float64"), PlainNumpy())
        model.params = known.params
        limit = 1e-7  # the truncation and rounding errors of a difference quotient in float64
        found, reason = _attempt(partial(check_gradients, model, case.x, case.y, tolerance=np.inf))
        error = found.worst if found else float("nan")
        yield Row("reference", case.name, "finite differences", "float64", error <= limit, error, limit, reason)


def _random_rows(backend: Backend) -> Iterator[Row]:
    """Compare random bits with known answers and with NumPy's, bit for bit."""

    def words(values: tuple[int, int]) -> tuple[Any, Any]:
        first, second = np.asarray(values, np.uint32).view(np.int32)
        return backend.asarray(first[None]), backend.asarray(second[None])

    def known_answers() -> bool:
        threefry = backend.compile(random.threefry2x32)
        return all(
            tuple(int(backend.to_numpy(word)[0]) % 2**32 for word in threefry(words(key), words(counter))) == answer
            for key, counter, answer in KNOWN_ANSWERS
        )

    def same(draw: Callable[[Any], Any]) -> Callable[[], bool]:
        key = random.make_key(0)
        return lambda: np.array_equal(backend.to_numpy(backend.compile(draw)(backend.asarray(key))), draw(key))

    checks = {
        "known answers": known_answers,
        "words": same(lambda key: random.random_bits(key, 1001)),
        "masks": same(lambda key: random.bernoulli(key, 0.3, (7, 11))),
        "next key": same(lambda key: random.next_key(random.fold_in(key, 3))),
    }
    for name, agrees in checks.items():
        passed, reason = _attempt(agrees)
        yield Row("random", "threefry", name, "int32", bool(passed), reason="" if passed else reason or "bits differ")


def _rows(
    backend: Backend,
    group: str,
    cases: list[tuple[Case, Reference]],
    roundoff: dict[str, float],
    dtypes: Sequence[str] = DTYPES[::-1],
) -> Iterator[Row]:
    for case, known in cases:
        for dtype in dtypes:
            results, reason = _attempt(partial(compute, case, known.params, backend, dtype))
            yield from _compared(group, case, known, results, dtype, roundoff[dtype], reason)


def _half_rows(backend: Backend, skipped: list[str]) -> Iterator[Row]:
    """Compare training in float16 with loss scaling, and the reaction to gradients that are not finite."""
    try:
        backend.half(HALF)
    except ValueError as error:
        skipped.append(f"{HALF}: {error}")
        return
    scaled = partial(LossScale, initial=SCALE)
    for case, known in _networks():
        if case.name not in ("convolution", "normalization"):
            continue
        results, reason = _attempt(partial(compute, case, known.params, backend, "float32", HALF, scaled))
        yield from _compared("mixed precision", case, known, results, HALF, ROUNDOFF[HALF], reason)
    case, known = _networks()[0]

    def skips() -> bool:
        optimizer = LossScale(SGD(0.1), initial=SCALE)
        model = Model.from_config(replace(case.config, compute_dtype=HALF, optimizer=optimizer), backend)
        before = host_arrays(backend, model.params)
        # Infinite inputs, because XLA may compute in more bits than requested, so that large ones need not overflow.
        model.train_step(backend.asarray(np.full_like(case.x, np.inf)), backend.asarray(case.y))
        after, scale = host_arrays(backend, model.params), float(model.state.opt_state["scale"])
        return scale == SCALE / 2 and all(map(np.array_equal, before, after))

    passed, reason = _attempt(skips)
    yield Row(
        "overflow",
        "LossScale",
        "skips the update, halves the scale",
        HALF,
        bool(passed),
        reason="" if passed else reason or "wrong parameters or scale",
    )


def _synchronization_rows(backend: Backend) -> Iterator[Row]:
    """Take a step of each network and optimizer during which the library refuses to wait for the device."""
    if not reports_waiting(backend):
        return
    for case, _ in _networks() + _optimizers():
        if case.config.required_optimizer.full_batch:
            continue  # its line search decides on the host

        def look(case: Case = case) -> str:
            model = Model.from_config(case.config, backend)
            x, y = tree.map(backend.asarray, (case.x, case.y))
            return first_wait(backend, lambda: model.train_step(x, y))

        found, reason = _attempt(look)
        yield Row("synchronization", case.name, "none in a step", "float32", found == "", reason=found or reason)


def _compared(
    group: str, case: Case, known: Reference, results: Any, dtype: str, roundoff: float, reason: str
) -> Iterator[Row]:
    """Yield a row per quantity: the array with the largest gap relative to its limit."""
    for quantity in known.results:
        if results is None:
            yield Row(group, case.name, quantity, dtype, False, reason=reason)
            continue
        bounds = limits(known, case, quantity, roundoff)
        gaps = [gap(array, exact) for array, exact in zip(results[quantity], known.results[quantity], strict=True)]
        worst, limit = max(zip(gaps, bounds, strict=True), key=lambda pair: _excess(*pair))
        yield Row(group, case.name, quantity, dtype, worst <= limit, worst, limit)


def _excess(value: float, limit: float) -> float:
    """Return the gap in units of its limit; infinity for NaN."""
    return value / limit if value == value else float("inf")


def _attempt(function: Callable[[], Any]) -> tuple[Any, str]:
    """Return the result of a function and no reason, or None and the error that it raised, of whatever kind."""
    try:
        return function(), ""
    except Exception as error:
        return None, f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}"
