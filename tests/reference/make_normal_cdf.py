"""Write normal_cdf.json with Φ(x) to 17 digits, and print the coefficients of anynet/arrays/special.py.

Run ``python tests/reference/make_normal_cdf.py``; it computes both with mpmath, in 40 digits. The tests need only the file.
"""

import json
from pathlib import Path

import mpmath as mp

mp.mp.dps = 40
CENTRE, NODES = 3, 80


def f(z):
    """Return (1 + 2z) exp(z²) erfc(z), from the asymptotic series where exp(z²) would overflow."""
    if z < 50:
        return (1 + 2 * z) * mp.exp(z * z) * mp.erfc(z)
    term = total = mp.mpf(1)
    for m in range(20):
        term *= -(2 * m + 1) / (2 * z * z)
        total += term
    return (1 + 2 * z) * total / (z * mp.sqrt(mp.pi))


def chebyshev():
    """Return the coefficients of f in Chebyshev polynomials of t = (z − 3)/(z + 3), by the discrete cosine transform."""
    angles = [mp.pi * (k + mp.mpf(1) / 2) / NODES for k in range(NODES)]
    values = [f(CENTRE * (1 + mp.cos(a)) / (1 - mp.cos(a))) for a in angles]
    sums = [sum(v * mp.cos(j * a) for v, a in zip(values, angles, strict=True)) for j in range(NODES)]
    return [(1 if j == 0 else 2) * s / NODES for j, s in enumerate(sums)]


def powers(coefficients):
    """Return a sum of Chebyshev polynomials as coefficients of 1, t, t², …"""
    previous, current = [mp.mpf(1)], [mp.mpf(0), mp.mpf(1)]
    total = [mp.mpf(0)] * len(coefficients)
    for c in coefficients:
        for i, p in enumerate(previous):
            total[i] += c * p
        following = [mp.mpf(0)] + [2 * p for p in current]
        for i, p in enumerate(previous):
            following[i] -= p
        previous, current = current, following
    return [float(c) for c in total]


found = chebyshev()
for name, count in (("SINGLE", 10), ("DOUBLE", 23)):
    print(name, powers(found[:count]))

points = [mp.mpf(k) / 8 for k in range(-120, 49, 3)] + [mp.mpf(s) * 10**-k for k in (1, 3, 8) for s in (-1, 1)]
table = [[float(x), float(mp.ncdf(x))] for x in sorted(mp.mpf(float(p)) for p in points)]
Path(__file__).with_name("normal_cdf.json").write_text(json.dumps(table) + "\n")
