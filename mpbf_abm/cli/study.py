"""``mpbf study``: run studies, look at them, take them elsewhere."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpbf_abm.cli.app import study
from mpbf_abm.cli.console import (
    INTERRUPTED,
    MISMATCH,
    OK,
    Json,
    Told,
    complain,
    fresh_file,
    processes,
    table,
    tell_written,
    whole,
)
from mpbf_abm.errors import ConfigurationError

if TYPE_CHECKING:
    from mpbf_abm.studies.definition import Engine, Study
    from mpbf_abm.studies.driver import Shard, Tally
    from mpbf_abm.studies.files import StudyFileError
    from mpbf_abm.studies.results import Results

Source = Annotated[
    Path, typer.Argument(metavar="STUDY.toml|DIR", help="A study file, or the folder of a study that was run.")
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a study that was run.")]
Jobs = Annotated[
    str | None,
    typer.Option(
        "--jobs", "-j", metavar="INTEGER", help="Processes. [default: one per core; 1 is this process, without limits]"
    ),
]

TEMPLATE = """\
# A study of mpbf_abm. mpbf study check, plan and run take this file; mpbf config schema explains the parameters.
[study]
name = "{name}"
question = "What does a floor on exploration change?"
preset = "quick"          # default, quick, faithful
ticks = 60
seed = 1

[parameters]              # values, or what varies: {{ low, high }}, {{ low, high, scale = "log" }}, {{ values = [...] }}
"planners.reinforcement" = 2.0
"curators.reinforcement" = 2.0
# "planners.exploration" = {{ low = 0.0, high = 0.5 }}

[[policy]]                # one arm each, beside the baseline (mpbf config policies)
name = "exploration_floor"
start = 12
strength = 0.6            # without it, the usual one

# [design]                # where parameters vary: grid, one_at_a_time, lhs, sobol, morris, saltelli, table
# kind = "lhs"
# n = 40

[replicates]
n = 20                    # or most = 200: as many as precision takes

[outcome.found_share]     # mpbf config indicators
better = "more"
smallest = 0.02           # smallest effect of interest
primary = true

[outcome.families_d1]
better = "more"
smallest = 5.0

[series]
of = ["found_share", "families_d1"]
every = 4
"""


def load(source: Path) -> tuple[Study, Path, Path | None]:
    """Read a study from a file, or from its store; returns it, the folder of its data, and the folder of its store."""
    from mpbf_abm.studies.files import StudyFileError, read_study
    from mpbf_abm.studies.results import saved_study, store_path
    from mpbf_abm.studies.store import OF_A_RESULT, Store

    if not source.is_dir() and source.suffix != ".sqlite":
        try:
            return read_study(source), source.parent, None
        except StudyFileError as error:
            raise ConfigurationError([*error.faults, *_further(error, source)]) from None
    path = store_path(source)
    with Store.open(path) as store:
        saved = store.last_study()
    if saved is None:
        raise ConfigurationError(f"{path}: holds no study")
    if saved.folder == OF_A_RESULT:
        raise ConfigurationError(f"{path}: holds the runs of a result; the command that made it goes on with them")
    if saved.model:
        raise ConfigurationError(f"{path}: was made by the model '{saved.model}' of a script; go on from that script")
    return saved_study(saved), Path(saved.folder), path.parent


def _further(error: StudyFileError, source: Path) -> list[str]:
    """Faults of what a file with faults says besides."""
    from mpbf_abm.studies.plan import Plan

    if error.rest is None:
        return []
    try:
        Plan.of(error.rest, source.parent).check()
    except ConfigurationError as further:
        return [f"{source.name}: {fault}" for fault in further.faults]
    return []


# --------------------------------------------------------------------------- before a run


@study.command()
def init(path: Annotated[Path, typer.Argument(metavar="[PATH]", help="File to write.")] = Path("study.toml")) -> None:
    """Write a commented study file; an existing file stays as it is."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", path.stem).lstrip("_.-") or "study"
    fresh_file(path, TEMPLATE.format(name=name))
    print(f"written: {path}")


