"""Compare initial values with the variances and bounds of their papers."""

import numpy as np
import pytest

from anynet import (
    Constant,
    Dense,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Normal,
    Orthogonal,
    Uniform,
    Zeros,
)
from anynet.initializers import Given, fans

SHAPES = [((300, 200), 300, 200), ((3, 3, 40, 60), 360, 540)]


def draw(initializer, shape, seed=0):
    return initializer(np.random.default_rng(seed), shape)


@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), [*SHAPES, ((7,), 7, 7), ((), 1, 1)])
def test_fans(shape, fan_in, fan_out):
    assert fans(shape) == (fan_in, fan_out)


@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), SHAPES)
@pytest.mark.parametrize(
    ("uniform", "normal", "variance"),
    [
        (GlorotUniform(), GlorotNormal(), lambda i, o: 2 / (i + o)),
        (HeUniform(), HeNormal(), lambda i, o: 2 / i),
        (LecunUniform(), LecunNormal(), lambda i, o: 1 / i),
    ],
    ids=["Glorot", "He", "LeCun"],
)
def test_scaled_by_fans(uniform, normal, variance, shape, fan_in, fan_out):
    expected, n = variance(fan_in, fan_out), np.prod(shape)
    for initializer, kurtosis in ((uniform, 1.8), (normal, 3.0)):
        x = draw(initializer, shape)
        assert x.shape == shape and x.dtype == np.float64
        assert abs(x.mean()) < 5 * (expected / n) ** 0.5
        assert abs(x.var() - expected) < 5 * expected * ((kurtosis - 1) / n) ** 0.5
        assert np.mean(x**4) / x.var() ** 2 == pytest.approx(kurtosis, rel=0.05)
    limit = (3 * expected) ** 0.5
    assert np.abs(draw(uniform, shape)).max() <= limit and np.abs(draw(uniform, shape)).max() > 0.99 * limit


def test_initializers_without_fans():
    assert not draw(Zeros(), (3, 2)).any()
    assert (draw(Constant(0.7), (3, 2)) == 0.7).all()
    x = draw(Normal(0.2, mean=1.0), (400, 250))
    assert x.mean() == pytest.approx(1.0, abs=0.004) and x.std() == pytest.approx(0.2, rel=0.02)
    u = draw(Uniform(-1.0, 3.0), (400, 250))
    assert u.min() >= -1 and u.max() < 3 and u.mean() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("shape", [(5, 5), (8, 3), (3, 8), (2, 3, 4, 5), (1, 1)])
def test_orthogonal(shape):
    q = draw(Orthogonal(2.0), shape).reshape(-1, shape[-1]) / 2.0
    gram = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-12)


def test_orthogonal_is_uniform_over_signs():
    """Without Mezzadri's correction the signs of the diagonal would be biased."""
    signs = [np.sign(draw(Orthogonal(), (2, 2), seed)[0, 0]) for seed in range(400)]
    assert abs(np.mean(signs)) < 5 / 20


def test_one_seed_one_result():
    for initializer in (GlorotUniform(), HeNormal(), Orthogonal()):
        np.testing.assert_array_equal(draw(initializer, (6, 4)), draw(initializer, (6, 4)))
        assert not np.array_equal(draw(initializer, (6, 4)), draw(initializer, (6, 4), seed=1))


@pytest.mark.parametrize("values", [[[1, 2], [3, 4]], ((1.0, 2.0), (3.0, 4.0)), np.array([[1, 2], [3, 4]], np.float32)])
def test_given_values(values, backend):
    layer = Dense(2, weight=values, bias=backend.asarray([5.0, 6.0]))
    params, _ = layer.init(None, (2,))
    assert params["weight"].tolist() == [[1.0, 2.0], [3.0, 4.0]] and params["bias"].tolist() == [5.0, 6.0]
    assert layer == Dense(2, weight=[[1, 2], [3, 4]], bias=[5, 6]) and hash(layer) == hash(
        Dense(2, weight=values, bias=[5, 6])
    )


@pytest.mark.parametrize(
    ("make", "kind", "match"),
    [
        (lambda: draw(Given([[1.0]]), (2, 1)), ValueError, r"expected given values of shape \(2, 1\), got \(1, 1\)"),
        (lambda: Dense(1, weight=[[np.nan]]), ValueError, "expected finite values, got NaN or infinity"),
        (
            lambda: Dense(2, weight=[[1.0, 2.0]]).init(None, (2,)),
            ValueError,
            r"Dense\(2\): weight: expected given values of",
        ),
        (
            lambda: Dense(2, weight="glorot"),
            TypeError,
            "Dense: weight: expected an initializer or an array, got 'glorot'",
        ),
        (lambda: Dense(2, weight=HeNormal), TypeError, r"write for example HeNormal\(\)"),
        (lambda: draw(Orthogonal(), (3,)), ValueError, r"expected a shape of two axes or more, got \(3,\)"),
        (lambda: Normal(-1.0), ValueError, "Normal: expected std >= 0, got -1.0"),
        (lambda: Uniform(1.0, 0.0), ValueError, "Uniform: expected low <= high"),
    ],
)
def test_invalid_arguments_raise(make, kind, match):
    with pytest.raises(kind, match=match):
        make()
