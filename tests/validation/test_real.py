"""The facts as real data give them (skipped where the data folder is absent), and files that cannot be used."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mpbf_abm.errors import DataError
from mpbf_abm.evidence.facts import recorded
from mpbf_abm.evidence.facts.learners import GAP_SD, GAPS, NON_METAL
from mpbf_abm.evidence.facts.recorded import COMPONENTS

DATA = Path(__file__).parents[3] / "shared" / "data"


def here(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"real data not here: {name} (see the README's section on real data for where to get it)")
    return path


def gap_table(folder: Path, text: str) -> Path:
    """A data folder that holds one table of gaps."""
    (folder / "pbe_expt_gap_pairs").mkdir()
    (folder / "pbe_expt_gap_pairs" / "gap_pairs.csv").write_text(text, encoding="utf-8")
    return folder


# --------------------------------------------------------------------------- real data


@pytest.mark.parametrize("folder", recorded.MEASURES)
def test_what_is_computed_lies_in_its_range_and_near_what_was_recorded(folder: str):
    found = recorded.MEASURES[folder](here(folder))
    assert found
    for name, value in found.items():
        c = COMPONENTS[name]
        assert c.holds(value), (name, value)
        # Recorded values are rounded, some are of other cuts of the same data: within half a range of it.
        assert abs(value - c.value) <= (c.high - c.low) / 2, (name, value)


def test_all_folders_together_are_the_folders_one_by_one():
    found = recorded.measured(here("mpea").parent)
    assert found == {
        name: value
        for folder, measure in recorded.MEASURES.items()
        if (DATA / folder).is_dir()
        for name, value in measure(DATA / folder).items()
    }


def test_the_gaps_that_a_property_is_read_as_are_the_measured_ones():
    table = pd.read_csv(here("pbe_expt_gap_pairs") / "gap_pairs.csv")
    gap = table.loc[table["gap_expt_eV"] > NON_METAL, "gap_expt_eV"]
    assert len(gap) == 1_162
    np.testing.assert_allclose(np.quantile(gap, np.linspace(0, 1, len(GAPS))), GAPS, atol=2e-3)
    assert gap.std() == pytest.approx(GAP_SD, abs=2e-3)


# --------------------------------------------------------------------------- hand-made data


def test_measures_name_components_and_no_component_twice():
    assert set(recorded.MEASURES) == {"pbe_expt_gap_pairs", "concentration", "mpea", "measured", "matbench_discovery"}


def test_a_folder_that_is_missing_is_left_out(tmp_path: Path):
    assert recorded.measured(tmp_path) == {}
    found = recorded.measured(gap_table(tmp_path, "gap_expt_eV,pbe_median\n2,1\n4,2\n8,4\n1,0\n0.05,9\n"))
    # The metal of the last line is not counted; the gap of 1 that is simulated as none is false.
    assert found == pytest.approx({"gap_pbe_ratio": 0.5, "gap_pbe_mae": (1 + 2 + 4 + 1) / 4, "gap_false_metal": 0.25})


def test_concentration_is_that_of_databases_that_people_chose(tmp_path: Path):
    folder = tmp_path / "concentration"
    folder.mkdir()
    # Twenty systems of one entry, but for two of 40: the largest tenth holds 80 of 98. Enumerated sources do not count.
    (folder / "system_size_histogram.csv").write_text(
        "source,entries_per_chemical_system,n_chemical_systems\nmpea,1,18\nmpea,40,2\nenumerated,1,500\n",
        encoding="utf-8",
    )
    (folder / "element_counts.csv").write_text(
        "source,element,n_entries_with_element\nmpea,Fe,5\nmpea,Ni,5\nenumerated,Fe,99\nenumerated,Ni,1\n",
        encoding="utf-8",
    )
    assert recorded.measured(tmp_path) == pytest.approx({"system_top10": 80 / 98, "element_gini": 0.0})


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("gap,pbe_median\n2,1\n", "needs 'gap_expt_eV', which is not there"),
        ("gap_expt_eV,pbe_median\nmuch,1\n", "pbe_expt_gap_pairs: "),
        ("gap_expt_eV,pbe_median\n2,little\n", "pbe_expt_gap_pairs: "),
        ("", "No columns to parse"),
        ("gap_expt_eV,pbe_median\n", "holds no values for gap_pbe_ratio, gap_pbe_mae"),
        ("gap_expt_eV,pbe_median\n1,2,3\n1,2,3,4\n", "pbe_expt_gap_pairs: "),
    ],
)
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, text: str, part: str):
    with pytest.raises(DataError) as caught:
        recorded.measured(gap_table(tmp_path, text))
    (fault,) = caught.value.faults
    assert fault.startswith(str(tmp_path / "pbe_expt_gap_pairs"))
    assert part in fault
    assert "\n" not in fault


def test_all_damaged_folders_are_told_at_once(tmp_path: Path):
    gap_table(tmp_path, "gap\n1\n")
    (tmp_path / "mpea").mkdir()
    (tmp_path / "matbench_discovery").mkdir()
    (tmp_path / "matbench_discovery" / "models.csv").write_text("train\nMPtrj\nMPtrj\n", encoding="utf-8")
    (tmp_path / "matbench_discovery" / "element-prevalence-vs-error.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        recorded.measured(tmp_path)
    assert len(caught.value.faults) == 3
    assert "paper_system_events.csv" in caught.value.faults[1]
