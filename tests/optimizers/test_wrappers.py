"""Test optimizer wrappers and parameter groups, alone and in a model."""

import numpy as np
import pytest

from anynet import (
    EMA,
    LBFGS,
    SGD,
    SWA,
    Accumulate,
    Adam,
    AdamW,
    Clip,
    CosineDecay,
    Dense,
    Groups,
    LossScale,
    MaxNorm,
    MeanSquaredError,
    Model,
    Muon,
    Nadam,
    PolynomialDecay,
    ReLU,
    StepDecay,
    load,
)
from tests.tools import cast, fetch, halves, place

WRAPPERS = [
    Clip(Adam(0.01), norm=0.1),
    MaxNorm(Adam(0.01), 1.0),
    Groups(AdamW(0.01), {"0.*": {"learning_rate": 0.001}, 1: {"weight_decay": 0.0}, "2.weight": None}),
    EMA(Adam(0.01), decay=0.8),
    SWA(Adam(0.01), start=2, every=2),
    Accumulate(Adam(0.01), steps=2),
    LossScale(Clip(Adam(0.01), norm=1.0)),
    Groups(Muon(0.01), {"2.*": Adam(0.01)}),
    Clip(Nadam(0.01, beta1=CosineDecay(0.9, steps=9, final=0.5)), norm=1.0),
    MaxNorm(Clip(Adam(0.01), value=CosineDecay(0.1, steps=9)), CosineDecay(2.0, steps=9, final=1.0)),
    EMA(Accumulate(Groups(Adam(0.01), {"*bias": SGD(0.1)}), steps=3)),
]
X, Y = np.random.default_rng(0).normal(size=(24, 3)), np.random.default_rng(1).normal(size=(24, 2))


def make(optimizer, backend="numpy", dtype="float64"):
    layers = [Dense(4), ReLU(), Dense(2)]
    return Model(
        layers, input_shape=3, loss=MeanSquaredError(), optimizer=optimizer, backend=backend, dtype=dtype, seed=1
    )


def follow(backend, optimizer, gradients, first=(0.0, 0.0)):
    """Return the parameter after each gradient, the final parameters and the final state."""
    params, points = [place(backend, np.array(first))], []
    state = optimizer.init(params)
    update = backend.compile(lambda p, g, s: optimizer.update(p, g, s, backend.elementwise))
    for gradient in gradients:
        params = [backend.asarray(params[0], copy=True)]
        params, state = update(params, [place(backend, np.array(gradient))], state)
        points.append(fetch(backend, params)[0])
    return np.array(points), params, state


@pytest.mark.parametrize("optimizer", WRAPPERS, ids=lambda o: repr(o)[:40])
def test_trains_and_saves_a_model_alike_everywhere(optimizer, backend, tmp_path):
    model, twin = make(optimizer, backend), make(optimizer)
    for one in (model, twin):
        one.fit(X, Y, epochs=2, batch_size=8)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model", backend=backend)
    again.fit(X, Y, epochs=1, batch_size=8)
    twin.fit(X, Y, epochs=1, batch_size=8)
    np.testing.assert_allclose(again.evaluate(X, Y)["loss"], twin.evaluate(X, Y)["loss"], rtol=1e-9)
    np.testing.assert_allclose(
        again.averaged().evaluate(X, Y)["loss"], twin.averaged().evaluate(X, Y)["loss"], rtol=1e-9
    )


def test_clip_by_norm_keeps_the_direction_of_all_gradients_together(backend):
    params = place(backend, [{"weight": np.zeros((2, 2)), "bias": np.zeros(1)}])
    grads = place(backend, [{"weight": np.array([[3.0, 0.0], [0.0, 0.0]]), "bias": np.array([4.0])}])
    optimizer = Clip(SGD(1.0), norm=0.5)
    moved = fetch(backend, optimizer.update(params, grads, optimizer.init(params))[0])
    np.testing.assert_allclose(moved[0]["weight"][0, 0], -0.3, rtol=1e-6)
    np.testing.assert_allclose(moved[0]["bias"], [-0.4], rtol=1e-6)


def test_clip_keeps_small_gradients(backend):
    for optimizer in (Clip(SGD(1.0), norm=5.1), Clip(SGD(1.0), value=4.0)):
        np.testing.assert_array_equal(follow(backend, optimizer, [(3.0, -4.0)])[0], [[-3.0, 4.0]])


def test_clip_by_value(backend):
    np.testing.assert_array_equal(follow(backend, Clip(SGD(1.0), value=2.0), [(3.0, -1.0)])[0], [[-2.0, 1.0]])


LIMIT = StepDecay(2.0, 2, factor=0.25)  # 2, 2, 0.5, 0.5, 0.125


