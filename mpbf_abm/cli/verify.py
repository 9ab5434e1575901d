"""``mpbf verify``: known results."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mpbf_abm.cli.binding import of_run, option, typed
from mpbf_abm.cli.console import MISMATCH, OK, print_json, refuse, tell_written
from mpbf_abm.cli.options import MORE, Data, Jobs, Json, Out, workers
from mpbf_abm.cli.progress import Bar


def _rows() -> list[str]:
    from mpbf_abm.evidence.known import suite

    return suite.select([])


@dataclass(frozen=True)
class Rows:
    """Known results that are checked, and how."""

    only: list[str] = option("ROW", f"Row (U3), several (U3,M7) or a group (U){MORE}", None, _rows, default=())
    assignments: list[str] = option("--set NAME=VALUE", "Change a parameter, of one row as ROW.NAME=VALUE.", default=())
    seed: int = of_run("seed", "Root seed.", default=1)
    fast: bool = option("--fast", "Fewer runs and larger standard errors: a minute or two.", default=False)
    data: Data = None
    figure: bool = option(
        "--figure", "Also save figures: expected vs measured, model vs mean-field twin.", default=False
    )
    out: Out = None
    as_json: Json = False
    jobs: Jobs = None

    def check(self) -> None:
        """Raise a figure without a folder."""
        refuse(["--figure needs a folder: --out DIR"] if self.figure and self.out is None else [])

    @cached_property
    def rows(self) -> list[str]:
        """Ids of the rows that are named, or all."""
        from mpbf_abm.evidence.known import suite

        return suite.select(self.only)

    @cached_property
    def changes(self) -> dict[str, dict[str, Any]]:
        """Parameters that are changed, by row."""
        from mpbf_abm.evidence.known import suite

        return suite.assign(self.rows, self.assignments)


@dataclass(frozen=True)
class Instead:
    """What is done in place of a check of the rows."""

    mutations: bool = option("--mutations", "Run mutation tests instead: known faults must be detected.", default=False)
    listed: bool = option("--list", "List rows and their parameters, instead.", default=False)


def verify(asked: Rows, instead: Instead) -> int:
    """Check the model against known results: exact or published values, each with its standard error.

    The expected value follows a changed parameter. Exit code 3 if a row fails. With --out verification.md is written,
    and figures into images/; finished rows are kept in the folder `runs`. With --mutations known faults are injected
    into the model, to test whether the rows detect them.
    """
    from mpbf_abm.evidence.known import suite
    from mpbf_abm.outputs import OutputFolder
    from mpbf_abm.reports import known_report

    if instead != Instead():
        return _instead(asked, instead)
    folder = None if asked.out is None else OutputFolder(asked.out, "verify")
    how: dict[str, Any] = {"fast": asked.fast, "data": asked.data, "out": asked.out, "jobs": workers(asked.jobs)}
    with folder or nullcontext() as work:
        with Bar(asked.as_json, "row") as watch:
            outcomes = suite.run_suite(asked.rows, asked.seed, asked.changes, progress=watch, **how)
        if work is not None:
            command = " ".join(["mpbf verify", *typed(asked, ("out", "as_json", "jobs"))])
            known_report.write(outcomes, work, command, asked.seed, fast=asked.fast, figure=asked.figure)
    tell_written(folder, to=sys.stderr)
    if asked.as_json:
        print_json(suite.as_json(outcomes, asked.seed))
    else:
        print(known_report.as_text(outcomes))
    return OK if all(o.passed for o in outcomes) else MISMATCH


def _instead(asked: Rows, instead: Instead) -> int:
    """List the rows, or run the mutation tests and report which rows detected each fault."""
    from mpbf_abm.evidence.known import suite
    from mpbf_abm.reports import known_report

    if instead.listed:
        print(known_report.rows_listed(asked.rows))
        return OK
    with Bar(asked.as_json, "row") as watch:
        results = suite.run_mutations(asked.seed, workers(asked.jobs), out=asked.out, progress=watch)
    if asked.as_json:
        print_json(known_report.mutations_mapping(results))
    else:
        print(known_report.mutations_text(results))
    return OK if all(must == did for _, _, must, did in results) else MISMATCH
