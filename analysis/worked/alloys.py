"""Alloys: the literature on multi-principal-element alloys, 2004 to 2019, replayed by communities.

A tick is a year: an alloy is chosen by what was published before, made, measured and published in about one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.worked import alloy_literature
from analysis.worked.alloy_literature import (
    FIRST,
    LAST,
    TABLE,
    literature,
    present,
    real_events,
    record,
    space,
    surface_skill,
)
from analysis.worked.drawing import draw_alloys
from analysis.worked.page import Example, Report, effect_table, fingerprint, middle_range, number, quantiles
from mpbf_abm.data import chemistry
from mpbf_abm.measures import attachment
from mpbf_abm.model.commons import EXPERIMENT, FAILED
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.run import simulate
from mpbf_abm.outputs import markdown_table
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.concentration import gini, hill
from mpbf_abm.studies.analyses import compare
from mpbf_abm.studies.definition import Arm, Outcome, Replicates, Series
from mpbf_abm.studies.jobs import RunInput
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.study import Study

Float = NDArray[np.float64]
Int = NDArray[np.int64]

QUESTION = "What does a community need to choose its families as the alloy literature did, 2004 to 2019?"
ALT = (
    "Six panels: the share of events on known alloy families by year for each kind of community and for the record, "
    "and, for each, points for effective families, new families one edit away, events in the top decile, "
    "and two attachment exponents, with the record as dashed line."
)
LATE = 2016


# --------------------------------------------------------------------------- what is compared


def statistics(time: Int, family: Int, present: NDArray[np.bool_]) -> dict[str, float]:
    """What is compared between the record and a community, from events by year of families by number.

    Parameters
    ----------
    time, family : int (n,)
    present : bool (K, E)
        Elements of all families.
    """
    seen, family = np.unique(family, return_inverse=True)
    counts = np.bincount(family)
    made = attachment.choices(time, family)
    nearest = attachment.first_edits(time, family, chemistry.element_edits(present[seen]))
    years, share, events = attachment.reuse(time, family)
    late = years >= LATE
    return {
        "families": float(len(seen)),
        "effective": hill(counts, 1),
        "top_decile": float(np.sort(counts)[-max(1, round(len(counts) / 10)) :].sum() / counts.sum()),
        "gini": gini(counts),
        "reuse_early": float(np.average(share[~late], weights=events[~late])),
        "reuse_late": float(np.average(share[late], weights=events[late])),
        "one_edit": attachment.adjacency(nearest, 1),
        "two_edits": attachment.adjacency(nearest, 2),
        "binned": attachment.binned_exponent(made),
        "kernel": attachment.kernel_exponent(made),
        "likelihood": attachment.likelihood_exponent(made),
        "heaps": attachment.heaps(time, family),
    }


OUTCOMES = {
    "families": "families",
    "effective": "effective families",
    "top_decile": "events in the top decile",
    "gini": "Gini",
    "reuse_early": f"reuse to {LATE - 1}",
    "reuse_late": f"reuse from {LATE}",
    "one_edit": "new: 1 edit",
    "two_edits": "new: at most 2 edits",
    "binned": "exponent, binned",
    "kernel": "exponent, kernel",
    "likelihood": "exponent, likelihood",
    "heaps": "Heaps exponent",
}


# --------------------------------------------------------------------------- communities

# What a replay is, whatever the arm: the labs make, and publish, as many alloys in each year as the literature did.
REPLAY: dict[str, Any] = {
    "founding.year": FIRST,
    "founding.mass": 0.0,
    "curators.records": 0,
    "planners.count": 40,
    "planners.experiments": 1.0,
    "planners.candidates": 1,
    "trainers.panel": 1,
    "planners.repeats": True,
    "planners.publication_bias": 0.0,
    "trainers.retrain_interval": 1,
    "commons.forgetting": 0.0,
    "coupling.outer_loop": 1.0,
}


def replay(run: RunInput, folder: str) -> tuple[dict[str, float], Float]:
    """Replay the literature by one community: a model of one's own of a study."""
    data = Path(folder)
    materials = space(data)
    years, _ = real_events(data)
    changes = {path: value for path, value in run.values.items() if "." in path}
    p = Parameters.preset(run.values["preset"]).updated(
        REPLAY | {"founding.records": int((years == FIRST).sum())} | changes
    )
    community = simulate(
        p, seed=run.seed, ticks=run.ticks, space=materials, policies=(*pace(years, p), *run.policies), record=()
    ).community.world.commons
    literature = (community.tick < 0) | np.isin(community.origin, (EXPERIMENT, FAILED))
    time, family = (
        FIRST + 1 + community.tick[literature].astype(np.int64),
        community.family[literature].astype(np.int64),
    )
    return statistics(time, family, present(materials)), reuse_by_tick(time, family)[run.kept, None]