def test_limits_in_half(backend):
    """A norm of 700 has a square that float16 cannot hold."""
    for name in halves(backend):
        g = {"w": cast(backend, place(backend, np.full((100, 100), 7.0), "float32"), getattr(backend.xp, name))}
        for optimizer, norm in ((Clip(SGD(1.0), norm=70.0), 70.0), (MaxNorm(SGD(1.0), 7.0), 70.0)):
            # Clip's step goes from zero along the limited gradient, MaxNorm's from zero to minus the gradient.
            start = {"w": g["w"] * 0.0}
            moved, _ = optimizer.update(start, g, optimizer.init(start))
            assert moved["w"].dtype == g["w"].dtype
            at = fetch(backend, cast(backend, moved, backend.xp.float32))["w"]
            assert np.linalg.norm(at) == pytest.approx(norm, rel=0.02)


def test_a_limit_may_be_a_schedule(backend):
    """The schedule counts the updates of Clip, starting at 0; each step is compared with the formula."""
    gradients = np.random.default_rng(0).normal(size=(5, 2)) * 3.0
    limits = np.array([2.0, 2.0, 0.5, 0.5, 0.125])
    norms = np.sqrt(np.sum(gradients**2, axis=1))
    by_norm = gradients * np.minimum(limits / (norms + 1e-6), 1.0)[:, None]
    for optimizer, limited in (
        (Clip(SGD(1.0), norm=LIMIT), by_norm),
        (Clip(SGD(1.0), value=LIMIT), np.clip(gradients, -limits[:, None], limits[:, None])),
    ):
        np.testing.assert_allclose(follow(backend, optimizer, gradients)[0], -np.cumsum(limited, axis=0), rtol=1e-12)


def test_a_max_norm_may_be_a_schedule(backend):
    optimizer, params = MaxNorm(SGD(1.0), LIMIT), {"weight": place(backend, np.array([[3.0, 0.1], [4.0, 0.2]]))}
    state = optimizer.init(params)
    update = backend.compile(lambda p, g, s: optimizer.update(p, g, s, backend.elementwise))
    for limit in (2.0, 2.0, 0.5, 0.5, 0.125):
        grads = {"weight": place(backend, np.zeros((2, 2)))}
        params, state = update({"weight": backend.asarray(params["weight"], copy=True)}, grads, state)
        norms = np.linalg.norm(fetch(backend, params)["weight"], axis=0)
        np.testing.assert_allclose(norms, np.minimum([5.0, np.hypot(0.1, 0.2)], limit), rtol=1e-12)


def test_a_limit_counts_only_where_it_is_a_schedule(backend):
    params = {"weight": place(backend, np.ones((2, 2)))}
    for make_one in (lambda c: Clip(SGD(), norm=c), lambda c: Clip(SGD(), value=c), lambda c: MaxNorm(SGD(), c)):
        assert make_one(1.0).init(params).keys() == {"step"}
        assert make_one(LIMIT).init(params).keys() == {"optimizer", "step"}
        assert make_one(LIMIT).update(params, {}, make_one(LIMIT).init({}))[0] is params


def test_a_scheduled_limit_delegates_to_the_wrapped_optimizer(backend):
    """The average and the loss scale of the wrapped optimizer are found in the state of the limit."""
    average, scale = Clip(EMA(SGD(1.0), decay=0.5), norm=LIMIT), Clip(LossScale(SGD(1.0), initial=8.0), norm=LIMIT)
    _, params, state = follow(backend, average, [(1.0, 0.0), (1.0, 0.0)])
    np.testing.assert_allclose(fetch(backend, average.averaged(params, state))[0], [-1.5, 0.0])
    state = follow(backend, scale, [(1.0, 0.0)])[2]
    assert float(backend.to_numpy(scale.loss_scale(state))) == 8.0


def test_max_norm_holds_for_every_unit(backend):
    model = make(MaxNorm(SGD(0.5), 0.3, match="0.weight"), backend)
    model.fit(X, Y, epochs=3, batch_size=8)
    norms = np.linalg.norm(backend.to_numpy(model.params[0]["weight"]), axis=0)
    assert (
        norms.max() <= 0.3 + 1e-12 and np.linalg.norm(backend.to_numpy(model.params[2]["weight"]), axis=0).max() > 0.3
    )


