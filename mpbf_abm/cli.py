"""The ``mpbf`` command.

Commands import what they need when they run, so that ``mpbf --help`` is quick. Tables go to
standard output, progress and faults to standard error. Exit codes: 0 ok, 1 failure, 2 usage or
configuration, 3 something ran but did not match, 130 interrupted.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpbf_abm import __version__
from mpbf_abm.errors import BookkeepingError, ConfigurationError, MpbfError, OutputError

if TYPE_CHECKING:
    from mpbf_abm.space.materials import MaterialsSpace
    from mpbf_abm.whatif.plan import Plan
    from mpbf_abm.whatif.runner import Ensemble

OK, FAILURE, USAGE, MISMATCH, INTERRUPTED = 0, 1, 2, 3, 130
Rows = Sequence[Sequence[str]]

# What `mpbf run` prints; summary.csv and effects.csv hold every outcome.
HEADLINE = (
    "found_share", "acceleration_factor", "families_d1", "leading_share", "infeasible_share", "rmse_dense", "rmse_niche",
    "claimed_to_actual", "inherited_bias", "boundary_shift", "integrity", "integrity_gap", "tradeoff", "steering",
)  # fmt: skip

app = typer.Typer(
    name="mpbf",
    help="Agent-based model of materials discovery under the Matter Pretraining Boundary Framework.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
config = typer.Typer(
    help="Parameter files, and tables of what can be set.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(config, name="config")

ConfigFile = Annotated[
    Path | None, typer.Argument(metavar="[CONFIG.toml]", help="Parameters, and [run], [[policy]], [[shock]].")
]
Preset = Annotated[
    str | None, typer.Option(metavar="NAME", help="Start from a preset: default, quick, faithful, null, pool.")
]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="GROUP.NAME=VALUE", help="Change one parameter; may be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


# --------------------------------------------------------------------------- start and end


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.
    """
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = app(args=None if arguments is None else list(arguments), prog_name="mpbf", standalone_mode=False)
    except BookkeepingError as error:
        _complain([f"the model's books do not balance, please report this: {error}"])
        return FAILURE
    except MpbfError as error:
        _complain(getattr(error, "faults", None) or [str(error)])
        return USAGE
    except (OSError, MemoryError, BrokenExecutor) as error:
        _complain([str(error) or type(error).__name__])
        return FAILURE
    except Exception as error:
        # typer keeps its parser's errors under a private name; what they share is this method.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            print(message(), file=sys.stderr)
        else:
            _complain([message()])
        return USAGE
    if code == INTERRUPTED:
        _complain(["interrupted; nothing was written"])
    return code or OK


