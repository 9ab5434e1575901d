"""Study files: TOML to study and back, and every fault at once."""

from __future__ import annotations

import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import toys
from hypothesis import given
from hypothesis import strategies as st

from mpbf_abm import Policy, Shock
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.studies.definition import (
    Arm,
    Branch,
    Engine,
    Limits,
    Outcome,
    Replicates,
    Series,
    Space,
    StudyDefinition,
    load_space,
)
from mpbf_abm.studies.design import Design, Factor
from mpbf_abm.studies.files import parse_study, read_study, write_study

WHOLE = """
[study]
name = "whole"
question = "Everything at once?"
preset = "single-quick"
seed = 5
ticks = 48
crn = "all"

[parameters]
planners.exploration = { low = 0.0, high = 0.5 }
"curators.reinforcement" = 2
trainers.count = { low = 2, high = 8 }
planners.acquisition = { values = ["greedy", "ucb"] }
founding.mass = [1.0, 2.0]

[parameters.gamma]
paths = ["planners.reinforcement"]
low = 0.5
high = 3.0
scale = "log"

[[policy]]
name = "audits"
start = 24

[[policy]]
label = "strong audits"
name = "audits"
strength = 1.0

[[arm]]
label = "both"
policies = [
  { name = "audits" },
  { name = "own", set = { "planners.exploration_floor" = 0.4 }, ramp = 3, end = 40, fade = 2 },
]
shocks = [{ name = "poisoning", start = 3 }]
parameters = { curators.qa = 1.0 }

[[shock]]
name = "funding_cut"
start = 10
end = 12

[design]
kind = "lhs"
n = 8

[replicates]
least = 5
most = 50
look_ahead = 3

[outcome.found_share]
better = "more"
smallest = 0.02
primary = true
acceptable = 0.2

[outcome.locked_in]
of = "leading_share"
above = 0.5
better = "less"

[outcome.late]
of = "families_d1"
over = "mean"
start = 12

[series]
of = ["found_share"]
every = 5

[branch]
tick = 2
history = "one"

[limits]
seconds = 60.0
memory_mb = 900.0
retries = 0

[engine]
kind = "dask"
cluster = "slurm"
workers = 30
options = { queue = "long", walltime = "01:00:00" }
"""


def test_a_file_with_everything_is_read() -> None:
    s = parse_study(tomllib.loads(WHOLE))
    assert [f.name for f in s.factors] == ["planners.exploration", "planners.acquisition", "trainers.count", "gamma"]
    assert s.factors[2].whole
    assert s.fixed == {"curators.reinforcement": 2, "founding.mass": (1.0, 2.0)}
    assert [a.label for a in s.arms] == ["baseline", "audits", "strong audits", "both"]
    assert s.arms[3].policies[1].set == {"planners.exploration_floor": 0.4}
    assert s.arms[3].parameters == {"curators.qa": 1.0}
    assert s.replicates == Replicates(least=5, most=50, look_ahead=3)
    assert s.primary == ("found_share",)
    assert [m.key for m in s.measures] == ["mean(families_d1)@12-"]
    assert s.engine.options["queue"] == "long"


def test_a_file_that_was_written_is_read_as_the_same_study() -> None:
    s = parse_study(tomllib.loads(WHOLE))
    text = write_study(s)
    assert parse_study(tomllib.loads(text)) == s
    assert write_study(parse_study(tomllib.loads(text))) == text


numbers = st.floats(0.01, 0.99)


@given(
    st.builds(
        StudyDefinition,
        name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True),
        question=st.text(max_size=50),
        seed=st.integers(0, 2**63 - 1),
        ticks=st.integers(1, 10_000),
        parameters=st.fixed_dictionaries(
            {
                "planners.exploration": numbers,
                "curators.qa": st.builds(Factor, name=st.just("curators.qa"), low=st.just(0.0), high=numbers),
            }
        ),
        policies=st.lists(
            st.builds(
                Policy, name=st.sampled_from(["audits", "redundancy"]), start=st.integers(0, 99), strength=numbers
            ),
            max_size=1,
        ),
        shocks=st.lists(st.builds(Shock, name=st.just("poisoning"), start=st.integers(0, 99)), max_size=2),
        design=st.builds(Design, kind=st.just("lhs"), n=st.integers(1, 100)),
        replicates=st.builds(Replicates, n=st.integers(1, 99)),
        outcomes=st.dictionaries(
            st.sampled_from(["found_share", "rmse"]),
            st.builds(Outcome, better=st.just("more"), smallest=numbers, above=st.none() | numbers),
        ),
        series=st.builds(Series, of=st.just(("found_share",)), every=st.integers(1, 9)),
        limits=st.builds(Limits, seconds=st.just(0.0) | numbers, retries=st.integers(0, 9)),
        branch=st.none() | st.builds(Branch, tick=st.integers(1, 9)),
        space=st.none() | st.builds(Space, synthetic=st.integers(0, 99)),
        engine=st.builds(Engine, workers=st.none() | st.integers(1, 9)),
    )
)
def test_any_study_survives_a_file(study: StudyDefinition) -> None:
    assert parse_study(tomllib.loads(write_study(study))) == study


