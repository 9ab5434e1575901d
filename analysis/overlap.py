"""What repositories hold alone, beside real databases: an enumerator, a general one, and two of the known.

python analysis/overlap.py [--set infrastructure.specialisation=1 ...] [--runs 8] [--ticks 24]

Real shares are of compositions: OQMD (342,000), Materials Project (96,000), AFLOW-ICSD and JARVIS (27,000 each), and
for rarity those of the Materials Project with 5, 4, 3 and 2 elements. The founding shares are as those sizes, but for
twice the last two.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mpbf_abm import Parameters
from mpbf_abm.errors import MpbfError
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.outputs import table
from mpbf_abm.parameters import parse_assignment

Float = NDArray[np.float64]

COMMUNITY = {
    "infrastructure.repositories": 4,
    "infrastructure.enumerators": 1,
    "infrastructure.known": 2,
    "infrastructure.sizes": (4.0, 14.0, 2.0, 2.0),
    "infrastructure.specialisation": 1.0,
    "infrastructure.preference": 1.0,
    "founding.records": 6_000,
    "founding.concentration": 1.3,
}
REAL = {
    "general": 0.501,
    "enumerator": 0.872,
    "of the known": 0.013,
    "of the known, second": 0.108,
    "only in one, of the union": 0.873,
    "general, rarest quarter of families": 0.791,
    "general, second quarter": 0.691,
    "general, third quarter": 0.402,
    "general, largest quarter": 0.172,
}


def shares(p: Parameters, seed: int, ticks: int) -> Float:
    """Return unique shares at the end of a run, in the order of REAL (9,)."""
    community = begin(RunSpec(p, seed, ticks), record=())
    for _ in range(ticks):
        community.step()
    space, commons = community.world.space, community.world.commons
    held = commons.holdings.records > 0
    alone = held[:, 0] & (held.sum(axis=1) == 1)
    quarter = np.argsort(np.argsort(space.family_sizes, kind="stable")) * 4 // space.families
    place = quarter[space.family]
    rare = [alone[place == i].sum() / max(1, held[place == i, 0].sum()) for i in range(4)]
    union = commons.holdings.unique.sum() / held.any(axis=1).sum()
    return np.array([*commons.holdings.unique_shares()[:4], union, *rare])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the shares; returns 0, or 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the community")
    parser.add_argument("--runs", type=int, default=8, help="runs, at seeds 1, 2, ...")
    parser.add_argument("--ticks", type=int, default=24)
    asked = parser.parse_args(arguments)
    try:
        changes = COMMUNITY | dict(parse_assignment(text) for text in asked.set)
        p = Parameters.preset(asked.preset).updated(changes)
        found = np.array([shares(p, seed, asked.ticks) for seed in range(1, asked.runs + 1)])
    except MpbfError as error:
        print("\n".join(f"overlap: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return 2
    mean = found.mean(axis=0)
    spread = found.std(axis=0, ddof=1) / np.sqrt(len(found)) if len(found) > 1 else np.full(len(mean), np.nan)
    cells = zip(REAL, mean, spread, REAL.values(), strict=True)
    rows = [[name, f"{m:.3f} ±{e:.3f}", f"{real:.3f}"] for name, m, e, real in cells]
    print(table(["found nowhere else", "share", "real"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
