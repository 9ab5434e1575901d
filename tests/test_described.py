"""Files and columns that are written are those of docs/results.md (``conftest.py`` holds every test to it)."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import described
import pytest

import mpbf_abm
from mpbf_abm import Study
from mpbf_abm.outputs import descriptions, seal
from mpbf_abm.studies.jobs import Returned, RunInput
from mpbf_abm.studies.report import timings

SECTIONS = {name: held for name, held in descriptions().items() if name != "column"}


def squared(run: RunInput) -> Returned:
    """Model of a study, that fails at seven."""
    if run.values["x"] == 7:
        raise ValueError("seven")
    return Returned({"y": float(run.values["x"]) ** 2})


def test_every_column_has_a_unit_and_a_meaning():
    common = descriptions()["column"]
    used = set()
    for held in SECTIONS.values():
        own = held.get("own", {})
        assert own.keys() <= held["tables"].keys()
        for table, (row, *columns) in held["tables"].items():
            assert row
            assert own.get(table, {}).keys() <= {*columns}
            known = common | own.get(table, {})
            assert all(len(known[c]) == 2 and known[c][1] for c in columns), table
            used |= {*columns} - own.get(table, {}).keys()
    assert used == common.keys()


@pytest.mark.parametrize(
    ("file", "columns", "lacks"),
    [
        ("effects.csv", ["outcome", "low", "surprise"], ["surprise"]),
        ("compare-effects.csv", ["outcome", "arm", "surprise"], ["surprise"]),
        ("series.csv", ["arm", "tick", "found_share"], []),
        ("summary.csv", ["arm", "seed", "found_shares"], ["found_shares"]),
        ("fan.found_share.csv", ["arm", "history 3", "histories"], ["histories"]),
        ("implications.csv", ["implication"], []),
        ("surprise.csv", ["arm"], ["arm"]),
    ],
)
def test_a_column_that_the_page_lacks_is_seen(file, columns, lacks):
    assert described.lacking(file, columns) == lacks


def test_tables_of_a_study_have_the_columns_of_the_page(tmp_path):
    study = Study(
        name="squares",
        model=squared,
        parameters={"x": {"values": [6, 7]}},
        replicates={"n": 2},
        design={"kind": "grid"},
    )
    with study.run(tmp_path / "s", workers=1) as results:
        tables = {"runs": results.runs, "outcomes": results.outcomes, "failures": results.failures}
        tables["timings"] = timings(results)
    for name, table in tables.items():
        _, *columns = SECTIONS["export"]["tables"][f"{name}.csv"]
        assert list(table.columns) == ["x" if c == "<factor>" else c for c in columns]


def test_the_store_has_the_columns_of_the_page():
    store = sqlite3.connect(":memory:")
    store.executescript((Path(mpbf_abm.__file__).parent / "studies" / "store.sql").read_text(encoding="utf-8"))
    names = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    held = {name: [row[1] for row in store.execute(f"PRAGMA table_info({name})")] for name in names}
    assert held == {name: columns for name, (_, *columns) in SECTIONS["store"]["tables"].items()}


def test_a_record_has_the_keys_of_the_page(tmp_path):
    _, *keys = SECTIONS["record"]["tables"]["provenance.json"]
    assert {*seal(tmp_path, "run"), "runs", "replaced", "record_hash"} == {*keys}
