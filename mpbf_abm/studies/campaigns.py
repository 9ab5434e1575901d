"""Many campaigns on one pool: every rule on every seed, each a task of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mpbf_abm.campaign import Campaign, run_campaign
from mpbf_abm.space.materials import MaterialsSpace
from mpbf_abm.studies.driver import Progress
from mpbf_abm.studies.model import Returned, RunInput
from mpbf_abm.studies.tasks import do_tasks, returned, task_of

OPTIONS = "options"


def run_campaigns(
    space: MaterialsSpace, rules: Sequence[str], seeds: Sequence[int], jobs: int = 1, *, out: Path | None = None,
    progress: Progress | None = None, **options: Any,
) -> list[Campaign]:  # fmt: skip
    """Run every rule on every seed, in this process or in several; equal campaigns whatever the number of processes.

    Parameters
    ----------
    space, options
        As in :func:`~mpbf_abm.campaign.run_campaign`.
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
