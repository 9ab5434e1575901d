"""Campaigns: choices of the ecosystem with the fixed kernel, a kernel that is learned, and what is counted of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.benchmarks.incremental import campaign as reference
from mpbf_abm import ConfigurationError, Ecosystem, MaterialsSpace, Parameters
from mpbf_abm.cli.console import Bar
from mpbf_abm.learning.kernels import learned
from mpbf_abm.measures import acceleration as measures
from mpbf_abm.model import campaign as campaign_module
from mpbf_abm.model.campaign import Campaign, run_campaign
from mpbf_abm.studies.study import run_campaigns


def pool(n: int = 120, d: int = 3, seed: int = 0) -> MaterialsSpace:
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(n, d))
    goal = np.sin(5 * x[:, 0]) + x[:, 1] * x[:, -1] + 0.05 * rng.normal(size=n)
    frame = pd.DataFrame(x, columns=[f"c{j}" for j in range(d)])
    return MaterialsSpace.from_pool(frame.assign(goal=goal), objective="goal", goal="min")


def by_ecosystem(space: MaterialsSpace, rule: str, seed: int, ticks: int, **changes: object) -> list[int]:
    """Materials in the order in which the ecosystem measures them."""
    p = Parameters.preset("pool").updated({"planners.acquisition": rule, "planners.kappa": 2.0, **changes})
    eco = Ecosystem(p, seed, record=(), space=space)
    for _ in range(ticks):
        eco.step()
    commons = eco.world.commons
    materials = commons.material[: p.founding.records + ticks].tolist()
    eco.release()
    return materials


@pytest.mark.parametrize("rule", ["random", "greedy", "ucb", "ei", "maxvar", "ranking"])
def test_the_choices_are_those_of_the_ecosystem(rule: str) -> None:
    space = pool()
    for seed in (1, 2):
        fast = run_campaign(space, rule, seed, budget=45, kappa=2.0, kernel="fixed")
        assert fast.materials.tolist() == by_ecosystem(space, rule, seed, 40)
        assert fast.observed.tolist() == space.property[fast.materials].tolist()


@pytest.mark.parametrize("rule", ["greedy", "ucb"])
def test_so_they_are_with_noise_with_other_starts_and_whatever_the_interval_of_retraining(rule: str) -> None:
    space = pool(90, 2, seed=3)
    changes = {"modalities.measured_noise": 0.3, "founding.records": 8}
    fast = run_campaign(space, rule, 5, budget=38, kappa=2.0, noise=0.3, founding=8, kernel="fixed")
    assert np.abs(fast.observed - space.property[fast.materials]).mean() > 0.1
    for interval in (1, 7, 100):
        assert fast.materials.tolist() == by_ecosystem(
            space, rule, 5, 30, **changes, **{"trainers.retrain_interval": interval}
        )


def test_a_whole_pool_is_gone_through_once() -> None:
    space = pool(40)
    assert sorted(run_campaign(space, "ucb", 3).materials) == list(range(40))
    assert run_campaign(space, "ucb", 3, kernel="fixed").materials.tolist() == by_ecosystem(
        space, "ucb", 3, 35, **{"planners.kappa": 1.0}
    )


def test_a_campaign_may_end_when_it_has_found_enough() -> None:
    space = pool()
    whole, part = run_campaign(space, "greedy", 1), run_campaign(space, "greedy", 1, enough=3)
    assert len(part.materials) == whole.spent(3)
    assert part.hits.sum() == 3


def test_ties_follow_the_seed_and_not_the_order_of_the_file() -> None:
    # A lattice whose objective is flat but for one corner: most settings tie.
    x, y = np.meshgrid(np.arange(8.0), np.arange(8.0))
    frame = pd.DataFrame({"x": x.ravel(), "y": y.ravel(), "goal": (x.ravel() * y.ravel() == 49).astype(float)})
    space = MaterialsSpace.from_pool(frame, objective="goal")
    runs = [run_campaign(space, "greedy", seed, budget=15, kernel="fixed").materials.tolist() for seed in range(4)]
    assert all(run == by_ecosystem(space, "greedy", seed, 10) for seed, run in enumerate(runs))
    assert len({tuple(sorted(run[5:])) for run in runs}) > 1


def test_thompson_sampling_finds_what_it_seeks_and_its_batches_spread() -> None:
    space = pool(300)
    random = np.mean([run_campaign(space, "random", s, budget=60).hits.sum() for s in range(6)])
    thompson = np.mean([run_campaign(space, "thompson", s, budget=60).hits.sum() for s in range(6)])
    assert thompson > 2 * random
    first, again = (run_campaign(space, "thompson", 1, budget=20).materials.tolist() for _ in range(2))
    assert first == again
    assert first != run_campaign(space, "thompson", 2, budget=20).materials.tolist()


def test_integrated_variance_lowers_the_variance_of_the_pool_most() -> None:
    """The mean over the panel falls as it lets expect, and lower than by other rules."""
    space, left = pool(300), {}
    for rule in ("integrated_variance", "maxvar", "greedy"):
        options: dict[str, Any] = {"budget": 25, "founding": 5, "kappa": 1.0, "noise": 0.0, "kernel": "fixed"}
        lab = campaign_module._Lab(space, rule, 1, **options)
        while len(lab.materials) < 25:
            before, expected = lab.posterior.reduction[lab.panel].mean(), lab.posterior.panel_fall(lab.panel, 0.01)
            scale = lab.posterior.kernel.offset_and_scale(np.array(lab.observed))[1]
            lab.round(1)
            after = lab.posterior.reduction[lab.panel].mean()
            assert scale**2 * (after - before) == pytest.approx(expected[lab.materials[-1]], rel=1e-4)
        left[rule] = 1 - after
    assert left["integrated_variance"] < 0.95 * min(left["maxvar"], left["greedy"])


def test_a_learned_kernel_needs_fewer_experiments_where_few_columns_matter() -> None:
    x = np.random.default_rng(0).uniform(size=(400, 6))
    frame = pd.DataFrame(x, columns=list("abcdef")).assign(goal=np.sin(5 * x[:, 0]) + np.cos(4 * x[:, 1]))
    space = MaterialsSpace.from_pool(frame, objective="goal")
    enough = measures.wanted(space, 0.5)
    spent = {
        (rule, kernel): np.mean(
            [run_campaign(space, rule, s, enough=enough, kappa=2.0, kernel=kernel).spent(enough) for s in range(4)]
        )
        for rule in ("greedy", "ucb", "ei")
        for kernel in ("learned", "fixed")
    }
    assert all(spent[rule, "learned"] < 0.7 * spent[rule, "fixed"] for rule in ("greedy", "ucb", "ei"))


def test_the_kernel_is_learned_at_the_start_and_whenever_labels_have_grown_by_their_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, bool]] = []

    def learn(points: Any, labels: Any, variance: Any, before: Any) -> Any:
        asked.append((len(labels), before.amplitude is not None))
        assert np.allclose(variance, 0.04)
        return learned(points, labels, variance, before)

    monkeypatch.setattr(campaign_module, "learned", learn)
    run_campaign(pool(), "greedy", 1, budget=17, batch=2, noise=0.2)
    assert asked == [(5, False), (7, True), (9, True), (11, True), (13, True), (15, True)]
    asked.clear()
    run_campaign(pool(), "ei", 1, budget=20, noise=0.2)
    assert [n for n, _ in asked] == [5, 6, 7, 9, 11, 13, 15, 18]
    asked.clear()
    run_campaign(pool(), "random", 1, budget=20)
    run_campaign(pool(), "ucb", 1, budget=20, kernel="fixed")
    assert asked == []


def test_pools_on_which_nothing_can_be_learned_are_gone_through() -> None:
    x = np.repeat(np.arange(6.0), 5)
    frame = pd.DataFrame({"a": x, "b": 2 * x, "level": np.tile(list("pqrst"), 6), "goal": (x == 3) * 1.0})
    space = MaterialsSpace.from_pool(frame, objective="goal")
    for rule in ("greedy", "ei", "thompson"):
        run = run_campaign(space, rule, 2, founding=1)
        assert sorted(run.materials) == list(range(space.size))


@pytest.mark.parametrize("rule", ["random", "greedy", "ranking"])
def test_a_batch_is_the_best_of_one_posterior(rule: str) -> None:
    space = pool()
    one, four = (run_campaign(space, rule, 2, budget=30, batch=q).materials.tolist() for q in (1, 4))
    assert one[:6] == four[:6]
    assert len(set(four)) == 30
    if rule == "greedy":
        assert one != four


@pytest.mark.parametrize("rule", ["greedy", "ucb"])
def test_the_plain_incremental_process_makes_the_same_choices(rule: str) -> None:
    space = pool(150, 4, seed=6)
    mine = run_campaign(space, rule, 4, budget=60, kappa=2.0, kernel="fixed").materials.tolist()
    assert mine == reference(space.descriptors.astype(float), space.property.astype(float), mine[:5], 60, rule)


def test_campaigns_are_the_same_in_processes() -> None:
    space = pool(60)
    watch = Bar(quiet=True)
    one = run_campaigns(space, ["greedy", "random", "greedy"], range(3), 1, budget=20)
    two = run_campaigns(space, ["greedy", "random"], range(3), 2, progress=watch, budget=20)
    assert [(c.rule, c.seed) for c in one] == [(r, s) for r in ("greedy", "random") for s in range(3)]
    assert [c.materials.tolist() for c in one] == [c.materials.tolist() for c in two]
    assert watch.done == 6


def test_campaigns_go_on_from_what_a_folder_holds(tmp_path: Path) -> None:
    def asked(space: MaterialsSpace, seeds: int, **options: Any) -> tuple[list[Campaign], tuple[int, int]]:
        watch = Bar(quiet=True)
        made = run_campaigns(space, ["greedy"], range(seeds), out=tmp_path, progress=watch, **options)
        return made, (watch.done, watch.known)

    first, counts = asked(pool(60), 2, budget=20)
    assert counts == (2, 0)
    again, counts = asked(pool(60), 3, budget=20)
    assert counts == (1, 2)
    for one, two in zip(first, again[:2], strict=True):
        for name in ("materials", "observed", "hits"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
            assert getattr(one, name).dtype == getattr(two, name).dtype
        assert (one.rule, one.seed, one.founding, one.cpu_seconds) == (
            two.rule,
            two.seed,
            two.founding,
            two.cpu_seconds,
        )
    # Other options and other pools have campaigns of their own.
    assert asked(pool(60), 2, budget=21)[1] == (2, 0)
    assert asked(pool(60, seed=9), 2, budget=20)[1] == (2, 0)


def test_faults_are_told_all_at_once() -> None:
    with pytest.raises(ConfigurationError) as error:
        run_campaign(pool(30), "gredy", budget=40, batch=0, kappa=-11, noise=-0.1, kernel="fix")
    told = "\n".join(error.value.faults)
    for part in ("did you mean 'greedy'", "budget = 40: must be 6 to 30", "batch = 0", "kappa = -11", "noise = -0.1"):
        assert part in told
    assert "kernel = 'fix': must be learned or fixed" in told
    with pytest.raises(ConfigurationError, match="founding = 30: must be 1 to 29"):
        run_campaign(pool(30), founding=30)
    with pytest.raises(ConfigurationError, match="needs a pool"):
        run_campaign(MaterialsSpace.synthetic(Parameters.preset("single-quick"), seed=1, materials=200, families=4))


# --------------------------------------------------------------------------- what is counted


def by_hits(hits: list[int], rule: str = "greedy", seed: int = 0) -> Campaign:
    n = len(hits)
    return Campaign(rule, seed, 1, np.arange(n), np.arange(n, dtype=np.float32), np.array(hits, bool), 0.0)


def test_chance_is_the_mean_over_all_orders() -> None:
    space = pool(100)
    top = int(space.top.sum())
    rng = np.random.default_rng(0)
    for share in (0.3, 0.5, 0.8):
        spent = [
            np.flatnonzero(np.cumsum(space.top[rng.permutation(100)]) >= math.ceil(share * top))[0] + 1
            for _ in range(4_000)
        ]
        assert measures.by_chance(space, share) == pytest.approx(np.mean(spent), rel=0.02)


def test_random_campaigns_gain_nothing() -> None:
    space = pool(100)
    campaigns = run_campaigns(space, ["random"], range(60), budget=100)
    table = measures.summary_table(space, campaigns).set_index("rule").loc["random"]
    for share in (30, 50, 80):
        assert table[f"af{share}_low"] < 1.1
        assert table[f"af{share}_high"] > 0.9
    assert table["ef"] == 1.0


def test_factors_of_a_known_order() -> None:
    space = pool(100)  # a top set of five
    campaigns = [by_hits([0, 1, 0, 1, 1, 0, 0, 1, 0, 1]), by_hits([1, 1, 1, 1, 1, 0, 0, 0, 0, 0], seed=1)]
    assert [c.spent(3) for c in campaigns] == [5, 3]
    assert campaigns[0].spent(6) == math.inf
    factor, low, high = measures.acceleration(space, campaigns, 0.5)
    chance = 3 * 101 / 6
    assert factor == pytest.approx(chance / 4)
    assert low == pytest.approx(chance / (4 + 12.7062 * 1), rel=1e-4)
    assert high == math.inf  # two campaigns say little
    mean = measures.recall(space, campaigns).mean(axis=0)
    np.testing.assert_allclose(mean, np.array([1, 3, 4, 6, 8, 8, 8, 9, 9, 10]) / 10)
    assert measures.acceleration_of_curve(space, mean, 0.6) == pytest.approx(0.6 * 100 / 4)
    row = measures.summary_table(space, campaigns).iloc[1]
    assert row["ef"] == pytest.approx(10.0)
    assert row["recall_tenth"] == 1.0
    missed = measures.summary_table(space, [campaigns[0], by_hits([0] * 10, seed=1)]).iloc[1]
    assert np.isnan(missed["af50"])
    assert missed["af50_reached"] == 1


def test_curves_hold_band_chance_and_best_value() -> None:
    space = pool(100)
    campaigns = run_campaigns(space, ["greedy"], range(5), budget=30)
    curve = measures.curve_table(space, campaigns)
    assert len(curve) == 30
    assert (curve["recall_p10"] <= curve["recall"] + 1e-12).all()
    assert (curve["recall"] <= curve["recall_p90"] + 1e-12).all()
    np.testing.assert_allclose(curve["ef"], curve["recall"] / curve["recall_by_chance"])
    assert (np.diff(curve["best_value"]) <= 0).all()  # the goal is a minimum
    steps = measures.campaign_table(space, campaigns)
    assert len(steps) == 150
    assert steps.groupby("seed")["founding"].sum().eq(5).all()
    assert steps.loc[0, "settings"] == space.names[steps.loc[0, "material"]]
