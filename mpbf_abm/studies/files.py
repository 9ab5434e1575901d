"""Study files: TOML to study and back; every fault of a file at once, one line each."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mpbf_abm.config import Section
from mpbf_abm.errors import ConfigurationError, did_you_mean
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.settings import DEFAULT_PAIRS, DEFAULT_SEED, question_faults, settings_from
from mpbf_abm.model.shocks import Shock
from mpbf_abm.model.spec import DEFAULT_TICKS
from mpbf_abm.parameters import GROUPS, PATHS, read_toml
from mpbf_abm.studies.definition import (
    Arm,
    Branch,
    Engine,
    Limits,
    Outcome,
    Replicates,
    Series,
    Space,
    Study,
    factor_of,
)
from mpbf_abm.studies.design import Design, Factor

S = TypeVar("S", bound=Section)

TABLES = (
    "study",
    "space",
    "parameters",
    "policy",
    "arm",
    "shock",
    "design",
    "replicates",
    "outcome",
    "series",
    "branch",
    "limits",
    "engine",
)
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

    def __init__(self, faults: str | Iterable[str], rest: Study | None = None) -> None:
        super().__init__(faults)
        self.rest = rest


def read_study(path: str | Path) -> Study:
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


def of_run_file(data: Mapping[str, Any], path: Path) -> Study:
    """Study of the runs that ``mpbf run`` makes of a configuration file: the same seeds, arms and ids."""
    settings = settings_from(data, where=path.name)
    pairs = bool(settings.policies or (settings.shocks and not settings.shocks_in_baseline))
    numbers = {"seed": DEFAULT_SEED, "ticks": DEFAULT_TICKS, "replicates": DEFAULT_PAIRS if pairs else 1} | dict(
        settings.numbers
    )
    if faults := question_faults(
        settings.policies, settings.shocks, numbers["replicates"], shared=settings.shocks_in_baseline
    ):
        raise ConfigurationError([f"{path.name}: {fault}" for fault in faults])
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", path.stem).lstrip("_.-")
    return Study.of_question(
        name or "run",
        settings.parameters,
        settings.policies,
        settings.shocks,
        shared=settings.shocks_in_baseline,
        ticks=numbers["ticks"],
        seeds=range(numbers["seed"], numbers["seed"] + numbers["replicates"]),
    )


def parse_study(data: Mapping[str, Any], *, where: str = "", folder: Path | None = None) -> Study:
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
    reader = _Reader(folder or Path())
    study = reader.study(data)
    if reader.faults or study is None:
        prefix = f"{where}: " if where else ""
        raise StudyFileError([prefix + fault for fault in dict.fromkeys(reader.faults)], study)
    return study


class _Reader:
    """Reads table by table and keeps every fault."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: list[str] = []

    def make(self, build: Callable[[], S], prefix: str = "") -> S | None:
        try:
            return build()
        except ConfigurationError as error:
            self.faults += [prefix + fault for fault in error.faults]
            return None

    def study(self, data: Mapping[str, Any]) -> Study | None:
        self.faults += [f"unknown table [{k}]{self.meant(k, data[k])}" for k in data if k not in TABLES]
        head = self.table(data, "study")
        self.faults += [f"[study]: unknown field '{k}'{did_you_mean(k, OWN)}" for k in head if k not in OWN]
        if "name" not in head:
            self.faults.append("[study]: name is missing")
        fields: dict[str, Any] = {k: v for k, v in head.items() if k in OWN}
        for key, kind in PARTS.items():
            if key in data:
                fields[key] = self.make(lambda kind=kind, key=key: kind(**self.table(data, key)))  # type: ignore[misc]
        fields["parameters"] = self.parameters(self.table(data, "parameters"))
        fields["policies"] = self.arms(data)
        fields["shocks"] = tuple(filter(None, (self.make(lambda t=t: Shock(**t)) for t in self.tables(data, "shock"))))  # type: ignore[misc]
        fields["outcomes"] = self.outcomes(self.table(data, "outcome"))
        fields["design"] = self.design(self.table(data, "design"))
        if "replicates" not in data and any(isinstance(v, Factor) for v in fields["parameters"].values()):
            self.faults.append(
                "[replicates] is missing: where parameters vary, say how many runs each scenario has (n = 1, say)"
            )
        known = {k: v for k, v in fields.items() if v is not None}
        # Without a name the rest is checked all the same.
        return self.make(lambda: Study(**({"name": "unnamed"} | known)))

    @staticmethod
    def meant(key: str, value: Any) -> str:
        if key in GROUPS or key in PATHS:
            return "; parameters stand under [parameters]"
        hint = did_you_mean(key, TABLES)
        return hint or f" (tables: {', '.join(TABLES)})" if isinstance(value, (Mapping, list)) else hint

    def table(self, data: Mapping[str, Any], key: str) -> dict[str, Any]:
        value = data.get(key, {})
        if not isinstance(value, Mapping):
            self.faults.append(f"'{key}' must be a table, [{key}]")
            return {}
        return dict(value)

    def tables(self, data: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
        value = data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, Mapping) for v in value):
            self.faults.append(f"'{key}' must be a list of tables, [[{key}]]")
            return []
        return [dict(v) for v in value]

    # ------------------------------------------------------------------ tables with structure of their own

    def parameters(self, table: dict[str, Any]) -> dict[str, Any]:
        """Parameters by dotted path; dotted keys of TOML arrive nested."""
        flat: dict[str, Any] = {}
        for name, entry in table.items():
            if name in GROUPS and isinstance(entry, Mapping):
                flat.update({f"{name}.{n}": v for n, v in entry.items()})
            else:
                flat[name] = entry
        out: dict[str, Any] = {}
        for name, entry in flat.items():
            if isinstance(entry, Mapping):
                out[name] = self.make(lambda name=name, entry=entry: factor_of(name, entry))  # type: ignore[misc]
            else:
                out[name] = tuple(entry) if isinstance(entry, list) else entry
        return {name: entry for name, entry in out.items() if entry is not None}

    def arms(self, data: Mapping[str, Any]) -> tuple[Arm, ...]:
        """One arm for each [[policy]], and the [[arm]] tables."""
        arms: list[Arm | None] = []
        for table in self.tables(data, "policy"):
            label = table.pop("label", None)
            policy = self.make(lambda table=table: Policy(**table))  # type: ignore[misc]
            if policy is not None:
                arms.append(self.make(lambda p=policy, label=label: Arm.of(p, label)))  # type: ignore[misc]
        for table in self.tables(data, "arm"):
            place = f"arm '{table.get('label', '')}': "
            for key, kind in (("policies", Policy), ("shocks", Shock)):
                entries = table.get(key, [])
                if not isinstance(entries, list) or not all(isinstance(e, Mapping) for e in entries):
                    self.faults.append(f"{place}{key} must be a list of tables")
                    entries = []
                made = [self.make(lambda e=e, kind=kind: kind(**e), place) for e in entries]  # type: ignore[misc]
                table[key] = tuple(filter(None, made))
            if isinstance(table.get("parameters"), Mapping):
                table["parameters"] = self.parameters(dict(table["parameters"]))
            arms.append(self.make(lambda table=table: Arm(**table)))  # type: ignore[misc]
        return tuple(filter(None, arms))

    def outcomes(self, table: dict[str, Any]) -> dict[str, Outcome]:
        out = {}
        for name, entry in table.items():
            place = f"[outcome.{name}]: "
            if not isinstance(entry, Mapping):
                self.faults.append(f"[outcome]: '{name}' must be a table, [outcome.{name}]")
                continue
            made = self.make(lambda entry=entry: Outcome(**entry), place)  # type: ignore[misc]
            if made is not None:
                out[name] = made
        return out

    def design(self, table: dict[str, Any]) -> Design | None:
        file = table.pop("file", None)
        if file is not None:
            columns, rows = self.read_rows(file)
            table |= {"columns": columns, "rows": rows}
            table.setdefault("kind", "table")
            if not rows:
                return None
        elif table and "kind" not in table:
            self.faults.append(f"[design]: kind is missing (kinds: {', '.join(KINDS_OF_DESIGN)})")
            return None
        return self.make(lambda: Design(**table))

    def read_rows(self, file: Any) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
        """Read the CSV file of a table design; cells become numbers, switches or words."""
        if not isinstance(file, str):
            self.faults.append(f"[design]: file = {file!r}: must be the name of a CSV file")
            return (), ()
        try:
            text = (self.folder / file).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            self.faults.append(f"[design]: file = '{file}': is not UTF-8 text")
            return (), ()
        except (OSError, ValueError) as error:
            self.faults.append(
                f"[design]: file = {file!r}: cannot be read ({getattr(error, 'strerror', None) or error})"
            )
            return (), ()
        try:
            lines = [row for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)]
        except csv.Error as error:
            self.faults.append(f"[design]: file = '{file}': is no CSV table ({error})")
            return (), ()
        if len(lines) < 2:
            self.faults.append(f"[design]: file = '{file}': needs a line of names and at least one row")
            return (), ()
        head = tuple(cell.strip() for cell in lines[0])
        bad = [str(i) for i, row in enumerate(lines[1:], 2) if len(row) != len(head)]
        if bad:
            self.faults.append(f"[design]: file = '{file}': line {bad[0]} does not have {len(head)} cells")
            return (), ()
        return head, tuple(tuple(_cell(cell.strip()) for cell in row) for row in lines[1:])