def _complain(faults: Sequence[str]) -> None:
    for fault in faults:
        print(f"mpbf: {' '.join(str(fault).split())}", file=sys.stderr)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mpbf {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def table(head: Sequence[str], rows: Rows, right: Sequence[int] = ()) -> str:
    """Format rows as plain text columns.

    The last column is wrapped to the width of a terminal; into a file or pipe it goes whole.

    Parameters
    ----------
    head : sequence of str
    rows : sequences of str
    right : sequence of int
        Columns that are aligned to the right.
    """
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    before = sum(widths[:-1]) + 2 * (len(head) - 1)
    room = max(24, shutil.get_terminal_size().columns - before) if sys.stdout.isatty() else 10**6
    lines = []
    for row in [head, *rows]:
        cells = [f"{c:>{w}}" if i in right else f"{c:<{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        last = [cells[-1]] if len(cells[-1]) <= room else textwrap.wrap(str(row[-1]), room) or [""]
        lines.append("  ".join([*cells[:-1], last[0]]).rstrip())
        lines += [" " * before + more for more in last[1:]]
    lines.insert(1, "-" * min(max(len(line) for line in lines), before + min(room, widths[-1])))
    return "\n".join(lines)


def whole(text: str | None, name: str, faults: list[str]) -> int | None:
    """Read a whole number, or note the fault."""
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        faults.append(f"--{name} = {text!r}: must be a whole number")
        return None


def _processes(text: str | None, faults: list[str]) -> int | None:
    """Read the number of processes; what it cannot be is noted."""
    processes = whole(text, "jobs", faults)
    if processes is not None and processes < 1:
        faults.append(f"--jobs = {processes}: must be at least 1")
    return processes


# --------------------------------------------------------------------------- run


@app.command()
def run(
    config_file: ConfigFile = None,
    preset: Preset = None,
    assignments: Assignments = None,
    seed: Annotated[
        str | None, typer.Option(metavar="INTEGER", help="Seed of the first replicate. [default: 1]")
    ] = None,
    ticks: Annotated[
        str | None, typer.Option(metavar="INTEGER", help="Horizon; a tick is about a month. [default: 120]")
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:start=24,strength=0.5]",
            help="Ask what a policy would change (mpbf config policies); may be repeated.",
        ),
    ] = None,
    shock: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:start=24,end=36]",
            help="Ask what a shock would change (mpbf config shocks); may be repeated.",
        ),
    ] = None,
    replicates: Annotated[
        str | None,
        typer.Option(
            metavar="INTEGER", help="Runs, or pairs of a what-if, at seeds SEED, SEED+1, ... [default: 1, what-if 8]"
        ),
    ] = None,
    jobs: Annotated[
        str | None,
        typer.Option(
            "--jobs", "-j", metavar="INTEGER", help="Processes. [default: one per core, at most one per replicate]"
        ),
    ] = None,
    data_table: Annotated[
        Path | None,
        typer.Option(
            "--table", metavar="FILE", help="Real materials: a table of formulas (with --formula, --measured)."
        ),
    ] = None,
    formula: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of formulas.")] = None,
    measured: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of the measured property.")] = None,
    simulated: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the simulated property, in the same unit.")
    ] = None,
    year: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of the year of first report.")] = None,
    family: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of families; without it they follow chemistry.")
    ] = None,
    pool: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Real settings: a numeric pool (with --objective; often with --preset pool)."
        ),
    ] = None,
    objective: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of the pool's objective.")] = None,
    goal: Annotated[str, typer.Option(metavar="min|max", help="Whether small or large values are sought.")] = "max",
    drop: Annotated[
        bool, typer.Option("--drop", help="Leave out faulty rows of a table or pool instead of refusing it.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of results. [default: results/ and the hash of the plan]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the results of another plan in DIR.")] = False,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print neither progress nor tables.")] = False,
) -> None:
    """Run the model once, or ask a what-if: with --policy or --shock, baseline and what-if on the same seeds.

    Writes tables, parameters, provenance and an overview figure into a folder of its own, complete or not at all.
    """
    from mpbf_abm.provenance import OutputFolder

    numbers = {"seed": seed, "ticks": ticks, "replicates": replicates}
    data = {"table": data_table, "formula": formula, "measured": measured, "simulated": simulated, "year": year,
            "family": family, "pool": pool, "objective": objective}  # fmt: skip
    faults: list[str] = []
    processes = _processes(jobs, faults)
    plan = make_plan(
        config_file, preset, assignments or [], {k: whole(v, k, faults) for k, v in numbers.items()}, policy or [], shock or [],
        {k: v for k, v in data.items() if v is not None}, goal, drop, faults,
    )  # fmt: skip
    record = plan.record()
    folder = out if out is not None else Path("results") / str(record["run_hash"])[:12]
    _refuse_other_results(folder, str(record["run_hash"]), force)
    _tell_dropped(plan)
    with OutputFolder(folder) as work:
        ensemble = _execute(plan, processes or min(os.cpu_count() or 1, plan.replicates), quiet)
        _write(ensemble, work)
    if as_json:
        print(json.dumps(summary_json(ensemble, folder, str(record["run_hash"])), indent=2, allow_nan=False))
    elif not quiet:
        print(report(ensemble))
        print(f"\nwritten to {folder}: " + ", ".join(sorted(p.name for p in folder.iterdir())))


