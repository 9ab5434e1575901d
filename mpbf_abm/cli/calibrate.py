"""``mpbf calibrate``: screening, two waves and the posterior of the parameters, given the stylised facts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpbf_abm.cli.app import app
from mpbf_abm.cli.console import OK, processes, whole
from mpbf_abm.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

    from mpbf_abm.parameters import Parameters
    from mpbf_abm.studies.design import Design
    from mpbf_abm.studies.results import Results

CALIBRATED, ODD = "calibrated facts", "odd facts"
UNSEEN = 1000  # seeds of the held-out check lie so far above those of the runs


@app.command()
def calibrate(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the runs; a stopped calibration goes on there.")] = Path("results/calibration"),
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of real data: acceleration of the held-out check is measured on real pools.")] = None,
    trajectories: Annotated[str, typer.Option(metavar="INTEGER", help="Morris trajectories of the screening.")] = "6",
    points: Annotated[str, typer.Option(metavar="INTEGER", help="Points of the first wave (Latin hypercube).")] = "160",
    second: Annotated[str, typer.Option(metavar="INTEGER", help="Points of the second wave (from the posterior of the first).")] = "40",
    seed: Annotated[str, typer.Option(metavar="INTEGER", help="Seed of designs, draws and posteriors.")] = "1",
    jobs: Annotated[str | None, typer.Option("--jobs", "-j", metavar="INTEGER", help="Processes. [default: one for each core]")] = None,
) -> int:  # fmt: skip
    """Find the parameters under which all facts lie in their ranges, and what the facts leave open.

    Nothing is changed: the defaults stay as they are.
    """
    from mpbf_abm.model.settings import numbers_faults

    faults: list[str] = []
    numbers = {
        n: whole(t, n, faults) for n, t in {"trajectories": trajectories, "points": points, "second": second}.items()
    }
    root, count = whole(seed, "seed", faults), processes(jobs, faults)
    faults += [
        f"--{name} = {n}: must be at least {least}"
        for (name, n), least in zip(numbers.items(), (2, 60, 10), strict=True)
        if n is not None and n < least
    ]
    if root is not None:
        faults += [f"--{fault}" for fault in numbers_faults({"seed": root})]
    if data is not None and not data.is_dir():
        faults.append(f"--data {data}: no such folder")
    if faults:
        raise ConfigurationError(faults)
    import pandas as pd

    from mpbf_abm.cli.progress import Bar
    from mpbf_abm.cli.validate import HEAD, cells
    from mpbf_abm.evidence import calibration as steps
    from mpbf_abm.evidence.calibration import study
    from mpbf_abm.evidence.facts.validation import REPLICATES, chosen, validate

    workers = count or os.cpu_count() or 1

    def run(name: str, design: Design, replicates: int, seed: int) -> Results:
        made = study(f"calibration-{name}", design, replicates, seed)
        print(f"mpbf: {name}: {made.plan().count()} runs", file=sys.stderr)
        with Bar(quiet=False) as watch:
            return made.run(out / name, workers=workers, progress=watch)

    counts = {name: n or 0 for name, n in numbers.items()}
    screening, waves = steps.run_all(run, **counts, seed=root or 0)
    emulated = steps.emulators(waves)
    found = {
        CALIBRATED: steps.explain(emulated, steps.fitted_by_default(), root or 0),
        ODD: steps.explain(emulated, steps.components_of(range(1, 16, 2)), root or 0),
    }
    best = {label: steps.rounded(posterior.best) for label, posterior in found.items()}
    even, fresh = chosen(["2,4,6,8,10,12,14"]), (root or 0) + UNSEEN
    with Bar(quiet=False, unit="measure") as watch:
        held_out = validate(
            best[ODD], even, seed=fresh, replicates=REPLICATES, data=data, out=out, jobs=workers, progress=watch
        )
    tables = {
        "posterior": steps.posterior_table(found),
        "facts": steps.emulator_table(emulated, waves, found),
        "screening": steps.screening_table(screening),
        "even": pd.DataFrame(cells(held_out), columns=HEAD).drop(columns=["from data", "use"]),
    }
    commands = {label.split()[0]: _command(p, fresh) for label, p in best.items()}
    _tell(tables, commands)
    return OK


def _command(p: Parameters, seed: int) -> str:
    """The command that compares a community with all facts, as a block of code."""
    from mpbf_abm.evidence.calibration import assignments

    return f"```bash\nmpbf validate --data DATA --seed {seed} {' '.join(assignments(p))}\n```\n"


def _tell(tables: dict[str, pd.DataFrame], commands: dict[str, str]) -> None:
    """Print the tables, each below its name."""
    from mpbf_abm.outputs import markdown_table

    text = commands | {
        name: markdown_table(list(frame.columns), [[_cell(v) for v in row] for row in frame.itertuples(index=False)])
        for name, frame in tables.items()
    }
    for name, block in text.items():
        print(f"{name}\n\n{block}")


def _cell(value: Any) -> str:
    """A number to two digits; what is less than .005 is nothing."""
    return (f"{value:.2g}" if value >= 0.005 else "0") if isinstance(value, float) else str(value)
