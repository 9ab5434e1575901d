"""``mpbf lab`` and ``mpbf atlas``: the standard batteries of the laboratory on any community."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpbf_abm.cli.app import app, lab
from mpbf_abm.cli.console import (
    MISMATCH,
    OK,
    Assignments,
    ConfigFile,
    Json,
    Preset,
    number,
    processes,
    settings_of,
    table,
    tell_written,
    whole,
)
from mpbf_abm.cli.progress import Bar
from mpbf_abm.errors import ConfigurationError, HaltError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mpbf_abm.evidence.assessments.assessment import Battery, Report, Setting
    from mpbf_abm.outputs import OutputFolder

    Draw = Callable[[Report], Figure]

Replicates = Annotated[str | None, typer.Option(metavar="INTEGER", help="Communities, each on materials of its own.")]
Ticks = Annotated[str | None, typer.Option(metavar="INTEGER", help="Horizon. [default: that of the file, or 120]")]
Seed = Annotated[
    str | None, typer.Option(metavar="INTEGER", help="Seed of the first community. [default: that of the file, or 1]")
]
Jobs = Annotated[
    str | None, typer.Option("--jobs", "-j", metavar="INTEGER", help="Processes. [default: one for each core]")
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of report, tables and figure, and of `runs`, where a stopped command goes on. [default: results/NAME]",
    ),
]

LONGEST = 40  # rows of a table on a page; files have them all


@dataclass(frozen=True)
class Asked:
    """What a command was asked to examine, as it was typed.

    Attributes
    ----------
    config_file, preset, assignments
        The community.
    numbers : dict of str to str or None
        Replicates, ticks and seed.
    jobs, out, as_json
        As the options of those names.
    """

    config_file: Path | None
    preset: str | None
    assignments: list[str]
    numbers: dict[str, str | None]
    jobs: str | None
    out: Path | None
    as_json: bool


def examined_by(name: str, load: Callable[[], tuple[Battery, Draw, str]], help: str) -> None:
    """Add a command ``mpbf lab NAME`` that runs a battery.

    Parameters
    ----------
    name : str
    load : callable
        Returns the battery, what draws its figure, and the figure in words; called when the command is.
    help : str
    """

    def command(
        config_file: ConfigFile = None,
        preset: Preset = None,
        assignments: Assignments = None,
        replicates: Replicates = None,
        ticks: Ticks = None,
        seed: Seed = None,
        jobs: Jobs = None,
        out: Out = None,
        as_json: Json = False,
    ) -> int:
        numbers = {"replicates": replicates, "ticks": ticks, "seed": seed}
        asked = Asked(config_file, preset, assignments or [], numbers, jobs, out, as_json)
        return examine(*load(), asked, f"lab {name}")

    command.__doc__ = help
    lab.command(name)(command)


def examine(battery: Battery, draw: Draw, alt: str, asked: Asked, name: str) -> int:
    """Run a battery and tell what it found: on the terminal and in a folder."""
    from mpbf_abm.evidence.assessments.assessment import run_battery
    from mpbf_abm.outputs import OutputFolder
    from mpbf_abm.processes import default_workers

    faults: list[str] = []
    setting = _setting(battery, asked, faults)
    count = processes(asked.jobs, faults) or default_workers()
    if setting is None or faults:
        raise ConfigurationError(faults)
    # What cannot be examined is told before there is any folder.
    battery.check(setting)
    battery.tasks(setting)
    out = asked.out or Path("results") / battery.name
    folder = OutputFolder(out, f"lab {battery.name}")
    with _going_on(out):
        with Bar(asked.as_json, "task") as watch:
            report = run_battery(battery, setting, count, watch, out)
        how = made(_called(asked, name), setting)
        _write(battery.name, battery.question, report, partial(draw, report), alt, how, folder)
    if asked.as_json:
        print(json.dumps(as_mapping(report, setting), indent=2, allow_nan=False))
    else:
        print(table(HEAD, cells(report), right=(1, 3, 5)))
    return OK


@contextmanager
def _going_on(out: Path) -> Iterator[None]:
    """Say after Ctrl-C where the runs are kept."""
    from mpbf_abm.studies.driver import kept_in

    try:
        yield
    except KeyboardInterrupt:
        raise HaltError(f"interrupted; {kept_in(out)}") from None


def _setting(battery: Battery, asked: Asked, faults: list[str]) -> Setting | None:
    """The community that a command names; what it cannot be is noted."""
    from mpbf_abm.evidence.assessments.assessment import Setting
    from mpbf_abm.model.settings import numbers_faults

    settings = settings_of(asked.config_file, asked.preset, asked.assignments, faults)
    read = {n: whole(t, n, faults) for n, t in asked.numbers.items()}
    given = {n: v for n, v in read.items() if v is not None}
    faults += [f"--{fault}" for fault in numbers_faults(given)]
    if faults:
        return None
    # Replicates of a file are those of a what-if; a battery has a number of its own.
    held = {n: v for n, v in settings.numbers.items() if n in ("ticks", "seed")}
    return Setting(
        settings.parameters, **{"replicates": battery.replicates} | held | given, policies=settings.policies, shocks=settings.shocks
    )  # fmt: skip


def _called(asked: Asked, name: str) -> str:
    parts = [f"mpbf {name}", *([asked.config_file.name] if asked.config_file else [])]
    parts += [f"--preset {asked.preset}"] if asked.preset else []
    parts += [f"--set {a}" for a in asked.assignments]
    return " ".join(parts + [f"--{n} {v}" for n, v in asked.numbers.items() if v is not None])


# --------------------------------------------------------------------------- what is said

HEAD = ["measure", "value", "95 % interval", "null", "against null", "n", "reading"]


def interval(low: float, high: float) -> str:
    """An interval as text; a dash where there is none."""
    return "-" if math.isnan(low + high) else f"{number(low)} to {number(high)}"


def cells(report: Report) -> list[list[str]]:
    """Findings as text, one row each."""
    return [
        [f.measure, number(f.estimate.value), interval(f.estimate.low, f.estimate.high), number(f.null), f.verdict, str(f.n), f.reading]
        for f in report.findings
    ]  # fmt: skip


def made(called: str, setting: Setting) -> str:
    """The command and the community that a page stands on."""
    changed = setting.parameters.changed()
    unlike = ", ".join(f"`{k} = {v}`" for k, v in changed.items()) if changed else "default parameters"
    events = [e.label for e in (*setting.policies, *setting.shocks)]
    return (
        f"`{called}`: {setting.replicates} communities (seeds {setting.seed} to {setting.seed + setting.replicates - 1}), "
        f"{setting.ticks} ticks, {unlike}{''.join(f'; {e}' for e in events)}.\n"
    )


def blocks(report: Report, how: str) -> dict[str, str]:
    """Markdown of a report by the names of its blocks."""
    from mpbf_abm.outputs import markdown_table

    text = {"made": how}
    if report.findings:
        text["findings"] = markdown_table(HEAD, cells(report))
    for name, frame in report.tables.items():
        text[name] = markdown_table(
            list(frame.columns), [[_cell(v) for v in row] for row in frame.itertuples(index=False)]
        )
    return text


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def as_mapping(report: Report, setting: Setting) -> dict[str, Any]:
    """Everything for machines; NaN becomes null."""
    from mpbf_abm.studies.whatif import plain

    out: dict[str, Any] = {
        "findings": report.frame().to_dict("records"), "tables": {n: t.to_dict("records") for n, t in report.tables.items()},
        "seed": setting.seed, "replicates": setting.replicates, "ticks": setting.ticks, "changed": setting.parameters.changed(),
    }  # fmt: skip
    plained: dict[str, Any] = plain(out)
    return plained


def _write(
    name: str, question: str, report: Report, draw: Callable[[], Figure], alt: str, how: str, folder: OutputFolder
) -> None:  # fmt: skip
    """Write report, tables and figure to their folder."""
    from mpbf_abm.figures import style
    from mpbf_abm.outputs import write_pages

    frames: dict[str, pd.DataFrame] = {"findings": report.frame(), **report.tables}
    text = blocks(report, how)
    lines = [f"# {question}", "", text["made"], f"![{alt}]({name}.png)", ""]
    with folder as work:
        for part, frame in frames.items():
            if part in text and len(frame) <= LONGEST:
                lines += [f"## {part.replace('_', ' ').capitalize()}", "", text[part]]
            else:
                lines += [f"## {part.replace('_', ' ').capitalize()}", "", f"{len(frame)} rows in `{part}.csv`.", ""]
        write_pages(work, {f"{name}.md": "\n".join(lines)}, frames)
        style.save_all(draw, work / name, title=question, alt=alt)
    tell_written(folder, to=sys.stderr)


# --------------------------------------------------------------------------- commands


def _forecast() -> tuple[Battery, Draw, str]:
    from mpbf_abm.evidence.assessments.forecast import FORECAST
    from mpbf_abm.figures.forecast import ALT, draw

    return FORECAST, draw, ALT


examined_by("forecast", _forecast, "Does the first fifth of a run say whether it will end locked in?")


def _path() -> tuple[Battery, Draw, str]:
    from mpbf_abm.evidence.assessments.path_dependence import PATH
    from mpbf_abm.figures.path import ALT, draw

    return PATH, draw, ALT


examined_by("path", _path, "How path-dependent is a community? Early history, twins, lock-in, reversal.")


def _forms() -> tuple[Battery, Draw, str]:
    from mpbf_abm.evidence.assessments.forms import ROBUSTNESS
    from mpbf_abm.figures.forms import ALT, draw

    return ROBUSTNESS, draw, ALT


examined_by("forms", _forms, "Which headline results depend on the form of a formula? All sixteen combinations.")


@lab.command()
def urn(
    draws: Annotated[str, typer.Option(metavar="INTEGER", help="Held-out parameter draws (Latin hypercube).")] = "200",
    seed: Annotated[str, typer.Option(metavar="INTEGER", help="Seed of draws and communities.")] = "2026",
    jobs: Jobs = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of report, tables and figure, and of `runs`, where a stopped command goes on.")] = Path("results/effective_urn"),
) -> int:  # fmt: skip
    """Does urn theory, fed with measured exponents, foretell communities with real learners? A study of held-out draws.

    About 15 seconds of one core a draw.
    """
    from mpbf_abm.evidence.assessments.effective_urn import FACTORS, FEWEST, QUESTION, draws_of, report, study
    from mpbf_abm.figures.effective_urn import ALT, draw
    from mpbf_abm.model.settings import numbers_faults
    from mpbf_abm.outputs import RUNS, OutputFolder
    from mpbf_abm.processes import default_workers
    from mpbf_abm.studies.driver import run_study
    from mpbf_abm.studies.results import Results

    faults: list[str] = []
    count, root, workers = whole(draws, "draws", faults), whole(seed, "seed", faults), processes(jobs, faults)
    if count is not None and count < FEWEST:
        faults.append(f"--draws = {count}: must be at least {FEWEST}")
    if root is not None:
        faults += [f"--{fault}" for fault in numbers_faults({"seed": root})]
    if faults:
        raise ConfigurationError(faults)
    asked, folder = study("effective_urn", count or 0, root or 0), OutputFolder(out, "lab urn")
    with _going_on(out):
        with Bar(quiet=False) as watch:
            if run_study(asked, out / RUNS, workers=workers or default_workers(), progress=watch).interrupted:
                raise KeyboardInterrupt
        with Results.open(out / RUNS, asked) as results:
            failed = len(results.failures)
            found = report(draws_of(results), list(FACTORS))
        how = (
            f"`mpbf lab urn --draws {count} --seed {root}`: {count} held-out draws{f', of which {failed} failed' if failed else ''}, quick preset, "
            "120 ticks, measured at tick 24.\n"
        )
        _write("effective_urn", QUESTION, found, partial(draw, found), ALT, how, folder)
    print(table(HEAD, cells(found), right=(1, 3, 5)))
    return MISMATCH if failed else OK


def _fragility() -> tuple[Battery, Draw, str]:
    from mpbf_abm.evidence.assessments.fragility import FRAGILITY
    from mpbf_abm.figures.fragility import ALT, draw

    return FRAGILITY, draw, ALT


examined_by("fragility", _fragility, "What losses of repositories and models cost, one by one, many, and for a while.")


@app.command()
def atlas(
    config_file: ConfigFile = None,
    preset: Preset = None,
    assignments: Assignments = None,
    row: Annotated[list[str] | None, typer.Option("--row", metavar="NAME", help="Only rows of this name, layer or group; may be repeated.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="Print the rows, and run nothing.")] = False,
    replicates: Replicates = None,
    ticks: Ticks = None,
    seed: Seed = None,
    jobs: Jobs = None,
    out: Out = None,
    as_json: Json = False,
) -> int:  # fmt: skip
    """Table 1 of the framework as a live table: turn every knob, measure what it moves, compare with what was expected."""
    from mpbf_abm.evidence.assessments import atlas as rows
    from mpbf_abm.figures.atlas import ALT, draw

    wanted = rows.chosen(row or [])
    if listed:
        sign = {1: "+", -1: "-", 0: "least between"}
        print(table(["group", "layer", "row: indicator", "expected", "knob, low to high"], [[r.group, r.layer, r.key, sign[r.sign], r.knob] for r in wanted]))  # fmt: skip
        return OK
    numbers = {"replicates": replicates, "ticks": ticks, "seed": seed}
    asked = Asked(config_file, preset, assignments or [], numbers, jobs, out, as_json)
    return examine(rows.atlas(wanted), draw, ALT, asked, " ".join(["atlas", *(f"--row '{r}'" for r in row or [])]))
