"""``mpbf verify``, ``mpbf validate`` and ``mpbf calibrate``: known results, facts, parameters fitted to facts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mpbf_abm.cli.binding import names_in, of_run, option, typed, whole
from mpbf_abm.cli.console import OK, Bar, complain, result, tell, verdict
from mpbf_abm.cli.options import MORE, CommunityOptions, Data, Jobs, Json, Out, workers
from mpbf_abm.errors import refuse
from mpbf_abm.provenance import DEFAULT_SEED

if TYPE_CHECKING:
    from mpbf_abm.evidence.facts.recorded import Fact
    from mpbf_abm.parameters import Parameters
    from mpbf_abm.studies.design import Design
    from mpbf_abm.studies.results import Results

# --------------------------------------------------------------------------- known results

ROWS = names_in("evidence.known.suite:ROWS")


@dataclass(frozen=True)
class Rows:
    """Known results that are checked, and how."""

    only: list[str] = option("ROW", f"Row (U3), several (U3,M7) or a group (U){MORE}", None, ROWS, default=())
    assignments: list[str] = option("--set NAME=VALUE", "Change a parameter, of one row as ROW.NAME=VALUE.", default=())
    seed: int = of_run("seed", "Root seed.", default=DEFAULT_SEED)
    fast: bool = option("--fast", "Fewer runs and larger standard errors: a minute or two.", default=False)
    data: Data = None
    figure: bool = option(
        "--figure", "Also save figures: expected vs measured, model vs mean-field twin.", default=False
    )
    out: Out = None
    as_json: Json = False
    jobs: Jobs = None

    def check(self) -> None:
        """Raise a figure without a folder."""
        refuse(self.figure and self.out is None, "--figure needs a folder: --out DIR")

    @cached_property
    def rows(self) -> list[str]:
        """Ids of the rows that are named, or all."""
        from mpbf_abm.evidence.known import suite

        return suite.select(self.only)

    @cached_property
    def changes(self) -> dict[str, dict[str, Any]]:
        """Parameters that are changed, by row."""
        from mpbf_abm.evidence.known import suite

        return suite.assign(self.rows, self.assignments)


@dataclass(frozen=True)
class Instead:
    """What is done in place of a check of the rows."""

    mutations: bool = option("--mutations", "Run mutation tests instead: known faults must be detected.", default=False)
    listed: bool = option("--list", "List rows and their parameters, instead.", default=False)


def verify(asked: Rows, instead: Instead) -> int:
    """Check the model against known results: exact or published values, each with its standard error.

    The expected value follows a changed parameter. Exit code 3 if a row fails. With --out verification.md is written,
    and figures into images/; finished rows are kept in the folder `runs`. With --mutations known faults are injected
    into the model, to test whether the rows detect them.
    """
    from mpbf_abm.evidence.known import suite
    from mpbf_abm.reports import evidence as reports

    if instead != Instead():
        return _instead(asked, instead)
    how: dict[str, Any] = {"fast": asked.fast, "data": asked.data, "out": asked.out, "jobs": workers(asked.jobs)}
    with result(asked.out, "verify") as work:
        with Bar(asked.as_json, "row") as watch:
            outcomes = suite.run_suite(asked.rows, asked.seed, asked.changes, progress=watch, **how)
        if work is not None:
            command = " ".join(["mpbf verify", *typed(asked, ("out", "as_json", "jobs"))])
            reports.write_known(outcomes, work, command, asked.seed, fast=asked.fast, figure=asked.figure)
    tell(asked.as_json, suite.as_json(outcomes, asked.seed), reports.known_text(outcomes))
    return verdict(all(o.passed for o in outcomes))


def _instead(asked: Rows, instead: Instead) -> int:
    """List the rows, or run the mutation tests and report which rows detected each fault."""
    from mpbf_abm.evidence.known import suite
    from mpbf_abm.reports import evidence as reports

    if instead.listed:
        print(reports.rows_listed(asked.rows))
        return OK
    with Bar(asked.as_json, "row") as watch:
        results = suite.run_mutations(asked.seed, workers(asked.jobs), out=asked.out, progress=watch)
    tell(asked.as_json, reports.mutations_mapping(results), reports.mutations_text(results))
    return verdict(all(must == did for _, _, must, did in results))


# --------------------------------------------------------------------------- stylised facts


@dataclass(frozen=True)
class Compared(CommunityOptions):
    """A community that is compared with facts, and with which."""

    only: list[str] = option("N", "Fact (4) or several (4,7); may be repeated.", default=())
    replicates: int = whole("", "Communities, each on its own materials.", low=2, default=20)
    seed: int = of_run("seed", "Seed of the first replicate.", default=DEFAULT_SEED)
    least: int | None = whole("", "Exit with 3 if fewer facts are reproduced. [default: 4 of 5]")
    data: Data = None
    jobs: Jobs = None
    out: Out = None
    as_json: Json = False

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        """The facts that are named, or all."""
        from mpbf_abm.evidence.facts.validation import chosen

        return chosen(self.only)

    @cached_property
    def community(self) -> Parameters:
        """Parameters of a community to which nothing is done."""
        why = "the community is compared as it is, without [[policy]] and [[shock]]; take them out"
        refuse(self.settings.policies or self.settings.shocks, f"{self.config_file}: {why}")
        return self.settings.parameters

    @cached_property
    def wanted(self) -> int:
        """Number of facts that must be reproduced."""
        count = len(self.facts)
        wanted = -(-4 * count // 5) if self.least is None else self.least
        refuse(not 0 <= wanted <= count, f"--least = {wanted}: must be 0 to {count}, the number of facts")
        return wanted


def validate(asked: Compared) -> int:
    """Compare the community with fifteen stylised facts, at once and with one configuration.

    A fact is reproduced where the mean of each of its numbers lies in the range of real values. Exit code 3 if too few
    are. With --data real values are computed from data. With --out page, table and figure are written, and finished
    measures are kept in the folder `runs`.
    """
    from mpbf_abm.evidence.facts.validation import validate as measured
    from mpbf_abm.reports import evidence as reports

    out, settings = asked.out, asked.settings
    if settings.numbers:
        complain([f"[run] of {asked.config_file} is left aside; --seed and --replicates say what is run"])
    how: dict[str, Any] = {"seed": asked.seed, "replicates": asked.replicates, "data": asked.data, "out": out}
    with result(out, "validate") as work:
        with Bar(asked.as_json, "measure") as watch:
            found = measured(asked.community, asked.facts, jobs=workers(asked.jobs), progress=watch, **how)
        if work is not None:
            command = " ".join(["mpbf validate", *typed(asked, ("least", "jobs", "out", "as_json"))])
            reports.write_facts(found, work, command)
    tell(asked.as_json, reports.facts_mapping(found, asked.community), reports.facts_text(found))
    return verdict(found.count >= asked.wanted)


# --------------------------------------------------------------------------- calibration

CALIBRATED, ODD = "calibrated facts", "odd facts"
FOLDER = Path("results/calibration")
UNSEEN = 1000  # seeds of the held-out check lie so far above those of the runs


def calibrate(
    out: Annotated[Path, option("DIR", "Folder of the runs; a stopped calibration resumes there.")] = FOLDER,
    data: Data = None,
    trajectories: Annotated[int, whole("", "Morris trajectories of the screening.", low=2)] = 6,
    points: Annotated[int, whole("", "Points of the first wave (Latin hypercube).", low=60)] = 160,
    second: Annotated[int, whole("", "Points of the second wave (from the posterior of the first).", low=10)] = 40,
    seed: Annotated[int, of_run("seed", "Seed of designs, draws and posteriors.")] = DEFAULT_SEED,
    jobs: Jobs = None,
) -> int:
    """Find the parameters under which all facts lie in their ranges, and what the facts leave open.

    Nothing is changed: the defaults stay as they are. With --data the held-out check measures acceleration on real
    pools.
    """
    import pandas as pd

    from mpbf_abm.evidence import calibration as steps
    from mpbf_abm.evidence.calibration import study
    from mpbf_abm.evidence.facts.validation import REPLICATES, chosen
    from mpbf_abm.evidence.facts.validation import validate as validate_facts
    from mpbf_abm.reports.evidence import FACTS_HEAD, calibration_blocks, facts_cells

    def run(name: str, design: Design, replicates: int, seed: int) -> Results:
        made = study(f"calibration-{name}", design, replicates, seed)
        complain([f"{name}: {made.plan().count()} runs"])
        with Bar(quiet=False) as watch:
            return made.run(out / name, workers=workers(jobs), progress=watch)

    screening, waves = steps.run_all(run, trajectories=trajectories, points=points, second=second, seed=seed)
    emulated = steps.emulators(waves)
    fitted = {CALIBRATED: steps.fitted_by_default(), ODD: steps.components_of(range(1, 16, 2))}
    found = {label: steps.explain(emulated, components, seed) for label, components in fitted.items()}
    best = {label: steps.rounded(posterior.best) for label, posterior in found.items()}
    even, fresh = chosen(["2,4,6,8,10,12,14"]), seed + UNSEEN
    how: dict[str, Any] = {"replicates": REPLICATES, "data": data, "out": out, "jobs": workers(jobs)}
    with Bar(quiet=False, unit="measure") as watch:
        held_out = validate_facts(best[ODD], even, seed=fresh, progress=watch, **how)
    tables = {"posterior": steps.posterior_table(found), "facts": steps.emulator_table(emulated, waves, found)}
    tables["screening"] = steps.screening_table(screening)
    tables["even"] = pd.DataFrame(facts_cells(held_out), columns=FACTS_HEAD).drop(columns=["from data", "use"])
    for name, block in calibration_blocks({label.split()[0]: p for label, p in best.items()}, fresh, tables).items():
        print(f"{name}\n\n{block}")
    return OK
