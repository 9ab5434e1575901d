"""Communities and campaigns on real data (skipped where the data folder is absent)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.benchmarks.incremental import campaign as reference
from mpbf_abm import Ecosystem, MaterialsSpace, Parameters, simulate
from mpbf_abm.evidence.known.whole import POOLS
from mpbf_abm.measures.acceleration import by_chance, wanted
from mpbf_abm.model.campaign import run_campaign
from mpbf_abm.stats.estimates import mean_estimate

DATA = Path(__file__).parents[3] / "shared" / "data"
SEEDS = 20


def data(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"real data not here: {name} (see the README's section on real data for where to get it)")
    return path


@lru_cache(maxsize=1)
def gaps() -> MaterialsSpace:
    path = data("pbe_expt_gap_pairs/gap_pairs.csv")
    return MaterialsSpace.from_table(path, formula="formula", measured="gap_expt_eV", simulated="pbe_median")


def diet(modality_mix: tuple[float, ...]) -> dict[str, np.ndarray]:
    """Community without labs on the gap data, fed one kind of label; equal numbers of records in both."""
    p = Parameters.preset("single-default").updated(
        {
            "founding.records": 1_500,
            "planners.count": 0,
            "curators.modality_mix": modality_mix,
            "curators.measured_cost": 1.0,
            "coupling.pseudo_share": 0.0,
            "curators.audit_rate": 0.0,
            "trainers.latent_dims": 20,
        }
    )
    runs = [simulate(p, seed=s, ticks=13, space=gaps(), record=()).summary for s in range(SEEDS)]
    return {
        name: np.array([r[name] for r in runs])
        for name in ("inherited_bias", "inherited_bias_raw", "rmse", "records", "claimed_to_actual")
    }


def test_simulated_labels_pass_on_the_bias_of_pbe_gaps() -> None:
    simulated, measured = diet((1, 0, 0, 0, 0, 0)), diet((0, 0, 1, 0, 0, 0))
    for name in ("inherited_bias", "inherited_bias_raw"):
        d = simulated[name] - measured[name]
        half = stats.t.ppf(0.975, SEEDS - 1) * d.std(ddof=1) / np.sqrt(SEEDS)
        assert d.mean() - half > 0, (name, d.mean(), half)
    # The slope that was measured on the same data with another learner is .87 to 1.07.
    assert 0.8 < simulated["inherited_bias_raw"].mean() < 1.3
    assert (simulated["claimed_to_actual"] - measured["claimed_to_actual"]).mean() > 0.1
    # Not a matter of how much was learned from: both diets hold as many records.
    assert abs(simulated["records"].mean() / measured["records"].mean() - 1) < 0.02


def test_gap_families_are_chemical_and_pbe_is_biased_by_family() -> None:
    space = gaps()
    assert 15 <= space.families <= 60
    bias = [
        float((space.simulated - space.property)[space.start[k] : space.start[k + 1]].mean())
        for k in range(space.families)
    ]
    assert np.mean(bias) < 0  # PBE underestimates
    assert np.std(bias) > 0.1


def test_superconductors_make_a_space_that_a_community_runs_on() -> None:
    space = MaterialsSpace.from_table(
        data("supercon/supercon_stanev2018.csv"), formula="name", measured="Tc", on_error="drop", unit="K"
    )
    assert space.size > 15_000
    run = simulate(Parameters.preset("single-quick"), seed=1, ticks=24, space=space)
    assert run.summary["found_share"] > 0
    assert run.series["rmse"].iloc[-1] < 1.0
    # Steered choices beat the candidates they were chosen from.
    assert run.series["value_gain"].mean() > 0


@lru_cache(maxsize=len(POOLS))
def pool_of(name: str) -> MaterialsSpace:
    file, objective, goal = POOLS[name]
    return MaterialsSpace.from_pool(data(file), objective=objective, goal=goal)  # type: ignore[arg-type]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("rule", ["greedy", "ucb"])
def test_a_campaign_on_a_real_pool_beats_chance_and_is_a_good_gaussian_process(pool: str, rule: str) -> None:
    space = pool_of(pool)
    enough = wanted(space, 0.5)
    spent, plain = [], []
    x, y = space.descriptors.astype(float), space.property.astype(float)
    for seed in range(8):
        made = run_campaign(space, rule, seed, kappa=2.0, enough=enough, kernel="fixed")
        spent.append(made.spent(enough))
        rows = reference(x, y, made.materials[:5].tolist(), min(space.size, 255), rule)
        plain.append(np.flatnonzero(np.cumsum(space.top[rows]) >= enough)[0] + 1)
    e = mean_estimate(spent)
    assert e.high < by_chance(space)
    # They differ where settings tie, which happens on lattices; not in what they gain.
    gap = np.array(spent) - plain
    assert abs(gap.mean()) <= 3 * gap.std(ddof=1) / np.sqrt(len(gap)) + 0.02 * e.value


def test_pure_exploration_is_no_faster_than_chance() -> None:
    space = pool_of("AgNP")
    spent = [run_campaign(space, "maxvar", seed).spent(wanted(space, 0.5)) for seed in range(6)]
    assert by_chance(space) / np.mean(spent) < 1.3


def test_the_ecosystem_makes_the_same_campaign_on_a_real_pool() -> None:
    space = pool_of("Perovskite")
    p = Parameters.preset("pool")
    eco = Ecosystem(p, 1, record=(), space=space)
    for _ in range(40):
        eco.step()
    assert (
        run_campaign(space, "greedy", 1, budget=45, kernel="fixed").materials.tolist()
        == eco.world.commons.material[:45].tolist()
    )
    eco.release()
