"""Study files: TOML to study and back; every fault of a file at once, one line each."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mpbf_abm.config import Section
from mpbf_abm.errors import ConfigurationError, did_you_mean, lines_where, private, refuse_any
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.settings import DEFAULT_PAIRS, question_faults, settings_from
from mpbf_abm.model.shocks import Shock
from mpbf_abm.model.spec import DEFAULT_TICKS
from mpbf_abm.parameters import GROUPS, PATHS, read_toml
from mpbf_abm.provenance import DEFAULT_SEED
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
    factor_of,
    flat_parameters,
)
from mpbf_abm.studies.design import KINDS, Design, Factor, names_of

S = TypeVar("S", bound=Section)

TABLES = names_of("study space parameters policy arm shock design replicates outcome series branch limits engine")
OWN = ("name", "question", "preset", "seed", "ticks", "crn", "rules")
# What only a configuration file of mpbf run has; studies have tables [space], [[policy]] and [[shock]], too.
RUN_TABLES = frozenset({"preset", "run", *GROUPS}) - {"space"}
PARTS: dict[str, type[Section]] = {
    "space": Space,
    "replicates": Replicates,
    "series": Series,
    "branch": Branch,
    "limits": Limits,
    "engine": Engine,
}


class StudyFileError(ConfigurationError):
    """Faults of a study file, and the study without what is at fault, if that is one."""

    def __init__(self, faults: str | Iterable[str], rest: StudyDefinition | None = None) -> None:
        super().__init__(faults)
        self.rest = rest


def read_study(path: str | Path) -> StudyDefinition:
    """Read a study file.

    Raises
    ------
    ConfigurationError
        Every fault at once, each with the name of the file.
    """
    path = Path(path)
    data = read_toml(path)
    if "study" not in data and data.keys() & RUN_TABLES:
        return of_run_file(data, path)
    return parse_study(data, where=path.name, folder=path.parent)


def of_run_file(data: Mapping[str, Any], path: Path) -> StudyDefinition:
    """Return the study of the runs that ``mpbf run`` makes of a configuration file: the same seeds, arms and ids."""
    settings = settings_from(data, where=path.name)
    asked, shared = (settings.policies, settings.shocks), settings.shocks_in_baseline
    pairs = bool(settings.policies or (settings.shocks and not shared))
    numbers = {"seed": DEFAULT_SEED, "ticks": DEFAULT_TICKS, "replicates": DEFAULT_PAIRS if pairs else 1}
    numbers |= settings.numbers
    seed, ticks, replicates = (numbers[name] for name in ("seed", "ticks", "replicates"))
    refuse_any(f"{path.name}: {fault}" for fault in question_faults(*asked, replicates, shared=shared))
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", path.stem).lstrip("_.-") or "run"
    seeds = range(seed, seed + replicates)
    return StudyDefinition.of_question(name, settings.parameters, *asked, shared=shared, ticks=ticks, seeds=seeds)


def parse_study(data: Mapping[str, Any], *, where: str = "", folder: Path | None = None) -> StudyDefinition:
    """Make a study from the content of a file.

    Parameters
    ----------
    data : mapping
        Tables by name, as TOML gives them.
    where : str
        Name of the file, for messages.
    folder : Path, optional
        Folder that files named in it are relative to.
    """
    reader = _FileReader(folder or Path())
    study = reader.study(data)
    if reader.faults or study is None:
        prefix = f"{where}: " if where else ""
        raise StudyFileError([prefix + fault for fault in dict.fromkeys(reader.faults)], study)
    return study


class _FileReader:
    """Reads table by table and keeps every fault."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: list[str] = []

    def make(self, build: Callable[..., S], fields: Mapping[str, Any], place: str = "") -> S | None:
        """Make a section of a table; where that cannot be, keep its faults."""
        try:
            return build(**fields)
        except ConfigurationError as error:
            self.faults += [place + fault for fault in error.faults]
            return None

    def each(self, build: Callable[..., S], tables: Iterable[dict[str, Any]], place: str = "") -> tuple[S, ...]:
        """Make a section of each table that can be one."""
        return tuple(filter(None, [self.make(build, table, place) for table in tables]))

    def head(self, table: dict[str, Any]) -> dict[str, Any]:
        """Read the table [study]; without a name the rest is checked all the same."""
        self.faults += [f"[study]: unknown field '{k}'{did_you_mean(k, OWN)}" for k in table if k not in OWN]
        self.faults += lines_where(("name" not in table, "[study]: name is missing"))
        return {"name": "unnamed"} | {k: v for k, v in table.items() if k in OWN}

    def study(self, data: Mapping[str, Any]) -> StudyDefinition | None:
        self.faults += [f"unknown table [{k}]{self.meant(k, data[k])}" for k in data if k not in TABLES]
        fields = self.head(self.table(data, "study"))
        fields |= {key: self.make(kind, self.table(data, key)) for key, kind in PARTS.items() if key in data}
        fields["parameters"] = self.parameters(self.table(data, "parameters"))
        fields["policies"] = self.arms(data)
        fields["shocks"] = self.each(Shock, self.tables(data, "shock"))
        fields["outcomes"] = self.outcomes(self.table(data, "outcome"))
        fields["design"] = self.design(self.table(data, "design"))
        varies = any(isinstance(v, Factor) for v in fields["parameters"].values())
        missing = "where parameters vary, say how many runs each scenario has (n = 1, say)"
        self.faults += lines_where((varies and "replicates" not in data, f"[replicates] is missing: {missing}"))
        return self.make(StudyDefinition, {k: v for k, v in fields.items() if v is not None})

    @staticmethod
    def meant(key: str, value: Any) -> str:
        if key in GROUPS or key in PATHS:
            return "; parameters stand under [parameters]"
        hint = did_you_mean(key, TABLES)
        return hint or f" (tables: {', '.join(TABLES)})" if isinstance(value, (Mapping, list)) else hint

    def table(self, data: Mapping[str, Any], key: str) -> dict[str, Any]:
        if isinstance(value := data.get(key, {}), Mapping):
            return dict(value)
        self.faults.append(f"'{key}' must be a table, [{key}]")
        return {}

    def tables(self, data: Mapping[str, Any], key: str, fault: str = "") -> list[dict[str, Any]]:
        value = data.get(key, [])
        if isinstance(value, list) and all(isinstance(v, Mapping) for v in value):
            return [dict(v) for v in value]
        self.faults.append(fault or f"'{key}' must be a list of tables, [[{key}]]")
        return []

    # ------------------------------------------------------------------ tables with parts

    def parameters(self, table: dict[str, Any]) -> dict[str, Any]:
        """Read parameters by dotted path; dotted keys of TOML arrive nested."""
        out = flat_parameters(table)
        for name, entry in out.items():
            if isinstance(entry, Mapping):
                out[name] = self.make(partial(factor_of, name), {"entry": entry})
            elif isinstance(entry, list):
                out[name] = tuple(entry)
        return {name: entry for name, entry in out.items() if entry is not None}

    def arms(self, data: Mapping[str, Any]) -> tuple[Arm, ...]:
        """Make one arm for each [[policy]], and the [[arm]] tables."""
        labels = [(table.pop("label", None), table) for table in self.tables(data, "policy")]
        made = [(label, self.make(Policy, table)) for label, table in labels]
        arms = self.each(Arm.of, [{"policy": policy, "label": label} for label, policy in made if policy is not None])
        for table in self.tables(data, "arm"):
            place = f"arm '{table.get('label', '')}': "
            for key, kind in (("policies", Policy), ("shocks", Shock)):
                entries = self.tables(table, key, f"{place}{key} must be a list of tables")
                table[key] = self.each(kind, entries, place)
            if isinstance(table.get("parameters"), Mapping):
                table["parameters"] = self.parameters(dict(table["parameters"]))
            arms += self.each(Arm, [table])
        return arms

    def outcomes(self, table: dict[str, Any]) -> dict[str, Outcome]:
        made = {}
        for name, entry in table.items():
            if not isinstance(entry, Mapping):
                self.faults.append(f"[outcome]: '{name}' must be a table, [outcome.{name}]")
            elif (outcome := self.make(Outcome, entry, f"[outcome.{name}]: ")) is not None:
                made[name] = outcome
        return made

    def design(self, table: dict[str, Any]) -> Design | None:
        if (file := table.pop("file", None)) is not None:
            try:
                columns, rows = self.read_rows(file)
            except ValueError as error:
                self.faults.append(f"[design]: file = {error}")
                return None
            table = {"kind": "table"} | table | {"columns": columns, "rows": rows}
        elif table and "kind" not in table:
            self.faults.append(f"[design]: kind is missing (kinds: {', '.join(KINDS[1:])})")
            return None
        return self.make(Design, table)

    def read_rows(self, file: Any) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
        """Read the CSV file of a table design; cells become numbers, switches or words."""
        lines = self.csv_lines(file)
        if len(lines) < 2:
            raise ValueError(f"'{file}': needs a line of names and at least one row")
        head, *rows = (tuple(cell.strip() for cell in line) for line in lines)
        if bad := [i for i, row in enumerate(rows, 2) if len(row) != len(head)]:
            raise ValueError(f"'{file}': line {bad[0]} does not have {len(head)} cells")
        return head, tuple(tuple(map(_cell, row)) for row in rows)

    def csv_lines(self, file: Any) -> list[list[str]]:
        """Read the lines of a CSV file that are not empty."""
        try:
            text = (self.folder / file).read_text(encoding="utf-8-sig")
            return [row for row in csv.reader(text.splitlines()) if any(map(str.strip, row))]
        except TypeError:
            fault = f"{file!r}: must be the name of a CSV file"
        except UnicodeDecodeError:
            fault = f"'{file}': is not UTF-8 text"
        except (OSError, ValueError) as error:
            fault = f"{file!r}: cannot be read ({getattr(error, 'strerror', None) or error})"
        except csv.Error as error:
            fault = f"'{file}': is no CSV table ({error})"
        raise ValueError(fault)


