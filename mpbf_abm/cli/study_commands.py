"""``mpbf study``: run studies, inspect them, export them."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mpbf_abm.cli.binding import argument, one_of, option, whole
from mpbf_abm.cli.console import INTERRUPTED, OK, Bar, Explained, complain, fresh_file, tell, verdict, written
from mpbf_abm.cli.options import Jobs, Json, Out, Quiet
from mpbf_abm.errors import refuse
from mpbf_abm.outputs import table

SUCH_AS = "https://spdx.org/licenses/CC-BY-4.0"

if TYPE_CHECKING:
    from mpbf_abm.studies.definition import Engine, StudyDefinition
    from mpbf_abm.studies.plan import Plan

Folder = Annotated[Path, argument("DIR", "Folder of a study that was run.")]


@dataclass(frozen=True)
class StudySource:
    """A study: a file, or what the store of a study that was run holds."""

    source: Annotated[Path, argument("STUDY.toml|DIR", "A study file, or the folder of a study that was run.")]

    @cached_property
    def loaded(self) -> tuple[StudyDefinition, Path, Path | None]:
        """The study, the folder of its data, and the folder of its store."""
        from mpbf_abm.studies.upkeep import load

        return load(self.source)

    @property
    def store(self) -> Path:
        """Folder of the store."""
        from mpbf_abm.studies.results import default_folder

        definition, _, home = self.loaded
        return home or default_folder(definition)

    def plan(self) -> Plan:
        """Return the checked plan; notes go to standard error."""
        from mpbf_abm.studies.plan import Plan

        plan = Plan.of(*self.loaded[:2])
        complain(plan.check())
        return plan


# --------------------------------------------------------------------------- before a run


def init(path: Annotated[Path, argument("[PATH]", "File to write.")] = Path("study.toml")) -> None:
    """Write a commented study file; an existing file is left as it is."""
    fresh_file(path, "study", re.sub(r"[^A-Za-z0-9_.-]", "-", path.stem).lstrip("_.-") or "study")


def check(
    source: StudySource,
    twice: Annotated[bool, option("--twice", "Make the first run of every arm twice; compare the bits.")] = False,
) -> int:
    """Check a study; every error is one line."""
    from mpbf_abm.reports.runs import runs_in_words
    from mpbf_abm.studies.upkeep import twice as made_twice

    plan = source.plan()
    print(f"{source.source.name}: ok; {runs_in_words(plan)}")
    rows = made_twice(plan) if twice else []
    if rows:
        print(table(["arm", "seconds", "two runs"], rows, right=(1,)))
    return verdict(all(row[-1] == "equal" for row in rows))


def plan(
    source: StudySource,
    jobs: Jobs = None,
    pilot: Annotated[bool, option("--pilot/--no-pilot", "Make and time a few runs, up to a minute.")] = True,
    as_json: Json = False,
) -> None:
    """Estimate what a study takes: runs, time, disk; list which analyses its design supports."""
    from mpbf_abm.reports.runs import plan_mapping, plan_rows
    from mpbf_abm.studies.store import FILE
    from mpbf_abm.studies.upkeep import estimate, stored_runs

    planned = source.plan()
    stored = stored_runs(planned, source.store / FILE)
    cost = estimate(planned, jobs) if pilot else None
    tell(
        as_json, plan_mapping(planned, stored, cost), table(["", planned.study.name], plan_rows(planned, stored, cost))
    )


# --------------------------------------------------------------------------- running


def _shard(text: str) -> Any:
    from mpbf_abm.studies.driver import check_shard

    return check_shard(text)


@dataclass(frozen=True)
class Where:
    """Where runs are made: an engine in place of the study's, a part of the runs."""

    engine: str | None = one_of("In place of the study's engine.", "local", "dask")
    address: str | None = option("HOST:PORT", "Scheduler of a running dask cluster.")
    shard: Any = option("I/N|env", "Make part I of N of the runs into a separate store.", _shard)

    def check(self) -> None:
        """Raise options that exclude each other."""
        refuse(self.address is not None and self.engine == "local", "--address belongs to --engine dask")

    def engine_of(self, definition: StudyDefinition) -> Engine:
        """Return the engine of a study, or the one that was named."""
        from mpbf_abm.studies.definition import Engine

        if self.engine is None and self.address is None:
            return definition.engine
        kind: Any = self.engine or "dask"
        return Engine(kind=kind, address=self.address, workers=definition.engine.workers)


def run(
    source: StudySource,
    where: Where,
    out: Out = None,
    jobs: Jobs = None,
    retry: Annotated[bool, option("--retry", "Make again the runs that failed.")] = False,
    quiet: Quiet = False,
) -> int:
    """Make the runs of a study that its store does not hold yet.

    The default folder is results/ and the study's name. The same command resumes a study that was stopped, or that was
    made larger. Ctrl-C once finishes the runs under way, twice stops them; finished runs are kept. Exit code 3 if a run
    failed, 130 if interrupted. With --jobs 1 runs are made in this process, without limits. With --shard env I and N
    come from SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX.
    """
    from mpbf_abm.reports.runs import summary
    from mpbf_abm.studies.driver import run_study

    definition, folder, _ = source.loaded
    place = out or source.store
    how: dict[str, Any] = {"engine": where.engine_of(definition), "shard": where.shard, "retry": retry}
    with Bar(quiet) as bar:
        tally = run_study(definition, place, folder=folder, workers=jobs, progress=bar, **how)
    if not quiet:
        print(summary(definition, tally, place, where.shard))
    return Explained(INTERRUPTED) if tally.interrupted else verdict(not (tally.failed or tally.failed_before))


