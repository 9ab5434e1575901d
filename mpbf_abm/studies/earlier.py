"""Ids of runs, and fingerprints of models, in stores of version 0.1 (form 0): read and gone on with, never made anew."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from mpbf_abm.identity import identity_of
from mpbf_abm.provenance import content_hash

if TYPE_CHECKING:
    from mpbf_abm.studies.definition import Study
    from mpbf_abm.studies.plan import Plan


def run_id(plan: Plan, scenario: int, arm: int, seed: int, history: int) -> str:
    """Id of a run: what it notes, and where its materials were read, are part of it."""
    study, recorded = plan.study, plan.recorded
    shared = {
        "model": plan.fingerprint,
        "ticks": study.ticks,
        "measures": [m.key for m in recorded.measures],
        "series": [list(recorded.series.of), recorded.series.every if recorded.series.of else 1],
        "space": None
        if plan.origin is None
        else {k: v for k, v in plan.origin.items() if k not in ("source", "content")},
        "branch": study.branch.tick if study.branch is not None and study.branch.history == "one" else None,
    }
    state = hashlib.blake2b(content_hash(shared).encode(), digest_size=16)
    state.update(plan.content(scenario, plan.arms[arm]).encode())
    state.update(plan.events[arm].encode())
    state.update(history.to_bytes(8, "little"))
    state.update(seed.to_bytes(8, "little"))
    return state.hexdigest()


def fingerprint(study: Study) -> str:
    """Hash of the source of a model of one's own; its name as it was told then."""
    model: Any = study.model
    name = f"{model.__module__}:{getattr(model, '__qualname__', type(model).__qualname__)}"
    digest = hashlib.blake2b(name.encode(), digest_size=16)
    for part in identity_of(model, form=0):
        digest.update(b"\0" + part)
    return digest.hexdigest()
