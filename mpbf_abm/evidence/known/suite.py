"""The whole suite: select rows, run them in several processes, and tell what came out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from mpbf_abm.errors import ConfigurationError, did_you_mean, faults_of, refuse, refuse_any, tried

# Rows register themselves when their module is imported, in the order of the table.
from mpbf_abm.evidence.known import (  # noqa: F401
    choices,
    dependence,
    failures,
    feedback,
    formulas,
    holdings,
    meanfield,
    openings,
    rivals,
    statistics,
    trials,
    urns,
    whole,
)
from mpbf_abm.evidence.known.rows import MUTATIONS, ROWS, SIGMAS, Check, RowOutcome, callers, evaluate, failing
from mpbf_abm.outputs import markdown_table
from mpbf_abm.parameters import parse_toml
from mpbf_abm.provenance import DEFAULT_SEED, content_hash, fingerprint
from mpbf_abm.studies.driver import Progress
from mpbf_abm.studies.jobs import Returned, RunInput
from mpbf_abm.studies.study import do_tasks, returned, task_of

GROUPS = {
    "U": "Urn limits",
    "M": "Feedback between models and data",
    "G": "Choices: generated candidates, active learning, rivals",
    "F": "Infrastructure",
    "D": "Dependence with frictions",
    "K": "Mean-field twin",
    "L": "The four formulas (our operationalisation)",
    "W": "Whole model",
    "S": "Statistics of studies",
}
# W2 compares this process with others, which know no injected fault, and W3 any bit with those on file:
# both notice every change, so that they are tried only where a fault names them.
NOTICE_ALL = ("W2", "W3")
# The longest first, so that no process is left with one of them at the end.
LONGEST = ("U3", "U1", "U2", "U8", "U11", "K1", "U5", "U9", "F4", "F2", "M1", "M2", "U6", "U4", "M7", "W4", "S2", "S1")


def ids() -> list[str]:
    """Return all rows in the order of the table."""
    return sorted(ROWS, key=lambda id: (list(GROUPS).index(id[0]), int(id[1:])))


def select(only: Sequence[str]) -> list[str]:
    """Return rows by id, or by the letter of their group; all of them without any.

    Raises
    ------
    ConfigurationError
        One line for each unknown name.
    """
    names = [part.strip() for text in only for part in text.split(",")]
    wanted, among = {name.upper() for name in names}, f"(rows: {', '.join(ids())})"
    unknown = [name for name in names if name.upper() not in (*ROWS, *GROUPS)]
    refuse(unknown, [f"unknown row '{name}'{did_you_mean(name.upper(), ROWS)} {among}" for name in unknown])
    return [id for id in ids() if not names or {id, id[0]} & wanted]


def assign(rows: Sequence[str], assignments: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the values of ``name=value`` and ``ROW.name=value`` for each row that has such a parameter.

    Raises
    ------
    ConfigurationError
        All faults at once: unknown names, values that are no numbers or out of range.
    """
    assigned, faults = tried(partial(_assignment, rows, text) for text in assignments)
    changes: dict[str, dict[str, Any]] = {id: {} for id in rows}
    for takers, key, value in assigned:
        for id in takers:
            changes[id][key] = value
    refuse_any(faults + faults_of(*(partial(ROWS[id].values, changes[id]) for id in rows)))
    return changes


def _assignment(rows: Sequence[str], text: str) -> tuple[list[str], str, Any]:
    """Read ``name=value`` or ``ROW.name=value``; return the rows that take it, the parameter's name and its value."""
    name, sep, raw = (part.strip() for part in text.partition("="))
    row, dot, key = name.rpartition(".")
    value = number(raw)
    refuse(not sep or not name, f"'{text}': write --set name=value, or --set ROW.name=value")
    refuse(value is None, f"{name} = {raw!r}: must be a number, or several in brackets: [1, 2.5]")
    among = [id for id in rows if id == row.upper()] if dot else rows
    takers = [id for id in among if key in ROWS[id].parameters]
    known = sorted({k for id in among or rows for k in ROWS[id].parameters})
    unknown = f"unknown parameter '{name}' of {', '.join(among or rows)}{did_you_mean(key, known)}"
    refuse(not takers, f"{unknown} (parameters: {', '.join(known)})")
    return takers, key, value


def number(text: str) -> Any:
    """Read a number, or several in brackets; None if it is neither."""
    try:
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError:
        pass
    try:
        value = parse_toml(f"v = {text}")["v"]
    except ConfigurationError:
        return None
    several = value if isinstance(value, list) else [value]
    return value if all(type(v) in (int, float) for v in several) else None


