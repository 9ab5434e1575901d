"""Designed corpora: what is drawn, and that what is learned of them is what a community's trainer learns."""

import numpy as np
import pytest
from small import small, space_of

from mpbf_abm import Ecosystem
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.facts.learners import MEASUREMENT, SIMULATION, learn, mixed, only, sample, spread_of_ensemble
from mpbf_abm.model.modalities import FIDELITY, MEASURED, SIMULATED
from mpbf_abm.model.training import training_rows

P = small()
SPACE = space_of(P)
MANY = 20_000


@pytest.mark.parametrize("concentration", [0.0, 1.0, 2.0])
def test_families_are_drawn_by_their_size_to_the_founding_concentration(concentration: float):
    p = small(founding__concentration=concentration)
    drawn = sample(SPACE, p, 3, "test", MANY)
    weight = SPACE.family_sizes**concentration
    share = weight / weight.sum()
    count = np.bincount(SPACE.family[drawn], minlength=SPACE.families)
    assert (np.abs(count / MANY - share) < 4.5 * np.sqrt(share * (1 - share) / MANY)).all()
    # Within a family all materials alike.
    largest = np.bincount(drawn[SPACE.family[drawn] == 0], minlength=SPACE.family_sizes[0])
    mean = largest.mean()
    assert np.abs(largest - mean).max() < 5.5 * np.sqrt(mean)


def test_what_is_left_out_is_never_drawn_and_the_rest_keeps_its_shares():
    outside = np.arange(0, SPACE.size, 3)
    drawn = sample(SPACE, P, 3, "test", MANY, without=1, outside=outside)
    allowed = np.setdiff1d(np.flatnonzero(SPACE.family != 1), outside)
    assert np.array_equal(np.unique(drawn), allowed)
    count = np.bincount(SPACE.family[drawn], minlength=SPACE.families) / MANY
    share = np.bincount(SPACE.family[allowed], minlength=SPACE.families) / len(allowed)  # concentration 1: each alike
    assert (np.abs(count - share) <= 4.5 * np.sqrt(share * (1 - share) / MANY)).all()


def test_a_sample_follows_from_its_seed_and_name():
    first = sample(SPACE, P, 3, "test", 100)
    assert np.array_equal(first, sample(SPACE, P, 3, "test", 100))
    assert not np.array_equal(first, sample(SPACE, P, 4, "test", 100))
    assert not np.array_equal(first, sample(SPACE, P, 3, "train", 100))


def test_two_materials_are_the_fewest_to_draw_from():
    assert set(sample(SPACE, P, 3, "test", 200, outside=np.arange(2, SPACE.size))) == {0, 1}
    with pytest.raises(ConfigurationError, match="too few materials"):
        sample(SPACE, P, 3, "test", 200, outside=np.arange(1, SPACE.size))


def test_kinds_of_data_follow_the_curators_mix():
    p = small(curators__modality_mix=(1, 0, 3, 0, 0, 0))
    count = np.bincount(mixed(p, 1, MANY), minlength=6) / MANY
    assert count[[1, 3, 4, 5]].sum() == 0
    assert abs(count[2] - 0.75) < 4.5 * np.sqrt(0.75 * 0.25 / MANY)


def test_one_kind_stands_for_one_fidelity():
    assert FIDELITY[SIMULATION] == SIMULATED
    assert FIDELITY[MEASUREMENT] == MEASURED


@pytest.mark.parametrize(
    ("kind", "scale"), [(SIMULATION, 1.0), (MEASUREMENT, 1.0), (SIMULATION, 3.0), (SIMULATION, 0.3)]
)
def test_a_trainer_learns_from_the_whole_corpus_and_the_given_labels_alone(kind: int, scale: float):
    p = small(modalities__simulated_noise=0.0, modalities__measured_noise=0.0)
    material = sample(SPACE, p, 1, "train", 301)
    learned = learn(p, SPACE, 1, material, only(kind, 301), scale=scale)
    world, rows = learned.world, np.arange(301)
    assert np.array_equal(training_rows(world, world.infrastructure.trainer_sources(0), scale), rows)
    assert learned.model.records == 301
    assert learned.model.scale == scale
    assert learned.model.weights.shape[1] == round(24 * scale**0.5)
    # Without noise a label is the simulation, or the property itself.
    value = SPACE.simulated if kind == SIMULATION else SPACE.property
    np.testing.assert_allclose(world.commons.value[rows], value[material], atol=1e-6)