def make_plan(
    config_file: Path | None,
    preset: str | None,
    assignments: Sequence[str],
    numbers: dict[str, int | None],
    policies: Sequence[str],
    shocks: Sequence[str],
    data: dict[str, Any],
    goal: str,
    drop: bool,
    faults: list[str],
) -> Plan:
    """Put together what to run; the command line goes before the file.

    Raises
    ------
    ConfigurationError
        Every fault at once, those that were found before included.
    """
    from mpbf_abm.parameters import Parameters
    from mpbf_abm.whatif.plan import DEFAULT_PAIRS, Plan, Settings, numbers_faults, read_events, read_settings

    try:
        settings = read_settings(config_file, preset)
    except ConfigurationError as error:
        faults += error.faults
        settings = Settings(Parameters(), {})
    parameters = _assigned(settings.parameters, assignments, faults)
    given = {k: v for k, v in numbers.items() if v is not None}
    faults += [f"--{fault}" for fault in numbers_faults(given)]
    arms: dict[str, tuple[Any, ...]] = {}
    for key, texts, known in (("policy", policies, settings.policies), ("shock", shocks, settings.shocks)):
        events, event_faults = read_events(texts, key)
        faults += event_faults
        arms[key] = (*known, *events)
    space = _read_space(data, goal, drop, faults)
    if faults:
        raise ConfigurationError(faults)
    whatif = {"replicates": DEFAULT_PAIRS} if arms["policy"] or arms["shock"] else {}
    plan = Plan(
        parameters,
        policies=arms["policy"],
        shocks=arms["shock"],
        space=space,
        **{**whatif, **settings.numbers, **given},
    )
    plan.check()
    return plan


def _assigned(parameters: Any, assignments: Sequence[str], faults: list[str]) -> Any:
    """Apply ``--set`` options; faults are noted."""
    from mpbf_abm.parameters import parse_assignment

    changes: dict[str, Any] = {}
    for text in assignments:
        try:
            path, value = parse_assignment(text)
            changes[path] = value
        except ConfigurationError as error:
            faults += error.faults
    try:
        return parameters.updated(changes)
    except ConfigurationError as error:
        faults += error.faults
        return parameters


def _read_space(data: dict[str, Any], goal: str, drop: bool, faults: list[str]) -> MaterialsSpace | None:
    """Read real data, if any is named; faults are noted."""
    of_table = {"formula", "measured", "simulated", "year", "family"}
    faulty = len(faults)
    if goal not in ("min", "max"):
        faults.append(f"--goal = {goal!r}: must be min or max")
    if "table" in data and "pool" in data:
        faults.append("--table and --pool exclude each other")
    faults += [f"--table needs --{n}" for n in ("formula", "measured") if "table" in data and n not in data]
    faults += [f"--{n} needs --table" for n in data if n in of_table and "table" not in data]
    if "pool" in data and "objective" not in data:
        faults.append("--pool needs --objective")
    if "objective" in data and "pool" not in data:
        faults.append("--objective needs --pool")
    if not data:
        if drop:
            faults.append("--drop needs --table or --pool")
        return None
    if len(faults) > faulty:
        return None
    from mpbf_abm.space.materials import MaterialsSpace

    options: dict[str, Any] = {"goal": goal, "on_error": "drop" if drop else "raise"}
    try:
        if "table" in data:
            return MaterialsSpace.from_table(data.pop("table"), **data, **options)
        return MaterialsSpace.from_pool(data.pop("pool"), **data, **options)
    except ConfigurationError as error:
        faults += [fault.replace("on_error='drop' leaves them out", "--drop leaves them out") for fault in error.faults]
        return None


def _tell_dropped(plan: Plan) -> None:
    dropped = dict(plan.first_space.origin).get("dropped", {})
    if dropped.get("count"):
        print(f"mpbf: left out {dropped['count']} rows", file=sys.stderr)
        _complain(dropped["reasons"])


def _refuse_other_results(folder: Path, run_hash: str, force: bool) -> None:
    """Do not replace the results of another plan unasked."""
    try:
        held = json.loads((folder / "provenance.json").read_text(encoding="utf-8")).get("run_hash")
    except (OSError, ValueError, AttributeError):
        return
    if held != run_hash and not force:
        raise OutputError(f"{folder}: holds the results of another plan; choose another folder, or --force")


