"""Stored studies in the page: which there are, and their results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mpbf_abm.errors import MpbfError
from mpbf_abm.figures.of_studies import records
from mpbf_abm.page import panels
from mpbf_abm.page.tabs import escape, figure, num, table
from mpbf_abm.studies.analyses import compare
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.store import FILE

DEEPEST = 3  # folders below the one that is looked through
MOST = 200


class Studies:
    """Studies in a folder, which are opened for reading one at a time.

    Parameters
    ----------
    folder : Path
        Nothing outside it can be opened.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Folders with a store, relative to the one that is looked through; ``.`` is that one itself."""
        found = []
        for depth in range(DEEPEST + 1):
            found += [path.parent for path in sorted(self.folder.glob("*/" * depth + FILE))]
        return [path.relative_to(self.folder).as_posix() for path in found[:MOST]]

    def page(self, chosen: Mapping[str, str]) -> str:
        """The study tab: ``study``, ``scenario`` and ``outcome`` are what was chosen."""
        names = self.names()
        if not names:
            return (
                f"<p>There is no stored study in <code>{escape(self.folder)}</code>. Run one, <code>mpbf study run experiments/quickstart.toml</code> say, "
                "or start the page with <code>--studies FOLDER</code>.</p>"
            )
        name = chosen.get("study", "")
        name = name if name in names else names[0] if len(names) == 1 else ""
        head = _select("study", "Study", ["", *names], name, {"": "choose a study"})
        if not name:
            return f'<div class="choices">{head}</div>'
        try:
            with Results.open(self.folder / name) as results:
                return head_and_body(results, name, head, chosen)
        except (MpbfError, OSError) as error:
            return f'<div class="choices">{head}</div><p class="fault">{escape(" ".join(str(error).split()))}</p>'


def head_and_body(results: Results, name: str, head: str, chosen: Mapping[str, str]) -> str:
    """Everything that is shown of an open study."""
    S, A, R = results.shape
    outcomes = list(results.definitions)
    if not outcomes:
        where = escape(name.rpartition("/")[0] or "the folder above")
        return f'<div class="choices">{head}</div><p>These are the pieces of a result, which is in <code>{where}</code>; they have no outcomes of their own.</p>'
    outcome = chosen.get("outcome", "")
    outcome = outcome if outcome in outcomes else outcomes[0]
    labels = {str(s): _scenario(results, s) for s in range(S)}
    place = chosen.get("scenario", "0")
    place = place if place in labels else "0"
    parts = ['<div class="choices">', head, _select("outcome", "Outcome", outcomes, outcome)]
    if S > 1:
        parts.append(_select("scenario", "Scenario", list(labels), place, labels))
    parts.append("</div>")
    done, failed = int((results.status == 1).sum()), int((results.status == 2).sum())
    parts.append(f"<h3>{escape(results.study.name)}</h3>")
    if results.study.question:
        parts.append(f"<p>{escape(results.study.question)}</p>")
    parts.append(
        f'<p class="help">{S} scenario{"s" * (S > 1)}, {A} arm{"s" * (A > 1)}, {R} replicate{"s" * (R > 1)}; {results.study.ticks} ticks; '
        f"{done} of {S * A * R} runs done{f', {failed} failed' if failed else ''}. Results <code>{results.hash}</code>.</p>"
    )
    values = results.values(outcome)[int(place)]
    groups = dict(zip(results.arm_names, values, strict=True))
    known = ", ".join(
        f"{arm} {num(float(np.nanmedian(v)) if np.isfinite(v).any() else float('nan'))}" for arm, v in groups.items()
    )
    alt = f"{outcome} by arm, every run; medians: {known}."
    parts.append(
        figure(
            f"{escape(outcome)}{f', {escape(labels[place])}' if S > 1 else ''}",
            panels.distributions(groups, outcome, alt),
            known,
            wide=True,
        )
    )
    if A > 1:
        parts.append(_compared(results))
    parts.append(
        f'<p class="help">Everything else: <code>mpbf study report {escape(str(results.store.path.parent))}</code>, <code>mpbf compare</code>, <code>mpbf robustness</code>, '
        "<code>mpbf sensitivity</code>, <code>mpbf discover</code>.</p>"
    )
    return "".join(parts)


def _scenario(results: Results, s: int) -> str:
    row = results.scenarios.iloc[s]
    varied = [c for c in results.scenarios.columns if c not in ("scenario", "place")]
    return (
        ", ".join(f"{c.split('.')[-1]} = {num(row[c]) if isinstance(row[c], float) else row[c]}" for c in varied)
        or "as given"
    )


def _compared(results: Results) -> str:
    try:
        analysis = compare(results)
    except MpbfError as error:
        return f'<p class="help">{escape(" ".join(str(error).split()))}</p>'
    frame = analysis.tables["effects"]
    rows = []
    for r in records(frame):
        said = f'<span class="verdict {_class(str(r["verdict"]))}">{escape(r["verdict"])}</span>'
        between = f"{num(r['low'], '+')} to {num(r['high'], '+')}"
        arm = escape(str(r["arm"]).replace("_", " "))
        numbers = [num(r["baseline"]), num(r["treated"]), num(r["difference"], "+")]
        rows.append([escape(r["outcome"]), arm, *numbers, between, said, str(r["units"])])
    head = ["outcome", "arm", "baseline", "treated", "difference", "95 % interval", "verdict", "units"]
    notes = "".join(f"<li>{escape(note)}</li>" for note in analysis.notes)
    return (
        table(head, rows, "Effects of the arms against the baseline", numeric=(2, 3, 4, 7))
        + f'<ul class="cautions">{notes}</ul>'
    )


def _class(verdict: str) -> str:
    return {"better": "more", "worse": "less", "equivalent": "none"}.get(verdict, "unsure")


def _select(name: str, label: str, options: list[str], chosen: str, labels: Mapping[str, str] | None = None) -> str:
    told = labels or {}
    inside = "".join(
        f'<option value="{escape(o)}"{" selected" if o == chosen else ""}>{escape(told.get(o, o))}</option>'
        for o in options
    )
    return f'<label for="study-{name}">{label}</label><select id="study-{name}" name="{name}">{inside}</select>'
