"""Parts that assessments share: a community, tasks that are the runs of a study, findings with intervals."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd

from mpbf_abm.errors import ConfigurationError, refuse_any
from mpbf_abm.model.community import Community
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.run import begin
from mpbf_abm.model.shocks import Shock
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.parameters import Parameters
from mpbf_abm.processes import one_thread
from mpbf_abm.provenance import DEFAULT_SEED
from mpbf_abm.stats.estimates import Estimate
from mpbf_abm.studies.driver import Progress
from mpbf_abm.studies.jobs import Returned, RunInput
from mpbf_abm.studies.study import do_tasks, returned, task_of

SETTING = "setting"


@dataclass(frozen=True)
class Setting:
    """The community that is examined, and how.

    Attributes
    ----------
    parameters : Parameters
    seed : int
        Of the first replicate; the others follow.
    replicates : int
        Communities, each on separate materials.
    ticks : int
        Horizon.
    policies, shocks : tuple
        In force in every run.
    """

    parameters: Parameters
    seed: int = DEFAULT_SEED
    replicates: int = 20
    ticks: int = 120
    policies: tuple[Policy, ...] = ()
    shocks: tuple[Shock, ...] = ()

    def seeds(self) -> range:
        """Return the seed of each replicate."""
        return range(self.seed, self.seed + self.replicates)

    def spec(self, seed: int, space: MaterialsSpace | None = None) -> RunSpec:
        """Return one of the runs."""
        return RunSpec(self.parameters, seed, self.ticks, self.policies, self.shocks, space)

    def community(self, seed: int, space: MaterialsSpace | None = None) -> Community:
        """Return a community before its first tick, which keeps no records of its course."""
        return begin(self.spec(seed, space), record=())

    def to_text(self) -> str:
        """Return as text what a task's value follows from: everything but the number of communities."""
        events = {name: [e.model_dump() for e in getattr(self, name)] for name in ("policies", "shocks")}
        return json.dumps({"parameters": self.parameters.model_dump(), "seed": self.seed, "ticks": self.ticks} | events)

    @classmethod
    def from_text(cls, text: str) -> Setting:
        """Return the setting of some text, of no communities."""
        held = json.loads(text)
        policies, shocks = tuple(Policy(**p) for p in held["policies"]), tuple(Shock(**s) for s in held["shocks"])
        return cls(Parameters.model_validate(held["parameters"]), held["seed"], 0, held["ticks"], policies, shocks)


@lru_cache(maxsize=2)
def materials(parameters: Parameters, seed: int) -> MaterialsSpace:
    """Make the materials of a world, once in a process that runs several of its histories."""
    with one_thread():
        return MaterialsSpace.synthetic(parameters, seed=seed)


@dataclass(frozen=True)
class Finding:
    """One number that an assessment measured.

    Attributes
    ----------
    measure : str
        What it is, with its unit or range.
    estimate : Estimate
        Value with its 95 % interval.
    null : float
        What it would be if history, or a node, did not matter; NaN where there is no such value.
    n : int
        Communities it comes from.
    reading : str
        What the number says, in a few words.
    """

    measure: str
    estimate: Estimate
    null: float
    n: int
    reading: str

    @property
    def verdict(self) -> str:
        """Side of the null value on which the interval lies: ``above``, ``below``, ``as null``, or a dash."""
        e = self.estimate
        if any(math.isnan(v) for v in (e.low, e.high, self.null)):
            return "-"
        return "above" if e.low > self.null else "below" if e.high < self.null else "as null"


@dataclass(frozen=True)
class Report:
    """Result of an assessment.

    Attributes
    ----------
    findings : tuple of Finding
    tables : mapping of str to DataFrame
        Tidy tables by name, for files, pages and figures.
    """

    findings: tuple[Finding, ...]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def frame(self) -> pd.DataFrame:
        """Return the findings, one row each."""
        rows = [
            (f.measure, e.value, e.low, e.high, f.null, f.verdict, f.n, f.reading)
            for f in self.findings
            for e in [f.estimate]
        ]
        return pd.DataFrame(rows, columns=["measure", "value", "low", "high", "null", "verdict", "n", "reading"])


@dataclass(frozen=True)
class Assessment:
    """A standard set of measurements on one community.

    Attributes
    ----------
    name, question : str
    tasks : callable
        From a setting to its tasks: numbers, text and tuples of them, which name what is computed in one piece.
    measure : callable
        Computes one task, of a setting of no communities, so that the value serves any number of them; a function of a
        module, so that it can run in any process. What it returns can be kept
        (:func:`~mpbf_abm.studies.jobs.pack_value`).
    report : callable
        From a setting and the value of every task to the report.
    replicates, fewest : int
        Communities by default, and the fewest that give an interval.
    """

    name: str
    question: str
    tasks: Callable[[Setting], Sequence[Hashable]]
    measure: Callable[[Setting, Any], Any]
    report: Callable[[Setting, Mapping[Any, Any]], Report]
    replicates: int = 20
    fewest: int = 2

    def check(self, setting: Setting) -> None:
        """Refuse settings that cannot be examined, before anything is run.

        Raises
        ------
        ConfigurationError
            One line per fault.
        """
        faults = []
        if setting.replicates < self.fewest:
            faults.append(f"replicates = {setting.replicates}: must be at least {self.fewest} for {self.name}")
        try:
            setting.spec(setting.seed).check()
        except ConfigurationError as error:
            faults += error.faults
        refuse_any(faults)


def run_assessment(
    assessment: Assessment, setting: Setting, jobs: int = 1, progress: Progress | None = None, out: Path | None = None
) -> Report:
    """Measure a community.

    Parameters
    ----------
    assessment : Assessment
    setting : Setting
    jobs : int
        Processes; 1 runs in this one. The report is the same for any number.
    progress : Progress, optional
    out : Path, optional
        Folder of results, in which the value of every task is kept, so that none is ever computed twice; without one,
        in memory.

    Raises
    ------
    ConfigurationError, StoppedError, HaltError
        As :func:`~mpbf_abm.studies.study.do_tasks`.
    """
    assessment.check(setting)
    tasks, model, given = assessment.tasks(setting), partial(measured, assessment.measure), {SETTING: setting.to_text()}
    name, question = assessment.name, assessment.question
    values = do_tasks(name, model, tasks, given, question=question, out=out, jobs=jobs, progress=progress)
    return assessment.report(setting, values)


def measured(measure: Callable[[Setting, Any], Any], run: RunInput) -> Returned:
    """Measure one task of an assessment: the model of its study."""
    return returned(measure(Setting.from_text(run.values[SETTING]), task_of(run)))
