"""The contract of `anynet.losses.base`, tested for every row of `tests.losses.cases`."""

import functools
import json

import numpy as np
import pytest
from array_api_compat import is_array_api_obj

import anynet
from anynet import tree
from anynet.checkpoint.serialize import from_config, to_config
from tests.losses.cases import LOSSES
from tests.tools import PUBLIC, assert_close, assert_same, cast, fetch, halves, place

NUMPY = anynet.backends.get("numpy")


@pytest.fixture(params=LOSSES, ids=lambda row: f"{row[0]}-{row[1].shape}-{row[2].dtype}{row[2].shape}".replace(" ", ""))
def row(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["mean", "weighted"])
def weight(request, row):
    return np.random.default_rng(5).uniform(0.1, 2.0, len(row[1])) if request.param else None


def run(backend, loss, y_pred, y_true, weight=None, dtype="float64"):
    """Return loss, cache and dy_pred, from separately compiled forward and backward passes."""
    at = place(backend, {"y_pred": y_pred, "y_true": y_true, "weight": weight}, dtype)
    forward, backward = passes(backend, loss)
    value, cache = forward(at["y_true"], at["y_pred"], at["weight"])
    return value, cache, backward(cache)


@functools.cache
def passes(backend, loss):
    """Return the compiled passes of a loss, the same functions in all tests: compilation dominates."""
    return backend.compile(lambda *args: loss.forward(*args)), backend.compile(lambda found: loss.backward(found))


def test_gradient(row, backend, weight):
    """Compare with five-point differences along random directions."""
    loss, y_pred, y_true = row
    dy = fetch(backend, run(backend, *row, weight)[2])
    at = place(backend, {"y_true": y_true, "weight": weight})
    rng, h = np.random.default_rng(0), 1e-4
    for _ in range(3):
        d = rng.normal(size=y_pred.shape) * 0.1

        def along(t, d=d):
            y = place(backend, y_pred + t * d)
            return float(loss.forward(at["y_true"], y, at["weight"])[0])

        numeric = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
        assert np.sum(dy * d) == pytest.approx(numeric, rel=1e-7, abs=1e-10)


