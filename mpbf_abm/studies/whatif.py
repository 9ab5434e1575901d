"""A what-if: one question, asked of baseline and what-if on the same seeds; a study of two arms at most."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mpbf_abm.errors import StoppedError, faults_of, lines_where, refuse_any
from mpbf_abm.glance import PICTURES, Glance, Shown
from mpbf_abm.model.indicators import BOUNDS, STANDARD, UNITS
from mpbf_abm.model.interventions import Policy, listed
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.run import HEADLINE, OUTCOMES, families_frame, series_frame
from mpbf_abm.model.settings import DEFAULT_PAIRS, SHARED, numbers_faults, question_faults
from mpbf_abm.model.shocks import NODES, Shock
from mpbf_abm.model.spec import DEFAULT_TICKS, RunSpec
from mpbf_abm.outputs import RECORD, RUNS, number, table, write_pages
from mpbf_abm.parameters import Parameters
from mpbf_abm.provenance import DEFAULT_SEED, content_hash, record
from mpbf_abm.stats.paired import TWO_GROUPS, bimodality, cautions, paired_effects, spread
from mpbf_abm.streams import check_seed
from mpbf_abm.studies.definition import BASELINE, UNLIMITED, WHAT_IF, Limits, Series, StudyDefinition
from mpbf_abm.studies.driver import Progress, answered, claim
from mpbf_abm.studies.files import write_study
from mpbf_abm.studies.jobs import Returned, pack
from mpbf_abm.studies.plan import Plan as StudyPlan
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.store import FILE, Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Events = tuple[tuple[Policy, ...], tuple[Shock, ...]]

# What is kept of a run for the tables and the figure of a result, and for the page.
KEPT = Series(of=STANDARD, tables=("families", "infrastructure", "links", "flows"))


@dataclass(frozen=True)
class WhatIf:
    """What to run.

    Without anything by which they would differ there is one arm; else there are two, baseline and what-if, and
    replicate ``i`` of both has the seed ``seed + i``.

    Attributes
    ----------
    parameters : Parameters
    seed : int
        Seed of the first replicate.
    ticks : int
        Horizon.
    replicates : int
        Runs per arm.
    policies : tuple
        What the what-if adds to the baseline.
    shocks : tuple
        What happens in every run, as in a study.
    space : MaterialsSpace, optional
        Real data that every run shares; without it each seed has a separate synthetic space.
    shocks_in_baseline : bool
        False lets shocks happen in the what-if alone: what do shocks and policies change together?
    """

    parameters: Parameters
    seed: int = DEFAULT_SEED
    ticks: int = DEFAULT_TICKS
    replicates: int = 1
    policies: tuple[Policy, ...] = ()
    shocks: tuple[Shock, ...] = ()
    space: MaterialsSpace | None = None
    shocks_in_baseline: bool = True

    @property
    def arms(self) -> dict[str, Events]:
        """Policies and shocks of each arm."""
        everywhere = self.shocks if self.shocks_in_baseline else ()
        arms: dict[str, Events] = {BASELINE: ((), everywhere)}
        if self.policies or (self.shocks and not everywhere):
            arms[WHAT_IF] = (self.policies, self.shocks)
        return arms

    @property
    def seeds(self) -> list[int]:
        """Seed of each replicate."""
        return [self.seed + i for i in range(self.replicates)]

    def spec(self, arm: str, replicate: int = 0) -> RunSpec:
        """One of the runs."""
        policies, shocks = self.arms[arm]
        return RunSpec(self.parameters, self.seed + replicate, self.ticks, policies, shocks, self.space)

    @property
    def kind(self) -> str:
        """What it is: a run, or a what-if."""
        return WHAT_IF if len(self.arms) > 1 else "run"

    @cached_property
    def study(self) -> StudyDefinition:
        """The study of this question."""
        kept: dict[str, Any] = {"series": KEPT, "limits": UNLIMITED, "question": self.compared(), "ticks": self.ticks}
        asked = (self.kind, self.parameters, self.policies, self.shocks)
        return StudyDefinition.of_question(*asked, shared=self.shocks_in_baseline, seeds=self.seeds, **kept)

    def check(self) -> None:
        """Raise with one line for every fault that would stop the run or leave an event without effect."""
        faults = numbers_faults({"seed": self.seed, "ticks": self.ticks, "replicates": self.replicates})
        if not faults:
            faults = question_faults(self.policies, self.shocks, self.replicates, shared=self.shocks_in_baseline)
            faults += faults_of(lambda: check_seed(self.seed + self.replicates - 1, "last seed"))
            faults += faults_of(*(self.spec(arm).check for arm in self.arms))
        refuse_any(faults)

    @property
    def question_hash(self) -> str:
        """Hash of the question: what it asks, and where seeds begin, but not of how many pairs."""
        return content_hash([self.seed, *(self.spec(arm).kind for arm in self.arms)])

    def record(self) -> dict[str, Any]:
        """Return the provenance of the plan: everything needed to run it again, and its hash."""
        places = [(arm, i, seed) for arm in self.arms for i, seed in enumerate(self.seeds)]
        runs = [{"arm": arm, "replicate": i, "seed": seed, "id": self.spec(arm, i).id} for arm, i, seed in places]
        asked: dict[str, Any] = {"parameters": self.parameters.model_dump(), "changed": self.parameters.changed()}
        asked |= {"seed": self.seed, "replicates": self.replicates, "ticks": self.ticks}
        asked |= {kind: [e.model_dump() for e in getattr(self, kind)] for kind in ("policies", "shocks")}
        asked |= {"space": None if self.space is None else dict(self.space.origin), SHARED: self.shocks_in_baseline}
        return record(kind=self.kind, **asked) | {"runs": runs, "run_hash": content_hash([run["id"] for run in runs])}

    def words(self) -> str:
        """Return the plan in one line: what is compared with what."""
        several = "s" * (self.replicates > 1)
        runs = f"{self.replicates} {'pairs of runs' if len(self.arms) > 1 else f'run{several}'}"
        seeds = "-".join(str(s) for s in dict.fromkeys((self.seeds[0], self.seeds[-1])))
        return f"{self.compared()} | {runs}, seed{several} {seeds}, {self.ticks} ticks{self._repair()}"

    def _repair(self) -> str:
        """Say when nodes return that shocks take down until some tick: by chance, and not at that tick."""
        ends = sorted({s.end for s in self.shocks if s.name in NODES and s.end is not None})
        chance = f"stocks.repair = {self.parameters.stocks.repair:g} a tick"
        until = " and ".join(map(str, ends))
        return f" | nodes are repaired from tick {until} on, each with chance {chance}" if ends else ""

    def compared(self) -> str:
        """What is compared with what."""
        policies, shocks = (", ".join(e.words for e in events) for events in (self.policies, self.shocks))
        if len(self.arms) == 1:
            return f"run, with {shocks}" if shocks else "run"
        if not self.shocks_in_baseline:
            return f"what-if: {', '.join(filter(None, (policies, shocks)))}, against a baseline without"
        return f"what-if: {policies}" + (f"; in both arms: {shocks}" if shocks else "")


def plain_study(plan: WhatIf, name: str = "") -> StudyDefinition:
    """The study of a plan, perhaps under another name, without what a result keeps of every run."""
    return plan.study.changed(name=name or plan.kind, series=Series(), limits=Limits())


# --------------------------------------------------------------------------- runner

# Run a plan, and write its tables; equal plans give equal tables whatever the number of processes.

IDENTITY = ("arm", "replicate", "seed")


@dataclass(frozen=True)
class ArmResult:
    """Tables of one run.

    Attributes
    ----------
    series, families : DataFrame
        As of :class:`~mpbf_abm.model.run.Run`.
    nodes, edges : DataFrame
        The infrastructure at the end: kind, id, load, works; provider and user of each link.
    summary : dict
    """

    arm: str
    replicate: int
    seed: int
    series: pd.DataFrame
    families: pd.DataFrame
    nodes: pd.DataFrame
    edges: pd.DataFrame
    summary: dict[str, float]


NOTE = "* 95 % interval excludes zero (simultaneous). VRF: variance-reduction factor of pairing"


@dataclass(frozen=True, repr=False)
class Ensemble(Shown):
    """All runs of a plan, by arm and replicate; printed as ``mpbf run`` prints them."""

    plan: WhatIf
    results: tuple[ArmResult, ...]

    def __str__(self) -> str:
        runs = table(*self._spread_table())
        if self.effects is None:
            return "\n".join([self.plan.words(), "", runs, *self.cautions])
        return "\n".join([self.plan.words(), "", table(*self._effect_table()), NOTE, *self.cautions, "", runs])

    def glance(self) -> Glance:
        """Return the effects on the headline outcomes, of a plain run their values."""
        head, rows, right = self._spread_table() if self.effects is None else self._effect_table()
        return Glance(self.plan.words(), head, rows, self.cautions, right)

    def plot(self) -> Figure:
        """Draw the overview figure, baseline and what-if in each panel."""
        return PICTURES["Ensemble"](self)

    def _effect_table(self) -> Table:
        """Return means and differences of the headline outcomes: head, rows, columns aligned to the right."""
        head = ["outcome (mean)", "baseline", "what-if", "difference", "95 % interval  ", "VRF", "pairs"]
        effects: Any = pd.DataFrame(self.effects).set_index("outcome").loc[list(HEADLINE)].itertuples()
        return head, [*map(_effect, effects)], range(1, len(head))

    def _spread_table(self) -> Table:
        """Return medians and ranges of the headline outcomes, or the values of one run."""
        if self.plan.replicates == 1:
            values = [[o, number(float(self.summary[o].iloc[0])), UNITS[o]] for o in HEADLINE]
            return ["outcome", "value", "unit"], values, (1,)
        arms = list(self.plan.arms)
        cells = [map(_spread, spread(self.arm(arm), HEADLINE).itertuples()) for arm in arms]
        rows = [[o, *of_arms, UNITS[o]] for o, *of_arms in zip(HEADLINE, *cells, strict=True)]
        head = ["outcome (median, 10-90 % of runs)", *(arms if len(arms) > 1 else ["value"]), "unit"]
        return head, rows, range(1, len(head) - 1)

    def _joined(self, table: str) -> pd.DataFrame:
        """Return a table of all runs, after the arm and the replicate."""
        parts = {(r.arm, r.replicate): getattr(r, table) for r in self.results}
        joined: pd.DataFrame = pd.concat(parts, names=["arm", "replicate"]).reset_index(["arm", "replicate"])
        return joined.reset_index(drop=True)

    @cached_property
    def series(self) -> pd.DataFrame:
        """One row per arm, replicate and tick; one column per indicator."""
        return self._joined("series")

    @cached_property
    def families(self) -> pd.DataFrame:
        """One row per arm, replicate, tick and family."""
        return self._joined("families")

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per arm and replicate; one column per outcome."""
        return pd.DataFrame([{name: getattr(r, name) for name in IDENTITY} | r.summary for r in self.results])

    @property
    def outcomes(self) -> list[str]:
        """Names of the outcomes."""
        return [c for c in self.summary.columns if c not in IDENTITY]

    def arm(self, name: str) -> pd.DataFrame:
        """Summary of one arm by replicate."""
        table = self.summary
        return table[table["arm"] == name].set_index("replicate")

    @cached_property
    def effects(self) -> pd.DataFrame | None:
        """Paired effect and spread of every outcome; None for a plain run."""
        if len(self.plan.arms) < 2:
            return None
        table = paired_effects(self.arm(BASELINE), self.arm(WHAT_IF), families_of(self.outcomes), BOUNDS)
        table = table.set_index("outcome").loc[self.outcomes].reset_index()
        for prefix, name in (("baseline", BASELINE), ("treated", WHAT_IF)):
            part = spread(self.arm(name), self.outcomes).drop(columns="outcome")
            table = table.join(part.add_prefix(f"{prefix}_"))
        return table

    @property
    def cautions(self) -> list[str]:
        """What to be careful with where the headline outcomes, and effects on them, are read."""
        table, arms = self.effects, [self.arm(arm) for arm in self.plan.arms]
        missing = [line for arm in self.plan.arms for line in self._missing(arm)]
        if table is None or self.plan.replicates < 2:
            return missing
        shown = table[table["outcome"].isin(HEADLINE)]
        groups = [n for n in HEADLINE if any(bimodality(arm[n].to_numpy()) > TWO_GROUPS for arm in arms)]
        pairs = shown["n"][shown["n"] > 0]
        return missing + cautions(int(min(pairs, default=0)), list(shown["outcome"][shown["vrf"] <= 1.0]), groups)

    @property
    def idle(self) -> list[str]:
        """Arms in which no experiment was made, although some were funded."""
        return [a for a in self.plan.arms if self._untested(a) and self.arm(a)["experiments_requested"].any()]

    def _untested(self, arm: str) -> bool:
        return not self.arm(arm)["experiments_done"].any()

    def _missing(self, arm: str) -> list[str]:
        """Which headline outcomes no run of an arm has a value of, and what there was none of."""
        names = [name for name in HEADLINE if self.arm(arm)[name].isna().all()]
        models = (not self.plan.parameters.trainers.count, "there are no models")
        why = "; ".join(lines_where((self._untested(arm), "no experiment was made"), models))
        where = "in any run" + f" of the {arm}" * (len(self.plan.arms) > 1)
        return [f"no value {where}: {', '.join(names)}" + f" ({why})" * bool(why)] if names else []

    def first(self, arm: str) -> ArmResult:
        """First replicate of an arm."""
        return next(r for r in self.results if r.arm == arm)