@contextmanager
def _bar(total: int, quiet: bool, unit: str = "tick") -> Iterator[Callable[[int], None]]:
    """One progress bar for everything; silent where standard error is not a terminal."""
    from tqdm import tqdm

    # Faults raised inside must find a clean line, so the bar goes when it is done.
    with tqdm(total=total, unit=unit, leave=False, disable=True if quiet else None) as bar:

        def advance(ticks: int) -> None:
            bar.update(ticks)

        yield advance


def _execute(plan: Plan, jobs: int, quiet: bool) -> Ensemble:
    from mpbf_abm.whatif.runner import run_plan

    with _bar(plan.ticks * plan.replicates * len(plan.arms), quiet) as advance:
        return run_plan(plan, jobs, advance)


def _write(ensemble: Ensemble, work: Path) -> None:
    from mpbf_abm.figures import overview
    from mpbf_abm.whatif.runner import write_provenance, write_tables

    write_tables(ensemble, work)
    shown = ensemble.first(list(ensemble.plan.arms)[-1])
    frames = overview.prepare(ensemble.series, ensemble.families, ensemble.summary, shown.nodes, shown.edges)
    overview.save(frames, work)
    write_provenance(ensemble, work)


# --------------------------------------------------------------------------- what a run says


def report(ensemble: Ensemble) -> str:
    """Headline outcomes as text: means and effects, medians and ranges."""
    effects = ensemble.effects
    parts = [ensemble.plan.words(), ""]
    if effects is None:
        parts += [_spread_table(ensemble)]
        return "\n".join(parts)
    rows = []
    for outcome in HEADLINE:
        e = effects[effects["outcome"] == outcome].iloc[0]
        sure = "*" if e.low > 0 or e.high < 0 else ""
        interval = "-" if math.isnan(e.low) else f"{e.low:+.3g} to {e.high:+.3g} {sure:1}"
        rows.append(
            [
                outcome,
                _number(e.baseline),
                _number(e.treated),
                _number(e.difference, "+"),
                interval,
                _number(e.vrf),
                str(e.n),
            ]
        )
    head = ["outcome (mean)", "baseline", "what-if", "difference", "95 % interval  ", "VRF", "pairs"]
    parts += [table(head, rows, right=(1, 2, 3, 4, 5, 6))]
    parts += ["* interval without 0; VRF: variance of unpaired over paired differences", "", _spread_table(ensemble)]
    return "\n".join(parts)


def _spread_table(ensemble: Ensemble) -> str:
    from mpbf_abm.measures.paired import spread
    from mpbf_abm.observation import INDICATORS

    units = {i.column: i.unit for i in INDICATORS} | {"leading_share": "share"}
    if ensemble.plan.replicates == 1:
        rows = [[o, _number(float(ensemble.summary[o].iloc[0])), units[o]] for o in HEADLINE]
        return table(["outcome", "value", "unit"], rows, right=(1,))
    arms = list(ensemble.plan.arms)
    by_arm = {arm: spread(ensemble.arm(arm), HEADLINE).set_index("outcome").T.to_dict() for arm in arms}
    rows = [
        [o, *(f"{_number(t[o]['median'])} ({_number(t[o]['p10'])} to {_number(t[o]['p90'])})" for t in by_arm.values()), units[o]]
        for o in HEADLINE
    ]  # fmt: skip
    head = ["outcome (median, 10-90 % of runs)", *(arms if len(arms) > 1 else ["value"]), "unit"]
    return table(head, rows, right=range(1, len(head) - 1))


def _number(value: float, sign: str = "") -> str:
    return "-" if math.isnan(value) else f"{value:{sign}.3g}"


def summary_json(ensemble: Ensemble, folder: Path, run_hash: str) -> dict[str, Any]:
    """Outcomes of every run, and effects, for machines; NaN becomes null."""
    from mpbf_abm.whatif.runner import plain

    effects = ensemble.effects
    out = {
        "run_hash": run_hash,
        "out": str(folder),
        "ticks": ensemble.plan.ticks,
        "seeds": ensemble.plan.seeds,
        "runs": ensemble.summary.to_dict("records"),
        "effects": None if effects is None else effects.to_dict("records"),
    }
    plained: dict[str, Any] = plain(out)
    return plained


