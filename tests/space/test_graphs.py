"""Communities that start from a graph of repositories, models and labs."""

import json

import networkx as nx
import numpy as np
import pytest
from lean import LEAN

from mpbf_abm import Ecosystem
from mpbf_abm.cli import main
from mpbf_abm.data.graphs import read_infrastructure
from mpbf_abm.errors import ConfigurationError

LINKS = [("A", "m"), ("B", "m"), ("B", "n"), ("n", "x"), ("m", "y"), ("n", "y"), ("x", "B"), ("y", "A"), ("z", "A")]
KIND = {"A": "repository", "B": "repository", "m": "model", "n": "model", "x": "lab", "y": "lab", "z": "lab"}


def written(folder, name, links=LINKS, kind=KIND, form=nx.DiGraph):
    graph = form()
    graph.add_nodes_from((node, {"kind": k}) for node, k in kind.items())
    graph.add_edges_from(links)
    path = folder / name
    if path.suffix == ".graphml":
        nx.write_graphml(graph, path)
    else:
        path.write_text(json.dumps(nx.node_link_data(graph, edges="links")))
    return path


@pytest.mark.parametrize("name", ["g.graphml", "g.json"])
def test_a_community_starts_from_the_links_of_a_file(tmp_path, name):
    changes = read_infrastructure(written(tmp_path, name))
    eco = Ecosystem(LEAN.updated(changes | {"planners.adoption_rate": 0.0}), 1)
    there = eco.world.infrastructure
    assert there.model_repositories.tolist() == [[0, 1], [1, -1]]
    assert there.lab_models.tolist() == [[1, -1], [0, 1], [-1, -1]]
    assert there.lab_repository.tolist() == [1, 0, 0]
    eco.step()
    # Given links stay until a lab reconsiders; empty places are filled with the first models.
    assert there.lab_models[1].tolist() == [0, 1]
    assert np.all(there.lab_models[:, 0] >= 0)
    # The graph of a community is such a file.
    graph = nx.relabel_nodes(there.graph(), lambda v: f"{v[0]} {v[1]}")
    nx.write_graphml(graph, tmp_path / "again.graphml")
    again = read_infrastructure(tmp_path / "again.graphml")
    assert again["infrastructure.model_links"] == tuple(there.model_repositories.ravel().tolist())
    assert again["infrastructure.deposits"] == (1, 0, 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": KIND | {"m": "modell"}}, "node 'm': kind must be repository, model, lab"),
        ({"links": [*LINKS, ("x", "m")]}, "edge 'x' to 'm': no edge leads from a lab to a model"),
        ({"links": [*LINKS, ("x", "A")]}, "lab 'x' deposits in two repositories"),
        ({"kind": {"A": "repository", "x": "lab"}, "links": []}, "has no model"),
        ({"form": nx.Graph}, "must be directed"),
    ],
)
def test_graphs_that_cannot_be_are_refused(tmp_path, change, said):
    with pytest.raises(ConfigurationError, match=said):
        read_infrastructure(written(tmp_path, "g.json", **change))


def ended(*arguments):
    """Run a command here; return its exit code."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return end.value.code


def test_files_that_are_no_graphs_are_refused_in_a_line(tmp_path, capsys):
    bomb = '<?xml version="1.0"?><!DOCTYPE g [<!ENTITY a "aa">]><graphml>&a;</graphml>'
    for name, text in (
        ("a.graphml", bomb),
        ("b.graphml", "<graphml"),
        ("c.json", "[1"),
        ("d.txt", ""),
        ("e.json", "3"),
    ):
        (tmp_path / name).write_text(text)
        assert ended("run", f"--infrastructure={tmp_path / name}", f"--out={tmp_path / 'out'}") == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert name in said
    assert ended("run", "--infrastructure=none.json") == 2
    path = written(tmp_path, "g.json")
    assert ended("run", f"--infrastructure={path}", "--set=trainers.count=3") == 2
    assert "--set trainers.count: follows from --infrastructure" in capsys.readouterr().err


def test_links_of_another_number_are_refused():
    for changes, said in (
        ({"infrastructure.deposits": (0,)}, r"infrastructure.deposits has 1 entries: must be \d+ or none"),
        ({"infrastructure.lab_links": (99,) * 2 * LEAN.planners.count}, r"\[99\] is no number of a node"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            Ecosystem(LEAN.updated(changes), 1)