Table = tuple[Sequence[str], list[list[str]], Sequence[int]]


def _effect(effect: Any) -> list[str]:
    """Return the cells of an outcome's effect."""
    means = [number(effect.baseline), number(effect.treated), number(effect.difference, "+")]
    return [effect.Index, *means, _interval(effect), number(effect.vrf), str(effect.n)]


def _interval(effect: Any) -> str:
    if effect.identical:
        return "identical  "
    if math.isnan(effect.low):
        return "-"
    return f"{effect.low:+.3g} to {effect.high:+.3g} {'*' if effect.low > 0 or effect.high < 0 else ' '}"


def _spread(row: Any) -> str:
    return f"{number(row.median)} ({number(row.p10)} to {number(row.p90)})"


def families_of(outcomes: Sequence[str]) -> list[list[str]]:
    """Families of outcomes whose intervals hold together: those that are printed, and every other one by itself."""
    printed = [name for name in HEADLINE if name in outcomes]
    return [printed, *([name] for name in outcomes if name not in printed)]


# --------------------------------------------------------------------------- running


def what_if(
    parameters: Parameters | None = None,
    *,
    policies: Iterable[Policy] = (),
    shocks: Iterable[Shock] = (),
    seed: int = DEFAULT_SEED,
    ticks: int = DEFAULT_TICKS,
    replicates: int = DEFAULT_PAIRS,
    space: MaterialsSpace | None = None,
    shocks_in_baseline: bool = True,
    jobs: int = 1,
    out: str | Path | None = None,
) -> Ensemble:
    """Ask a what-if: baseline and what-if on the same seeds, with paired differences, as ``mpbf run --policy`` does.

    Parameters
    ----------
    parameters : Parameters, optional
        Default: ``Parameters()``.
    policies : iterable of Policy
        What the what-if adds to the baseline. Without any there is one arm, which is described.
    shocks : iterable of Shock
        What happens in every run.
    seed : int
        Seed of the first pair; the others follow.
    ticks : int
        Horizon; one tick is about a month.
    replicates : int
        Pairs of runs; at least 2 for an interval.
    space : MaterialsSpace, optional
        Real data that every run shares; without it each seed has a separate synthetic space.
    shocks_in_baseline : bool
        False lets shocks happen in the what-if alone.
    jobs : int
        Processes; the numbers are the same for any number of them.
    out : path, optional
        Folder that keeps the runs, where the same call goes on; without one they are kept in memory.

    Returns
    -------
    Ensemble
        Tables `effects` (with the interval of each difference), `summary`, `series` and `families`. Its ``print`` is
        the text of ``mpbf run``, its ``plot()`` the overview figure.

    Raises
    ------
    ConfigurationError
        For any input that cannot be used, one line per fault.

    Examples
    --------
    >>> audits = [Policy("audits", start=1)]
    >>> asked = what_if(Parameters.preset("null"), policies=audits, ticks=2, replicates=2)
    >>> asked.effects.set_index("outcome").loc["found_share", "n"]
    np.int64(2)
    """
    events = listed(policies), listed(shocks)
    plan = WhatIf(parameters or Parameters(), seed, ticks, replicates, *events, space, shocks_in_baseline)
    plan.check()
    return run_plan(plan, jobs, out=None if out is None else Path(out))


