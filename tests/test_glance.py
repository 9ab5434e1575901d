"""What a reader sees of the public objects: a short text, HTML in which nothing acts, a picture, and help."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from typing import Any

import matplotlib
import pandas as pd
import pytest
from lean import LEAN
from matplotlib.figure import Figure

import mpbf_abm
from mpbf_abm import MaterialsSpace, Parameters, Policy, Results, RunSpec, Study, cli, run_campaign, simulate, what_if
from mpbf_abm.cli.options import Question
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.glance import Glance
from mpbf_abm.model.ecosystem import Ecosystem
from mpbf_abm.parameters import GROUPS, schema
from mpbf_abm.provenance import DEFAULT_SEED
from mpbf_abm.studies.jobs import Returned, RunInput

TAG = "<img src=x onerror=alert(1)>"
EVIL = f"{TAG}\x1b[2J\n# heading"
AUDITS = Policy("audits", start=1)
TAKES_FIELDS = [
    name
    for name in mpbf_abm.__all__
    if hasattr(getattr(mpbf_abm, name), "model_fields") or dataclasses.is_dataclass(getattr(mpbf_abm, name))
]


def nothing(_: RunInput) -> Returned:
    """Model of a study that has two arms of strange names."""
    return Returned({"y": 1.0})


@pytest.fixture(scope="module")
def asked():
    return what_if(LEAN, policies=[AUDITS], ticks=3, replicates=2)


@pytest.fixture(scope="module")
def shown(asked, tmp_path_factory):
    """One of each object that the public functions return."""
    run = simulate(LEAN, ticks=3)
    arms = [{"label": TAG, "parameters": {"x": 1}}, {"label": "plain", "parameters": {"x": 2}}]
    study = Study(name="strange", question=EVIL, model=nothing, parameters={"x": 0}, policies=arms, replicates={"n": 3})
    results = study.run(tmp_path_factory.mktemp("strange") / "runs", workers=1)
    pool = MaterialsSpace.from_pool(pd.DataFrame({TAG: range(9), "y": [i * i % 7 for i in range(9)]}), objective="y")
    objects: list[Any] = [run, run.spec, run.community.world.space, Ecosystem(LEAN).snapshot(), LEAN, study, results]
    yield [*objects, asked, Parameters.preset("pool"), pool, run_campaign(pool, founding=2, budget=4)]
    results.close()


def test_a_repr_is_read_at_one_glance(shown):
    for thing in shown:
        lines = repr(thing).splitlines()
        assert type(thing).__name__.removesuffix("s") in lines[0] or "what-if" in lines[0]
        assert len(lines) <= 20
        assert max(map(len, lines)) <= 160
        assert "\x1b" not in repr(thing) + str(thing)


def test_nothing_of_a_user_acts_as_html(shown):
    for thing in shown:
        html = thing._repr_html_()
        assert "<img" not in html
        assert html.startswith("<p>")
    assert any("&lt;img" in thing._repr_html_() for thing in shown)


def test_a_long_table_is_cut_and_counted():
    glance = Glance("said", ("a", "b"), [[EVIL, i] for i in range(1000)])
    assert glance.text().splitlines()[-1] == "and 986 more"
    assert glance.html().count("<tr>") == 14


def test_results_are_shown_after_they_were_closed(tmp_path):
    study = Study(name="closed", model=nothing, replicates={"n": 1})
    study.run(tmp_path, workers=1).close()
    with Results.open(tmp_path) as results:
        pass
    assert repr(results).startswith("Results of study 'closed', closed, in ")


def test_a_plot_is_a_figure_and_leaves_the_users_settings_alone(shown, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "module://absent")
    before = dict(matplotlib.rcParams)
    drawn = [thing.plot() for thing in shown if hasattr(thing, "plot")]
    assert len(drawn) == 3
    assert all(isinstance(figure, Figure) and figure.axes for figure in drawn)
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_a_run_that_recorded_nothing_is_drawn():
    assert simulate(LEAN, ticks=2, record=()).plot().axes


# --------------------------------------------------------------------------- help


@pytest.mark.parametrize("name", TAKES_FIELDS)
def test_help_has_every_field(name):
    kind = getattr(mpbf_abm, name)
    said = inspect.getdoc(kind).splitlines()
    for field in getattr(kind, "model_fields", None) or [f.name for f in dataclasses.fields(kind)]:
        assert any(field in line.split(" : ")[0].replace(",", "").split() for line in said), f"{name}.{field}"


def test_help_says_unit_bounds_and_default():
    assert "start : int, unit ticks, at least 0, default 0\n    first tick with an effect" in inspect.getdoc(Policy)
    for row in schema():
        said = inspect.getdoc(GROUPS[row["group"]])
        (line,) = [line for line in said.splitlines() if line.startswith(f"{row['name']} : ")]
        bounds = [f"{row[end]:.12g}" for end in ("low", "high") if row[end] is not None]
        assert line.endswith(f"default {row['default']!r}")
        assert all(bound in line for bound in bounds)
        assert row["unit"] in ("name", "switch") or f"unit {row['unit']}" in line
        assert f"\n    {row['help']}" in said


# --------------------------------------------------------------------------- one what-if, one seed


def test_a_what_if_is_that_of_the_command_line(asked, tmp_path, capsys):
    (tmp_path / "lean.toml").write_text(LEAN.to_toml(), encoding="utf-8")
    call = ["run", str(tmp_path / "lean.toml"), "--policy", "audits:start=1", "--ticks", "3", "--replicates", "2"]
    with pytest.raises(SystemExit) as stop:
        cli.main([*call, "--out", str(tmp_path / "out"), "-j", "1"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(str(asked))
    effects = (tmp_path / "out" / "effects.csv").read_text(encoding="utf-8")
    assert effects == asked.effects.to_csv(index=False, lineterminator="\n")


def test_a_what_if_that_cannot_be_asked_is_refused():
    with pytest.raises(ConfigurationError, match="replicates = 1: a what-if needs at least 2 pairs"):
        what_if(policies=[AUDITS], replicates=1)


def test_one_seed_is_the_default_everywhere():
    given = [inspect.signature(f).parameters["seed"].default for f in (simulate, what_if, run_campaign, Ecosystem)]
    given += [inspect.signature(MaterialsSpace.synthetic).parameters["seed"].default]
    given += [RunSpec().seed, Study(name="a").seed, Question().plan().seed]
    assert given == [DEFAULT_SEED] * len(given)
