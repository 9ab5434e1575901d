"""What sharing encoders costs or gains without a shock: paired differences to no sharing, and where the best share is.

python analysis/reuse.py results/reuse

The best share is that of the best mean; its sureness is how often it is best when communities are drawn again.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from numpy.typing import NDArray

from mpbf_abm import Results
from mpbf_abm.errors import MpbfError
from mpbf_abm.stats.paired import simultaneous_intervals

BETTER = {"found_by_planners_share": 1, "rmse_centred": -1}
RESAMPLES = 2_000


def first_often(values: NDArray[np.float64], better: int) -> tuple[int, float]:
    """Return which column (n, q) is best in the mean, and its share of the bests over resampled rows."""
    rng = np.random.default_rng(0)
    best = int(np.argmax(better * values.mean(axis=0)))
    drawn = values[rng.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    return best, float((np.argmax(better * drawn, axis=1) == best).mean())


def main() -> int:
    """Print a curve for each outcome, with candidates of one's own and with common ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results")
    options = parser.parse_args()
    try:
        with Results.open(options.results) as results:
            runs = results.runs.set_index(["scenario", "arm", "replicate"])["planners.common_candidates"]
            table = results.outcomes.join(runs, on=["scenario", "arm", "replicate"])
    except (MpbfError, KeyError) as error:
        print(f"reuse: {error}", file=sys.stderr)
        return 2
    table["arm"] = table["arm"].replace("baseline", "0").astype(float)
    for outcome, part in table.groupby("outcome", sort=False):
        for common, own in part.groupby("planners.common_candidates"):
            values = own.pivot_table(index="replicate", columns="arm", values="value").dropna()
            effect = simultaneous_intervals(values.to_numpy()[:, 1:] - values.to_numpy()[:, :1])
            print(f"{outcome}, common candidates {common:g}, {len(values)} pairs: {values[0.0].mean():.4f} at reuse 0")
            for reuse, mean, low, high in zip(values.columns[1:], effect.mean, effect.low, effect.high, strict=True):
                print(f"  reuse {reuse:g}: {mean:+.4f} ({low:+.4f} to {high:+.4f})")
            if outcome in BETTER:
                best, often = first_often(values.to_numpy(), BETTER[str(outcome)])
                print(f"  best at reuse {values.columns[best]:g}, in {often:.0%} of resamples")
    return 0


if __name__ == "__main__":
    sys.exit(main())
