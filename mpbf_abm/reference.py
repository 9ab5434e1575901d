"""Reference tables of the documentation, rendered from the code they describe.

A document holds blocks ``<!-- generated:NAME -->`` ... ``<!-- /generated -->``; their content is
replaced by the table of that name, so that documents cannot drift from the model::

    python -m mpbf_abm.reference docs/odd.md          # renew the tables
    python -m mpbf_abm.reference --check docs/odd.md  # exit 3 if one is out of date
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpbf_abm.errors import ConfigurationError, OutputError, did_you_mean
from mpbf_abm.outputs import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    ("model.commons", "SHRINK", "overlaps at which an estimated bias counts half"),
    ("data.spaces", "COLUMN_VARIANCE", "mean variance of a descriptor column of a space made of data"),
    ("data.spaces", "QUANTUM_WIDTH", "most principal axes kept of elemental descriptors"),
    ("data.spaces", "GAUGE_WIDTH", "width of the gauge block of a space made of a table"),
    ("data.spaces", "MOST_FAMILIES", "most families by chemistry"),
    ("learning.linalg", "FLAT", "eigenvalue, against the largest, up to which data do not span a direction"),
    ("learning.encoders", "RIDGE", "floor of the spread of a direction against the largest"),
    ("learning.heads", "EVIDENCE_STEPS", "updates of noise and prior by evidence"),
    ("learning.gaussian", "NOISE", "variance of a Gaussian process's misfit beside its kernel's 1"),
    ("learning.gaussian", "MIN_SCALE", "least scale of the labels of a Gaussian process, in property sd"),
    ("model.campaign", "PRIOR_FEATURES", "random features of a draw from the prior in a campaign"),
    ("learning.heads", "MIN_NOISE", "least noise variance of a head"),
    ("learning.heads", "MAX_NOISE", "largest noise variance of a head"),
    ("learning.heads", "MIN_PRIOR", "least prior precision of a head"),
    ("learning.heads", "MAX_PRIOR", "largest prior precision of a head"),
    ("learning.models", "MATERN", "degrees of freedom of the frequencies (Matern-5/2)"),
    ("learning.models", "RECENT", "published tests that a model's agreement is judged on"),
    ("model.steering", "CLIP", "largest standardised acquisition value of a family"),
    ("model.curators", "DOUBLE_ENTRY", "offset of the index of a record entered twice"),
    ("model.trainers", "MOST_LINKS", "width of the draws by which links are reconsidered"),
    ("model.diagnosis", "MOVED", "panel materials, about, that are turned and strained"),
    ("model.diagnosis", "STRAIN", "shift of every causal column in the strain test"),
    ("model.planners", "ATTEMPTS", "keyed attempts to propose an untested material"),
    ("model.planners", "REACH", "pool of a proposal source, in candidates"),
    ("model.planners", "ASCENT_STEPS", "gradient steps of inverse design"),
    ("model.publication", "INTERVAL", "half width of a claimed 95 % interval in sd"),
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
    from mpbf_abm.model.events import Agenda

    rows = []
    for number, phase in enumerate(all_phases(Agenda(), Recorder(()).observe), 1):
        home = phase.act.__module__.removeprefix("mpbf_abm.").replace(".", "/")
        rows.append((number, phase.name, phase.layer, phase.does, f"`{home}.py`: `{phase.act.__qualname__}`"))
    return markdown_table(("", "phase", "layer", "what happens", "function"), rows)


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


TABLES: dict[str, Callable[[], str]] = {
    f.__name__: f for f in (parameters, phases, indicators, policies, shocks, modalities, presets, constants)
}


def filled(text: str, word: str, content: Mapping[str, Callable[[], str]], where: str = "text") -> str:
    """Return a document with every block ``<!-- WORD:NAME -->`` ... ``<!-- /WORD -->`` holding the content of that name.

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


def renew(
    page: Path, content: Mapping[str, str], draw: Callable[[], Figure] | None = None, *, title: str = "", alt: str = "", beside: bool = False
) -> None:  # fmt: skip
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

        if picture.exists() and not style.is_titled(picture, title):
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Renew or check documents; returns 0, 2 for files that cannot be used, 3 for drift."""
    parser = argparse.ArgumentParser(prog="python -m mpbf_abm.reference", description="Generated tables of documents.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 3 if a table is out of date")
    options = parser.parse_args(arguments)
    drifted = []
    try:
        for path in options.files:
            try:
                old = path.read_text(encoding="utf-8")
                new = renewed(old, path.name)
                if new != old:
                    drifted.append(path)
                    if not options.check:
                        path.write_text(new, encoding="utf-8")
            except OSError as error:
                raise OutputError(f"{path}: cannot be read or written ({error.strerror})") from None
    except (ConfigurationError, OutputError) as error:
        print(error, file=sys.stderr)
        return 2
    for path in drifted:
        print(f"{path}: {'out of date' if options.check else 'renewed'}", file=sys.stderr)
    return DRIFT if options.check and drifted else 0


if __name__ == "__main__":
    sys.exit(main())
