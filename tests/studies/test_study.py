"""The study of the package's front door: the same as the functions beneath it, and it finds its files."""

from __future__ import annotations

from pathlib import Path

import pytest
import toys

import mpbf_abm
from mpbf_abm import Arm, ConfigurationError, Outcome, Policy, Study
from mpbf_abm.studies.files import read_study
from mpbf_abm.studies.plan import Plan

FILE = """\
[study]
name = "pool"
ticks = 2
preset = "single-quick"

[space]
table = "materials.csv"
formula = "formula"
measured = "measured"

[parameters]
"founding.records" = 30
"planners.count" = 10

[[policy]]
name = "audits"
start = 1

[replicates]
n = 2
"""


def test_a_file_is_found_with_the_data_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elements = ("Si", "Ge", "Ti", "Zr", "Fe", "Co", "Ni", "Cu", "Zn", "Ga")
    rows = [f"{a}O{n},{i + n / 10}" for i, a in enumerate(elements) for n in (1, 2, 3)]
    (tmp_path / "materials.csv").write_text("formula,measured\n" + "\n".join(rows) + "\n")
    (tmp_path / "x.toml").write_text(FILE)
    monkeypatch.chdir("/")
    study = Study.from_file(tmp_path / "x.toml")
    assert study.model_dump() == read_study(tmp_path / "x.toml").model_dump()
    plan = study.plan()
    assert plan.space is not None
    assert len(plan.space.difficulty) == 30
    assert plan.job(0, 1, 1).id == Plan.of(read_study(tmp_path / "x.toml"), tmp_path).job(0, 1, 1).id
    assert study.check() == []
    assert study.extend(replicates=3).plan().count() == 6


def test_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('[study]\nname = "x"\ntick = 5\n[replicate]\nn = 3\n')
    with pytest.raises(ConfigurationError) as error:
        Study.from_file(tmp_path / "x.toml")
    assert len(error.value.faults) == 2


def test_an_extended_study_makes_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN_LOG", str(tmp_path / "log"))
    study = Study(
        name="toy",
        model=toys.logged,
        parameters={"x": {"low": 0.0, "high": 1.0}},
        ticks=20,
        design={"kind": "lhs", "n": 4},
        policies=[Arm(label="other", parameters={"z": 1.0})],
        replicates={"n": 2},
        outcomes={"y": Outcome(primary=True, better="more")},
    )
    with study.run(tmp_path / "out", workers=1) as results:
        assert results.study is study
        assert len(results.outcomes) == 16
    more = study.extend(policies=[Arm(label="third", parameters={"z": 2.0})], replicates=3, scenarios=8)
    assert type(more) is Study
    with more.run(tmp_path / "out", workers=1) as results:
        assert (results.status == 1).all()
        assert results.shape == (8, 3, 3)
    made = (tmp_path / "log").read_text().splitlines()
    assert len(made) == len(set(made)) == 72


def test_the_front_door_has_what_a_study_is_made_of() -> None:
    for name in mpbf_abm.__all__:
        assert getattr(mpbf_abm, name) is not None
    study = Study(name="a", policies=[Policy("audits", start=3)])
    assert 'label = "audits"' in study.to_toml() or 'name = "audits"' in study.to_toml()