def test_groups_equal_separate_optimizers(backend):
    """Each parameter moves as with its own optimizer alone; a frozen one does not move."""
    groups = Groups(Adam(0.1), {"0.weight": SGD(0.5), "0.*": None, "*bias": {"learning_rate": 0.01}})
    start = place(
        backend, [{"weight": np.ones((2, 2)), "bias": np.ones(2)}, {"weight": np.ones(3), "bias": np.ones(1)}]
    )
    grads = place(backend, [{"weight": np.eye(2), "bias": np.ones(2)}, {"weight": np.arange(3.0), "bias": np.ones(1)}])
    state, params = groups.init(start), start
    for _ in range(3):
        params, state = groups.update(params, grads, state)
    expected = []
    for optimizer, i, name in ((SGD(0.5), 0, "weight"), (Adam(0.1), 1, "weight"), (Adam(0.01), 1, "bias")):
        p, g = [start[i][name]], [grads[i][name]]
        alone = optimizer.init(p)
        for _ in range(3):
            p, alone = optimizer.update(p, g, alone)
        expected.append(fetch(backend, p)[0])
    found = fetch(backend, params)
    np.testing.assert_array_equal(found[0]["weight"], expected[0])
    np.testing.assert_array_equal(found[1]["weight"], expected[1])
    np.testing.assert_array_equal(found[1]["bias"], expected[2])
    assert params[0]["bias"] is start[0]["bias"]


def test_no_decay_of_vectors():
    model = make(Groups(SGD(0.1, weight_decay=0.5), {1: {"weight_decay": 0.0}}))
    model.params = [
        {"weight": np.ones((3, 4)), "bias": np.ones(4)},
        {},
        {"weight": np.zeros((4, 2)), "bias": np.ones(2)},
    ]
    model.train_step(X, np.ones_like(Y))  # the prediction is exact, so every gradient is zero
    np.testing.assert_allclose(model.params[0]["weight"], np.full((3, 4), 0.95))
    np.testing.assert_array_equal(model.params[0]["bias"], np.ones(4))


def test_ema_is_the_recursion(backend):
    gradients = np.random.default_rng(0).normal(size=(6, 2))
    points, params, state = follow(backend, EMA(SGD(1.0), decay=0.7, start=2), gradients)
    average = points[2]
    for point in points[3:]:
        average = 0.7 * average + 0.3 * point
    found = fetch(backend, EMA(SGD(1.0), decay=0.7, start=2).averaged(params, state))
    np.testing.assert_allclose(found[0], average, rtol=1e-12)


def test_ema_decay_may_be_a_schedule(backend):
    """The schedule counts earlier updates; the average starts with the first parameters."""
    optimizer = EMA(SGD(1.0), decay=PolynomialDecay(0.0, steps=4, final=0.8))
    points, params, state = follow(backend, optimizer, np.random.default_rng(0).normal(size=(6, 2)))
    average = points[0]
    for point, decay in zip(points[1:], (0.2, 0.4, 0.6, 0.8, 0.8), strict=True):
        average = decay * average + (1 - decay) * point
    np.testing.assert_allclose(fetch(backend, optimizer.averaged(params, state))[0], average, rtol=1e-12)


@pytest.mark.parametrize(
    ("start", "every", "taken"), [(0, 1, range(7)), (2, 1, range(2, 7)), (1, 3, (3, 6)), (0, 2, (1, 3, 5))]
)
def test_swa_is_the_mean_of_the_selected_points(start, every, taken, backend):
    gradients = np.random.default_rng(0).normal(size=(7, 2))
    optimizer = SWA(SGD(1.0), start=start, every=every)
    points, params, state = follow(backend, optimizer, gradients)
    found = fetch(backend, optimizer.averaged(params, state))[0]
    np.testing.assert_allclose(found, points[list(taken)].mean(axis=0), rtol=1e-12)


def test_without_updates_the_average_is_the_parameters(backend):
    optimizer = EMA(SGD(1.0))
    params = [place(backend, np.array([1.0, 2.0]))]
    np.testing.assert_array_equal(fetch(backend, optimizer.averaged(params, optimizer.init(params)))[0], [1.0, 2.0])


def test_averaged_returns_another_model(backend):
    model = make(EMA(SGD(0.1), decay=0.5), backend)
    model.fit(X, Y, epochs=1, batch_size=8)
    before = backend.to_numpy(model.params[0]["weight"]).copy()
    averaged = model.averaged()
    assert not np.allclose(backend.to_numpy(averaged.params[0]["weight"]), before)
    np.testing.assert_array_equal(backend.to_numpy(model.params[0]["weight"]), before)


def test_parts_with_an_average_are_averaged(backend):
    """The parts of `Groups` and `Muon` are averaged as by an average of their own; the others keep their weights."""
    ema = EMA(SGD(0.1), decay=0.5)
    whole = make(ema, backend)
    whole.fit(X, Y, epochs=2, batch_size=8)
    expected = fetch(backend, whole.averaged().params)
    for groups in ({}, {"*bias": EMA(SGD(0.1), decay=0.5)}):
        model = make(Groups(ema, groups), backend)
        model.fit(X, Y, epochs=2, batch_size=8)
        found = fetch(backend, model.averaged().params)
        assert all(np.allclose(found[i][name], expected[i][name]) for i in (0, 2) for name in found[i])
    model = make(Groups(SGD(0.1), {"2.*": ema, "0.bias": None}), backend)
    model.fit(X, Y, epochs=2, batch_size=8)
    last, found = fetch(backend, model.params), fetch(backend, model.averaged().params)
    assert np.array_equal(found[0]["weight"], last[0]["weight"]) and np.array_equal(found[0]["bias"], last[0]["bias"])
    assert not np.allclose(found[2]["weight"], last[2]["weight"])


