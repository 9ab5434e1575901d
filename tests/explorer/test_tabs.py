"""What the page shows is what ``mpbf run`` computes, in every tab and view."""

from __future__ import annotations

import re
import sqlite3
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from questions import SMALL, WHAT_IF, scenario

from mpbf_abm import cli
from mpbf_abm.measures.keystones import single_losses
from mpbf_abm.measures.networks import FLOWS
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.shocks import Shock
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.page import tabs
from mpbf_abm.page.history import family_places, losses, record_history, tasks_of, work
from mpbf_abm.page.layout import overview_pdf, tables_zip
from mpbf_abm.page.shown import FLOW_WINDOW, Shown
from mpbf_abm.page.stored import Studies
from mpbf_abm.page.tabs import TABS, VIEWS, View
from mpbf_abm.page.visit import _checked_look
from mpbf_abm.parameters import Parameters
from mpbf_abm.studies.whatif import run_plan

VIEWED = [(query, view) for query, views in ((SMALL, ["baseline"]), (WHAT_IF, list(VIEWS))) for view in views]


def shown_of(query: str) -> Shown:
    s = scenario(query)
    return Shown(s, {name: work(task) for name, task in tasks_of(s.plan).items()})


@pytest.fixture(scope="module")
def all_shown() -> dict[str, Shown]:
    return {query: shown_of(query) for query in (SMALL, WHAT_IF)}


@pytest.mark.parametrize("query", [SMALL, WHAT_IF])
def test_tables_are_those_of_a_run_from_the_command_line(all_shown, query: str):
    shown, ensemble = all_shown[query], run_plan(scenario(query).plan)
    pd.testing.assert_frame_equal(shown.ensemble.summary, ensemble.summary)
    pd.testing.assert_frame_equal(shown.ensemble.series, ensemble.series)
    pd.testing.assert_frame_equal(shown.ensemble.families, ensemble.families)
    ids = [shown.histories[arm, i].spec.id for arm in shown.arms for i in shown.replicates]
    assert ids == [run["id"] for run in ensemble.plan.record()["runs"]]
    if ensemble.effects is None:
        assert shown.effects is None
    else:
        assert shown.effects is not None
        for row in ensemble.effects.to_dict("records"):
            assert shown.effects[row["outcome"]] == pytest.approx(
                {k: row[k] for k in shown.effects[row["outcome"]]}, nan_ok=True
            )


@pytest.mark.parametrize("name", list(tabs.MAKERS))
@pytest.mark.parametrize(("query", "view"), VIEWED)
def test_every_tab_in_every_view_is_well_formed(all_shown, name: str, query: str, view: str):
    shown = all_shown[query]
    for tick in (0, 17):
        html = tabs.MAKERS[name](shown, View(name, view, tick).fitting(shown))
        root = ET.fromstring(f"<div>{html}</div>")  # noqa: S314 (our own)
        for picture in root.iter("svg"):
            assert picture.get("role") == "img"
            assert len(picture.get("aria-label", "")) > 30
        assert "nan" not in re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL).lower().replace(
            "provenance", ""
        ).replace("maintenance", "")
        assert "://" not in html


def test_pictures_take_their_colours_from_the_page(all_shown):
    html = tabs.layers(all_shown[WHAT_IF], View("layers", "both", 5).fitting(all_shown[WHAT_IF]))
    assert "var(--blue)" in html
    assert "#000000" not in html


def test_numbers_on_cards_are_the_means_of_the_runs(all_shown):
    shown = all_shown[WHAT_IF]
    html = tabs.cards(shown)
    for outcome in tabs.TITLES:
        for arm in ("baseline", "what-if"):
            (value,) = re.findall(rf'data-outcome="{outcome}" data-arm="{arm}" data-value="([^"]+)"', html)
            assert float(value) == pytest.approx(float(shown.ensemble.arm(arm)[outcome].mean()), nan_ok=True)


