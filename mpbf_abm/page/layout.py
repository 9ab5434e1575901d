"""The page itself: its layout, its downloads, and the messages between a browser and its visit."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from htmltools import Tag, tags
from shiny import App, Inputs, Outputs, Session, reactive, render, ui

from mpbf_abm import __version__
from mpbf_abm.figures import overview
from mpbf_abm.model.indicators import INDICATORS
from mpbf_abm.outputs import seal
from mpbf_abm.page import WORDS
from mpbf_abm.page.controls import Attributes, filled, form, options
from mpbf_abm.page.desk import Desk
from mpbf_abm.page.panels import LEFT, RIGHT
from mpbf_abm.page.scenario import MOST_TEXT
from mpbf_abm.page.shown import Shown
from mpbf_abm.page.stored import Studies
from mpbf_abm.page.tabs import TABS, VIEWS
from mpbf_abm.page.visit import Visit
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
    choice = tags.input(type="radio", name="view", value=view, checked="" if view == "both" else None)
    return tags.label(choice, tags.span(label))


def _tab(tab: str) -> Tag:
    first = tab == TABS[0]
    about: Attributes = {"aria-controls": f"panel-{tab}", "aria-selected": str(first).lower(), "data-tab": tab}
    index = "0" if first else "-1"
    return tags.button(TAB_NAMES[tab], about, id=f"tab-{tab}", type="button", role="tab", tabindex=index)


def _panel(tab: str) -> Tag:
    about: Attributes = {"role": "tabpanel", "tabindex": "0", "class": "panel", "hidden": ""}
    body = tags.div(id=f"panel-{tab}-body", class_="body")
    return tags.section(body, about, id=f"panel-{tab}", aria_labelledby=f"tab-{tab}")


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
