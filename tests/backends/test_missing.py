"""One test for each backend that the others left out, so that the report says why."""

import pytest

from tests.conftest import KINDS, why_missing


@pytest.mark.parametrize("kind", KINDS)
def test_backend_is_here(kind, request):
    if kind not in request.config.kinds:
        pytest.skip(f"--backend leaves {kind} out")
    if why_missing(kind):
        pytest.skip(why_missing(kind))