# --------------------------------------------------------------------------- config


@config.command()
def init(
    path: Annotated[Path, typer.Argument(metavar="[PATH]", help="File to write.")] = Path("mpbf.toml"),
    preset: Preset = None,
) -> None:
    """Write a commented parameter file; an existing file stays as it is."""
    from mpbf_abm.parameters import Parameters

    text = (
        "# Parameters of mpbf_abm; every line may be left out (mpbf config schema explains them).\n"
        "# [run]\n# seed = 1\n# ticks = 120\n# replicates = 8\n"
        '# [[policy]]    # any number of these make a what-if (mpbf config policies)\n# name = "exploration_floor"\n'
        "# start = 24\n# strength = 0.3\n"
        '# [[shock]]     # likewise (mpbf config shocks)\n# name = "repository_outage"\n# start = 48\n\n'
    ) + Parameters.preset(preset or "default").to_toml()
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise OutputError(f"{path}: exists already and is left as it is; choose another name") from None
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from None
    print(f"written: {path}")


@config.command()
def show(config_file: ConfigFile = None, preset: Preset = None, assignments: Assignments = None) -> None:
    """Print all parameters as a run would use them."""
    from mpbf_abm.parameters import Parameters
    from mpbf_abm.whatif.plan import Settings, read_settings

    faults: list[str] = []
    try:
        settings = read_settings(config_file, preset)
    except ConfigurationError as error:
        faults += error.faults
        settings = Settings(Parameters(), {})
    parameters = _assigned(settings.parameters, assignments or [], faults)
    if faults:
        raise ConfigurationError(faults)
    print(parameters.to_toml(), end="")


@config.command()
def check(config_file: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="File to check.")]) -> None:
    """Check a configuration file; every fault is one line."""
    from mpbf_abm.whatif.plan import read_settings

    settings = read_settings(config_file)
    events = len(settings.policies) + len(settings.shocks)
    print(
        f"{config_file.name}: ok; {len(settings.parameters.changed())} parameters differ from the defaults, {events} policies and shocks"
    )


@config.command()
def schema(as_json: Json = False) -> None:
    """Print every parameter: default, what is allowed, unit, source and help."""
    from mpbf_abm.parameters import schema, toml_value

    rows = schema()
    if as_json:
        print(json.dumps(rows, indent=2, default=list))
        return
    head = ["path", "default", "allowed", "unit", "source", "help"]
    print(table(head, [[r["path"], toml_value(r["default"]), *(str(r[k]) for k in head[2:])] for r in rows]))


