"""``mpbf calibrate``: screening, two waves and the posterior of the parameters, given the stylised facts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mpbf_abm.cli.binding import of_run, option, whole
from mpbf_abm.cli.console import OK, complain
from mpbf_abm.cli.options import Data, Jobs, workers

if TYPE_CHECKING:
    from mpbf_abm.studies.design import Design
    from mpbf_abm.studies.results import Results

CALIBRATED, ODD = "calibrated facts", "odd facts"
FOLDER = Path("results/calibration")
UNSEEN = 1000  # seeds of the held-out check lie so far above those of the runs


def calibrate(
    out: Annotated[Path, option("DIR", "Folder of the runs; a stopped calibration resumes there.")] = FOLDER,
    data: Data = None,
    trajectories: Annotated[int, whole("", "Morris trajectories of the screening.", low=2)] = 6,
    points: Annotated[int, whole("", "Points of the first wave (Latin hypercube).", low=60)] = 160,
    second: Annotated[int, whole("", "Points of the second wave (from the posterior of the first).", low=10)] = 40,
    seed: Annotated[int, of_run("seed", "Seed of designs, draws and posteriors.")] = 1,
    jobs: Jobs = None,
) -> int:
    """Find the parameters under which all facts lie in their ranges, and what the facts leave open.

    Nothing is changed: the defaults stay as they are. With --data the held-out check measures acceleration on real
    pools.
    """
    import pandas as pd

    from mpbf_abm.cli.progress import Bar
    from mpbf_abm.evidence import calibration as steps
    from mpbf_abm.evidence.calibration import study
    from mpbf_abm.evidence.facts.validation import REPLICATES, chosen, validate
    from mpbf_abm.reports.facts_report import HEAD, blocks, cells

    def run(name: str, design: Design, replicates: int, seed: int) -> Results:
        made = study(f"calibration-{name}", design, replicates, seed)
        complain([f"{name}: {made.plan().count()} runs"])
        with Bar(quiet=False) as watch:
            return made.run(out / name, workers=workers(jobs), progress=watch)

    screening, waves = steps.run_all(run, trajectories=trajectories, points=points, second=second, seed=seed)
    emulated = steps.emulators(waves)
    found = {
        CALIBRATED: steps.explain(emulated, steps.fitted_by_default(), seed),
        ODD: steps.explain(emulated, steps.components_of(range(1, 16, 2)), seed),
    }
    best = {label: steps.rounded(posterior.best) for label, posterior in found.items()}
    even, fresh = chosen(["2,4,6,8,10,12,14"]), seed + UNSEEN
    with Bar(quiet=False, unit="measure") as watch:
        held_out = validate(
            best[ODD], even, seed=fresh, replicates=REPLICATES, data=data, out=out, jobs=workers(jobs), progress=watch
        )
    tables = {
        "posterior": steps.posterior_table(found),
        "facts": steps.emulator_table(emulated, waves, found),
        "screening": steps.screening_table(screening),
        "even": pd.DataFrame(cells(held_out), columns=HEAD).drop(columns=["from data", "use"]),
    }
    text = blocks({label.split()[0]: p for label, p in best.items()}, fresh, tables)
    for name, block in text.items():
        print(f"{name}\n\n{block}")
    return OK
