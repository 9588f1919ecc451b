"""Test that values survive conversion to JSON and back, also values written by earlier versions."""

import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from anynet import Adam, Dense, Dropout, Layer, Sequential, StepDecay
from anynet.checkpoint.serialize import from_config, from_json, to_config, to_json


@dataclass(frozen=True)
class Own:
    value: Any = 3
    inner: Layer = field(default_factory=lambda: Dense(2))


def cube(x):
    return x**3


def kind(value):
    return type(value).__name__


def through_json(value, custom=()):
    return from_config(json.loads(json.dumps(to_config(value), allow_nan=False)), custom)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 3, -2.5, 0.1, 1e-300, 2**70, "text", "nan", "", (), (1, (2.0, None), "x")),
        *({}, {"a": 1}, {1: (2, 3), "class": "Dense", None: {"float": "x"}}),
        *(Dropout(0.25), Sequential([Dense(3), Dropout(0.5)]), Adam(StepDecay(0.1, 5))),
    ],
    ids=repr,
)
def test_a_value_survives(value):
    found = through_json(value)
    assert found == value and type(found) is type(value)


def test_a_list_becomes_a_tuple():
    assert through_json([1, [2, 3]]) == (1, (2, 3))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_survive(number):
    for found in (through_json(number), through_json({"a": (number,)})["a"][0], through_json(Own(number), [Own]).value):
        assert type(found) is float and (found == number or (math.isnan(found) and math.isnan(number)))
    assert to_config(number) == {"float": str(number)}


ARRAYS = [
    np.arange(6).reshape(2, 3),
    np.arange(3, dtype=np.uint8),
    np.array([0.1, -0.0, np.nan, np.inf, -np.inf]),
    np.array([[1 / 3, 5e-324, 3.4e38]], dtype=np.float32),
    np.array([True, False]),
    np.array([1, 256], dtype=">i4"),
    np.array(["a", "long text"]),
    np.zeros((0,), dtype=np.float32),
    np.arange(24.0).reshape(2, 3, 4)[:, ::-1, ::2],
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype.str}-{a.shape}")
def test_arrays_survive_bit_for_bit(array):
    found = through_json({"a": array})["a"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array, strict=True)
    if array.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(found), np.signbit(array))


@pytest.mark.parametrize(
    ("scalar", "expected"),
    [(np.float64(0.5), 0.5), (np.int64(3), 3), (np.array(2.0), 2.0), (np.bool_(True), True), (np.str_("a"), "a")],
    ids=kind,
)
def test_scalars_of_numpy_become_numbers_of_python(scalar, expected):
    assert through_json(scalar) == expected


@pytest.mark.parametrize("number", [np.float32("nan"), np.float64("inf"), np.array(-np.inf)], ids=repr)
def test_scalars_of_numpy_that_are_not_finite_survive(number):
    found = through_json(number)
    np.testing.assert_array_equal(found, float(number))


def test_classes_and_functions_of_the_users_own():
    own = Own(cube, Sequential([Dense(1)]))
    assert through_json(own, [cube, Own]) == own
    with pytest.raises(ValueError, match=r"load: expected a class of anynet, got 'Own'; pass your own with custom="):
        through_json(own, [cube])
    with pytest.raises(ValueError, match=r"load: expected the function 'cube' .* got none; pass it with custom=\[cube"):
        through_json(own, [Own])


def test_a_class_of_the_users_own_comes_before_that_of_anynet():
    @dataclass(frozen=True)
    class Dense:
        units: int

    assert through_json(Dense(3), [Dense]) == Dense(3)


@pytest.mark.parametrize("name", ["Dance", "Model", "Layer_", "os", None, 3, ["Dense"], {"class": "Zeros"}])
def test_a_class_that_is_unknown(name):
    with pytest.raises(ValueError, match="load: expected a class of anynet, got "):
        from_config({"class": name})


def test_fields_of_another_version():
    with pytest.raises(
        ValueError, match=r"load: expected the fields of Constant, got amount \(.*another version of it"
    ):
        from_config({"class": "Constant", "amount": 1.0})
    assert from_config({"class": "Adam"}) == Adam()


@pytest.mark.parametrize("value", [lambda x: x, object(), {1, 2}, b"bytes", 1j, Dense, math.sin], ids=kind)
def test_a_value_that_cannot_be_described(value):
    with pytest.raises(TypeError, match=r"save: expected hyperparameters that are numbers, .*, got .*; write it as a "):
        to_config((value,))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), ([1.0, math.nan, [math.inf, -math.inf]], '[1.0, "nan", ["inf", "-inf"]]'), ([], "[]"), (3, "3")],
)
def test_numbers_of_a_history(value, text):
    found = json.dumps(to_json(value), allow_nan=False)
    assert found == text
    np.testing.assert_equal(from_json(json.loads(found)), value)


def test_both_spellings_of_nan_are_read():
    """Settings write ``{"float": "nan"}``, histories ``"nan"``, which in settings is text."""
    assert math.isnan(from_config({"float": "nan"})) and from_config({"float": "-inf"}) == -math.inf
    assert math.isnan(from_json("nan")) and from_json("-inf") == -math.inf
    assert from_config("nan") == "nan" and from_json("text") == "text"


@dataclass(frozen=True)
class Holder:
    thing: Any = field(metadata={"saved": False})
    number: int = 0


def test_a_field_that_is_left_out_is_made_by_the_next_function():
    config = to_config([Holder("a", 1), Holder("b", 2)])
    assert config == [{"class": "Holder", "number": 1}, {"class": "Holder", "number": 2}]
    custom = [lambda needed: needed, lambda: "c", Holder, lambda optional=None: "d"]
    assert from_config(config, custom) == (Holder("c", 1), Holder("d", 2))
    with pytest.raises(
        ValueError, match=r"expected a function without arguments that returns the thing of Holder, .* got too few"
    ):
        from_config(config, custom[:3])
