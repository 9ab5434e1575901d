"""The bias loop's gain: nothing without generated labels, exact where the learner is exact, and what it foretells."""

import math

import numpy as np
import pytest

from mpbf_abm import Parameters
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.known.rows import flat_space, learning_community
from mpbf_abm.measures.urn import bias_displacements, bias_gain, corpus_bias
from mpbf_abm.model.commons import GENERATED
from mpbf_abm.model.coupling import loop_gain
from mpbf_abm.model.ecosystem import Ecosystem


def growth(exponent, volumes):
    """Factor by which a displacement changes while the commons grows: the inverse of the damage exponent."""
    return float(np.prod(1.0 + exponent * np.diff(volumes) / np.asarray(volumes)[1:]))


def at_tick(p, tick, seed=1, space=None):
    eco = Ecosystem(p, seed, record=(), space=space)
    for _ in range(tick):
        eco.step()
    snapshot = eco.snapshot()
    eco.release()
    return snapshot


def test_without_generated_labels_new_records_inherit_nothing_and_a_shift_is_thinned_out():
    p = Parameters.null(**{"space.families": 5, "space.materials": 1_000})
    snapshot = at_tick(p, 6)
    assert bias_gain(snapshot) == 0.0
    records, displaced = bias_displacements(snapshot, [6, 30], size=0.5)
    assert displaced[0] == pytest.approx(0.5, rel=1e-5)
    assert displaced[1] / displaced[0] == pytest.approx(records[0] / records[1], rel=1e-4)
    assert displaced[1] / displaced[0] == pytest.approx(growth(-1.0, records), rel=1e-4)


@pytest.mark.parametrize(("pi", "g"), [(0.5, 1.0), (0.4, 2.0), (0.6, 2.5)])
def test_an_exact_learner_has_the_gain_of_the_formula(pi, g):
    """One trainer learns the mean of all records; pseudo-labels say g times as much."""
    p = learning_community(
        **{
            "founding.records": 400,
            "founding.mass": 1.0,
            "curators.count": 1,
            "curators.records": 400,
            "coupling.pseudo_share": pi,
            "coupling.pseudo_gain": g,
        }
    )
    space = flat_space(p)
    snapshot = at_tick(p, 3, space=space)
    eco = Ecosystem.restore(snapshot)
    eco.step()
    eco.step()
    commons = eco.world.commons
    share = float((commons.origin[commons.tick == eco.tick - 1] == GENERATED).mean())
    eco.release()
    assert share == pytest.approx(pi, abs=0.08)
    assert bias_gain(snapshot, wait=1) == pytest.approx(loop_gain(0.0, share, g, 1.0, 1.0), rel=1e-3)


def test_a_displacement_shrinks_below_one_and_grows_above():
    for g, sign in ((0.5, -1), (6.0, 1)):
        p = learning_community(
            **{
                "founding.records": 200,
                "founding.mass": 1.0,
                "curators.count": 1,
                "curators.records": 8,
                "coupling.pseudo_share": 0.5,
                "coupling.pseudo_gain": g,
            }
        )
        snapshot = at_tick(p, 3, space=flat_space(p))
        records, displaced = bias_displacements(snapshot, list(range(3, 24)), seed=5)
        grown = displaced[-1] / displaced[0]
        assert np.sign(math.log(grown)) == sign
        assert grown == pytest.approx(growth(0.5 * g - 1.0, records), rel=0.15)


def test_zero_shift_and_no_wait_are_refused_and_no_records_have_no_bias():
    p = Parameters.null(**{"space.families": 3, "space.materials": 300})
    snapshot = at_tick(p, 2)
    for faulty in ({"size": 0.0}, {"wait": 0}):
        with pytest.raises(ConfigurationError, match="bias gain: size ="):
            bias_gain(snapshot, **faulty)
    eco = Ecosystem.restore(snapshot)
    assert math.isnan(corpus_bias(eco.world, since=99))
    eco.release()
