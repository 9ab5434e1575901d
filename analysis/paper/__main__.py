"""Figures, tables and texts of the paper from its studies: ``python -m analysis.paper --quick``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.paper import text
from analysis.paper.captions import FEEDS, FIGURES, chosen
from analysis.paper.studies import STUDIES
from mpbf_abm.cli.console import Bar, tell_written
from mpbf_abm.errors import ConfigurationError, MpbfError, OutputError
from mpbf_abm.figures.build import JOURNALS, LIST, build, listed
from mpbf_abm.outputs import OutputFolder, table
from mpbf_abm.processes import default_workers
from mpbf_abm.studies.jobs import hash_bytes

if TYPE_CHECKING:
    from mpbf_abm.figures.kind import Kind
    from mpbf_abm.studies.results import Results

    Read = Callable[[str], Results]

HERE = Path(__file__).parent
RUNS = Path("results/paper")
OK, FAILURE, USAGE, DIFFERENT, INTERRUPTED = 0, 1, 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 0, 1 for a failure, 2 for unusable input, 3 if files differ, 130 if stopped."""
    parser = argparse.ArgumentParser(prog="python -m analysis.paper", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="the quick profile, marked as a draft [default: the full one]"
    )
    parser.add_argument("--from", dest="runs", type=Path, metavar="DIR", help="stored studies [results/paper/PROFILE]")
    parser.add_argument("--out", type=Path, metavar="DIR", help="figures, tables and texts [paper, beside the studies]")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="FIGURE",
        help=f"this figure, and no text, into `figures` beside the studies; may be repeated ({', '.join(FIGURES)})",
    )
    parser.add_argument("--journal", choices=tuple(JOURNALS), default="nature", help="column widths and panel letters")
    parser.add_argument("--check", action="store_true", help="build figures elsewhere and compare every byte")
    parser.add_argument("--jobs", type=int, default=default_workers(), metavar="N", help="processes (%(default)s)")
    parser.add_argument(
        "--numbers", type=Path, default=HERE / "numbers.toml", metavar="FILE", help="where numbers come from"
    )
    parser.add_argument(
        "--template", type=Path, default=HERE / "template.md", metavar="FILE", help="text with {{ name }}"
    )
    asked = parser.parse_args(arguments)
    try:
        return _run(asked)
    except MpbfError as error:
        print("\n".join(f"paper: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return USAGE if isinstance(error, (ConfigurationError, OutputError)) else FAILURE
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(asked: argparse.Namespace) -> int:
    figures = chosen(asked.only)
    faults = [f"{path}: no such file" for path in (asked.numbers, asked.template) if not path.is_file()]
    if asked.jobs < 1:
        faults.append(f"--jobs = {asked.jobs}: must be at least 1")
    if faults:
        raise ConfigurationError(faults)
    numbers = text.read_numbers(asked.numbers)
    folder = asked.runs or RUNS / ("quick" if asked.quick else "full")
    options: dict[str, Any] = {"journal": asked.journal, "draft": "DRAFT, few replicates" if asked.quick else ""}
    target = asked.out or folder / ("figures" if asked.only else "paper")
    if asked.check:
        place = target if asked.only else target / "figures"
        different = compare(place, figures, feeding(reader(folder, asked.quick, asked.jobs, figures)), **options)
        for file in different:
            print(f"{place / file}: differs from what the studies give", file=sys.stderr)
        print(f"{place}: {'ok' if not different else f'{len(different)} files differ'}")
        return DIFFERENT if different else OK
    output = OutputFolder(target, "figures" if asked.only else "paper")
    read = reader(folder, asked.quick, asked.jobs, figures if asked.only else None)
    with output as work, Bar(quiet=False, unit="figure") as bar:
        bar.begin(len(figures))
        done: dict[str, Any] = options | {"progress": lambda _: bar.advance(done=1)}
        if asked.only:
            made = build(figures, feeding(read), work, before=target, **done)
            head = ["figure", "replicates", "smallest text, pt", "files"]
            rows = [[m["name"], str(m["replicates"]), f"{m['smallest_text_pt']:g}", str(len(m["files"]))] for m in made]
            print(table(head, rows, right=(1, 2, 3)))
        else:
            build(figures, feeding(read), work / "figures", **done)
            print(write(work, read, numbers, asked.template))
    tell_written(output, to=sys.stderr)
    return OK


def reader(folder: Path, quick: bool, jobs: int, figures: Sequence[Any] | None) -> Read:
    """Run or resume the studies that feed some figures, all without any; returns what gives their results by name."""
    found: dict[str, Results] = {}
    for name in STUDIES if figures is None else dict.fromkeys(FEEDS[f.name] for f in figures):
        with Bar(quiet=False) as watch:
            study = STUDIES[name]("quick" if quick else "full")
            found[name] = study.run(folder / name, workers=jobs, progress=watch)
        if failed := len(found[name].failures):
            raise OutputError(f"{folder / name}: {failed} runs failed; mpbf study failures {folder / name}")
    return found.__getitem__


def feeding(read: Read) -> Read:
    """Return what gives the results that feed a figure, by the figure's name."""
    return lambda figure: read(FEEDS[figure])


def compare(out: Path, figures: Sequence[Kind], results: Read, **options: Any) -> list[str]:
    """Build again in a temporary folder; return the files that differ from those in `out`, or are missing there."""
    try:
        known = listed(out / LIST)
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"{out / LIST}: cannot be read ({error})") from None
    with tempfile.TemporaryDirectory() as folder:
        again = build(figures, results, Path(folder), **options)
    different = []
    for entry in again:
        before = known.get(entry["name"], {}).get("files", {})
        for file, digest in entry["files"].items():
            path = out / file
            here = hash_bytes(path.read_bytes()) if path.is_file() else ""
            if digest != here or digest != before.get(file):
                different.append(file)
    return different


def write(target: Path, read: Read, numbers: Sequence[text.Number], template: Path) -> str:
    """Write tables and texts; returns the summary."""
    known, effects = text.numbers(numbers, read), text.effects(read)
    written = {
        "summary.md": text.filled(template.read_text(encoding="utf-8"), known, str(template)),
        "methods.md": text.methods_section(read),
        "captions.md": text.captions(),
        "numbers.csv": known.to_csv(index=False, float_format="%.10g", lineterminator="\n"),
        "numbers.tex": text.latex(
            known[["name", "value", "low", "high", "n"]], "Numbers of the text, with 95 % intervals.", "tab:numbers"
        ),
        "effects.csv": effects.to_csv(index=False, float_format="%.10g", lineterminator="\n"),
        "effects.tex": text.latex(effects, "Effects of policies, with simultaneous 95 % intervals.", "tab:effects"),
    }
    for name, content in written.items():
        (target / name).write_text(content, encoding="utf-8", newline="\n")
    return written["summary.md"]


if __name__ == "__main__":
    sys.exit(main())