def run_plan(plan: WhatIf, jobs: int = 1, progress: Progress | None = None, out: Path | None = None) -> Ensemble:
    """Run every arm and replicate of a plan.

    Parameters
    ----------
    plan : Plan
        Checked (:meth:`Plan.check`).
    jobs : int
        Processes; 1 runs in this one.
    progress : Progress, optional
    out : Path, optional
        Folder of results, in which the runs are kept (:func:`~mpbf_abm.studies.driver.answered`).

    Returns
    -------
    Ensemble
        The same for any number of jobs.
    """
    with answered(plan.study, out, workers=jobs, progress=progress, space=plan.space) as results:
        return ensemble_of(plan, results)


def ensemble_of(plan: WhatIf, results: Results) -> Ensemble:
    """Tables of the runs of a plan's study."""
    made = []
    for (a, arm), (i, seed) in product(enumerate(plan.arms), enumerate(plan.seeds)):
        noted = results.store.finished(results.plan.job(0, a, i).id, plan.study.recording)
        if noted is None:
            raise StoppedError(f"{results.store.path}: the run of {arm}, seed {seed}, is gone; run it again")
        made.append(arm_result(arm, i, seed, plan.study.recording.ticks, noted))
    return Ensemble(plan, tuple(made))


def arm_result(arm: str, replicate: int, seed: int, ticks: Sequence[int], noted: Returned) -> ArmResult:
    """Tables of one run, of what was noted of it (:data:`~mpbf_abm.studies.whatif.KEPT`)."""
    series = series_frame(ticks, np.asarray(noted.series))
    families, infrastructure = families_frame(noted.tables["families"]), noted.tables["infrastructure"]
    summary = {name: noted.outcomes[name] for name in OUTCOMES}
    return ArmResult(arm, replicate, seed, series, families, **infrastructure, summary=summary)


