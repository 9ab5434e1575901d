"""Running an ecosystem: the function `simulate` and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError, refuse
from mpbf_abm.glance import PICTURES, Glance, Shown
from mpbf_abm.model.community import Community
from mpbf_abm.model.indicators import COLUMNS, REGISTERED, STANDARD, UNITS, observe
from mpbf_abm.model.interventions import Policy, listed
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.shocks import Shock
from mpbf_abm.model.spec import DEFAULT_TICKS, Rules, RunSpec, gathered
from mpbf_abm.parameters import Parameters
from mpbf_abm.processes import one_thread
from mpbf_abm.provenance import DEFAULT_SEED
from mpbf_abm.provenance import record as provenance_record

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mpbf_abm.model.ecosystem import Ecosystem

# Scalars of a run's summary, in order.
OUTCOMES = ("ticks", *STANDARD, "leading_family", "leading_share", "outages", "audits", "failed_retrainings")
# Those that people look at first.
HEADLINE = (
    "found_share",
    "acceleration_factor",
    "families_d1",
    "leading_share",
    "infeasible_share",
    "rmse_dense",
    "rmse_niche",
    "claimed_to_actual",
    "inherited_bias",
    "boundary_shift",
    "integrity",
    "integrity_gap",
    "tradeoff",
    "steering",
)


class Run(Shown):
    """Result of a run.

    Attributes
    ----------
    summary : dict
        Scalar outcomes at the end.
    provenance : dict
        Everything needed to run it again.
    community : Community
        The community at the end of the run.
    ecosystem : Ecosystem
        The same as a Mesa model, made when first asked for.
    spec : RunSpec
        What was run.
    """

    def __init__(self, ecosystem: Community, ticks: int, space: MaterialsSpace | None = None) -> None:
        self.community = ecosystem
        streams, agenda = ecosystem.world.streams, ecosystem.agenda
        self.spec = spec = RunSpec(
            ecosystem.parameters,
            streams.seed,
            ticks,
            agenda.policies,
            agenda.shocks,
            space,
            ecosystem.rules,
            streams.later,
        )
        self.summary = summarise(ecosystem)
        self.provenance = provenance_record(
            id=_id_of(spec),
            parameters=spec.parameters.model_dump(),
            changed=spec.parameters.changed(),
            seed=spec.seed,
            reseed=streams.later,
            ticks=ticks,
            policies=[e.model_dump() for e in agenda.policies],
            shocks=[e.model_dump() for e in agenda.shocks],
            record=list(ecosystem.recorder.tables),
            space=dict(ecosystem.world.space.origin),
            planners=[f"{t.__module__}.{t.__qualname__}" for t in ecosystem.rules],
        )

    def glance(self) -> Glance:
        """Return what was run, and the outcomes that people look at first."""
        rows = [[name, self.summary[name], UNITS[name]] for name in HEADLINE]
        return Glance(f"Run: {self.spec.words}", ("outcome", "value", "unit"), rows, right=(1,))

    def plot(self) -> Figure:
        """Draw the overview: layers, families, discovery, infrastructure, learning and outcomes."""
        return PICTURES["Run"](self)

    @cached_property
    def ecosystem(self) -> Ecosystem:
        """The community as a Mesa model."""
        from mpbf_abm.model.ecosystem import Ecosystem

        return self.community if isinstance(self.community, Ecosystem) else Ecosystem.around(self.community)

    @property
    def series(self) -> pd.DataFrame:
        """One row per tick: tick and one column per indicator."""
        rows = self.community.recorder.series
        columns = list(rows[0][1]) if rows else COLUMNS
        values = np.array([[found[c] for c in columns] for _, found in rows]).reshape(len(rows), len(columns))
        return series_frame([tick for tick, _ in rows], values, columns)

    @property
    def families(self) -> pd.DataFrame:
        """One row per tick and family: records alive, experiments and discoveries so far, share of records."""
        return families_frame(families_table(self.community)).drop(columns="name")

    @property
    def agents(self) -> pd.DataFrame:
        """One row per tick and agent (empty unless ``record`` asked for it)."""
        import pandas as pd

        parts = [
            pd.DataFrame({"tick": tick, "kind": kind, **columns})
            for tick, cohorts in self.community.recorder.agents
            for kind, columns in cohorts.items()
        ]
        first = ["tick", "kind", "id"]
        if not parts:
            return pd.DataFrame(columns=first)
        table = pd.concat(parts, ignore_index=True)
        return table[first + [c for c in table.columns if c not in first]]

    @property
    def properties(self) -> pd.DataFrame:
        """One row per tick and property: what was labelled, sought and found (empty unless ``record`` asked for it)."""
        import pandas as pd

        parts = [
            pd.DataFrame({"tick": tick, "property": np.arange(len(columns["found"])), **columns})
            for tick, columns in self.community.recorder.properties
        ]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["tick", "property"])

    def replay(self) -> Run:
        """Run it again from the same inputs; the result has equal bytes."""
        return simulate(self.spec, record=self.community.recorder.tables)


FAMILY_COLUMNS = ("records", "experiments", "found")


def families_table(ecosystem: Community) -> dict[str, Any]:
    """Names of families; records alive, experiments and discoveries of each after each recorded tick (T, K)."""
    rows, space = ecosystem.recorder.families, ecosystem.world.space
    columns = {n: [row[i] for row in rows] for i, n in enumerate(FAMILY_COLUMNS, 1)}
    arrays = {n: np.array(column, np.int64).reshape(-1, space.families) for n, column in columns.items()}
    return {"tick": np.array([row[0] for row in rows], np.int64), "names": list(space.family_names), **arrays}


def series_frame(ticks: Sequence[int], values: NDArray[np.float64], columns: Sequence[str] = STANDARD) -> pd.DataFrame:
    """One row per tick: tick and one column per indicator, of values (T, indicators)."""
    import pandas as pd

    frame = pd.DataFrame(values, columns=list(columns))
    frame.insert(0, "tick", np.asarray(ticks, np.int64))
    return frame


def families_frame(table: Mapping[str, Any]) -> pd.DataFrame:
    """One row per tick and family of a :func:`families_table`: its columns, name and share of records."""
    import pandas as pd

    records = table["records"]
    T, K = records.shape
    total = np.maximum(records.sum(axis=1, keepdims=True), 1)
    return pd.DataFrame(
        {
            "tick": np.repeat(table["tick"], K),
            "family": np.tile(np.arange(K), T),
            "name": np.tile(np.array(table["names"], object), T),
            **{name: table[name].ravel() for name in FAMILY_COLUMNS},
            "share": (records / total).ravel(),
        }
    )


def _id_of(spec: RunSpec) -> str | None:
    """Id of a run; None with rules that cannot be distinguished from others, which only a study has to refuse."""
    with suppress(ConfigurationError):
        return spec.id
    return None


def outcome_names() -> tuple[str, ...]:
    """Return outcomes of a run by name, with the indicators that users have registered."""
    return (*OUTCOMES, *REGISTERED)


def summarise(ecosystem: Community) -> dict[str, float]:
    """Scalar outcomes: every indicator at the end, and what defines the run's fate."""
    world = ecosystem.world
    last = ecosystem.recorder.series[-1][1] if ecosystem.recorder.series else observe(world)
    records, totals = world.commons.records_by_family(), world.totals
    all_records = records.sum()
    return {
        "ticks": float(world.tick),
        **last,
        "leading_family": float(np.argmax(records)) if all_records else float("nan"),
        "leading_share": float(records.max() / all_records) if all_records else float("nan"),
        "outages": float(totals.outages),
        "audits": float(totals.audits),
        "failed_retrainings": float(totals.failed_retrainings),
    }


