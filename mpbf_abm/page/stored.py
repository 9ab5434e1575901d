"""Stored studies in the page: which there are, and their results."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from mpbf_abm.errors import MpbfError
from mpbf_abm.figures.style import records
from mpbf_abm.page import panels
from mpbf_abm.page.history import stores
from mpbf_abm.page.tabs import escape, figure, note, num, table
from mpbf_abm.stats.paired import middle
from mpbf_abm.studies.analyses import compare
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.store import FILE

DEEPEST = 3  # folders below the one that is looked through
MOST = 200
COMMANDS = ("study report", "compare", "robustness", "sensitivity", "discover")


class Studies:
    """Studies in a folder, which are opened for reading one at a time.

    Parameters
    ----------
    folder : Path
        Nothing outside it can be opened, not by a link either.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Return folders with a store, relative to the one that is looked through; ``.`` is that one itself."""
        found = [path.parent for depth in range(DEEPEST + 1) for path in stores(self.folder, "*/" * depth + FILE)]
        return [path.relative_to(self.folder).as_posix() for path in found[:MOST]]

    def page(self, chosen: Mapping[str, str]) -> str:
        """Return the study tab: ``study``, ``scenario`` and ``outcome`` are what was chosen."""
        names = self.names()
        if not names:
            run = "Run one, <code>mpbf study run experiments/quickstart.toml</code> say"
            start = f"<p>There is no stored study in <code>{escape(self.folder)}</code>. {run}"
            return f"{start}, or start the page with <code>--studies FOLDER</code>.</p>"
        name = chosen.get("study", "")
        if name not in names:
            name = names[0] if len(names) == 1 else ""
        head = _select("study", "Study", ["", *names], name, {"": "choose a study"})
        if not name:
            return f'<div class="choices">{head}</div>'
        try:
            with Results.open(self.folder / name) as results:
                return head_and_body(results, name, head, chosen)
        except (MpbfError, OSError) as error:
            return f'<div class="choices">{head}</div>{_one_line(error, "fault")}'


def head_and_body(results: Results, name: str, head: str, chosen: Mapping[str, str]) -> str:
    """Return everything that is shown of an open study."""
    S, A, _ = results.shape
    outcomes = list(results.definitions)
    if not outcomes:
        where = escape(name.rpartition("/")[0] or "the folder above")
        pieces = f"These are the pieces of a result, which is in <code>{where}</code>; they have no own outcomes."
        return f'<div class="choices">{head}</div><p>{pieces}</p>'
    labels = {str(s): _scenario(results, s) for s in range(S)}
    outcome, place = _one_of(outcomes, chosen.get("outcome")), _one_of(list(labels), chosen.get("scenario"))
    choices = head + _select("outcome", "Outcome", outcomes, outcome)
    title = escape(outcome)
    if S > 1:
        choices += _select("scenario", "Scenario", list(labels), place, labels)
        title += f", {escape(labels[place])}"
    groups = dict(zip(results.arm_names, results.values(outcome)[int(place)], strict=True))
    known = ", ".join(f"{arm} {num(middle(values)[1])}" for arm, values in groups.items())
    picture = panels.distributions(f"{outcome} by arm, every run; medians: {known}.", groups, outcome)
    folder = escape(shlex.quote(str(results.store.path.parent)))
    commands = [f"mpbf {command} {folder}" for command in COMMANDS]
    parts = [
        f'<div class="choices">{choices}</div>',
        _about(results),
        figure(title, picture, known, wide=True),
        _compared(results) if A > 1 else "",
        note(f"Everything else: {', '.join(f'<code>{command}</code>' for command in commands)}."),
    ]
    return "".join(parts)


def _one_of(known: list[str], chosen: str | None) -> str:
    """Return what was chosen, or the first where that is not known."""
    return chosen if chosen in known else known[0]


def _about(results: Results) -> str:
    """Return the name and question of a study, its size, and how many of its runs are done."""
    study, failed = results.study, int((results.status == 2).sum())
    sizes = zip(results.shape, ("scenario", "arm", "replicate"), strict=True)
    size = ", ".join(f"{n} {word}{'s' * (n > 1)}" for n, word in sizes)
    done = f"{int((results.status == 1).sum())} of {results.status.size} runs done" + f", {failed} failed" * (
        failed > 0
    )
    question = f"<p>{escape(study.question)}</p>" if study.question else ""
    about = note(f"{size}; {study.ticks} ticks; {done}. Results <code>{results.hash}</code>.")
    return f"<h3>{escape(study.name)}</h3>{question}{about}"


def _one_line(error: Exception, kind: str = "help") -> str:
    return note(escape(" ".join(str(error).split())), kind)


def _scenario(results: Results, s: int) -> str:
    row = results.scenarios.iloc[s]
    varied = {c.split(".")[-1]: row[c] for c in results.scenarios.columns if c not in ("scenario", "place")}
    words = [f"{name} = {num(value) if isinstance(value, float) else value}" for name, value in varied.items()]
    return ", ".join(words) or "as given"


def _compared(results: Results) -> str:
    try:
        analysis = compare(results)
    except MpbfError as error:
        return _one_line(error)
    rows = []
    for r in records(analysis.tables["effects"]):
        said = f'<span class="verdict {_class(str(r["verdict"]))}">{escape(r["verdict"])}</span>'
        between = f"{num(r['low'], '+')} to {num(r['high'], '+')}"
        arm = escape(str(r["arm"]).replace("_", " "))
        numbers = [num(r["baseline"]), num(r["treated"]), num(r["difference"], "+")]
        rows.append([escape(r["outcome"]), arm, *numbers, between, said, str(r["units"])])
    head = ["outcome", "arm", "baseline", "treated", "difference", "95 % interval", "verdict", "units"]
    notes = "".join(f"<li>{escape(note)}</li>" for note in analysis.notes)
    effects = table(head, rows, "Effects of the arms against the baseline", numeric=(2, 3, 4, 7))
    return f'{effects}<ul class="cautions">{notes}</ul>'


def _class(verdict: str) -> str:
    return {"better": "more", "worse": "less", "equivalent": "none"}.get(verdict, "unsure")


def _select(name: str, label: str, options: list[str], chosen: str, labels: Mapping[str, str] | None = None) -> str:
    texts, marks = labels or {}, {chosen: " selected"}
    inside = "".join(
        f'<option value="{escape(o)}"{marks.get(o, "")}>{escape(texts.get(o, o))}</option>' for o in options
    )
    return f'<label for="study-{name}">{label}</label><select id="study-{name}" name="{name}">{inside}</select>'
