"""The bias loop: simulated and generated labels, audits and renewal (row M7)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.known.communities import RUNS, flat_space, learned, learning_community
from mpbf_abm.evidence.known.mutations import mutation
from mpbf_abm.evidence.known.rows import Check, Knob, mean_error, row, seeds
from mpbf_abm.measures.path import deposit
from mpbf_abm.model.commons import Commons
from mpbf_abm.model.coupling import bias_share, loop_gain, steady_bias
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec

Float = NDArray[np.float64]


@row(
    "M7",
    "Bias loop with audits",
    "L = (1-rho) pi g chi h, b* = (1-rho)(1-pi) b_s h / (1-L) (our operationalisation)",
    lambda_P=Knob(1.0, "experiments a tick", 0, 20),
    q=Knob(0.6, "share of them that is published", 0.01, 1),
    lambda_S=Knob(0.8, "simulated labels a tick", 0.05, 20),
    delta=Knob(0.05, "chance that a record goes in a tick", 0.005, 0.4),
    kappa=Knob(0.1, "chance that a record is audited in a tick", 0, 1),
    b_s=Knob(0.4, "bias of simulated labels", -3, 3),
    pi=Knob(0.5, "share of simulated labels that a model generates", 0.01, 0.99),
    g=Knob(2.4, "their gain", 0, 10),
    chi=Knob(0.9, "share of the records' bias that a model learns", 0.05, 1),
    L_below=Knob(0.8, "loop gain at which bias growth must be negative", 0.05, 0.97),
    L_above=Knob(1.25, "and one at which it must be positive", 1.03, 3),
    scale=Knob(200.0, "size of the community: events per unit of the rates", 5, 10**4, fast=50.0),
    ticks=Knob(200, "ticks of the time average", 20, 10**5, fast=80),
    runs=Knob(12, RUNS, 4, 10**4, fast=5),
)
def bias_loop(
    seed: int,
    lambda_P: float,
    q: float,
    lambda_S: float,
    delta: float,
    kappa: float,
    b_s: float,
    pi: float,
    g: float,
    chi: float,
    L_below: float,
    L_above: float,
    scale: float,
    ticks: int,
    runs: int,
) -> list[Check]:
    """Corpus bias in the steady state, and the sign of its growth on either side of L = 1."""
    rho = lambda_P * q / (lambda_P * q + lambda_S)
    h = bias_share(delta, kappa)
    L = loop_gain(rho, pi, g, chi, h)
    if L >= 0.97:
        raise ConfigurationError(f"M7: L = {L:.4g}: must be below .97 for a steady state; lower g, pi or chi")
    rates = {
        "lambda_P": lambda_P,
        "q": q,
        "lambda_S": lambda_S,
        "delta": delta,
        "kappa": kappa,
        "chi": chi,
        "rho": rho,
        "scale": scale,
    }
    # The slowest of renewal and of the loop's own approach, five times.
    settle = math.ceil(5 / (delta * min(1.0, (1 - L) * (delta + kappa) / delta / (1 + kappa))))
    bias, mean = bias_paths(seeds(seed, "M7", runs), settle + ticks, b_s=b_s, pi=pi, g=g, **rates)
    b, b_se = mean_error(bias[:, settle:].mean(axis=1))
    transferred = mean[:, settle:].mean(axis=1) / bias[:, settle:].mean(axis=1)
    out = [
        Check(
            "steady bias b*",
            steady_bias(rho, pi, b_s, h, L),
            b,
            b_se,
            note=f"L = {L:.6f}, h = {h:.6f}, rho = {rho:.6f}",
        )
    ]
    if b_s:
        out.append(Check("chi, measured", chi, *mean_error(transferred), note="model's mean bias over the records'"))
    for gain, relation in ((L_below, "<"), (L_above, ">")):
        # The gain of pseudo-labels ends at 10; a larger share of them makes up for it.
        share = min(0.99, max(pi, gain / loop_gain(rho, 1.0, 9.5, chi, h)))
        needed = gain / loop_gain(rho, share, 1.0, chi, h)
        if needed > 10:
            continue
        expected = math.log(((1 - delta) + delta * (1 - rho) * share * needed * chi) / (1 + kappa))
        run_seeds = seeds(seed, f"M7 {relation}", runs)
        fixed = (1 - rho) * (1 - share) * (b_s or 0.4) * h / (1 - gain)
        rate, error = growth_rate(run_seeds, expected, fixed, b_s=b_s or 0.4, pi=share, g=needed, **rates)
        name = f"bias growth per tick at L = {gain:g}"
        note = f"multiplier of the loop's linear map; pi = {share:.3g}, g = {needed:.3g}"
        out.append(Check(name, expected, rate, error, 0.02 * abs(expected), note=note))
        out.append(Check(name + ": sign", 0.0, rate, error, relation="<" if relation == "<" else ">"))
    return out


def bias_paths(
    run_seeds: Sequence[int],
    ticks: int,
    *,
    lambda_P: float,
    q: float,
    lambda_S: float,
    delta: float,
    kappa: float,
    b_s: float,
    pi: float,
    g: float,
    chi: float,
    rho: float,
    scale: float,
    founded: float | None = None,
) -> tuple[Float, Float]:
    """Mean bias of the records, and of the model, after each tick of some runs (R, T), (R, T).

    One curator has the whole budget: many with equal ones would acquire in the same ticks. The community starts with the steady numbers of records open to audit and of others. The chances become budgets: audits are those that keep the chance kappa in the steady state, where
    ``lambda_S / (delta + kappa)`` records are open to audit; what a model does not learn of the bias is
    harmonised away, the records that planners enter after its training counted in. `founded` is the
    records' mean bias at founding (default: that of simulations).
    """
    simulated = lambda_S * scale
    open_records = simulated / (delta + kappa)
    audits = kappa * open_records
    budget = math.ceil(simulated + audits)
    cost = (budget - simulated) / audits if audits else 1.0
    volume = (lambda_P * q + lambda_S) / delta * scale
    p = learning_community(
        **{
            "space.materials": 300,
            "founding.records": round(open_records),
            "founding.mass": 1.0,
            "curators.count": 1,
            "curators.records": budget if audits else round(simulated),
            "curators.audit_rate": (budget - simulated) / budget if audits else 0.0,
            "curators.measured_cost": max(1.0, cost),
            "modalities.measured_noise": 0.05,
            "trainers.harmonisation": 1.0 - chi * (1.0 - delta * rho),
            "commons.forgetting": -math.log1p(-delta),
            "coupling.pseudo_share": pi,
            "coupling.pseudo_gain": g,
            "planners.count": round(lambda_P * scale),
            "planners.experiments": 1.0,
            "planners.publication_bias": 1.0 - q,
            "planners.publication_threshold": 5.0,
            "planners.steering_gain": 0.0,
        }
    )
    spread = 0.01 * np.random.Generator(np.random.Philox(7)).standard_normal(300)
    space = flat_space(p, spread - spread.mean(), spread - spread.mean() + b_s)
    bias, mean = np.empty((len(run_seeds), ticks)), np.empty((len(run_seeds), ticks))
    for r, s in enumerate(run_seeds):
        eco = begin(RunSpec(p, s, space=space), record=())
        commons = eco.world.commons
        if founded is not None:
            rows = np.arange(len(commons))
            value = space.property[commons.material] + founded * volume / open_records
            commons.rewrite(rows, value.astype(np.float32), commons.variance.copy())
        deposit(eco, 0, round(volume - open_records), measured=True)
        for t in range(ticks):
            eco.step()
            alive = commons.alive
            bias[r, t] = (commons.value[alive] - space.property[commons.material[alive]]).mean(dtype=np.float64)
            mean[r, t] = learned(eco)[0]
    return bias, mean


def growth_rate(run_seeds: Sequence[int], expected: float, fixed: float, **rates: Any) -> tuple[float, float]:
    """Rate at which the bias moves away from its fixed point (or towards it), and its jackknife error.

    From the means over two windows half an e-fold long and as far apart.
    """
    window = max(8, math.ceil(0.5 / abs(expected)))
    start = 5  # until the first models have spoken
    # Far from the fixed point, so that chance is small against the distance.
    founded = fixed + 3 * max(abs(fixed), abs(rates["b_s"]))
    bias, _ = bias_paths(run_seeds, start + 3 * window, founded=founded, **rates)
    distance = bias[:, start:].reshape(len(bias), 3, window).mean(axis=2) - fixed

    def rate(mean: Float) -> float:
        ratio = mean[2] / mean[0]
        return math.log(ratio) / (2 * window) if ratio > 0 else math.nan

    total, n = distance.sum(axis=0), len(distance)
    left_out = np.array([rate((total - v) / (n - 1)) for v in distance])
    return rate(total / n), float(math.sqrt((n - 1) * left_out.var()))


# --------------------------------------------------------------------------- wrong rules

mutation(
    "audits leave the value as it is",
    Commons.rewrite,
    lambda right: (
        lambda self, rows, value, variance, **f: right(self, rows, self.value[rows] if f else value, variance, **f)
    ),
    "M7",
)
mutation("audits mend what renewal renews", bias_share, lambda right: lambda d, k: right(d, k + d), "M7")
