"""Renew the pages of this repository: tables that follow from the code, and what results say.

A page holds blocks ``<!-- generated:NAME -->`` ... ``<!-- /generated -->`` of tables of the code, and blocks
``<!-- result:NAME -->`` ... ``<!-- /result -->`` of results; both are replaced. Some pages are copied whole from a
folder of results::

    python docs/renew.py docs/odd.md                              # tables of the code
    python docs/renew.py docs/odd.md --check                      # exit 3 if one is out of date
    python docs/renew.py docs/forecast.md results/forecast        # of mpbf lab forecast; likewise forms, urn, atlas
    python docs/renew.py docs/performance.md bench.json           # of python -m analysis.benchmarks --json bench.json
    python docs/renew.py docs/calibration.md calibration.txt      # of mpbf calibrate > calibration.txt
    python docs/renew.py docs/examples/gaps.md results/gaps DATA  # of python -m analysis.worked gaps --data DATA
    python docs/renew.py docs/validation.md results/validate      # of mpbf validate --out results/validate
    python docs/renew.py docs/verification.md results/verify      # of mpbf verify --figure --out results/verify
    python docs/renew.py mpbf_abm/evidence/known/baseline.json    # the regression baseline (W3), from the code
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # where analysis is

from mpbf_abm.errors import ConfigurationError, MpbfError, OutputError, did_you_mean
from mpbf_abm.outputs import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mpbf_abm.evidence.assessments.assessment import Report

OPENING = re.compile(r"<!-- generated:([\w-]+) -->")
DRIFT = 3
PAGE_DPI = 150

# Numbers that are fixed in the code rather than parameters: where they live and what they are.
CONSTANTS: tuple[tuple[str, str, str], ...] = (
    ("data.synthetic", "S_QUANTUM", "s_q, spread of the quantum block within a family"),
    ("data.synthetic", "S_SCATTER", "s_0, scatter off a family's own dimensions"),
    ("data.synthetic", "S_CENTRE", "sd of a family's centre c_f per column"),
    ("data.synthetic", "FAMILY_LENGTH", "distance in the plane over which families share chemistry"),
    ("data.synthetic", "MESO_LENGTH", "length scale of the cross-scale field in the meso block"),
    ("data.synthetic", "FIELD_FEATURES", "random Fourier features of every random field"),
    ("model.materials", "NEIGHBOUR_WINDOW", "following rows a material looks at for neighbours"),
    ("model.materials", "NEIGHBOURS", "links of a material in the neighbour graph"),
    ("model.opening", "FIRST", "choice of a family from which on Heaps exponents are fitted"),
    ("model.opening", "POINTS", "numbers of choices at which they are"),
    ("model.steering", "LEAST_INTEGRITY", "perceived A that any model is taken to have"),
    ("model.commons", "SHRINK", "overlaps at which an estimated bias counts half"),
    ("data.spaces", "COLUMN_VARIANCE", "mean variance of a descriptor column of a space made of data"),
    ("data.spaces", "QUANTUM_WIDTH", "most principal axes kept of elemental descriptors"),
    ("data.spaces", "GAUGE_WIDTH", "width of the gauge block of a space made of a table"),
    ("data.spaces", "MOST_FAMILIES", "most families by chemistry"),
    ("learning.linalg", "FLAT", "eigenvalue, against the largest, up to which data do not span a direction"),
    ("learning.encoders", "RIDGE", "floor of the spread of a direction against the largest"),
    ("learning.heads", "EVIDENCE_STEPS", "updates of noise and prior by evidence"),
    ("learning.heads", "LEAST", "labels from which on noise and prior are fitted by evidence"),
    ("learning.kernels", "NOISE", "variance of a Gaussian process's misfit beside its kernel's 1"),
    ("learning.kernels", "MIN_SCALE", "least scale of the labels of a Gaussian process, in property sd"),
    ("learning.kernels", "SHORTER", "prior sd of the logarithm of a learned length, below its centre"),
    ("learning.kernels", "LONGER", "the same above its centre"),
    ("learning.kernels", "SIGNAL_SPREAD", "prior sd of the logarithm of a learned signal variance"),
    ("learning.kernels", "NOISE_SPREAD", "prior sd of the logarithm of a learned noise variance"),
    ("learning.kernels", "BOUND", "prior sds within which such a logarithm is sought"),
    ("learning.kernels", "MOST_LEARNED", "labels that a kernel is learned from, evenly spaced if there are more"),
    ("learning.kernels", "STEPS", "most iterations of L-BFGS when a kernel is learned"),
    ("learning.kernels", "TOLERANCE", "relative gain below which they end"),
    ("model.campaign", "REFIT", "growth of the labels after which a campaign learns its kernel anew"),
    ("model.campaign", "PANEL", "settings whose mean variance integrated variance lowers in a campaign"),
    ("model.campaign", "PRIOR_FEATURES", "random features of a draw from the prior in a campaign"),
    ("learning.heads", "MIN_NOISE", "least noise variance of a head"),
    ("learning.heads", "MAX_NOISE", "largest noise variance of a head"),
    ("learning.heads", "MIN_PRIOR", "least prior precision of a head"),
    ("learning.heads", "MAX_PRIOR", "largest prior precision of a head"),
    ("learning.generation", "EM_STEPS", "steps of EM by which a mixture is fitted"),
    ("learning.generation", "MIXTURE_RIDGE", "added to its covariances, in mean variances of the corpus"),
    ("learning.models", "MATERN", "degrees of freedom of the frequencies (Matern-5/2)"),
    ("learning.models", "RECENT", "published tests that a model's agreement is judged on"),
    ("model.steering", "CLIP", "largest standardised acquisition value of a family"),
    ("model.curators", "DOUBLE_ENTRY", "offset of the index of a record entered twice"),
    ("model.trainers", "MOST_LINKS", "width of the draws by which links are reconsidered"),
    ("model.diagnosis", "MOVED", "panel materials, about, that are turned and strained"),
    ("model.diagnosis", "STRAIN", "shift of every causal column in the strain test"),
    ("model.planners", "ATTEMPTS", "keyed attempts to propose an untested material"),
    ("model.planners", "REACH", "pool of a proposal source, in candidates"),
    ("model.homogenisation", "POINTS", "materials on which models are compared, at least one of each family"),
    ("model.homogenisation", "BEST", "share of these that a model picks"),
    ("model.planners", "ASCENT_STEPS", "gradient steps of inverse design"),
    ("model.adoption", "INTERVAL", "half width of a claimed 95 % interval in sd"),
)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(_plain(v) for v in value) + ")"
    return str(value)


def parameters() -> str:
    """Render every parameter with its value, range, unit and source, one table per group."""
    from mpbf_abm.parameters import GROUPS, schema

    parts = []
    for group, model in GROUPS.items():
        title = (model.__doc__ or "").splitlines()[0]
        rows = [
            (f"`{r['path']}`", r["help"], _plain(r["default"]), r["allowed"], r["unit"], r["source"])
            for r in schema(group)
        ]
        head = ("parameter", "meaning", "default", "allowed", "unit", "source")
        parts.append(f"**`{group}`** ({title.rstrip('.')})\n\n{markdown_table(head, rows)}")
    return "\n".join(parts)


def phases() -> str:
    """Render the phases of a tick in their order."""
    from mpbf_abm.model.community import Recorder
    from mpbf_abm.model.community import phases as all_phases
    from mpbf_abm.model.shocks import Agenda

    rows = []
    for number, phase in enumerate(all_phases(Agenda(), Recorder(()).observe), 1):
        home = phase.act.__module__.removeprefix("mpbf_abm.").replace(".", "/")
        rows.append((number, phase.name, phase.layer, phase.does, f"`{home}.py`: `{phase.act.__qualname__}`"))
    return markdown_table(("", "phase", "layer", "what happens", "function"), rows)


def columns() -> str:
    """Render the state variables of agents."""
    from mpbf_abm.model.world import Curators, Planners, Trainers

    rows = [
        (
            cohort.kind[:-1],
            f"`{name}`",
            c.unit,
            c.help + (f" (starts at `{cohort.kind}.{name}`)" if c.parameter else ""),
        )
        for cohort in (Curators, Trainers, Planners)
        for name, c in cohort.declared.items()
    ]
    return markdown_table(("agent", "column", "unit", "meaning"), rows)


def indicators() -> str:
    """Render every column of ``run.series``."""
    from mpbf_abm.model.indicators import INDICATORS

    rows = ((f"`{i.column}`", i.layer, i.unit, i.definition) for i in INDICATORS)
    return markdown_table(("column", "subject", "unit", "definition"), rows)


def policies() -> str:
    """Render every policy with its levers."""
    from mpbf_abm.model.interventions import POLICIES

    rows = []
    for name, kind in POLICIES.items():
        levers = "; ".join(f"`{v.path}` {v.mode} {_plain(v.target)}" for v in kind.levers)
        rows.append((f"`{name}`", kind.help, levers, _plain(kind.strength)))
    return markdown_table(("policy", "what it does", "levers at strength 1", "usual strength"), rows)


def shocks() -> str:
    """Render every shock."""
    from mpbf_abm.model.shocks import SHOCKS

    rows = ((f"`{n}`", k.help, _plain(k.strength), f"`model/shocks.py`: `{k.act.__name__}`") for n, k in SHOCKS.items())
    return markdown_table(("shock", "what it does", "usual strength", "function"), rows)


def modalities() -> str:
    """Render the six kinds of data."""
    from mpbf_abm.model.modalities import FIDELITIES, MODALITIES

    rows = (
        (i, m.name, *(_plain(g) for g in m.gains), FIDELITIES[m.fidelity], _plain(m.noise), _plain(m.coverage))
        for i, m in enumerate(MODALITIES)
    )
    head = ("", "modality", "quantum", "meso", "gauge", "spurious", "label", "noise factor", "coverage")
    return markdown_table(head, rows)


def presets() -> str:
    """Render what each preset changes against the defaults."""
    from mpbf_abm.parameters import NULL, PRESETS

    rows = []
    for name, changes in {**PRESETS, "null": NULL}.items():
        rows.append((f"`{name}`", "; ".join(f"`{p}` = {_plain(v)}" for p, v in changes.items()) or "nothing"))
    return markdown_table(("preset", "changes against the defaults"), rows)


def constants() -> str:
    """Render the numbers that are fixed in the code."""
    rows = []
    for home, name, meaning in CONSTANTS:
        value = getattr(importlib.import_module(f"mpbf_abm.{home}"), name)
        rows.append((f"`{name}`", _plain(value), meaning, f"`{home}`"))
    return markdown_table(("constant", "value", "meaning", "module"), rows)


def results() -> str:
    """Render every file that is written, and every column of its tables."""
    from mpbf_abm.outputs import descriptions

    held = descriptions()
    return "\n".join(
        part for name, section in held.items() if name != "column" for part in _section(section, held["column"])
    )


def _section(section: Mapping[str, Any], meanings: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Render what one command writes."""
    yield f"## {section['title']}\n"
    if "about" in section:
        yield f"{section['about']}\n"
    files = [
        (", ".join(f"`{file}`" for file in files.split(", ")), what) for files, what in section.get("files", {}).items()
    ]
    if files:
        yield markdown_table(("file", "what it is"), files)
    for name, (row, *columns) in section["tables"].items():
        known = {**meanings, **section.get("own", {}).get(name, {})}
        yield f"**{_names(name)}**, {row}\n"
        yield markdown_table(("column", "unit", "meaning"), [(f"`{column}`", *known[column]) for column in columns])


