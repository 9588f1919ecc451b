r"""Line search for the strong Wolfe conditions, run on the host.

It finds a distance a along a direction with sufficient decrease and a sufficiently flat slope:

.. math:: φ(a) ≤ φ(0) + c_1 a φ'(0), \qquad |φ'(a)| ≤ -c_2 φ'(0).

The search increases the distance until it brackets such a point (algorithm 3.5). It then shrinks the bracket, keeping the
lowest point as one end (algorithm 3.6), by evaluating the minimum of the cubic through both ends (eq. 3.59).

References: Nocedal, Wright (2006), "Numerical optimization", second edition, section 3.5.

>>> point = strong_wolfe(lambda a: ((a - 3.0) ** 2, 2.0 * (a - 3.0), None), Point(0.0, 9.0, -6.0, None), 8.0)
>>> point.distance
3.0
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

ENOUGH_DECREASE = 1e-4  # c₁
ENOUGH_FLATNESS = 0.9  # c₂, the usual value for quasi-Newton directions


class Point(NamedTuple):
    """A point on the line, with φ, φ′ and auxiliary output of φ."""

    distance: float
    value: float
    slope: float
    extra: Any


Phi = Callable[[float], tuple[float, float, Any]]


def strong_wolfe(phi: Phi, start: Point, first: float, *, evaluations: int = 25, rounding: float = 0.0) -> Point:
    """Return a point that satisfies the conditions, or else the lowest point found.

    Parameters
    ----------
    phi : callable
        Function of the distance that returns (φ, φ′, extra).
    start : Point
        Point at distance 0, with φ′ < 0.
    first : float, in (0, inf)
        First distance to evaluate.
    evaluations : int
        Maximum number of calls of `phi`.
    rounding : float
        Relative rounding error of φ; smaller decreases are not significant.
    """
    slack = rounding * abs(start.value)

    def too_high(point: Point) -> bool:
        return not point.value <= start.value + ENOUGH_DECREASE * point.distance * start.slope + slack

    def flat(point: Point) -> bool:
        return abs(point.slope) <= -ENOUGH_FLATNESS * start.slope

    low, distance = start, first
    for used in range(1, evaluations + 1):
        here = Point(distance, *phi(distance))
        if too_high(here) or (used > 1 and here.value >= low.value):
            high = here
            break
        if flat(here):
            return here
        if here.slope >= 0:
            low, high = here, low
            break
        distance = min(max(_cubic_minimum(low, here), 2.0 * distance), 10.0 * distance)
        low = here
    else:
        return low

    for _ in range(evaluations - used):
        width = high.distance - low.distance
        if abs(width) <= 1e-12 * max(low.distance, high.distance):
            break
        part = (_cubic_minimum(low, high) - low.distance) / width
        distance = low.distance + min(max(part, 0.1), 0.9) * width  # away from the ends: the bracket must shrink
        here = Point(distance, *phi(distance))
        if too_high(here) or here.value >= low.value:
            high = here
            continue
        if flat(here):
            return here
        if here.slope * width >= 0:
            high = low
        low = here
    return low


def _cubic_minimum(a: Point, b: Point) -> float:
    """Return the minimum of the cubic through two points, or else their midpoint."""
    middle = 0.5 * (a.distance + b.distance)
    width = b.distance - a.distance
    mean = a.slope + b.slope - 3.0 * (b.value - a.value) / width
    square = mean * mean - a.slope * b.slope
    if not 0.0 <= square < math.inf:  # NaN if φ overflowed
        return middle
    root = math.copysign(math.sqrt(square), width)
    below = b.slope - a.slope + 2.0 * root
    return b.distance - width * (b.slope + root - mean) / below if below else middle