def test_the_vectors_of_muon_may_have_an_average():
    model = make(Muon(0.01, otherwise=EMA(SGD(0.1), decay=0.5)))
    model.fit(X, Y, epochs=2, batch_size=8)
    averaged = model.averaged().params
    for i in (0, 2):
        np.testing.assert_array_equal(averaged[i]["weight"], model.params[i]["weight"])
        np.testing.assert_array_equal(averaged[i]["bias"], model.state.opt_state["otherwise"]["average"][i]["bias"])
        assert not np.allclose(averaged[i]["bias"], model.params[i]["bias"])


def test_the_average_starts_with_copies_of_the_parameters(backend):
    params = {"weight": place(backend, np.array([1.0, 2.0]))}
    for optimizer in (EMA(SGD(1.0)), SWA(SGD(1.0))):
        average = optimizer.init(params)["average"]
        assert average["weight"] is not params["weight"]
        np.testing.assert_array_equal(fetch(backend, average)["weight"], [1.0, 2.0])


def test_accumulating_equals_the_large_batch(backend):
    small, large = make(Accumulate(Adam(0.01), steps=3), backend), make(Adam(0.01), backend)
    small.fit(X, Y, epochs=4, batch_size=8, shuffle=False)
    large.fit(X, Y, epochs=4, batch_size=24, shuffle=False)
    for a, b in zip(small.params, large.params, strict=True):
        for name in a:
            np.testing.assert_allclose(backend.to_numpy(a[name]), backend.to_numpy(b[name]), rtol=1e-9, atol=1e-12)


def test_loss_scale_skips_overflows_and_grows_again(backend):
    optimizer = LossScale(SGD(1.0, momentum=0.5), initial=8.0, every=2)
    gradients = [(1.0, 0.0), (np.inf, 0.0), (np.nan, 1.0), (1.0, 0.0), (1.0, 0.0)]
    points, _, state = follow(backend, optimizer, gradients)
    np.testing.assert_allclose(points[:, 0], [-1.0, -1.0, -1.0, -2.5, -4.25])
    assert float(backend.to_numpy(optimizer.loss_scale(state))) == 4.0
    assert int(backend.to_numpy(state["optimizer"]["step"])) == 3


@pytest.mark.parametrize(("initial", "gradient"), [(2.0**126, 0.0), (2.0**-125, np.inf)])
def test_loss_scale_stays_a_number_to_divide_by(backend, initial, gradient):
    """Neither gradients of zero, for ever, nor of infinity take the scale to where it cannot come back from."""
    optimizer = LossScale(SGD(1.0), initial=initial, every=1)
    *_, state = follow(backend, optimizer, [(gradient, gradient)] * 4)
    scale = float(backend.to_numpy(optimizer.loss_scale(state)))
    assert 0.0 < scale < np.inf and 0.0 < 1.0 / scale < np.inf


@pytest.mark.parametrize(
    ("make_one", "error", "text"),
    [
        (lambda: Clip(SGD()), ValueError, "either norm or value"),
        (lambda: Clip(SGD(), norm=1.0, value=1.0), ValueError, "either norm or value"),
        (lambda: Clip(SGD(), norm=0.0), ValueError, "norm"),
        (lambda: Clip(SGD, norm=1.0), TypeError, "parentheses"),
        (lambda: Clip(LBFGS(), norm=1.0), ValueError, "takes gradients"),
        (lambda: MaxNorm(SGD(), -1.0), ValueError, "norm"),
        (lambda: EMA(SGD(), decay=1.0), ValueError, "decay"),
        (lambda: SWA(SGD(), every=0), ValueError, "every"),
        (lambda: Accumulate(SGD(), steps=0), ValueError, "steps"),
        (lambda: LossScale(SGD(), backoff=1.0), ValueError, "backoff"),
        (lambda: Groups(SGD(), {"*": {"momentun": 0.9}}), ValueError, "momentun"),
        (lambda: Groups(SGD(), {"*": 0.1}), TypeError, "dict of hyper-parameters"),
        (lambda: Groups(SGD(), {None: None}), TypeError, "pattern"),
        (lambda: Groups(SGD(), {"*": {"learning_rate": -1.0}}), ValueError, "learning_rate"),
        (lambda: make(Groups(SGD(), {"5.*": None})), ValueError, "match '5"),
    ],
)
def test_bad_arguments_are_refused(make_one, error, text):
    with pytest.raises(error, match=text):
        make_one()
