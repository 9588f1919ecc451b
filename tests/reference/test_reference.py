"""The values kept in JSON are what the scripts beside them compute."""

import importlib

import numpy as np
import pytest

from tests.reference import reference


def assert_like(new, kept):
    """Compare nested data; numbers to rounding, for PyTorch's own differ between its builds."""
    if isinstance(kept, dict):
        assert new.keys() == kept.keys()
        for key, value in kept.items():
            assert_like(new[key], value)
    elif isinstance(kept, str):
        assert new == kept
    elif isinstance(kept, list) and kept and isinstance(kept[0], list):  # its lists may differ in length
        assert len(new) == len(kept)
        for pair in zip(new, kept, strict=True):
            assert_like(*pair)
    else:
        np.testing.assert_allclose(np.array(new), np.array(kept), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("layers", "torch"),
        ("layer_passes", "torch"),
        ("activations", "torch"),
        ("members", "tabm"),
        ("number_embeddings", "rtdl_num_embeddings"),
        ("ntk", "torch"),
    ],
)
def test_scripts_give_what_is_kept(name, library):
    pytest.importorskip(library, reason=f"needs {library} to make the values again")
    new = list(importlib.import_module(f"tests.reference.make_{name}").entries())
    kept = reference(name)
    assert len(new) == len(kept)
    for pair in zip(new, kept, strict=True):
        assert_like(*pair)
