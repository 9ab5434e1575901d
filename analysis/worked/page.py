"""What worked examples share: one command each, a study, tables in Markdown, a figure, and the page that shows them."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.cli.console import Bar
from mpbf_abm.errors import ConfigurationError, MpbfError
from mpbf_abm.figures import style
from mpbf_abm.outputs import markdown_table, write_pages
from mpbf_abm.processes import default_workers
from mpbf_abm.provenance import model_fingerprint
from mpbf_abm.stats.estimates import wilson
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.study import Study

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Float = NDArray[np.float64]

FEWEST = 2


@dataclass(frozen=True)
class Report:
    """What an example found.

    Attributes
    ----------
    tables : dict of str
        Markdown by name, for the blocks ``<!-- result:NAME -->`` of the example's page.
    figure : callable
        Draws the figure; called inside the project's style.
    """

    tables: Mapping[str, str]
    figure: Callable[[], Figure]


@dataclass(frozen=True)
class Example:
    """A worked example.

    Attributes
    ----------
    name, question, alt : str
        Name of its page and folder, what it asks, and the figure in words.
    needs : tuple of str
        Files that it reads, below the data folder.
    study : callable
        The study for a data folder and a number of replicates.
    report : callable
        Tables and figure from its results and the data folder.
    replicates : int
        Runs of each arm unless another number is asked for.
    """

    name: str
    question: str
    alt: str
    needs: tuple[str, ...]
    study: Callable[[Path, int], Study]
    report: Callable[[Results, Path], Report]
    replicates: int = 24


def main(examples: Sequence[Example], arguments: Sequence[str] | None = None) -> int:
    """Run an example; returns 0, 1 for a failure, 2 for input that cannot be used, 3 if runs failed, 130 if stopped."""
    parser = argparse.ArgumentParser(prog="python -m analysis.worked", description="Worked examples on real data.")
    commands = parser.add_subparsers(dest="name", required=True, metavar="EXAMPLE")
    for example in examples:
        command = commands.add_parser(example.name, help=example.question, description=example.question)
        command.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the data sets")
        command.add_argument("--out", type=Path, metavar="DIR", help=f"default: results/{example.name}")
        command.add_argument(
            "--replicates", type=int, default=example.replicates, metavar="N", help="runs of each arm (%(default)s)"
        )
        command.add_argument("--jobs", type=int, default=default_workers(), metavar="N", help="processes (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        return _run({example.name: example for example in examples}[options.name], options)
    except MpbfError as error:
        print("\n".join(f"{options.name}: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return 2 if isinstance(error, ConfigurationError) else 1
    except KeyboardInterrupt:
        return 130


def missing(example: Example, data: Path) -> list[str]:
    """Return a fault for each file that an example reads and a folder lacks."""
    return [f"--data: no file {data / name}" for name in example.needs if not (data / name).is_file()]


def _run(example: Example, options: argparse.Namespace) -> int:
    faults = missing(example, options.data)
    if options.replicates < FEWEST:
        faults.append(f"--replicates = {options.replicates}: must be at least {FEWEST}")
    if options.jobs < 1:
        faults.append(f"--jobs = {options.jobs}: must be at least 1")
    if faults:
        raise ConfigurationError(faults)
    out = options.out or Path("results") / example.name
    data = options.data.resolve()
    with (
        Bar(quiet=False) as bar,
        example.study(data, options.replicates).run(out, workers=options.jobs, progress=bar) as results,
    ):
        failed = len(results.failures)
        if failed:
            print(f"{example.name}: {failed} runs failed (mpbf study failures {out})", file=sys.stderr)
        report = reported(example, results, data)
        write_pages(out, tables={"outcomes": results.outcomes})
        style.save_all(report.figure, out / example.name, title=example.question, alt=example.alt)
    for name, text in report.tables.items():
        print(f"{name}\n\n{text}")
    return 3 if failed else 0


def reported(example: Example, results: Results, data: Path) -> Report:
    """Return what an example found, with how many runs it stands on."""
    report = example.report(results, data)
    return replace(report, tables={**report.tables, "made": made(results)})


def made(results: Results) -> str:
    """How many runs a page stands on."""
    arms, runs = len(results.arm_names), results.replicates
    failed = f", of which {len(results.failures)} failed" if len(results.failures) else ""
    return f"{runs} runs of each of {arms} arms{failed}; runs of the same number share every draw.\n"


def fingerprint(data: Path, names: Iterable[str], *measures: ModuleType) -> str:
    """Hash of data, of the model and of some measures: a parameter of a study whose model of its own uses them.

    The ids of such runs would otherwise follow from the example's file alone, and what is stored outlive what it came
    from.
    """
    digest = hashlib.sha256(model_fingerprint().encode())
    for path in (*(data / name for name in names), *(Path(str(m.__file__)) for m in measures)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


# --------------------------------------------------------------------------- tables


def number(value: float, digits: int = 3) -> str:
    """Format with some significant digits, all of a large whole part, and no exponent; a dash for NaN."""
    if not np.isfinite(value):
        return "-"
    rounded = float(f"{value:.{digits}g}")
    large = abs(rounded) >= 10 ** (digits - 1)
    return f"{value:.0f}" if large else np.format_float_positional(rounded, trim="-")


def quantiles(values: Float) -> tuple[float, float, float]:
    """Of runs that have a value: 2.5 %, median, 97.5 %; NaN without any."""
    known = values[np.isfinite(values)]
    low, middle, high = np.quantile(known, (0.025, 0.5, 0.975)) if len(known) else (np.nan,) * 3
    return float(low), float(middle), float(high)


def middle_range(values: Float) -> str:
    """Median and 2.5 to 97.5 % range of runs."""
    low, middle, high = quantiles(values)
    return f"{number(middle)} ({number(low)} to {number(high)})" if np.isfinite(middle) else "-"


def event_share(values: Float) -> str:
    """Share of runs with an event, and its 95 % interval (Wilson)."""
    known = values[np.isfinite(values)]
    low, high = wilson(np.array(known.sum()), np.array(float(len(known))))
    return f"{number(float(known.mean()) if len(known) else np.nan)} ({number(float(low))} to {number(float(high))})"


def spread_table(results: Results, outcomes: Mapping[str, str], arms: Sequence[str]) -> str:
    """Median and 95 % range over runs, of events their share and its interval: a row per arm, a column per outcome."""
    values = {
        name: (results.values(name)[0], event_share if results.outcome(name).event else middle_range)
        for name in outcomes
    }
    rows = [[arm, *(cell(runs[a]) for runs, cell in values.values())] for a, arm in enumerate(arms)]
    return markdown_table(["arm", *outcomes.values()], rows)


def effect_table(effects: pd.DataFrame, outcomes: Mapping[str, str]) -> str:
    """Paired differences to the baseline with their intervals: one row per arm, one column per outcome."""
    cells = {(str(r["arm"]), str(r["outcome"])): _effect(r) for r in _records(effects)}
    arms = list(dict.fromkeys(str(a) for a in effects["arm"]))
    return markdown_table(["arm", *outcomes.values()], [[arm, *(cells[arm, o] for o in outcomes)] for arm in arms])


def _effect(row: Mapping[str, Any]) -> str:
    if row["verdict"] == "identical":
        return f"0, identical in all {row['pairs']} pairs"
    d, low, high = (float(row[k]) for k in ("difference", "low", "high"))
    mark = "" if low <= 0 <= high or not np.isfinite(low) else " \\*"
    return f"{'+' if d > 0 else ''}{number(d)} ({number(low)} to {number(high)}){mark}"


def _records(frame: pd.DataFrame) -> Iterable[dict[str, Any]]:
    return ({str(k): v for k, v in row.items()} for row in frame.to_dict("records"))
