"""How path-dependent discovery is, over reinforcement and over how even its founding was.

python experiments/path_dependency.py [--worlds N] [--jobs N] [--out results/path_dependency]

Each run is a world: materials of its own, on which six histories are run and each of them twice from a fifth of the
way on (`mpbf lab path` measures one community in the same way). What is stored can be read by `mpbf study report`.
"""

import argparse
import sys
from pathlib import Path

from mpbf_abm import Study
from mpbf_abm.cli.console import Bar
from mpbf_abm.errors import MpbfError
from mpbf_abm.evidence.assessments.path_dependence import OUTCOMES, world_outcomes
from mpbf_abm.stats.estimates import mean_estimate
from mpbf_abm.studies.definition import Outcome

GAMMA, CONCENTRATION = (1.05, 1.5, 2.0), (0.0, 0.98)


def study(worlds: int) -> Study:
    """Three reinforcements, an even founding and one as concentrated as real corpora."""
    return Study(
        name="path_dependency",
        question="How path-dependent is discovery, over reinforcement and over how even its founding was?",
        model=world_outcomes,
        parameters={"gamma": {"values": GAMMA}, "founding.concentration": {"values": CONCENTRATION}},
        design={"kind": "grid"},
        ticks=120,
        crn="all",
        replicates={"n": worlds},
        outcomes={name: Outcome() for name in OUTCOMES},
    )


def main() -> int:
    """Run the study and print each outcome with its interval over worlds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=6, metavar="N", help="worlds of each combination (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("results/path_dependency"), metavar="DIR")
    options = parser.parse_args()
    if options.worlds < 2 or options.jobs < 1:
        print("path_dependency: --worlds must be at least 2, --jobs at least 1", file=sys.stderr)
        return 2
    try:
        with (
            Bar(quiet=False) as bar,
            study(options.worlds).run(options.out, workers=options.jobs, progress=bar) as results,
        ):
            runs = results.runs.set_index(["scenario", "replicate"])
            table = results.outcomes.merge(
                runs[["gamma", "founding.concentration"]], left_on=["scenario", "replicate"], right_index=True
            )
            failed = len(results.failures)
    except MpbfError as error:
        print(f"path_dependency: {error}", file=sys.stderr)
        return 1
    for (outcome, concentration, gamma), rows in table.groupby(
        ["outcome", "founding.concentration", "gamma"], sort=False
    ):
        e = mean_estimate(rows["value"].dropna())
        print(
            f"{outcome:22s} concentration {concentration:4.2f} gamma {gamma:4.2f}: "
            f"{e.value:8.3g} ({e.low:.3g} to {e.high:.3g}), n {rows['value'].notna().sum()}"
        )
    return 3 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
