"""``mpbf validate``: stylised facts of real discovery ecosystems, in the model and in data."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mpbf_abm.cli.binding import of_run, option, typed, whole
from mpbf_abm.cli.console import MISMATCH, OK, complain, print_json, tell_written
from mpbf_abm.cli.options import Community, Data, Jobs, Json, Out, workers
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.outputs import table

if TYPE_CHECKING:
    from mpbf_abm.evidence.facts.recorded import Fact
    from mpbf_abm.parameters import Parameters


@dataclass(frozen=True)
class Compared(Community):
    """A community that is compared with facts, and with which."""

    only: list[str] = option("N", "Fact (4) or several (4,7); may be repeated.", default=())
    replicates: int = whole("", "Communities, each on its own materials.", low=2, default=20)
    seed: int = of_run("seed", "Seed of the first replicate.", default=1)
    least: int | None = whole("", "Exit with 3 if fewer facts are reproduced. [default: 4 of 5]")
    data: Data = None
    jobs: Jobs = None
    out: Out = None
    as_json: Json = False

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        """The facts that are named, or all."""
        from mpbf_abm.evidence.facts.validation import chosen

        return chosen(self.only)

    @cached_property
    def community(self) -> Parameters:
        """Parameters of a community to which nothing is done."""
        if self.settings.policies or self.settings.shocks:
            why = "the community is compared as it is, without [[policy]] and [[shock]]; take them out"
            raise ConfigurationError(f"{self.config_file}: {why}")
        return self.settings.parameters

    @cached_property
    def wanted(self) -> int:
        """Number of facts that must be reproduced."""
        count = len(self.facts)
        wanted = -(-4 * count // 5) if self.least is None else self.least
        if not 0 <= wanted <= count:
            raise ConfigurationError(f"--least = {wanted}: must be 0 to {count}, the number of facts")
        return wanted


def validate(asked: Compared) -> int:
    """Compare the community with fifteen stylised facts, at once and with one configuration.

    A fact is reproduced where the mean of each of its numbers lies in the range of real values. Exit code 3 if too few
    are. With --data real values are computed from data. With --out page, table and figure are written, and finished
    measures are kept in the folder `runs`.
    """
    from mpbf_abm.cli.progress import Bar
    from mpbf_abm.evidence.facts.validation import validate as measured
    from mpbf_abm.outputs import OutputFolder
    from mpbf_abm.reports import facts_report

    out, settings = asked.out, asked.settings
    folder = None if out is None else OutputFolder(out, "validate")
    if settings.numbers:
        complain([f"[run] of {asked.config_file} is left aside; --seed and --replicates say what is run"])
    how: dict[str, Any] = {"seed": asked.seed, "replicates": asked.replicates, "data": asked.data, "out": out}
    with folder or nullcontext() as work:
        with Bar(asked.as_json, "measure") as watch:
            found = measured(asked.community, asked.facts, jobs=workers(asked.jobs), progress=watch, **how)
        if work is not None:
            command = " ".join(["mpbf validate", *typed(asked, ("least", "jobs", "out", "as_json"))])
            facts_report.write(found, work, command)
    tell_written(folder, to=sys.stderr)
    if asked.as_json:
        print_json(facts_report.as_mapping(found, asked.community))
    else:
        print(table(facts_report.HEAD, facts_report.cells(found), right=(2, 4, 5, 7)))
        print("\n" + facts_report.summary(found))
    return OK if found.count >= asked.wanted else MISMATCH
