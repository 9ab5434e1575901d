"""The commons: what is kept incrementally equals what a full recount of the records gives."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpbf_abm.model.assimilation import fidelity
from mpbf_abm.model.commons import (
    CURATOR,
    EXPERIMENT,
    FAILED,
    FOUNDER,
    GENERATED,
    LITERATURE,
    ORIGINS,
    SHRINK,
    SIMULATION,
    Commons,
    record_keys,
)
from mpbf_abm.model.forgetting import decay
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.modalities import (
    COVERAGE,
    CRYSTAL_GRAPHS,
    FIDELITY,
    HYBRID,
    MEASURED,
    MODALITIES,
    NAMES,
    SIMULATED,
    SPECTROSCOPY,
    costs,
)
from mpbf_abm.parameters import Parameters
from mpbf_abm.streams import Streams

MULTI_FIDELITY = 5
R = 3
SPACE = MaterialsSpace.synthetic(
    Parameters.preset("single-default"),
    seed=0,
    materials=24,
    families=4,
    quantum_dims=4,
    chemistry_rank=2,
    meso_dims=1,
    gauge_dims=1,
    spurious_dims=1,
)


def empty(repositories: int = R, seed: int = 5) -> Commons:
    return Commons(SPACE, repositories, np.array([1.0, 2.0, 0.5, 0.0]), Streams(seed))


def answer(commons: Commons, working: NDArray[np.bool_]) -> None:
    """Let some repositories answer and the others be silent."""
    commons.down[...] = ~working
    commons.notice()


def overlaps(commons: Commons) -> int:
    """Materials in view with both a simulated and a measured label."""
    commons.estimated_bias()  # brings the counts up to date
    return int(commons._gap_count.sum())


def add(commons: Commons, material: Any, **columns: Any) -> NDArray[np.int64]:
    """Append plain records: simulated, value 0, variance 1, repository 0, not federated."""
    material = np.asarray(material, np.int64)
    key = record_keys(CURATOR, 1, len(commons), np.arange(len(material)))
    values = {
        "key": key,
        "material": material,
        "modality": CRYSTAL_GRAPHS,
        "value": 0.0,
        "variance": 1.0,
        "origin": SIMULATION,
        "repository": 0,
        "producer": 0,
        "tick": 0,
    } | columns
    rows = commons.append(**values)
    return np.arange(rows.start, rows.stop)


# --------------------------------------------------------------------------- recount after random programs


@dataclass
class Program:
    """Random changes to a commons, and a plain list of what should be in it."""

    rng: np.random.Generator
    commons: Commons = field(default_factory=empty)
    records: list[dict[str, Any]] = field(default_factory=list)
    mass: NDArray[np.float64] = field(default_factory=lambda: np.array([1.0, 2.0, 0.5, 0.0]))
    working: NDArray[np.bool_] = field(default_factory=lambda: np.ones(R, bool))
    tested: set[int] = field(default_factory=set)
    tick: int = 0

    def append(self) -> None:
        n, rng = int(self.rng.integers(0, 40)), self.rng
        columns = {
            "key": record_keys(CURATOR, rng.integers(0, 9), self.tick, np.arange(n)),
            "material": rng.integers(0, SPACE.size, n),
            "modality": rng.integers(0, 6, n).astype(np.int8),
            "value": rng.normal(size=n).astype(np.float32),
            "variance": rng.choice(np.array([0.01, 0.0625, 0.3, 1.0], np.float32), n),
            "origin": rng.integers(0, 5, n).astype(np.int8),
            "repository": rng.integers(0, R, n),
            "producer": rng.integers(0, 9, n),
            "federated": rng.random(n) < 0.3,
        }
        rows = self.commons.append(**columns, tick=self.tick)
        assert rows.stop - rows.start == n
        for i in range(n):
            r = {name: column[i] for name, column in columns.items()}
            self.records.append(r)
            measured = FIDELITY[r["modality"]] == MEASURED and r["origin"] != GENERATED
            if measured or r["origin"] == FAILED:
                self.tested.add(int(r["material"]))

    def live(self) -> NDArray[np.int64]:
        return np.flatnonzero(self.commons.alive)

    def pick(self, share: float) -> NDArray[np.int64]:
        rows = self.live()
        return rows[self.rng.random(len(rows)) < share]

    def where(self) -> dict[int, dict[str, Any]]:
        return {int(r["key"]): r for r in self.records}

    def remove(self) -> None:
        rows = self.pick(0.3)
        keys = {int(k) for k in self.commons.key[rows]}
        self.commons.remove(rows, retracted=bool(self.rng.random() < 0.5))
        self.records = [r for r in self.records if int(r["key"]) not in keys]

    def rewrite(self) -> None:
        rows = self.pick(0.2)
        value = self.rng.normal(size=len(rows)).astype(np.float32)
        variance = np.full(len(rows), 0.25, np.float32)
        modality = np.full(len(rows), SPECTROSCOPY, np.int8)
        self.commons.know(self.commons.material[rows])
        self.tested |= {int(m) for m in self.commons.material[rows]}
        by_key = self.where()
        for key, v in zip(self.commons.key[rows], value, strict=True):
            by_key[int(key)].update(value=v, variance=np.float32(0.25), modality=SPECTROSCOPY)
        self.commons.rewrite(rows, value, variance, modality=modality, audited=True)

    def decay(self) -> None:
        before = {int(k) for k in self.commons.key[self.live()]}
        gone = decay(self.commons, 0.2, self.tick)
        after = {int(k) for k in self.commons.key[self.live()]}
        assert after <= before
        assert len(before) - len(after) == gone
        self.mass = self.mass * np.exp(-0.2)
        self.records = [r for r in self.records if int(r["key"]) in after]

    def silence(self) -> None:
        working = self.rng.random(R) < 0.6
        working[self.rng.integers(R)] = True
        self.working = working
        answer(self.commons, working)

    def compact(self) -> None:
        self.commons._compact()

    def ask(self) -> None:
        """Asking brings the lazy indexes up to date half-way; it must not change an answer."""
        self.commons.estimated_bias()
        self.commons.uniform()

    def run(self, steps: list[str]) -> None:
        for step in steps:
            getattr(self, step)()
            self.tick += 1

    # ------------------------------------------------------------------ the recount

    def column(self, name: str) -> NDArray[Any]:
        return np.array([r[name] for r in self.records])

    def check(self) -> None:
        commons, records, K, N = self.commons, self.records, SPACE.families, SPACE.size
        counts, distinct = np.zeros((R + 1, K), int), [set() for _ in range(K)]
        weight, value = np.zeros((R + 1, 3, N)), np.zeros((R + 1, 3, N))
        modalities, by_material = np.zeros(6, int), np.zeros(N, int)
        for r in records:
            m, home = int(r["material"]), R if r["federated"] else int(r["repository"])
            counts[home, SPACE.family[m]] += 1
            distinct[SPACE.family[m]].add(m)
            modalities[r["modality"]] += 1
            by_material[m] += 1
            if r["origin"] != FAILED:
                weight[home, FIDELITY[r["modality"]], m] += 1 / float(r["variance"])
                value[home, FIDELITY[r["modality"]], m] += float(r["value"]) / float(r["variance"])
        in_view = np.append(self.working, self.working.any())
        np.testing.assert_array_equal(commons.counts, counts)
        np.testing.assert_array_equal(commons.records_by_family(), counts.sum(axis=0))
        np.testing.assert_allclose(commons.visible(), self.mass + counts[in_view].sum(axis=0), rtol=1e-12)
        np.testing.assert_array_equal(commons.distinct_materials(), [len(d) for d in distinct])
        np.testing.assert_array_equal(commons.modality_counts, modalities)
        np.testing.assert_array_equal(commons.material_records, by_material)
        np.testing.assert_allclose(np.moveaxis(commons.precision, 0, -1), weight, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(np.moveaxis(commons.precision_value, 0, -1), value, rtol=1e-4, atol=5e-3)
        np.testing.assert_array_equal(np.flatnonzero(commons.tested), sorted(self.tested))
        untested = SPACE.family_sizes - np.bincount(SPACE.family[sorted(self.tested)], minlength=K)
        np.testing.assert_array_equal(commons.untested, untested)
        self.check_overlaps(weight[in_view].sum(axis=0), value[in_view].sum(axis=0))
        self.check_reach()

    def check_overlaps(self, weight: NDArray[np.float64], value: NDArray[np.float64]) -> None:
        commons = self.commons
        mean = value / np.where(weight > 0, weight, np.nan)
        gap = mean[SIMULATED] - mean[MEASURED]
        both = ~np.isnan(gap)
        assert overlaps(commons) == both.sum()
        family = SPACE.family
        number = np.bincount(family[both], minlength=4).astype(float)
        total = np.bincount(family[both], gap[both], minlength=4)
        overall = total.sum() / (number.sum() + SHRINK)
        expected = overall + (total - number * overall) / (number + SHRINK)
        np.testing.assert_allclose(commons.estimated_bias(), expected, rtol=1e-3, atol=2e-3)
        for prior in (0.5, 5.0):
            w = weight[SIMULATED][both]
            pseudo = prior * (w.mean() if len(w) else 1.0)
            wanted = (np.sum(w * np.exp(-0.5 * gap[both] ** 2)) + pseudo) / (w.sum() + pseudo)
            assert commons.perceived_fidelity(prior) == pytest.approx(wanted, rel=2e-3, abs=2e-3)

    def check_reach(self) -> None:
        commons = self.commons
        by_key = self.where()
        assert len(by_key) == len(self.records)
        for sources in (np.array([True, False, False]), np.array([False, True, True]), np.zeros(R, bool)):
            expected = {
                k
                for k, r in by_key.items()
                if r["origin"] != FAILED and sources.any() and (r["federated"] or sources[r["repository"]])
            }
            assert {int(k) for k in commons.key[commons.reachable(sources)]} == expected
            tried = {
                r["material"]
                for k, r in by_key.items()
                if FIDELITY[r["modality"]] == 2 and (r["federated"] or sources[r["repository"]])
            }
            trials = commons.trials(sources)
            assert sorted(commons.material[trials]) == sorted(tried if sources.any() else ())
            assert (np.diff(trials) > 0).all()
        np.testing.assert_array_equal(commons.uniform(), commons.streams.record_uniform("commons.order", commons.key))
        for row in self.live():
            r = by_key[int(commons.key[row])]
            for name in ("material", "modality", "value", "variance", "origin", "repository", "producer", "federated"):
                assert getattr(commons, name)[row] == r[name]
            assert commons.family[row] == SPACE.family[r["material"]]


STEPS = ("append", "append", "remove", "rewrite", "decay", "silence", "compact", "ask")


@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from(STEPS), min_size=1, max_size=14))
@example(1, ["append", "ask", "silence", "append", "remove", "rewrite", "compact", "append", "silence", "decay"] * 6)
@example(2, ["append", "silence", "append", "ask", "decay", "rewrite"] * 10)
def test_every_index_equals_a_recount_after_any_program(seed: int, steps: list[str]) -> None:
    program = Program(np.random.default_rng(seed))
    program.run(steps)
    program.check()


@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from(STEPS), min_size=2, max_size=10))
def test_every_index_is_right_at_every_step(seed: int, steps: list[str]) -> None:
    program = Program(np.random.default_rng(seed))
    for step in steps:
        program.run([step])
        program.check()


def test_a_large_store_compacts_itself_and_answers_as_before() -> None:
    commons, rng = empty(), np.random.default_rng(0)
    rows = add(
        commons,
        rng.integers(0, 24, 21_000),
        modality=rng.integers(0, 6, 21_000).astype(np.int8),
        value=rng.normal(size=21_000),
        key=record_keys(FOUNDER, 0, 0, np.arange(21_000)),
        federated=rng.random(21_000) < 0.1,
    )
    removed = rng.permutation(rows)[:12_000]
    kept = np.setdiff1d(rows, removed)
    keys, values = commons.key[kept].copy(), commons.value[kept].copy()
    commons.remove(removed)
    assert len(commons) == 9_000
    np.testing.assert_array_equal(commons.key, keys)
    np.testing.assert_array_equal(commons.value, values)
    assert commons.records_by_family().sum() == commons.modality_counts.sum() == 9_000
    np.testing.assert_array_equal(commons.uniform(), commons.streams.record_uniform("commons.order", keys))
    fresh = add(commons, [3])
    assert not any(getattr(commons, flag)[fresh[0]] for flag in ("federated", "corrupted", "audited", "retracted"))


def test_the_store_grows_past_its_first_size() -> None:
    commons = empty()
    for _ in range(5):
        add(commons, np.arange(1_000) % 24)
    assert len(commons) == 5_000
    np.testing.assert_array_equal(commons.material, np.tile(np.arange(1_000) % 24, 5))
    assert len(np.unique(commons.uniform())) == 5_000


def test_labels_of_very_high_precision_leave_no_trace_when_they_go() -> None:
    """A variance of a millionth is allowed; sums must not keep a ghost of it."""
    commons = empty()
    rng = np.random.default_rng(3)
    rows = add(
        commons,
        np.repeat(np.arange(24), 6),
        modality=np.tile(np.array([0, 1, 0, 2, 3, 4], np.int8), 24),
        value=rng.normal(size=144),
        variance=rng.choice(np.array([1e-6, 9e-6, 2.3e-6, 0.0625], np.float32), 144),
    )
    assert overlaps(commons) == 24
    commons.remove(rng.permutation(rows)[:140])
    commons.remove(np.flatnonzero(commons.alive))
    assert overlaps(commons) == 0
    np.testing.assert_allclose(commons.estimated_bias(), 0, atol=1e-6)


def test_a_copy_shares_nothing_with_its_original() -> None:
    commons = empty()
    add(commons, [1, 2])
    twin = copy.deepcopy(commons)
    add(twin, [3])
    answer(twin, np.array([False, True, True]))
    assert (len(commons), len(twin)) == (2, 3)
    assert not commons.down.any()
    assert commons.visible().sum() == 5.5
    with pytest.raises(AttributeError):
        commons.nonsense  # noqa: B018


# --------------------------------------------------------------------------- who sees what


def test_what_a_silent_repository_holds_is_out_of_sight_until_it_answers() -> None:
    commons = empty()
    add(commons, [0, 0], repository=0)
    add(commons, [0], repository=1)
    family = SPACE.family[0]
    seen = commons.visible()[family]
    answer(commons, np.array([False, True, True]))
    assert commons.visible()[family] == seen - 2
    assert commons.records_by_family()[family] == 3
    answer(commons, np.ones(R, bool))
    assert commons.visible()[family] == seen


def test_federated_records_stay_in_sight_while_any_repository_answers() -> None:
    commons = empty()
    add(commons, [0, 0, 0], repository=2, federated=[True, True, False])
    family = SPACE.family[0]
    answer(commons, np.array([True, False, False]))
    assert commons.visible()[family] == 1.0 + 2
    assert len(commons.reachable(np.array([True, False, False]))) == 2
    assert len(commons.reachable(np.array([False, False, True]))) == 3
    assert len(commons.reachable(np.zeros(R, bool))) == 0


def test_nothing_is_in_view_when_every_repository_is_silent() -> None:
    commons = empty()
    add(commons, [0, 1, 2], repository=0, federated=True, value=1.0)
    add(commons, [0, 1, 2], repository=1, federated=True, modality=SPECTROSCOPY)
    assert overlaps(commons) == 3
    answer(commons, np.zeros(R, bool))
    np.testing.assert_array_equal(commons.visible(), commons.mass)
    assert overlaps(commons) == 0
    np.testing.assert_allclose(commons.estimated_bias(), 0, atol=1e-6)
    answer(commons, np.array([False, False, True]))
    assert overlaps(commons) == 3


def test_failures_and_removed_records_are_never_reachable() -> None:
    commons = empty()
    rows = add(commons, [0, 1, 2], origin=[SIMULATION, FAILED, EXPERIMENT])
    commons.remove(rows[2:])
    np.testing.assert_array_equal(commons.reachable(np.ones(R, bool)), rows[:1])


# --------------------------------------------------------------------------- tests that are known


@pytest.mark.parametrize(
    ("modality", "origin", "known"),
    [
        (SPECTROSCOPY, EXPERIMENT, True),
        (SPECTROSCOPY, LITERATURE, True),
        (SPECTROSCOPY, GENERATED, False),
        (SPECTROSCOPY, FAILED, True),
        (CRYSTAL_GRAPHS, FAILED, True),
        (CRYSTAL_GRAPHS, SIMULATION, False),
        (MULTI_FIDELITY, LITERATURE, False),
    ],
)
def test_only_published_measurements_and_failures_count_as_tests(modality: int, origin: int, known: bool) -> None:
    commons = empty()
    add(commons, [4, 4], modality=modality, origin=origin)
    assert commons.tested[4] == known
    assert commons.untested.sum() == SPACE.size - known


def test_a_test_stays_known_when_its_record_goes() -> None:
    commons = empty()
    rows = add(commons, [4], modality=SPECTROSCOPY, origin=EXPERIMENT)
    commons.remove(rows, retracted=True)
    assert commons.tested[4]
    assert commons.retracted[rows[0]]
    assert not commons.alive[rows[0]]


def test_knowing_twice_counts_once() -> None:
    commons = empty()
    commons.know(np.array([2, 2, 3]))
    commons.know(np.array([3]))
    assert commons.untested.sum() == SPACE.size - 2


def test_removing_twice_counts_once() -> None:
    commons = empty()
    rows = add(commons, [0, 1])
    commons.remove(rows[:1])
    commons.remove(rows)
    assert commons.records_by_family().sum() == 0
    np.testing.assert_allclose(commons.visible(), commons.mass)


# --------------------------------------------------------------------------- harmonisation and fidelity


def offset_labels(offset: float) -> tuple[Commons, NDArray[np.float64]]:
    """An overlap for every material: exact measurements, and simulations off by a known amount."""
    commons, truth = empty(), np.linspace(-1, 1, 24)
    material = np.arange(24)
    add(commons, material, modality=SPECTROSCOPY, value=truth, origin=EXPERIMENT)
    add(commons, material, value=truth + offset)
    add(commons, material, modality=MULTI_FIDELITY, value=truth + offset / 2)
    return commons, truth


def test_harmonisation_mends_a_known_offset_as_overlaps_allow() -> None:
    commons, truth = offset_labels(-0.6)
    number = np.bincount(SPACE.family)
    overall = -0.6 * 24 / (24 + SHRINK)
    expected = overall + number * (-0.6 - overall) / (number + SHRINK)
    np.testing.assert_allclose(commons.estimated_bias(), expected, rtol=1e-5)
    rows = np.arange(24, 48)
    left = commons.harmonised(rows, 1.0) - truth
    np.testing.assert_allclose(left, -0.6 - expected[SPACE.family], atol=1e-5)
    assert np.abs(left).max() < 0.12
    half = commons.harmonised(rows, 0.5) - truth
    np.testing.assert_allclose(half, -0.6 - 0.5 * expected[SPACE.family], atol=1e-5)


def test_many_overlaps_mend_an_offset_and_a_family_offset_whole() -> None:
    space = MaterialsSpace.synthetic(Parameters.preset("single-default"), seed=0, materials=4_000, families=4)
    commons = Commons(space, 1, np.ones(4), Streams(0))
    material, truth = np.arange(4_000), space.property
    shift = (-0.4 + 0.5 * (space.family == 2)).astype(np.float32)
    for modality, value in ((SPECTROSCOPY, truth), (CRYSTAL_GRAPHS, truth + shift)):
        commons.append(
            key=record_keys(CURATOR, modality, 0, material),
            material=material,
            modality=modality,
            value=value,
            variance=0.1,
            origin=LITERATURE,
            repository=0,
            producer=0,
            tick=0,
        )
    np.testing.assert_allclose(commons.estimated_bias(), [-0.4, -0.4, 0.1, -0.4], atol=0.01)
    np.testing.assert_allclose(commons.harmonised(np.arange(4_000, 8_000), 1.0), truth, atol=0.01)


def test_harmonisation_takes_half_from_hybrids_and_nothing_from_measurements() -> None:
    commons, truth = offset_labels(-0.6)
    bias = commons.estimated_bias()[SPACE.family]
    np.testing.assert_array_equal(commons.harmonised(np.arange(24), 1.0), commons.value[:24])
    np.testing.assert_allclose(commons.harmonised(np.arange(48, 72), 1.0), truth - 0.3 - 0.5 * bias, atol=1e-5)
    np.testing.assert_array_equal(commons.harmonised(np.arange(72), 0.0), commons.value)


def test_without_overlaps_nothing_is_corrected() -> None:
    commons = empty()
    rows = add(commons, [0, 1], value=[5.0, 6.0])
    add(commons, [2, 3], modality=SPECTROSCOPY)
    np.testing.assert_array_equal(commons.estimated_bias(), np.zeros(4))
    np.testing.assert_array_equal(commons.harmonised(rows, 1.0), [5.0, 6.0])


@pytest.mark.parametrize("prior", [0.0, 5.0])
def test_perceived_fidelity_without_evidence_is_its_prior(prior: float) -> None:
    assert empty().perceived_fidelity(prior) == 1.0


@pytest.mark.parametrize("prior", [0.0, 1.0, 5.0, 100.0])
def test_the_prior_of_perceived_fidelity_counts_as_that_many_perfect_overlaps(prior: float) -> None:
    wrong, _ = offset_labels(30.0)
    assert wrong.perceived_fidelity(prior) == pytest.approx(prior / (24 + prior), abs=1e-6)
    close, _ = offset_labels(1.0)
    assert close.perceived_fidelity(prior) == pytest.approx((24 * np.exp(-0.5) + prior) / (24 + prior), rel=1e-5)
    right, _ = offset_labels(0.0)
    assert right.perceived_fidelity(prior) == pytest.approx(1.0)


def test_true_fidelity_is_the_formula_over_labelled_records() -> None:
    commons, rng = empty(), np.random.default_rng(1)
    material = rng.integers(0, 24, 60)
    value, variance = rng.normal(size=60).astype(np.float32), rng.uniform(0.1, 1, 60).astype(np.float32)
    rows = add(
        commons, material, value=value, variance=variance, origin=np.where(np.arange(60) % 7, SIMULATION, FAILED)
    )
    commons.remove(rows[50:])
    keep = (np.arange(60) % 7 > 0) & (np.arange(60) < 50)
    expected = fidelity(value[keep], SPACE.property[material[keep]], variance[keep])
    assert commons.true_fidelity() == pytest.approx(expected, rel=1e-5)
    assert empty().true_fidelity() == 1.0


# --------------------------------------------------------------------------- order of training, forgetting


def sample(commons: Commons, size: int) -> set[int]:
    rows = commons.reachable(np.ones(R, bool))
    return {int(k) for k in commons.key[rows[np.argsort(commons.uniform()[rows])[:size]]]}


def test_one_more_record_changes_at_most_one_of_a_training_sample() -> None:
    commons, changes = empty(), []
    add(commons, np.arange(200) % 24)
    for i in range(60):
        before = sample(commons, 50)
        add(commons, [i % 24])
        after = sample(commons, 50)
        assert len(after) == 50
        changes.append(len(after - before))
    assert set(changes) == {0, 1}


def test_the_training_order_follows_the_record_not_its_place() -> None:
    first, second = empty(), empty()
    keys = record_keys(CURATOR, 3, 0, np.arange(100))
    order = np.random.default_rng(0).permutation(100)
    add(first, np.zeros(100, int), key=keys)
    add(second, np.zeros(50, int), key=keys[order[:50]])
    second.uniform()
    add(second, np.zeros(50, int), key=keys[order[50:]])
    np.testing.assert_array_equal(second.uniform(), first.uniform()[order])


def big(seed: int = 5) -> Commons:
    commons = empty(seed=seed)
    add(commons, np.zeros(8_000, int), key=record_keys(FOUNDER, 0, 0, np.arange(8_000)))
    return commons


@pytest.mark.parametrize("rate", [0.01, 0.3, 2.0])
def test_forgetting_takes_each_record_with_its_probability(rate: float) -> None:
    commons, p = big(), 1 - np.exp(-rate)
    gone = decay(commons, rate, 3)
    assert abs(gone - 8_000 * p) < 4.5 * np.sqrt(8_000 * p * (1 - p))
    np.testing.assert_allclose(commons.mass, np.array([1.0, 2.0, 0.5, 0.0]) * np.exp(-rate))
    np.testing.assert_allclose(commons.visible(), commons.mass + commons.records_by_family())


def test_forgetting_is_keyed_by_record_and_tick() -> None:
    a, b, c = big(), big(), big()
    extra = add(b, [1] * 50)
    for commons, tick in ((a, 4), (b, 4), (c, 5)):
        decay(commons, 0.5, tick)
    np.testing.assert_array_equal(a.alive, b.alive[: extra[0]])
    assert 0.2 < np.mean(a.alive & c.alive) < 0.5  # exp(-1) = .37 where independent
    assert abs(np.mean(a.alive & c.alive) - np.exp(-1)) < 4.5 * np.sqrt(np.exp(-1) / 8_000)


def test_faster_forgetting_takes_all_that_slower_takes() -> None:
    slow, fast = big(), big()
    decay(slow, 0.1, 2)
    decay(fast, 0.4, 2)
    assert not np.any(fast.alive & ~slow.alive)


def test_no_forgetting_takes_nothing() -> None:
    commons = big()
    assert decay(commons, 0.0, 1) == 0
    assert commons.alive.all()


# --------------------------------------------------------------------------- modalities


def test_modalities_are_the_six_of_the_source_with_sensible_numbers() -> None:
    assert len(NAMES) == len(set(NAMES)) == 6
    assert set(FIDELITY.tolist()) == {SIMULATED, HYBRID, MEASURED}
    assert all(0 <= g <= 1 for m in MODALITIES for g in m.gains)
    assert np.all((COVERAGE > 0) & (COVERAGE <= 1))
    assert COVERAGE[CRYSTAL_GRAPHS] == 1, "they serve where other data cannot be had"
    assert FIDELITY[SPECTROSCOPY] == MEASURED
    assert len(ORIGINS) == 5


@pytest.mark.parametrize("measured", [1.0, 4.0])
def test_costs_rise_from_simulated_over_hybrid_to_measured(measured: float) -> None:
    by_fidelity = {int(f): float(c) for f, c in zip(FIDELITY, costs(measured), strict=True)}
    assert by_fidelity == {SIMULATED: 1.0, HYBRID: (1 + measured) / 2, MEASURED: measured}


def test_counts_of_modalities_are_those_of_now_whatever_was_asked_before() -> None:
    commons = empty()
    add(commons, [1, 2], modality=np.array([CRYSTAL_GRAPHS, SPECTROSCOPY], np.int8))
    assert commons.modality_counts[[CRYSTAL_GRAPHS, SPECTROSCOPY]].tolist() == [1, 1]
    rows = add(commons, [3, 4], modality=np.array([SPECTROSCOPY, SPECTROSCOPY], np.int8))
    assert commons.modality_counts[SPECTROSCOPY] == 3
    commons.remove(rows[:1])
    assert commons.modality_counts[SPECTROSCOPY] == 2


@pytest.mark.parametrize("sd", [0.0, 0.5])
def test_what_harmonising_leaves_is_the_variance_of_a_gaussian_bias(sd: float) -> None:
    """With many overlaps the bias part makes intervals of simulated records hold, and without bias it is small."""
    space = MaterialsSpace.synthetic(Parameters.preset("single-default"), materials=4_000, families=4)
    noise, draws = 0.3, np.random.default_rng(5)
    commons = Commons(space, 1, np.ones(4), Streams(1))
    bias = (-0.4 + sd * draws.standard_normal(space.size)).astype(np.float32)
    for kind, value, spread in ((0, space.property + bias, 0.05), (SPECTROSCOPY, space.property, noise)):
        rows = np.arange(2_000) * 2
        commons.append(
            key=record_keys(0, kind, 0, rows),
            material=rows,
            modality=np.full(len(rows), kind, np.int8),
            value=(value[rows] + spread * draws.standard_normal(len(rows))).astype(np.float32),
            variance=np.full(len(rows), spread**2, np.float32),
            origin=np.full(len(rows), LITERATURE, np.int8),
            repository=0,
            producer=-1,
            tick=-1,
        )
    left = commons.bias_left(1.0)
    np.testing.assert_allclose(left, sd**2, atol=0.05)
    others = np.arange(2_000) * 2 + 1
    error = bias[others] - commons.estimated_bias()[space.family[others]]
    inside = np.abs(error) <= 1.96 * np.sqrt(0.05**2 + left[space.family[others]])
    assert sd == 0 or abs(inside.mean() - 0.95) < 0.02