# --------------------------------------------------------------------------- inspecting


def status(
    folder: Folder,
    watch: Annotated[bool, option("--watch", "Repeat every two seconds until no run is missing.")] = False,
    as_json: Json = False,
) -> int:
    """Count finished, failed and missing runs; report their time, and whether the wanted precision is reached."""
    from mpbf_abm.studies.results import Results
    from mpbf_abm.studies.upkeep import facts

    while True:
        with Results.open(folder) as results:
            found = facts(results)
        rows = [[n, str(v)] for n, v in found.items() if n != "study"]
        tell(as_json, found, table(["", found["study"]], rows), indent=None)
        if not watch or not found["missing"]:
            return OK
        try:
            time.sleep(2)
        except KeyboardInterrupt:
            return Explained(INTERRUPTED)


def failures(
    folder: Folder,
    traces: Annotated[bool, option("--traceback", "Print tracebacks, too.")] = False,
    as_json: Json = False,
) -> int:
    """List the runs that failed, with their messages and parameters; exit code 3 if there are any."""
    from mpbf_abm.reports.runs import failures_text
    from mpbf_abm.studies.results import Results

    with Results.open(folder) as results:
        frame = results.failures
        traceback = {run.id: run.failure.traceback for run in results.store.failures() if run.failure is not None}
    rows = [row | {"traceback": traceback.get(str(row["run"]), "")} for row in frame.to_dict("records")]
    tell(as_json, rows, failures_text(frame, traceback if traces else {}))
    return verdict(frame.empty)


def replay(
    folder: Folder,
    runs: Annotated[list[str] | None, argument("[RUN]...", "Ids of runs, or their first characters.")] = None,
    sample: Annotated[int | None, whole("", "Replay so many finished runs, chosen at random.", low=1)] = None,
    pdb: Annotated[bool, option("--pdb", "Open the debugger where a run raises.")] = False,
) -> int:
    """Repeat runs in this process, and compare them bit for bit with the stored ones; exit code 3 if they differ."""
    from mpbf_abm.studies.results import Results
    from mpbf_abm.studies.upkeep import replayed_rows

    refuse(not (runs or sample), "name a run, or say how many with --sample")
    with Results.open(folder) as results:
        made = f"was made by the model '{results.study.own_model}' of a script"
        refuse(results.study.own_model, f"{folder}: {made}; replay from there (mpbf_abm.studies.upkeep)")
        rows = replayed_rows(results, runs or [], sample or 0, debug=pdb)
    print(table(["run", "arm", "replicate", "seconds", "compared with the store"], rows, right=(2, 3)))
    return verdict(all(row[-1].startswith("equal") for row in rows))


# --------------------------------------------------------------------------- stores and exports


def merge(
    target: Annotated[Path, argument("DIR", "Folder of the merged store.")],
    sources: Annotated[list[Path] | None, argument("[STORE|DIR]...", "Stores. [default: the shards in DIR]")] = None,
) -> int:
    """Merge stores: shards of one study, or the readable part of a damaged store; exit code 3 if runs were lost."""
    from mpbf_abm.reports.runs import merged
    from mpbf_abm.studies.upkeep import merge_stores

    with Bar(quiet=False, unit="run") as bar:
        count = merge_stores(target, sources or [], bar)
    print(merged(count, target))
    return verdict(not (count["damaged"] or count["different"]))


def export(
    folder: Folder,
    to: Annotated[str, one_of("crate is an RO-Crate for an archive.", "csv", "parquet", "netcdf", "crate")] = "csv",
    out: Out = None,
    license: Annotated[str | None, option("URL", "Licence of the results, which a crate needs.")] = None,
    author: Annotated[str, option("NAME", "Author of the runs, in a crate.")] = "",
) -> None:
    """Write runs, outcomes, series, failures and timings as files that other programs read.

    The default folder is DIR/export-FORMAT.
    """
    from mpbf_abm.studies.report import export as write
    from mpbf_abm.studies.report import write_crate
    from mpbf_abm.studies.results import Results

    refuse(to != "crate" and (license is not None or author != ""), "--license and --author belong to --to crate")
    refuse(to == "crate" and not license, f"--to crate needs --license URL, which you choose, such as {SUCH_AS}")
    kind = f"export-{to}"
    place = out or (folder if folder.is_dir() else folder.parent) / kind
    with Results.open(folder) as results, written(results, place, kind, sys.stdout) as work:
        if to == "crate":
            write_crate(results, work, license=str(license), author=author)
        else:
            write(results, work, to)