def simulate(
    parameters: Parameters | RunSpec | None = None,
    *,
    seed: int | None = None,
    ticks: int | None = None,
    policies: Iterable[Policy] = (),
    shocks: Iterable[Shock] = (),
    space: MaterialsSpace | None = None,
    record: Sequence[str] | None = None,
    planners: Rules = (),
    curators: Rules = (),
    trainers: Rules = (),
    reseed: Mapping[int, int] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Run:
    """Run an ecosystem.

    Parameters
    ----------
    parameters : Parameters or RunSpec, optional
        Default: ``Parameters()``. A :class:`RunSpec` says all that follows but `record` and `progress`.
    seed : int, optional
        Root seed (default: 1). Equal seeds share every draw (common random numbers), whatever else differs.
    ticks : int, optional
        Horizon (default: 120); one tick is about a month.
    policies, shocks : sequences of Policy and Shock, optional
    space : MaterialsSpace, optional
        Default: a synthetic one generated from the parameters and the seed.
    record : sequence of str, optional
        Tables to record (series, families, agents, properties); an empty one observes the end only.
    planners, curators, trainers, reseed
        See :class:`Community`.
    progress : callable, optional
        Called with the tick after each tick.

    Returns
    -------
    Run

    Raises
    ------
    ConfigurationError
        For any input that cannot be used, one line per fault.

    Examples
    --------
    >>> run = simulate(Parameters.preset("quick"), seed=1, ticks=2)
    >>> len(run.series)
    2
    >>> simulate(run.spec).series.equals(run.series)
    True
    """
    events, rules = (listed(policies), listed(shocks)), gathered(planners, curators, trainers)
    if isinstance(parameters, RunSpec):
        spec, beside = parameters, (seed, ticks, *events, space is None, rules, reseed)
        said = "simulate: a RunSpec says all of a run; use spec.changed(seed=...) for another one"
        refuse(beside != (None, None, (), (), True, (), None), said)
    else:
        seed, ticks = DEFAULT_SEED if seed is None else seed, DEFAULT_TICKS if ticks is None else ticks
        spec = RunSpec(parameters or Parameters(), seed, ticks, *events, space, rules, dict(reseed or {}))
    spec.check()
    ecosystem = begin(spec, record=record)
    with one_thread():
        for _ in range(int(spec.ticks)):
            ecosystem.step()
            if progress is not None:
                progress(ecosystem.tick)
    return Run(ecosystem, int(spec.ticks), spec.space)


def begin(spec: RunSpec, *, space: MaterialsSpace | None = None, record: Sequence[str] | None = None) -> Community:
    """Found the community of a run, before its first tick.

    Parameters
    ----------
    spec : RunSpec
    space : MaterialsSpace, optional
        Those of the run, where they are at hand already.
    record : sequence of str, optional
    """
    return Community(
        spec.parameters,
        spec.seed,
        policies=spec.policies,
        shocks=spec.shocks,
        space=spec.space if space is None else space,
        record=record,
        planners=spec.rules,
        reseed=spec.reseed,
    )