KINDS_OF_DESIGN = ("grid", "one_at_a_time", "lhs", "sobol", "morris", "saltelli", "table")


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


def write_study(study: Study) -> str:
    """Write a study as TOML; reading it gives an equal study (but for a model of one's own, which no file holds)."""
    import tomli_w

    return tomli_w.dumps(as_tables(study))


def as_tables(study: Study) -> dict[str, Any]:
    """Return the tables of a study file; what is at its default is left out."""
    parts = {key: _plain(part) for key in PARTS if (part := getattr(study, key)) is not None}
    if study.replicates.seeds:
        del parts["replicates"]["n"]
    parameters = _lists(study.parameters)
    for name, value in study.parameters.items():
        if isinstance(value, Factor):
            del parameters[name]["name"]
    tables = {
        "study": {k: getattr(study, k) for k in OWN if k != "rules"}
        | ({"rules": list(study.rules)} if study.rules else {}),
        "space": parts.pop("space", {}),
        "parameters": parameters,
        "arm": [_plain(arm) for arm in study.policies],
        "shock": [_plain(shock) for shock in study.shocks],
        "design": _plain(study.design),
        "outcome": {name: _plain(o) for name, o in study.outcomes.items()},
        **parts,
    }
    return {key: table for key, table in tables.items() if table}


def _plain(section: Section) -> dict[str, Any]:
    """Fields that are not at their default."""
    out: dict[str, Any] = {}
    for name, info in type(section).model_fields.items():
        value = getattr(section, name)
        if value is None or (not info.is_required() and value == info.get_default(call_default_factory=True)):
            continue
        out[name] = _lists(value)
    return out


def _lists(value: Any) -> Any:
    if isinstance(value, Section):
        return _plain(value)
    if isinstance(value, Mapping):
        return {k: _lists(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_lists(v) for v in value]
    return value
