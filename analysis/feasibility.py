"""How fast a model learns from random trials what can be made: the static curve beside that of real trials.

python analysis/feasibility.py [--set space.feasible_scatter=0.3 ...] [--draws 30]

The head is fitted on n random trials, with the first features of a model of the community's founding, and rates other
materials. Real trials: vapour diffusion of halide perovskites, 918 experiments of which .61 failed, rated by a random
forest (mean of 30 draws). The forest had no pretraining; the head here stands on an encoder of the founding records.
Areas compare; shares that failed follow the base, which is 1 - space.feasible here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mpbf_abm import MaterialsSpace, Parameters
from mpbf_abm.errors import MpbfError
from mpbf_abm.evidence.facts.learners import learn, mixed, sample
from mpbf_abm.learning.feasibility import area, fit_feasibility
from mpbf_abm.model.feasibility import basis
from mpbf_abm.outputs import table
from mpbf_abm.parameters import parse_assignment
from mpbf_abm.streams import Streams

Float = NDArray[np.float64]

TRIALS = (20, 40, 80, 160, 320, 640)
AREA = (0.641, 0.689, 0.749, 0.813, 0.850, 0.879)
FAILED = (0.384, 0.323, 0.263, 0.201, 0.167, 0.164)  # among the best rated tenth
FAILED_BASE = 0.611
RATED = 2_000  # materials that are rated


def curve(p: Parameters, seed: int) -> Float:
    """Return area under the ROC curve, and failed share of the best tenth over that of all, after TRIALS (2, n)."""
    space = MaterialsSpace.synthetic(p, seed=seed)
    n = p.founding.records
    model = learn(p, space, seed, sample(space, p, seed, "founding", n), mixed(p, seed, n))
    u = Streams(seed).uniform("feasibility.trials", 0, space.size)
    drawn = np.argsort(u, kind="stable")[: TRIALS[-1] + RATED]
    phi, family = basis(model.model, model.shown(drawn)), space.family_keys[space.family[drawn]]
    made = space.feasible[drawn]
    rated = slice(TRIALS[-1], None)
    out = []
    for trials in TRIALS:
        chance = fit_feasibility(phi[:trials], family[:trials], made[:trials]).chance(phi[rated], family[rated])
        best = np.argsort(-chance, kind="stable")[: len(chance) // 10]
        out.append((area(chance, made[rated]), (~made[rated][best]).mean() / (~made[rated]).mean()))
    return np.array(out).T


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the curve; returns 0, or 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the community")
    parser.add_argument("--draws", type=int, default=30, help="worlds")
    asked = parser.parse_args(arguments)
    try:
        p = Parameters.preset(asked.preset).updated(dict(parse_assignment(text) for text in asked.set))
        curves = np.array([curve(p, seed) for seed in range(1, asked.draws + 1)])
    except MpbfError as error:
        print("\n".join(f"feasibility: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return 2
    mean, sd = curves.mean(axis=0), curves.std(axis=0, ddof=1) / np.sqrt(len(curves))  # of the mean
    rows = [
        [
            str(n),
            *(f"{mean[k, i]:.3f} ±{sd[k, i]:.3f}" for k in (0, 1)),
            f"{AREA[i]:.3f}",
            f"{FAILED[i] / FAILED_BASE:.3f}",
        ]
        for i, n in enumerate(TRIALS)
    ]
    print(table(["trials", "area", "failed in best tenth / all", "area, real", "failed / all, real"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
