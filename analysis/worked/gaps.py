"""Gaps: what a community inherits that learns from PBE band gaps, and what measured labels or harmonisation mend."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.worked.drawing import draw_gaps
from analysis.worked.page import Example, Report, effect_table, number, spread_table
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.outputs import markdown_table
from mpbf_abm.studies.analyses import compare
from mpbf_abm.studies.definition import Arm, Outcome, Replicates, Space
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.study import Study

PAIRS = "pbe_expt_gap_pairs/gap_pairs.csv"
FORMULA, MEASURED, SIMULATION = "formula", "gap_expt_eV", "pbe_median"
QUESTION = (
    "What does a community inherit from PBE gaps, and what do a quota of measured labels or harmonisation mend, "
    "at what price?"
)
ALT = (
    "Four panels with a row for each kind of community and points for its runs: error against experiment, "
    "slope of model error on the error of PBE, share of the largest gaps found, and records held at the end."
)
TICKS = 60
QUOTA = 0.3
RECORDS = 4  # acquisition budget of a curator per tick, in PBE labels
MEASURED_COST = 4.0
METAL = 0.1  # eV; below it a gap counts as none

OUTCOMES = {
    "rmse_dense": "RMSE, large families (sd)",
    "rmse_niche": "RMSE, other families (sd)",
    "inherited_bias_raw": "slope on PBE's error",
    "inherited_bias": "the same, gap held constant",
    "found_share": "found share",
    "records": "records",
    "claimed_to_actual": "RMSE / claimed sd",
}

# All labels that curators buy are PBE gaps; no model fills in for them, and nobody audits.
SIMULATED: dict[str, Any] = {
    "curators.modality_mix": (1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "curators.audit_rate": 0.0,
    "curators.response_dal": 0.0,
    "trainers.harmonisation": 0.0,
    "founding.records": 1_000,
    "curators.records": RECORDS,
    "curators.measured_cost": MEASURED_COST,
    "coupling.pseudo_share": 0.0,
}
# Nobody learns from what labs measure either.
DEAF: dict[str, Any] = {"trainers.labels": "simulated", "coupling.correction": 0.0}
HEARD: dict[str, Any] = {"trainers.labels": "all"}


def study(data: Path, replicates: int) -> Study:
    """PBE-only communities beside such as learn from measurements, with controls of equal numbers and equal price."""
    quota, harmonisation = Policy(name="measured_quota", strength=QUOTA), Policy(name="harmonisation")
    # What a quota leaves of a budget: a measured label costs more than a PBE one.
    fewer = round(RECORDS / (1 + QUOTA * (MEASURED_COST - 1)))
    return Study(
        name="gaps",
        question=QUESTION,
        ticks=TICKS,
        parameters=SIMULATED | DEAF,
        space=Space(table=str(data / PAIRS), formula=FORMULA, measured=MEASURED, simulated=SIMULATION),
        policies=(
            Arm(label="fewer PBE labels", parameters={"curators.records": fewer}),
            Arm(label="labs heard", parameters=HEARD),
            Arm(label="harmonisation", parameters=HEARD, policies=(harmonisation,)),
            Arm(label="quota", parameters=HEARD, policies=(quota,)),
            Arm(label="quota, harmonisation", parameters=HEARD, policies=(quota, harmonisation)),
            Arm(label="quota at PBE's price", parameters=HEARD | {"curators.measured_cost": 1.0}, policies=(quota,)),
        ),
        replicates=Replicates(n=replicates),
        outcomes={
            "rmse_niche": Outcome(better="less", smallest=0.02, primary=True),
            "inherited_bias_raw": Outcome(better="less", smallest=0.05, primary=True),
            "found_share": Outcome(better="more", smallest=0.02, primary=True),
            "rmse_dense": Outcome(better="less"),
            "inherited_bias": Outcome(better="less"),
            "records": Outcome(),
            "claimed_to_actual": Outcome(),
        },
    )


def report(results: Results, data: Path) -> Report:
    """Runs and effects of each arm, and what the data themselves say."""
    primary = {name: OUTCOMES[name] for name in results.study.primary}
    shown = ("rmse_niche", "inherited_bias_raw", "found_share", "records")
    arms = ["PBE only", *results.arm_names[1:]]
    return Report(
        {
            "data": facts(data),
            "runs": spread_table(results, OUTCOMES, arms),
            "effects": effect_table(compare(results, list(primary)).table, primary),
        },
        partial(draw_gaps, arms, {OUTCOMES[name]: results.values(name)[0] for name in shown}),
    )


def facts(data: Path) -> str:
    """Bias of PBE in the pairs, and one sd of the space in eV."""
    pairs = pd.read_csv(data / PAIRS)
    real, simulated = pairs[MEASURED].to_numpy(), pairs[SIMULATION].to_numpy()
    open_ = real > METAL
    materials = MaterialsSpace.from_table(data / PAIRS, formula=FORMULA, measured=MEASURED, simulated=SIMULATION)
    rows = [
        ["pairs", str(len(pairs))],
        ["median PBE/experiment ratio, non-metals", number(float(np.median(simulated[open_] / real[open_])))],
        ["mean absolute error of PBE, non-metals (eV)", number(float(np.abs(simulated - real)[open_].mean()))],
        ["non-metals that PBE calls metals", number(float((simulated[open_] < 0.05).mean()))],
        [
            "RMSE of PBE, all (sd of the space)",
            number(float(np.sqrt(((materials.simulated - materials.property) ** 2).mean()))),
        ],
        ["one sd of the space (eV)", number(abs(materials.scale[1]))],
        ["families", str(materials.families)],
    ]
    return markdown_table(["", ""], rows)


EXAMPLE = Example("gaps", QUESTION, ALT, (PAIRS,), study, report)