def _names(names: str) -> str:
    """Return names of files as code; what is in parentheses stays text."""
    files, _, of = names.partition(" (")
    return ", ".join(f"`{name}`" for name in files.split(", ")) + f" ({of}" * bool(of)


TABLES: dict[str, Callable[[], str]] = {
    f.__name__: f
    for f in (parameters, columns, phases, indicators, policies, shocks, modalities, presets, constants, results)
}


def filled(text: str, word: str, content: Mapping[str, Callable[[], str]], where: str = "text") -> str:
    """Return a document whose blocks ``<!-- WORD:NAME -->`` ... ``<!-- /WORD -->`` hold the content of their names.

    Raises
    ------
    ConfigurationError
        One line for every block with an unknown name or without an end.
    """
    block = re.compile(rf"(<!-- {word}:([\w-]+) -->\n)(.*?)(<!-- /{word} -->)", re.DOTALL)
    names = [m.group(2) for m in block.finditer(text)]
    faults = [
        f"{where}: unknown block '{word}:{name}'{did_you_mean(name, content)} (blocks: {', '.join(content)})"
        for name in names
        if name not in content
    ]
    openings = len(re.findall(rf"<!-- {word}:[\w-]+ -->", text))
    if openings != len(names) or text.count(f"<!-- /{word} -->") != len(names):
        faults.append(f"{where}: every '<!-- {word}:NAME -->' needs one '<!-- /{word} -->' after it")
    if faults:
        raise ConfigurationError(faults)
    return block.sub(lambda m: f"{m.group(1)}{content[m.group(2)]()}{m.group(4)}", text)


