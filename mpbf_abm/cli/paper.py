"""``mpbf figures`` and ``mpbf paper``: from stored studies to figures, tables and the numbers of a text."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpbf_abm.cli.console import bar, tell_written
from mpbf_abm.cli.options import Jobs
from mpbf_abm.errors import ConfigurationError, OutputError
from mpbf_abm.outputs import table

if TYPE_CHECKING:
    from mpbf_abm.studies.results import Results

OK, DIFFERENT = 0, 3
RUNS = Path("results/paper")

Runs = Annotated[
    Path | None,
    typer.Option("--from", metavar="DIR", help="Folder of the stored studies. [default: results/paper/PROFILE]"),
]
Quick = Annotated[bool, typer.Option("--quick", help="The quick profile, marked as a draft; without it the full one.")]
JournalName = Annotated[
    str, typer.Option(metavar="NAME", help="nature, elsevier or pnas: column widths and panel letters.")
]
Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of the figures. [default: figures beside the studies]")
]
Check = Annotated[
    bool,
    typer.Option(
        "--check",
        help="Build again in a temporary folder and compare every byte with what is there; exit 3 if a file differs.",
    ),
]


def listed() -> None:
    """List the figures: which study feeds each, and its size."""
    from mpbf_abm.paper.build import FIGURES

    head = ["figure", "shows", "study", "width", "height, mm"]
    print(table(head, [[f.name, f.title, f.study, f.width, f"{f.height:g}"] for f in FIGURES.values()], right=(4,)))


def build(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Figures, as `mpbf figures list` names them.")],
    runs: Runs = None,
    quick: Quick = False,
    out: Out = None,
    journal: JournalName = "nature",
    jobs: Jobs = None,
    check: Check = False,
) -> int:
    """Build some figures; runs that their studies lack are made first."""
    return _figures(names, runs, quick, out, journal, jobs, check)


def every(
    runs: Runs = None,
    quick: Quick = False,
    out: Out = None,
    journal: JournalName = "nature",
    jobs: Jobs = None,
    check: Check = False,
) -> int:
    """Build all figures; runs that their studies lack are made first."""
    return _figures([], runs, quick, out, journal, jobs, check)


def _figures(
    names: list[str], runs: Path | None, quick: bool, out: Path | None, journal: str, jobs: int | None, check: bool
) -> int:
    from mpbf_abm.outputs import OutputFolder
    from mpbf_abm.paper.build import FORMATS, chosen, compare
    from mpbf_abm.paper.build import build as build_figures

    faults: list[str] = []
    try:
        wanted = chosen(names)
    except ConfigurationError as error:
        faults, wanted = error.faults, []
    _refuse(journal, faults)
    folder = runs or RUNS / ("quick" if quick else "full")
    target = out or folder / "figures"
    output = None if check else OutputFolder(target, "figures")
    read = reader(folder, quick, jobs, list(dict.fromkeys(f.study for f in wanted)))
    options: dict[str, Any] = {"journal": journal, "formats": FORMATS, "draft": draft(quick)}
    if output is None:
        different = compare(target, names, read, **options)
        for file in different:
            print(f"{target / file}: differs from what the studies give", file=sys.stderr)
        print(f"{target}: {'ok' if not different else f'{len(different)} files differ'}")
        return DIFFERENT if different else OK
    with output as work, bar(len(wanted), False, "figure") as advance:
        made = build_figures(names, read, work, before=target, progress=lambda _: advance(1), **options)
    print(
        table(
            ["figure", "replicates", "smallest text, pt", "files"],
            [[m["name"], str(m["replicates"]), f"{m['smallest_text_pt']:g}", str(len(m["files"]))] for m in made],
            right=(1, 2, 3),
        )
    )
    tell_written(output, to=sys.stderr)
    return OK


def _refuse(journal: str, faults: list[str]) -> None:
    """Raise an unknown journal and other faults, all at once."""
    from mpbf_abm.paper.build import journal_faults

    faults += journal_faults(journal)
    if faults:
        raise ConfigurationError(faults)


def draft(quick: bool) -> str:
    """Words across a figure that is no final one."""
    return "DRAFT, few replicates" if quick else ""


def reader(folder: Path, quick: bool, jobs: int | None, wanted: list[str]) -> Callable[[str], Results]:
    """Run or resume studies; what gives their results by name."""
    from mpbf_abm.cli.progress import Bar
    from mpbf_abm.paper.studies import STUDIES
    from mpbf_abm.processes import default_workers

    found: dict[str, Results] = {}
    for name in wanted:
        with Bar(quiet=False) as watch:
            found[name] = STUDIES[name]("quick" if quick else "full").run(
                folder / name, workers=jobs or default_workers(), progress=watch
            )
        if failed := len(found[name].failures):
            raise OutputError(f"{folder / name}: {failed} runs failed; mpbf study failures {folder / name}")

    def read(name: str) -> Results:
        return found[name]

    return read


def paper(
    quick: Quick = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of figures, tables and texts. [default: results/paper/PROFILE/paper]"),
    ] = None,
    runs: Runs = None,
    numbers: Annotated[
        Path, typer.Option(metavar="FILE", help="Which number comes from which study or figure.")
    ] = Path("analysis/paper.toml"),
    summary: Annotated[Path, typer.Option(metavar="FILE", help="Text whose {{ name }} places are filled.")] = Path(
        "analysis/summary.md"
    ),
    journal: JournalName = "nature",
    jobs: Jobs = None,
) -> int:
    """Run or resume what is missing, and write figures, tables, captions, methods and a summary whose numbers come from the runs."""
    from mpbf_abm.outputs import OutputFolder
    from mpbf_abm.paper import text
    from mpbf_abm.paper.studies import STUDIES

    _refuse(journal, [f"{path}: no such file" for path in (numbers, summary) if not path.is_file()])
    wanted = text.read_numbers(numbers)
    folder = runs or RUNS / ("quick" if quick else "full")
    target = out or folder / "paper"
    output = OutputFolder(target, "paper")
    with output as work:
        print(_write(work, reader(folder, quick, jobs, list(STUDIES)), wanted, summary, journal, draft(quick)))
    tell_written(output, to=sys.stderr)
    return OK


def _write(target: Path, read: Callable[[str], Results], wanted: Any, summary: Path, journal: str, drafted: str) -> str:
    """Write figures, tables and texts; returns the summary."""
    from mpbf_abm.paper import text
    from mpbf_abm.paper.build import FIGURES, FORMATS
    from mpbf_abm.paper.build import build as build_figures

    with bar(len(FIGURES), False, "figure") as advance:
        build_figures(
            [],
            read,
            target / "figures",
            journal=journal,
            formats=FORMATS,
            draft=drafted,
            progress=lambda _: advance(1),
        )
    known = text.numbers(wanted, read)
    effects = text.effects(read)
    written = {
        "summary.md": text.filled(summary.read_text(encoding="utf-8"), known, str(summary)),
        "methods.md": text.methods_section(read), "captions.md": text.captions(),
        "numbers.csv": known.to_csv(index=False, float_format="%.10g", lineterminator="\n"),
        "numbers.tex": text.latex(known[["name", "value", "low", "high", "n"]], "Numbers of the text, with 95 % intervals.", "tab:numbers"),
        "effects.csv": effects.to_csv(index=False, float_format="%.10g", lineterminator="\n"),
        "effects.tex": text.latex(effects, "Effects of policies, with simultaneous 95 % intervals.", "tab:effects"),
    }  # fmt: skip
    for name, content in written.items():
        (target / name).write_text(content, encoding="utf-8", newline="\n")
    return written["summary.md"]