def _cell(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text


# --------------------------------------------------------------------------- back to a file


def write_study(study: StudyDefinition) -> str:
    """Write a study as TOML; reading it gives an equal study (but for a custom model, which no file holds).

    Files in the home folder are named from there (``~``).
    """
    import tomli_w

    return private(tomli_w.dumps(as_tables(study)))


def as_tables(study: StudyDefinition) -> dict[str, Any]:
    """Return the tables of a study file; what is at its default is left out."""
    parts = {key: _lists(getattr(study, key) or {}) for key in PARTS}
    if study.replicates.seeds:
        del parts["replicates"]["n"]
    parameters = _lists(study.parameters)
    for name, value in study.parameters.items():
        if isinstance(value, Factor):
            del parameters[name]["name"]
    head = {k: getattr(study, k) for k in OWN if k != "rules"}
    tables = {
        "study": head | ({"rules": list(study.rules)} if study.rules else {}),
        "space": parts.pop("space"),
        "parameters": parameters,
        "arm": _lists(study.policies),
        "shock": _lists(study.shocks),
        "design": _lists(study.design),
        "outcome": _lists(study.outcomes),
        **parts,
    }
    return {key: table for key, table in tables.items() if table}


def _lists(value: Any) -> Any:
    """Return a value as TOML has it: of a section the fields that are not at their default."""
    if isinstance(value, Section):
        value = _changed(value)
    if isinstance(value, Mapping):
        return {k: _lists(v) for k, v in value.items()}
    return [_lists(v) for v in value] if isinstance(value, (list, tuple)) else value


def _changed(section: Section) -> dict[str, Any]:
    """Return the fields of a section that are not at their default."""
    fields = type(section).model_fields.items()
    # A required field has a default that nothing equals.
    defaults = {name: info.get_default(call_default_factory=True) for name, info in fields}
    held = {name: getattr(section, name) for name in defaults}
    return {name: v for name, v in held.items() if v is not None and v != defaults[name]}
