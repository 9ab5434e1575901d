"""The dependency graph: repositories -> models -> labs -> repositories, and graphs in general.

A node has `providers` (links to nodes it needs) and `need`: it works iff it is not down itself
and at least `need` of its providers work. Deposits of labs in repositories close the cycle; a
repository does not fail for lack of deposits (its need is 0).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Bool, Float, Int, kernel
from mpbf_abm.errors import refuse

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd


NONE = -1
NEVER = 2**31  # a tick that no run reaches


class Infrastructure:
    """Links and outages of the community, as arrays.

    Attributes
    ----------
    model_repositories : int (M, r)
        Repositories each model trains on, best first; -1 where there is no link.
    lab_models : int (L, r)
        Models each lab uses, best first.
    lab_repository : int (L,)
        Repository each lab deposits its results in.
    down_repositories, down_models, down_hosts : bool
        Own outages, those of repositories shared with the commons.
        `until_*` holds the first tick at which a repair may begin.
    host : int (M,)
        Host that serves each model; -1 where it is served as long as it can be trained.
    open_weights : bool (M,)
        Models whose weights are open, so that labs can host them; of models with a host alone.
    frozen, revoked : bool (M,)
        Models that are trained no more, and those whose weights are open no more.
    closing_repositories, closing_models : int
        First tick without each node, NEVER for those without an announced end.
    searching : int (M,)
        Tick since which each trainer looks for a source, -1 if it does not.
    ready : int (L, M)
        First tick at which a lab can work with each model.
    unready : bool (L, M)
        Models that a lab is still learning to use.
    """

    def __init__(self, down: Bool, models: int, labs: int, providers: int, need: int, hosts: int = 1) -> None:
        self.need = need
        self.model_repositories = np.full((models, providers), NONE, np.int64)
        self.lab_models = np.full((labs, providers), NONE, np.int64)
        self.lab_repository = np.zeros(labs, np.int64)
        self.down_repositories = down
        self.down_models = np.zeros(models, bool)
        self.until_repositories = np.zeros(len(down), np.int64)
        self.until_models = np.zeros(models, np.int64)
        self.down_hosts, self.until_hosts = np.zeros(hosts, bool), np.zeros(hosts, np.int64)
        self.host = np.full(models, NONE, np.int64)
        self.open_weights, self.frozen, self.revoked = np.zeros((3, models), bool)
        self.closing_repositories = np.full(len(down), NEVER, np.int64)
        self.closing_models = np.full(models, NEVER, np.int64)
        self.searching = np.full(models, NONE, np.int64)
        self.ready = np.zeros((labs, models), np.int64)
        self.unready = np.zeros((labs, models), bool)
        self._known: dict[str, tuple[tuple[bytes, ...], Any]] = {}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], need: int) -> Infrastructure:
        """Make one of its links and outages, by name."""
        labs, models = arrays["lab_models"], arrays["model_repositories"]
        made = cls(arrays["down_repositories"], len(models), len(labs), models.shape[1], need)
        for name, array in arrays.items():
            setattr(made, name, array)
        return made

    def _derived(self, make: Callable[[], NDArray[Any]], *arrays: NDArray[Any]) -> NDArray[Any]:
        """What follows from some arrays, made anew only when one of them has changed. Do not change it in place."""
        name, state = make.__name__, tuple(a.tobytes() for a in arrays)
        if name not in self._known or self._known[name][0] != state:
            self._known[name] = state, make()
        return np.asarray(self._known[name][1])

    @property
    def providers(self) -> int:
        """Links per node."""
        return int(self.model_repositories.shape[1])

    def set_providers(self, providers: int) -> None:
        """Widen or narrow the links per node; new links are empty, narrowing keeps the best."""
        pad = ((0, 0), (0, max(0, providers - self.providers)))
        for name in ("model_repositories", "lab_models"):
            links = np.pad(getattr(self, name), pad, constant_values=NONE)
            setattr(self, name, links[:, :providers].copy())

    # ------------------------------------------------------------------ who works

    def working_repositories(self) -> Bool:
        """Repositories that answer (R,)."""
        return ~self.down_repositories

    def staying_repositories(self) -> Bool:
        """Repositories that answer and whose end is not announced (R,)."""
        return np.asarray(self.working_repositories() & (self.closing_repositories == NEVER))

    def working_models(self) -> Bool:
        """Models that are served: up, with enough working repositories (M,)."""
        arrays = self.model_repositories, self.down_repositories, self.down_models
        return self._derived(self._working_models, *arrays, self.host, self.down_hosts, self.open_weights)

    def _working_models(self) -> Bool:
        hosted = self.host >= 0
        served = np.where(hosted, ~np.append(self.down_hosts, True)[self.host], self.fed())
        return np.asarray((~self.down_models & served) | (hosted & self.open_weights))

    def leaving_models(self) -> Bool:
        """Models whose end is announced and still to come, and that labs cannot host themselves (M,)."""
        hosted = (self.host >= 0) & self.open_weights
        return np.asarray((self.closing_models != NEVER) & ~self.down_models & ~hosted)

    def fed(self) -> Bool:
        """Models with enough working repositories to be trained (M,)."""
        return np.asarray(reached(self.model_repositories, self.working_repositories()).sum(axis=1) >= self.need)

    def working_labs(self) -> Bool:
        """Labs with enough working models (L,), none without models; others work without steering."""
        enough = reached(self.lab_models, self.working_models()).sum(axis=1) >= self.need
        return np.asarray(enough & (len(self.down_models) > 0))

    def model_in_use(self) -> Int:
        """First working model of each working lab, -1 for labs without (L,)."""
        return self._derived(self._in_use, self.lab_models, self.working_models(), self.unready)

    def _in_use(self) -> Int:
        up = reached(self.lab_models, self.working_models())
        if self.unready.any():
            up &= ~self.unready[np.arange(len(up))[:, None], self.lab_models]
        first = self.lab_models[np.arange(len(up)), np.argmax(up, axis=1)]
        return np.where(up.sum(axis=1) >= max(self.need, 1), first, NONE)

    def labs_learning(self) -> Bool:
        """Labs without a model in use that are still learning to use one of their links (L,)."""
        unready = np.pad(self.unready, ((0, 0), (0, 1)))  # a last column for places without a link
        taken = unready[np.arange(len(unready))[:, None], self.lab_models]
        return np.asarray(taken.any(axis=1) & (self.model_in_use() < 0))

    def trainer_sources(self, model: int) -> Bool:
        """Working repositories that one model trains on (R,)."""
        return self.working_repositories() & np.isin(
            np.arange(len(self.down_repositories)), self.model_repositories[model]
        )

    def repository_load(self) -> Float:
        """Models that depend on each repository (R,)."""
        return users(self.model_repositories, len(self.down_repositories)).astype(np.float64)

    def model_load(self) -> Float:
        """Labs that depend on each model (M,)."""
        return users(self.lab_models, len(self.down_models)).astype(np.float64)

    # ------------------------------------------------------------------ outages

    def fail_repositories(self, nodes: Int, until: int) -> None:
        """Take repositories down; repair may begin at tick `until`."""
        self.down_repositories[nodes] = True
        self.until_repositories[nodes] = np.maximum(self.until_repositories[nodes], until)

    def fail_models(self, nodes: Int, until: int) -> None:
        """Withdraw models; repair may begin at tick `until`."""
        self.down_models[nodes] = True
        self.until_models[nodes] = np.maximum(self.until_models[nodes], until)

    def fail_hosts(self, nodes: Int, until: int) -> None:
        """Take hosts down; repair may begin at tick `until`."""
        self.down_hosts[nodes] = True
        self.until_hosts[nodes] = np.maximum(self.until_hosts[nodes], until)

    def graph(self) -> nx.DiGraph[tuple[str, int]]:
        """Return the infrastructure as a directed networkx graph, edges from provider to user.

        Nodes are (kind, row) of repositories, models and labs, and of hosts where these serve models. The relation of
        an edge is provides (data to a model, a model to a lab), deposits (a lab's results) or serves (a host).
        """
        import networkx as nx

        g: nx.DiGraph[tuple[str, int]] = nx.DiGraph()
        for kind, works in (
            ("repository", self.working_repositories()),
            ("model", self.working_models()),
            ("lab", self.working_labs() if len(self.down_models) else np.ones(len(self.lab_models), bool)),
        ):
            g.add_nodes_from(((kind, i), {"kind": kind, "works": bool(w)}) for i, w in enumerate(works))
        for kind, user, links in (("repository", "model", self.model_repositories), ("model", "lab", self.lab_models)):
            g.add_edges_from(
                ((kind, int(j)), (user, i), {"relation": "provides"})
                for i, row in enumerate(links)
                for j in row
                if j >= 0
            )
        g.add_edges_from(
            (("lab", i), ("repository", int(j)), {"relation": "deposits"}) for i, j in enumerate(self.lab_repository)
        )
        if (self.host >= 0).any():
            g.add_nodes_from((("host", i), {"kind": "host", "works": not d}) for i, d in enumerate(self.down_hosts))
            g.add_edges_from((("host", int(j)), ("model", i), {"relation": "serves"}) for i, j in enumerate(self.host))
        return g

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Nodes (kind, id, load, works) and links (provider and user) of the infrastructure as it is, without hosts."""
        import pandas as pd

        graph = self.graph()
        load = {"repository": self.repository_load(), "model": self.model_load(), "lab": np.ones(len(self.lab_models))}
        nodes = [
            (kind, i, float(load[kind][i]), works) for (kind, i), works in graph.nodes(data="works") if kind in load
        ]
        links = [(*u, *v) for u, v, data in graph.edges(data=True) if data["relation"] == "provides"]
        return (
            pd.DataFrame(nodes, columns=["kind", "id", "load", "works"]),
            pd.DataFrame(links, columns=["provider_kind", "provider", "user_kind", "user"]),
        )


def users(links: Int, nodes: int) -> Int:
    """How many links lead to each node (nodes,)."""
    return np.bincount(links[links >= 0], minlength=nodes)


def reached(links: Int, works: Bool) -> Bool:
    """Which links lead to a node that works (n, links)."""
    return np.asarray((links >= 0) & np.append(works, False)[links])  # a link of -1 looks at the end


@kernel
def choose_links(clocks: Float, weights: Float, links: int, keep: Int | None = None) -> Int:
    """Choose distinct providers by exponential race, best first.

    Parameters
    ----------
    clocks : float (n, options)
        Standard exponential draws keyed by (chooser, option).
    weights : float (n, options) or (options,)
        Attractiveness, non-negative.
    links : int
        Links per chooser; fewer options leave -1.
    keep : int (n, kept), optional
        Links that stay; only the remaining places are filled.

    Returns
    -------
    int (n, links)
    """
    options = clocks.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        time = np.where(weights > 0, clocks / weights, np.inf)
    if keep is not None and keep.size:
        rows, columns = np.nonzero(keep >= 0)
        time[rows, keep[rows, columns]] = -1.0 + columns / (keep.shape[1] + 1)
    take = min(links, options)
    order = time.argmin(axis=1)[:, None] if take == 1 else time.argsort(axis=1, kind="stable")[:, :take]
    chosen = np.full((len(clocks), links), NONE)
    chosen[:, :take] = np.where(np.isinf(np.take_along_axis(time, order, axis=1)), NONE, order)
    return chosen


# --------------------------------------------------------------------------- arbitrary graphs


@dataclass(frozen=True)
class any_of_r:
    """A node fails iff fewer than `need` of its providers (predecessors) work; sources stand alone."""

    need: int = 1

    def step(self, network: Network, works: Bool) -> Bool:
        """Return who works after one round."""
        return np.asarray(works & ((network.incoming @ works >= self.need) | (network.indegree == 0)))


@dataclass(frozen=True)
class fraction:
    """A node fails iff at least a fraction phi of its neighbours failed (Watts 2002)."""

    phi: float

    def step(self, network: Network, works: Bool) -> Bool:
        """Return who works after one round."""
        failed = network.incoming @ ~works
        return np.asarray(
            works & ~((network.indegree > 0) & (failed >= self.phi * network.indegree - 1e-12) & (failed > 0))
        )


@dataclass(frozen=True)
class load:
    """A node fails when its load exceeds (1 + alpha) times what it carried in the whole network.

    Attributes
    ----------
    alpha : float
        Tolerance.
    by : str
        ``paths``: load is the number of shortest paths through a node (Motter and Lai 2002),
        recomputed after every failure. ``neighbours``: unit loads; a failed node's load moves in
        equal parts to its working neighbours and is lost without any.
    """

    alpha: float
    by: Literal["paths", "neighbours"] = "paths"

    def run(self, network: Network, works: Bool) -> Bool:
        """Return who works when no further node fails."""
        return self._by_paths(network, works) if self.by == "paths" else self._by_neighbours(network, works)

    def _by_paths(self, network: Network, works: Bool) -> Bool:
        capacity = (1 + self.alpha) * network.paths(np.ones(len(works), bool))
        while True:
            after = works & (network.paths(works) <= capacity + 1e-9)
            if np.array_equal(after, works):
                return works
            works = after

    def _by_neighbours(self, network: Network, works: Bool) -> Bool:
        carried = np.ones(len(works))
        shed = ~works
        while shed.any():
            works = works & ~shed
            neighbours = network.incoming[shed].astype(float) * works
            degree = neighbours.sum(axis=1, keepdims=True)
            parts = np.divide(neighbours, degree, out=np.zeros_like(neighbours), where=degree > 0)
            carried = np.where(works, carried + carried[shed] @ parts, 0.0)
            shed = works & (carried > 1 + self.alpha + 1e-12)
        return works


@dataclass(frozen=True)
class mutual:
    """A node works iff it is in the giant component of its layer and its partners work (Buldyrev et al. 2010).

    Layers are the node attribute ``layer``; partners are joined by edges with attribute
    ``dependency`` true, all other edges connect nodes of one layer.
    """

    def step(self, network: Network, works: Bool) -> Bool:
        """Return who works after one round."""
        from scipy.sparse.csgraph import connected_components

        alive = np.zeros_like(works)
        for layer in np.unique(network.layer):
            members = np.flatnonzero(works & (network.layer == layer))
            if len(members):
                labels = connected_components(network.within[members][:, members], directed=False)[1]
                alive[members[labels == np.argmax(np.bincount(labels))]] = True
        return np.asarray(alive & ~((network.partners @ ~alive) > 0))


class Network:
    """A graph with a failure rule; `fail` returns who still works.

    Parameters
    ----------
    graph : networkx graph
        Undirected edges count in both directions; a directed edge u -> v means that v depends on u.
    rule : any_of_r, fraction, load or mutual
    """

    def __init__(self, graph: nx.Graph[Any], rule: any_of_r | fraction | load | mutual) -> None:
        import networkx as nx
        from scipy import sparse

        self.nodes: list[Hashable] = list(graph.nodes)
        self.index = {node: i for i, node in enumerate(self.nodes)}
        self.rule = rule
        self.graph = graph
        matrix: Any = nx.to_scipy_sparse_array(graph, nodelist=self.nodes, weight=None, format="csr", dtype=np.int64)  # type: ignore[call-overload]
        self.incoming: Any = sparse.csr_array(matrix.T)
        self.indegree = np.asarray(self.incoming.sum(axis=1)).ravel()
        if isinstance(rule, load):
            self.incoming = self.incoming.toarray()
        if isinstance(rule, mutual):
            layer = [graph.nodes[v].get("layer") for v in self.nodes]
            refuse(None in layer, "rule mutual needs the node attribute 'layer' on every node")
            self.layer = np.unique(np.array([str(v) for v in layer]), return_inverse=True)[1]
            tied = nx.empty_graph(graph)
            tied.add_edges_from((u, v) for u, v, d in graph.edges(data=True) if d.get("dependency"))
            self.partners: Any = nx.to_scipy_sparse_array(tied, nodelist=self.nodes, weight=None, dtype=np.int64)  # type: ignore[call-overload]
            both = sparse.csr_array(matrix + matrix.T)
            self.within: Any = sparse.csr_array(both - both.multiply(self.partners > 0))

    def paths(self, works: Bool) -> Float:
        """Shortest paths through each working node among working nodes, end points excluded (n,)."""
        import networkx as nx

        left = self.graph.subgraph(v for v, w in zip(self.nodes, works, strict=True) if w)
        through = nx.betweenness_centrality(left, normalized=False)
        return np.array([through.get(v, 0.0) for v in self.nodes])

    def fail(self, removed: Iterable[Hashable]) -> Bool:
        """Remove nodes and let failures spread; returns who works, in the order of ``nodes``."""
        works = np.ones(len(self.nodes), bool)
        for node in removed:
            refuse(node not in self.index, f"node {node!r} is not in the graph")
            works[self.index[node]] = False
        if isinstance(self.rule, load):
            return self.rule.run(self, works)
        while True:
            after = self.rule.step(self, works)
            if np.array_equal(after, works):
                return works
            works = after


def from_graph(graph: nx.Graph[Any], rule: any_of_r | fraction | load | mutual) -> Network:
    """Serve an arbitrary graph with one of the failure rules."""
    return Network(graph, rule)


# --------------------------------------------------------------------------- registry

# The registry of published models: what planners see of trainers.
#
# Planners see the registry, never inside a trainer.

T = TypeVar("T")


class Registry(Generic[T]):
    """One entry per trainer: its latest published models and how they are used.

    Parameters
    ----------
    count : int
        Number of trainers M.
    properties : int
        Number of properties T.

    Attributes
    ----------
    models : list (T M)
        Latest published model of each property by each trainer, at number ``property * M + trainer``; None before the
        first one.
    version : int (M,)
        Times a trainer has published.
    lineage : int (M,)
        Encoder lineage in use; trainers that reuse an encoder share its lineage.
    users : int (T, M)
        Planners of each property that use a model now.
    adoptions : int (M,)
        Adoptions ever.
    tick : int
        Tick at which trainers acted last.
    """

    def __init__(self, count: int, properties: int = 1) -> None:
        self.models: list[T | None] = [None] * (properties * count)
        self.lineage: Int = np.arange(count)
        self.version, self.adoptions = np.zeros((2, count), np.int64)
        self.users = np.zeros((properties, count), np.int64)
        self.tick = 0

    def publish(self, trainer: int, models: Mapping[int, T], lineage: int) -> None:
        """Replace a trainer's published models, by property; those of other properties stay."""
        for number, model in models.items():
            self.models[number * len(self.version) + trainer] = model
        self.version[trainer] += 1
        self.lineage[trainer] = lineage

    def of(self, trainer: int) -> list[T]:
        """A trainer's published models, in the order of properties."""
        return [m for m in self.models[trainer :: len(self.version)] if m is not None]

    def covered(self) -> NDArray[np.bool_]:
        """Which trainers have published a model of each property (T, M)."""
        return np.array([m is not None for m in self.models], bool).reshape(self.users.shape)

    @property
    def adopters(self) -> Int:
        """Planners that use a model of each trainer now (M,)."""
        return np.asarray(self.users.sum(axis=0))

    def published(self) -> NDArray[np.bool_]:
        """Trainers with a published model (M,)."""
        return self.version > 0
