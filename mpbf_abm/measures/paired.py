"""Effects on the same seeds: the difference replicate by replicate, with its interval.

Arms that share their seeds share every draw of every rule they have in common, so the
difference of a pair varies less than either arm; how much less is the variance-reduction factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError

Float = NDArray[np.float64]

LEVEL = 0.95
EFFECT_COLUMNS = ("outcome", "baseline", "treated", "difference", "low", "high", "vrf", "n")


def paired_effects(baseline: pd.DataFrame, treated: pd.DataFrame, outcomes: Sequence[str]) -> pd.DataFrame:
    """Mean paired difference of each outcome, with a 95 % t-interval over pairs.

    Parameters
    ----------
    baseline, treated : DataFrame
        One row per replicate and one column per outcome; rows with the same index are a pair.
    outcomes : sequence of str
        Columns to compare.

    Returns
    -------
    DataFrame
        One row per outcome: means of both arms, ``difference`` (treated minus baseline), ``low`` and
        ``high`` of its interval, ``vrf`` = (var a + var b) / var(b - a), and ``n`` pairs. A pair with a
        value that is not finite is left out of its outcome; an outcome with fewer than two pairs left
        has NaN for everything that needs them.

    Raises
    ------
    ConfigurationError
        If there are fewer than two pairs, if the rows do not match, or if an outcome is missing.

    Examples
    --------
    >>> a, b = pd.DataFrame({"found": [1.0, 2.0, 4.0]}), pd.DataFrame({"found": [2.0, 3.0, 6.0]})
    >>> effect = paired_effects(a, b, ["found"]).iloc[0]
    >>> print(f"{effect.difference:.3f} from {effect.low:.3f} over {effect.n} pairs")
    1.333 from -0.101 over 3 pairs
    """
    _check(baseline, treated, outcomes)
    rows = []
    for outcome in outcomes:
        a, b = baseline[outcome].to_numpy(np.float64), treated[outcome].to_numpy(np.float64)
        whole = np.isfinite(a) & np.isfinite(b)
        rows.append({"outcome": outcome, **_effect(a[whole], b[whole])})
    return pd.DataFrame(rows, columns=list(EFFECT_COLUMNS))


def _check(baseline: pd.DataFrame, treated: pd.DataFrame, outcomes: Sequence[str]) -> None:
    faults = []
    if len(baseline) != len(treated) or not baseline.index.equals(treated.index):
        faults.append(
            f"paired effects: {len(baseline)} baseline and {len(treated)} treated rows must have the same index"
        )
    elif len(baseline) < 2:
        faults.append(f"paired effects need at least 2 replicates, not {len(baseline)}")
    missing = [o for o in outcomes if o not in baseline.columns or o not in treated.columns]
    if missing:
        faults.append(f"paired effects: no outcome '{missing[0]}' in both tables")
    if faults:
        raise ConfigurationError(faults)


def _effect(a: Float, b: Float) -> dict[str, Any]:
    """Effect of one outcome from complete pairs."""
    from scipy.special import stdtrit

    n = len(a)
    gap = b - a
    out: dict[str, Any] = dict.fromkeys(EFFECT_COLUMNS[1:], np.nan) | {"n": n}
    if n:
        out |= {"baseline": a.mean(), "treated": b.mean(), "difference": gap.mean()}
    if n >= 2:
        half = stdtrit(n - 1, 0.5 + LEVEL / 2) * gap.std(ddof=1) / np.sqrt(n)
        apart, together = a.var(ddof=1) + b.var(ddof=1), gap.var(ddof=1)
        out |= {"low": out["difference"] - half, "high": out["difference"] + half}
        if together > 0:
            out["vrf"] = apart / together
        elif apart > 0:
            out["vrf"] = np.inf
    return out


def spread(runs: pd.DataFrame, outcomes: Sequence[str]) -> pd.DataFrame:
    """Median and 10-90 % range over replicates, which do not hide that outcomes fall into two groups.

    Returns
    -------
    DataFrame
        One row per outcome: ``median``, ``p10``, ``p90`` over its finite values (NaN without any).
    """
    rows = []
    for outcome in outcomes:
        values = runs[outcome].to_numpy(np.float64)
        values = values[np.isfinite(values)]
        low, middle, high = np.quantile(values, (0.1, 0.5, 0.9)) if len(values) else (np.nan, np.nan, np.nan)
        rows.append({"outcome": outcome, "median": middle, "p10": low, "p90": high})
    return pd.DataFrame(rows, columns=["outcome", "median", "p10", "p90"])
