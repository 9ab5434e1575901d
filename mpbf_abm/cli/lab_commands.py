"""``mpbf lab`` and ``mpbf atlas``: the standard assessments of the laboratory on any community."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mpbf_abm.cli.binding import of_run, option, typed, whole
from mpbf_abm.cli.console import OK, Bar, tell, tell_written, verdict
from mpbf_abm.cli.options import MORE, CommunityOptions, Jobs, Json, Out, given, workers
from mpbf_abm.errors import HaltError
from mpbf_abm.outputs import table
from mpbf_abm.provenance import DEFAULT_SEED

if TYPE_CHECKING:
    from mpbf_abm.evidence.assessments.assessment import Assessment, Setting

FEWEST = 12  # held-out draws
NUMBERS = ("replicates", "ticks", "seed")


@dataclass(frozen=True)
class Assessed(CommunityOptions):
    """A community that is assessed, how often, and where the result goes."""

    replicates: int | None = of_run("replicates", "Communities, each on its own materials.")
    ticks: int | None = of_run("ticks", "Horizon. [default: that of the file, or 120]")
    seed: int | None = of_run("seed", f"Seed of the first community. [default: that of the file, or {DEFAULT_SEED}]")
    jobs: Jobs = None
    out: Out = None
    as_json: Json = False

    def setting(self, assessed: Assessment) -> Setting:
        """Return what an assessment examines; raises what it cannot examine."""
        from mpbf_abm.evidence.assessments.assessment import Setting

        held = self.settings
        # Replicates of a file are those of a what-if; an assessment has another number.
        numbers = {"replicates": assessed.replicates} | {
            n: v for n, v in held.numbers.items() if n in ("ticks", "seed")
        }
        numbers |= given(**{name: getattr(self, name) for name in NUMBERS})
        setting = Setting(held.parameters, **numbers, policies=held.policies, shocks=held.shocks)
        assessed.check(setting)
        assessed.tasks(setting)
        return setting

    def examine(self, assessed: Assessment, name: str) -> int:
        """Run an assessment; report its findings on the terminal and in a folder."""
        from mpbf_abm.evidence.assessments.assessment import run_assessment
        from mpbf_abm.outputs import OutputFolder
        from mpbf_abm.reports import evidence as reports

        setting, out = self.setting(assessed), self.out or Path("results") / assessed.name
        command = " ".join([f"mpbf {name}", *typed(self, ("jobs", "out", "as_json", "row", "listed"))])
        folder = OutputFolder(out, f"lab {assessed.name}")
        with _resumable(out):
            with Bar(self.as_json, "task") as watch:
                found = run_assessment(assessed, setting, workers(self.jobs), watch, out)
            reports.write_lab(folder, assessed.name, assessed.question, found, reports.made(command, setting))
        tell_written(folder, to=sys.stderr)
        tell(self.as_json, reports.lab_mapping(found, setting), reports.lab_text(found))
        return OK


@contextmanager
def _resumable(out: Path) -> Iterator[None]:
    """Say after Ctrl-C where the runs are kept."""
    from mpbf_abm.studies.driver import kept_in

    try:
        yield
    except KeyboardInterrupt:
        raise HaltError(f"interrupted; {kept_in(out)}") from None


def assessment(name: str, assessed: str, help: str) -> Callable[..., int]:
    """Return the command ``mpbf lab NAME`` of an assessment, MODULE:CONSTANT, whose name is that of the command."""
    module, constant = assessed.split(":")

    def command(asked: Assessed) -> int:
        return asked.examine(getattr(import_module(f"mpbf_abm.evidence.assessments.{module}"), constant), f"lab {name}")

    command.__doc__ = f"{help}\n\nThe default folder is results/{name}; a stopped command resumes there."
    return command


PATH = "Measure path dependence: early history, perturbed copies, lock-in, reversal."
FORECAST = "Predict from the first fifth of a run whether it will end locked in."
FORMS = "Find which headline results depend on the form of equations (16 combinations)."
DATA = "Measure what data are worth: arms without retraining, curators, results, pretraining or a repository."
FRAGILITY = "Measure the cost of losing repositories and models: one, many, a while."
INSURANCE = "Measure what a loss costs by channel, and what notice, mirrors, providers or migration save."
path = assessment("path", "path_dependence:PATH", PATH)
forecast = assessment("forecast", "forecast:FORECAST", FORECAST)
forms = assessment("forms", "forms:ROBUSTNESS", FORMS)
data = assessment("data", "worth:WORTH", DATA)
fragility = assessment("fragility", "fragility:FRAGILITY", FRAGILITY)
insurance = assessment("insurance", "insurance:INSURANCE", INSURANCE)


@dataclass(frozen=True)
class Mapped(Assessed):
    """Rows of the atlas, and the community in which they are measured."""

    row: list[str] = option("NAME", f"Only rows of this name, layer or group{MORE}", default=())
    listed: bool = option("--list", "List the rows, and run nothing.", default=False)


def atlas(asked: Mapped) -> int:
    """Table 1 of the framework as a live table: vary every parameter, measure the effect, compare with the expectation.

    The default folder is results/atlas; a stopped command resumes there.
    """
    from mpbf_abm.evidence.assessments import atlas as rows

    wanted = rows.chosen(asked.row)
    if asked.listed:
        sign = {1: "+", -1: "-", 0: "least between"}
        cells = [[r.group, r.layer, r.key, sign[r.sign], r.parameter] for r in wanted]
        print(table(["group", "layer", "row: indicator", "expected", "parameter, low to high"], cells))
        return OK
    return asked.examine(rows.atlas(wanted), " ".join(["atlas", *(f"--row '{r}'" for r in asked.row)]))


def urn(
    draws: Annotated[int, whole("", "Held-out parameter draws (Latin hypercube).", low=FEWEST)] = 200,
    seed: Annotated[int, of_run("seed", "Seed of draws and communities.")] = DEFAULT_SEED,
    jobs: Jobs = None,
    out: Out = None,
) -> int:
    """Predict communities with real learners by urn theory, fed with measured exponents: a study of held-out draws.

    About 15 seconds of one core a draw. The default folder is results/effective_urn; a stopped command resumes there.
    """
    from mpbf_abm.evidence.assessments.effective_urn import FACTORS, QUESTION, draws_of, report, study
    from mpbf_abm.outputs import RUNS, OutputFolder
    from mpbf_abm.reports import evidence as reports
    from mpbf_abm.studies.driver import run_study
    from mpbf_abm.studies.results import Results

    out = out or Path("results/effective_urn")
    asked, folder = study("effective_urn", draws, seed), OutputFolder(out, "lab urn")
    with _resumable(out):
        with Bar(quiet=False) as watch:
            if run_study(asked, out / RUNS, workers=workers(jobs), progress=watch).interrupted:
                raise KeyboardInterrupt
        with Results.open(out / RUNS, asked) as results:
            failed = len(results.failures)
            found = report(draws_of(results), list(FACTORS))
        failures = f", of which {failed} failed" if failed else ""
        how = f"`mpbf lab urn --draws {draws} --seed {seed}`: {draws} held-out draws{failures}, quick preset, "
        how += "120 ticks, measured at tick 24.\n"
        reports.write_lab(folder, "effective_urn", QUESTION, found, how)
    tell_written(folder, to=sys.stderr)
    print(reports.lab_text(found))
    return verdict(not failed)