def test_only_whole_pairs_count(all_shown):
    whole = all_shown[WHAT_IF]
    some = {name: h for name, h in whole.histories.items() if name != ("what-if", 1)}
    part = Shown(whole.scenario, some)
    assert part.replicates == [0]
    assert not part.whole
    assert part.effects is not None
    assert np.isnan(part.effects["found_share"]["low"])
    assert part.effects["found_share"]["n"] == 1
    assert "one pair says little" in tabs.cards(part)
    assert "1 of 2 so far" in tabs.cards(part)


def test_what_the_tick_table_says_is_the_series(all_shown):
    shown = all_shown[WHAT_IF]
    html = tabs.at_tick(shown, View("layers", "both", 9))
    mean = np.mean([shown.histories["what-if", i].result.series["found_share"][9] for i in (0, 1)])
    row = re.search(r">found_share</abbr></th>(.*?)</tr>", html)
    assert row is not None
    assert tabs.num(float(mean)) in row.group(1)
    assert "At tick 9 " in html


def test_gaps_are_zero_before_the_policy_and_have_intervals(all_shown):
    frame = all_shown[WHAT_IF].gaps(["found_share", "families_d1"])
    early = frame[(frame["tick"] < 6) & (frame["quantity"] == "families_d1")]
    assert (early["difference"].dropna() == 0).all()
    late = frame[frame["tick"] == 17]
    assert (late["low"] <= late["difference"]).all()


def test_flows_add_up(all_shown):
    shown = all_shown[SMALL]
    history = shown.histories["baseline", 0]
    assert list(history.flows.columns) == list(FLOWS)
    done = history.result.series["experiments_done"].diff().fillna(history.result.series["experiments_done"])
    np.testing.assert_allclose(history.flows["steered"] + history.flows["alone"], done)
    first = shown.flow_values("acquired", "baseline", 3)
    assert first[0] == pytest.approx(history.flows["acquired"][:4].mean())
    late = shown.flow_values("acquired", "baseline", 17)
    assert late[0] == pytest.approx(history.flows["acquired"][18 - FLOW_WINDOW :].mean())


def test_links_are_those_of_the_run(all_shown):
    shown = all_shown[SMALL]
    nodes, edges = shown.network("baseline", 0, 17)
    result = shown.histories["baseline", 0].result
    assert len(nodes) == len(result.nodes)
    assert len(edges) == len(result.edges)
    marked = nodes[nodes["mark"]]
    for kind in ("repository", "model"):
        assert marked[marked["kind"] == kind]["load"].max() == nodes[nodes["kind"] == kind]["load"].max()
    assert len(shown.histories["baseline", 0].links) == 18


def test_a_shock_from_a_tick_shows_at_the_tick_of_that_number_at_every_door():
    query = f"{SMALL}&shock=repository_outage:start=4,end=9,target=largest&shocks_in_baseline=false"
    shown = shown_of(query)
    down = [int((~shown.network("what-if", 0, t)[0]["works"]).sum()) for t in range(18)]
    assert next(t for t in range(18) if down[t]) == 4
    # Repair is by chance from the end on, which is said.
    assert down[9] > 0 == down[-1]
    words = shown.scenario.plan.words()
    assert "nodes are repaired from tick 9 on, each with chance stocks.repair = 0.2 a tick" in words
    series = shown.ensemble.series
    hit = series[(series["arm"] == "what-if") & (series["repositories_working"] < 1)]
    assert hit["tick"].min() == 4
    bands = shown.bands(["repositories_working"], ["what-if"])
    assert bands.loc[bands["median"] < 1, "x"].min() == 4
    look = View("network", "what-if", **_checked_look({"tick": "4"})).fitting(shown)
    html = tabs.network(shown, look)
    assert f"Infrastructure of the what-if at tick 4: repositories 4 ({down[4]} down)" in html
    assert "At tick 4," in html
    assert "in turn from tick 4 on" in html
    assert "At tick 4 " in tabs.at_tick(shown, look)
    assert "ticks 0 to 4" in tabs.flows(shown, look)
    assert "Up to tick 4," in tabs.materials(shown, look)
    assert "At the end (tick 17)" in tabs.cards(shown)
    assert "repository_outage, largest from tick 4 to 9" in words
    assert "start = 4\n" in shown.scenario.to_toml()
    assert "start = 4, end = 9" in shown.scenario.to_study()