@pytest.mark.without("numpy-readonly", "strict", "strict:device1", "jax")
def test_large_batches_in_half(row, backend, weight):
    """Sums over 65 536 examples in 16 bits, against float64."""
    loss, y_pred, y_true = row
    batch = [None if a is None else np.concatenate([a] * (65536 // len(a))) for a in (y_true, y_pred, weight)]
    for name in halves(backend):
        at = cast(backend, place(backend, batch, "float32"), getattr(backend.xp, name))
        expected = loss.forward(*fetch(NUMPY, place(NUMPY, fetch(backend, cast(backend, at, backend.xp.float32)))))
        value, cache = loss.forward(*at)
        assert value.dtype == at[1].dtype
        assert float(value) == pytest.approx(float(expected[0]), rel=0.02)
        dy = fetch(backend, cast(backend, loss.backward(cache), backend.xp.float32))
        assert np.linalg.norm(dy - loss.backward(expected[1])) <= 0.02 * np.linalg.norm(loss.backward(expected[1]))


def test_parts_of_a_batch(row, backend, weight):
    """Parts with the denominators of the whole batch have losses that add up to its loss."""
    loss, y_pred, y_true = row
    value, _, dy = run(backend, *row, weight)
    at = place(backend, {"y_pred": y_pred, "y_true": y_true, "weight": weight})
    whole = loss.denominators(backend.asarray(0.0, backend.xp.float64), at["y_true"], at["weight"])
    assert loss.weights_targets or weight is not None or whole == (len(y_pred),)
    values, derivatives = [], []
    for rows in (slice(0, 1), slice(1, 1), slice(1, None)):
        own = {name: None if a is None else a[rows, ...] for name, a in at.items()}
        part, cache = loss.forward(own["y_true"], own["y_pred"], own["weight"], whole)
        values.append(float(part))
        derivatives.append(fetch(backend, loss.backward(cache)))
    assert sum(values) == pytest.approx(float(value), rel=1e-14)
    assert_close(np.concatenate(derivatives), fetch(backend, dy), rtol=1e-14)


def test_autodiff_of_forward(row, autodiff, weight):
    loss, y_pred, y_true = row

    def f(at):
        xp = anynet.arrays.namespace.namespace(at)
        w = None if weight is None else xp.asarray(weight)
        return loss.forward(xp.asarray(y_true), at, w)[0]

    value, dy = autodiff(f, y_pred, np.asarray(1.0))
    ours, _, ours_dy = run(NUMPY, *row, weight)
    assert_close(ours, value, rtol=1e-10)
    assert_close(ours_dy, dy, rtol=1e-10)


def test_equals_numpy(row, backend, weight):
    expected = run(NUMPY, *row, weight)
    for dtype, rtol in (("float64", 1e-13), ("float32", 1e-6)):
        actual = run(backend, *row, weight, dtype)
        assert_close(fetch(backend, actual[::2]), fetch(NUMPY, expected[::2]), rtol=rtol)


def test_types_and_shapes(row, backend, weight):
    for dtype in ("float64", "float32"):
        value, cache, dy = run(backend, *row, weight, dtype)
        assert tuple(value.shape) == () and value.dtype == backend.dtype(dtype)
        assert tuple(dy.shape) == row[1].shape and dy.dtype == backend.dtype(dtype)
        for path, leaf in tree.leaves_with_paths(cache):
            assert is_array_api_obj(leaf) and isinstance(leaf, (type(dy), np.generic)), path
            assert not backend.xp.isdtype(leaf.dtype, "real floating") or leaf.dtype == backend.dtype(dtype), path


def test_arguments_are_unchanged(row, backend, weight):
    loss, y_pred, y_true = row
    at = place(backend, [y_true, y_pred, weight])
    before = fetch(backend, at)
    _, cache = loss.forward(*at)
    remembered = fetch(backend, cache)
    first = fetch(backend, loss.backward(cache))
    assert_same(fetch(backend, loss.backward(cache)), first)
    assert_same(fetch(backend, at), before)
    assert_same(fetch(backend, cache), remembered)


def test_is_the_weighted_mean_of_examples(row, backend, weight):
    """Compare with Σ wᵢ ℓᵢ / Σ wᵢ, with ℓᵢ from batches of one."""
    loss, y_pred, y_true = row
    each = [run(backend, loss, y_pred[i : i + 1], y_true[i : i + 1]) for i in range(len(y_pred))]
    losses = np.array([fetch(backend, value) for value, _, _ in each])
    grads = np.concatenate([fetch(backend, dy) for _, _, dy in each])
    w = np.ones(len(y_pred)) if weight is None else weight
    class_weight = getattr(getattr(loss, "loss", loss), "class_weight", None)
    if class_weight and y_true.ndim == 1:  # the class weight multiplies the sample weight
        w = w * np.array(class_weight)[y_true]
    value, _, dy = run(backend, *row, weight)
    assert_close(fetch(backend, value), np.sum(w * losses) / np.sum(w), rtol=1e-13)
    assert_close(fetch(backend, dy), grads * (w / np.sum(w)).reshape(-1, *[1] * (y_pred.ndim - 1)), rtol=1e-13)


def test_weights_scale_out_and_zero_weight_means_absent(row, backend):
    loss, y_pred, y_true = row
    w = np.arange(len(y_pred)) + 0.0  # the first example has weight 0
    value, _, dy = run(backend, *row, w)
    value7, _, dy7 = run(backend, *row, 7 * w)
    rest, _, dy_rest = run(backend, loss, y_pred[1:], y_true[1:], w[1:])
    assert_close(fetch(backend, value7), fetch(backend, value), rtol=1e-13)
    assert_close(fetch(backend, dy7), fetch(backend, dy), rtol=1e-13)
    assert_close(fetch(backend, value), fetch(backend, rest), rtol=1e-13)
    assert_close(fetch(backend, dy)[1:], fetch(backend, dy_rest), rtol=1e-13)
    assert not fetch(backend, dy)[0].any()


def test_all_zero_weights_give_zero_loss(row, backend):
    value, _, dy = run(backend, *row, np.zeros(len(row[1])))
    assert float(value) == 0.0 and not fetch(backend, dy).any()


def test_targets_of_the_wrong_shape_are_refused(row, backend):
    loss, y_pred, y_true = row
    wrong, inner = y_true[:-1], type(getattr(loss, "loss", loss)).__name__
    with pytest.raises(ValueError, match=f"{type(loss).__name__}: expected .*, got "):
        loss.forward(place(backend, wrong), place(backend, y_pred))
    if y_true.dtype.kind == "f":
        with pytest.raises(ValueError, match=f"{inner}: expected .*, got "):
            loss.forward(place(backend, np.concatenate([y_true, y_true], axis=-1)), place(backend, y_pred))
        with pytest.raises(ValueError, match=f"{inner}: expected y of .*, got "):
            wide = place(backend, np.concatenate([y_true, y_true], axis=-1))
            loss.targets(wide, y_pred.shape[1:], backend.dtype("float64"))


def test_valid_targets_are_kept_and_nan_is_refused(row, backend):
    loss, y_pred, y_true = row
    dtype = backend.dtype("float32")
    y = loss.targets(place(backend, y_true), y_pred.shape[1:], dtype)
    assert y.shape[0] == len(y_true)
    assert_same(fetch(backend, y).astype(y_true.dtype), y_true.astype("float32").astype(y_true.dtype))
    loss.check_values(y, y_pred.shape[1:])
    if y_true.dtype.kind == "f":
        spoiled = y_true.copy()
        spoiled.flat[1] = np.nan
        with pytest.raises(ValueError, match="expected finite values in y, got NaN or infinity in 1 place"):
            loss.check_values(loss.targets(place(backend, spoiled), y_pred.shape[1:], dtype), y_pred.shape[1:])


def test_is_a_value(row):
    loss = row[0]
    assert eval(repr(loss), PUBLIC) == loss
    assert hash(loss) == hash(eval(repr(loss), PUBLIC))
    assert from_config(json.loads(json.dumps(to_config(loss)))) == loss