def run_suite(
    rows: Sequence[str],
    seed: int = DEFAULT_SEED,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    fast: bool = False,
    data: Path | None = None,
    **how: Any,
) -> list[RowOutcome]:
    """Run rows, in several processes if asked; equal inputs give equal outcomes whatever their number.

    With a folder `out`, rows that are over are kept there, and the same call goes on. Other arguments are those of
    :func:`spread`.
    """
    tasks = {}
    for id in sorted(rows, key=lambda id: LONGEST.index(id) if id in LONGEST else len(LONGEST)):
        changed = tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in (changes or {}).get(id, {}).items())
        pools = whole.pools_of(data) if data is not None and ROWS[id].needs_data else ()
        tasks[id] = (id, seed, changed, fast, pools)
    found = spread("verification", one_row, list(tasks.values()), {}, **how)
    return [outcome_of(found[tasks[id]]) for id in rows]


def one_row(run: RunInput) -> Returned:
    """Run the row that a task says: the model of this study."""
    id, seed, changes, fast, pools = task_of(run)
    return returned(asdict(evaluate(id, seed, dict(changes), fast=fast, data=Path(pools[0]) if pools else None)))


def outcome_of(found: Mapping[str, Any]) -> RowOutcome:
    """Outcome of a row from its plain values."""
    return RowOutcome(**{**found, "checks": tuple(Check(**check) for check in found["checks"])})


