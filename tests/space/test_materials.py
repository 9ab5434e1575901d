"""Graphs of similar families."""

import numpy as np
import pandas as pd
import pytest

from mpbf_abm.data.chemistry import element_edits
from mpbf_abm.data.synthetic import adjacent_similarity
from mpbf_abm.errors import DataError
from mpbf_abm.model.materials import MaterialsSpace


def edits(*sets: str) -> np.ndarray:
    alphabet = sorted(set("".join(sets)))
    return element_edits(np.array([[e in s for e in alphabet] for s in sets]))


def test_families_one_edit_apart_are_neighbours_and_weigh_the_same():
    graph = adjacent_similarity(edits("ab", "abc", "abd", "abcd"))
    assert graph.tolist() == [[0, 0.5, 0.5, 0], [0.5, 0, 0, 0.5], [0.5, 0, 0, 0.5], [0, 0.5, 0.5, 0]]


def test_a_family_without_a_neighbour_is_joined_to_its_nearest():
    graph = adjacent_similarity(edits("ab", "abc", "xyz"))
    assert graph[2].tolist() == [1, 0, 0]
    assert graph[0].tolist() == [0, 0.5, 0.5]
    assert adjacent_similarity(edits("ab")).tolist() == [[1.0]]


def test_families_of_the_same_elements_are_neighbours():
    assert adjacent_similarity(np.zeros((3, 3), np.int16)).tolist() == [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]


def test_a_table_can_be_asked_for_similarity_by_elements():
    systems = ["Al-Co", "Al-Co-Cr", "Al-Co-Fe", "Nb-Ta"]
    table = pd.DataFrame(
        {
            "formula": [s.replace("-", "") for s in systems] + ["AlCo2"],
            "HV": [1.0, 2.0, 3.0, 4.0, 5.0],
            "system": [*systems, "Al-Co"],
        }
    )
    space = MaterialsSpace.from_table(table, formula="formula", measured="HV", family="system", similarity="elements")
    row = dict(zip(space.family_names, space.similarity[space.family_names.index("Al-Co-Cr")], strict=True))
    assert row == {"Al-Co": 1.0, "Al-Co-Cr": 0.0, "Al-Co-Fe": 0.0, "Nb-Ta": 0.0}
    assert space.origin["options"]["similarity"] == "elements"
    np.testing.assert_allclose(space.similarity.sum(axis=1), 1)
    with pytest.raises(DataError, match="similarity"):
        MaterialsSpace.from_table(table, formula="formula", measured="HV", similarity="edits")
