"""The materials space: arrays that every agent works on and none of them owns."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Bool, Float, Float32, Int, kernel
from mpbf_abm.data import synthetic
from mpbf_abm.data.synthetic import Quantity
from mpbf_abm.errors import DataError, lines_where, refuse
from mpbf_abm.glance import Glance, Shown
from mpbf_abm.parameters import Parameters, SpaceParameters
from mpbf_abm.processes import one_thread
from mpbf_abm.provenance import DEFAULT_SEED
from mpbf_abm.streams import Streams

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd


BLOCKS = ("quantum", "meso", "gauge", "spurious")
NEIGHBOUR_WINDOW = 32
NEIGHBOURS = 5
KEPT_NOISE = 2**24  # numbers of noise that are kept, in 64 MB; more are drawn when they are needed
# What a run can see of the materials (beside the sizes of blocks and whether they are simulated).
CONTENT = (
    "descriptors",
    "start",
    "property",
    "simulated",
    "difficulty",
    "feasible",
    "proxy",
    "similarity",
    "family_keys",
    "material_keys",
    "top",
    "dense",
    "year",
)


@dataclass(frozen=True)
class Observation:
    """How descriptors are observed: the blocks, amplified, in a wider descriptor with noise of unit variance.

    ``x = a c + sqrt(1 - v) e_m + sqrt(v) e_r``: c are the blocks (with columns of zeros behind them), e_m is a function
    of the material and e_r of the observation. Every learner here is indifferent to rotations of x, so that the blocks
    may stand in the first columns: no learner sees where they are. (An axis would tell them apart by its range, so the
    encoder without pretraining has one scale for all columns.)

    Attributes
    ----------
    width : int
        Columns d.
    signal : float
        Amplitude a of the blocks.
    curvature : float
        Epsilon of a non-linear observation: blocks c are seen as ``c + epsilon tanh(c)``.
    view_noise : float
        Share v of the noise's variance that differs between observations.
    streams : Streams
        Of the space, from which the noise of materials is drawn.
    keys : uint64 (N,)
        Whose noise a material has: near-duplicates have that of the material they copy.
    """

    width: int
    signal: float
    curvature: float
    view_noise: float
    streams: Streams
    keys: NDArray[np.uint64]

    def noise(self, materials: Int) -> Float32:
        """Noise e_m of some materials (n, d)."""
        return self._drawn(self.keys[materials]) if self._kept is None else self._kept[materials]

    def _drawn(self, keys: NDArray[np.uint64]) -> Float32:
        return self.streams.record_normal("space.noise", keys, self.width)

    @cached_property
    def _kept(self) -> Float32 | None:
        """Noise of all materials, where that is not too much to keep (N, d)."""
        return self._drawn(self.keys) if self.keeps else None

    @property
    def keeps(self) -> bool:
        """Whether the noise of all materials is not too much to keep."""
        return len(self.keys) * self.width <= KEPT_NOISE


@dataclass(frozen=True, repr=False)
class MaterialsSpace(Shown):
    """Materials, their descriptors and properties, grouped in families.

    Materials of one family are contiguous: family ``k`` holds rows ``start[k]`` to
    ``start[k + 1] - 1``. Nothing here changes during a run.

    Attributes
    ----------
    descriptors : float32 (N, dq + dm + ds)
        Stored descriptor columns: the blocks ``quantum``, ``meso`` and ``spurious`` in this order.
        The ``gauge`` block (orientation, cell choice) carries no information, is a function of
        the record and is never stored.
    dims : mapping of str to int
        Width of each of the four blocks.
    start : int (K + 1,)
        First row of each family, and N.
    property : float32 (T N,)
        The T properties sought, one after the other, each standardised over the space (larger is better). What is
        said of a property and a material stands at their *pair*, ``property * N + material``.
    simulated : float32 (T N,)
        What a simulation reports for them, in the same unit, bias included.
    difficulty : float32 (N,)
        Factor on the noise of a measurement.
    feasible : bool (N,)
        Whether the material can be made.
    proxy : float32 (T N,)
        A misaligned objective for each property, standardised, uncorrelated with it.
    similarity : float64 (K, K)
        Row-normalised weights of the family similarity graph, zero diagonal (a family without
        neighbours keeps its own weight).
    family_keys : int (K,)
        Identity of each family in keyed draws; moves with the family when families are relabelled.
    material_keys : int (N,)
        Identity of each material in keyed draws; moves with the material likewise.
    top : bool (T N,)
        The top set of each property: the best share of the feasible materials.
    dense : bool (K,)
        Families that are large for historical reasons (top share by size).
    family_names : tuple of str
        Readable names of the families.
    names : sequence of str, optional
        Readable names of the materials (formulas).
    year : int (N,), optional
        Year of first report, where known.
    quantities : tuple of Quantity (T,)
        Name and unit of each property, and its mean and standard deviation in the unit: ``value = mean + sd *
        property`` (the sd is negative where the goal is a minimum).
    has_simulated : bool
        Whether ``simulated`` differs from ``property`` by real or synthetic bias.
    gauge_amplitude : float
        Standard deviation of the gauge block in descriptor units.
    origin : mapping
        How the space was made; enough to make it again. Goes into provenance.
    observation : Observation, optional
        How descriptors are observed; without it the blocks themselves are seen.
    """

    descriptors: Float32
    dims: Mapping[str, int]
    start: Int
    property: Float32
    simulated: Float32
    difficulty: Float32
    feasible: Bool
    proxy: Float32
    similarity: Float
    family_keys: Int
    material_keys: Int
    top: Bool
    dense: Bool
    family_names: tuple[str, ...]
    names: Sequence[str] | None = None
    year: Int | None = None
    quantities: tuple[Quantity, ...] = (Quantity("property"),)
    has_simulated: bool = True
    gauge_amplitude: float = 1.6
    origin: Mapping[str, Any] = field(default_factory=dict)
    observation: Observation | None = None

    def __post_init__(self) -> None:
        n, k = len(self.difficulty), len(self.start) - 1
        refuse(min(k, n) < 1, "the materials space is empty", DataError)
        sizes, shape = np.diff(self.start), (n, self.block_width - self.dims["gauge"])
        parted = self.start[0] == 0 and self.start[-1] == n and (sizes >= 0).all()
        empty = [self.family_names[i] for i in np.flatnonzero(sizes == 0)[:5]]
        values = {name: getattr(self, name) for name in ("property", "simulated", "difficulty", "descriptors")}
        faults = lines_where(
            (not parted, "family rows must be contiguous and cover every material once"),
            (parted and empty, f"empty families: {', '.join(empty)}; every family needs at least one material"),
            (self.descriptors.shape != shape, f"descriptors have shape {self.descriptors.shape}, expected {shape}"),
            *((not np.isfinite(x).all(), f"{name} holds values that are not finite") for name, x in values.items()),
            (not self.feasible.any(), "no material is feasible"),
            (len(self.quantities) != self.properties, "every property needs a quantity"),
        )
        refuse(faults, faults, DataError)

    def __deepcopy__(self, memo: dict[int, object]) -> MaterialsSpace:
        """A space never changes, so copies of an ecosystem share it."""
        return self

    @cached_property
    def content(self) -> str:
        """Hash of everything that a run can see of the materials; names and units are none of it."""
        digest = hashlib.blake2b(digest_size=16)
        for name in ("dims", "has_simulated", "gauge_amplitude"):
            digest.update(repr(getattr(self, name)).encode())
        for name in CONTENT:
            array = getattr(self, name)
            digest.update(repr((name, None if array is None else (array.dtype.str, array.shape))).encode())
            digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        if (seen := self.observation) is not None:
            digest.update(
                repr((seen.width, seen.signal, seen.curvature, seen.view_noise, seen.streams.root(0))).encode()
                + seen.keys.tobytes()
            )
        return digest.hexdigest()

    def glance(self) -> Glance:
        """Return its size, and its largest families."""
        source = self.origin.get("source", self.origin.get("kind", "custom"))
        parts = f"{self.size} materials, {len(self.family_names)} families, {self.descriptors.shape[1]} descriptors"
        largest = np.argsort(-self.family_sizes, kind="stable")[:5]
        rows = [[self.family_names[i], int(self.family_sizes[i])] for i in largest]
        names = ", ".join(f"{q.name} in {q.unit}" for q in self.quantities)
        several = f"{self.properties} properties ({names})" if self.properties > 1 else f"property in {self.unit}"
        said = f"MaterialsSpace ({source}): {parts}, {several}"
        return Glance(said, ("largest families", "materials"), rows, right=(1,))

    # ------------------------------------------------------------------ size and families

    @cached_property
    def size(self) -> int:
        """Number of materials N."""
        return len(self.difficulty)

    @cached_property
    def properties(self) -> int:
        """Number of properties T."""
        return len(self.property) // self.size

    def pairs(self, properties: NDArray[np.integer[Any]] | int, materials: Int) -> Int:
        """Pairs of properties and materials, element by element, as numbers from 0 to T N - 1."""
        return materials if self.properties == 1 else np.asarray(properties, np.int64) * self.size + materials

    def cells(self, pairs: Int) -> NDArray[np.integer[Any]]:
        """Cells (property and family, ``property * K + family``) that pairs lie in, element by element."""
        if self.properties == 1:
            return self.family[pairs]
        number, material = np.divmod(pairs, self.size)
        return number * self.families + self.family[material]

    def each(self, materials: Int) -> Int:
        """Pairs of materials with all properties (T n,)."""
        return np.concatenate([self.pairs(t, materials) for t in range(self.properties)])

    def by_property(self, values: NDArray[Any]) -> NDArray[Any]:
        """One row per property of values of pairs or cells (T, N) or (T, K)."""
        return values.reshape(self.properties, -1)

    @cached_property
    def families(self) -> int:
        """Number of families K."""
        return len(self.start) - 1

    @cached_property
    def family_sizes(self) -> Int:
        """Materials per family (K,)."""
        return np.diff(self.start)

    @cached_property
    def keys_in_order(self) -> bool:
        """Whether every family's key is its row."""
        return bool((self.family_keys == np.arange(self.families)).all())

    @cached_property
    def feasible_share(self) -> float:
        """Share of materials that can be made."""
        return float(self.feasible.mean())

    @cached_property
    def family(self) -> NDArray[np.int32]:
        """Family of each material (N,)."""
        return np.repeat(np.arange(self.families, dtype=np.int32), self.family_sizes)

    def member(self, family: NDArray[np.integer[Any]], u: Float) -> Int:
        """Return the material of each family at a uniform number in [0, 1), element by element."""
        return np.asarray(self.start[family] + (u * self.family_sizes[family]).astype(np.int64))

    def relabelled(self, order: Int) -> MaterialsSpace:
        """Return the same space with its families in another order (labels change, nothing else)."""
        rows = np.concatenate([np.arange(self.start[k], self.start[k + 1]) for k in order])
        per_material = ("descriptors", "difficulty", "feasible", "material_keys")
        changes: dict[str, Any] = {name: getattr(self, name)[rows] for name in per_material}
        changes |= {name: getattr(self, name)[self.each(rows)] for name in ("property", "simulated", "proxy", "top")}
        return replace(
            self,
            **changes,
            start=np.concatenate([[0], np.cumsum(self.family_sizes[order])]),
            similarity=self.similarity[np.ix_(order, order)],
            family_keys=self.family_keys[order],
            dense=self.dense[order],
            family_names=tuple(self.family_names[k] for k in order),
            names=None if self.names is None else [self.names[i] for i in rows],
            year=None if self.year is None else self.year[rows],
            observation=self.observation and replace(self.observation, keys=self.observation.keys[rows]),
        )

    # ------------------------------------------------------------------ descriptors

    @cached_property
    def ambient(self) -> Mapping[str, slice]:
        """Columns of each block in the ambient descriptor (gauge included)."""
        edges = [0, *accumulate(self.dims[b] for b in BLOCKS)]
        return {b: slice(*edge) for b, edge in zip(BLOCKS, pairwise(edges), strict=True)}

    @cached_property
    def block_width(self) -> int:
        """Number of columns of the four blocks."""
        return sum(self.dims[b] for b in BLOCKS)

    @cached_property
    def width(self) -> int:
        """Number of ambient descriptor columns d."""
        return self.block_width if self.observation is None else self.observation.width

    @cached_property
    def view_dims(self) -> int:
        """Numbers that tell observations of one material apart: its gauge, and noise where that differs."""
        seen = self.observation
        return self.dims["gauge"] + (seen.width if seen is not None and seen.view_noise > 0 else 0)

    @cached_property
    def causal(self) -> Bool:
        """Ambient columns that hold what the property depends on: quantum and meso (d,)."""
        return np.arange(self.width) < self.dims["quantum"] + self.dims["meso"]

    @cached_property
    def dense_families(self) -> Int:
        """Numbers of the dense families."""
        return np.flatnonzero(self.dense)

    @cached_property
    def niche_families(self) -> Int:
        """Numbers of all other families; of all where every family is dense."""
        return np.flatnonzero(~self.dense | self.dense.all())

    @cached_property
    def gauge_sd(self) -> float:
        """Standard deviation of the gauge block in ambient descriptors."""
        return self.gauge_amplitude * (1.0 if self.observation is None else self.observation.signal)

    @cached_property
    def span(self) -> Float:
        """Range of each ambient column over the materials, of the gauge block that of a uniform one of its sd (d,).

        Observed columns have one range, that of a uniform one of their mean variance.
        """
        stored, left = np.ptp(self.descriptors, axis=0).astype(np.float64), self.ambient["gauge"].start
        gauge = np.full(self.dims["gauge"], np.sqrt(12.0) * self.gauge_amplitude)
        if (seen := self.observation) is not None:
            signal = float(self.descriptors.var(axis=0, dtype=np.float64).sum())
            signal += self.dims["gauge"] * self.gauge_amplitude**2
            return np.full(seen.width, np.sqrt(12.0 * (1.0 + seen.signal**2 * signal / seen.width)))
        return np.concatenate([stored[:left], gauge, stored[left:]])

    @kernel
    def ambient_rows(self, materials: Int, view: Float32, gains: Float32 | None = None) -> Float32:
        """Ambient descriptors of some materials as seen in given views.

        Parameters
        ----------
        materials : int (n,)
        view : float32 (n, view_dims)
            Orientation (gauge) of each observation, and its own noise if it has some, standard normal.
        gains : float32 (n, d), optional
            How strongly each observation shows each column, before noise.

        Returns
        -------
        float32 (n, d)
        """
        if gains is None and self._unturned is not None:
            out, gauge = self._unturned[materials], self.ambient["gauge"]
            out[:, gauge] += self._amplified(view[:, : self.dims["gauge"]] * np.float32(self.gauge_amplitude))
            return out
        out = self.clear_rows(materials, view)
        if gains is not None:
            out *= gains
        if (seen := self.observation) is not None:
            noise = seen.noise(materials)
            if seen.view_noise > 0:
                noise *= np.float32(np.sqrt(1 - seen.view_noise))
                noise += np.float32(np.sqrt(seen.view_noise)) * view[:, self.dims["gauge"] :]
            out += noise
        return out

    @cached_property
    def _unturned(self) -> Float32 | None:
        """Descriptors of all materials at gauge 0, where their noise is kept and is the same in every view (N, d)."""
        if self.observation is None or self.observation.view_noise > 0 or not self.observation.keeps:
            return None
        every = np.arange(self.size)
        out = self.clear_rows(every, np.zeros((self.size, self.view_dims), np.float32))
        out += self.observation.noise(every)
        return out

    def _amplified(self, blocks: Float32) -> Float32:
        """Columns of blocks as they are observed, without noise (n, k)."""
        if (seen := self.observation) is not None:
            if seen.curvature:
                blocks += np.float32(seen.curvature) * np.tanh(blocks)
            blocks *= np.float32(seen.signal)
        return blocks

    def clear_rows(self, materials: Int, view: Float32) -> Float32:
        """Ambient descriptors without noise (n, d); see :meth:`ambient_rows`."""
        left, right = self.ambient["gauge"].start, self.ambient["gauge"].stop
        end = self.block_width
        out = np.empty((len(materials), self.width), np.float32)
        stored = self.descriptors[materials]
        out[:, :left] = stored[:, :left]
        np.multiply(view[:, : right - left], np.float32(self.gauge_amplitude), out=out[:, left:right])
        out[:, right:end] = stored[:, left:]
        if self.observation is not None:
            self._amplified(out[:, :end])
            out[:, end:] = 0.0
        return out

    @kernel
    def neighbours(self, materials: Int) -> Int:
        """Nearest materials of the same family, for graph encoders.

        The neighbour graph is defined locally: each material looks at the next 32 rows of its
        family (cyclically) and links to the five nearest in the quantum block, or as observed where
        descriptors are. Any row of the graph is computed on demand, so its cost does not depend on N.

        Returns
        -------
        int (n, 5)
            Row numbers. A family of fewer than six members repeats the nearest; of one, itself.
        """
        family = self.family[materials]
        first, size = self.start[family], self.family_sizes[family]
        steps = np.arange(1, NEIGHBOUR_WINDOW + 1)
        window = first[:, None] + ((materials - first)[:, None] + steps) % size[:, None]
        distance = self._distances(materials, window)
        # In small families the window wraps round: every other member counts once.
        distance[steps[None] >= size[:, None]] = np.inf
        nearest = np.sort(np.argpartition(distance, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS], axis=1)
        missing = np.isinf(np.take_along_axis(distance, nearest, axis=1))
        nearest = np.where(missing, np.argmin(distance, axis=1)[:, None], nearest)
        return np.take_along_axis(window, nearest, axis=1)

    def _distances(self, materials: Int, window: Int) -> Float32:
        """Squared distances in the quantum block from materials to those of their windows (n, w)."""
        q = self.dims["quantum"]
        gap = self.descriptors[window, :q] - self.descriptors[materials, None, :q]
        return np.asarray(np.einsum("nwq,nwq->nw", gap, gap), np.float32)

    def similarity_graph(self) -> nx.Graph[int]:
        """Return the family similarity graph as an undirected networkx graph with edge weights."""
        import networkx as nx

        graph: nx.Graph[int] = nx.Graph()
        graph.add_nodes_from(
            (k, {"name": self.family_names[k], "size": int(self.family_sizes[k])}) for k in range(self.families)
        )
        rows, columns = np.nonzero(self.similarity)
        graph.add_weighted_edges_from(
            (int(i), int(j), float(self.similarity[i, j])) for i, j in zip(rows, columns, strict=True) if i != j
        )
        return graph

    @cached_property
    def scale(self) -> tuple[float, float]:
        """Mean and sd of the first property in its unit."""
        return self.quantities[0].mean, self.quantities[0].sd

    @cached_property
    def unit(self) -> str:
        """Unit of the first property."""
        return self.quantities[0].unit

    def in_unit(self, standardised: Float | float, number: int = 0) -> Float | float:
        """Convert standardised values of a property to the unit of the data."""
        return self.quantities[number].in_unit(standardised)

    # ------------------------------------------------------------------ other ways to the same type

    @classmethod
    def generate(cls, parameters: SpaceParameters, streams: Streams) -> MaterialsSpace:
        """Generate the synthetic space of a run (see :func:`mpbf_abm.data.synthetic.generate`)."""
        made = synthetic.generate(parameters, streams)
        keys = made.pop("noise_keys")
        seen = parameters.observed_dims, parameters.signal, parameters.curvature, parameters.view_noise
        observation = Observation(*seen, streams, keys) if parameters.observed_dims else None
        return cls(**made, observation=observation)

    @classmethod
    def synthetic(
        cls, parameters: Parameters | None = None, *, seed: int = DEFAULT_SEED, **changes: Any
    ) -> MaterialsSpace:
        """Generate a synthetic space of changed parameters (see :func:`mpbf_abm.data.synthetic.generate`)."""
        full = (parameters or Parameters()).replace(**{f"space.{k}": v for k, v in changes.items()})
        with one_thread():
            return cls.generate(full.space, Streams(seed))

    @classmethod
    def from_table(
        cls, table: str | Path | pd.DataFrame, *, formula: str, measured: str | Sequence[str], **options: Any
    ) -> MaterialsSpace:
        """Build a space from a table of formulas (see :func:`mpbf_abm.data.spaces.from_table`)."""
        from mpbf_abm.data.spaces import from_table

        with one_thread():
            return cls(**from_table(table, formula=formula, measured=measured, **options))

    @classmethod
    def from_pool(
        cls, table: str | Path | pd.DataFrame, *, objective: str | Sequence[str], **options: Any
    ) -> MaterialsSpace:
        """Build a space of one family from a pool of settings (see :func:`mpbf_abm.data.pools.from_pool`)."""
        from mpbf_abm.data.pools import from_pool

        with one_thread():
            return cls(**from_pool(table, objective=objective, **options))

    @classmethod
    def from_matminer(
        cls,
        name: str,
        *,
        formula: str,
        measured: str | Sequence[str],
        data_home: str | None = None,
        download: bool = True,
        **options: Any,
    ) -> MaterialsSpace:
        """Build a space from a data set of matminer; options are those of :meth:`from_table`."""
        from mpbf_abm.data.spaces import matminer

        table = matminer(name, data_home=data_home, download=download)
        return cls.from_table(table, formula=formula, measured=measured, **options)

    @classmethod
    def from_materials_project(
        cls,
        measured: str | Sequence[str],
        *,
        search: Mapping[str, Any],
        api_key: str | None = None,
        client: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> MaterialsSpace:
        """Build a space from summaries of the Materials Project.

        All its values are computed: the field named `measured` is what experiments of the model find. Polymorphs are
        rows of the same composition, so that ``duplicates`` says what becomes of them.

        Parameters
        ----------
        measured : str or sequence of str
            Field of the property, such as ``band_gap``, or fields of several.
        search, api_key, client
            As in :func:`mpbf_abm.data.sources.materials_project`.
        **options
            Those of :meth:`from_table`; a field may stand for ``simulated``, ``year`` and ``family``.
        """
        from mpbf_abm.data.spaces import materials_project
        from mpbf_abm.data.tables import listed

        named = (measured, *(options.get(role) for role in ("simulated", "year", "family")))
        fields = list(dict.fromkeys(["formula_pretty", *(name for names in named for name in listed(names) if name)]))
        table = materials_project(fields, search=search, api_key=api_key, **(client or {}))
        return cls.from_table(table, formula="formula_pretty", measured=measured, **options)


@dataclass
class Truth:
    """Properties as nature (and simulation codes) have them now; shocks may replace them.

    Attributes
    ----------
    property, simulated : float32 (T N,)
    top : bool (T N,)
        The top set under each property in force.
    mad : list of float
        Median absolute deviation of each property.
    """

    property: Float32
    simulated: Float32
    top: Bool
    mad: list[float]

    @classmethod
    def of(cls, space: MaterialsSpace) -> Truth:
        """Return the properties of a space as they are at founding."""
        y = space.property
        return cls(y, space.simulated, space.top, [deviation(values) or 1.0 for values in space.by_property(y)])


def deviation(values: Float32) -> float:
    """Median absolute deviation of some values."""
    return float(np.median(np.abs(values - np.median(values))))


# --------------------------------------------------------------------------- report

# What a space made of data holds, and what became of the rows of its table.


def report(space: MaterialsSpace) -> dict[str, Any]:
    """Describe a space made of a table or pool, in plain values that JSON can hold.

    Returns
    -------
    dict
        ``source``, ``kind``, ``notes``; of a pool ``factors``, and ``left_out`` (columns, with the reason); ``rows``,
        ``dropped``, ``merged``, ``replicate_sd``, ``conflicts``;
        ``materials``, ``unit``, ``goal``, ``property``, ``top``; ``families`` (a list, largest first); ``simulated``
        and ``years``, None where the table has none. Values are in the unit of the property. Of several properties
        these are of the first, and ``properties`` is a list with the ``name`` and the values of each.
    """
    origin = dict(space.origin)
    each = [_of_property(space, t) for t in range(space.properties)]
    several = [{"name": q.name, **values} for q, values in zip(space.quantities, each, strict=True)]
    return {
        "source": origin["source"],
        "sha256": origin["sha256"],
        "kind": origin["kind"],
        "notes": origin["notes"],
        "rows": origin["rows"],
        "dropped": origin["dropped"],
        "merged": origin["merged"],
        "materials": space.size,
        "descriptors": space.width,
        "factors": origin.get("factors", []),
        "left_out": origin.get("left_out", {}),
        **each[0],
        "years": None if space.year is None else [int(space.year.min()), int(space.year.max())],
    } | ({"properties": several} if len(several) > 1 else {})


def _of_property(space: MaterialsSpace, number: int) -> dict[str, Any]:
    """Return what the report says of one property."""
    noted = space.origin.get("properties", [space.origin])[number]
    quantity, sd = space.quantities[number], noted["replicate_sd"]
    own, modelled, top = (space.by_property(x)[number] for x in (space.property, space.simulated, space.top))
    exact = not space.has_simulated or (space.properties > 1 and np.array_equal(own, modelled))
    values, simulated = _values(quantity, own), None if exact else _values(quantity, modelled)
    best = np.argsort(-own, kind="stable")[: min(5, int(top.sum()))]
    parts = [slice(a, b) for a, b in pairwise(space.start)]
    return {
        "replicate_sd": None if sd is None else sd * abs(quantity.sd),
        "conflicts": noted["conflicts"],
        "unit": quantity.unit,
        "goal": "min" if quantity.sd < 0 else "max",
        "property": _range(values),
        "top": {
            "materials": int(top.sum()),
            "best": [({"name": space.names[i]} if space.names else {}) | {"value": float(values[i])} for i in best],
        },
        "families": [
            {
                "name": name,
                "materials": int(part.stop - part.start),
                **_range(values[part]),
                **({} if simulated is None else {"bias": float((simulated - values)[part].mean())}),
            }
            for name, part in zip(space.family_names, parts, strict=True)
        ],
        "simulated": None if simulated is None else _agreement(values, simulated),
    }


def _values(quantity: Quantity, standardised: NDArray[np.float32]) -> Float:
    """Values in their unit, without the digits that single precision makes up."""
    values = np.asarray(quantity.in_unit(standardised.astype(np.float64)), np.float64)
    return np.round(values, 5 - int(np.floor(np.log10(abs(quantity.sd))))) + 0.0


def _range(values: Float) -> dict[str, float]:
    low, median, high = np.quantile(values, [0, 0.5, 1])
    return {"low": float(low), "median": float(median), "high": float(high), "sd": float(values.std())}


def _agreement(values: Float, simulated: Float) -> dict[str, float | None]:
    """Compare simulated with measured values: mean and mean absolute difference, slope, correlation."""
    error = simulated - values
    return {
        "bias": float(error.mean()),
        "mean_absolute": float(np.abs(error).mean()),
        "slope": float(np.cov(simulated, values, bias=True)[0, 1] / values.var()),
        "correlation": float(np.corrcoef(simulated, values)[0, 1]) if float(simulated.std()) > 0 else None,
    }
