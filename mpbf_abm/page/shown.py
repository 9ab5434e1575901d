"""What a page shows of an order: the pairs of runs that are there, as the tables that its pictures are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from mpbf_abm.figures import overview
from mpbf_abm.figures.style import records
from mpbf_abm.measures.networks import FLOWS
from mpbf_abm.page.history import History
from mpbf_abm.page.scenario import Scenario
from mpbf_abm.stats.estimates import mean_estimate
from mpbf_abm.studies.definition import BASELINE, WHAT_IF
from mpbf_abm.studies.whatif import Ensemble

FLOW_WINDOW = 12  # ticks over which flows are averaged: models are retrained once in as many
MARKED = 2  # nodes of a kind with most users, which are marked

Pair = tuple[str, int]


@dataclass(frozen=True)
class Shown:
    """A scenario and its runs so far; only whole pairs count.

    Attributes
    ----------
    scenario : Scenario
    histories : dict
        By arm and replicate.
    drawn : dict
        Pictures that were made already.
    """

    scenario: Scenario
    histories: Mapping[Pair, History]
    drawn: dict[Any, str] = field(default_factory=dict, compare=False)

    @cached_property
    def arms(self) -> list[str]:
        """Return arms of the plan."""
        return list(self.scenario.plan.arms)

    @cached_property
    def replicates(self) -> list[int]:
        """Return replicates of which every arm is there."""
        return [i for i in range(self.scenario.replicates) if all((a, i) in self.histories for a in self.arms)]

    @property
    def whole(self) -> bool:
        """Return whether nothing is missing."""
        return len(self.replicates) == self.scenario.replicates

    @property
    def what_if(self) -> bool:
        """Return whether two arms are compared."""
        return len(self.arms) > 1

    @property
    def last_arm(self) -> str:
        """Return the what-if, or the only arm."""
        return self.arms[-1]

    @cached_property
    def ensemble(self) -> Ensemble:
        """Return tables as ``mpbf run`` has them."""
        plan = replace(self.scenario.plan, replicates=len(self.replicates))
        return Ensemble(plan, tuple(self.histories[a, i].as_arm(a, i) for a in self.arms for i in self.replicates))

    @cached_property
    def effects(self) -> dict[str, dict[str, Any]] | None:
        """Return the paired effect of each outcome, as ``mpbf run`` has them; of a single pair the difference alone."""
        table = self.ensemble.effects
        return None if table is None else {str(row["outcome"]): row for row in records(table)}

    def bands(self, quantities: Sequence[str], arms: Sequence[str]) -> pd.DataFrame:
        """Return the median and 10-90 % range over time of the arms that are looked at."""
        series = self.ensemble.series
        return overview.bands(series[series["arm"].isin(arms)], quantities)

    def values(self, quantity: str, arm: str) -> np.ndarray[Any, Any]:
        """Return one indicator along the runs of an arm (replicates, ticks)."""
        series = [self.histories[arm, i].result.series for i in self.replicates]
        return np.stack([table[quantity].to_numpy(np.float64) for table in series])

    def gaps(self, quantities: Sequence[str]) -> pd.DataFrame:
        """Return paired differences over time: quantity, tick, difference, low, high (95 %, each tick for itself)."""
        parts = []
        for quantity in quantities:
            gap = self.values(quantity, WHAT_IF) - self.values(quantity, BASELINE)
            rows = [mean_estimate(column[np.isfinite(column)]) for column in gap.T]
            part = pd.DataFrame([(e.value, e.low, e.high) for e in rows], columns=["difference", "low", "high"])
            parts.append(part.assign(quantity=quantity, tick=np.arange(gap.shape[1])))
        return pd.concat(parts, ignore_index=True)

    # ------------------------------------------------------------------ at a tick

    def flow_values(self, flow: str, arm: str, tick: int) -> np.ndarray[Any, Any]:
        """Return the mean of a flow over the last ticks up to one (replicates,)."""
        first = max(0, tick + 1 - FLOW_WINDOW)
        flows = [self.histories[arm, i].flows[flow].to_numpy() for i in self.replicates]
        return np.array([flow[first : tick + 1].mean() for flow in flows])

    def flow_table(self, arm: str, tick: int) -> pd.DataFrame:
        """Return flows per tick with their intervals over replicates, indexed by flow."""
        rows = {
            flow: (*about, e.value, e.low, e.high)
            for flow, about in FLOWS.items()
            for e in [mean_estimate(self.flow_values(flow, arm, tick))]
        }
        return pd.DataFrame.from_dict(
            rows, orient="index", columns=["from", "to", "unit", "what", "per_tick", "low", "high"]
        )

    def network(self, arm: str, replicate: int, tick: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return nodes and links after a tick, with their places; ``mark`` is true of those with most users."""
        nodes, edges = self.histories[arm, replicate].links[tick].tables()
        placed = overview.place(nodes, edges)
        mark = np.zeros(len(placed), bool)
        for kind in ("repository", "model"):
            mine = placed[(placed["kind"] == kind) & (placed["load"] > 0)]
            mark[mine.sort_values(["load", "id"], ascending=[False, True]).index[:MARKED]] = True
        return placed.assign(mark=mark), overview.place_edges(placed, edges)

    def new_links(self, replicate: int, tick: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the network of the what-if; ``new`` is true of links that the baseline has not."""
        ends = ["provider_kind", "provider", "user_kind", "user"]
        _, before = self.network(BASELINE, replicate, tick)
        nodes, edges = self.network(WHAT_IF, replicate, tick)
        known = set(before[ends].itertuples(index=False, name=None))
        return nodes, edges.assign(new=[row not in known for row in edges[ends].itertuples(index=False, name=None)])

    def family_counts(self, arm: str, replicate: int, tick: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Return experiments and discoveries so far in each family (K,)."""
        history = self.histories[arm, replicate]
        K = len(history.places)
        rows = history.result.families.iloc[tick * K : (tick + 1) * K]
        return rows["experiments"].to_numpy(), rows["found"].to_numpy()
