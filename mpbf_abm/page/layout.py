"""The page itself: its form, its layout, its downloads, and the messages between a browser and its visit.

The form has one control for each parameter, policy and shock, made from the schema that everything else uses.
"""

from __future__ import annotations

import io
import math
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from htmltools import HTML, Tag, TagChild, TagList, tags
from shiny import App, Inputs, Outputs, Session, reactive, render, ui

from mpbf_abm import __version__
from mpbf_abm.figures import overview
from mpbf_abm.model.indicators import INDICATORS
from mpbf_abm.model.interventions import POLICIES
from mpbf_abm.model.settings import SHARED
from mpbf_abm.model.shocks import NODES, SHOCKS, TARGETS
from mpbf_abm.outputs import seal
from mpbf_abm.page import WORDS
from mpbf_abm.page.desk import Desk
from mpbf_abm.page.panels import LEFT, RIGHT
from mpbf_abm.page.scenario import EXAMPLES, MOST_TEXT, NUMBERS, PRESET_NAMES, value_text
from mpbf_abm.page.shown import Shown
from mpbf_abm.page.stored import Studies
from mpbf_abm.page.tabs import TABS, VIEWS
from mpbf_abm.page.visit import Visit
from mpbf_abm.parameters import LAYERS, Parameters, schema
from mpbf_abm.studies.whatif import keep_runs, write_provenance, write_tables

STATIC = Path(__file__).parent / "static"
MOST_VISITS = 64
TAB_NAMES: dict[str, str] = WORDS["tabs"]
FILES = {
    "toml": "Configuration (TOML)",
    "study_file": "Study file (TOML)",
    "csv": "All tables (CSV, zip)",
    "pdf": "Overview figure (PDF)",
}
Attributes = dict[str, Any]

FIRST: list[str] = WORDS["first"]
WIDEST_SLIDER = 100.0  # a wider range is no use as a slider
UNITS = {"1": "", "name": "", "switch": ""}
# Fields of an event: its name, label and attributes; a policy has two more.
WHOLE = {"type": "number", "min": "0", "step": "1"}
NONE = WHOLE | {"placeholder": "0"}
RAMPS = (("ramp", "ticks to rise", NONE), ("fade", "ticks to fall", NONE))

# --------------------------------------------------------------------------- the form


def filled(template: str, **slots: TagChild) -> TagList:
    """Return a template of this folder with its ``{{slots}}`` filled; texts are escaped."""
    parts = re.split(r"\{\{(\w+)\}\}", Path(__file__).with_name(template).read_text("utf-8"))
    return TagList(*[slots[part] if i % 2 else HTML(part) for i, part in enumerate(parts)])


def options(values: Iterable[str], chosen: str | None = None) -> list[Tag]:
    """Return the options of a list."""
    return [tags.option(v, value=v, selected="" if v == chosen else None) for v in values]


def form() -> TagList:
    """Return the whole form."""
    base = Parameters().flat()
    rows = {row["path"]: row for row in schema()}
    return filled(
        "form.html",
        examples=options(EXAMPLES),
        presets=options(PRESET_NAMES),
        numbers=[_number(name, default) for name, default in NUMBERS.items()],
        policies=[_event("policy", name, kind.help, kind.strength) for name, kind in POLICIES.items()],
        shocks=[_event("shock", name, kind.help, kind.strength) for name, kind in SHOCKS.items()],
        shared=SHARED,
        often=[_parameter(rows[p], base[p]) for p in FIRST],
        groups=[_group(group, rows, base) for group in WORDS["groups"]],
    )


def _control(name: str, *inside: TagChild, id: str = "", more: str = "", **attributes: str) -> Tag:
    """Return a control with the place of its fault."""
    fault = tags.p(id=f"{id or name}-fault", class_="fault", role="alert", data_fault=name, hidden="")
    return tags.div(*inside, fault, class_=f"control {more}".rstrip(), data_control=name, **attributes)


def _help(text: str, id: str | None = None) -> Tag:
    return tags.p(text, id=id and f"{id}-help", class_="help")


def _described(name: str) -> str:
    return f"{name}-help {name}-fault"


def _number(name: str, default: int) -> Tag:
    low, described = "0" if name == "seed" else "1", _described(name)
    about: Attributes = {"data-number": name, "inputmode": "numeric", "aria-describedby": described}
    number = tags.input(about, id=name, type="number", step="1", min=low, value=str(default))
    return _control(name, tags.label(name, for_=name), number, _help(WORDS["numbers"][name], name))