def spread(
    name: str,
    model: Callable[[RunInput], Returned],
    tasks: Sequence[tuple[Any, ...]],
    given: Mapping[str, str],
    *,
    out: Path | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> dict[Any, Any]:
    """Return the values of tasks that begin with a row; rows that start processes are run here, last."""
    # Rows look at all of this software, and one at what it gave before.
    baseline = content_hash([whole.BASELINE.read_text(), whole.arithmetic()])
    given = {**given, "software": fingerprint(), "baseline": baseline}
    here = [task for task in tasks if ROWS[task[0]].starts_processes]
    found: dict[Any, Any] = {}
    for some, count in (([task for task in tasks if task not in here], jobs), (here, 1)):
        if some:
            found |= do_tasks(name, model, some, given, out=out, jobs=min(count, len(some)), progress=progress)
    return found


# --------------------------------------------------------------------------- injected faults


def run_mutations(seed: int = DEFAULT_SEED, jobs: int = 1, **how: Any) -> list[tuple[str, str, set[str], set[str]]]:
    """Try every injected fault on the rows that call the function it replaces (quick values).

    Parameters
    ----------
    seed, jobs : int
    out : Path, optional
        Folder in which what is over is kept, where the same call goes on.
    progress : Progress, optional
        Sees first each row that is looked at, then each row that is tried under a fault.

    Returns
    -------
    list of (name, function, rows that must fail, rows that fail)
    """
    given = {"seed": str(seed), "targets": json.dumps(list(dict.fromkeys(m.target for m in MUTATIONS)))}
    called = spread("verification-callers", called_by_row, [(id,) for id in ids()], given, jobs=jobs, **how)
    every = [(id, m) for m, id in product(MUTATIONS, ids()) if m.target in called[id,]]
    tried = [(id, m.name) for id, m in every if id not in NOTICE_ALL or id in m.breaks]
    failed = spread("verification-mutations", row_fails, tried, {"seed": str(seed)}, jobs=jobs, **how)
    fails = {m.name: {id for id in ids() if failed.get((id, m.name))} for m in MUTATIONS}
    return [(m.name, m.target, set(m.breaks), fails[m.name]) for m in MUTATIONS]


def called_by_row(run: RunInput) -> Returned:
    """Find which of some functions a row calls: a model of a study of tasks."""
    (id,) = task_of(run)
    return returned(sorted(callers(json.loads(run.values["targets"]), id, int(run.values["seed"]))))


def row_fails(run: RunInput) -> Returned:
    """Find whether a row fails under one of the injected faults: a model of a study of tasks.

    Faults go by their names: their order follows from which module was imported first.
    """
    id, name = task_of(run)
    (mutation,) = [m for m in MUTATIONS if m.name == name]
    return returned(id in failing(mutation, [id], int(run.values["seed"])))


# --------------------------------------------------------------------------- what came out

HEAD = ["row", "check", "expected", "measured", "standard error", "caught beyond", "verdict"]


def cells(outcomes: Sequence[RowOutcome]) -> list[list[str]]:
    """Return one line for each check, for a table; numbers have six significant digits."""
    out = []
    for o in outcomes:
        if o.skipped:
            out.append([o.id, o.title, "", "", "", "", f"not run: {o.skipped}"])
        out += [[o.id, *_cells_of(c)] for c in o.checks]
    return out


def _cells_of(c: Check) -> list[str]:
    """Return the line of a check, for a table."""
    expected = ("" if c.relation == "=" else f"{c.relation} ") + f"{c.expected:.6g}"
    error = (f"{c.error:.2g}" if c.error else "exact") + (f" (+ {c.tolerance:.1g})" if c.tolerance else "")
    beyond, verdict = f"{c.detects:.2g}" if c.detects else "any", "ok" if c.passed else "FAILED"
    return [c.name, expected, f"{c.measured:.6g}", error, beyond, verdict]


ROW = ("id", "title", "source", "parameters", "seconds", "skipped", "passed", "checks")
CHECK = ("name", "expected", "measured", "standard_error", "tolerance", "relation", "passed", "caught_beyond", "note")


def as_json(outcomes: Sequence[RowOutcome], seed: int) -> dict[str, Any]:
    """Return everything about the outcomes, for machines."""
    passed = all(o.passed for o in outcomes)
    return {"seed": seed, "sigmas": SIGMAS, "passed": passed, "rows": [_row_fields(o) for o in outcomes]}


def _row_fields(o: RowOutcome) -> dict[str, Any]:
    """Return what machines read of a row."""
    what = (o.id, o.title, o.source, o.values, round(o.seconds, 2), o.skipped or None, o.passed)
    return dict(zip(ROW, (*what, [_check_fields(c) for c in o.checks]), strict=True))


def _check_fields(c: Check) -> dict[str, Any]:
    """Return what machines read of a check."""
    values = (c.name, c.expected, c.measured, c.error, c.tolerance, c.relation, c.passed, c.detects, c.note)
    return dict(zip(CHECK, values, strict=True))


INTRO = """\
# Verification: known results

Written by `{command}`. Every row reaches a known result by configuration of the model's own code or by the public
functions of its measures (rows F1 to F7, F9 and F10 are unit checks of those). A check passes when measured and \
expected
values lie within {sigmas} Monte-Carlo standard errors of each other, plus a tolerance where the row states one. *Caught
beyond* is the deviation that would be noticed 97.5 times in a hundred. Another value of any parameter is tried by
`mpbf verify --only U1 --set a=2`; the expected value follows. Injected faults that the suite must notice are tried by
`mpbf verify --mutations`. A second reading of the [model description](odd.md), written from its text alone, \
lives with the
tests (`tests/docking`) and equals the model on the same keyed draws.
"""


# Figures of a group of rows, by its letter: name and alternative text.
PICTURES = {"K": ("twin", "The mean-field twin beside the model: where it is right, and where it is wrong")}


def markdown(outcomes: Sequence[RowOutcome], command: str, figures: Mapping[str, str]) -> str:
    """Return the page ``docs/verification.md``; figures by name (verification, twin), as paths from the page."""
    checks = [c for o in outcomes for c in o.checks]
    ran = [o for o in outcomes if not o.skipped]
    intro = INTRO.format(command=command, sigmas=f"{SIGMAS:g}")
    skipped = f"; not run: {', '.join(o.id for o in outcomes if o.skipped)}." if len(ran) < len(outcomes) else "."
    passed = f"{sum(o.passed for o in ran)} of {len(ran)} rows pass, with {len(checks)} checks{skipped}"
    picture = _picture(figures, "verification", "Expected against measured values of all rows")
    lines = [*intro.splitlines(), "", passed, "", *picture]
    for letter in sorted({o.id[0] for o in outcomes}, key=list(GROUPS).index):
        lines += [f"## {GROUPS[letter]}", "", *_picture(figures, *PICTURES.get(letter, ("", "")))]
        lines += [line for o in outcomes if o.id[0] == letter for line in section(o)]
    return "\n".join(lines).rstrip() + "\n"


def _picture(figures: Mapping[str, str], name: str, alt: str) -> list[str]:
    """Return the lines that show a figure, none where it is not given."""
    return [f"![{alt}]({figures[name]})", ""] if name in figures else []


def section(o: RowOutcome) -> list[str]:
    """Return the lines about one row."""
    values = ", ".join(f"{k} = {short(v)}" for k, v in o.values.items())
    head = [f"### {o.id}: {o.title}", "", f"Source: {o.source}." + (f" Parameters: {values}." if values else ""), ""]
    if o.skipped:
        return [*head, f"Not run: {o.skipped}.", ""]
    notes = [f"- {c.name}: {c.note}." for c in o.checks if c.note]
    return [*head, markdown_table(HEAD[1:], (line[1:] for line in cells([o]))), *notes, *([""] if notes else [])]


def short(value: Any) -> str:
    """Value of a parameter in a line of text."""
    return f"({', '.join(f'{v:g}' for v in value)})" if isinstance(value, tuple) else f"{value:g}"
