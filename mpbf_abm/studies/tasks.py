"""Questions that are more than runs of the ecosystem: pieces of work by name, each a run of a study with a model of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpbf_abm.model.campaign import Campaign, run_campaign
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.studies.definition import UNLIMITED, Replicates, Study
from mpbf_abm.studies.design import Design, Factor
from mpbf_abm.studies.driver import Progress, answered
from mpbf_abm.studies.jobs import Returned, RunInput

if TYPE_CHECKING:
    from mpbf_abm.model.materials import MaterialsSpace

TASK = "task"
VALUE = "value"


def task_of(run: RunInput) -> Any:
    """The task of a run: what stood in the list, lists within as tuples."""
    return _hashable(json.loads(run.values[TASK]))


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
        Folder of results, in which the runs are kept (:func:`~mpbf_abm.studies.driver.answered`); without one they are kept in memory.
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
    texts = [json.dumps(task) for task in tasks]
    study = Study(
        name=name,
        question=question,
        ticks=1,
        model=model,
        replicates=Replicates(n=1),
        limits=UNLIMITED,
        parameters={**given, TASK: Factor(name=TASK, values=tuple(texts))},
        design=Design(kind="grid"),
    )
    with answered(study, out, workers=jobs, progress=progress, space=space) as results:
        values = results.tables(VALUE)
        return {task: values[s, 0, 0] for s, task in enumerate(tasks)}


def _hashable(value: Any) -> Any:
    return tuple(_hashable(v) for v in value) if isinstance(value, list) else value


# --------------------------------------------------------------------------- campaigns

# Many campaigns on one pool: every rule on every seed, each a task of its own.

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