FAULTS = """
[studdy]
[study]
nam = "x"
ticks = 0
[parameters]
planners.exploratoin = { low = 0.0, hihg = 0.5 }
[[policy]]
name = "audit"
[[policy]]
nme = "x"
[[arm]]
label = "two"
policies = [{ name = "poisoning" }]
shocks = "flood"
[design]
n = 3
[outcome.x]
better = "mor"
[planners]
exploration = 0.3
[limits]
seconds = "3"
[series]
of = "found_share"
every = 0
"""


def test_every_fault_of_a_file_is_told_at_once_with_its_place() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_study(tomllib.loads(FAULTS), where="bad.toml")
    faults = caught.value.faults
    told = [
        "unknown table [studdy]; did you mean 'study'?",
        "unknown table [planners]; parameters stand under [parameters]",
        "[study]: unknown field 'nam'; did you mean 'name'?",
        "[study]: name is missing",
        "[study]: ticks = 0",
        "[parameters] planners.exploratoin: unknown field 'hihg'; did you mean 'high'?",
        "policy: unknown policy 'audit'; did you mean 'audits'?",
        "policy: name is missing",
        "policy: unknown field 'nme'; did you mean 'name'?",
        "arm 'two': policy: unknown policy 'poisoning'",
        "arm 'two': shocks must be a list of tables",
        "[design]: kind is missing",
        "[outcome.x]: better = 'mor'",
        "[limits]: seconds = '3': is text ('3'); write the number without quotes",
        "[series]: every = 0",
    ]
    for text in told:
        assert any(text in fault for fault in faults), text
    assert all(fault.startswith("bad.toml: ") and "\n" not in fault for fault in faults)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("study = 3", "'study' must be a table"),
        ('[study]\nname = "a/b"', "name = 'a/b'"),
        ('[study]\nname = ""', "name = ''"),
        ('[study]\nname = "x"\nseed = -1', "seed = -1"),
        ('[study]\nname = "x"\nseed = 1.5', "seed = 1.5"),
        (
            '[study]\nname = "x"\n[parameters]\ncurators.qa = { low = 0.0, high = 1.0 }\n[design]\nkind = "lhs"\nn = 3',
            "[replicates] is missing",
        ),
        ('[study]\nname = "x"\n[replicates]\nn = 3\nmost = 9', "one of them is meant"),
        ('[study]\nname = "x"\n[replicates]\nleast = 30\nmost = 9', "most = 9 must not be below least = 30"),
        ('[study]\nname = "x"\n[replicates]', "say n, or most"),
        (
            '[study]\nname = "x"\n[[policy]]\nname = "audits"\n[[policy]]\nname = "audits"',
            "arm 'audits': two arms have this label",
        ),
        ('[study]\nname = "x"\n[[arm]]\nlabel = "baseline"', "choose another label"),
        ('[study]\nname = "x"\n[space]\ntable = "a.csv"', "[space]: table needs formula"),
        (
            '[study]\nname = "x"\n[space]\ntable = "a.csv"\nformula = "f"\nmeasured = ["a", 3]',
            "must be a text, or a list",
        ),
        ('[study]\nname = "x"\n[space]\nsynthetic = 1\nunit = "eV"', "[space]: unit belongs to table or pool"),
        (
            '[study]\nname = "x"\n[space]\npool = "a.csv"\nobjective = "y"\nsimulated_unit = "eV"',
            "simulated_unit belongs to table",
        ),
        ('[study]\nname = "x"\n[space]\nsynthetic = 1\npool = "a.csv"', "needs one of synthetic, table and pool"),
        ('[study]\nname = "x"\n[space]\nsynthetic = 1\nformula = "f"', "[space]: formula belongs to table"),
        ('[study]\nname = "x"\n[engine]\naddress = "tcp://x:1"', "belong to kind = 'dask'"),
        ('[study]\nname = "x"\n[outcome.y]\nat = 3\nover = "mean"', "[outcome.y]: at belongs to over = end"),
        ('[study]\nname = "x"\n[outcome.y]\nabove = 3\nbelow = 1', "exclude each other"),
        ('[study]\nname = "x"\n[outcome.y]\nacceptable = 3', "acceptable needs better"),
        ('[study]\nname = "x"\n[design]\nfile = "none.csv"', "file = 'none.csv': cannot be read"),
        ('[study]\nname = "x"\n[design]\nfile = 3', "must be the name of a CSV file"),
        ('[study]\nname = "x"\nmodel = "os:system"', "unknown field 'model'"),
    ],
)
def test_one_fault_one_line(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_study(tomllib.loads(text), where="s.toml")
    (fault,) = [f for f in caught.value.faults if told in f]
    assert fault.startswith("s.toml: ")


def test_a_table_design_reads_its_csv_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("planners.acquisition,trainers.count\nucb,3\ngreedy,4\n\n", encoding="utf-8-sig")
    (tmp_path / "s.toml").write_text(
        '[study]\nname = "x"\n[parameters]\n'
        'planners.acquisition = { values = ["ucb", "greedy"] }\ntrainers.count = { low = 1, high = 9 }\n'
        '[design]\nfile = "rows.csv"\n[replicates]\nn = 1\n'
    )
    s = read_study(tmp_path / "s.toml")
    assert s.design.columns == ("planners.acquisition", "trainers.count")
    assert s.design.rows == (("ucb", 3), ("greedy", 4))
    assert parse_study(tomllib.loads(write_study(s))) == s


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "needs a line of names"),
        (b"a,b\n1\n", "line 2 does not have 2 cells"),
        (b"a\n\xff\n", "is not UTF-8"),
        (b"a\n", "at least one row"),
    ],
)
def test_csv_files_that_are_none_are_refused(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    with pytest.raises(ConfigurationError, match=told):
        parse_study({"study": {"name": "x"}, "design": {"file": "rows.csv"}}, folder=tmp_path)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        read_study(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[study\n")
    with pytest.raises(ConfigurationError, match="is not valid TOML"):
        read_study(tmp_path / "bad.toml")


def test_a_study_made_in_python_takes_short_forms() -> None:
    s = StudyDefinition(
        name="x",
        parameters={"planners": {"exploration": {"low": 0.0, "high": 0.5}}},
        policies=[Policy("audits"), Arm(label="none")],
        design={"kind": "lhs", "n": 3},
        replicates={"n": 2},
        outcomes={"found_share": {"better": "more"}},
    )
    assert s.factors[0].name == "planners.exploration"
    assert [a.label for a in s.arms] == ["baseline", "audits", "none"]
    assert s.changed(seed=4).seed == 4
    assert s.changed(seed=4).parameters == s.parameters


def test_a_model_of_ones_own_is_named_but_not_written() -> None:
    s = StudyDefinition(name="x", model=toys.outcome)
    assert s.own_model == "toys:outcome"
    assert s.changed(model=partial(partial(toys.outcome), shift=1.0)).own_model == "toys:outcome"
    read: Any = parse_study(tomllib.loads(write_study(s)))
    assert read.own_model == ""
    assert read == s.changed(model=None)


def test_units_and_duplicates_of_a_table_reach_its_space(tmp_path):
    rows = ["NaCl,8.5,5000", "Na2Cl2,8.9,5000", "KCl,8.4,5100", "MgO,7.8,4400", "CaO,6.9,3600"]
    (tmp_path / "gaps.csv").write_text("\n".join(["formula,gap,pbe", *rows]), encoding="utf-8")
    columns = {"table": "gaps.csv", "formula": "formula", "measured": "gap", "simulated": "pbe"}
    more = {"unit": "eV", "simulated_unit": "meV", "duplicates": "first"}
    study = parse_study({"study": {"name": "x"}, "space": columns | more}, folder=tmp_path)
    space = load_space(study.space, tmp_path, study)
    assert space.unit == "eV"
    at = space.names.index("NaCl")
    assert space.in_unit(float(space.property[at])) == pytest.approx(8.5, rel=1e-5)
    assert space.in_unit(float(space.simulated[at])) == pytest.approx(5.0, rel=1e-5)
