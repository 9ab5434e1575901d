"""A graph of repositories, models and labs, read from a file into the parameters of a community that starts from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpbf_abm.errors import ConfigurationError, refuse, refuse_any

if TYPE_CHECKING:
    import networkx as nx

KINDS = ("repository", "model", "lab")
# What an edge can mean, by the kinds it leads from and to.
EDGES = {("repository", "model"): "provides", ("model", "lab"): "provides", ("lab", "repository"): "deposits"}
MOST = 10_000_000  # bytes of a file
FORMS = "GraphML (.graphml), or node-link JSON of networkx (.json)"


def read_infrastructure(path: str | Path) -> dict[str, Any]:
    """Read a graph of repositories, models and labs as changes of parameters.

    Nodes have an attribute ``kind``: repository, model or lab; numbers follow their order in the file. A directed edge
    leads from a provider to its user, the best provider first, or from a lab to the repository where it deposits.

    Parameters
    ----------
    path : path
        GraphML, or JSON as ``networkx.node_link_data`` makes it.

    Returns
    -------
    dict
        ``infrastructure.model_links``, ``lab_links`` and ``deposits``, and the numbers of nodes and providers.

    Raises
    ------
    ConfigurationError
        One line per fault: a file that cannot be read, a kind that is unknown, an edge that cannot be.
    """
    graph = _read(Path(path))
    name = Path(path).name
    nodes: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    unknown: list[Any] = []
    for node, kind in graph.nodes(data="kind"):
        nodes.get(str(kind), unknown).append(node)
    faults = [f"{name}: node {node!r}: kind must be {', '.join(KINDS)}" for node in unknown[:5]]
    faults += [f"{name}: has no {kind}" for kind, some in nodes.items() if not some]
    refuse_any(faults)
    number = {node: (kind, i) for kind, some in nodes.items() for i, node in enumerate(some)}
    links: dict[str, list[list[int]]] = {kind: [[] for _ in nodes[kind]] for kind in KINDS}
    deposits = [-1] * len(nodes["lab"])
    for source, target in graph.edges():
        (giver, i), (taker, j) = number[source], number[target]
        if EDGES.get((giver, taker)) == "provides":
            links[taker][j].append(i)
        elif (giver, taker) not in EDGES:
            faults.append(f"{name}: edge {source!r} to {target!r}: no edge leads from a {giver} to a {taker}")
        elif deposits[i] >= 0:
            faults.append(f"{name}: lab {source!r} deposits in two repositories")
        else:
            deposits[i] = j
    refuse_any(faults[:5])
    width = max(len(row) for kind in ("model", "lab") for row in links[kind]) or 1
    flat = {kind: tuple(x for row in links[kind] for x in (*row, *[-1] * (width - len(row)))) for kind in KINDS[1:]}
    return {
        "infrastructure.repositories": len(nodes["repository"]),
        "trainers.count": len(nodes["model"]),
        "planners.count": len(nodes["lab"]),
        "infrastructure.providers": width,
        "infrastructure.model_links": flat["model"],
        "infrastructure.lab_links": flat["lab"],
        "infrastructure.deposits": tuple(deposits),
    }


def _read(path: Path) -> nx.DiGraph[Any]:
    """Read a directed graph; no entity of a file is expanded."""
    import networkx as nx

    try:
        raw = path.read_bytes() if path.stat().st_size <= MOST else None
    except OSError as error:
        raise ConfigurationError(f"{path.name}: cannot be read: {error.strerror}") from None
    if raw is None:
        raise ConfigurationError(f"{path.name}: larger than {MOST // 1_000_000} MB")
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        raise ConfigurationError(f"{path.name}: declares entities or a document type, which are not read")
    refuse(path.suffix not in (".graphml", ".json"), f"{path.name}: must be {FORMS}")
    try:
        if path.suffix == ".graphml":
            graph: Any = nx.parse_graphml(raw.decode("utf-8"))
        else:
            data = json.loads(raw)
            graph = nx.node_link_graph(data, edges="links" if "links" in data else "edges")
    except (ValueError, SyntaxError, LookupError, TypeError, AttributeError, nx.NetworkXException) as error:
        raise ConfigurationError(f"{path.name}: is no {FORMS}: {' '.join(str(error).split())[:100]}") from None
    found: nx.DiGraph[Any] = graph
    if not found.is_directed():
        raise ConfigurationError(f"{path.name}: must be directed, from providers to users")
    return found