def _event(kind: str, name: str, help: str, strength: float) -> Tag:
    """Return a switch, and what is asked once it is on: time and strength."""
    key, words, policy = f"{kind}:{name}", name.replace("_", " "), kind == "policy"
    share = {"type": "number", "min": "0", "max": "1", "step": "0.05", "placeholder": f"{strength:g}"}
    fields = [
        ("start", "from tick", WHOLE | {"value": "12" if policy else "48"}),
        ("end", "until tick", WHOLE | {"min": "1", "placeholder": "end of run" if policy else "none"}),
        ("strength", f"strength (usual {strength:g})", share),
        *(RAMPS if policy else ()),
    ]
    parts = [tags.label(label, tags.input(about, data_field=f, inputmode="decimal")) for f, label, about in fields]
    if name in NODES:
        parts.append(tags.label("which", tags.select(options(TARGETS), data_field="target")))
    switch = tags.input(type="checkbox", role="switch", data_switch=key, aria_describedby=f"{key}-help")
    return _control(
        key,
        tags.label(switch, " ", words, class_="switch"),
        _help(help[0].lower() + help[1:], key),
        tags.div(*parts, class_="fields", hidden="", role="group", aria_label=f"{words}: time and strength"),
        more="event",
        data_kind=kind,
        data_name=name,
    )


def _group(group: str, rows: Mapping[str, Mapping[str, Any]], base: Mapping[str, Any]) -> Tag:
    layer = WORDS["layers"].get(LAYERS[group], "")
    moved = [p.split(".")[1] for p in FIRST if p.startswith(f"{group}.")]
    return tags.details(
        tags.summary(WORDS["groups"][group], tags.span(f" {layer}" if layer else "", class_="layer")),
        _help(f"above, under often changed: {', '.join(moved)}") if moved else None,
        *[_parameter(row, base[p]) for p, row in rows.items() if row["group"] == group and p not in FIRST],
        class_="group",
    )


def _parameter(row: Mapping[str, Any], value: Any) -> Tag:
    """Return the control of a parameter: a list, a switch, a number (with a slider, if its range is narrow), a text."""
    path, name = str(row["path"]), str(row["name"]).replace("_", " ")
    if path in FIRST:
        name = f"{name} ({row['group']})"
    id, unit = path.replace(".", "-"), str(row["unit"])
    reset = tags.button("reset", type="button", class_="reset", hidden="", data_reset=id, aria_label=f"reset {name}")
    head = tags.div(tags.label(name, for_=id), tags.span(UNITS.get(unit, unit), class_="unit"), reset, class_="head")
    entry = tags.div(*_entry(row, value, id, name), class_="entry")
    help = _help(f"{row['help']}; {row['allowed']}", id)
    words = f"{path} {row['help']}".lower().replace("_", " ")
    return _control(path, head, entry, help, id=id, more="parameter", data_words=words)


def _entry(row: Mapping[str, Any], value: Any, id: str, name: str) -> Sequence[Tag]:
    """Return where the value of a parameter is entered."""
    text = value_text(value)
    about: Attributes = {"id": id, "aria-describedby": _described(id), "data-path": str(row["path"]), "data-base": text}
    if isinstance(value, (str, bool)):
        return [tags.select(about, options(str(row["allowed"]).split(" | "), text))]
    if isinstance(value, tuple) or row["low"] is None:
        return [tags.input(about, type="text", value=text)]
    low, high = float(row["low"]), math.inf if row["high"] is None else float(row["high"])
    whole = isinstance(row["default"], int)
    limits: Attributes = {"min": f"{low:g}"} | ({"max": f"{high:g}"} if math.isfinite(high) else {})
    step = "1" if whole else "any"
    number = tags.input(about, limits, type="number", value=text, step=step, inputmode="decimal")
    if high - low > WIDEST_SLIDER:
        return [number]
    name, step = f"{name}, slider", f"{_step(low, high, whole):g}"
    return [tags.input(limits, type="range", step=step, value=text, data_slider=id, aria_label=name), number]


def _step(low: float, high: float, whole: bool) -> float:
    """Return a step that is one, two or five of a power of ten, about a hundredth of the range."""
    if whole:
        return 1.0
    rough = (high - low) / 100
    power = 10.0 ** math.floor(math.log10(rough))
    return float(min((power * f for f in (1, 2, 5, 10)), key=lambda s: abs(s - rough)))


# --------------------------------------------------------------------------- the layout


def layout() -> Tag:
    """Return everything that is there before anything was computed."""
    head = ui.head_content(
        tags.meta(name="viewport", content="width=device-width, initial-scale=1"),
        tags.link(rel="icon", href="data:,"),
        tags.link(rel="stylesheet", href="page.css"),
        tags.script(src="page.js", defer=""),
        tags.style(f":root {{ --left: {LEFT}; --right: {RIGHT}; --t: 1; }}"),
    )
    layers: dict[str, list[str]] = {}
    for i in INDICATORS:
        layers.setdefault(i.layer, []).append(i.column)
    body = filled(
        "page.html",
        dark=ui.input_dark_mode(id="dark"),
        form=form(),
        most=str(MOST_TEXT),
        views=[_view(view, label) for view, label in VIEWS.items()],
        tabs=[_tab(tab) for tab in TABS],
        indicators=[tags.optgroup(options(i, "records_hhi"), label=layer) for layer, i in layers.items()],
        panels=[_panel(tab) for tab in TABS if tab not in ("layers", "configuration", "study")],
        downloads=[ui.download_link(id, label) for id, label in FILES.items()],
        version=__version__,
    )
    return ui.page_fluid(head, body, title="mpbf_abm: explore a community and a what-if", lang="en")


