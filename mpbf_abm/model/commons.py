"""The commons: an append-only store of records, shared by all agents.

Records are columns. What agents need of them is kept incrementally: family counts, coverage,
consensus values, overlaps of simulated and measured labels. It is kept by repository, so that a
repository can be taken away without a rescan. Indexes are brought up to date when they are
read: a community without models pays for counts only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Bool, Float, Int, kernel
from mpbf_abm.model.holdings import Holdings
from mpbf_abm.model.materials import MaterialsSpace, Truth
from mpbf_abm.model.modalities import FIDELITIES, FIDELITY, MEASURED, SIMULATED, SIMULATED_SHARE
from mpbf_abm.streams import Streams

LITERATURE, SIMULATION, EXPERIMENT, GENERATED, FAILED = range(5)
ORIGINS = ("literature", "simulation", "experiment", "model-generated", "failed")
FOUNDER, CURATOR, PLANNER = range(3)

COLUMNS: dict[str, Any] = {
    "key": np.uint64,
    "material": np.int64,
    "family": np.int32,
    "property": np.int8,
    "modality": np.int8,
    "value": np.float32,
    "variance": np.float32,
    "origin": np.int8,
    "repository": np.int32,
    "producer": np.int32,
    "tick": np.int32,
    "federated": np.bool_,
    "corrupted": np.bool_,
    "audited": np.bool_,
    "retracted": np.bool_,
    "alive": np.bool_,
}
UNMARKED: dict[str, Any] = {"property": 0} | dict.fromkeys(("federated", "corrupted", "audited", "retracted"), False)
SHRINK = 5.0  # overlaps at which an estimated bias counts half


def record_keys(kind: int, slot: Int | int, tick: int, index: Int | int) -> NDArray[np.uint64]:
    """Identity of records: (producer kind, producer slot, tick, index), packed in 64 bits."""
    packed = (np.asarray(slot, np.int64) << 36) | np.int64(tick << 16) | index
    return packed.astype(np.uint64) | np.uint64(kind << 60)


def distinct(numbers: Int) -> Int:
    """Distinct numbers in ascending order: ``np.unique`` without its fixed cost, for few numbers."""
    if len(numbers) < 2:
        return numbers
    ordered = np.sort(numbers)
    first = np.empty(len(ordered), bool)
    first[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


@kernel
def harmonise(
    value: NDArray[np.float32], modality: NDArray[np.int8], cell: NDArray[np.integer[Any]], bias: Float
) -> NDArray[np.float32]:
    """Values (n,) less the bias of their cells (T K,), as far as labels of their modality are simulated."""
    return np.asarray(value - SIMULATED_SHARE[modality] * bias[cell], np.float32)


@kernel
def overlaps(both: Bool, weight: Float, value: Float) -> tuple[Float, Float, Float, Float]:
    """Return the gap between simulated and measured labels (NaN without both), its agreement, weight and noise (m,).

    Parameters
    ----------
    both : bool (m,)
        Pairs of a property and a material with labels of both kinds.
    weight, value : float (m, 3)
        Sums of precisions, and of precisions times labels, by fidelity.
    """
    mean = value / np.maximum(weight, 1e-6)
    gap = np.where(both, mean[:, SIMULATED] - mean[:, MEASURED], np.nan)
    total = np.where(both, weight[:, SIMULATED], 0.0)
    noise = np.where(both, 1.0 / np.maximum(weight[:, MEASURED], 1e-6), 0.0)
    return gap, total * np.exp(-0.5 * np.where(both, gap, 0.0) ** 2), total, noise


class Commons:
    """Records and what follows from them.

    Parameters
    ----------
    space : MaterialsSpace
    repositories : int
        Number of repositories R. Federated records are counted in a separate row, R.
    mass : float array (K,)
        Virtual founding mass of each family.
    streams : Streams
        Source of the records' keyed uniforms.
    truth : Truth, optional
        Properties in force, shared with the world; those of the space if not given.

    Attributes
    ----------
    down : bool (R,)
        Repositories that do not answer: the one place that says so.
        Whoever changes it, or the truth, calls :meth:`notice`.
    tested : bool (T N,)
        Pairs of a property and a material with a published measured label; of all properties after a published failure.
    untested : int (T K,)
        Materials of each family that are not yet tested for each property.
    """

    def __init__(
        self, space: MaterialsSpace, repositories: int, mass: Float, streams: Streams, truth: Truth | None = None
    ) -> None:
        self.space, self.streams, self.repositories = space, streams, repositories
        self.mass = mass.astype(np.float64).copy()
        self._columns = {name: np.zeros(1024, kind) for name, kind in (COLUMNS | {"order": np.float64}).items()}
        self.size = 0
        self.down = np.zeros(repositories, bool)
        self.truth = truth or Truth.of(space)
        # What the indexes below were made for.
        self._working = np.ones(repositories, bool)
        self._property = self.truth.property
        self.counts = np.zeros((repositories + 1, space.families), np.int64)
        pairs, cells = space.properties * space.size, space.properties * space.families
        self.tested = np.zeros(pairs, bool)
        self.untested = np.tile(space.family_sizes, space.properties)
        self._visible = self.mass.copy()
        self._indexed = 0  # records in the material index
        self._hashed = 0  # records with a uniform
        # Sparse in memory: pages of zeros without a write are never allocated. Counts say
        # where labels are, since sums of precisions leave residues when records go.
        self.labels = np.zeros((pairs, repositories + 1, len(FIDELITIES)), np.int32)
        self.precision = np.zeros(self.labels.shape)
        self.precision_value = np.zeros(self.labels.shape)
        self.material_records = np.zeros(space.size, np.int32)
        self.distinct = np.zeros(space.families, np.int64)
        self._holdings = Holdings(space.size, repositories)
        self._modality_counts = np.zeros(len(FIDELITY), np.int64)
        self._gap = np.full(pairs, np.nan)
        self._close = np.zeros(pairs)
        self._close_weight = np.zeros(pairs)
        self._noise = np.zeros(pairs)
        # Of the gaps of a cell: how many, their sum and that of squares less their noise.
        self._gap_count, self._gap_sum, self._gap_square = np.zeros((3, cells))
        self._close_sum = self._close_total = 0.0
        self._agree_sum = self._agree_total = 0.0

    # ------------------------------------------------------------------ records

    def __getattr__(self, name: str) -> NDArray[Any]:
        columns: dict[str, NDArray[Any]] = self.__dict__.get("_columns", {})
        if name not in columns:
            raise AttributeError(name)
        return columns[name][: self.size]

    def __len__(self) -> int:
        return self.size

    def append(self, **values: Any) -> slice:
        """Add records, given as one array or scalar per column; returns their rows.

        Columns left out are false, except ``alive``. ``family`` follows from the material.
        """
        self.notice()
        material = values["material"]
        family = self.space.family[material]
        rows = slice(self.size, self.size + len(material))
        while rows.stop > len(self._columns["key"]):
            for name, column in self._columns.items():
                self._columns[name] = np.concatenate([column, np.zeros_like(column)])
        for name, value in (UNMARKED | {"family": family, "alive": True} | values).items():
            self._columns[name][rows] = value
        self.size = rows.stop
        np.add.at(self.counts, (self._home(rows), family), 1)
        if self._working.all():
            np.add.at(self._visible, family, 1.0)
        else:
            self.recount()
        modality, origin = values["modality"], values["origin"]
        failed = np.broadcast_to(origin == FAILED, material.shape)
        tests = (FIDELITY[modality] == MEASURED) & (origin != GENERATED) | failed
        if tests.any():
            self.know(self.tests(self.pairs(rows)[tests], failed[tests]))
        return rows

    def tests(self, pairs: Int, failed: Bool) -> Int:
        """Pairs that tests of some pairs speak of: a material that could not be made has no property at all."""
        if self.space.properties == 1 or not failed.any():
            return pairs
        return np.concatenate([pairs[~failed], self.space.each(pairs[failed] % self.space.size)])

    def know(self, pairs: Int) -> None:
        """Mark pairs as publicly tested."""
        fresh = distinct(pairs[~self.tested[pairs]])
        self.tested[fresh] = True
        np.subtract.at(self.untested, self.space.cells(fresh), 1)

    def pairs(self, rows: Int | slice) -> Int:
        """Pairs of property and material that records are of (n,)."""
        return self.space.pairs(self.property[rows], self.material[rows])

    def remove(self, rows: Int, *, retracted: bool = False) -> None:
        """Take records out (obsolete or retracted); their tests stay known."""
        rows = rows[self._columns["alive"][rows]]
        if not len(rows):
            return
        self._settle()
        home, family = self._home(rows), self.family[rows]
        np.subtract.at(self.counts, (home, family), 1)
        self._index(rows, -1)
        self._columns["alive"][rows] = False
        self._columns["retracted"][rows] |= retracted
        self.recount()
        if self.size > 20_000 and self.alive.mean() < 0.5:
            self._compact()

    def rewrite(self, rows: Int, value: NDArray[Any], variance: NDArray[Any], **flags: Any) -> None:
        """Replace the values of records (audit, poisoning), keeping every index right."""
        self._settle()
        self._index(rows, -1)
        self._columns["value"][rows] = value
        self._columns["variance"][rows] = variance
        for name, flag in flags.items():
            self._columns[name][rows] = flag
        self._index(rows, +1)

    def move(self, rows: Int, repository: int) -> None:
        """Hand records over to a repository, keeping every index right."""
        self._settle()
        self._index(rows, -1)
        np.subtract.at(self.counts, (self._home(rows), self.family[rows]), 1)
        self._columns["repository"][rows] = repository
        np.add.at(self.counts, (self._home(rows), self.family[rows]), 1)
        self._index(rows, +1)
        self.recount()

    def _compact(self) -> None:
        self._settle()
        self.uniform()
        kept = np.flatnonzero(self.alive)
        for column in self._columns.values():
            column[: len(kept)] = column[kept]
        self.size = self._indexed = self._hashed = len(kept)

    # ------------------------------------------------------------------ who sees what

    def notice(self) -> None:
        """Bring the indexes in step with who answers and with the truth.

        What only silent repositories hold is out of sight.

        Every reading does so, too.
        """
        if self._property is not self.truth.property:
            self._index_fresh()
            self._judge()
        working = ~self.down
        if np.array_equal(working, self._working):
            return
        self._index_fresh()
        changed = np.append(working != self._working, working.any() != self._working.any())
        self._holdings.answer(working, self.material[self.alive])
        held = np.flatnonzero(changed[self._home(slice(0, self.size))] & self.alive)
        touched = distinct(self.pairs(held))
        self._working = working
        self.recount()
        self._reconcile(touched)

    def recount(self) -> None:
        """Count anew what is in sight of each family, founding mass included."""
        self._visible = self.mass + self.counts[np.append(self._working, self._working.any())].sum(axis=0)

    def visible(self) -> Float:
        """Founding mass plus visible records of each family, x_k (K,). Do not change in place."""
        self.notice()
        return self._visible

    def records_by_family(self) -> Int:
        """Records alive in each family, visible or not (K,)."""
        return np.asarray(self.counts.sum(axis=0))

    def reachable(self, repositories: Bool) -> Int:
        """Rows that a trainer linked to some working repositories can read, with a label.

        Parameters
        ----------
        repositories : bool (R,)
            The trainer's working providers. Federated records are reachable through any of them.
        """
        return np.flatnonzero(self._reached(repositories) & (self.origin != FAILED))

    def trials(self, repositories: Bool) -> Int:
        """Rows that tell such a trainer what can be made: measured labels and failures, one of each material."""
        return self.once(np.flatnonzero(self._reached(repositories) & (FIDELITY[self.modality] == MEASURED)))

    def _reached(self, repositories: Bool) -> Bool:
        reached = (repositories[self.repository] | self.federated) & repositories.any()
        return np.asarray(self.alive & reached)

    def once(self, rows: Int) -> Int:
        """Return the first row of each material, in the order of rows."""
        return rows[np.sort(np.unique(self.material[rows], return_index=True)[1])]

    def uniform(self) -> Float:
        """Keyed uniform number of every record, the order in which subsamples take them (n,)."""
        if self._hashed < self.size:
            fresh = slice(self._hashed, self.size)
            self.order[fresh] = self.streams.record_uniform("commons.order", self.key[fresh])
            self._hashed = self.size
        return self.order

    # ------------------------------------------------------------------ the material index

    @property
    def modality_counts(self) -> Int:
        """Records alive of each modality (6,)."""
        self._settle()
        return self._modality_counts

    def _home(self, rows: Int | slice) -> Int:
        return np.where(self.federated[rows], self.repositories, self.repository[rows])

    def _settle(self) -> None:
        self.notice()
        self._index_fresh()

    def _index_fresh(self) -> None:
        if self._indexed < self.size:
            fresh = slice(self._indexed, self.size)
            self._indexed = self.size
            alive = self.alive[fresh]
            self._index(fresh if alive.all() else fresh.start + np.flatnonzero(alive), +1)

    def _index(self, rows: Int | slice, sign: int) -> None:
        """Add (or take away) records in the sums by material."""
        material, modality, labelled = self.material[rows], self.modality[rows], self.origin[rows] != FAILED
        self._modality_counts += sign * np.bincount(modality, minlength=len(FIDELITY))
        self._holdings.enter(material, self.repository[rows], self.federated[rows], sign)
        # Materials whose first record comes or whose last one goes.
        records = self.material_records
        unknown = records[material] == 0
        np.add.at(records, material, np.int32(sign))
        turned = material[unknown if sign > 0 else records[material] == 0]
        if len(turned):
            np.add.at(self.distinct, self.space.family[distinct(turned)], sign)
        home, value, variance = self._home(rows), self.value[rows], self.variance[rows]
        pair = self.pairs(rows)
        if not labelled.all():
            pair, modality, home, value, variance = (a[labelled] for a in (pair, modality, home, value, variance))
        weight = sign / np.maximum(variance.astype(np.float64), 1e-6)
        spot = (pair * (self.repositories + 1) + home) * len(FIDELITIES) + FIDELITY[modality]
        np.add.at(self.labels.reshape(-1), spot, np.int32(sign))
        np.add.at(self.precision.reshape(-1), spot, weight)
        np.add.at(self.precision_value.reshape(-1), spot, weight * value)
        self._weigh(pair, value, weight)
        self._reconcile(pair)

    def _weigh(self, pair: Int, value: NDArray[np.float32], weight: Float) -> None:
        """Add labels to the sums of agreement with the property in force."""
        agree = np.exp(-0.5 * (value - self._property[pair]).astype(np.float64) ** 2)
        self._agree_sum += float(weight @ agree)
        self._agree_total += float(weight.sum())

    def _overlap(self, pairs: Int, rows: Any) -> Bool:
        """Return which pairs have simulated and measured labels in some repositories."""
        count = self.labels[pairs][:, rows].sum(axis=1)
        return np.asarray((count[:, SIMULATED] > 0) & (count[:, MEASURED] > 0))

    def _reconcile(self, pairs: Int) -> None:
        """Bring the overlaps of simulated and measured labels up to date for some pairs."""
        rows: Any = slice(None) if self._working.all() else np.append(self._working, self._working.any())

        pairs = distinct(pairs[self._overlap(pairs, rows) | ~np.isnan(self._gap[pairs])])
        if not len(pairs):
            return  # as for most records
        both = self._overlap(pairs, rows)
        weight, value = (a[pairs][:, rows].sum(axis=1) for a in (self.precision, self.precision_value))
        gap, close, total, noise = overlaps(both, weight, value)
        cell, old = self.space.cells(pairs), self._gap[pairs]
        had = ~np.isnan(old)
        np.add.at(self._gap_sum, cell, np.where(both, gap, 0.0) - np.where(had, old, 0.0))
        np.add.at(self._gap_count, cell, both.astype(np.float64) - had)
        square = np.where(both, gap**2, 0.0) - np.where(had, old**2, 0.0)
        np.add.at(self._gap_square, cell, square - noise + self._noise[pairs])
        self._close_sum += float(np.add.reduce(close - self._close[pairs]))
        self._close_total += float(np.add.reduce(total - self._close_weight[pairs]))
        self._gap[pairs], self._noise[pairs] = gap, noise
        self._close[pairs], self._close_weight[pairs] = close, total
        if not self._gap_count.any():
            self._close_sum = self._close_total = 0.0  # no overlap, no residue

    # ------------------------------------------------------------------ what follows from the index

    @property
    def holdings(self) -> Holdings:
        """Materials by repository."""
        self._settle()
        return self._holdings

    def distinct_materials(self) -> Int:
        """V_k: distinct materials with records in each family (K,)."""
        self._settle()
        return self.distinct

    def estimated_bias(self) -> Float:
        """Mean simulation bias of each cell as overlaps allow, shrunk to the mean of its property (T K,)."""
        self._settle()
        total, count = self.space.by_property(self._gap_sum), self.space.by_property(self._gap_count)
        overall = total.sum(axis=1, keepdims=True) / (count.sum(axis=1, keepdims=True) + SHRINK)
        family = (total - count * overall) / (count + SHRINK)
        return np.asarray((overall + family).ravel())

    def bias_left(self, strength: float) -> Float:
        """Mean square of the bias that harmonising leaves in each cell (T K,).

        That of few overlaps is shrunk to that of the property, and this to that of all.

        The mean square of gaps less `strength` times the estimated bias, and less the noise of their measured labels.
        """
        estimate = strength * self.estimated_bias()
        left = self._gap_square - 2 * estimate * self._gap_sum + self._gap_count * estimate**2
        total, count = self.space.by_property(left), self.space.by_property(self._gap_count)
        overall = total.sum() / max(float(count.sum()), 1.0)
        for axes in ((1,), ()):
            spread, number = total.sum(axis=axes, keepdims=True), count.sum(axis=axes, keepdims=True)
            overall = (spread + SHRINK * overall) / (number + SHRINK)
        return np.asarray(np.maximum(overall, 0.0).ravel())

    def harmonised(self, rows: Int, strength: float) -> NDArray[np.float32]:
        """Values of some records after subtracting `strength` times the estimated bias."""
        value = self.value[rows]
        if strength == 0:
            return value
        cells = self.space.cells(self.pairs(rows))
        return harmonise(value, self.modality[rows], cells, strength * self.estimated_bias())

    def perceived_fidelity(self, prior: float) -> float:
        """Fidelity of simulated labels judged by the measured labels in view.

        The prior counts as `prior` records of perfect fidelity and average weight.
        """
        self._settle()
        n = self._gap_count.sum()
        if not (prior or n):
            return 1.0
        weight = prior * (self._close_total / n if n > 0 else 1.0)
        return float((self._close_sum + weight) / (self._close_total + weight))

    def true_fidelity(self) -> float:
        """F: weighted share of records that agree with the true property; 1 without records."""
        self._settle()
        return self._agree_sum / self._agree_total if self._agree_total > 1e-9 else 1.0

    def _judge(self) -> None:
        """Judge records against the property in force."""
        self._property = self.truth.property
        self._agree_sum = self._agree_total = 0.0
        rows = np.flatnonzero(self.alive & (self.origin != FAILED))
        weight = 1.0 / np.maximum(self.variance[rows].astype(np.float64), 1e-6)
        self._weigh(self.pairs(rows), self.value[rows], weight)
