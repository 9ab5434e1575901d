"""Find a study by file or store, and say how far its runs are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.studies.definition import Study
from mpbf_abm.studies.driver import orphans, precision
from mpbf_abm.studies.files import StudyFileError, read_study
from mpbf_abm.studies.plan import Plan
from mpbf_abm.studies.results import DONE, FAILED, Results, saved_study, store_path
from mpbf_abm.studies.store import OF_A_RESULT, Store


def load(source: Path) -> tuple[Study, Path, Path | None]:
    """Return a study, the folder of its data, and the folder of its store: read from a file, or from the store."""
    if not source.is_dir() and source.suffix != ".sqlite":
        try:
            return read_study(source), source.parent, None
        except StudyFileError as error:
            raise ConfigurationError([*error.faults, *_further(error, source)]) from None
    path = store_path(source)
    with Store.open(path) as store:
        saved = store.last_study()
    if saved is None:
        raise ConfigurationError(f"{path}: holds no study")
    if saved.folder == OF_A_RESULT:
        raise ConfigurationError(f"{path}: holds the runs of a result; the command that made it goes on with them")
    if saved.model:
        raise ConfigurationError(f"{path}: was made by the model '{saved.model}' of a script; go on from that script")
    return saved_study(saved), Path(saved.folder), path.parent


def _further(error: StudyFileError, source: Path) -> list[str]:
    """Further errors in the valid part of a study file."""
    if error.rest is None:
        return []
    try:
        Plan.of(error.rest, source.parent).check()
    except ConfigurationError as further:
        return [f"{source.name}: {fault}" for fault in further.faults]
    return []


def stored_runs(planned: Plan, path: Path) -> tuple[int, int] | None:
    """Count finished runs of a plan that its store holds, and others; None without a store."""
    if not path.exists():
        return None
    with Store.open(path) as store:
        others, held = orphans(store, planned), store.look(planned.study.recording if planned.form else None)
        return len(held.done) - others, others


def facts(results: Results) -> dict[str, Any]:
    """Return how far a study is, by what each number is."""
    done, failed = int((results.status == DONE).sum()), int((results.status == FAILED).sum())
    seconds = np.array([row[2] for row in results.store.seconds() if row[1] == "done"])
    model, fingerprint = results.study.own_model or "ecosystem", results.plan.fingerprint[:12]
    facts: dict[str, Any] = {
        "study": results.study.name,
        "scenarios x arms x replicates": " x ".join(map(str, results.shape)),
        "done": done,
        "failed": failed,
        "missing": int(results.status.size - done - failed),
        "of no part of the study any more": results.orphans,
        "seconds of a run (median, longest)": f"{np.median(seconds):.3g}, {seconds.max():.3g}" if len(seconds) else "-",
        "model": f"{model}, source {fingerprint}",
        "results": results.hash,
    }
    if results.damaged:
        facts["damaged (mpbf study run makes them again)"] = results.damaged
    if results.study.adaptive:
        facts["precision"] = _precision(results, facts["missing"])
    return facts


def _precision(results: Results, missing: int) -> str:
    verdict, most = precision(results.plan, results.store), results.shape[2]
    if verdict.enough:
        return "reached"
    if verdict.wanted <= most and not missing:
        return f"not reached with the most replicates allowed, {most}"
    return f"not reached; {verdict.wanted} replicates wanted next"
