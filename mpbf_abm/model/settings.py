"""What configuration files and command lines say: parameters, ``[run]``, policies and shocks; every fault at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from reprlib import repr as brief
from typing import Any, TypeVar

from mpbf_abm.errors import did_you_mean, faults_of, lines_where, refuse, tried
from mpbf_abm.model.interventions import Policy, parse_event
from mpbf_abm.model.shocks import Shock
from mpbf_abm.parameters import Parameters, read_toml
from mpbf_abm.streams import check_seed

T = TypeVar("T")
MOST_TICKS = 1_000_000
MOST = {"ticks": MOST_TICKS, "replicates": 100_000}
NUMBER_KEYS = ("seed", "ticks", "replicates")
DEFAULT_PAIRS = 8
SHARED = "shocks_in_baseline"
RUN_KEYS = (*NUMBER_KEYS, SHARED)
EVENTS: dict[str, type[Policy | Shock]] = {"policy": Policy, "shock": Shock}


def numbers_faults(values: Mapping[str, Any], most: Mapping[str, int] = MOST) -> list[str]:
    """Faults of seed, ticks and replicates, of which the last two have a limit."""
    return faults_of(*(partial(_check_number, *item, most) for item in values.items()))


def _check_number(name: str, value: Any, most: Mapping[str, int]) -> None:
    if name == "seed":
        check_seed(value)
    else:
        wrong = isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most[name]
        refuse(wrong, f"{name} = {brief(value)}: must be a whole number from 1 to {most[name]}")


def question_faults(policies: Sequence[Policy], shocks: Sequence[Shock], replicates: int, *, shared: bool) -> list[str]:
    """Faults of a question: a switch without a shock, a what-if without an interval."""
    asks = policies or (shocks and not shared)
    return lines_where(
        (not shared and not shocks, f"{SHARED} = false: needs a shock, which the baseline is spared"),
        (asks and replicates < 2, f"replicates = {replicates}: a what-if needs at least 2 pairs for an interval"),
    )


@dataclass(frozen=True)
class Settings:
    """What a configuration file says; every part may be missing from it."""

    parameters: Parameters
    numbers: Mapping[str, int]
    policies: tuple[Policy, ...] = ()
    shocks: tuple[Shock, ...] = ()
    shocks_in_baseline: bool = True


def read_settings(path: str | Path | None, preset: str | None = None) -> Settings:
    """Read a configuration file: parameter groups, ``preset``, ``[run]``, ``[[policy]]``, ``[[shock]]``.

    Parameters
    ----------
    path : path or None
        None stands for an empty file.
    preset : str, optional
        Takes the place of the file's preset.

    Raises
    ------
    ConfigurationError
        Every fault of the file at once, one line each.
    """
    data = {} if path is None else read_toml(path)
    return settings_from(data, preset, where="" if path is None else Path(path).name)


def settings_from(data: Mapping[str, Any], preset: str | None = None, where: str = "") -> Settings:
    """Settings of what a configuration file holds; see :func:`read_settings`."""
    data = dict(data)
    where = f"{where}: " if where else ""
    refuse("study" in data, f"{where}is a study file; mpbf study run makes its runs")
    if preset is not None:
        data["preset"] = preset
    numbers, shared, faults = _run_table(data.pop("run", {}))
    events: dict[str, list[Any]] = {}
    for key in EVENTS:
        events[key], event_faults = _event_tables(key, data.pop(key, []))
        faults += event_faults
    parameters, group_faults = tried([partial(Parameters.from_mapping, data)])
    faults = group_faults + faults
    refuse(faults, [where + fault for fault in faults])
    return Settings(parameters[0], numbers, tuple(events["policy"]), tuple(events["shock"]), shared)


def _run_table(table: Any) -> tuple[dict[str, int], bool, list[str]]:
    if not isinstance(table, Mapping):
        return {}, True, ["'run' must be a table, [run]"]
    faults = [f"unknown key 'run.{k}'{did_you_mean(k, RUN_KEYS)}" for k in table if k not in RUN_KEYS]
    numbers, shared = {k: v for k, v in table.items() if k in NUMBER_KEYS}, table.get(SHARED, True)
    faults += lines_where((not isinstance(shared, bool), f"run.{SHARED} = {shared!r}: must be true or false"))
    return numbers, shared is not False, faults + [f"run.{fault}" for fault in numbers_faults(numbers)]


def _event_tables(key: str, tables: Any) -> tuple[list[Policy | Shock], list[str]]:
    if not isinstance(tables, list):
        return [], [f"'{key}' must be a list of tables, [[{key}]]"]
    return tried(partial(_event, key, *item) for item in enumerate(tables, 1))


def _event(key: str, number: int, table: Any) -> Policy | Shock:
    refuse(not isinstance(table, Mapping), f"{key} {number} must be a table, [[{key}]]")
    refuse("name" not in table, f"{key} {number} has no name")
    return EVENTS[key](**table)


def read_events(texts: Sequence[str], key: str) -> tuple[list[Any], list[str]]:
    """Parse ``name[:start=24,strength=0.5]`` options; returns events and faults."""
    return tried(partial(parse_event, text, EVENTS[key]) for text in texts)
