"""Effects on the same seeds: the difference replicate by replicate, with its interval.

Arms that share their seeds share every draw of every rule they have in common. The
difference of a pair varies less than either arm; how much less is the variance-reduction factor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from mpbf_abm.arrays import Float
from mpbf_abm.errors import lines_where, refuse_all
from mpbf_abm.stats.estimates import LEVEL, Events, critical_t

Bounds = Mapping[str, float] | None

RESAMPLES = 4_000
JUDGED = 0.5  # an effect that fewer units know (against the most) does not widen the intervals of others
TWO_GROUPS = 5 / 9  # bimodality coefficient above which two groups are likely
FEW_UNITS = 10
CONSTANT = 10  # units that have to agree before their agreement is taken for a fact
EFFECT_COLUMNS = ("outcome", "baseline", "treated", "difference", "low", "high", "vrf", "n", "identical")


def paired_effects(
    baseline: pd.DataFrame, treated: pd.DataFrame, families: Sequence[Sequence[str]], bounds: Bounds = None
) -> pd.DataFrame:
    """Return mean paired differences with 95 % intervals that hold together within a family of outcomes.

    Parameters
    ----------
    baseline, treated : DataFrame
        One row per replicate and one column per outcome; rows with the same index are a pair.
    families : sequence of sequences of str
        Columns to compare, those together whose intervals hold together.
    bounds : mapping of str to float, optional
        Size that a difference cannot exceed, of outcomes that have one.

    Returns
    -------
    DataFrame
        One row per outcome: means of both arms, ``difference`` (treated minus baseline), ``low`` and ``high`` of its
        interval (:func:`simultaneous_intervals`), ``vrf`` (:func:`reduction`), and ``n`` pairs. ``identical`` says
        whether at least two pairs are all equal, bit for bit. A pair with a value that is not finite is left out of its
        outcome; an outcome with fewer than two pairs left has NaN for everything that needs them.

    Raises
    ------
    ConfigurationError
        If the rows do not match, or if an outcome is missing.

    Examples
    --------
    >>> a, b = pd.DataFrame({"found": [1.0, 2.0, 4.0]}), pd.DataFrame({"found": [2.0, 3.0, 6.0]})
    >>> effect = paired_effects(a, b, [["found"]]).iloc[0]
    >>> print(f"{effect.difference:.3f} over {effect.n} pairs")
    1.333 over 3 pairs
    """
    _check(baseline, treated, [name for family in families for name in family])
    rows = []
    for family in families:
        a, b = (arm[list(family)].to_numpy(np.float64) for arm in (baseline, treated))
        most = [(bounds or {}).get(name, np.inf) for name in family]
        found = simultaneous_intervals(b - a, events=[False] * len(family), bounds=most)
        for j, name in enumerate(family):
            whole = np.isfinite(a[:, j]) & np.isfinite(b[:, j])
            one, other = a[whole, j], b[whole, j]
            means = [float(x.mean()) if len(x) else np.nan for x in (one, other, other - one)]
            same = len(one) >= 2 and bool((one.view(np.int64) == other.view(np.int64)).all())
            rows.append((name, *means, found.low[j], found.high[j], reduction(one[None], other[None]), len(one), same))
    return pd.DataFrame(rows, columns=list(EFFECT_COLUMNS))


def _check(baseline: pd.DataFrame, treated: pd.DataFrame, outcomes: Sequence[str]) -> None:
    pairs = f"{len(baseline)} baseline and {len(treated)} treated rows"
    missing = [o for o in outcomes if o not in baseline.columns or o not in treated.columns]
    refuse_all(
        (not baseline.index.equals(treated.index), f"paired effects: {pairs} must have the same index"),
        (missing, f"paired effects: no outcome '{(missing or [''])[0]}' in both tables"),
    )


def cautions(units: int, unpaired: Sequence[str], grouped: Sequence[str]) -> list[str]:
    """Say what the reader of paired effects has to be careful with; empty if nothing.

    Parameters
    ----------
    units : int
        Fewest pairs of an effect.
    unpaired : sequence of str
        Effects whose variance-reduction factor (:func:`reduction`) is at most 1.
    grouped : sequence of str
        Outcomes whose :func:`bimodality` lies above :data:`TWO_GROUPS` in some arm.
    """
    return lines_where(
        (units < FEW_UNITS, f"only {units} units: intervals are rough; {FEW_UNITS} or more are better"),
        (unpaired, f"pairing failed (variance-reduction factor at most 1) for: {', '.join(unpaired)}"),
        (grouped, f"outcomes that may fall into two groups, where a mean hides both: {', '.join(grouped)}"),
    )


def reduction(baseline: Float, treated: Float) -> float:
    """Return the variance-reduction factor of pairing: (var a + var b) / var(b - a), pooled over scenarios.

    Parameters
    ----------
    baseline, treated : float arrays (scenarios, replicates)

    Returns
    -------
    float
        NaN where no scenario has two pairs, and where all pairs differ by a constant, as equal arms do.
    """
    both = np.isfinite(baseline) & np.isfinite(treated)
    apart = together = square = 0.0
    for a, b, k in zip(baseline, treated, both, strict=True):
        if (n := int(k.sum())) >= 2:
            apart += (a[k].var(ddof=1) + b[k].var(ddof=1)) * (n - 1)
            together += (b[k] - a[k]).var(ddof=1) * (n - 1)
            square += (a[k] ** 2).sum() + (b[k] ** 2).sum()
    # What is left of equal differences by rounding is nothing.
    return float(apart / together) if together > 1e-24 * square else float("nan")


def middle(values: Float) -> tuple[float, float, float]:
    """Return low, median and high of the finite values (n,): median and 10-90 % range, NaN without any."""
    known = values[np.isfinite(values)]
    low, half, high = np.quantile(known, (0.1, 0.5, 0.9)) if len(known) else (np.nan,) * 3
    return float(low), float(half), float(high)


def spread(runs: pd.DataFrame, outcomes: Sequence[str]) -> pd.DataFrame:
    """Return median and 10-90 % range over replicates, which do not hide that outcomes fall into two groups.

    Returns
    -------
    DataFrame
        One row per outcome: ``median``, ``p10``, ``p90`` over its finite values (NaN without any).
    """
    rows = [(outcome, *middle(runs[outcome].to_numpy(np.float64))) for outcome in outcomes]
    return pd.DataFrame(rows, columns=["outcome", "p10", "median", "p90"])[["outcome", "median", "p10", "p90"]]


# --------------------------------------------------------------------------- several effects at once


@dataclass(frozen=True)
class Simultaneous:
    """Effects with intervals that hold together.

    Attributes
    ----------
    mean, error, low, high : float arrays (q,)
        Mean, standard error and interval of each effect. The interval is NaN where fewer than two units are known, or
        fewer than ten that all agree.
    n : int array (q,)
        Units known.
    critical : float array (q,)
        Half width of each interval in standard errors.
    """

    mean: Float
    error: Float
    low: Float
    high: Float
    n: NDArray[np.int64]
    critical: Float


def simultaneous_intervals(
    effects: Float, *, events: Events = None, bounds: ArrayLike = np.inf, resamples: int = RESAMPLES, seed: int = 0
) -> Simultaneous:
    """Return intervals of several paired effects that all hold with one probability: bootstrap of the largest t.

    Units are resampled as rows, so that effects keep their correlation (Westfall and Young 1993). The quantile of
    ``max_j |mean*_j - mean_j| / error_j`` is that of a normal variable, as the errors stay as they are; each effect's
    critical value is Student's at the same level, with its own degrees of freedom.

    Parameters
    ----------
    effects : float array (n, q)
        Paired differences; a row is a unit (a replicate, or a scenario), NaN where it has none.
    events : sequence of bool (q,), optional
        Effects that are differences of events (-1, 0 or 1). Their variance counts one further unit of each sign
        (Agresti and Min 2005), so that an event that never happened is not known to be impossible. If not given,
        effects of which no other value is seen.
    bounds : float array (q,)
        Size that no effect can exceed, as 1 for a difference of shares; of events it is 1. Intervals are cut off there:
        they hold as often as before.
    resamples, seed : int

    Returns
    -------
    Simultaneous

    Examples
    --------
    >>> both = simultaneous_intervals(np.array([[0.9, 0.1], [1.1, -0.1], [1.0, 0.0], [1.2, 0.2]]))
    >>> bool(both.low[0] > 0), bool(both.low[1] < 0)
    (True, True)
    """
    x = np.asarray(effects, np.float64)
    q = x.shape[1]
    known = np.isfinite(x)
    n = known.sum(axis=0)
    signs = (np.isin(x, (-1.0, 0.0, 1.0)) | ~known).all(axis=0)
    pseudo = np.asarray(signs if events is None else events, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(known, x, 0.0).sum(axis=0) / n
        centred = np.where(known, x - mean, 0.0)
        # One more unit of each sign lies 1 from 0, which is `mean` from the centre.
        size = n + 2.0 * pseudo
        square = (centred**2).sum(axis=0) + pseudo * 2.0 * (1.0 + mean**2)
        error = np.sqrt(square / (size - 1.0) / size)
    # What is left of equal differences by rounding is nothing.
    usable = (n >= 2) & (error > 1e-12 * np.abs(mean))
    critical = np.full(q, np.nan)
    if usable.any():
        judged = usable & (n >= JUDGED * n[usable].max())
        rng = np.random.default_rng([seed, len(x), q])
        worst = []
        for start in range(0, resamples, 500):
            draws = rng.multinomial(len(x), np.full(len(x), 1.0 / len(x)), min(500, resamples - start))
            weight = draws.astype(np.float64)
            with np.errstate(divide="ignore", invalid="ignore"):
                # A resampled mean varies by (n - 1) / n of what the error says.
                t = np.abs(weight @ centred / (weight @ known)) / error * np.sqrt(n / (n - 1.0))
            worst.append(np.where(judged & np.isfinite(t), t, 0.0).max(axis=1))
        normal = float(np.quantile(np.concatenate(worst), LEVEL))
        critical = critical_t(np.maximum(n - 1, 1), max(LEVEL, 2.0 * float(ndtr(normal)) - 1.0))
    half = np.where(usable, critical * error, np.where(n >= CONSTANT, 0.0, np.nan))
    most = np.where(pseudo > 0, 1.0, bounds)
    return Simultaneous(mean, error, np.maximum(mean - half, -most), np.minimum(mean + half, most), n, critical)


def bimodality(values: Float) -> float:
    """Return Sarle's coefficient ``(g^2 + 1) / (k + 3 (n-1)^2 / ((n-2)(n-3)))``; above 5/9 two groups are likely.

    Parameters
    ----------
    values : float array (n,)
        Values that are not finite do not count; NaN for fewer than four, or constant ones.
    """
    x = np.asarray(values, np.float64)
    x = x[np.isfinite(x)]
    n = len(x)
    if n < 4 or np.ptp(x) <= 1e-12 * max(1.0, float(np.abs(x).max())):
        return float("nan")
    z = (x - x.mean()) / x.std()
    skewness = float((z**3).mean()) * np.sqrt(n * (n - 1)) / (n - 2)
    kurtosis = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (float((z**4).mean()) - 3) + 6)
    return float((skewness**2 + 1) / (kurtosis + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))))