@config.command()
def policies(as_json: Json = False) -> None:
    """Print the policies: what they do, the parameters they move, their usual strength."""
    from mpbf_abm.interventions import POLICIES
    from mpbf_abm.parameters import toml_value

    signs = {"set": "to", "floor": "at least", "cap": "at most"}
    rows = [
        {
            "name": name,
            "strength": kind.strength,
            "levers": [{"path": lever.path, "mode": lever.mode, "target": lever.target} for lever in kind.levers],
            "help": kind.help,
        }
        for name, kind in POLICIES.items()
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    lines = [
        [
            str(r["name"]),
            f"{r['strength']:g}",
            f"{r['help']} [{'; '.join(f'{v.path} {signs[v.mode]} {toml_value(v.target)}' for v in POLICIES[str(r['name'])].levers)}]",
        ]
        for r in rows
    ]
    print(table(["policy", "usual strength", "what it does [levers at strength 1]"], lines, right=(1,)))


@config.command()
def shocks(as_json: Json = False) -> None:
    """Print the shocks: what they do and their usual strength."""
    from mpbf_abm.interventions import SHOCKS

    rows = [{"name": n, "strength": k.strength, "help": k.help} for n, k in SHOCKS.items()]
    _print_rows(rows, as_json, {"name": "shock", "strength": "usual strength", "help": "what it does"})


@config.command()
def phases(as_json: Json = False) -> None:
    """Print the phases of a tick, in order."""
    from mpbf_abm.events import Agenda
    from mpbf_abm.schedule import phases

    rows = [{"name": p.name, "layer": p.layer, "does": p.does} for p in phases(Agenda())]
    _print_rows(rows, as_json, {"name": "phase", "layer": "layer", "does": "what happens"})


@config.command()
def indicators(as_json: Json = False) -> None:
    """Print the indicators that a run reports at every tick."""
    from dataclasses import asdict

    from mpbf_abm.observation import INDICATORS

    _print_rows([asdict(i) for i in INDICATORS], as_json, {k: k for k in ("column", "layer", "unit", "definition")})


def _print_rows(rows: Sequence[dict[str, Any]], as_json: bool, head: dict[str, str]) -> None:
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        cells = [[f"{r[k]:g}" if isinstance(r[k], float) else str(r[k]) for k in head] for r in rows]
        print(table(list(head.values()), cells))


# --------------------------------------------------------------------------- verify


@app.command()
def verify(
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="ROW", help="Row (U3), several (U3,M7) or a group (U); may be repeated.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a row's parameter, for one row as ROW.NAME=VALUE; the expected value follows."),
    ] = None,
    seed: Annotated[str, typer.Option(metavar="N", help="Root seed.")] = "1",
    fast: Annotated[bool, typer.Option("--fast", help="Fewer runs and larger standard errors: a minute or two.")] = False,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of real data, for the rows that need it.")] = None,
    jobs: Annotated[str | None, typer.Option(metavar="N", help="Processes. [default: one for each core]")] = None,
    as_json: Json = False,
    figure: Annotated[bool, typer.Option("--figure", help="Draw expected against measured (and the twin beside the model), too.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write verification.md here, and the figure into images/.")
    ] = None,
    mutations: Annotated[bool, typer.Option("--mutations", help="Try the wrong rules that the suite must notice, instead.")] = False,
    knobs: Annotated[bool, typer.Option("--list", help="List rows and their parameters, instead.")] = False,
    update_baseline: Annotated[bool, typer.Option("--update-baseline", help="Write the regression baseline (W3) anew, instead.")] = False,
) -> int:  # fmt: skip
    """Check the model against known results: exact or published values, each with its standard error.

    Exit code 3 if a row fails.
    """
    from mpbf_abm.verification import suite
    from mpbf_abm.whatif.plan import numbers_faults

    faults: list[str] = []
    root, processes = whole(seed, "seed", faults), _processes(jobs, faults)
    if root is not None:
        faults += [f"--{fault}" for fault in numbers_faults({"seed": root})]
    if data is not None and not data.is_dir():
        faults.append(f"--data {data}: no such folder")
    changes: dict[str, dict[str, Any]] = {}
    rows: list[str] = []
    try:
        rows = suite.select(only or [])
        changes = suite.assign(rows, assignments or [])
    except ConfigurationError as error:
        faults += error.faults
    if faults:
        raise ConfigurationError(faults)
    processes = processes or os.cpu_count() or 1
    if knobs:
        print(_rows_listed(rows))
        return OK
    if update_baseline:
        print(f"written: {suite.whole.update_baseline()}")
        return OK
    if mutations:
        return _try_mutations(root or 0, processes, as_json)
    images = out / "images" if out is not None else Path()
    if out is not None:
        _check_folder(out)
        if (out / "verification.md").is_dir():
            raise OutputError(f"{out / 'verification.md'}: is a folder")
    if figure:
        _check_folder(images)
    with _bar(len(rows), as_json, "row") as advance:
        outcomes = suite.run_suite(
            rows, root or 0, changes, fast=fast, data=data, jobs=processes, done=lambda _: advance(1)
        )
    command = " ".join(["mpbf verify", *_repeated("--only", only), *_repeated("--set", assignments),
                        *([f"--seed {seed}"] if seed != "1" else []), *(["--fast"] if fast else []), *(["--data DIR"] if data else [])])  # fmt: skip
    drawn = _draw_verification(outcomes, images, root or 0, fast) if figure else []
    _write_verification(outcomes, out, drawn, command + (" --figure" if figure else ""))
    if as_json:
        from mpbf_abm.whatif.runner import plain

        print(json.dumps(plain(suite.as_json(outcomes, root or 0)), indent=2, allow_nan=False))
    else:
        print(table(suite.HEAD, suite.cells(outcomes), right=(2, 3, 4, 5)))
        failed = [o.id for o in outcomes if not o.passed]
        ran = sum(not o.skipped for o in outcomes)
        print(f"\n{ran - len(failed)} of {ran} rows pass" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return OK if all(o.passed for o in outcomes) else MISMATCH


def _repeated(option: str, values: Sequence[str] | None) -> list[str]:
    return [f"{option} {value}" for value in values or []]


def _rows_listed(rows: Sequence[str]) -> str:
    from mpbf_abm.verification.rows import ROWS

    lines = []
    for id in rows:
        lines.append([id, "", "", "", f"{ROWS[id].title} ({ROWS[id].source})"])
        lines += [["", k, str(v.default), v.range(), v.help] for k, v in ROWS[id].knobs.items()]
    return table(["row", "parameter", "default", "allowed", "what it is"], lines)


def _check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written to before anything is computed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror})") from None
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{folder}: cannot be written to")


