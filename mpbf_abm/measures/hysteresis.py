"""Hysteresis: the loop between the way up and the way down of a ramp, and its limit for infinitely slow ramps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from mpbf_abm.arrays import Float
from mpbf_abm.errors import ConfigurationError, refuse, refuse_all
from mpbf_abm.model.community import Community
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.stats.estimates import Estimate, mean_estimate, student

Lever = Mapping[str, tuple[float, float]]

# Passing a fold, the loop grows with the rate to this power (Jung, Gray, Roy and Mandel 1990); a system that only lags,
# with the rate itself.
FOLD = 2.0 / 3.0


def loop_area(lever: ArrayLike, response: ArrayLike) -> float:
    """Return the area of a loop: integral of the response on the way down less that on the way up, over the lever.

    Parameters
    ----------
    lever : float (n,)
        A path that rises to its largest value and falls back.
    response : float (n,)

    Returns
    -------
    float
        Above 0 where the response stays high on the way down. ``- integral of response d(lever)`` along the path, by
        trapezoids; where the path does not close, up to where it ends.

    Raises
    ------
    ConfigurationError
        For fewer than three points, or a lever that does not rise and fall.
    """
    p, y = np.asarray(lever, np.float64), np.asarray(response, np.float64)
    finite = np.isfinite(p).all() and np.isfinite(y).all()
    needed = "finite values are needed, a response for each of at least three values of the lever"
    refuse(p.ndim != 1 or p.shape != y.shape or len(p) < 3 or not finite, f"loop area: {needed}")
    top = int(p.argmax())
    if top in (0, len(p) - 1) or (np.diff(p[: top + 1]) < 0).any() or (np.diff(p[top:]) > 0).any():
        raise ConfigurationError("loop area: the lever must rise to its largest value and fall after it")
    return float(-np.trapezoid(y, p))


def slow_limit(rates: ArrayLike, areas: ArrayLike, exponent: float = FOLD) -> Estimate:
    """Fit the area for an infinitely slow ramp: intercept of ``area = A_0 + c rate^exponent`` by least squares.

    Parameters
    ----------
    rates : float (m,)
        At least three that differ; above 0.
    areas : float (m,) or (runs, m)
        Of one run, or of several: the line is then fitted to each run alone, and the interval is over runs.
    exponent : float
        2/3 where a fold is passed, 1 for a mere lag. The interval is that of the line alone: with the wrong exponent it
        may leave out the truth (of a lag, 2/3 makes a small loop of the other sign). Try both, and claim a loop where
        both leave out 0.

    Raises
    ------
    ConfigurationError
        For fewer rates.
    """
    r, a = np.asarray(rates, np.float64), np.asarray(areas, np.float64)
    few = r.ndim != 1 or len(np.unique(r)) < 3 or (r <= 0).any()
    needed = "an area at each of at least three different rates above 0 is needed, and an exponent above 0"
    refuse(few or a.shape[-1:] != r.shape or not exponent > 0, f"slow limit: {needed}")
    design = np.column_stack([np.ones(len(r)), r**exponent])
    solved = np.linalg.lstsq(design, np.atleast_2d(a).T, rcond=None)[0]
    if a.ndim == 2:
        return mean_estimate(solved[0])
    left = a - design @ solved[:, 0]
    error = float(np.sqrt(left @ left / (len(r) - 2) * np.linalg.inv(design.T @ design)[0, 0]))
    return student(float(solved[0, 0]), error, len(r) - 2)


def ramp_community(
    spec: RunSpec, lever: Lever, ticks: int, observe: Callable[[Community], float], *, settle: int = 0
) -> tuple[Float, Float]:
    """Move parameters of a community from low to high and back, each way in some ticks, and watch.

    Parameters
    ----------
    spec : RunSpec
        Parameters, seed, materials, policies and shocks of the community; its ticks do not count.
    lever : mapping of str to (low, high)
        Paths of parameters, and between which values they move together.
    ticks : int
        Of each way; the rate of the ramp is ``1 / ticks``.
    observe : callable
        Response of a community, after each tick.
    settle : int
        Ticks at the low end before.

    Returns
    -------
    two arrays (2 ticks - 1,)
        The lever as a share of its way, and the response.

    Raises
    ------
    ConfigurationError
        For a ramp with no room.
    """
    _check_room(lever, ticks, settle)
    p = spec.parameters.updated({path: low for path, (low, _) in lever.items()})
    tops, whole = {path: high for path, (_, high) in lever.items()}, settle + 2 * ticks - 1
    # At full strength in its last tick of rising, it falls in those that follow.
    ramp = Policy(name="ramp", set=tops, strength=1.0, start=settle, ramp=ticks, end=whole, fade=ticks)
    eco = begin(replace(spec, parameters=p, policies=(*spec.policies, ramp)), record=())
    way, seen = [], []
    for tick in range(whole):
        eco.step()
        if tick >= settle:
            way.append(ramp.at(tick))
            seen.append(observe(eco))
    return np.array(way), np.array(seen)


def _check_room(lever: Lever, ticks: int, settle: int) -> None:
    words = f"ramp: ticks = {ticks}, settle = {settle}: a way takes at least 2 ticks, and settling none or more"
    refuse_all(
        *((not low < high, f"ramp: {path} = {low:g} to {high:g}: must rise") for path, (low, high) in lever.items()),
        (ticks < 2 or settle < 0, words),
        (not lever, "ramp: no parameter to move"),
    )