def reuse_by_tick(time: Int, family: Int) -> Float:
    """Share of events on known families in each year after the first; NaN in a year without events."""
    years, share, _ = attachment.reuse(time, family)
    known = dict(zip(years.tolist(), share.tolist(), strict=True))
    return np.array([known.get(year, np.nan) for year in range(FIRST + 1, LAST + 1)])


def pace(years: Int, p: Parameters) -> list[Policy]:
    """Funding that pays for as many experiments in each tick as the record has events in that year."""
    planned = p.planners.count * p.planners.experiments
    return [
        Policy(name="pace", set={"stocks.funding": float((years == year).sum() / planned)}, start=tick, end=tick + 1)
        for tick, year in enumerate(range(FIRST + 1, LAST + 1))
    ]


def exploration(data: Path) -> float:
    """Share of late events on families that were new: what the exploration of the replay is set to."""
    time, family = real_events(data)
    return round(1.0 - statistics(time, family, present(space(data)))["reuse_late"], 2)


def mass(data: Path) -> float:
    """Virtual records of all families by which an urn has the late reuse of the record: ``m / (m + n)`` are new."""
    years, _ = real_events(data)
    known = np.mean([(years < year).sum() for year in years[years >= LATE]])
    share = exploration(data)
    return float(known * share / (1 - share))


def falling(data: Path) -> tuple[Policy, ...]:
    """Exploration of an urn with mass, ``m / (m + n)`` after n events, year by year."""
    years, _ = real_events(data)
    whole = mass(data)
    return tuple(
        Policy(
            name="falling",
            set={"planners.exploration": float(whole / (whole + (years < year).sum()))},
            start=tick,
            end=tick + 1,
        )
        for tick, year in enumerate(range(FIRST + 1, LAST + 1))
    )


def study(data: Path, replicates: int) -> Study:
    """Communities that replay the record, by what drives them."""
    default = Parameters.preset("single-default")
    alone, adjacency = {"preset": "null"}, {"planners.adjacency": default.planners.adjacency}
    virtual = {"planners.exploration": 0.0, "founding.mass": mass(data) / space(data).families}
    return Study(
        name="alloys",
        question=QUESTION,
        model=partial(replay, folder=str(data)),
        ticks=LAST - FIRST,
        parameters={
            "data": fingerprint(data, (TABLE,), attachment, alloy_literature),
            "preset": "single-default",
            "planners.exploration": exploration(data),
        },
        policies=(
            Arm(label="usual exploration", parameters={"planners.exploration": default.planners.exploration}),
            Arm(label="no adjacency", parameters={"planners.adjacency": 0.0}),
            Arm(label="falling exploration", policies=falling(data)),
            Arm(label="no models, falling", parameters=alone | adjacency, policies=falling(data)),
            Arm(label="no models", parameters=alone | adjacency),
            Arm(label="urn", parameters=alone),
            Arm(label="urn with mass", parameters=alone | virtual),
        ),
        replicates=Replicates(n=replicates),
        outcomes={name: Outcome() for name in OUTCOMES},
        series=Series(of=("reuse",), every=1),
    )


# --------------------------------------------------------------------------- what came out