@study.command()
def check(
    source: Source,
    twice: Annotated[
        bool, typer.Option("--twice", help="Make the first run of every arm twice, and compare the bits.")
    ] = False,
) -> int:
    """Check a study; every fault is one line."""
    from mpbf_abm.studies.plan import Plan

    definition, folder, _ = load(source)
    plan = Plan.of(definition, folder)
    notes = plan.check()
    complain(notes)
    print(f"{source.name}: ok; {_size(definition, plan)}")
    return _check_twice(plan) if twice else OK


def _size(definition: Study, plan: Any) -> str:
    n = definition.replicates
    replicates = f"{n.n} replicates" if n.n is not None else f"{n.first} to {n.most} replicates"
    runs = f"{plan.count()}" if n.n is not None else f"{plan.count()} to {plan.count(n.most)}"
    return f"{len(plan.scenarios)} scenarios x {len(plan.arms)} arms x {replicates} = {runs} runs of {definition.ticks} ticks"


def _check_twice(plan: Any) -> int:
    from mpbf_abm.studies.jobs import Record, Runner

    rows, code = [], OK
    for arm, label in enumerate(a.label for a in plan.arms):
        job = plan.job(plan.order(0)[0], arm, 0)
        begun = time.perf_counter()
        first = Runner(plan.study, plan.space)(job)
        seconds = time.perf_counter() - begun
        second = Runner(plan.study, plan.space)(job)
        if not isinstance(first, Record):
            word = f"failed: {first.type}: {first.message}"
        elif isinstance(second, Record) and (first.hash, first.series_hash) == (second.hash, second.series_hash):
            word = "equal"
        else:
            word = "DIFFERENT"
        code = code if word == "equal" else MISMATCH
        rows.append([label, f"{seconds:.2f}", word])
    print(table(["arm", "seconds", "two runs"], rows, right=(1,)))
    return code


@study.command()
def plan(
    source: Source,
    jobs: Jobs = None,
    pilot: Annotated[bool, typer.Option("--pilot/--no-pilot", help="Make and time a few runs, up to a minute.")] = True,
    as_json: Json = False,
) -> None:
    """Say what a study will take before it is run: runs, time, disk, and which analyses its design supports."""
    from mpbf_abm.studies.plan import Plan
    from mpbf_abm.studies.results import default_folder
    from mpbf_abm.studies.store import FILE
    from mpbf_abm.studies.upkeep import estimate

    faults: list[str] = []
    count = processes(jobs, faults)
    definition, folder, home = load(source)
    if faults:
        raise ConfigurationError(faults)
    planned = Plan.of(definition, folder)
    complain(planned.check())
    there = _stored(planned, (home or default_folder(definition)) / FILE)
    cost = estimate(planned, count) if pilot else None
    most = definition.replicates.n or definition.replicates.most or 0
    runs = (planned.count(), planned.count(most))
    supports = planned.supports()
    if as_json:
        out: dict[str, Any] = {
            "study": definition.name, "scenarios": len(planned.scenarios), "arms": [a.label for a in planned.arms],
            "replicates": [definition.replicates.first, most], "runs": list(runs), "stored": list(there) if there else [0, 0], "analyses": {k: v or True for k, v in supports.items()},
            "pilot": None if cost is None else vars(cost) | {"total_seconds": [cost.duration(r) for r in runs], "total_bytes": [cost.disk(r) for r in runs]},
        }  # fmt: skip
        print(json.dumps(out, indent=2))
        return
    rows = [["size", _size(definition, planned)]]
    if there is not None:
        rows.append(["stored", f"{there[0]} of these runs, {there[1]} that are no part of the study as it is now"])
    if cost is not None:
        spans = [clock(cost.duration(r)) for r in dict.fromkeys(runs)]
        rows += [
            ["pilot", f"{cost.pilot} runs timed, {cost.seconds:.3g} s each on {cost.workers} processes" + (f"; {cost.failed} FAILED: {cost.message}" if cost.failed else "")],
            ["time", " to ".join(spans) + f" on {cost.workers} processes"],
            ["disk", " to ".join(size(cost.disk(r)) for r in dict.fromkeys(runs))],
        ]  # fmt: skip
    rows += [[f"mpbf {name}", "supported" if not why else f"not supported: {why}"] for name, why in supports.items()]
    print(table(["", definition.name], rows))