def test_the_model_is_that_of_a_community_with_the_same_commons():
    material = sample(SPACE, P, 2, "train", 200)
    learned = learn(P, SPACE, 2, material, mixed(P, 2, 200), objective="fusion")
    eco = Ecosystem(learned.world.p, 2, space=SPACE, record=())
    try:
        commons, n = learned.world.commons, 200
        eco.world.commons.append(
            key=commons.key[:n],
            material=commons.material[:n],
            modality=commons.modality[:n],
            value=commons.value[:n],
            variance=commons.variance[:n],
            origin=commons.origin[:n],
            repository=commons.repository[:n],
            producer=commons.producer[:n],
            tick=commons.tick[:n],
            federated=commons.federated[:n],
        )
        eco.step()
        ((_, model),) = eco.world.models()
        assert model.objective == learned.model.objective == "fusion"
        assert np.array_equal(model.encoder.directions, learned.model.encoder.directions)
        assert np.array_equal(model.head.mean, learned.model.head.mean)
        assert np.array_equal(model.head.covariance, learned.model.head.covariance)
    finally:
        eco.release()


def test_objectives_are_dealt_to_successive_seeds():
    material = sample(SPACE, P, 1, "train", 60)
    dealt = [learn(P, SPACE, seed, material, mixed(P, 1, 60)).model.objective for seed in range(5)]
    assert len(set(dealt[:4])) == 4
    assert dealt[4] == dealt[0]
    own = small(trainers__objective="graph")
    assert learn(own, SPACE, 1, material, mixed(P, 1, 60)).model.objective == "graph"


def test_an_ensemble_of_learners_of_the_mean_differs_by_its_bootstrap_alone():
    p = small(trainers__head="mean")
    n = 200
    material = sample(SPACE, p, 1, "train", n)
    learned = learn(p, SPACE, 1, material, only(MEASUREMENT, n))
    test = sample(SPACE, p, 1, "test", 50)
    mean, spread = spread_of_ensemble(learned, test)
    # Every material gets the same; the spread is about the standard error of a mean.
    assert np.ptp(mean) < 1e-6
    assert np.ptp(spread) < 1e-6
    error = SPACE.property[material].std() / np.sqrt(n)
    assert 0.2 * error < spread[0] < 3 * error
    plain, _, _ = learned.predict(test)
    assert abs(mean[0] - plain[0]) < 4.5 * error


def test_the_spread_of_an_ensemble_grows_with_the_noise_of_its_labels():
    spread = []
    for noise in (0.0, 2.0):
        p = small(modalities__measured_noise=noise)
        learned = learn(p, SPACE, 1, sample(SPACE, p, 1, "train", 300), only(MEASUREMENT, 300))
        spread.append(spread_of_ensemble(learned, sample(SPACE, p, 1, "test", 50))[1].mean())
    assert spread[1] > 1.5 * spread[0] > 0


def test_members_of_an_ensemble_have_the_head_of_the_community():
    p = small(trainers__head="gaussian_process", trainers__latent_dims=12, modalities__measured_noise=0.05)
    learned = learn(p, SPACE, 1, sample(SPACE, p, 1, "train", 300), only(MEASUREMENT, 300))
    test = sample(SPACE, p, 1, "test", 200)
    own, _, _ = learned.predict(test)
    mean, _ = spread_of_ensemble(learned, test)
    assert np.corrcoef(own, mean)[0, 1] > 0.95


def test_a_correction_of_the_simulation_stands_on_it():
    p = small(trainers__head="mean", trainers__physical_prior=True, modalities__measured_noise=0.0)
    learned = learn(p, SPACE, 1, sample(SPACE, p, 1, "train", 200), only(MEASUREMENT, 200))
    test = sample(SPACE, p, 1, "test", 50)
    for predicted in (learned.predict(test)[0], spread_of_ensemble(learned, test)[0]):
        assert np.ptp(predicted - SPACE.simulated[test]) < 1e-5