def _is_titled(path: Path, title: str) -> bool:
    """Return whether a file is a PNG with a title, as ``figures.style.save`` writes one."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return bool(picture.info.get("Title") == title)
    except OSError:
        return False


def renew(
    page: Path,
    content: Mapping[str, str],
    draw: Callable[[], Figure] | None = None,
    *,
    title: str = "",
    alt: str = "",
    beside: bool = False,
) -> None:
    """Put texts into the blocks ``<!-- result:NAME -->`` of a page, and a figure of the page's name into ``images/``.

    Parameters
    ----------
    page : Path
    content : mapping of str to str
        Text of each block.
    draw : callable, optional
        Returns the figure; called in the project's style.
    title, alt : str
        Title and alternative text of the figure.
    beside : bool
        The figure goes beside the page instead.

    Raises
    ------
    ConfigurationError
        For a block that nothing fills.
    OutputError
        For a page that cannot be read or written.
    """
    picture = page.with_suffix(".png") if beside else page.parent / "images" / f"{page.stem}.png"
    if draw is not None:
        from mpbf_abm.figures import style

        if picture.exists() and not _is_titled(picture, title):
            raise OutputError(f"{picture}: exists and was not drawn by mpbf for this page; move it away")
    try:
        text = filled(
            page.read_text(encoding="utf-8"), "result", {k: partial(str, v) for k, v in content.items()}, page.name
        )
        page.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise OutputError(f"{page}: cannot be read or written ({error.strerror})") from None
    written = [page]
    if draw is not None:
        try:
            picture.parent.mkdir(exist_ok=True)
            with style.styled():
                style.save(draw(), picture, title=title, alt=alt, dpi=PAGE_DPI)
        except OSError as error:
            raise OutputError(f"{picture}: cannot be written ({error.strerror})") from None
        written.append(picture)
    print(f"written: {', '.join(map(str, written))}", file=sys.stderr)


def renewed(text: str, where: str = "text") -> str:
    """Return a document with every generated table up to date."""
    return filled(text, "generated", TABLES, where)


# --------------------------------------------------------------------------- pages of results


def laboratory(page: Path, folder: Path) -> None:
    """Renew the page of a battery from its folder of results."""
    from mpbf_abm.figures.of_assessments import FIGURES
    from mpbf_abm.reports.evidence import lab_blocks

    name = LABORATORY[page.name]
    draw, alt = FIGURES[name]
    title, made, report = read_report(folder, name)
    renew(page, lab_blocks(report, made), partial(draw, report), title=title, alt=alt)


LABORATORY = {
    "forecast.md": "forecast",
    "formula-forms.md": "forms",
    "effective-urn.md": "effective_urn",
    "atlas.md": "atlas",
}


def read_report(folder: Path, name: str) -> tuple[str, str, Report]:
    """Return the question of a battery, how its report was made, and the report, from a folder of results."""
    import pandas as pd

    from mpbf_abm.evidence.assessments.assessment import Finding, Report
    from mpbf_abm.stats.estimates import Estimate

    question, _, made = (folder / f"{name}.md").read_text(encoding="utf-8").splitlines(keepends=True)[:3]
    tables: dict[str, pd.DataFrame] = {}
    for path in sorted(folder.glob("*.csv")):
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
        tables[path.stem] = frame.fillna({c: "" for c in frame if frame[c].dtype.kind not in "iufb"})
    rows: list[Any] = tables.pop("findings").to_dict("records")
    findings = tuple(
        Finding(r["measure"], Estimate(r["value"], float("nan"), r["low"], r["high"]), r["null"], r["n"], r["reading"])
        for r in rows
    )
    return question.removeprefix("# ").strip(), made, Report(findings, tables)


def performance(page: Path, file: Path) -> None:
    """Renew the page of the benchmarks from their JSON file."""
    from analysis.benchmarks import drawing, suite

    result = json.loads(file.read_text(encoding="utf-8"))
    machine, rows = result["environment"], result["rows"]
    command = f"`python -m analysis.benchmarks{' --quick' if result['quick'] else ''}`"
    load = f"; load before the last measurement {machine['load'][0]:.1f}" if machine["load"] else ""
    versions = f"Python {machine['python']}, NumPy {machine['numpy']}"
    content = {"made": f"{command}, {machine['cores']} cores, one thread of BLAS, {versions}{load}."}
    for name in dict.fromkeys(r["bench"] for r in rows):
        content[name] = markdown_table(*suite.as_table([r for r in rows if r["bench"] == name]))
    renew(page, content, partial(drawing.draw, rows), title="What mpbf_abm costs", alt=drawing.ALT)


def calibration(page: Path, file: Path) -> None:
    """Renew the page of the calibration from what the command printed: blocks, each below a line with its name."""
    parts = re.split(r"^([a-z]+)\n\n", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    content = dict(zip(parts[::2], parts[1::2], strict=True))
    renew(page, {name: text.strip("\n") + "\n" for name, text in content.items()})


def worked(page: Path, folder: Path, data: Path) -> None:
    """Renew the page of a worked example from the runs in its folder, and the data."""
    from analysis.worked.page import Example, missing, reported
    from mpbf_abm.studies.results import Results

    example: Example = importlib.import_module(f"analysis.worked.{page.stem}").EXAMPLE
    if faults := missing(example, data):
        raise ConfigurationError(faults)
    with Results.open(folder) as results:
        report = reported(example, results, data.resolve())
    renew(page, report.tables, report.figure, title=example.question, alt=example.alt, beside=True)


def copied(page: Path, folder: Path) -> None:
    """Copy a page with its tables and figures from a folder of results."""
    if not (folder / page.name).is_file():
        raise OutputError(f"{folder}: has no file {page.name}")
    for path in (folder / page.name, *folder.glob(f"{page.stem}*.csv")):
        shutil.copyfile(path, page.parent / path.name)
    for path in folder.glob("images/*.png"):
        shutil.copyfile(path, page.parent / "images" / path.name)


def baseline(page: Path) -> None:
    """Write the regression baseline anew; a line in the changelog says why it changed."""
    from mpbf_abm.evidence.known.whole import baseline_now

    page.write_text(json.dumps(baseline_now(), indent=1) + "\n", encoding="utf-8")


# By the name of a page: what renews it, and what it takes.
PAGES: dict[str, tuple[Callable[..., None], tuple[str, ...]]] = {
    **dict.fromkeys(LABORATORY, (laboratory, ("FOLDER",))),
    "performance.md": (performance, ("FILE.json",)),
    "calibration.md": (calibration, ("FILE",)),
    **dict.fromkeys(("gaps.md", "alloys.md", "cuprates.md"), (worked, ("FOLDER", "DATA"))),
    **dict.fromkeys(("validation.md", "verification.md"), (copied, ("FOLDER",))),
    "baseline.json": (baseline, ()),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Renew or check a page; returns 0, 2 for files that cannot be used, 3 for drift."""
    parser = argparse.ArgumentParser(
        prog="python docs/renew.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("page", type=Path, metavar="PAGE")
    parser.add_argument("inputs", type=Path, nargs="*", metavar="INPUT", help="what its results are read from")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 3 if a table of the code is out of date"
    )
    options = parser.parse_args(arguments)
    page: Path = options.page
    act, takes = PAGES.get(page.name, (None, ()))
    try:
        if act is not None and (options.inputs or not takes) and not options.check:
            if len(options.inputs) != len(takes):
                raise ConfigurationError(f"{page}: takes {' '.join(takes)}")
            if gone := [f"{path}: no such file or folder" for path in (page, *options.inputs) if not path.exists()]:
                raise ConfigurationError(gone)
            act(page, *options.inputs)
            return 0
        if options.inputs:
            raise ConfigurationError(f"{page}: takes no results (pages: {', '.join(PAGES)})")
        return _tables(page, check=options.check)
    except MpbfError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename or page}: cannot be read or written ({error.strerror})", file=sys.stderr)
        return 2


def _tables(page: Path, *, check: bool) -> int:
    """Renew the tables of the code on a page, or say that they are out of date."""
    old = page.read_text(encoding="utf-8")
    new = renewed(old, page.name)
    if new == old:
        return 0
    if not check:
        page.write_text(new, encoding="utf-8")
    print(f"{page}: {'out of date' if check else 'renewed'}", file=sys.stderr)
    return DRIFT if check else 0


if __name__ == "__main__":
    sys.exit(main())
