"""Loaders of public collections: the real libraries on small local data (skipped where a library is absent)."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pandas as pd
import pytest

from mpbf_abm.data import spaces
from mpbf_abm.errors import DataError
from mpbf_abm.model.materials import MaterialsSpace

# Made up for these tests, in the form of the collections.
GAPS = {"NaCl": 8.5, "KCl": 8.4, "MgO": 7.8, "CaO": 6.9, "ZnS": 3.7, "GaAs": 1.4, "Si": 1.1, "Fe2O3": 2.2}


def library(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed (an extra of the package)")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Warnings of the libraries are theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# --------------------------------------------------------------------------- matminer


@pytest.fixture
def data_home(tmp_path: Path) -> str:
    """A folder with the file of a set, written by matminer itself."""
    library("matminer")
    from matminer.utils.io import store_dataframe_as_json

    table = pd.DataFrame({"formula": list(GAPS), "gap expt": list(GAPS.values())})
    store_dataframe_as_json(table, str(tmp_path / "expt_gap.json.gz"), compression="gz", pbar=False)
    return str(tmp_path)


def test_a_set_of_matminer_becomes_a_space(data_home: str):
    space = MaterialsSpace.from_matminer(
        "expt_gap", formula="formula", measured="gap expt", data_home=data_home, download=False, unit="eV", min_family=2
    )
    assert sorted(space.names) == sorted(GAPS)
    at = space.names.index("ZnS")
    assert space.in_unit(float(space.property[at])) == pytest.approx(3.7, rel=1e-5)
    assert space.origin["source"] == "matminer: expt_gap"


def test_structures_give_formulas(data_home: str):
    from matminer.utils.io import store_dataframe_as_json
    from pymatgen.core import Lattice, Structure

    salts = [
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), [m, x], [[0, 0, 0], [0.5, 0.5, 0.5]])
        for m, x, a in (("Na", "Cl", 5.64), ("Mg", "O", 4.21), ("K", "Br", 6.6))
    ]
    table = pd.DataFrame({"structure": salts, "gap pbe": [5.0, 4.4, 4.3]})
    store_dataframe_as_json(table, f"{data_home}/matbench_mp_gap.json.gz", compression="gz", pbar=False)
    read = spaces.matminer("matbench_mp_gap", data_home=data_home, download=False)
    assert list(read["formula"]) == ["NaCl", "MgO", "KBr"]
    assert "structure" not in read


def test_faults_of_matminer_are_one_line(data_home: str):
    for name, part in (("expt_gapp", "Unrecognized dataset name"), ("matbench_expt_gap", "not found")):
        with pytest.raises(DataError, match=part) as caught:
            spaces.matminer(name, data_home=data_home, download=False)
        assert len(caught.value.faults) == 1
        assert "\n" not in caught.value.faults[0]


# --------------------------------------------------------------------------- Materials Project


@pytest.fixture
def endpoint() -> Iterator[str]:
    """A server on this machine that answers as the Materials Project does, for the real client."""
    library("mp_api")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlparse(self.path)
            answer: dict[str, object] = {
                "version": "0.87.0",
                "db_version": "2026.1.1",
                "access_controlled_batch_ids": [],
            }
            if asked.path.startswith("/materials/summary"):
                wanted = set(parse_qs(asked.query)["elements"][0].split(","))
                assert parse_qs(asked.query)["_fields"] == ["formula_pretty,band_gap"]
                found = [
                    {"formula_pretty": f, "band_gap": gap - shift}
                    for f, gap in GAPS.items()
                    for shift in (0.0, 0.2)
                    if all(e in f for e in wanted)
                ]
                answer = {"data": found, "meta": {"total_doc": len(found)}}
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_summaries_of_the_materials_project_become_a_space(endpoint: str):
    space = MaterialsSpace.from_materials_project(
        "band_gap",
        search={"elements": ["O"]},
        api_key="k" * 32,
        client={"endpoint": endpoint},
        duplicates="first",
        unit="eV",
        min_family=2,
    )
    assert sorted(space.names) == ["CaO", "Fe2O3", "MgO"]
    assert space.origin["merged"] == 3
    at = space.names.index("MgO")
    assert space.in_unit(float(space.property[at])) == pytest.approx(7.8, rel=1e-5)
    assert space.origin["source"] == "Materials Project"


def test_faults_of_the_materials_project_are_one_line(endpoint: str):
    calls = (({"elements": ["Xe"]}, "nothing is found"), ({"elementss": ["O"]}, "elementss"))
    for search, part in calls:
        with pytest.raises(DataError, match=part) as caught:
            spaces.materials_project(["formula_pretty", "band_gap"], search=search, api_key="k" * 32, endpoint=endpoint)
        assert "\n" not in caught.value.faults[0]


# --------------------------------------------------------------------------- without the libraries


@pytest.mark.parametrize(
    ("absent", "call", "extra"),
    [
        ("matminer.datasets", lambda: spaces.matminer("expt_gap"), "matminer"),
        ("mp_api.client", lambda: spaces.materials_project(["band_gap"], search={}), "materials-project"),
    ],
)
def test_a_missing_library_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch, absent, call, extra):
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(DataError) as caught:
        call()
    assert caught.value.faults[0].endswith(f"pip install 'mpbf_abm[{extra}]'")


def test_fields_of_several_properties_are_asked_for_once(monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def answer(fields: list[str], **_: object) -> pd.DataFrame:
        asked.extend(fields)
        columns = {
            "band_gap": list(GAPS.values()),
            "density": range(len(GAPS)),
            "gap_2": 1.0,
            "formula_pretty": list(GAPS),
        }
        return pd.DataFrame(columns)[fields]

    monkeypatch.setattr(spaces, "materials_project", answer)
    options = {"simulated": ["gap_2", ""], "year": None, "goal": ["max", "min"], "min_family": 2}
    space = MaterialsSpace.from_materials_project(["band_gap", "density"], search={}, **options)
    assert asked == ["formula_pretty", "band_gap", "density", "gap_2"]
    assert [q.name for q in space.quantities] == ["band_gap", "density"]
