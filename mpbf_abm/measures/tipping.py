"""Tipping points of a parameter, and the hysteresis of a ramp.

A tipping point is the level at which an outcome becomes as likely as not, or a mean crosses a threshold.

Every level is tried on the same seeds (common random numbers), and the crossing of their share or mean is found by
bisection. Its interval inverts a test: it runs from the first to the last level that is neither surely below nor surely
above the threshold. It only misses the crossing if the level tried next to the crossing errs. Where every seed moves
one way only, this is the order-statistic interval of the median of the seeds' own tipping points (Thompson 1936).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from mpbf_abm.arrays import Float
from mpbf_abm.errors import ConfigurationError, refuse, refuse_all
from mpbf_abm.model.community import Community
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.stats.estimates import LEVEL, Estimate, critical_t, mean_estimate, share_estimate, student

Response = Callable[[float, int], bool | float]

GRID = 5  # levels that are tried first, at equal distances, to see whether the response has one direction
FEWEST = 6  # seeds below which not even agreement of all is sure (2^-5 > 0.025)


@dataclass(frozen=True)
class Tipping:
    """Where a response crosses a threshold.

    Attributes
    ----------
    level : float
        Level at which the share or mean over the seeds crosses the threshold.
    low, high : float
        95 % interval; infinite where the bracket ends before the response is surely on one side.
    threshold : float
    rising : bool
        Whether the response grows with the level.
    levels : DataFrame
        Every level tried: ``level``, ``mean`` with ``low`` and ``high`` (Wilson's interval of a share, Student's of a
        mean).
    turning : float
        Share of seeds that turn back anywhere between the levels tried.
    crossings : int
        Times that the mean crosses the threshold between the levels tried; one if it has one direction.
    setback : tuple (from, to, change), optional
        Levels between which the mean turns back most surely, if it does more than chance explains.
    """

    level: float
    low: float
    high: float
    threshold: float
    rising: bool
    levels: pd.DataFrame
    turning: float
    crossings: int
    setback: tuple[float, float, float] | None

    @property
    def remark(self) -> str:
        """What the levels tried say of the response's direction, in a sentence."""
        way = "rises" if self.rising else "falls"
        if self.setback is not None:
            a, b, change = self.setback
            text = f"not monotone: {way} on the whole, but changes by {change:+.3g} from {a:g} to {b:g}"
        else:
            text = f"{way} over the {len(self.levels)} levels tried, within chance"
        if self.crossings > 1:
            text += f", crossing {self.threshold:g} {self.crossings} times"
        kept = "no seed turns back" if not self.turning else f"{self.turning:.0%} of seeds turn back somewhere"
        return f"{text}; {kept}"


def tipping_point(
    response: Response, low: float, high: float, *, seeds: Sequence[int], precision: float, threshold: float = 0.5
) -> Tipping:
    """Find the level of a parameter at which a response crosses a threshold, by bisection on common random numbers.

    Parameters
    ----------
    response : callable (level, seed)
        A yes or no, of which the share counts, or a number, of which the mean does. It is asked for each seed at about
        ``5 + 2 log2((high - low) / precision)`` levels.
    low, high : float
        Bracket, with the crossing inside.
    seeds : sequence of int
        At least 6.
    precision : float
        Distance to which the level and the ends of its interval are found; ends are rounded outwards.
    threshold : float
        Share (0 to 1) or mean.

    Raises
    ------
    ConfigurationError
        If the share or mean does not cross the threshold between `low` and `high`; for fewer than 6 seeds, the same
        seed twice, or an empty bracket; for a precision that is not above 0 and below its width; for a threshold that
        no share can cross; and for answers that are not finite.

    Notes
    -----
    Events are tested by the exact binomial test, means by Student's t. Where the answers of a seed at different
    levels have nothing in common, the interval is too wide (about 99 % in trials). For such noise probabilistic
    bisection (Waeber, Frazier and Henderson 2013) needs fewer runs, but assumes how often an answer is right.

    Examples
    --------
    >>> point = tipping_point(lambda level, seed: level > 0.3, 0.0, 1.0, seeds=range(8), precision=0.01)
    >>> abs(point.level - 0.3) <= 0.01, point.remark
    (True, 'rises over the 10 levels tried, within chance; no seed turns back')
    """
    search = _Search(response, _checked(low, high, list(seeds), precision, threshold), precision, threshold)
    for level in np.linspace(low, high, GRID):
        search.ask(float(level))
    search.orient(low, high)
    level, (lowest, highest) = search.middle(), search.ends()
    seen = search.table(), search.turning(), search.crossings(), search.setback()
    return Tipping(level, lowest, highest, threshold, search.rising, *seen)


