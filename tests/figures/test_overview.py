"""The overview figure: the numbers it draws, its panels, its bytes."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from mpbf_abm.figures import overview, style
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.shocks import Shock
from mpbf_abm.parameters import Parameters
from mpbf_abm.studies.whatif import WhatIf, run_plan

SMALL = Parameters.preset("single-quick").replace(
    **{"space.materials": 600, "space.families": 12, "founding.records": 200}
)
PLANS = {
    "what-if": WhatIf(
        SMALL,
        ticks=8,
        replicates=3,
        policies=(Policy("exploration_floor", start=2, strength=0.6),),
        shocks=(Shock("repository_outage", start=5, strength=0.3, target="largest"),),
    ),
    "plain": WhatIf(SMALL, ticks=8),
    "no models": WhatIf(Parameters.null(**{"space.materials": 600, "space.families": 3}), ticks=4, replicates=2),
    "nobody": WhatIf(
        Parameters.null(**{"space.materials": 600, "space.families": 12, "planners.count": 0, "curators.count": 1}),
        ticks=2,
    ),
}


@pytest.fixture(scope="module", params=PLANS)
def case(request):
    plan = PLANS[request.param]
    ensemble = run_plan(plan)
    shown = ensemble.first(list(plan.arms)[-1])
    return ensemble, overview.prepare(ensemble.series, ensemble.families, ensemble.summary, shown.nodes, shown.edges)


def test_frames_hold_the_numbers_of_the_runs(case):
    ensemble, frames = case
    shares = frames["shares"].groupby("tick")["share"].sum()
    np.testing.assert_allclose(shares, 1)
    series = ensemble.series
    layers = frames["layers"][frames["layers"]["quantity"] == "boundary_shift"]
    for (arm, tick), part in series.groupby(["arm", "tick"]):
        drawn = layers[(layers["arm"] == arm) & (layers["x"] == tick)]
        assert drawn["median"].item() == pytest.approx(part["boundary_shift"].median())
    ends = series[series["tick"] == series["tick"].max()].groupby("arm")["found_share"].median().dropna()
    for arm, end in ends.items():
        if ensemble.plan.parameters.planners.count:
            curve = frames["discovery"][frames["discovery"]["arm"] == arm]
            assert curve["median"].iloc[-1] == pytest.approx(end)
            assert curve["x"].is_monotonic_increasing


def test_graph_keeps_every_link_between_places(case):
    ensemble, frames = case
    shown = ensemble.first(list(ensemble.plan.arms)[-1])
    assert len(frames["edges"]) == len(shown.edges)
    assert len(frames["nodes"]) == len(shown.nodes)
    assert not frames["nodes"].duplicated(["x", "y"]).any()


def written(figure, path):
    """Bytes of a figure in one format."""
    with style.styled():
        style.save(figure, path, title="t", alt="a")
    return path.read_bytes()


@pytest.fixture(scope="module")
def figure(case):
    with style.styled():
        return overview.build(case[1])


def test_every_panel_says_something_and_names_its_units(case, figure):
    for ax in figure.axes:
        assert ax.lines or ax.collections or ax.texts
        for label in filter(None, (ax.get_xlabel(), ax.get_ylabel())):
            assert "(" in label, label
    sizes = {t.get_fontsize() for ax in figure.axes for t in (*ax.texts, ax.xaxis.label, *ax.get_xticklabels())}
    assert min(sizes) >= 5
    assert len(figure.axes) == (8 if case[1]["facts"]["what_if"].item() else 6)


def test_equal_frames_give_equal_files(case, figure, tmp_path):
    with style.styled():
        again = overview.build(case[1])
    pdf = written(figure, tmp_path / "one.pdf")
    assert pdf == written(again, tmp_path / "two.pdf")
    assert b"/Type3" not in pdf
    assert b"CreationDate" not in pdf


@pytest.mark.nightly
def test_equal_frames_give_equal_files_of_both_formats(case, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        overview.save(case[1], tmp_path / name)
    for file in ("overview.png", "overview.pdf"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_many_labs_are_thinned_out():
    p = SMALL.replace(**{"planners.count": 100, "planners.experiments": 0.1})
    ensemble = run_plan(WhatIf(p, ticks=3))
    shown = ensemble.results[0]
    nodes = overview.place(shown.nodes, shown.edges)
    assert (nodes["kind"] == "lab").sum() == overview.SHOWN_LABS


def test_metadata_of_other_formats_is_refused():
    with pytest.raises(ValueError, match="saved as"):
        style.metadata(".eps", "t", "a")


def test_a_figure_that_fails_leaves_earlier_files_as_they_were(tmp_path, monkeypatch):
    for name in ("a.png", "a.pdf"):
        (tmp_path / name).write_text("mine")
    monkeypatch.setattr(Figure, "savefig", lambda _, path, **__: path.write_text("begun") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        style.save_all(Figure, tmp_path / "a", title="t", alt="a")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.png": "mine", "a.pdf": "mine"}