def _stored(planned: Any, path: Path) -> tuple[int, int] | None:
    """Finished runs of a plan that its store holds, and others; None without a store."""
    from mpbf_abm.studies.driver import orphans
    from mpbf_abm.studies.store import Store

    if not path.exists():
        return None
    with Store.open(path) as store:
        others, held = orphans(store, planned), store.look(planned.study.recording if planned.form else None)
        return len(held.done) + len(held.short) - others - len(held.short), others


def clock(seconds: float) -> str:
    """Time in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def size(count: float) -> str:
    """Bytes in words."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


# --------------------------------------------------------------------------- running


@study.command()
def run(
    source: Source,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="DIR", help="Folder of the store. [default: results/ and the study's name]"
        ),
    ] = None,
    jobs: Jobs = None,
    engine: Annotated[str | None, typer.Option(metavar="local|dask", help="In place of the study's engine.")] = None,
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Scheduler of a running dask cluster.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Make part I of N of the runs into a store of its own (env: from SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX).",
        ),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Make again the runs that failed.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print neither progress nor summary.")] = False,
) -> int:
    """Make the runs of a study that its store does not hold yet.

    The same command goes on with a study that was stopped, or that was made larger. Ctrl-C once finishes the runs
    under way, twice stops them; what is over is kept. Exit code 3 if a run failed, 130 if interrupted.
    """
    from mpbf_abm.cli.progress import Bar
    from mpbf_abm.studies.driver import run_study
    from mpbf_abm.studies.results import default_folder

    faults: list[str] = []
    count = processes(jobs, faults)
    definition, folder, home = None, Path(), None
    part = settings = None
    try:
        definition, folder, home = load(source)
        settings = _engine(definition, engine, address)
        part = _shard(shard)
    except ConfigurationError as error:
        faults += error.faults
    if faults or definition is None:
        raise ConfigurationError(faults)
    place = out or home or default_folder(definition)
    with Bar(quiet) as bar:
        tally = run_study(
            definition, place, folder=folder, workers=count, engine=settings, shard=part, retry=retry, progress=bar
        )
    if not quiet:
        print(_summary(definition, tally, place, part))
    return Told(INTERRUPTED) if tally.interrupted else MISMATCH if tally.failed or tally.failed_before else OK


def _engine(definition: Study, kind: str | None, address: str | None) -> Engine:
    from mpbf_abm.studies.definition import Engine

    if kind is not None and kind not in ("local", "dask"):
        raise ConfigurationError(f"--engine = '{kind}': must be local or dask")
    if kind is None and address is None:
        return definition.engine
    if address is not None and kind == "local":
        raise ConfigurationError("--address belongs to --engine dask")
    return Engine(kind="local" if kind == "local" else "dask", address=address, workers=definition.engine.workers)


def _shard(text: str | None) -> Shard | None:
    from mpbf_abm.studies.driver import check_shard

    return None if text is None else check_shard(text)


def _summary(definition: Study, tally: Tally, place: Path, part: Shard | None) -> str:
    lines = [
        f"{tally.made} runs made{f' ({tally.again} of them again, to note more)' if tally.again else ''}, {tally.failed} failed, {tally.known} there already, in {clock(tally.seconds)} -> {place}"
    ]
    if tally.failed_before:
        lines.append(
            f"{tally.failed_before} runs failed before: mpbf study failures {place}; mpbf study run {place} --retry tries them again"
        )
    elif tally.failed:
        lines.append(f"mpbf study failures {place}")
    if tally.interrupted:
        lines.append(f"interrupted; everything that was over is kept: mpbf study run {place} goes on")
    elif part is not None:
        lines.append(f"when all {part.of} shards are there: mpbf study merge {place}")
    elif definition.adaptive:
        lines.append(
            f"{tally.replicates} replicates: " + ("precise enough" if tally.precise else "wanted precision NOT reached")
        )
    if not tally.interrupted and part is None:
        lines.append(f"mpbf study report {place}" + (f"; mpbf compare {place}" if len(definition.arms) > 1 else ""))
    return "\n".join(lines)


