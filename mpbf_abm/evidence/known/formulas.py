"""The four MPBF formulas (our operationalisation): values, bounds and monotonicity (rows L1 to L4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from mpbf_abm.arrays import Float
from mpbf_abm.evidence.known.rows import Check, generator, mutation, parameter, row
from mpbf_abm.model.abstraction import (
    integrity,
    integrity_unfloored,
    optimal_scale,
    tradeoff,
    tradeoff_slope,
    uncertainty,
)
from mpbf_abm.model.assimilation import boundary_shift, coverage
from mpbf_abm.model.steering import feedback, steering_fidelity

OURS = "our operationalisation (model description, 7)"
ROUNDING = 1e-12
TRIES = parameter(300, "random tries of each property", 1, 10**6, fast=100)


def unbroken(seed: int, label: str, tries: int, broken: Callable[[Float], bool]) -> Check:
    """Check that no property is broken at any of some random points of the unit cube (8,)."""
    points = generator(seed, label).random((tries, 8))
    return Check("tries that break a property", 0, sum(broken(u) for u in points))


def _breaks_boundary_shift(u: Float) -> bool:
    """Return whether a draw breaks a property of Delta-B."""
    v, step, a, b, f = 2_000 * u[0], 1 + 500 * u[1], 5 * u[2], 5 * u[3], u[4]
    low, middle, high = (boundary_shift(coverage([v + k * step], 200.0), f, a, b) for k in range(3))
    rising = low <= middle + ROUNDING and high - middle <= middle - low + ROUNDING
    slope = math.isclose(boundary_shift(0.3, f + 0.1, a, b) - boundary_shift(0.3, f, a, b), -0.1 * b, abs_tol=1e-9)
    bounded = -b - ROUNDING <= low <= a + ROUNDING
    # Moving materials from a richer family to a poorer one covers more.
    rich, poor, moved = v + step, v, step * u[5] / 2
    level = coverage([rich - moved, poor + moved], 200.0) >= coverage([rich, poor], 200.0) - ROUNDING
    return not (rising and slope and bounded and level)


@row("L1", "Boundary shift Delta-B", OURS)
def delta_b(
    seed: int,
    alpha: float = parameter(1.0, "weight of coverage", 0, 10),
    beta: float = parameter(1.0, "weight of fidelity", 0, 10),
    V: float = parameter(200.0, "distinct materials of every family", 0, 1e7),
    V0: float = parameter(200.0, "their scale", 0, 1e7, True),
    F: float = parameter(0.5, "fidelity", 0, 1),
    tries: int = TRIES,
) -> Iterator[Check]:
    """Value; rising and concave in volume, slope -beta in fidelity, bounds, Schur-concave coverage."""
    value = boundary_shift(coverage(np.full(4, V), V0), F, alpha, beta)

    yield Check("Delta-B", alpha * (1 - math.exp(-V / V0)) - beta * F, value, tolerance=1e-12)
    yield unbroken(seed, "L1", tries, _breaks_boundary_shift)


def _breaks_integrity(x: Float) -> bool:
    """Return whether a draw breaks a property of A."""
    R0, losses, g, d = x[:3], x[3:6].tolist(), 0.1 + 2 * x[6], x[7]
    mu = np.full(3, 1 / 3)
    at = integrity(R0, mu, losses, g, d)
    raised = R0.copy()
    raised[0] = min(1.0, raised[0] + 0.1)
    worse = list(losses)
    worse[1] = min(1.0, worse[1] + 0.1)
    turned = [integrity_unfloored(R0, mu, order, g, d) for order in (losses[::-1], losses)]
    return not (
        0 <= at <= g + ROUNDING
        and integrity(raised, mu, losses, g, d) >= at - ROUNDING
        and integrity(R0, mu, worse, g, d) <= at + ROUNDING
        and math.isclose(*turned, abs_tol=1e-12)
    )


@row("L2", "Abstraction integrity A", OURS)
def abstraction_integrity(
    seed: int,
    gamma: float = parameter(0.9, "integration gamma_A", 0, 10, True),
    R: float = parameter(0.8, "mean resolution", 0, 1),
    u: tuple[float, ...] = parameter((0.1, 0.1, 0.1), "losses at the scale transitions", 0, 1),
    delta_U: float = parameter(1.0, "weight of the penalty", 0, 1),
    tries: int = TRIES,
) -> Iterator[Check]:
    """Value; bounds, monotonicity, and no say of the transitions' order."""
    penalty = delta_U * (1 - math.prod(1 - v for v in u))

    # Two kinds of environments of equal weight, the mean resolution between them.
    spread = 0.5 * min(R, 1 - R)
    value = integrity([R - spread, R + spread], [0.5, 0.5], u, gamma, delta_U)
    yield Check("A", max(0.0, gamma * R - penalty), value, tolerance=1e-12)
    yield unbroken(seed, "L2", tries, _breaks_integrity)


