"""Cuprates: communities that know the superconductors of 1985 but not one cuprate, and how they come upon them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.worked.drawing import draw_cuprates
from analysis.worked.page import Example, Report, effect_table, fingerprint, middle_range, number, spread_table
from mpbf_abm.data import chemistry
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.model.world import World
from mpbf_abm.outputs import markdown_table
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.estimates import mean_estimate
from mpbf_abm.studies.analyses import compare
from mpbf_abm.studies.definition import Arm, Outcome, Replicates, Series
from mpbf_abm.studies.jobs import RunInput
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.study import Study

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

TABLE = "supercon/supercon_stanev2018.csv"
QUESTION = (
    "How long does a community that knows no cuprate take to come upon them, and how wrong are its models until then?"
)
ALT = (
    "Four panels: the share of communities that have made a cuprate above 77 K along time, and, for each kind of "
    "community, points for the tick of its first cuprate, its models' error on cuprates, and the share of experiments "
    "spent on them."
)
TICKS = 60
LIQUID_NITROGEN = 77.0  # K
# First superconductors of a class (Bednorz and Mueller 1986; Kamihara et al. 2006); all else counts as known
# long before.
CUPRATES, IRON_BASED, BEFORE = 1986, 2006, 1911
KNOWN, HELD_OUT = 2018, 1985
PNICTOGENS = ("P", "As", "S", "Se", "Te")

OUTCOMES = {
    "first": "first cuprate (tick)",
    "first_hot": "first above 77 K (tick)",
    "never": "never above 77 K (share)",
    "spent": "experiments on cuprates",
    "error_cuprates": "error on cuprates at tick 0 (K)",
    "error_others": "error on others at tick 0 (K)",
    "error_end": "error on cuprates at the end (K)",
    "found_share": "found share",
}

# Nobody computes a critical temperature: all records are measured, and only labs make new ones.
SETTING: dict[str, Any] = {
    "curators.records": 0,
    "curators.modality_mix": (0.0, 0.0, 1.0, 0.0, 0.0, 0.0),
    "founding.records": 2_000,
    "coupling.pseudo_share": 0.0,
}


# --------------------------------------------------------------------------- the space


def first_year(elements: frozenset[str]) -> int:
    """Year of the first superconductor of the class that a set of elements belongs to."""
    if {"Cu", "O"} <= elements:
        return CUPRATES
    if "Fe" in elements and elements & set(PNICTOGENS):
        return IRON_BASED
    return BEFORE


@lru_cache(maxsize=2)
def space(data: Path) -> MaterialsSpace:
    """Superconductors of the table, with the year of the first of their class."""
    rows = pd.read_csv(data / TABLE)
    rows["year"] = [first_year(elements_of(text)) for text in rows["name"]]
    return MaterialsSpace.from_table(rows, formula="name", measured="Tc", year="year", unit="K", on_error="drop")


def elements_of(text: str) -> frozenset[str]:
    """Elements of a formula; none of what cannot be read."""
    try:
        return frozenset(chemistry.elements().symbols[z - 1] for z, _ in chemistry.parse(text))
    except chemistry.FormulaError:
        return frozenset()


def cuprates(materials: MaterialsSpace) -> Bool:
    """Materials with copper and oxygen (N,)."""
    year = materials.year
    return np.zeros(materials.size, bool) if year is None else year == CUPRATES


# --------------------------------------------------------------------------- a community


def community(run: RunInput, folder: str) -> tuple[dict[str, float], Float]:
    """Follow one community: a model of one's own of a study."""
    materials = space(Path(folder))
    copper = cuprates(materials)
    hot = copper & (np.asarray(materials.in_unit(materials.property.astype(np.float64))) > LIQUID_NITROGEN)
    p = Parameters.preset("single-default").updated(
        SETTING | {path: value for path, value in run.values.items() if "." in path}
    )
    eco = begin(RunSpec(p, run.seed, run.ticks, run.policies, space=materials), record=())
    first = first_hot = float(run.ticks)
    early: tuple[float, float] = (np.nan, np.nan)
    along = []
    for tick in range(run.ticks):
        eco.step()
        made = made_now(eco.world)
        if copper[made].any():
            first = min(first, tick)
        if hot[made].any():
            first_hot = min(first_hot, tick)
        if tick == 0:
            early = errors(eco.world, copper)
        along.append([float(first_hot <= tick)])
    world = eco.world
    families = np.bincount(materials.family, copper, materials.families) / materials.family_sizes
    outcomes = {
        "first": first,
        "first_hot": first_hot,
        "spent": float(world.experiments @ families / max(1, world.experiments.sum())),
        "error_cuprates": early[0],
        "error_others": early[1],
        "error_end": errors(world, copper)[0],
        "found_share": world.discoveries.count / max(1, world.discoveries.existing),
    }
    return outcomes, np.array(along)[run.kept]


def made_now(world: World) -> NDArray[np.int64]:
    """Materials that were made in this tick."""
    r = world.results
    return np.zeros(0, np.int64) if r is None else r.material[~np.isnan(r.observed)]


