"""A few of the random networks of `tests.layers.autograd_differential`; the command checks as many as it is given."""

import pytest

pytest.importorskip("torch")

from tests.layers import autograd_differential


@pytest.mark.filterwarnings("ignore:torch.asarray. unspecified requires_grad:UserWarning")
@pytest.mark.parametrize("number", range(20))
def test_random_network_equals_autograd(number):
    layer, result = autograd_differential.check(1, number)
    assert not any(wrong for _, wrong in result.values()), (layer, result)