def test_what_is_lost_is_keyed_by_tick_and_arm_and_says_so(all_shown):
    shown = all_shown[WHAT_IF]
    table = pd.DataFrame({"kind": "model", "name": ["rank 1"], "cost": 0.1, "low": 0.05, "high": 0.2, "seeds": 2})
    known = {tabs.Loss(6, "what-if"): table}
    html = {at: tabs.network(shown, View("network", at[0], at[1]), known) for at in (("both", 6), ("baseline", 6))}
    assert "Lost from tick 6 on, in the what-if, with exploration_floor at 0.8 from tick 6." in html["both", 6]
    assert "Loss of a model" in html["both", 6]
    assert "Loss of a model" not in html["baseline", 6]
    assert "Computed as well: tick 6, what-if." in html["baseline", 6]
    assert all(page.count('data-ask="losses"') == 1 for page in html.values())
    with_shock = scenario(f"{SMALL}&shock=poisoning:start=3")
    assert tabs.Loss(0, "baseline").words(with_shock) == "from tick 0 on, with poisoning from tick 3"


def test_a_card_says_what_is_not_defined_and_how_often(all_shown):
    card = tabs.cards(all_shown[SMALL])
    assert "one run" not in card
    assert tabs._range(np.array([]), 16) == "defined in 0 of 16 runs"
    assert tabs._range(np.array([1.0]), 1) == "one run"
    assert tabs.verdict({"n": 0, "low": np.nan, "high": np.nan, "identical": False})[0] == "not defined"
    assert "below 1 is worse than chance" in card


def test_pairs_are_counted_as_higher_among_those_that_are_defined(all_shown):
    shown = Shown(all_shown[WHAT_IF].scenario, all_shown[WHAT_IF].histories)
    shown.ensemble.summary["rmse_dense"] = [1.0, np.nan, 2.0, 3.0]
    shown.ensemble.summary["rmse_niche"] = np.nan
    assert shown.effects is not None
    table = tabs._effects_table(shown, shown.effects)
    assert re.findall(r'>(rmse_\w+)</abbr>.*?</span></td><td class="num">([^<]*)<', table) == [
        ("rmse_dense", "100%"),
        ("rmse_niche", "–"),
    ]


def test_the_map_separates_families_and_counts_what_was_tried(all_shown):
    shown = all_shown[SMALL]
    tried, found = shown.family_counts("baseline", 1, 17)
    last = shown.histories["baseline", 1].result.series.iloc[-1]
    assert tried.sum() == last["experiments_done"]
    assert found.sum() == last["found"]
    p = Parameters.preset("single-default").updated({"space.materials": 3000, "space.families": 12})
    space = MaterialsSpace.synthetic(p, seed=3)
    places = family_places(space)
    assert places["materials"].sum() == 3000
    assert places["top"].sum() == space.top.sum()
    np.testing.assert_allclose(places[["x", "y"]].std(ddof=0), 1.0)
    again = family_places(space.relabelled(np.arange(12)[::-1]))
    np.testing.assert_allclose(again["x"].to_numpy()[::-1], places["x"], atol=1e-6)