def report(results: Results, data: Path) -> Report:
    """Compare the arms with the record."""
    time, family = real_events(data)
    real = statistics(time, family, present(space(data)))
    values = {name: results.values(name)[0] for name in OUTCOMES}
    shown = ("effective", "one_edit", "top_decile", "likelihood", "binned")
    return Report(
        {
            "record": whole_record(data),
            "replay": comparison(results.arm_names, values, real),
            "effects": effect_table(
                compare(results, ["effective", "reuse_late", "one_edit", "likelihood"]).table,
                {k: OUTCOMES[k] for k in ("effective", "reuse_late", "one_edit", "likelihood")},
            ),
            "setting": setting(data),
        },
        partial(
            draw_alloys,
            results.arm_names,
            np.arange(FIRST + 1.0, LAST + 1),
            results.series_values("reuse")[0],
            reuse_by_tick(time, family),
            {OUTCOMES[name]: values[name] for name in shown},
            {OUTCOMES[name]: real[name] for name in shown},
        ),
    )


def comparison(arms: Sequence[str], values: Mapping[str, Float], real: Mapping[str, float]) -> str:
    """One row per fact: the record, and each arm's median and 95 % range of runs, bold where the record lies inside."""
    rows = []
    for name, words in OUTCOMES.items():
        cells = []
        for runs in values[name]:
            low, _, high = quantiles(runs)
            cell = middle_range(runs)
            cells.append(f"**{cell}**" if low <= real[name] <= high else cell)
        rows.append([words, number(real[name]), *cells])
    return markdown_table(["fact", "record", *arms], rows)


def whole_record(data: Path) -> str:
    """Attachment, reuse and adjacency of the whole record, and of the part that the space holds."""
    events = literature(data)
    rows = []
    for label, part in (("whole record", events), ("in the space", record(data))):
        family, systems = pd.factorize(part["system"])
        time, family = part["year"].to_numpy(np.int64), family.astype(np.int64)
        sets = [s.split("-") for s in systems]
        alphabet = sorted({e for s in sets for e in s})
        elements = np.array([[e in s for e in alphabet] for s in sets], bool)
        made = attachment.choices(time, family, part["reference_id"].to_numpy(np.int64))
        nearest = attachment.first_edits(time, family, chemistry.element_edits(elements))
        years, share, _ = attachment.reuse(time, family)
        exponents = [
            attachment.with_interval(estimate, made)
            for estimate in (attachment.binned_exponent, attachment.kernel_exponent, attachment.likelihood_exponent)
        ]
        rows.append(
            [
                label,
                str(len(part)),
                str(len(sets)),
                *(f"{number(e.value)} ({number(e.low)} to {number(e.high)})" for e in exponents),
                f"{(nearest <= 1).sum()} and {(nearest <= 2).sum()} of {len(nearest)}",
                ", ".join(number(s, 2) for s in share[years >= LATE]),
                number(attachment.heaps(time, family)),
            ]
        )
    head = [
        "",
        "events",
        "families",
        "exponent, binned",
        "exponent, kernel",
        "exponent, likelihood",
        "new within 1 and 2 edits",
        f"reuse {LATE}-{LAST}",
        "Heaps exponent",
    ]
    return markdown_table(head, rows)


def setting(data: Path) -> str:
    """What the replay is set to from the record, and how good its hardness is."""
    events, whole = record(data), literature(data)
    rows = [
        ["families of the space", str(space(data).families)],
        ["events of the record in it", f"{len(events)} of {len(whole)}"],
        [f"known at founding ({FIRST})", str(int((events["year"] == FIRST).sum()))],
        ["exploration, set to the record's late share of new families", number(exploration(data))],
        ["virtual records of all families together (urn with mass, falling exploration)", number(mass(data))],
        ["variance of hardness that the surface explains in families it has not seen", number(surface_skill(data))],
    ]
    return markdown_table(["", ""], rows)


EXAMPLE = Example("alloys", QUESTION, ALT, (TABLE,), study, report)