def keep_runs(plan: WhatIf, noted: Mapping[tuple[str, int], Returned], out: Path) -> None:
    """Put runs that were made elsewhere where ``mpbf run --out`` looks for them: in the folder `runs` of a result.

    Parameters
    ----------
    plan : Plan
    noted : mapping of (str, int) to Returned
        What was noted of each run, by arm and replicate.
    out : Path
    """
    runs, recording = StudyPlan(plan.study, plan.space), plan.study.recording
    with Store.open(out / RUNS / FILE, write=True) as store:
        claim(store, runs, Path(), alone=False)
        for (a, arm), i in product(enumerate(plan.arms), range(plan.replicates)):
            record = pack(noted[arm, i].outcomes, noted[arm, i].series, noted[arm, i].tables)
            store.add(runs.job(0, a, i), runs.key(0), arm, {}, record, recording)


# --------------------------------------------------------------------------- writing


def write_tables(ensemble: Ensemble, folder: Path) -> None:
    """Write series, families, summary, effects, parameters and the study of the same runs into a folder."""
    texts = {"parameters.toml": ensemble.plan.parameters.to_toml()}
    if ensemble.plan.space is None:
        texts["study.toml"] = write_study(plain_study(ensemble.plan))
    tables = {name: getattr(ensemble, name) for name in ("series", "families", "summary", "effects")}
    write_pages(folder, texts, {name: table for name, table in tables.items() if table is not None})


def write_provenance(ensemble: Ensemble, folder: Path) -> None:
    """Begin the record of a folder: the plan, and the id of every run."""
    (folder / RECORD).write_text(json.dumps(ensemble.plan.record(), allow_nan=False), encoding="utf-8")


def plain(value: Any) -> Any:
    """Make numbers fit for JSON: NaN and infinities become null."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value.item() if hasattr(value, "item") else value
