"""Interventions, adoption, monopoly, zero perturbation and coverage (rows U9 to U13)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.known.communities import RUNS, family_masses, law_of_two, reinforcing, small_space, urn
from mpbf_abm.evidence.known.mutations import mutation
from mpbf_abm.evidence.known.rows import Check, Knob, mean_error, row, seeds, variance_error
from mpbf_abm.measures.path import cost_of_reversal, deposit, monopoly_chance, run_to, share_after_deposit
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.planners import keyed, utility
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.model.world import Results
from mpbf_abm.parameters import Parameters

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@row(
    "U9",
    "Intervention and cost of reversal",
    "martingale property of the Polya urn",
    a=Knob(1.0, "founding mass of the first colour", 0, 1e5, True),
    b=Knob(1.0, "founding mass of the second", 0, 1e5, True),
    N=Knob(60, "size at which to intervene", 3, 20_000),
    m=Knob(30, "extra records of the first colour", 1, 10**5),
    D=Knob(0.1, "shift of its share to buy", 0.001, 0.9),
    after=Knob(150, "draws afterwards", 1, 20_000, fast=50),
    runs=Knob(800, RUNS, 30, 10**6, fast=60),
)
def intervention(seed: int, a: float, b: float, N: int, m: int, D: float, after: int, runs: int) -> list[Check]:
    """Share in the end after extra records, and what it costs to move it by D."""
    if a + b + 1 > N:
        raise ConfigurationError(f"U9: N = {N}: must be above the founding mass a + b = {a + b:g}")
    if D * N < 2:
        raise ConfigurationError(f"U9: D N = {D * N:g}: must be at least 2, or whole records cannot buy the shift")
    before = round(N - a - b)
    p = urn(2, (a, b))
    given: list[tuple[float, float, float]] = []
    bought: list[tuple[float, float, float]] = []
    for s in seeds(seed, "U9", runs):
        for price, out in ((False, given), (True, bought)):
            eco = begin(RunSpec(p, s, space=small_space(2, p.space.materials)), record=())
            for _ in range(before):
                eco.step()
            now = eco.world.commons.visible()
            size, x = float(now.sum()), float(now[0] / now.sum())
            count: float = m
            if price:
                count = cost_of_reversal(x, size, D)
            if math.isfinite(count):
                count = round(count)
                deposit(eco, 0, int(count))
                for _ in range(after):
                    eco.step()
                end = eco.world.commons.visible()
                share = float(end[0] / end.sum())
                # Whole records buy slightly more or less than D.
                wanted = share_after_deposit(x, size, count)
                out.append((wanted, share, share - x))
    w, share, _ = np.array(given).T
    out_checks = [
        Check("E share after m extra records", float(w.mean()), float(share.mean()), mean_error(share - w)[1])
    ]
    if len(bought) > 2:
        w, share, shift = np.array(bought).T
        note = f"runs with x + D < 1: {len(bought)}; records to the nearest whole number"
        rounding = 0.5 / N  # half a record
        out_checks.append(
            Check(
                "E shift bought by N D / (1 - x - D) records",
                D,
                float(shift.mean()),
                mean_error(share - w)[1],
                rounding,
                note=note,
            )
        )
    return out_checks


@row(
    "U10",
    "Adoption with increasing returns",
    "Arthur 1989: random walk between absorbing barriers",
    r=Knob(1.0, "returns to adoption", 0, 10, True),
    g_R=Knob(2.5, "taste of R-agents for A", 0, 1000),
    g_S=Knob(4.5, "taste of S-agents for B", 0, 1000),
    runs=Knob(1_200, RUNS, 30, 10**6, fast=80),
)
def adoption(seed: int, r: float, g_R: float, g_S: float, runs: int) -> list[Check]:
    """Which model takes the market, and how many adoptions it takes."""
    # Rounded as the rule rounds utilities, since decimals are not exact.
    b_A, b_B = math.floor(round(g_S / r, 9)) + 1, math.floor(round(g_R / r, 9)) + 1
    mean = b_A * b_B
    if mean > 2_000:
        raise ConfigurationError(
            f"U10: the barriers are {b_A} and {b_B} adoptions away; g_R and g_S must be smaller against r"
        )
    planners = int(min(100_000, 40 * mean + 200))
    p = Parameters.null(
        **{
            "space.materials": 40,
            "space.families": 1,
            "space.quantum_dims": 4,
            "space.meso_dims": 1,
            "space.gauge_dims": 0,
            "space.spurious_dims": 0,
            "founding.records": 20,
            "curators.count": 0,
            "trainers.count": 2,
            "trainers.head": "mean",
            "trainers.objective": "masked",
            "trainers.latent_dims": 1,
            "trainers.retrain_interval": 10_000,
            "trainers.reuse": 0.0,
            "planners.count": planners,
            "planners.experiments": 0.0,
            "planners.adoption": "utility",
            "planners.entry": 1,
            "planners.adoption_rate": 0.0,
            "planners.utility_gaps": (g_R, g_S),
            "planners.utility_returns": r,
            "trainers.panel": 1,
            "planners.neighbours": 0,
            "infrastructure.repositories": 1,
            "stocks.compute": 0.0,
        }
    )
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
                for _ in range(b_A + b_B + 5):
                    eco.step()
                # From here on everybody takes the leader, whatever their taste.
                strayed += abs(int(np.diff(eco.world.registry.adopters)[0])) != abs(lead) + b_A + b_B + 5
                break
    undecided = runs - len(first)
    expected = b_B / (b_A + b_B)
    note = f"barriers: A ahead by {b_A}, B ahead by {b_B}; undecided after {planners} agents: {undecided}"
    return [
        Check(
            "P(A takes the market)",
            expected,
            float(np.mean(first)),
            math.sqrt(expected * (1 - expected) / len(first)),
            note=note,
        ),
        Check("E adoptions until then", float(mean), *mean_error(time)),
        Check("runs in which somebody later takes the other", 0, strayed),
    ]


@row(
    "U11",
    "Monopoly with g > 1, equal shares with g < 1",
    "Rubin's theorem (Davis 1990)",
    g=Knob(2.0, "reinforcement above 1", 1.2, 4),
    a=Knob(1.0, "mass of the first colour", 0, 1e4, True),
    b=Knob(2.0, "mass of the second", 0, 1e4, True),
    g_low=Knob(0.4, "reinforcement below 1", -1, 0.95),
    n=Knob(400, "draws", 10, 20_000, fast=100),
    runs=Knob(1_500, RUNS, 30, 10**6, fast=80),
)
def monopoly(seed: int, g: float, a: float, b: float, g_low: float, n: int, runs: int) -> list[Check]:
    """Chance that the first colour takes nearly all; shares with weak reinforcement."""
    if a + b > n:
        raise ConfigurationError(f"U11: n = {n}: must be at least the masses a + b = {a + b:g}, or nobody has won yet")
    x = family_masses(urn(2, (a, b), **reinforcing(g, 0.0)), seeds(seed, "U11", runs), n)
    leads = np.sign(x[:, 0] - x[:, 1]) * 0.5 + 0.5
    law = law_of_two(a, b, n, g)
    first = a + np.arange(n + 1)
    exact = float(law @ (np.sign(2 * first - (a + b + n)) * 0.5 + 0.5))
    rubin = monopoly_chance(a, b, g)
    late = law_of_two(a, b, 4 * n, g)
    later = float(late @ (np.sign(2 * (a + np.arange(4 * n + 1)) - (a + b + 4 * n)) * 0.5 + 0.5))
    # The chance of a late change of leader falls as n^(1 - g).
    left = 1.5 * abs(later - exact) / (1 - 4.0 ** (1 - g)) + 1e-4
    error = math.sqrt(max(exact * (1 - exact), 1 / runs) / runs)
    low = family_masses(urn(2, (a, b), **reinforcing(g_low, 0.0)), seeds(seed, "U11 low", runs), n)
    share = low[:, 0] / low.sum(axis=1)
    low_law = law_of_two(a, b, n, g_low)
    low_exact = float(low_law @ first) / (a + b + n)
    low_sd = math.sqrt(float(low_law @ ((first / (a + b + n) - low_exact) ** 2)))
    return [
        Check(
            "P(first colour is the monopolist)",
            rubin,
            float(leads.mean()),
            error,
            left,
            note=f"tolerance: stopping at n = {n}, from the exact laws at n and 4 n",
        ),
        Check(
            "P(first colour leads after n draws)", exact, float(leads.mean()), error, note="exact law of two colours"
        ),
        Check("g < 1: E x_n", low_exact, *mean_error(share), note="tends to 1/2 with n"),
        Check("g < 1: Var x_n", low_sd**2, *variance_error(share), note="tends to 0 with n"),
    ]


@row(
    "U12",
    "No perturbation, no difference",
    "common random numbers by construction",
    ticks=Knob(24, "ticks", 2, 2_000, fast=8),
    materials=Knob(2_000, "materials", 200, 10**6, fast=600),
    planners=Knob(12, "planners", 2, 1_000),
)
def zero_perturbation(seed: int, ticks: int, materials: int, planners: int) -> list[Check]:
    """Bytes that differ between twins, and choices of others in the tick in which one planner is perturbed."""
    p = Parameters.preset("quick").updated(
        {
            "space.materials": materials,
            "space.families": 20,
            "founding.records": 300,
            "planners.count": planners,
            "planners.experiments": 2.0,
            "stocks.merit_share": 0.0,
            "trainers.records": 200,
            "trainers.features": 48,
        }
    )
    space = MaterialsSpace.synthetic(p, seed=seed)

    def course(perturbed: bool) -> tuple[list[bytes], Results]:
        """Bytes of the ticks but the last one, and the choices of the last one."""
        eco = begin(RunSpec(p, seed, space=space), record=("series",))
        for tick in range(ticks):
            if perturbed and tick == ticks - 1:
                eco.world.planners.exploration[-1], eco.world.planners.reinforcement[-1] = 1.0, -1.0
            eco.step()
        world, results = eco.world, eco.world.results
        if results is None:
            raise ConfigurationError("U12: no experiment in the last tick; raise planners")
        rows = [np.array(list(values.values())).tobytes() for _, values in eco.recorder.series[:-1]]
        before = world.commons.tick < ticks - 1
        rows += [world.commons.key[before].tobytes(), world.commons.value[before].tobytes()]
        return rows, results

    def choices(results: Results, own: bool) -> bytes:
        rows = (results.planner == planners - 1) == own
        return bytes(results.material[rows].tobytes() + results.observed[rows].tobytes())

    one, two, other = course(False), course(False), course(True)
    return [
        Check(
            "parts that differ between twins",
            0,
            sum(x != y for x, y in zip(one[0], two[0], strict=True))
            + sum(choices(one[1], own) != choices(two[1], own) for own in (False, True)),
        ),
        Check(
            "parts that differ beside the perturbed planner, in its tick",
            0,
            sum(x != y for x, y in zip(one[0], other[0], strict=True))
            + (choices(one[1], False) != choices(other[1], False)),
        ),
        Check("the perturbed planner itself differs", 1, float(choices(one[1], True) != choices(other[1], True))),
    ]


@row(
    "U13",
    "Coverage by random choice",
    "occupancy: 1 - (1 - 1/E)^t",
    E=Knob(500, "materials", 2, 100_000),
    t=Knob(700, "experiments", 1, 10**6),
    runs=Knob(200, RUNS, 10, 10**5, fast=40),
)
def random_coverage(seed: int, E: int, t: int, runs: int) -> list[Check]:
    """Share of the materials that random experiments with repeats have touched."""
    per_tick = next(d for d in range(min(t, 100), 0, -1) if t % d == 0)
    p = Parameters.null(
        **{
            "space.materials": E,
            "space.families": 1,
            "space.feasible": 1.0,
            "founding.records": 0,
            "curators.count": 0,
            "planners.count": per_tick,
            "planners.experiments": 1.0,
            "infrastructure.repositories": 1,
        }
    )
    space = small_space(1, E)
    touched = [
        run_to(p, s, t // per_tick, space=space, observe=lambda eco: float(eco.world.commons.tested.mean()))
        for s in seeds(seed, "U13", runs)
    ]
    mean, _ = mean_error(np.array(touched, np.float64))
    missed, both = (1 - 1 / E) ** t, (1 - 2 / E) ** t
    variance = max(0.0, missed * (1 - missed) / E + (1 - 1 / E) * (both - missed**2))
    return [
        Check(
            "share of materials seen",
            1 - missed,
            mean,
            math.sqrt(variance / runs) or 1e-12,
            note="standard error from the exact variance",
        )
    ]


# --------------------------------------------------------------------------- wrong rules

mutation("a deposit counts twice", deposit, lambda right: lambda eco, k, m, **o: right(eco, k, 2 * m, **o), "U9", "M7")
mutation("price of a move from nothing", cost_of_reversal, lambda right: lambda x, N, D: right(0.0, N, D), "U9")
mutation(
    "returns to adoption count half",
    utility,
    lambda right: (
        lambda world: (
            right(world)[0] - 0.5 * world.p.planners.utility_returns * world.registry.adopters,
            right(world)[1],
        )
    ),
    "U10",
)
mutation("colours have one mass", monopoly_chance, lambda right: lambda a, _b, g: right(a, a, g), "U11")
mutation("candidates from the first half of a family", keyed, lambda right: lambda *a: right(*a) * 0.5, "U13", "M7")
