"""Divergence of replicates."""

import math

import numpy as np
import pytest

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.stats.concentration import corrected_jsd


def test_disjoint_replicates_differ_most():
    # Of R replicates that share nothing each holds 1/R of the mean: ln R, without chance where counts are large.
    assert corrected_jsd(1e12 * np.eye(4))[0] == pytest.approx(4 * math.log(4) - 3 * math.log(3))


def test_correction_takes_away_chance_and_the_number_of_replicates():
    rng = np.random.default_rng(2)
    K, n = 4, 200
    exact = math.log(K) - (sum(1 / i for i in range(1, K + 1)) - 1)
    few = [
        corrected_jsd(np.array([rng.multinomial(n, q) for q in rng.dirichlet(np.ones(K), 12)]))[0] for _ in range(200)
    ]
    assert abs(np.mean(few) - exact) < 4.5 * np.std(few) / math.sqrt(200) + 0.002
    same = [corrected_jsd(rng.multinomial(n, np.full(K, 1 / K), 20))[0] for _ in range(200)]
    assert abs(np.mean(same)) < 4.5 * np.std(same) / math.sqrt(200) + 1e-4


def test_jackknife_error_is_the_scatter_of_the_estimate():
    rng = np.random.default_rng(3)
    runs = [corrected_jsd(rng.dirichlet(np.ones(5), 60) * 1e6) for _ in range(150)]
    assert np.mean([e for _, e in runs]) == pytest.approx(np.std([v for v, _ in runs]), rel=0.25)


@pytest.mark.parametrize("counts", [np.ones((1, 3)), np.ones(3), np.array([[1, 2], [0, 0], [1, 1]])])
def test_too_few_replicates_or_empty_ones_are_refused(counts):
    with pytest.raises(ConfigurationError, match="divergence needs counts"):
        corrected_jsd(counts)
