"""The coefficients of RAdam, compared with its formulas in decimal numbers of 50 digits."""

from decimal import Decimal, localcontext

import numpy as np
import pytest

from anynet import RAdam
from tests.tools import place


def exact(t, beta1, beta2):
    """Return the factors of m and of m / (√v + ε) in step `t` for a learning rate of 1, Liu et al. (2020), algorithm 2."""
    with localcontext(prec=50):
        b1, b2 = Decimal(beta1), Decimal(beta2)
        top = 2 / (1 - b2) - 1
        rho = top - 2 * t * b2**t / (1 - b2**t)
        if rho <= 5:
            return float(1 / (1 - b1**t)), 0.0
        rectifier = ((rho - 4) * (rho - 2) * top / ((top - 4) * (top - 2) * rho)).sqrt()
        return 0.0, float(rectifier * (1 - b2**t).sqrt() / (1 - b1**t))


@pytest.mark.parametrize(("dtype", "roundoff"), [("float32", 2.0**-24), ("float64", 2.0**-53)])
@pytest.mark.parametrize("beta2", [0.7, 0.99, 0.999, 0.9999])
def test_coefficients_are_accurate_at_every_step(beta2, dtype, roundoff, backend):
    steps = [*range(12), 40, 100, 249, 250, 300, 9999]
    for step in steps:
        count = place(backend, np.asarray(float(step)), dtype)
        rate, adapted = (float(value) for value in RAdam(1.0, beta2=beta2).coefficients(count)[:2])
        # at most 40 roundings, those of β and its logarithm included
        np.testing.assert_allclose((rate, adapted), exact(step + 1, 0.9, beta2), rtol=40 * roundoff, err_msg=str(step))
