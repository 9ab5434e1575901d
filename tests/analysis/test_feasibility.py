"""The learning curve of what can be made."""

from analysis import feasibility
from mpbf_abm import Parameters


def test_more_trials_teach_more(capsys):
    p = Parameters.preset("single-quick").replace(**{"founding.records": 200, "space.materials": 3_000})
    area, failed = feasibility.curve(p.replace("space.feasible_scatter", 0.1), 3)
    assert area[-1] > area[0] + 0.05
    assert area[-1] > 0.7
    assert failed[-1] < 0.5
    assert feasibility.main(["--set", "space.feasible_scater=1"]) == 2
    assert "did you mean" in capsys.readouterr().err
