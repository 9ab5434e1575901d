"""``mpbf data`` and ``mpbf pool``: tables of real materials, and campaigns on a pool of real settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mpbf_abm.cli.binding import argument, names_in, one_of, option, real, whole
from mpbf_abm.cli.console import Bar, complain, result, tell
from mpbf_abm.cli.options import (
    MORE,
    OF_POOL,
    OF_TABLE,
    DataOptions,
    Jobs,
    Json,
    Out,
    PoolOptions,
    Quiet,
    flag,
    given,
    workers,
)
from mpbf_abm.errors import ConfigurationError, faults_of, refuse, refuse_all, refuse_any
from mpbf_abm.provenance import DEFAULT_SEED

if TYPE_CHECKING:
    from mpbf_abm.model.materials import MaterialsSpace

# --------------------------------------------------------------------------- tables and pools


@dataclass(frozen=True)
class TableReading(DataOptions):
    """How a file is read that is a pool where it has an objective, and a table otherwise."""

    def check(self) -> None:
        """Raise options that are missing, or belong to the other kind of file."""
        columns = self.columns()
        missing = [f"a table needs --{n}, a pool --objective" for n in ("formula", "measured") if n not in columns]
        others = [f"{flag(n)} belongs to a table, --objective to a pool" for n in OF_TABLE if n in columns]
        pools = [f"{flag(n)} belongs to a pool, with --objective" for n in OF_POOL if n in columns]
        refuse_any(others if self.objective else missing + pools)


def check(
    file: Annotated[Path, argument("FILE", "Table of formulas, or pool of settings.")],
    reading: TableReading,
    as_json: Json = False,
) -> None:
    """Read a table (--formula, --measured) or a pool (--objective); report its contents and what became of its rows.

    Faulty rows are listed, one line per kind, and end with exit code 2 unless --drop leaves them out.
    """
    from mpbf_abm.model.materials import report
    from mpbf_abm.model.spec import RunSpec
    from mpbf_abm.parameters import Parameters
    from mpbf_abm.reports.materials import table_text

    columns = {"pool" if reading.objective else "table": file, **reading.columns()}
    try:
        space = reading.read(drop=True, **columns)
    except ConfigurationError:
        # Faulty rows are listed with what else is wrong.
        space = reading.read(drop=reading.drop, **columns)
    found = report(space)
    tell(as_json, found, table_text(found))
    dropped = found["dropped"]
    refuse(dropped["count"] and not reading.drop, [f"{line}; --drop leaves them out" for line in dropped["reasons"]])
    complain(dropped["reasons"])
    if not reading.objective:
        # What a run on these materials would be refused for is said where the table is looked at.
        refused = "a run of the preset default on this table would be refused"
        complain([f"{refused}: {fault}" for fault in faults_of(RunSpec(Parameters(), space=space).check)])


# --------------------------------------------------------------------------- campaigns

MOST_BY_DEFAULT = 500  # experiments
RULES = names_in("learning.acquisition:RULES")
FEW = 20  # a pool of so many settings is gone through whole


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise ValueError("must be above 0 and at most 1")
    return value


@dataclass(frozen=True)
class PoolReading(PoolOptions):
    """How the pool is read."""

    top: float | None = option("SHARE", "Share that is sought. [default: 0.05, 0.01 above 1,000 settings]", _share)

    def check(self) -> None:
        """Raise what is missing."""
        several = f"--objective: {len(self.objective)} are given; a campaign seeks one"
        refuse_all((not self.objective, "a pool needs --objective"), (len(self.objective) > 1, several))

    def space(self, file: Path) -> MaterialsSpace:
        """Return the settings of a file."""
        unit = self.unit or None
        options = given(top_share=self.top, unit=unit, duplicates=self.duplicates) | self.settings_columns()
        return self.read(pool=file, objective=self.objective, **options)


@dataclass(frozen=True)
class Campaigns:
    """What the campaigns do."""

    acquisition: list[str] = option("RULE", f"Rule{MORE}", None, RULES, default=("greedy",))
    seeds: int = whole("", "Campaigns of each rule, at seeds 1, 2, ...", low=1, default=20)
    budget: float | None = real("N|SHARE", "Experiments, those at the start included; up to 1, a share of the pool.")
    batch: int = whole("", "Experiments chosen together, the best by the rule.", default=1)
    founding: int = whole("", "Random settings at the start, the same for every rule.", default=5)
    kappa: float = real("", "Weight of the sd in ucb and ranking.", default=1.0)
    kernel: str = one_of("Lengths and noise of the process.", "learned", "fixed", default="learned")
    noise: bool = option("--noise", "Measure with the spread of repeated settings.", default=False)

    def check(self) -> None:
        """Raise a budget that is neither a number of experiments nor a share."""
        budget = self.budget or 0.0
        fault = f"--budget = {budget:g}: must be a whole number, or a share of the pool up to 1"
        refuse(budget > 1 and budget != int(budget), fault)

    def rules(self) -> list[str]:
        """Return the rules, each once."""
        return list(dict.fromkeys(self.acquisition))

    def experiments(self, size: int) -> int:
        """Return the number of experiments on a pool of some size."""
        if self.budget is None:
            return min(MOST_BY_DEFAULT, max(3 * size // 4, min(size, FEW)))
        return round(self.budget * size) if self.budget <= 1 else int(self.budget)

    def options(self, space: MaterialsSpace) -> dict[str, Any]:
        """Return what a campaign on these settings takes; raises every error at once."""
        from mpbf_abm.model.campaign import check_campaign

        spread = space.origin["replicate_sd"]
        options: dict[str, Any] = {n: getattr(self, n) for n in ("budget", "batch", "founding", "kappa", "kernel")}
        options |= {"budget": self.experiments(space.size), "noise": float(spread or 0) if self.noise else 0.0}
        faults = faults_of(partial(check_campaign, space, self.rules(), **options))
        faults = [f"--{fault}" if "=" in fault.split(":")[0] else fault for fault in faults]
        if self.noise and spread is None:
            faults.append("--noise: no setting is repeated in this pool, so that its spread is not known")
        refuse_any(faults)
        return options


def pool(
    file: Annotated[Path, argument("FILE", "Table of settings, one row each.")],
    reading: PoolReading,
    asked: Campaigns,
    jobs: Jobs = None,
    out: Out = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare acquisition rules in sequential-learning campaigns on a pool with known answers.

    A planner starts from a few random settings, fits a Gaussian process, tests the setting that its rule ranks best,
    and so on. Reported are acceleration and enhancement factors against random choice, with 95 % intervals over seeds.
    Rules are random, greedy, ucb, ei, thompson, maxvar, integrated_variance and ranking. The default budget is three
    quarters of the pool, at most 500. Files are written with --out only; finished campaigns are kept in its folder
    `runs`.
    """
    from mpbf_abm.measures.acceleration import summary_table
    from mpbf_abm.reports.materials import pool_text, write_pool
    from mpbf_abm.studies.study import run_campaigns

    space = reading.space(file)
    options, seeds = asked.options(space), list(range(DEFAULT_SEED, DEFAULT_SEED + asked.seeds))
    complain(space.origin["dropped"]["reasons"])
    run = {"pool": dict(space.origin), "acquisition": asked.rules(), "seeds": seeds, **options}
    with result(out, "pool", str(space.origin["sha256"]), quiet=quiet) as work:
        with Bar(quiet or as_json, "campaign") as watch:
            made = run_campaigns(space, asked.rules(), seeds, workers(jobs), out=out, progress=watch, **options)
        if work is not None:
            write_pool(space, made, run, work)
    summary = summary_table(space, made)
    if as_json or not quiet:
        tell(as_json, {"run": run, "summary": summary.to_dict("records")}, pool_text(space, summary, options))