def _view(view: str, label: str) -> Tag:
    return tags.label(
        tags.input(type="radio", name="view", value=view, checked="" if view == "both" else None), tags.span(label)
    )


def _tab(tab: str) -> Tag:
    first = tab == TABS[0]
    about: Attributes = {"aria-controls": f"panel-{tab}", "aria-selected": str(first).lower(), "data-tab": tab}
    return tags.button(
        TAB_NAMES[tab], about, id=f"tab-{tab}", type="button", role="tab", tabindex="0" if first else "-1"
    )


def _panel(tab: str) -> Tag:
    about: Attributes = {"role": "tabpanel", "tabindex": "0", "class": "panel", "hidden": ""}
    return tags.section(
        tags.div(id=f"panel-{tab}-body", class_="body"), about, id=f"panel-{tab}", aria_labelledby=f"tab-{tab}"
    )


# --------------------------------------------------------------------------- files


def tables_zip(shown: Shown) -> bytes:
    """Return the tables of ``mpbf run`` in one file.

    It is the same for the same runs but for the record of the software.
    """
    out = io.BytesIO()
    with tempfile.TemporaryDirectory() as place, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        folder, plan = Path(place), shown.ensemble.plan
        write_tables(shown.ensemble, folder)
        write_provenance(shown.ensemble, folder)
        seal(folder, "run", plan.question_hash)
        # The runs themselves, from which mpbf run goes on in the folder that the file becomes.
        keep_runs(plan, {name: history.noted for name, history in shown.histories.items()}, folder)
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")):
            name = path.relative_to(folder).as_posix()
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return out.getvalue()


def overview_pdf(shown: Shown) -> bytes:
    """Return the overview figure of ``mpbf run``."""
    ensemble = shown.ensemble
    last = ensemble.first(shown.last_arm)
    frames = overview.prepare(ensemble.series, ensemble.families, ensemble.summary, last.nodes, last.edges)
    with tempfile.TemporaryDirectory() as place:
        overview.save(frames, Path(place))
        return (Path(place) / "overview.pdf").read_bytes()


# --------------------------------------------------------------------------- the app


def application(desk: Desk, studies: Studies, opening: str = "") -> App:
    """Return the page as an application.

    Parameters
    ----------
    desk : Desk
        Served by the same event loop.
    studies : Studies
    opening : str
        Address of the scenario that a page without one starts with.
    """
    # Matplotlib's settings are global: all drawing is done in this thread.
    artist = ThreadPoolExecutor(1, "artist")
    visits: set[Visit] = set()

    def server(input: Inputs, output: Outputs, session: Session) -> None:  # noqa: ARG001 (as the library calls it)
        async def send(name: str, message: dict[str, Any]) -> None:
            await session.send_custom_message(name, message)

        if len(visits) >= MOST_VISITS:
            words = f"At most {MOST_VISITS} pages can be open at a time; close one, and reload."
            status = {"words": words, "progress": 0, "running": False, "stale": False}
            session.on_flushed(lambda: send("status", status))
            return
        visit = Visit(desk, studies, send, artist, opening)
        visits.add(visit)
        session.on_ended(lambda: visits.discard(visit))
        session.on_ended(visit.leave)
        _listen(input, visit)
        _serve_files(visit, artist)

    return App(layout(), server, static_assets=STATIC)


def _listen(input: Inputs, visit: Visit) -> None:
    """Give each message of the page to the visit."""
    handlers: dict[str, Callable[[Any], Any]] = {
        "form": visit.form,
        "look": visit.looked,
        "example": visit.example,
        "file": visit.file,
        "study": visit.choose,
        "arrive": lambda given: visit.arrive(str(given.get("query", "")) if isinstance(given, dict) else ""),
        "ask": lambda what: visit.ask(str(what)),
        "cancel": lambda _: visit.cancel(),
    }
    for name, handler in handlers.items():
        _on(input, name, handler)


def _on(input: Inputs, name: str, handler: Callable[[Any], Any]) -> None:
    @reactive.effect
    @reactive.event(input[name])
    async def _() -> None:
        await handler(input[name]())


def _serve_files(visit: Visit, artist: ThreadPoolExecutor) -> None:
    """Serve the files of what is shown."""

    def serve(id: str, file: str, make: Callable[[Shown], bytes]) -> None:
        def download() -> Iterator[bytes]:
            if visit.shown is None:
                raise RuntimeError("there is nothing to download yet")
            yield artist.submit(make, visit.shown).result()

        download.__name__ = id
        render.download_link(filename=file)(download)

    serve("toml", "explored.toml", lambda shown: shown.scenario.to_toml().encode())
    serve("study_file", "explored-study.toml", lambda shown: shown.scenario.to_study().encode())
    serve("csv", "explored.zip", tables_zip)
    serve("pdf", "explored.pdf", overview_pdf)