# --------------------------------------------------------------------------- looking


@study.command()
def status(
    folder: Folder,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again every two seconds until nothing is missing (Ctrl-C ends it).")
    ] = False,
    as_json: Json = False,
) -> int:
    """Say what is done, failed and missing, how long runs take, and whether precision is reached."""
    from mpbf_abm.studies.results import Results

    while True:
        with Results.open(folder) as results:
            facts = _facts(results)
        if as_json:
            print(json.dumps(facts))
        else:
            rows = [[name, f"{value:.4g}" if isinstance(value, float) else str(value)] for name, value in facts.items()]
            print(table(["", facts["study"]], [r for r in rows if r[0] != "study"]))
        if not watch or not facts["missing"]:
            return OK
        try:
            time.sleep(2)
        except KeyboardInterrupt:
            return Told(INTERRUPTED)


def _facts(results: Results) -> dict[str, Any]:
    import numpy as np

    from mpbf_abm.studies.driver import precision
    from mpbf_abm.studies.results import DONE, FAILED

    done, failed = int((results.status == DONE).sum()), int((results.status == FAILED).sum())
    seconds = np.array([row[2] for row in results.store.seconds() if row[1] == "done"])
    S, A, R = results.shape
    facts: dict[str, Any] = {
        "study": results.study.name, "scenarios x arms x replicates": f"{S} x {A} x {R}", "done": done, "failed": failed,
        "missing": int(results.status.size - done - failed), "of no part of the study any more": results.orphans,
        "seconds of a run (median, longest)": f"{np.median(seconds):.3g}, {seconds.max():.3g}" if len(seconds) else "-",
        "model": f"{results.study.own_model or 'ecosystem'}, source {results.plan.fingerprint[:12]}", "results": results.hash,
    }  # fmt: skip
    if results.damaged:
        facts["damaged (mpbf study run makes them again)"] = results.damaged
    if results.study.adaptive:
        verdict = precision(results.plan, results.store)
        if verdict.enough:
            facts["precision"] = "reached"
        elif verdict.wanted <= R and not facts["missing"]:
            facts["precision"] = f"not reached with the most replicates allowed, {R}"
        else:
            facts["precision"] = f"not reached; {verdict.wanted} replicates wanted next"
    return facts


@study.command()
def failures(
    folder: Folder,
    traces: Annotated[bool, typer.Option("--traceback", help="Print tracebacks, too.")] = False,
    as_json: Json = False,
) -> int:
    """List the runs that failed, with what they said and their parameters; exit code 3 if there are any."""
    from mpbf_abm.studies.results import Results

    with Results.open(folder) as results:
        frame = results.failures
        told = {run.id: run.failure.traceback for run in results.store.failures() if run.failure is not None}
    if as_json:
        rows = frame.to_dict("records")
        print(
            json.dumps(
                [
                    {str(k): _plain(v) for k, v in row.items()} | {"traceback": told.get(str(row["run"]), "")}
                    for row in rows
                ],
                indent=2,
            )
        )
    elif len(frame):
        cells = [
            [str(v)[:12] if c == "run" else f"{v:.6g}" if isinstance(v, float) else str(v) for c, v in row.items()]
            for row in frame.to_dict("records")
        ]
        order = [c for c in frame.columns if c != "message"] + ["message"]
        at = [list(frame.columns).index(c) for c in order]
        print(table([str(c) for c in order], [[row[i] for i in at] for row in cells]))
        if traces:
            for run in frame["run"]:
                print(f"\n{run}\n{told.get(run, '')}")
    else:
        print("no run failed")
    return MISMATCH if len(frame) else OK


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


