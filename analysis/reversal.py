"""What prevention of lock-in takes, and what its cure.

The exploration floor that a largest share needs, and where later records go.

python analysis/reversal.py results/reversal [--share 0.3]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mpbf_abm import Results
from mpbf_abm.errors import MpbfError
from mpbf_abm.stats.estimates import mean_estimate

Float = NDArray[np.float64]

USUAL = 0.1  # exploration of the baseline
FEWEST = 5  # communities of which a mean is told


def needed(levels: Sequence[float], shares: Float, share: float) -> float:
    """Level at which a share that falls with the level reaches a value, between the levels tried.

    It is infinite if the share does not reach the value.

    Parameters
    ----------
    levels : sequence of float (m,)
        Increasing.
    shares : float (m,)
    share : float
    """
    below = np.flatnonzero(shares <= share)
    if not len(below):
        return float("inf")
    i = int(below[0])
    if i == 0:
        return float(levels[0])
    part = (shares[i - 1] - share) / (shares[i - 1] - shares[i])
    return float(levels[i - 1] + part * (levels[i] - levels[i - 1]))


def main() -> int:
    """Print both tables of a study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results")
    parser.add_argument("--share", type=float, default=0.3, help="largest share that is to be kept (%(default)s)")
    options = parser.parse_args()
    try:
        with Results.open(options.results) as results:
            arms, values = list(results.arm_names), results.series_values("leading_share")
            families = results.runs.drop_duplicates("scenario").sort_values("scenario")["space.families"].tolist()
    except (MpbfError, KeyError) as error:
        print(f"reversal: {error}", file=sys.stderr)
        return 2
    for kind in ("prevention", "cure"):
        floors = [arm.removeprefix(f"{kind} ") for arm in arms if arm.startswith(kind)]
        columns = [0, *(arms.index(f"{kind} {floor}") for floor in floors)]
        levels = [USUAL, *map(float, floors)]
        for k, count in enumerate(families):
            found = np.array([needed(levels, values[k, columns, r, -1], options.share) for r in range(values.shape[2])])
            known = found[np.isfinite(found)]
            e = mean_estimate(known)
            at = f", at a floor of {e.value:.2f} ({e.low:.2f} to {e.high:.2f})" if len(known) >= FEWEST else ""
            print(
                f"{kind:10s} {count:4d} families: {len(known)} of {len(found)} communities get to {options.share:g}{at}"
            )
        for floor, column in zip(["none", *floors], columns, strict=True):
            ends = values[:, column, :, -1].mean(axis=1)
            print(
                f"{kind} {floor}: largest share at the end {', '.join(f'{v:.2f}' for v in ends)} "
                f"({', '.join(map(str, families))} families)"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
