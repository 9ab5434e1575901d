"""The figure of the twin: the numbers it draws, its panels, its bytes."""

import numpy as np
import pytest

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.figures import style, twin


@pytest.fixture(scope="module")
def frames():
    return twin.prepare(2, size=20, ticks=30, replicates=6, delta=0.5, sizes=(20, 40, 80), passages=15)


def test_shares_are_shares_and_runs_stay_near_the_twin(frames):
    shares = frames["shares"]
    totals = shares[shares["kind"] != "band"].groupby(["side", "kind", "replicate", "tick"])["share"].sum()
    np.testing.assert_allclose(totals, 1)
    ends = (
        shares[(shares["tick"] == 30) & (shares["side"] != "equal")].groupby(["side", "kind", "family"])["share"].mean()
    )
    np.testing.assert_allclose(ends.xs("run", level="kind"), ends.xs("map", level="kind"), atol=0.12)
    assert ends["below"].max() > 0.6
    assert ends["above"].max() < 0.5


def test_twin_stays_where_every_run_leaves(frames):
    shares = frames["shares"]
    end = shares[(shares["side"] == "equal") & (shares["tick"] == 30)]
    assert np.ptp(end.loc[end["kind"].isin(["map", "ODE"]), "share"]) < 1e-15
    assert end[end["kind"] == "run"].groupby("replicate")["share"].max().median() > 0.5
    times = frames["passages"]
    assert np.isfinite(times[["median", "low", "high", "mean"]]).all().all()
    slope = np.diff(times["expected"]) / np.diff(np.log(times["volume"]))
    np.testing.assert_allclose(slope, 1 / (2 * frames["facts"]["growth"].item()))


def test_every_panel_says_something_and_names_its_units(frames):
    with style.styled():
        fig = twin.build(frames)
    assert len(fig.axes) == 4
    for ax in fig.axes:
        assert "(" in ax.get_xlabel()
        assert "(" in ax.get_ylabel()
        assert ax.get_legend() is not None


def test_equal_frames_give_equal_files(frames, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        twin.save(frames, tmp_path / name, (".pdf",))
    assert (tmp_path / "one" / "twin.pdf").read_bytes() == (tmp_path / "two" / "twin.pdf").read_bytes()


def test_nothing_to_show_without_reinforcement():
    with pytest.raises(ConfigurationError, match="locks in"):
        twin.prepare(gamma=1.0)