@study.command()
def replay(
    folder: Folder,
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Ids of runs, or the first characters of them.")
    ] = None,
    sample: Annotated[
        str | None, typer.Option(metavar="INTEGER", help="Replay so many finished runs, chosen at random.")
    ] = None,
    pdb: Annotated[bool, typer.Option("--pdb", help="Open the debugger where a run raises.")] = False,
) -> int:
    """Make runs again in this process, and compare them bit for bit with what is stored; exit code 3 if they differ."""
    from mpbf_abm.studies.results import Results
    from mpbf_abm.studies.upkeep import replay_run, some_runs

    faults: list[str] = []
    count = whole(sample, "sample", faults)
    if count is not None and count < 1:
        faults.append(f"--sample = {count}: must be at least 1")
    if not runs and count is None and not faults:
        faults.append("name a run, or say how many with --sample")
    if faults:
        raise ConfigurationError(faults)
    with Results.open(folder) as results:
        if results.study.own_model:
            raise ConfigurationError(
                f"{folder}: was made by the model '{results.study.own_model}' of a script; replay from there (mpbf_abm.studies.upkeep)"
            )
        wanted = [results.store.run(text) for text in runs or []] + (
            some_runs(results, count) if count is not None else []
        )
        rows = []
        for stored in wanted:
            again = replay_run(results, stored, debug=pdb)
            rows.append([stored.id[:12], stored.arm, str(stored.replicate), f"{again.seconds:.2f}", again.words])
    print(table(["run", "arm", "replicate", "seconds", "compared with the store"], rows, right=(2, 3)))
    return OK if all(row[-1].startswith("equal") for row in rows) else MISMATCH


# --------------------------------------------------------------------------- elsewhere


@study.command()
def merge(
    target: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the joined store.")],
    sources: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[STORE|DIR]...", help="Stores to take runs from. [default: the shards in DIR]"),
    ] = None,
) -> int:
    """Join stores: shards of one study, or what can still be read of a damaged store; exit code 3 if runs were lost."""
    from mpbf_abm.cli.progress import Bar
    from mpbf_abm.studies.upkeep import merge_stores

    with Bar(quiet=False, unit="run") as bar:
        count = merge_stores(target, sources or [], bar)
    words = f"{count['added']} runs added, {count['known']} there already -> {target}"
    if count["damaged"]:
        words += f"\n{count['damaged']} runs are damaged and left out; mpbf study run {target} makes them again"
    if count["different"]:
        words += f"\n{count['different']} runs are done in both with different results (other machines or libraries?); those of {target} stay"
    print(words)
    return MISMATCH if count["damaged"] or count["different"] else OK


@study.command()
def export(
    folder: Folder,
    to: Annotated[
        str, typer.Option(metavar="csv|parquet|netcdf|crate", help="Format; crate is an RO-Crate for an archive.")
    ] = "csv",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder to write. [default: DIR/export-FORMAT]")
    ] = None,
    license: Annotated[
        str | None, typer.Option(metavar="URL", help="Licence of the results in a crate. [default: CC BY 4.0]")
    ] = None,
    author: Annotated[str, typer.Option(metavar="NAME", help="Who made the runs, in a crate.")] = "",
) -> None:
    """Write runs, outcomes, series, failures and timings as files that other programs read."""
    from mpbf_abm.outputs import OutputFolder
    from mpbf_abm.studies.export import export as write
    from mpbf_abm.studies.results import Results

    place = out or (folder if folder.is_dir() else folder.parent) / f"export-{to}"
    if to != "crate" and (license is not None or author):
        raise ConfigurationError("--license and --author belong to --to crate")
    with Results.open(folder) as results, (output := OutputFolder(place, f"export-{to}", results.study.name)) as work:
        write_provenance(results, work)
        if to == "crate":
            from mpbf_abm.studies.export import LICENSE, write_crate

            write_crate(results, work, license=license or LICENSE, author=author)
        else:
            write(results, work, to)
    tell_written(output)


def write_provenance(results: Results, work: Path) -> None:
    """Begin the record of a folder: what study its result is made of."""
    from mpbf_abm.outputs import RECORD
    from mpbf_abm.provenance import record
    from mpbf_abm.studies.files import write_study

    text = json.dumps(record(study=write_study(results.study), results=results.hash))
    (work / RECORD).write_text(text, encoding="utf-8")
