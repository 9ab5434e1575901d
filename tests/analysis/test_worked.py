"""Worked examples: their commands run and refuse, and their pages hold what they give."""

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import renew

from analysis.worked import alloy_literature, alloys, cuprates, gaps, page
from analysis.worked.page import Example
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.model.interventions import in_force
from mpbf_abm.parameters import Parameters

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
NAMES = ("gaps", "alloys", "cuprates")
BLOCK = re.compile(r"<!-- result:([\w-]+) -->\n(.*?)<!-- /result -->", re.DOTALL)


def example(name: str) -> Example:
    found: Example = importlib.import_module(f"analysis.worked.{name}").EXAMPLE
    return found


def page_of(name: str) -> Path:
    return ROOT / "docs" / "examples" / f"{name}.md"


def excerpt(tmp_path: Path, name: str, rows: int) -> Path:
    """A data folder with some rows of each table that an example reads."""
    for file in example(name).needs:
        if not (DATA / file).exists():
            pytest.skip(f"real data not here: {file}")
        table = pd.read_csv(DATA / file, encoding="utf-8-sig")
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        table.iloc[:: max(1, len(table) // rows)].to_csv(tmp_path / file, index=False)
    return tmp_path


def short(whole: Example, ticks: int) -> Example:
    """The example with two arms and a few ticks."""

    def study(data: Path, replicates: int):
        long = whole.study(data, replicates)
        fields = {name: getattr(long, name) for name in type(long).model_fields}
        return type(long)(**(fields | {"ticks": ticks, "policies": long.policies[:1]}))

    return replace(whole, study=study)


# --------------------------------------------------------------------------- pages and scripts


@pytest.mark.parametrize("name", NAMES)
def test_pages_are_filled_and_their_figures_small(name: str):
    text = page_of(name).read_text(encoding="utf-8")
    blocks = dict(BLOCK.findall(text))
    assert len(blocks) >= 3
    assert all(content.strip() for content in blocks.values()), "run: python docs/renew.py PAGE FOLDER DATA"
    picture = page_of(name).with_suffix(".png")
    assert f"]({picture.name})" in text
    assert 10_000 < picture.stat().st_size < 200_000
    assert f"python -m analysis.worked {name} --data DATA" in text
    assert f"python docs/renew.py docs/examples/{name}.md results/{name} DATA" in text
    assert f"[{name}.py](worked/{name}.py)" in (ROOT / "analysis" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "rows", "ticks"),
    [("gaps", 500, 2), pytest.param("alloys", 10**6, 15, marks=pytest.mark.nightly), ("cuprates", 1_000, 2)],
)
def test_a_command_renews_its_page(
    name: str,
    rows: int,
    ticks: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    data = excerpt(tmp_path / "data", name, rows)
    monkeypatch.setattr(alloy_literature, "ELEMENTS", 6)  # 42 families instead of thousands
    document = tmp_path / page_of(name).name
    document.write_text(
        BLOCK.sub(r"<!-- result:\1 -->\nold\n<!-- /result -->", page_of(name).read_text(encoding="utf-8"))
    )
    command = ["--data", str(data), "--out", str(tmp_path / "out"), "--replicates", "2", "--jobs", "1"]
    made = short(example(name), ticks)
    assert page.main([made], [name, *command]) == 0
    monkeypatch.setattr(importlib.import_module(f"analysis.worked.{name}"), "EXAMPLE", made)
    assert renew.main([str(document), str(tmp_path / "out"), str(data)]) == 0
    text = document.read_text(encoding="utf-8")
    assert "old\n" not in text
    # What stands in the page is what was printed, and of the form of the committed page.
    printed = capsys.readouterr().out
    committed = dict(BLOCK.findall(page_of(name).read_text(encoding="utf-8")))
    for block, content in BLOCK.findall(text):
        assert content.strip() in printed
        first = [text.splitlines()[0].split("|")[1:2] for text in (content, committed[block])]
        assert first[0] == first[1]
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    assert {"outcomes.csv", f"{name}.png", f"{name}.pdf", "study.sqlite"} <= {
        p.name for p in (tmp_path / "out").iterdir()
    }


def test_a_script_says_all_faults_at_once_and_makes_nothing(tmp_path: Path):
    script = [sys.executable, "-m", "analysis.worked", "gaps"]
    command = [*script, "--data", "nowhere", "--replicates", "1", "--jobs", "0"]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert "no file nowhere/pbe_expt_gap_pairs/gap_pairs.csv" in lines[0]
    assert "--replicates = 1: must be at least 2" in lines[1]
    assert not list(tmp_path.iterdir())


def test_a_page_with_an_unknown_block_is_refused(tmp_path: Path):
    document = tmp_path / "page.md"
    document.write_text("<!-- result:runz -->\n<!-- /result -->\n")
    with pytest.raises(ConfigurationError, match="did you mean 'runs'"):
        renew.renew(document, {"runs": "| a |\n"})


# --------------------------------------------------------------------------- parts


def test_numbers_are_short_and_plain():
    assert [page.number(v) for v in (0.64, 1234.6, 0.00012, -3.14159, float("nan"), 99.96)] == [
        "0.64",
        "1235",
        "0.00012",
        "-3.14",
        "-",
        "100",
    ]
    assert page.middle_range(np.array([1.0, np.nan])) == "1 (1 to 1)"


def test_runs_on_other_data_are_other_runs(tmp_path: Path):
    (tmp_path / "a.csv").write_text("1")
    before = page.fingerprint(tmp_path, ["a.csv"])
    (tmp_path / "a.csv").write_text("2")
    assert page.fingerprint(tmp_path, ["a.csv"]) != before
    assert page.fingerprint(tmp_path, ["a.csv"], alloys.attachment) != page.fingerprint(tmp_path, ["a.csv"])


def test_the_pace_of_a_replay_is_that_of_the_record():
    years = np.repeat([2004, 2005, 2007, 2019], [2, 1, 5, 130])
    p = Parameters.preset("single-default").updated(alloys.REPLAY)
    policies = alloys.pace(years, p)
    planned = p.planners.count * p.planners.experiments
    funded = [in_force(p, policies, tick).stocks.funding * planned for tick in range(alloys.LAST - alloys.FIRST)]
    assert funded == pytest.approx([1, 0, 5, *[0] * 11, 130])


def test_superconductors_are_dated_by_the_first_of_their_class():
    years: Callable[[str], int] = lambda text: cuprates.first_year(cuprates.elements_of(text))
    assert [
        years(t) for t in ("YBa2Cu3O7", "La1.85Sr0.15Cu1O4", "LaFeAsO", "FeSe", "Nb3Sn", "Cu2S", "BaPbO3", "O7-x")
    ] == [1986, 1986, 2006, 2006, 1911, 1911, 1911, 1911]


def test_the_arms_of_the_gaps_differ_in_one_thing_at_a_time(tmp_path: Path):
    (tmp_path / gaps.PAIRS).parent.mkdir()
    study = gaps.study(tmp_path, 2)
    base = study.fixed
    arms = {arm.label: base | arm.parameters for arm in study.arms}
    heard, price = arms["labs heard"], arms["quota at PBE's price"]
    assert {k for k in base if heard.get(k) != base[k]} == {"trainers.labels"}
    assert {k for k in heard if price[k] != heard[k]} == {"curators.measured_cost"}
