"""Who matters: truck factor of shared tasks, Katz centrality, and the influence vector of an economy."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpbf_abm.errors import ConfigurationError

if TYPE_CHECKING:
    import networkx as nx

Float = NDArray[np.float64]


def truck_factor(holders: Mapping[Any, Iterable[Hashable]], lost: float = 0.5) -> int:
    """Fewest agents whose loss orphans more than a share of all tasks, found greedily (Avelino et al. 2016).

    Parameters
    ----------
    holders : mapping
        From each task (file, record, method) to the agents who can do it; nobody is allowed.
    lost : float
        Share of orphaned tasks that must be exceeded, 0 to below 1.

    Returns
    -------
    int
        Agents removed, most tasks first, until more than `lost` of the tasks have no holder.

    Raises
    ------
    ConfigurationError
        Without tasks, or if `lost` is out of range.
    """
    left = {task: set(agents) for task, agents in holders.items()}
    if not left:
        raise ConfigurationError("the truck factor needs at least one task")
    if not 0 <= lost < 1:
        raise ConfigurationError(f"lost = {lost:g}: must be from 0 to below 1")
    tasks: dict[Hashable, set[Any]] = {}
    for task, agents in left.items():
        for agent in agents:
            tasks.setdefault(agent, set()).add(task)
    orphans = sum(not agents for agents in left.values())
    removed = 0
    while orphans <= lost * len(left):
        top = max(tasks, key=lambda agent: len(tasks[agent]))
        for task in tasks.pop(top):
            left[task].remove(top)
            orphans += not left[task]
        removed += 1
    return removed


def katz(graph: nx.Graph[Any], alpha: float) -> Float:
    """Katz centrality x = alpha A' x + 1, not normalised (Katz 1953).

    Parameters
    ----------
    graph : networkx graph
        A directed edge u -> v passes u's standing on to v; edges count 1.
    alpha : float
        Attenuation, from 0 to below 1 over the largest eigenvalue of A.

    Returns
    -------
    float (N,)
        In the order of ``graph.nodes``, each at least 1.

    Raises
    ------
    ConfigurationError
        If the sum over walks diverges at this attenuation.
    """
    import networkx as nx

    matrix = nx.to_scipy_sparse_array(graph, weight=None).toarray()
    x = _walks(alpha * matrix.T) if alpha >= 0 else None
    if x is None:
        raise ConfigurationError(
            f"alpha = {alpha:g}: must be from 0 to below 1 over the largest eigenvalue of the graph"
        )
    return x


def influence_vector(inputs: ArrayLike, labour: float) -> Float:
    """Influence of each sector on aggregate output, v = (a/n) [I - (1 - a) W']^-1 1 (Acemoglu et al. 2012).

    Parameters
    ----------
    inputs : float (n, n)
        W: share of sector j in the inputs of sector i; rows sum to 1.
    labour : float
        a, share of labour, above 0 to 1.

    Returns
    -------
    float (n,)
        Sums to 1.

    Raises
    ------
    ConfigurationError
        If W is not square, negative, has rows that do not sum to 1, or `labour` is out of range.
    """
    w = np.asarray(inputs, np.float64)
    if w.ndim != 2 or w.shape[0] != w.shape[1] or np.any(w < 0) or not np.allclose(w.sum(axis=1), 1.0):
        raise ConfigurationError("inputs: a square matrix of shares is needed, each row summing to 1")
    if not 0 < labour <= 1:
        raise ConfigurationError(f"labour = {labour:g}: must be above 0 to 1")
    n = len(w)
    return np.asarray(labour / n * np.linalg.solve(np.eye(n) - (1.0 - labour) * w.T, np.ones(n)))


def _walks(step: Float) -> Float | None:
    """Sum of all powers of a non-negative matrix times ones, None where it diverges."""
    try:
        x: Float = np.linalg.solve(np.eye(len(step)) - step, np.ones(len(step))).astype(np.float64)
    except np.linalg.LinAlgError:
        return None
    # A positive x with (I - B) x = 1 exists iff the spectral radius of B >= 0 is below 1.
    return x if np.all(x >= 1.0 - 1e-9) else None
