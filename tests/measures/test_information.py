"""Mutual information: exact in its limits, nothing by chance, the bivariate normal."""

import math

import numpy as np
import pytest

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.stats.information import entropy, label_information, share_information


def test_labels_that_say_all():
    labels = np.repeat([0, 1, 2, 3], 25)
    found = label_information(labels, 3 - labels, np.random.default_rng(0))
    assert found.value == pytest.approx(math.log(4))
    assert found.share == pytest.approx(1.0)
    assert found.p == 0.001
    # Four labels, four pairs of them: 3 / 2n more.
    assert found.miller_madow == pytest.approx(math.log(4) + 3 / 200)
    assert entropy(labels) == pytest.approx(math.log(4))


def test_labels_that_say_nothing():
    early, late = np.repeat([0, 1], 50), np.tile([0, 1], 50)
    found = label_information(early, late, np.random.default_rng(0))
    assert found.value == 0.0
    assert found.p == 1.0
    assert found.miller_madow == pytest.approx(-1 / 200)
    assert found.low < 0 < found.high
    constant = label_information(early, np.zeros(100), np.random.default_rng(0))
    assert (constant.value, constant.null) == (0.0, 0.0)
    assert math.isnan(constant.share)


def test_the_part_of_chance_is_that_of_miller_and_madow():
    rng = np.random.default_rng(3)
    found = [label_information(rng.integers(0, 3, 200), rng.integers(0, 4, 200), rng) for _ in range(30)]
    assert np.mean([f.null for f in found]) == pytest.approx(2 * 3 / (2 * 200), rel=0.08)
    corrected = np.array([f.corrected for f in found])
    assert abs(corrected.mean()) < 3.5 * corrected.std(ddof=1) / math.sqrt(len(corrected))
    better = np.array([f.miller_madow for f in found])
    assert abs(better.mean()) < 3.5 * better.std(ddof=1) / math.sqrt(len(better))
    assert np.mean([f.low <= 0 <= f.high for f in found]) >= 0.9
    # p values of independent labels are uniform.
    assert np.mean([f.p for f in found]) == pytest.approx(0.5, abs=0.2)


def test_a_known_channel():
    """A symmetric channel with error .1: ln 2 - H(.1)."""
    rng = np.random.default_rng(5)
    sent = rng.integers(0, 2, 20_000)
    received = np.where(rng.random(20_000) < 0.1, 1 - sent, sent)
    exact = math.log(2) + 0.1 * math.log(0.1) + 0.9 * math.log(0.9)
    found = label_information(sent, received, rng)
    # The local term is ln 2(1 - e) or ln 2e, with variance e (1 - e) ln^2((1 - e) / e).
    assert found.error == pytest.approx(math.sqrt(0.1 * 0.9 / 20_000) * math.log(9), rel=0.03)
    assert abs(found.corrected - exact) < 3.5 * found.error
    assert found.low < found.corrected < found.high


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


def test_information_does_not_ask_which_comes_first_nor_what_things_are_called():
    rng = np.random.default_rng(2)
    x = rng.integers(0, 4, 80)
    y = np.where(rng.random(80) < 0.5, x, rng.integers(0, 4, 80))
    plain, turned, renamed = (
        label_information(a, b, np.random.default_rng(1))
        for a, b in ((x, y), (y, x), (9 - x, np.array(list("dbca"))[y]))
    )
    assert plain.value == pytest.approx(turned.value)
    assert plain.value == pytest.approx(renamed.value)
    assert plain.miller_madow == pytest.approx(turned.miller_madow)


def test_faulty_input_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigurationError, match="three pairs"):
        label_information([1, 2], [1, 2], rng)
    with pytest.raises(ConfigurationError, match="neighbours = 9"):
        share_information([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], rng, neighbours=9)