def _write_verification(outcomes: Sequence[Any], out: Path | None, drawn: list[Path], command: str) -> None:
    """Write the page of the suite, with the figures that were drawn."""
    from mpbf_abm.verification import suite

    if out is not None:
        page = out / "verification.md"
        shown = {path.stem: path.relative_to(out).as_posix() for path in drawn}
        page.write_text(suite.markdown(outcomes, f"{command} --out {out.name}", shown), encoding="utf-8", newline="\n")
        print(f"written: {page}", file=sys.stderr)


def _draw_verification(outcomes: Sequence[Any], folder: Path, seed: int, fast: bool) -> list[Path]:
    """Draw expected against measured and, where the twin was looked at, the twin beside the model."""
    from mpbf_abm.figures import twin, verification

    paths = [verification.save(outcomes, folder / "verification.png")]
    if any(o.id == "K4" for o in outcomes):
        few: dict[str, Any] = {"replicates": 8, "sizes": (50, 100, 200), "passages": 30} if fast else {}
        paths += twin.save(twin.prepare(seed, **few), folder, suffixes=(".png",))
    for path in paths:
        print(f"written: {path}", file=sys.stderr)
    return paths


def _try_mutations(seed: int, jobs: int, as_json: bool) -> int:
    """Try the wrong rules and say which rows noticed."""
    from mpbf_abm.verification import suite
    from mpbf_abm.verification.mutations import MUTATIONS

    with _bar(len(suite.ids()) + len(MUTATIONS), as_json, "step") as advance:
        results = suite.run_mutations(seed, jobs, lambda: advance(1))
    good = all(must == did for _, _, must, did in results)
    if as_json:
        rows = [
            {"name": n, "function": t, "must_fail": sorted(m), "failed": sorted(d), "caught": m == d}
            for n, t, m, d in results
        ]
        print(json.dumps({"passed": good, "mutations": rows}, indent=2))
    else:
        lines = [
            [n, t, " ".join(sorted(m)), "as it must" if m == d else f"BUT FAILED: {' '.join(sorted(d)) or 'none'}"]
            for n, t, m, d in results
        ]
        print(table(["wrong rule", "function", "rows that must fail", "verdict"], lines))
    return OK if good else MISMATCH


# --------------------------------------------------------------------------- bench


@app.command()
def bench(
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the results here, too.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller sizes, for a first impression.")] = False,
) -> None:
    """Measure speed, memory and scaling on this machine, as ratios within one run."""
    from mpbf_abm import bench as benches

    if json_file is not None:
        benches.check_writable(json_file)
    with _bar(len(benches.BENCHES), False) as advance:
        result = benches.run_all(quick=quick, progress=lambda: advance(1))
    print(table(*benches.as_table(result), right=(1, 3)))
    if json_file is not None:
        benches.write(result, json_file)
