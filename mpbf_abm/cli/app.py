"""The command ``mpbf``: its commands, where each stands, and what it does in a line."""

from __future__ import annotations

from typing import Annotated

import typer

from mpbf_abm.cli.binding import LOOK, MOVED, CommandGroup, Entry

HELP = "Agent-based model of materials discovery under the Matter Pretraining Boundary Framework."
USE, ANALYSE, EVIDENCE, MAINTAIN = "Use", "Analyse", "Evidence", "Maintain"

CONFIG = {
    "init": Entry(USE, "Write a commented parameter file.", "config_commands:init"),
    "show": Entry(USE, "Print all parameters as a run would use them.", "config_commands:show"),
    "check": Entry(USE, "Check a configuration file.", "config_commands:check"),
    "schema": Entry(USE, "List parameters: default, range, unit, source.", "config_commands:schema"),
    "policies": Entry(USE, "List policies and the parameters they move.", "config_commands:policies"),
    "shocks": Entry(USE, "List shocks.", "config_commands:shocks"),
    "phases": Entry(USE, "List the phases of a tick.", "config_commands:phases"),
    "indicators": Entry(USE, "List the indicators of each tick.", "config_commands:indicators"),
}
DATA = {"check": Entry(USE, "Check a table of formulas, or a pool of settings.", "data_commands:check")}
STUDY = {
    "init": Entry(USE, "Write a commented study file.", "study_commands:init"),
    "check": Entry(USE, "Check a study.", "study_commands:check"),
    "plan": Entry(USE, "Estimate runs, time and disk; list supported analyses.", "study_commands:plan"),
    "run": Entry(USE, "Make the runs that are missing; also resumes.", "study_commands:run"),
    "status": Entry(USE, "Count finished, failed and missing runs.", "study_commands:status"),
    "report": Entry(
        ANALYSE, "Write methods, tables, figures and every supported analysis.", "analyses_commands:report"
    ),
    "export": Entry(ANALYSE, "Export to CSV, Parquet, NetCDF or an RO-Crate.", "study_commands:export"),
    "failures": Entry(MAINTAIN, "List failed runs and their messages.", "study_commands:failures"),
    "replay": Entry(MAINTAIN, "Repeat stored runs and compare them bit for bit.", "study_commands:replay"),
    "merge": Entry(MAINTAIN, "Merge shards, or rescue a damaged store.", "study_commands:merge"),
}
LAB = {
    "path": Entry(ANALYSE, "Path dependence: early history, perturbed copies, lock-in, reversal.", "lab_commands:path"),
    "forecast": Entry(ANALYSE, "Predict lock-in from the first fifth of a run.", "lab_commands:forecast"),
    "data": Entry(ANALYSE, "Value of data, pretraining and repositories, by paired arms.", "lab_commands:data"),
    "fragility": Entry(ANALYSE, "Cost of losing repositories and models.", "lab_commands:fragility"),
    "insurance": Entry(ANALYSE, "Cost of a loss by channel, and what insures.", "lab_commands:insurance"),
    "forms": Entry(ANALYSE, "Robustness of headline results to the form of equations.", "lab_commands:forms"),
    "urn": Entry(ANALYSE, "Predict communities by urn theory with measured exponents.", "lab_commands:urn"),
}
FIGURES = {
    "list": Entry(ANALYSE, "List the kinds of figures, and what each needs of a study.", "analyses_commands:listed"),
    "build": Entry(ANALYSE, "Make a figure for a journal from the runs of a study.", "analyses_commands:build"),
    "all": Entry(MOVED, "", "python -m analysis.paper"),
}
COMMANDS = {
    "run": Entry(USE, "Run the model, or ask a what-if on paired seeds.", "run_commands:run"),
    "explore": Entry(USE, "Explore a community and a what-if in the browser.", "run_commands:explore"),
    "study": Entry(USE, "Design, run, resume and analyse studies (many runs).", commands=STUDY),
    "pool": Entry(USE, "Compare acquisition rules on a pool with known answers.", "data_commands:pool"),
    "config": Entry(USE, "Parameter files, and lists of what can be set.", commands=CONFIG),
    "data": Entry(USE, "Tables of real materials.", commands=DATA),
    "compare": Entry(ANALYSE, "Paired effects of the arms of a study.", "analyses_commands:compare"),
    "robustness": Entry(ANALYSE, "Rank arms over scenarios by several criteria.", "analyses_commands:robustness"),
    "sensitivity": Entry(ANALYSE, "Elementary effects or Sobol indices of factors.", "analyses_commands:sensitivity"),
    "discover": Entry(ANALYSE, "Scenario discovery (PRIM).", "analyses_commands:discover"),
    "lab": Entry(ANALYSE, "Standard assessments of a community.", commands=LAB),
    "atlas": Entry(ANALYSE, "Turn every parameter of Table 1; compare with expectation.", "lab_commands:atlas"),
    "verify": Entry(EVIDENCE, "Check the model against known results.", "evidence_commands:verify"),
    "validate": Entry(EVIDENCE, "Compare a community with stylised facts.", "evidence_commands:validate"),
    "calibrate": Entry(EVIDENCE, "Fit the parameters to the stylised facts.", "evidence_commands:calibrate"),
    "figures": Entry(ANALYSE, "Figures for journals, from any study that supports them.", commands=FIGURES),
    "paper": Entry(MOVED, "", "python -m analysis.paper"),
    "bench": Entry(MOVED, "", "python -m analysis.benchmarks"),
}


class Root(CommandGroup):
    """The command ``mpbf``."""

    entries = COMMANDS


app = typer.Typer(name="mpbf", cls=Root, help=HELP, pretty_exceptions_enable=False, **LOOK)


def _version(wanted: bool) -> None:
    if wanted:
        from mpbf_abm import __version__

        print(f"mpbf {__version__}")
        raise typer.Exit


VERSION = typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")


@app.callback()
def _options(version: Annotated[bool, VERSION] = False) -> None:
    pass