def errors(world: World, chosen: Bool) -> tuple[float, float]:
    """Mean absolute error of the models, on chosen panel materials and on all others, in the unit of the data."""
    unit = abs(world.space.scale[1])
    gaps = [
        (m.panel.materials, np.abs(m.panel_mean - world.truth.property[m.panel.materials])) for _, m in world.models()
    ]
    if not gaps:
        return np.nan, np.nan
    inside, outside = ([float(g[chosen[rows] == side].mean()) for rows, g in gaps] for side in (True, False))
    return unit * float(np.mean(inside)), unit * float(np.mean(outside))


# --------------------------------------------------------------------------- the study


def study(data: Path, replicates: int) -> Study:
    """Communities that know no cuprate, one that does, and two that nothing guides."""
    by_chance = {"planners.steering_gain": 0.0, "planners.acquisition": "random", "planners.candidates": 1}
    return Study(
        name="cuprates",
        question=QUESTION,
        model=partial(community, folder=str(data)),
        ticks=TICKS,
        parameters={"data": fingerprint(data, (TABLE,)), "founding.year": HELD_OUT},
        policies=(
            Arm(label="cuprates known", parameters={"founding.year": KNOWN}),
            Arm(label="no adjacency", parameters={"planners.adjacency": 0.0}),
            Arm(label="more exploration", parameters={"planners.exploration": 0.3}),
            Arm(label="uncertainty aware", policies=(Policy(name="uncertainty_aware"),)),
            Arm(label="follow the crowd", parameters=by_chance),
            Arm(label="blind", parameters=by_chance | {"planners.exploration": 1.0, "planners.adjacency": 0.0}),
        ),
        replicates=Replicates(n=replicates),
        outcomes={
            "first_hot": Outcome(better="less", smallest=6.0, primary=True),
            "spent": Outcome(better="more", smallest=0.05, primary=True),
            "found_share": Outcome(better="more", smallest=0.02, primary=True),
            "never": Outcome(of="first_hot", above=TICKS - 0.5),
            **{name: Outcome() for name in ("first", "error_cuprates", "error_others", "error_end")},
        },
        series=Series(of=("hot",), every=1),
    )


# --------------------------------------------------------------------------- what came out


def report(results: Results, data: Path) -> Report:
    """Times, errors and finds of each arm; the penalty of never having seen a cuprate."""
    arms = ["held out", *results.arm_names[1:]]
    primary = {name: OUTCOMES[name] for name in results.study.primary}
    values = {name: results.values(name)[0] for name in OUTCOMES}
    shown = ("first", "error_cuprates", "spent")
    return Report(
        {
            "data": facts(data),
            "penalty": penalty(values, results.arm_names),
            "runs": spread_table(results, OUTCOMES, arms),
            "effects": effect_table(compare(results, list(primary)).table, primary),
        },
        partial(
            draw_cuprates,
            arms,
            results.series_ticks.astype(np.float64),
            results.series_values("hot")[0],
            {OUTCOMES[name]: values[name] for name in shown},
        ),
    )


def penalty(values: Mapping[str, Float], arms: Sequence[str]) -> str:
    """Error of models that have never seen a cuprate over that of models that have, pair by pair."""
    known = list(arms).index("cuprates known")
    rows = []
    for name, words in (("error_cuprates", "on cuprates"), ("error_others", "on all others")):
        held, seen = values[name][0], values[name][known]
        ratio = held / seen
        logs = np.log(ratio)
        e = mean_estimate(logs[np.isfinite(logs)])
        mean, low, high = (number(math.exp(v)) for v in (e.value, e.low, e.high))
        rows.append([words, middle_range(held), middle_range(seen), f"{mean} ({low} to {high})", middle_range(ratio)])
    return markdown_table(
        ["error at tick 0 (K)", "held out", "known", "geometric mean ratio (95 % interval)", "ratio of runs"], rows
    )


def facts(data: Path) -> str:
    """How many of the superconductors are cuprates."""
    materials = space(data)
    copper = cuprates(materials)
    kelvin = np.asarray(materials.in_unit(materials.property.astype(np.float64)))
    share = np.bincount(materials.family, copper, materials.families) / materials.family_sizes
    rows = [
        ["distinct compositions", str(materials.size)],
        ["of these with copper and oxygen", str(int(copper.sum()))],
        [
            f"above {LIQUID_NITROGEN:g} K, and cuprates among them",
            f"{(kelvin > LIQUID_NITROGEN).sum()}, {(kelvin[copper] > LIQUID_NITROGEN).sum()}",
        ],
        ["families, and those mostly of cuprates", f"{materials.families}, {(share > 0.5).sum()}"],
        ["one sd of the space (K)", number(abs(materials.scale[1]))],
        [
            "highest critical temperature known at founding (K)",
            number(float(kelvin[materials.year <= HELD_OUT].max()) if materials.year is not None else np.nan),
        ],
    ]
    return markdown_table(["", ""], rows)


EXAMPLE = Example("cuprates", QUESTION, ALT, (TABLE,), study, report)