def _breaks_steering(x: Float) -> bool:
    """Return whether a draw breaks a property of S."""
    return not (
        0 <= steering_fidelity(feedback(x[0], 2 * x[1]), x[2], x[3]) <= 1
        and feedback(x[0], 1.0) == 1
        and math.isclose(feedback(x[0], 0.0), x[0], abs_tol=1e-12)
        and feedback(x[0], x[1]) <= feedback(min(1.0, x[0] + 0.1), x[1]) + ROUNDING
    )


@row("L3", "Steering fidelity S", OURS)
def steering(
    seed: int,
    o: float = parameter(0.7, "agreement", 0, 1),
    c: float = parameter(0.5, "correction strength", 0, 2),
    w: float = parameter(0.6, "weight of feedback", 0, 1),
    Theta: float = parameter(0.5, "resolved trade-off", 0, 1),
    tries: int = TRIES,
) -> Iterator[Check]:
    """Value; bounds, and feedback at full and at no correction."""
    expected = w * max(0.0, 1 - (1 - o) * abs(1 - c)) + (1 - w) * Theta
    yield Check("S", expected, steering_fidelity(feedback(o, c), Theta, w), tolerance=1e-12)
    yield unbroken(seed, "L3", tries, _breaks_steering)


def _breaks_tradeoff(x: Float) -> bool:
    """Return whether a draw breaks a property of T."""
    scale, invariance, risk, weight = 10 * x[0], x[1], x[2], 3 * x[3]
    h = 1e-4
    high, low = (tradeoff(at, invariance, risk, 1.0, weight) for at in (scale + h, scale))
    riskier, slope = (tradeoff_slope(scale, invariance, r, 1.0, weight) for r in (risk + 0.1, risk))
    return not (
        tradeoff(0.0, invariance, risk) == 0
        and math.isclose((high - low) / h, slope, abs_tol=1e-3)
        and math.isclose(riskier - slope, -0.1 * weight * (1 - invariance), abs_tol=1e-9)
        and tradeoff_slope(scale, 1.0, risk) == tradeoff_slope(scale, 1.0, 0.0)
    )


@row("L4", "Trade-off T of scale and invariance", OURS)
def scale_tradeoff(
    seed: int,
    eta: float = parameter(1.0, "benefit of scale", 0, 10),
    theta: float = parameter(1.0, "weight of risk", 0, 10),
    I: float = parameter(0.6, "invariance", 0, 1),
    E: float = parameter(0.2, "epistemic risk", 0, 1),
    p: float = parameter(6.5, "scale against the reference", 0, 64),
    tries: int = TRIES,
) -> Iterator[Check]:
    """Value, optimal scale by search, T(0) = 0, and the cross derivative."""
    brake = theta * (1 - I) * E
    best = max(0.0, eta * I / brake - 1) if brake > 0 else math.inf
    yield Check("T", eta * I * math.log1p(p) - brake * p, tradeoff(p, I, E, eta, theta), tolerance=1e-12)
    if math.isfinite(best):
        # Around the formula's own optimum: no scale nearby may be better.
        scales = np.maximum(0.0, best + np.linspace(-1, 1, 2001) * max(1.0, 0.5 * best))
        found = scales[int(np.argmax([tradeoff(float(s), I, E, eta, theta) for s in scales]))]
        yield Check("optimal scale, by search", best, float(found), tolerance=2e-3 * max(1.0, best))
        yield Check("optimal scale, function", best, optimal_scale(I, E, eta, theta), tolerance=1e-9 * max(1.0, best))

    yield unbroken(seed, "L4", tries, _breaks_tradeoff)


# --------------------------------------------------------------------------- injected faults

mutation("coverage saturates half as fast", coverage, "L1")(lambda right, V, v0: right(V, 2 * v0))
mutation("fidelity helps Delta-B", boundary_shift, "L1")(lambda right, C, F, a=1.0, b=1.0: right(C, -F, a, b))
mutation("scale transitions add instead of compound", uncertainty, "L2")(lambda _, u, d: float(d * sum(u)))
mutation("correction beyond 1 counts as 1", feedback, "L3")(lambda right, o, c: right(o, 0.5 * c))
mutation("risk grows with invariance", tradeoff, "L4")(lambda right, p, i, e, *w: right(p, i, e, *w) - 0.1 * i * p)
