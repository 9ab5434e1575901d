"""A study with its acts: read it, check it, plan it, run it, extend it; and pieces of work as the runs of one."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import PrivateAttr

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.model.campaign import Campaign, run_campaign
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.studies import definition
from mpbf_abm.studies.definition import UNLIMITED, Arm, Replicates
from mpbf_abm.studies.design import Design, Factor, plain
from mpbf_abm.studies.driver import Progress, answered, run_study
from mpbf_abm.studies.files import read_study, write_study
from mpbf_abm.studies.jobs import Returned, RunInput
from mpbf_abm.studies.plan import Plan
from mpbf_abm.studies.results import Results


class Study(definition.StudyDefinition):
    """A study, as :class:`mpbf_abm.studies.definition.StudyDefinition` describes it, that can be run.

    Examples
    --------
    >>> study = Study(name="audits", policies=[Policy("audits", start=24)], replicates={"n": 10})
    >>> study.plan().count()
    20
    >>> study.extend(policies=[Policy("redundancy", start=24)], replicates=40).plan().count()
    120
    >>> results = study.run("results/audits")  # doctest: +SKIP
    >>> results.outcomes.groupby(["arm", "outcome"])["value"].median()  # doctest: +SKIP
    """

    _folder: Path = PrivateAttr(default_factory=Path)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a study file.

        Raises
        ------
        ConfigurationError
            Every fault at once, each with the name of the file.
        """
        return cls._with(read_study(path), Path(path).parent)

    @classmethod
    def _with(cls, study: definition.StudyDefinition, folder: Path, **fields: Any) -> Self:
        own = {name: getattr(study, name) for name in definition.StudyDefinition.model_fields}
        new = cls(**(own | fields))
        new._folder = folder
        return new

    def to_toml(self) -> str:
        """Return the content of a study file."""
        return write_study(self)

    def plan(self) -> Plan:
        """Plan the runs: scenarios, arms, replicates, ids, seeds."""
        return Plan.of(self, self._folder)

    def check(self) -> list[str]:
        """Check everything that can be checked before running; returns remarks.

        Raises
        ------
        ConfigurationError
            Every fault at once.
        """
        return self.plan().check()

    def run(self, out: str | Path, **how: Any) -> Results:
        """Make the runs that the store in a folder does not hold yet.

        Parameters
        ----------
        out : path
            Folder of the store; made if there is none.
        **how
            `workers`, `engine`, `retry`, `progress`; see :func:`~mpbf_abm.studies.driver.run_study`.

        Returns
        -------
        Results
            All that the store holds of this study; what failed is in its `failures`.
        """
        run_study(self, out, folder=self._folder, **how)
        return Results.open(out, self)

    def extend(
        self, *, policies: Iterable[Policy | Arm] = (), replicates: int | None = None, scenarios: int | None = None
    ) -> Self:
        """Return the study with more to it; in the same folder only the new runs are made.

        Parameters
        ----------
        policies : iterable of Policy or Arm
            More arms.
        replicates : int, optional
            Replicates in all.
        scenarios : int, optional
            Scenarios in all, of a design that has a number of them.
        """
        fields: dict[str, Any] = {"policies": (*self.policies, *policies)}
        if replicates is not None:
            if self.replicates.seeds:
                more = "give more of them, replicates={'seeds': [...]}"
                raise ConfigurationError(f"extend: the study names its seeds; {more}")
            fields["replicates"] = {"n": replicates}
        if scenarios is not None:
            fields["design"] = self.design.model_dump(exclude_defaults=True) | {"n": scenarios}
        return self._with(self, self._folder, **fields)


# --------------------------------------------------------------------------- tasks

# Questions that are more than runs of the ecosystem: pieces of work by name, each a run of a study with a custom model.

TASK = "task"
VALUE = "value"


def task_of(run: RunInput) -> Any:
    """Return the task of a run: what stood in the list, lists within as tuples."""
    return plain(json.loads(run.values[TASK]))


def returned(value: Any) -> Returned:
    """What a model returns for its task."""
    return Returned(tables={VALUE: value})


def do_tasks(
    name: str,
    model: Callable[[RunInput], Returned],
    tasks: Sequence[Hashable],
    given: Mapping[str, str],
    *,
    question: str = "",
    space: MaterialsSpace | None = None,
    out: Path | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> dict[Any, Any]:
    """Do tasks as the runs of a study, in their order; what is over is kept, and never done twice.

    Parameters
    ----------
    name : str
        Of the study.
    model : callable
        A function of a module: from a run (:func:`task_of` says its task) to what :func:`returned` makes of its value.
    tasks : sequence
        Numbers, text, truth values and tuples of them; each once.
    given : mapping of str to str
        Everything else that values follow from.
    question : str
    space : MaterialsSpace, optional
        Materials of all tasks (:class:`~mpbf_abm.studies.jobs.RunInput`).
    out : Path, optional
        Folder of results, in which the runs are kept (:func:`~mpbf_abm.studies.driver.answered`); without one they are
        kept in memory.
    jobs : int, optional
        Processes.
    progress : Progress, optional

    Returns
    -------
    dict
        Value of each task.

    Raises
    ------
    ConfigurationError, StoppedError, HaltError
        As :func:`~mpbf_abm.studies.driver.answered`.
    """
    task = Factor(name=TASK, values=tuple(json.dumps(task) for task in tasks))
    fixed: dict[str, Any] = {
        "ticks": 1,
        "replicates": Replicates(n=1),
        "limits": UNLIMITED,
        "design": Design(kind="grid"),
    }
    study = definition.StudyDefinition(
        name=name, question=question, model=model, parameters={**given, TASK: task}, **fixed
    )
    with answered(study, out, workers=jobs, progress=progress, space=space) as results:
        values = results.tables(VALUE)
        return {task: values[s, 0, 0] for s, task in enumerate(tasks)}


# --------------------------------------------------------------------------- campaigns

# Many campaigns on one pool: every rule on every seed, each a task.

OPTIONS = "options"


def run_campaigns(
    space: MaterialsSpace,
    rules: Sequence[str],
    seeds: Sequence[int],
    jobs: int = 1,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> list[Campaign]:
    """Run every rule on every seed, in this process or in several; equal campaigns whatever the number of processes.

    Parameters
    ----------
    space, options
        As in :func:`~mpbf_abm.model.campaign.run_campaign`.
    rules : sequence of str
    seeds : sequence of int
    jobs : int
        Processes.
    out : Path, optional
        Folder in which campaigns that are over are kept, where the same call goes on.
    progress : Progress, optional
    """
    tasks = [(rule, seed) for rule in dict.fromkeys(rules) for seed in seeds]
    given = {OPTIONS: json.dumps(options, sort_keys=True)}
    done = do_tasks("pool", campaign, tasks, given, space=space, out=out, jobs=min(jobs, len(tasks)), progress=progress)
    return [Campaign(**done[task]) for task in tasks]


def campaign(run: RunInput) -> Returned:
    """Run one campaign: the model of this study."""
    space: Any = run.space
    return returned(vars(run_campaign(space, *task_of(run), **json.loads(run.values[OPTIONS]))))