def test_one_family_has_a_place_too():
    p = Parameters.preset("single-default").updated({"space.materials": 50, "space.families": 1})
    places = family_places(MaterialsSpace.synthetic(p, seed=1))
    assert np.isfinite(places[["x", "y"]].to_numpy()).all()


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(f"{SMALL}&trainers.count=0", marks=pytest.mark.nightly),
        f"{SMALL}&planners.count=0",
        pytest.param(f"{SMALL}&ticks=1", marks=pytest.mark.nightly),
        f"{SMALL}&replicates=1",
        pytest.param(f"{SMALL}&curators.count=0", marks=pytest.mark.nightly),
        "preset=null&space.materials=300&space.families=5&ticks=6&replicates=2",
        f"{SMALL}&space.families=1&ticks=4&policy=audits:start=1",
    ],
)
def test_odd_communities_have_every_tab(query: str):
    shown = shown_of(query)
    for name, make in tabs.MAKERS.items():
        for view in VIEWS:
            assert make(shown, View(name, view, 500).fitting(shown))
    assert tabs.cards(shown)
    assert tabs.at_tick(shown, View(tick=3).fitting(shown))


def test_losing_each_node_is_the_measure_of_the_laboratory_under_the_shocks_of_the_run():
    p = scenario(SMALL).parameters
    table = losses(RunSpec(p, 1, 10), 5)
    by_kind = {kind: single_losses(p, [1], 10, start=5, kind=kind) for kind in ("repository", "model")}
    same = pd.concat([t.assign(kind=kind) for kind, t in by_kind.items()], ignore_index=True)
    pd.testing.assert_frame_equal(table, same, check_like=True)
    shocked = losses(RunSpec(p, 1, 10, shocks=(Shock("retraction_wave", start=6),)), 5)
    assert not shocked["damage"].equals(table["damage"])
    assert len(losses(RunSpec(p, 1, 2), 0)) == 4 + 3


def test_files_hold_what_a_run_writes(all_shown, tmp_path):
    import io
    import zipfile

    blob = tables_zip(all_shown[WHAT_IF])
    archive = zipfile.ZipFile(io.BytesIO(blob))
    assert archive.namelist() == [
        "effects.csv",
        "families.csv",
        "parameters.toml",
        "provenance.json",
        "runs/study.sqlite",
        "series.csv",
        "study.toml",
        "summary.csv",
    ]
    # What has come so far can be had, too.
    first = Shown(scenario(WHAT_IF), {name: h for name, h in all_shown[WHAT_IF].histories.items() if name[1] == 0})
    assert zipfile.ZipFile(io.BytesIO(tables_zip(first))).namelist() == archive.namelist()
    # The command finds the runs in the unpacked folder, and its own result there.
    archive.extractall(tmp_path / "o")
    command = scenario(WHAT_IF).command().split()[1:]
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--quiet", f"--out={tmp_path / 'o'}"])
    assert stop.value.code == 0
    with sqlite3.connect(tmp_path / "o" / "runs" / "study.sqlite") as db:
        assert db.execute("SELECT count(*), max(seconds) FROM runs").fetchone() == (4, 0.0)
    assert overview_pdf(all_shown[WHAT_IF]).startswith(b"%PDF")


def test_only_studies_inside_the_folder_are_there(tmp_path):
    for place in ("studies/mine", "secret"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "study.sqlite").write_bytes(b"")
    (tmp_path / "studies" / "out").symlink_to(tmp_path / "secret")
    (tmp_path / "studies" / "again").symlink_to(tmp_path / "studies" / "mine")
    studies = Studies(tmp_path / "studies")
    assert studies.names() == ["again", "mine"]
    assert "choose a study" in studies.page({"study": "out"})


def test_a_look_stays_within_what_there_is(all_shown):
    look = View("layers", "difference", 999, 77).fitting(all_shown[SMALL])
    assert (look.view, look.tick, look.pair) == ("baseline", 17, 0)
    assert set(tabs.MAKERS) | {"study"} == set(TABS)


def test_a_history_takes_the_memory_it_says():
    history = record_history(RunSpec(scenario(SMALL).parameters, 1, 5))
    assert 5e3 < history.bytes < 1e5
