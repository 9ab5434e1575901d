"""Interventions, adoption, monopoly, zero perturbation and coverage (rows U9 to U13)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.known.communities import (
    ONE_FAMILY,
    RUNS,
    family_masses,
    grouped,
    law_of_two,
    reinforcing,
    small_space,
    urn,
)
from mpbf_abm.evidence.known.rows import Check, mean_error, mutation, parameter, require, row, seeds, variance_error
from mpbf_abm.measures.path import cost_of_reversal, deposit, monopoly_chance, run_to, share_after_deposit
from mpbf_abm.model.community import Community
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.planners import keyed, utility
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.model.world import World
from mpbf_abm.parameters import Parameters

Float = NDArray[np.float64]


@row("U9", "Intervention and cost of reversal", "martingale property of the Polya urn")
def intervention(
    seed: int,
    a: float = parameter(1.0, "founding mass of the first colour", 0, 1e5, True),
    b: float = parameter(1.0, "founding mass of the second", 0, 1e5, True),
    N: int = parameter(60, "size at which to intervene", 3, 20_000),
    m: int = parameter(30, "extra records of the first colour", 1, 10**5),
    D: float = parameter(0.1, "shift of its share to buy", 0.001, 0.9),
    after: int = parameter(150, "draws afterwards", 1, 20_000, fast=50),
    runs: int = parameter(800, RUNS, 30, 10**6, fast=60),
) -> Iterator[Check]:
    """Share in the end after extra records, and what it costs to move it by D."""
    require(a + b + 1 <= N, f"U9: N = {N}: must be above the founding mass a + b = {a + b:g}")
    require(D * N >= 2, f"U9: D N = {D * N:g}: must be at least 2, or whole records cannot buy the shift")
    p = urn(2, (a, b))
    space = small_space(2, p.space.materials)
    given: list[tuple[float, float, float]] = []
    bought: list[tuple[float, float, float]] = []
    for s in seeds(seed, "U9", runs):
        for price, out in ((False, given), (True, bought)):
            eco = begin(RunSpec(p, s, space=space), record=())
            step_on(eco, round(N - a - b))
            now = eco.world.commons.visible()
            size, x = float(now.sum()), float(now[0] / now.sum())
            count = cost_of_reversal(x, size, D) if price else m
            if math.isfinite(count):
                deposit(eco, 0, round(count))
                step_on(eco, after)
                end = eco.world.commons.visible()
                share = float(end[0] / end.sum())
                # Whole records buy slightly more or less than D.
                out.append((share_after_deposit(x, size, round(count)), share, share - x))
    w, share, _ = np.array(given).T
    yield Check("E share after m extra records", float(w.mean()), float(share.mean()), mean_error(share - w)[1])
    if len(bought) > 2:
        w, share, shift = np.array(bought).T
        name, error, half_a_record = "E shift bought by N D / (1 - x - D) records", mean_error(share - w)[1], 0.5 / N
        note = f"runs with x + D < 1: {len(bought)}; records to the nearest whole number"
        yield Check(name, D, float(shift.mean()), error, half_a_record, note=note)


def step_on(eco: Community, ticks: int) -> None:
    """Advance a community by some ticks."""
    for _ in range(ticks):
        eco.step()


@row("U10", "Adoption with increasing returns", "Arthur 1989: random walk between absorbing barriers")
def adoption(
    seed: int,
    r: float = parameter(1.0, "returns to adoption", 0, 10, True),
    g_R: float = parameter(2.5, "taste of R-agents for A", 0, 1000),
    g_S: float = parameter(4.5, "taste of S-agents for B", 0, 1000),
    runs: int = parameter(1_200, RUNS, 30, 10**6, fast=80),
) -> Iterator[Check]:
    """Which model takes the market, and how many adoptions it takes."""
    # Rounded as the rule rounds utilities, since decimals are not exact.
    b_A, b_B = math.floor(round(g_S / r, 9)) + 1, math.floor(round(g_R / r, 9)) + 1
    mean = b_A * b_B
    require(
        mean <= 2_000, f"U10: the barriers are {b_A} and {b_B} adoptions away; g_R and g_S must be smaller against r"
    )
    planners = int(min(100_000, 40 * mean + 200))
    taste = {"adoption": "utility", "utility_gaps": (g_R, g_S), "utility_returns": r}
    changes = grouped(
        space={"materials": 40},
        founding={"records": 20},
        curators={"count": 0},
        trainers={"count": 2, "retrain_interval": 10_000},
        planners={"count": planners, "experiments": 0.0, "entry": 1, "adoption_rate": 0.0, **taste},
    )
    p = Parameters.null(**(ONE_FAMILY | changes))
    space = MaterialsSpace.synthetic(p, seed=0)
    first, time, strayed = [], [], 0
    for s in seeds(seed, "U10", runs):
        eco = begin(RunSpec(p, s, space=space), record=())
        for t in range(1, planners + 1):
            eco.step()
            lead = int(np.diff(eco.world.registry.adopters)[0])
            if lead <= -b_A or lead >= b_B:
                first.append(lead <= -b_A)
                time.append(t)
                step_on(eco, b_A + b_B + 5)
                # From here on all take the leader, whatever their taste.
                strayed += abs(int(np.diff(eco.world.registry.adopters)[0])) != abs(lead) + b_A + b_B + 5
                break
    expected, measured, undecided = b_B / (b_A + b_B), float(np.mean(first)), runs - len(first)
    note = f"barriers: A ahead by {b_A}, B ahead by {b_B}; undecided after {planners} agents: {undecided}"
    error = math.sqrt(expected * (1 - expected) / len(first))
    yield Check("P(A takes the market)", expected, measured, error, note=note)
    yield Check("E adoptions until then", float(mean), *mean_error(time))
    yield Check("runs in which somebody later takes the other", 0, strayed)


@row("U11", "Monopoly with g > 1, equal shares with g < 1", "Rubin's theorem (Davis 1990)")
def monopoly(
    seed: int,
    g: float = parameter(2.0, "reinforcement above 1", 1.2, 4),
    a: float = parameter(1.0, "mass of the first colour", 0, 1e4, True),
    b: float = parameter(2.0, "mass of the second", 0, 1e4, True),
    g_low: float = parameter(0.4, "reinforcement below 1", -1, 0.95),
    n: int = parameter(400, "draws", 10, 20_000, fast=100),
    runs: int = parameter(1_500, RUNS, 30, 10**6, fast=80),
) -> Iterator[Check]:
    """Chance that the first colour takes nearly all; shares with weak reinforcement."""
    require(a + b <= n, f"U11: n = {n}: must be at least the masses a + b = {a + b:g}, or the winner is still open")
    x = family_masses(urn(2, (a, b), **reinforcing(g, 0.0)), seeds(seed, "U11", runs), n)
    leads = float((np.sign(x[:, 0] - x[:, 1]) * 0.5 + 0.5).mean())

    def ahead(draws: int) -> float:
        """Chance that the first colour has more, by the exact law."""
        lead = 2 * (a + np.arange(draws + 1)) - (a + b + draws)
        return float(law_of_two(a, b, draws, g) @ (np.sign(lead) * 0.5 + 0.5))

    exact, later = ahead(n), ahead(4 * n)
    # The chance of a late change of leader falls as n^(1 - g).
    left = 1.5 * abs(later - exact) / (1 - 4.0 ** (1 - g)) + 1e-4
    error = math.sqrt(max(exact * (1 - exact), 1 / runs) / runs)
    low = family_masses(urn(2, (a, b), **reinforcing(g_low, 0.0)), seeds(seed, "U11 low", runs), n)
    share = low[:, 0] / low.sum(axis=1)
    law, first = law_of_two(a, b, n, g_low), a + np.arange(n + 1)
    low_exact = float(law @ first) / (a + b + n)
    low_sd = math.sqrt(float(law @ ((first / (a + b + n) - low_exact) ** 2)))
    note = f"tolerance: stopping at n = {n}, from the exact laws at n and 4 n"
    yield Check("P(first colour is the monopolist)", monopoly_chance(a, b, g), leads, error, left, note=note)
    yield Check("P(first colour leads after n draws)", exact, leads, error, note="exact law of two colours")
    yield Check("g < 1: E x_n", low_exact, *mean_error(share), note="tends to 1/2 with n")
    yield Check("g < 1: Var x_n", low_sd**2, *variance_error(share), note="tends to 0 with n")


@row("U12", "No perturbation, no difference", "common random numbers by construction")
def zero_perturbation(
    seed: int,
    ticks: int = parameter(24, "ticks", 2, 2_000, fast=8),
    materials: int = parameter(2_000, "materials", 200, 10**6, fast=600),
    planners: int = parameter(12, "planners", 2, 1_000),
) -> Iterator[Check]:
    """Bytes that differ between twins, and choices of others in the tick in which one planner is perturbed."""
    changes = grouped(
        space={"materials": materials, "families": 20},
        founding={"records": 300},
        planners={"count": planners, "experiments": 2.0},
        stocks={"merit_share": 0.0},
        trainers={"records": 200, "features": 48},
    )
    p = Parameters.preset("quick").updated(changes)
    space = MaterialsSpace.synthetic(p, seed=seed)

    def course(perturbed: bool) -> tuple[list[bytes], list[bytes]]:
        """Return bytes of the ticks but the last one, and the choices of the others and of the last planner in it."""
        eco = begin(RunSpec(p, seed, space=space), record=("series",))
        step_on(eco, ticks - 1)
        if perturbed:
            eco.world.planners.exploration[-1], eco.world.planners.reinforcement[-1] = 1.0, -1.0
        eco.step()
        world, results = eco.world, eco.world.results
        if results is None:
            raise ConfigurationError("U12: no experiment in the last tick; raise planners")
        parts = [np.array(list(values.values())).tobytes() for _, values in eco.recorder.series[:-1]]
        before = world.commons.tick < ticks - 1
        parts += [world.commons.key[before].tobytes(), world.commons.value[before].tobytes()]
        last = results.planner == planners - 1
        return parts, [results.material[rows].tobytes() + results.observed[rows].tobytes() for rows in (~last, last)]

    def different(one: list[bytes], other: list[bytes]) -> int:
        return sum(x != y for x, y in zip(one, other, strict=True))

    (parts, choices), (twin, same), (other, perturbed) = course(False), course(False), course(True)
    yield Check("parts that differ between twins", 0, different(parts + choices, twin + same))
    beside = different([*parts, choices[0]], [*other, perturbed[0]])
    yield Check("parts that differ beside the perturbed planner, in its tick", 0, beside)
    yield Check("the perturbed planner itself differs", 1, float(choices[1] != perturbed[1]))


@row("U13", "Coverage by random choice", "occupancy: 1 - (1 - 1/E)^t")
def random_coverage(
    seed: int,
    E: int = parameter(500, "materials", 2, 100_000),
    t: int = parameter(700, "experiments", 1, 10**6),
    runs: int = parameter(200, RUNS, 10, 10**5, fast=40),
) -> Iterator[Check]:
    """Share of the materials that random experiments with repeats have touched."""
    per_tick = next(d for d in range(min(t, 100), 0, -1) if t % d == 0)
    changes = grouped(
        space={"materials": E, "families": 1, "feasible": 1.0},
        founding={"records": 0},
        curators={"count": 0},
        planners={"count": per_tick, "experiments": 1.0},
        infrastructure={"repositories": 1},
    )
    p, space = Parameters.null(**changes), small_space(1, E)

    def touched(eco: Community) -> float:
        return float(eco.world.commons.tested.mean())

    ends = [run_to(p, s, t // per_tick, space=space, observe=touched) for s in seeds(seed, "U13", runs)]
    missed, both = (1 - 1 / E) ** t, (1 - 2 / E) ** t
    error = math.sqrt(max(0.0, missed * (1 - missed) / E + (1 - 1 / E) * (both - missed**2)) / runs) or 1e-12
    note = "standard error from the exact variance"
    yield Check("share of materials seen", 1 - missed, mean_error(ends)[0], error, note=note)


# --------------------------------------------------------------------------- wrong rules

mutation("a deposit counts twice", deposit, "U9 M7")(lambda right, eco, k, m, **o: right(eco, k, 2 * m, **o))
mutation("price of a move from nothing", cost_of_reversal, "U9")(lambda right, x, N, D: right(0.0, N, D))


@mutation("returns to adoption count half", utility, "U10")
def _half_returns(right: Any, world: World) -> tuple[Any, Any]:
    value, cost = right(world)
    return value - 0.5 * world.p.planners.utility_returns * world.registry.adopters, cost


mutation("colours have one mass", monopoly_chance, "U11")(lambda right, a, _b, g: right(a, a, g))
mutation("candidates from the first half of a family", keyed, "U13 M7")(lambda right, *a: right(*a) * 0.5)
