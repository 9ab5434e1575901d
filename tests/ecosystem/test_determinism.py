"""Same inputs, same bytes; and a change touches only what it should."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mpbf_abm import ExperimentPlanner, Parameters, Policy, Shock, simulate
from mpbf_abm.learning.linalg import features
from mpbf_abm.model.commons import LITERATURE, record_keys
from mpbf_abm.model.ecosystem import Ecosystem
from mpbf_abm.model.interventions import POLICIES
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.run import Run
from mpbf_abm.model.shocks import SHOCKS
from mpbf_abm.model.training import Corpus, encode, fit, head_features, training_rows
from mpbf_abm.streams import Streams

SMALL = Parameters.preset("single-quick").updated(
    {
        "space.materials": 3_000,
        "space.families": 20,
        "founding.records": 400,
        "planners.count": 12,
        "trainers.count": 4,
        "trainers.retrain_interval": 4,
        "infrastructure.repositories": 4,
        "stocks.hazard": 0.003,
        "trainers.records": 250,
        "curators.provenance_errors": 0.6,
        "coupling.pseudo_share": 0.3,
        "trainers.reuse": 0.3,
        "planners.adoption_rate": 0.3,
        "planners.experiments": 1.5,
        "curators.audit_rate": 0.2,
        "curators.response_dal": 0.0,
    }
)
TICKS = 12


def digest(run: Run) -> str:
    """Hash of every recorded byte."""
    state = hashlib.sha256()
    for frame in (run.series, run.families, run.agents):
        for name in frame.columns:
            state.update(name.encode())
            state.update(
                np.ascontiguousarray(frame[name].to_numpy())
                .astype(str if frame[name].dtype.kind in "OUT" else float)
                .tobytes()
            )
    return state.hexdigest()


def everything(**options: object) -> Run:
    return simulate(SMALL, seed=5, ticks=TICKS, record=("series", "families", "agents"), **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def reference() -> Run:
    return everything()


def test_a_replay_has_equal_bytes(reference: Run) -> None:
    assert digest(reference.replay()) == digest(reference)


def test_another_seed_gives_another_run(reference: Run) -> None:
    assert digest(simulate(SMALL, seed=6, ticks=TICKS, record=("series", "families", "agents"))) != digest(reference)


@pytest.mark.parametrize(("hash_seed", "threads"), [("1", "1"), ("2", "2")])
def test_other_processes_hash_seeds_and_thread_counts_give_the_same_bytes(
    reference: Run, hash_seed: str, threads: str
) -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_determinism as t; print(t.digest(t.everything()))"
    out = subprocess.run(
        [sys.executable, "-c", code, os.path.dirname(__file__)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": hash_seed, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
    )
    assert out.stdout.strip().splitlines()[-1] == digest(reference)


def test_mesas_own_seed_is_never_a_source_of_results() -> None:
    last = []
    for mesa_seed in (1, 99):
        eco = Ecosystem(SMALL, 5, mesa_seed=mesa_seed)
        for _ in range(6):
            eco.step()
        last.append(Run(eco, 6))
        eco.release()
    assert digest(last[0]) == digest(last[1])


def test_restoring_a_snapshot_half_way_changes_nothing(reference: Run) -> None:
    eco = Ecosystem(SMALL, 5, record=("series", "families", "agents"))
    for _ in range(TICKS // 2):
        eco.step()
    snapshot = eco.snapshot()
    for _ in range(3):
        eco.step()  # what happens after the snapshot must not leak into it
    for _ in range(2):
        branch = Ecosystem.restore(snapshot)
        while branch.tick < TICKS:
            branch.step()
        assert digest(Run(branch, TICKS)) == digest(reference)
        branch.release()
    eco.release()


def test_branches_from_one_snapshot_share_the_past_only() -> None:
    eco = Ecosystem(SMALL, 5)
    for _ in range(6):
        eco.step()
    snapshot = eco.snapshot()
    plain = Ecosystem.restore(snapshot)
    treated = Ecosystem.restore(snapshot, policies=[Policy("exploration_floor", start=8, strength=1.0)])
    reseeded = Ecosystem.restore(snapshot, reseed={7: 123})
    runs = []
    for branch in (plain, treated, reseeded):
        while branch.tick < TICKS:
            branch.step()
        runs.append(Run(branch, TICKS).families)
        branch.release()
    a, b, c = runs
    assert a[a.tick < 8].equals(b[b.tick < 8])
    assert not a[a.tick >= 8].equals(b[b.tick >= 8])
    assert a[a.tick < 7].equals(c[c.tick < 7])
    assert not a[a.tick >= 7].equals(c[c.tick >= 7])
    eco.release()


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_arm_equals_the_baseline_before_its_start_and_differs_after(reference: Run, name: str) -> None:
    arm = everything(policies=[Policy(name, start=7, strength=1.0)])
    compare_arms(reference, arm, 7)


@pytest.mark.parametrize("name", sorted(set(SHOCKS) - {"host_outage", "licence_end"}))  # which need hosts
def test_a_shock_arm_equals_the_baseline_before_its_start_and_differs_after(reference: Run, name: str) -> None:
    arm = everything(shocks=[Shock(name, start=7, end=10, strength=1.0)])
    compare_arms(reference, arm, 7)


def compare_arms(reference: Run, arm: Run, start: int) -> None:
    for table in ("series", "families", "agents"):
        a, b = getattr(reference, table), getattr(arm, table)
        assert a[a.tick < start].equals(b[b.tick < start]), table
    assert not reference.series[reference.series.tick >= start].equals(arm.series[arm.series.tick >= start])


def first_choices(planners: int, change: Callable[[Ecosystem], None] | None = None) -> tuple[list[bytes], int]:
    """What the first planners of some number choose in the first tick, one entry each, and how many experiments."""
    p = SMALL.updated({"planners.count": planners, "planners.experiments": 2.0, "stocks.merit_share": 0.0})
    eco = Ecosystem(p, 5)
    if change is not None:
        change(eco)
    eco.step()
    results = eco.world.results
    eco.release()
    assert results is not None
    rows = [np.flatnonzero(results.planner == i) for i in range(SMALL.planners.count)]
    return [results.material[r].tobytes() + results.observed[r].tobytes() for r in rows], len(results.planner)


def test_an_added_agent_leaves_the_draws_of_the_others_alone() -> None:
    (few, n), (more, m) = first_choices(SMALL.planners.count), first_choices(SMALL.planners.count + 3)
    assert m > n
    assert few == more


def test_a_perturbed_agent_changes_only_its_own_choices_in_that_tick() -> None:
    def perturb(eco: Ecosystem) -> None:
        eco.world.planners.exploration[0], eco.world.planners.reinforcement[0] = 1.0, -1.0

    (plain, _), (other, _) = first_choices(SMALL.planners.count), first_choices(SMALL.planners.count, perturb)
    assert plain[0] != other[0]
    assert plain[1:] == other[1:]


def test_relabelling_families_changes_labels_only() -> None:
    space = MaterialsSpace.synthetic(SMALL, seed=5)
    order = np.random.default_rng(0).permutation(space.families)
    plain = simulate(SMALL, seed=5, ticks=TICKS, space=space)
    other = simulate(SMALL, seed=5, ticks=TICKS, space=space.relabelled(order))
    a = plain.families.pivot(index="tick", columns="family", values="experiments").to_numpy()
    b = other.families.pivot(index="tick", columns="family", values="experiments").to_numpy()
    assert np.array_equal(a[:, order], b)
    keys = [r.ecosystem.world.space.material_keys[r.ecosystem.world.commons.material] for r in (plain, other)]
    assert np.array_equal(keys[0], keys[1])
    np.testing.assert_allclose(
        plain.series.drop(columns="tick").to_numpy(), other.series.drop(columns="tick").to_numpy(), rtol=2e-3, atol=2e-4
    )


def permute(eco: Ecosystem, seed: int) -> dict[str, np.ndarray]:
    """Give the same agents other rows."""
    world, orders = eco.world, {}
    rng = np.random.default_rng(seed)
    for name in ("curators", "trainers", "planners"):
        cohort = getattr(world, name)
        order = orders[name] = rng.permutation(len(cohort))
        cohort.slots = cohort.slots[order]
        for column, values in cohort.columns.items():
            cohort.columns[column] = values[order]
    labs = orders["planners"]
    world.collaborators = np.argsort(labs)[world.collaborators[labs]]
    links = world.infrastructure
    links.lab_models, links.lab_repository = links.lab_models[labs], links.lab_repository[labs]
    links.model_repositories = links.model_repositories[orders["trainers"]]
    world.registry.lineage = world.trainers.slots.copy()
    return orders


def test_relabelling_agents_changes_labels_only() -> None:
    plain, other = Ecosystem(SMALL, 5), Ecosystem(SMALL, 5)
    permute(other, 1)
    for _ in range(TICKS):
        plain.step()
        other.step()
    a, b = plain.world.commons, other.world.commons
    for column in ("key", "material", "modality", "origin", "repository", "producer"):
        assert np.array_equal(getattr(a, column), getattr(b, column)), column
    np.testing.assert_allclose(a.value, b.value, atol=1e-4)
    slots = other.world.planners.slots
    assert np.array_equal(plain.world.planners.best_material[slots], other.world.planners.best_material)
    plain.release()
    other.release()


def test_one_extra_record_moves_a_retrained_models_predictions_by_less_than_a_hundredth_sd() -> None:
    eco = Ecosystem(Parameters.preset("single-default"), 3, record=())
    eco.step()
    world, shifts = eco.world, []
    model = world.registry.models[0]
    assert model is not None
    sources = np.ones(world.commons.repositories, bool)
    noise = np.float32(world.p.modalities.measured_noise**2)
    predictions = []
    for extra in range(16):
        if extra:
            key = record_keys(3, np.array([extra]), 5, np.array([0]))
            material = np.array([extra * 137], np.int64)
            world.commons.append(
                key=key,
                material=material,
                modality=np.int8(2),
                value=world.space.property[material],
                variance=noise,
                origin=np.int8(LITERATURE),
                repository=0,
                producer=-1,
                tick=0,
            )
        rows = training_rows(world, sources, 1.0)
        encoder = encode(world, Corpus(rows), "masked", world.p.trainers.latent_dims, world.p.trainers.invariance)
        weights, phase = head_features(world, encoder, 0, 1.0, len(rows))
        head = fit(world, rows, weights, phase)
        predictions.append(head.predict(features(model.panel.x, weights, phase))[0])
    shifts = [float(np.abs(b - a).mean()) for a, b in pairwise(predictions)]
    assert 0 < np.mean(shifts) < 0.01
    assert max(shifts) < 0.05  # what one record may move at most; features that were drawn anew would move it all
    eco.release()


def test_custom_planner_rules_are_dealt_in_turn_and_change_only_their_rows() -> None:
    class Contrarian(ExperimentPlanner):
        def family_weights(self, share: np.ndarray) -> np.ndarray:
            assert len(share) == self.world.space.families
            return 1.0 / (1.0 + self.world.commons.visible())

    run = simulate(SMALL, seed=5, ticks=2, planners=[ExperimentPlanner, Contrarian])
    kinds = [type(agent) for agent in run.ecosystem.agents_by_type[Contrarian]]
    assert len(kinds) == SMALL.planners.count // 2


def test_streams_in_the_package_are_keyed_only() -> None:
    import mpbf_abm
    from mpbf_abm.provenance import ABOVE

    root = Path(mpbf_abm.__file__).parent
    banned = (
        "np.random.seed",
        "np.random.rand",
        "np.random.normal",
        "default_rng()",
        "self.random",
        "model.rng",
        "model.random",
        "self.rng",
    )
    for path in sorted(root.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert not [b for b in banned if b in text], path
        # Designs and resampling stand above the model; they have generators of their own, each with its seed.
        above = path.relative_to(root).parts[0].removesuffix(".py") in ABOVE and path.name != "model.py"
        assert above or "default_rng" not in text, path


def test_later_seeds_split_a_run() -> None:
    a, b = (simulate(SMALL, seed=5, ticks=6, reseed={3: s}) for s in (11, 12))
    assert a.series[a.series.tick < 3].equals(b.series[b.series.tick < 3])
    assert not a.series.equals(b.series)
    assert Streams(5, {3: 11}).root(2) == Streams(5).root(2)
