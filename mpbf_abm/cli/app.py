"""The command ``mpbf``: its commands, where each stands, and what it does in a line."""

from __future__ import annotations

from typing import Annotated

import typer

from mpbf_abm.cli.binding import Entry, Group

USE, ANALYSE, EVIDENCE, MAINTAIN = "Use", "Analyse", "Evidence", "Maintain"

CONFIG = {
    "init": Entry(USE, "Write a commented parameter file.", "config:init"),
    "show": Entry(USE, "Print all parameters as a run would use them.", "config:show"),
    "check": Entry(USE, "Check a configuration file.", "config:check"),
    "schema": Entry(USE, "List parameters: default, range, unit, source.", "config:schema"),
    "policies": Entry(USE, "List policies and the parameters they move.", "config:policies"),
    "shocks": Entry(USE, "List shocks.", "config:shocks"),
    "phases": Entry(USE, "List the phases of a tick.", "config:phases"),
    "indicators": Entry(USE, "List the indicators of each tick.", "config:indicators"),
}
DATA = {"check": Entry(USE, "Check a table of formulas, or a pool of settings.", "data:check")}
STUDY = {
    "init": Entry(USE, "Write a commented study file.", "study:init"),
    "check": Entry(USE, "Check a study.", "study:check"),
    "plan": Entry(USE, "Estimate runs, time and disk; list supported analyses.", "study:plan"),
    "run": Entry(USE, "Make the runs that are missing; also resumes.", "study:run"),
    "status": Entry(USE, "Count finished, failed and missing runs.", "study:status"),
    "report": Entry(ANALYSE, "Write methods, tables, figures and every supported analysis.", "analyses:report"),
    "export": Entry(ANALYSE, "Export to CSV, Parquet, NetCDF or an RO-Crate.", "study:export"),
    "failures": Entry(MAINTAIN, "List failed runs and their messages.", "study:failures"),
    "replay": Entry(MAINTAIN, "Repeat stored runs and compare them bit for bit.", "study:replay"),
    "merge": Entry(MAINTAIN, "Merge shards, or rescue a damaged store.", "study:merge"),
}
LAB = {
    "path": Entry(ANALYSE, "Path dependence: early history, twins, lock-in, reversal.", "lab:path"),
    "forecast": Entry(ANALYSE, "Predict lock-in from the first fifth of a run.", "lab:forecast"),
    "fragility": Entry(ANALYSE, "Cost of losing repositories and models.", "lab:fragility"),
    "forms": Entry(ANALYSE, "Robustness of headline results to the form of equations.", "lab:forms"),
    "urn": Entry(ANALYSE, "Predict communities by urn theory with measured exponents.", "lab:urn"),
}
FIGURES = {
    "list": Entry(ANALYSE, "List the kinds of figures, and what each needs of a study.", "figures:listed"),
    "build": Entry(ANALYSE, "Make a figure for a journal from the runs of a study.", "figures:build"),
    "all": Entry(MAINTAIN, "Moved: python -m analysis.paper in a clone.", "moved:figures"),
}
COMMANDS = {
    "run": Entry(USE, "Run the model, or ask a what-if on paired seeds.", "run:run"),
    "explore": Entry(USE, "Explore a community and a what-if in the browser.", "explore:explore"),
    "study": Entry(USE, "Design, run, resume and analyse studies (many runs).", commands=STUDY),
    "pool": Entry(USE, "Compare acquisition rules on a pool with known answers.", "pool:pool"),
    "config": Entry(USE, "Parameter files, and lists of what can be set.", commands=CONFIG),
    "data": Entry(USE, "Tables of real materials.", commands=DATA),
    "compare": Entry(ANALYSE, "Paired effects of the arms of a study.", "analyses:compare"),
    "robustness": Entry(ANALYSE, "Rank arms over scenarios by several criteria.", "analyses:robustness"),
    "sensitivity": Entry(ANALYSE, "Elementary effects or Sobol indices of factors.", "analyses:sensitivity"),
    "discover": Entry(ANALYSE, "Scenario discovery (PRIM).", "analyses:discover"),
    "lab": Entry(ANALYSE, "Standard assessments of a community.", commands=LAB),
    "atlas": Entry(ANALYSE, "Turn every parameter of Table 1; compare with expectation.", "lab:atlas"),
    "verify": Entry(EVIDENCE, "Check the model against known results.", "verify:verify"),
    "validate": Entry(EVIDENCE, "Compare a community with stylised facts.", "validate:validate"),
    "calibrate": Entry(EVIDENCE, "Fit the parameters to the stylised facts.", "calibrate:calibrate"),
    "figures": Entry(ANALYSE, "Figures for journals, from any study that supports them.", commands=FIGURES),
    "paper": Entry(MAINTAIN, "Moved: python -m analysis.paper in a clone.", "moved:paper"),
    "bench": Entry(MAINTAIN, "Moved: python -m analysis.benchmarks in a clone.", "moved:bench"),
}


class Root(Group):
    """The command ``mpbf``."""

    entries = COMMANDS


app = typer.Typer(
    name="mpbf",
    cls=Root,
    help="Agent-based model of materials discovery under the Matter Pretraining Boundary Framework.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from mpbf_abm import __version__

        print(f"mpbf {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