class _Search:
    """Answers so far, turned so that they rise with the level."""

    def __init__(self, response: Response, seeds: list[int], precision: float, threshold: float) -> None:
        self.response, self.seeds, self.precision, self.threshold = response, seeds, precision, threshold
        self.answers: dict[float, Float] = {}
        self.event = True
        self.rising = True

    def ask(self, level: float) -> None:
        if level in self.answers:
            return
        given = [self.response(level, seed) for seed in self.seeds]
        self.event &= all(isinstance(v, (bool, np.bool_)) for v in given)
        values = np.array(given, np.float64)
        refuse(not np.isfinite(values).all(), f"tipping point: an answer at level {level:g} is not finite")
        self.answers[level] = values

    def orient(self, low: float, high: float) -> None:
        """Learn the direction from the ends of the bracket, which must lie on two sides of the threshold."""
        a, b = self.answers[low].mean(), self.answers[high].mean()
        refuse(
            self.event and not 0 < self.threshold < 1,
            f"threshold = {self.threshold:g}: a share must cross one between 0 and 1",
        )
        self.rising = bool(b >= a)
        if self.beyond(low) or not self.beyond(high):
            what = "share" if self.event else "mean"
            raise ConfigurationError(
                f"tipping point: the {what} is {a:.3g} at {low:g} and {b:.3g} at {high:g} and does not cross "
                f"{self.threshold:g} in between; choose another bracket"
            )

    def excess(self, level: float) -> Float:
        """Return by how much answers are beyond the threshold, in the direction in which they move."""
        gap = self.answers[level] - self.threshold
        return gap if self.rising else -gap

    def beyond(self, level: float) -> bool:
        return float(self.excess(level).mean()) > 0

    def sure(self, level: float) -> int:
        """Return 1 where the response is surely beyond the threshold, -1 where surely not, 0 where neither."""
        from scipy.stats import binom

        x, n, err = self.excess(level), len(self.seeds), (1.0 - LEVEL) / 2
        if self.event:
            # A rising event happened where the answer is 1, a falling one where it is 0.
            p = self.threshold if self.rising else 1.0 - self.threshold
            k = int((x > 0).sum())
            return int(binom.sf(k - 1, n, p) <= err) - int(binom.cdf(k, n, p) <= err)
        e = mean_estimate(x)
        return int(e.low > 0) - int(e.high < 0)

    def bisect(self, a: float, b: float, holds: Callable[[float], bool]) -> tuple[float, float]:
        """Narrow a bracket in which something holds at b and not at a."""
        while b - a > self.precision:
            level = (a + b) / 2
            self.ask(level)
            a, b = (a, level) if holds(level) else (level, b)
        return a, b

    def middle(self) -> float:
        a, b = next((a, b) for a, b in pairwise(sorted(self.answers)) if not self.beyond(a) and self.beyond(b))
        return sum(self.bisect(a, b, self.beyond)) / 2

    def ends(self) -> tuple[float, float]:
        """Return the level up to which all are surely below the threshold, and that from which all are surely above."""
        sure, levels = self.sure, sorted(self.answers)
        first = next(i for i, level in enumerate(levels) if sure(level) >= 0)
        low, high = -math.inf, math.inf
        if first:
            low = self.bisect(levels[first - 1], levels[first], lambda level: sure(level) >= 0)[0]
        levels = sorted(self.answers)
        last = max(i for i, level in enumerate(levels) if sure(level) <= 0)
        if last < len(levels) - 1:
            high = self.bisect(levels[last], levels[last + 1], lambda level: sure(level) > 0)[1]
        return low, high

    # ------------------------------------------------------------------ what the levels tried show

    def paths(self) -> tuple[list[float], Float]:
        """Return the levels, and what each seed answered there (levels, seeds), rising."""
        levels = sorted(self.answers)
        return levels, np.array([self.excess(level) for level in levels])

    def turning(self) -> float:
        _, x = self.paths()
        return float((np.diff(x, axis=0) < -1e-12 * np.abs(x).max()).any(axis=0).mean())

    def crossings(self) -> int:
        return sum(a != b for a, b in pairwise([self.beyond(level) for level in sorted(self.answers)]))

    def setback(self) -> tuple[float, float, float] | None:
        """Return the levels between which the mean falls back most surely, if any does at 5 % over all pairs."""
        levels, x = self.paths()
        i, j = np.triu_indices(len(levels), 1)
        change = x[j] - x[i]
        mean, error = change.mean(axis=1), change.std(axis=1, ddof=1) / math.sqrt(len(self.seeds))
        with np.errstate(divide="ignore", invalid="ignore"):
            # What is left of equal answers by rounding is no change.
            score = np.where(mean < -1e-12 * np.abs(x).max(), mean / error, 0.0)
        worst = int(np.argmin(score))
        if not score[worst] < -critical_t(len(self.seeds) - 1, 1.0 - 2.0 * (1.0 - LEVEL) / len(i)):
            return None
        return levels[i[worst]], levels[j[worst]], float(mean[worst] if self.rising else -mean[worst])

    def table(self) -> pd.DataFrame:
        rows = []
        for level in sorted(self.answers):
            e = share_estimate(self.answers[level]) if self.event else mean_estimate(self.answers[level])
            rows.append((level, e.value, e.low, e.high))
        return pd.DataFrame(rows, columns=["level", "mean", "low", "high"])


def _checked(low: float, high: float, seeds: list[int], precision: float, threshold: float) -> list[int]:
    width, few, different = high - low, len(seeds) < FEWEST, len(set(seeds))
    bracket = math.isfinite(low) and math.isfinite(high) and low < high
    finer = f"precision = {precision:g}: must be above 0 and below the width of the bracket, {width:g}"
    enough = f"seeds: at least {FEWEST} different ones are needed, not {different} among {len(seeds)}"
    refuse_all(
        (not bracket, f"bracket from {low:g} to {high:g}: must be finite and rise"),
        (bracket and not 0 < precision < width, finer),
        (few or different < len(seeds), enough),
        (not math.isfinite(threshold), f"threshold = {threshold:g}: must be finite"),
    )
    return seeds


# --------------------------------------------------------------------------- hysteresis

# The loop between the way up and the way down of a ramp, and its limit for infinitely slow ramps.

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
    refuse(
        top in (0, len(p) - 1) or (np.diff(p[: top + 1]) < 0).any() or (np.diff(p[top:]) > 0).any(),
        "loop area: the lever must rise to its largest value and fall after it",
    )
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
