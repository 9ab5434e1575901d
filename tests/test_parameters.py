"""Parameters: one schema; every fault told at once, in one line, with what is allowed."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from mpbf_abm.errors import ConfigurationError, DataError, MpbfError, did_you_mean
from mpbf_abm.parameters import (
    GROUPS,
    LAYERS,
    NULL,
    PATHS,
    PRESETS,
    Parameters,
    options,
    parse_assignment,
    read_toml,
    schema,
    toml_value,
    too_small,
)

ROWS = schema()
BOUNDED = [row for row in ROWS if row["low"] is not None or row["high"] is not None]
# What must move along so that a bound can be tried alone: rules that tie parameters together.
READING = {"trainers.corpus": "reachable", "space.observed_dims": 64}
COMPANIONS: dict[str, Any] = {
    "space.materials": lambda _: {"space.families": 1},
    "space.families": lambda _: {"space.materials": 5_000_000},
    "space.quantum_dims": lambda v: {"space.chemistry_rank": min(4, v)},
    "space.chemistry_rank": lambda _: {"space.quantum_dims": 128},
    "space.bias_family": lambda v: {"space.bias_smooth": 1 - v, "space.bias_scatter": 0.0},
    "space.bias_smooth": lambda v: {"space.bias_family": 1 - v, "space.bias_scatter": 0.0},
    "space.bias_scatter": lambda v: {"space.bias_family": 1 - v, "space.bias_smooth": 0.0},
    "founding.structures": lambda _: READING,
    "curators.structures": lambda _: READING,
    "infrastructure.providers": lambda _: {"infrastructure.need": 0},
    "infrastructure.enumerators": lambda _: {"infrastructure.repositories": 10_000},
    "infrastructure.known": lambda _: {"infrastructure.repositories": 10_000},
    "infrastructure.need": lambda _: {"infrastructure.providers": 50, "infrastructure.repositories": 60},
}


def whole(row: dict[str, Any]) -> bool:
    return isinstance(row["default"], int) and not isinstance(row["default"], bool)


def strict_low(row: dict[str, Any]) -> bool:
    return str(row["allowed"]).startswith("above")


def just_inside(row: dict[str, Any]) -> list[Any]:
    values = []
    if row["low"] is not None:
        low = row["low"]
        values.append(math.nextafter(low, math.inf) if strict_low(row) else low)
    if row["high"] is not None:
        values.append(row["high"])
    return [int(v) if whole(row) else float(v) for v in values]


def just_outside(row: dict[str, Any]) -> list[Any]:
    values = []
    if row["low"] is not None:
        low = row["low"]
        values.append(low - 1 if whole(row) else low if strict_low(row) else math.nextafter(low, -math.inf))
    if row["high"] is not None:
        values.append(row["high"] + 1 if whole(row) else math.nextafter(row["high"], math.inf))
    return values


INSIDE = [(row["path"], value) for row in BOUNDED for value in just_inside(row)]
OUTSIDE = [(row["path"], value) for row in BOUNDED for value in just_outside(row)]


def get(p: Parameters, path: str) -> Any:
    group, name = path.split(".")
    return getattr(getattr(p, group), name)


# --------------------------------------------------------------------------- bounds


def test_nearly_every_number_has_bounds() -> None:
    """Only vectors, whose entries have rules of their own, go without."""
    without = {row["path"] for row in ROWS if row not in BOUNDED and not isinstance(row["default"], (bool, str))}
    assert without == {
        *("founding.mass", "curators.modality_mix", "planners.utility_gaps", "infrastructure.sizes"),
        *("infrastructure.model_links", "infrastructure.lab_links", "infrastructure.deposits"),
    }


def refusal(path: str, value: Any) -> list[str]:
    """Faults of a run of the defaults with one parameter changed."""
    try:
        return too_small(Parameters().replace(path, value))
    except ConfigurationError as error:
        return error.faults


def test_values_just_inside_the_bounds_are_taken() -> None:
    def taken(path: str, value: Any) -> Any:
        others = COMPANIONS.get(path, lambda _: {})(value)
        try:
            return get(Parameters().updated({**others, path: value}), path)
        except ConfigurationError as error:
            return error.faults

    assert {(path, value): taken(path, value) for path, value in INSIDE} == {key: key[1] for key in INSIDE}
    assert len(INSIDE) > 200


def test_values_just_outside_the_bounds_are_refused_by_name() -> None:
    allowed = {row["path"]: row["allowed"] for row in ROWS}
    wrong = {}
    for path, value in OUTSIDE:
        faults = refusal(path, value)
        if len(faults) != 1 or not faults[0].startswith(f"{path} = {value!r}: must be {allowed[path]}"):
            wrong[path, value] = faults
    assert not wrong
    assert len(OUTSIDE) > 200


def test_numbers_must_be_finite() -> None:
    tried = [(row["path"], value) for row in BOUNDED for value in (math.nan, math.inf, -math.inf)]
    found = {(path, value): refusal(path, value) for path, value in tried}
    assert not {
        k: faults for k, faults in found.items() if not faults or any(not f.startswith(f"{k[0]} = ") for f in faults)
    }


def test_defaults_lie_inside_their_own_bounds() -> None:
    def same(path: str) -> bool:
        return get(Parameters().replace(path, get(Parameters(), path)), path) == get(Parameters(), path)

    assert not [row["path"] for row in ROWS if not same(row["path"])]


# --------------------------------------------------------------------------- wrong kinds of values


@pytest.mark.parametrize("text", ["1", "0.5", "1e0", " 1 ", "abc", ""])
def test_text_for_a_number_is_refused(text: str) -> None:
    assert not [row["path"] for row in BOUNDED if row["path"] not in " ".join(refusal(row["path"], text))]


@pytest.mark.parametrize("path", ["planners.count", "planners.exploration", "trainers.scale", "stocks.attention"])
def test_a_switch_for_a_number_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match=path):
        Parameters().replace(path, True)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("curators.modality_mix", ("1", 0.0, 0.0, 0.0, 0.0, 0.0)),
        ("planners.utility_gaps", ("0.5",)),
        ("founding.mass", tuple("1" for _ in range(100))),
    ],
)
def test_text_for_a_number_within_a_vector_is_refused(path: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=path):
        Parameters().replace(path, value)


@pytest.mark.parametrize("path", ["planners.count", "trainers.features", "space.families"])
@pytest.mark.parametrize("value", [2.5, None, [3], {"a": 1}])
def test_what_is_no_whole_number_is_refused_for_one(path: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match="whole number"):
        Parameters().replace(path, value)


@pytest.mark.parametrize("value", [2, "perhaps", None, 0.5])
def test_a_switch_takes_true_or_false(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"planners\.repeats = .*true \| false"):
        Parameters().replace("planners.repeats", value)


@pytest.mark.parametrize("path", ["planners.acquisition", "planners.source", "trainers.objective"])
def test_names_are_taken_from_their_list_only(path: str) -> None:
    names = options(path)
    for option in names:
        assert get(Parameters().replace(path, option), path) == option
    for wrong in ("best", names[0].upper(), "", 3, None):
        with pytest.raises(ConfigurationError) as caught:
            Parameters().replace(path, wrong)
        assert " | ".join(names) in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("founding.mass", -1.0),
        ("founding.mass", (0.0,) * 100),
        ("founding.mass", (1.0,) * 99 + (-0.1,)),
        ("founding.mass", (1.0,) * 99),
        ("founding.mass", "heavy"),
        ("curators.modality_mix", (0.0,) * 6),
        ("curators.modality_mix", (1.0, 1.0, 1.0, 1.0, 1.0, -0.1)),
        ("curators.modality_mix", (1.0,) * 5),
        ("planners.utility_gaps", (math.nan,)),
    ],
)
def test_vectors_keep_their_own_rules(path: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=path):
        Parameters().replace(path, value)


def test_founding_mass_may_be_one_number_or_one_per_family() -> None:
    assert get(Parameters().replace("founding.mass", 0.0), "founding.mass") == 0.0
    one_only = (1.0, *(0.0 for _ in range(99)))
    assert get(Parameters().replace("founding.mass", one_only), "founding.mass") == one_only


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"space.materials": 99}, "space.materials = 99: must be at least space.families = 100"),
        (
            {"space.chemistry_rank": 9, "space.quantum_dims": 8},
            "space.chemistry_rank = 9: must not exceed space.quantum_dims = 8",
        ),
        ({"space.bias_family": 0.5}, "must sum to 1, not 1.3"),
        ({"infrastructure.need": 3}, "infrastructure.need = 3: must not exceed infrastructure.providers = 2"),
        (
            {"founding.mass": (1.0, 2.0)},
            "founding.mass has 2 entries: must be one number or space.families = 100 numbers",
        ),
    ],
)
def test_parameters_that_do_not_fit_together_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Parameters().updated(changes)
    (fault,) = caught.value.faults
    assert told in fault


# --------------------------------------------------------------------------- all at once, did you mean


def test_all_faults_are_told_at_once_in_one_line_each() -> None:
    changes = {
        "planners.exploration": 2.0,
        "planners.acquisition": "best",
        "trainers.count": 1.5,
        "space.materials": 0,
        "stocks.wear": "0.1",
        "plannrs.count": 3,
        "planners.explorations": 0.1,
        "infrastructure.need": 4,
    }
    with pytest.raises(ConfigurationError) as caught:
        Parameters().updated(changes)
    assert len(caught.value.faults) == len(changes)
    assert all("\n" not in fault for fault in caught.value.faults)
    for path in changes:
        assert any(path in fault for fault in caught.value.faults)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("planners.explorations", "planners.exploration"),
        ("planner.count", "planners.count"),
        ("exploration_floor", "planners.exploration_floor"),
        ("trainers.retrain", "trainers.retrain_interval"),
    ],
)
def test_an_unknown_parameter_brings_a_suggestion(wrong: str, meant: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Parameters().replace(wrong, 1)
    assert str(caught.value) == f"unknown parameter '{wrong}'; did you mean '{meant}'?"


def test_no_suggestion_where_nothing_is_near() -> None:
    assert did_you_mean("xyzzy", PATHS) == ""
    with pytest.raises(ConfigurationError) as caught:
        Parameters().replace("xyzzy.qqq", 1)
    assert str(caught.value) == "unknown parameter 'xyzzy.qqq'"


@pytest.mark.parametrize("data", [{"planers": {"count": 1}}, {"planers": 3}])
def test_an_unknown_group_brings_a_suggestion(data: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="unknown group 'planers'; did you mean 'planners'"):
        Parameters.from_mapping(data)


def test_a_group_must_be_a_table() -> None:
    with pytest.raises(ConfigurationError, match=r"'planners' must be a table of parameters, \[planners\]"):
        Parameters.from_mapping({"planners": 3})


def test_faults_of_groups_parameters_and_preset_are_told_together() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Parameters.from_mapping({"preset": "quik", "planers": {}, "stocks": {"wear": 2, "tear": 1}}, where="run.toml")
    assert len(caught.value.faults) == 4
    assert all(fault.startswith("run.toml: ") for fault in caught.value.faults)
    assert "did you mean 'quick'" in str(caught.value)


def test_keywords_of_the_constructor_are_checked_like_files() -> None:
    with pytest.raises(ConfigurationError, match="unknown parameter 'planers'; did you mean 'planners'"):
        Parameters(planers={})
    with pytest.raises(ConfigurationError, match=r"unknown parameter 'planners\.cont'; did you mean 'planners\.count'"):
        Parameters(planners={"cont": 3})


def test_errors_are_values_of_one_family() -> None:
    error = DataError(["one", "two"])
    assert isinstance(error, ConfigurationError)
    assert isinstance(error, MpbfError)
    assert isinstance(error, ValueError)
    rebuilt = type(error)(*error.__reduce__()[1])
    assert rebuilt.faults == ["one", "two"]
    assert str(rebuilt) == "one\ntwo"


# --------------------------------------------------------------------------- changing and reading


def test_replace_returns_a_changed_copy() -> None:
    p = Parameters()
    q = p.replace("planners.count", 7, **{"stocks.wear": 0.5})
    assert (q.planners.count, q.stocks.wear) == (7, 0.5)
    assert p == Parameters()
    assert q.changed() == {"planners.count": 7, "stocks.wear": 0.5}
    assert set(q.flat()) == set(PATHS)
    assert Parameters().changed() == {}


def test_replace_of_nothing_is_the_same() -> None:
    assert Parameters().updated({}) == Parameters()


@pytest.mark.parametrize("path", ["planners", "planners.count"])
def test_parameters_are_frozen(path: str) -> None:
    p = Parameters()
    owner: Any = p.planners if "." in path else p
    with pytest.raises(ValidationError, match="frozen"):
        setattr(owner, path.rsplit(".", 1)[-1], 3)


# --------------------------------------------------------------------------- files

CHANGED: dict[str, Any] = {
    "founding.mass": (0.5, 1.0, 0.0),
    "space.families": 3,
    "planners.utility_gaps": (0.25, -1.5),
    "planners.repeats": True,
    "planners.acquisition": "thompson",
    "stocks.attention": 1e6,
    "space.gauge_amplitude": 1e-7,
    "trainers.overconfidence": 1 / 3,
    "curators.modality_mix": (1.0, 0.0, 0.0, 0.0, 0.0, 2.0),
}


@pytest.mark.parametrize("comments", [True, False])
@pytest.mark.parametrize("p", [Parameters(), Parameters.null(), Parameters().updated(CHANGED)])
def test_a_toml_file_brings_back_the_same_parameters(p: Parameters, comments: bool, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(p.to_toml(comments=comments), encoding="utf-8")
    assert Parameters.from_toml(path) == p


def test_numpy_numbers_survive_a_toml_file() -> None:
    p = Parameters().updated({"planners.exploration": np.float64(0.2), "founding.mass": np.float64(2.5)})
    assert Parameters.from_mapping(tomllib.loads(p.to_toml())) == p


def test_a_toml_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bom.toml"
    path.write_bytes(b"\xef\xbb\xbf[planners]\ncount = 3\n")
    assert Parameters.from_toml(path).planners.count == 3


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[planners\n", "is not valid TOML"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"[planners]\ncount = 1\ncount = 2\n", "is not valid TOML"),
        (b"[planners]\ncout = 1\n", "did you mean 'planners.count'"),
    ],
)
def test_a_bad_toml_file_is_one_clear_line(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"bad\.toml: ") as caught:
        Parameters.from_toml(path)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_or_a_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        read_toml(tmp_path / "none.toml")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_toml(tmp_path)


@pytest.mark.parametrize("value", [True, False, 3, -0.5, 1e-9, 'a "b" \\ c', (1.0, 2.0), (), "x"])
def test_values_are_written_as_toml_that_reads_back(value: Any) -> None:
    back = tomllib.loads(f"v = {toml_value(value)}")["v"]
    assert back == (list(value) if isinstance(value, tuple) else value)
    assert type(back) is (list if isinstance(value, tuple) else type(value))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("planners.count=3", ("planners.count", 3)),
        (" planners.exploration = 0.5 ", ("planners.exploration", 0.5)),
        ("planners.repeats=true", ("planners.repeats", True)),
        ("planners.acquisition=ucb", ("planners.acquisition", "ucb")),
        ('planners.acquisition="ucb"', ("planners.acquisition", "ucb")),
        ("founding.mass=[1, 2.5]", ("founding.mass", [1, 2.5])),
    ],
)
def test_assignments_of_the_command_line_are_typed(text: str, expected: tuple[str, Any]) -> None:
    assert parse_assignment(text) == expected


@pytest.mark.parametrize("text", ["planners.count", "=3", "", "planners.cout=3"])
def test_bad_assignments_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_assignment(text)


# --------------------------------------------------------------------------- presets and null


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_the_default_with_its_changes(name: str) -> None:
    p = Parameters.preset(name)
    for path, value in PRESETS[name].items():
        assert get(p, path) == value
    assert set(p.changed()) <= set(PRESETS[name])


def test_presets_differ_from_each_other() -> None:
    dumps = [repr(Parameters.preset(name)) for name in [*PRESETS, "null"]]
    assert len(set(dumps)) == len(dumps)
    assert Parameters.preset("default") == Parameters()
    for single in ("", "single-"):
        quick, default, faithful = (
            Parameters.preset(single + name).trainers for name in ("quick", "default", "faithful")
        )
        name = "features" if single else "features_most"
        assert getattr(quick, name) < getattr(default, name) < getattr(faithful, name)
    assert Parameters.preset("single-default").space.observed_dims == 0


def test_a_file_may_start_from_a_preset() -> None:
    p = Parameters.from_mapping({"preset": "quick", "planners": {"panel": 5}})
    assert p == Parameters.preset("quick").replace("planners.panel", 5)


@pytest.mark.parametrize("name", ["quik", "", "Default", 3, ["quick"], None])
def test_an_unknown_preset_is_refused_with_the_list(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="presets: default, quick") as caught:
        Parameters.from_mapping({"preset": name})
    assert len(caught.value.faults) == 1


def test_null_turns_everything_off_and_takes_changes() -> None:
    p = Parameters.null(**{"space.families": 3, "planners.reinforcement": 2.0})
    assert (p.space.families, p.planners.reinforcement) == (3, 2.0)
    assert Parameters.preset("null") == Parameters.null()
    for path, value in NULL.items():
        assert get(Parameters.null(), path) == value
    assert set(p.changed()) <= {*NULL, "space.families", "planners.reinforcement"}


# --------------------------------------------------------------------------- schema


def test_the_schema_has_one_row_per_parameter() -> None:
    assert [row["path"] for row in ROWS] == list(Parameters().flat())
    assert set(GROUPS) == set(LAYERS)
    assert [row for group in GROUPS for row in schema(group)] == ROWS


def test_schema_rows_are_complete() -> None:
    def faults(row: dict[str, Any]) -> Iterator[str]:
        texts = [row[column] for column in ("layer", "unit", "source", "help", "allowed")]
        if f"{row['group']}.{row['name']}" != row["path"]:
            yield "path"
        if not all(isinstance(text, str) and text.strip() for text in texts):
            yield "texts"
        if row["default"] != get(Parameters(), row["path"]):
            yield "default"
        if row["low"] is not None and row["high"] is not None and not row["low"] < row["high"]:
            yield "bounds"
        if isinstance(row["default"], bool) and row["allowed"] != "true | false":
            yield "switch"
        if isinstance(row["default"], str) and row["default"] not in row["allowed"].split(" | "):
            yield "options"

    assert not {row["path"]: found for row in ROWS if (found := list(faults(row)))}
