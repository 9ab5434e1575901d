"""Page's taxonomy on processes whose classes are known (Page 2006)."""

import numpy as np
import pytest

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.path import equilibrium_dependence, outcome_class, urn


def bernoulli(history):  # noqa: ARG001
    return np.array([0.3, 0.7])


def markov(history):
    return np.array([0.9, 0.1] if history and history[-1] == 0 else [0.2, 0.8])


def founder(history):
    """The first outcome decides all the others."""
    return np.array([0.5, 0.5]) if not history else np.array([0.9, 0.1] if history[0] == 0 else [0.1, 0.9])


def strong(history):
    """Page's strong path dependence: each outcome weighs twice as much as all before it."""
    weight = sum(2.0**i * (1.0 if h == 0 else -1.0) for i, h in enumerate(history))
    share = 1.0 / (1.0 + np.exp(-weight / 2.0 ** len(history)))
    return np.array([share, 1 - share])


@pytest.mark.parametrize(
    ("kernel", "name"),
    [(bernoulli, "independent"), (markov, "recent"), (founder, "early"), (strong, "path"), (urn(1.0, [1, 1]), "phat"), (urn(-1.0, [1, 1]), "phat"), (urn(2.0, [1, 3]), "phat"), (urn(0.0, [1, 1]), "independent")],
    ids=["bernoulli", "markov", "founder", "strong", "polya", "balancing", "monopoly", "even"],
)  # fmt: skip
def test_classes_of_known_processes(kernel, name):
    assert outcome_class(kernel, 2, 5).name == name


def test_how_much_of_a_history_matters():
    assert outcome_class(markov, 2, 6).recent == 1
    assert outcome_class(founder, 2, 6).early == 1
    polya = outcome_class(urn(1.0, [1, 1, 1]), 3, 5)
    assert (polya.recent, polya.early, polya.phat) == (5, 5, True)
    assert outcome_class(bernoulli, 2, 4).recent == 0


def test_equilibria_of_polya_depend_on_history_and_those_of_the_balancing_urn_do_not():
    rng = np.random.default_rng(2)
    remembers = equilibrium_dependence(urn(1.0, [1, 1]), 2, 40, 400, 60, rng)
    # Of the m later draws, x the share after n: Var E[share | x] = Var x = n / (12 (n + 2)), and
    # Var share = Var x + E[x (1 - x)] (n + 2 + m) / (m (n + 3)).
    n, m = 40, 360
    early = n / (12 * (n + 2))
    within = (1 / 4 - early) * (n + 2 + m) / (m * (n + 3))
    exact = early / (early + within)
    assert abs(remembers.value - exact) < 4.5 * remembers.error
    forgets = equilibrium_dependence(urn(-1.0, [1, 1]), 2, 40, 400, 60, rng)
    assert forgets.low < 0.1
    assert forgets.value < 0.35
    nothing = equilibrium_dependence(bernoulli, 2, 20, 200, 60, rng)
    assert nothing.low < 0 < nothing.high
    decided = equilibrium_dependence(founder, 2, 5, 200, 60, rng)
    assert decided.value > 0.9


def test_faulty_input_is_refused():
    with pytest.raises(ConfigurationError, match="at most 50,000 histories"):
        outcome_class(bernoulli, 2, 30)
    with pytest.raises(ConfigurationError, match="split = 5"):
        equilibrium_dependence(bernoulli, 2, 5, 5, 3, np.random.default_rng(0))
    with pytest.raises(ConfigurationError, match="masses above 0"):
        urn(1.0, [0.0, 1.0])
