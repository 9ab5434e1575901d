"""Mutual information: nothing by chance, the bivariate normal."""

import math

import numpy as np
import pytest

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.stats.concentration import share_information


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
def test_the_bivariate_normal(rho):
    rng = np.random.default_rng(7)
    x = rng.normal(size=1_500)
    y = rho * x + math.sqrt(1 - rho**2) * rng.normal(size=1_500)
    found = share_information(x, np.exp(y), rng)
    exact = -0.5 * math.log(1 - rho**2)
    assert found.value == pytest.approx(exact, abs=0.06)
    assert abs(found.corrected - exact) < 3.5 * found.error < 0.15
    assert abs(found.null) < 0.02
    assert (found.p < 0.05) == (rho > 0)


def test_faulty_input_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigurationError, match="three pairs"):
        share_information([1, 2], [1, 2], rng)
    with pytest.raises(ConfigurationError, match="neighbours = 9"):
        share_information([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], rng, neighbours=9)
