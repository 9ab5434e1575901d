"""Structures: who enters them, who reaches them, and what encoders make of them; and directions from gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpbf_abm import MaterialsSpace, Parameters
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.learning.encoders import mixed, spiked, train_encoder
from mpbf_abm.learning.gaussian import coordinate_map, coordinates, fit_gaussian
from mpbf_abm.learning.heads import fit_head
from mpbf_abm.learning.linalg import features, leading_directions
from mpbf_abm.learning.models import frequencies, gradient_moment
from mpbf_abm.model.commons import LITERATURE, Commons
from mpbf_abm.model.community import Community
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.model.structures import Structures
from mpbf_abm.model.training import Corpus, encode, encoder_corpus
from mpbf_abm.streams import Streams

SMALL: dict[str, Any] = {
    "space.materials": 600,
    "space.families": 6,
    "space.quantum_dims": 8,
    "space.observed_dims": 48,
    "space.gauge_dims": 3,
    "founding.records": 120,
    "curators.count": 5,
    "infrastructure.repositories": 3,
    "trainers.corpus": "reachable",
    "trainers.retrain_interval": 3,
    "trainers.reuse": 0.0,
}
BOTH = {"founding.structures": 400, "curators.structures": 2}


def community(changes: dict[str, Any] | None = None, space: MaterialsSpace | None = None, ticks: int = 0) -> Community:
    made = Community(Parameters.preset("single-quick").updated(SMALL | (changes or {})), 4, space=space)
    for _ in range(ticks):
        made.step()
    return made


# --------------------------------------------------------------------------- who enters and reaches them


def test_founding_structures_are_drawn_as_founding_records_and_leave_these_alone():
    large = {"founding.structures": 3_000}
    with_, without, fewer = (community(c).world for c in (large, {}, BOTH))
    for name in ("key", "material", "value", "repository", "federated"):
        np.testing.assert_array_equal(getattr(with_.commons, name), getattr(without.commons, name))
    s, space = with_.structures, with_.space
    assert len(s) == 3_000
    assert len(np.unique(s.key)) == 3_000
    assert not np.isin(s.key, with_.commons.key).any()
    np.testing.assert_array_equal(fewer.structures.material, s.material[:400])
    weight = space.family_sizes**with_.p.founding.concentration
    families, zipf = np.bincount(space.family[s.material]) / 3_000, np.array([6, 3, 2]) / 11
    np.testing.assert_allclose(families, weight / weight.sum(), atol=4 * np.sqrt(0.25 / 3_000))
    np.testing.assert_allclose(np.bincount(s.repository) / 3_000, zipf, atol=4 * np.sqrt(0.25 / 3_000))
    assert s.federated.mean() == pytest.approx(with_.p.infrastructure.openness, abs=4 * np.sqrt(0.25 / 3_000))


@pytest.mark.parametrize("records", [4, 0])
def test_a_curator_enters_structures_of_what_it_attends_to_while_its_repository_works(records: int):
    mass = (0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    made = community(
        {"curators.structures": 4, "curators.records": records, "curators.exploration": 0.0}
        | {"founding.mass": mass, "founding.records": 0}
    )
    world = made.world
    world.infrastructure.fail_repositories(np.array([1]), 99)
    made.step()
    s, curators = world.structures, world.curators
    assert len(s) == 4 * (curators.repository != 1).sum()
    assert len(np.unique(s.key)) == len(s)
    assert set(s.repository) == {0, 2}
    assert set(world.space.family[s.material]) == {2}


def test_structures_are_reached_by_the_rule_of_records():
    draw, space = np.random.default_rng(1), community().world.space
    store, commons = Structures(), Commons(space, 4, np.ones(6), Streams(1))
    n = 60
    same = {
        "key": np.arange(n, dtype=np.uint64),
        "material": draw.integers(0, 600, n),
        "repository": draw.integers(0, 4, n),
        "federated": draw.random(n) < 0.3,
    }
    store.append(**same)
    commons.append(
        **same, modality=np.int8(0), value=0.0, variance=1.0, origin=np.int8(LITERATURE), producer=-1, tick=0
    )
    for sources in ([1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]):
        np.testing.assert_array_equal(
            store.reachable(np.array(sources, bool)), commons.reachable(np.array(sources, bool))
        )


def test_structures_count_as_no_records():
    """Without models nothing that is recorded, and no bit of a record, depends on them."""
    off = {"trainers.count": 0, "planners.acquisition": "random"}
    here, there = (community(off | c, ticks=4) for c in ({}, BOTH))
    assert repr(here.recorder.series) == repr(there.recorder.series)
    for name in ("key", "material", "value"):
        np.testing.assert_array_equal(getattr(here.world.commons, name), getattr(there.world.commons, name))
    assert len(there.world.structures) == 400 + 4 * 2 * 5


def test_snapshots_and_relabelled_families_keep_structures():
    made = community(BOTH, ticks=2)
    frozen, held = made.snapshot(), len(made.world.structures)
    for _ in range(3):
        made.step()
    again = Community.restore(frozen)
    assert len(again.world.structures) == held
    for _ in range(3):
        again.step()
    assert repr(again.recorder.series) == repr(made.recorder.series)
    space = made.world.space
    order = np.random.default_rng(0).permutation(space.families)
    other = community(BOTH, space.relabelled(order), ticks=5)
    np.testing.assert_array_equal(
        other.world.space.material_keys[other.world.structures.material],
        space.material_keys[made.world.structures.material],
    )
    first, second = (c.recorder.series[-1][1]["rmse_dense"] for c in (made, other))
    assert first == pytest.approx(second, rel=1e-5)


@pytest.mark.parametrize("changes", [{"trainers.corpus": "sample"}, {"space.observed_dims": 0}])
def test_structures_that_no_encoder_reads_are_refused(changes: dict[str, Any]):
    told = "structures are read with trainers.corpus = reachable and space.observed_dims above 0 only"
    with pytest.raises(ConfigurationError) as caught:
        Parameters.preset("single-default").updated(SMALL | BOTH | changes)
    assert caught.value.faults == [f"founding.structures = 400: {told}", f"curators.structures = 2: {told}"]


def test_structures_in_a_space_of_plain_descriptors_are_refused():
    plain = MaterialsSpace.synthetic(
        Parameters.preset("single-default").updated(SMALL | {"space.observed_dims": 0}), seed=1
    )
    p = Parameters.preset("single-default").updated(SMALL | {"founding.structures": 9})
    line = "founding.structures = 9: needs observed descriptors, which this space has not"
    for refused in (lambda: Community(p, 1, space=plain), lambda: RunSpec(p, 1, 3, space=plain).check()):
        with pytest.raises(ConfigurationError) as caught:
            refused()
        assert caught.value.faults == [line]


# --------------------------------------------------------------------------- what encoders make of them


def crystal_graphs(**changes: Any) -> Any:
    """A community whose records show what structures show: crystal graphs, the gauge out of sight."""
    mix = {"curators.modality_mix": (1.0, 0.0, 0.0, 0.0, 0.0, 0.0), "infrastructure.openness": 1.0}
    return community(mix | changes).world


@pytest.mark.parametrize("objective", ["masked", "contrastive"])
def test_an_encoder_of_structures_is_that_of_records_of_the_same_materials(objective: str):
    world = crystal_graphs()
    rows = np.arange(len(world.commons))
    labelled = encode(world, Corpus(rows), objective, 6, 1.0)
    world.structures.append(
        key=world.commons.key, material=world.commons.material, repository=world.commons.repository,
        federated=world.commons.federated,
    )  # fmt: skip
    unlabelled = encode(world, Corpus(rows[:0], rows), objective, 6, 1.0)
    both = encode(world, Corpus(rows, rows), objective, 6, 1.0)
    for other in (unlabelled, both):
        np.testing.assert_array_equal(other.directions, labelled.directions)
        np.testing.assert_array_equal(other.spread, labelled.spread)


def test_a_corpus_holds_what_is_within_reach_and_more_of_it_finds_more():
    world = crystal_graphs(**{"founding.structures": 2_000})
    every = np.arange(len(world.commons))
    few, many = (encode(world, c, "masked", 8, 1.0) for c in (Corpus(every), encoder_corpus(world, 0, every)))
    causal = world.space.causal
    assert (many.directions[causal] ** 2).sum() > (few.directions[causal] ** 2).sum() + 0.5
    world.structures.federated[:] = False
    world.infrastructure.fail_repositories(world.infrastructure.model_repositories[0][:1], 99)
    left = encoder_corpus(world, 0, every).structures
    assert 0 < len(left) < 2_000
    assert world.infrastructure.trainer_sources(0)[world.structures.repository[left]].all()


# --------------------------------------------------------------------------- directions from gradients


def taught(seed: int = 0, n: int = 1_500, d: int = 12) -> tuple[np.ndarray, np.ndarray, Any]:
    """Rows with two directions of signal, the weaker one, and a model of a property that is linear along it."""
    draw = np.random.default_rng(seed)
    x = (draw.standard_normal((n, d)) * np.append([3.0, 2.0], np.ones(d - 2))).astype(np.float32)
    truth = np.eye(d)[1]
    omega, phase = frequencies(Streams(seed), 0, d, 300)
    weights = (omega / 12.0).astype(np.float32)
    head = fit_head(features(x, weights, phase), x @ truth, np.full(n, 0.01))
    return x, truth, Model(head, weights, phase)


class Model:
    """What a teacher is asked for."""

    def __init__(self, head: Any, weights: np.ndarray, phase: np.ndarray) -> None:
        self.head, self.weights, self.phase = head, weights, phase


def test_gradients_alone_lead_to_the_direction_of_a_linear_truth_and_weights_stay_those_of_the_data():
    x, truth, model = taught()
    n, d = x.shape
    gradients = gradient_moment([model], x)
    plain, learned = (
        train_encoder(x, np.ones_like(x), "masked", 3, np.ones(d), distinct=n, gradients=gradients, supervised=w)
        for w in (0.0, 1.0)
    )
    assert (truth @ plain.directions[:, 0]) ** 2 < 0.01
    assert (truth @ learned.directions[:, 0]) ** 2 > 0.98
    seen = x - x.mean(axis=0)
    moment = (seen.T @ seen).astype(float) / n
    same = spiked(moment, leading_directions(gradients, 3), n, learned.centre, np.ones(d))
    np.testing.assert_allclose(learned.spread, same.spread, rtol=1e-4)


def test_gradients_have_their_weight_in_every_objective_and_none_where_they_are_zero():
    x, _, model = taught()
    d = x.shape[1]
    ones, gradients = np.ones_like(x), gradient_moment([model], x)
    views = {"second_view": x + 0.1, "second_gains": ones, "smoothed": x}
    for objective in ("masked", "contrastive", "fusion", "graph"):
        found = [
            train_encoder(x, ones, objective, 3, np.ones(d), gradients=g, supervised=w, **views).directions
            for g, w in ((None, 0.0), (gradients, 0.5), (gradients, 1.0), (0 * gradients, 1.0))
        ]
        np.testing.assert_array_equal(found[0], found[3])
        assert not np.allclose(found[0], found[1])
        np.testing.assert_allclose(found[2], leading_directions(gradients, 3), atol=1e-6)
    half = mixed(np.diag([4.0, 0.0]), np.diag([0.0, 8.0]), 0.25)
    np.testing.assert_allclose(half, np.diag([0.75, 0.25]))


def test_the_gradient_moment_is_the_mean_over_models_and_rows_of_numerical_gradients():
    x, _, first = taught(n=300)
    d, few, step = x.shape[1], x[:5], 0.05
    encoder = train_encoder(x, np.ones_like(x), "masked", 4, np.ones(d))
    weights, shift = coordinate_map(encoder, 1.0)
    y, variance = np.sin(x[:, 0]).astype(float), np.full(300, 0.01)
    second = Model(fit_gaussian(coordinates(x, weights, shift), y, variance), weights, shift)

    def slope(model: Any, row: np.ndarray) -> np.ndarray:
        near = np.concatenate([row + step * np.eye(d), row - step * np.eye(d)]).astype(np.float32)
        mean = model.head.predict(model.head.features(near, model.weights, model.phase))[0].astype(float)
        return (mean[:d] - mean[d:]) / (2 * step)

    outer = [np.outer(g, g) for model in (first, second) for g in (slope(model, row) for row in few)]
    wanted = np.mean(outer, axis=0)
    np.testing.assert_allclose(gradient_moment([first, second], few), wanted, atol=0.02 * np.abs(wanted).max())


def test_the_teacher_is_the_last_model_of_the_same_trainer():
    plain, supervised = (community({"trainers.supervised": w, **BOTH}, ticks=1).world for w in (0.0, 1.0))
    for a, b in zip(plain.registry.models, supervised.registry.models, strict=True):
        np.testing.assert_array_equal(a.encoder.directions, b.encoder.directions)
    rows = np.arange(20)
    assert encoder_corpus(supervised, 2, rows).teachers == [supervised.registry.models[2]]
    assert not encoder_corpus(plain, 2, rows).teachers
    last = supervised.registry.models[2]
    corpus = encoder_corpus(supervised, 2, rows)
    span = encode(supervised, corpus, "masked", 6, 0.7).directions
    scale = last.encoder.input_scale[:, None] * last.encoder.directions
    # Gradients lie in what the last encoder keeps: alone they find nothing new.
    inside = np.linalg.qr(scale)[0]
    np.testing.assert_allclose(((inside.T @ span) ** 2).sum(axis=0), 1.0, atol=1e-4)
