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
from mpbf_abm.page.controls import form
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
TAB_NAMES = {"layers": "Layers", "flows": "Flows", "network": "Network", "materials": "Materials space", "outcomes": "Outcomes",
             "configuration": "Configuration", "study": "Stored studies"}  # fmt: skip


def layout() -> Tag:
    """Everything that is there before anything was computed."""
    return ui.page_fluid(
        ui.head_content(
            tags.meta(name="viewport", content="width=device-width, initial-scale=1"),
            tags.link(rel="icon", href="data:,"),
            tags.link(rel="stylesheet", href="page.css"),
            tags.script(src="page.js", defer=""),
            tags.style(f":root {{ --left: {LEFT}; --right: {RIGHT}; --t: 1; }}"),
        ),
        tags.a("Skip to the results", href="#results", class_="skip"),
        tags.header(
            tags.div(
                tags.h1("mpbf_abm"),
                tags.p("How path-dependent is materials discovery, and how fragile is its infrastructure?", class_="lead"),
            ),
            tags.div(tags.span("Light or dark", class_="visually-hidden"), ui.input_dark_mode(id="dark"), class_="dark"),
            class_="top",
        ),
        tags.div(
            tags.details(
                tags.summary("What to run"), tags.div(_actions(), form(), _file(), class_="inside"), id="sidebar", open="",
            ),
            tags.main(*_results(), id="results", tabindex="-1"),
            class_="columns",
        ),
        tags.footer(
            f"mpbf_abm {__version__}. The four formulas of the layers are this project's operationalisation of the framework, not its authors'. "
            "Everything on this page is computed here; nothing is fetched from or sent to anywhere else."
        ),
        title="mpbf_abm: explore a community and a what-if",
        lang="en",
    )  # fmt: skip


def _actions() -> Tag:
    return tags.div(
        tags.button("Run", id="run", type="button", class_="btn btn-primary"),
        tags.label(
            tags.input(id="live", type="checkbox", role="switch", checked=""), " as I change things", class_="switch"
        ),
        tags.button("All defaults", id="defaults", type="button", class_="btn btn-link"),
        tags.p(id="general-fault", class_="fault", role="alert", hidden=""),
        class_="actions",
    )


def _file() -> Tag:
    return tags.div(
        tags.label("Open a configuration file (TOML)", {"for": "file"}),
        tags.input(id="file", type="file", accept=".toml,text/plain", data_most=str(MOST_TEXT)),
        tags.p("read as data only, at most 256 kB", class_="help"),
        tags.p(id="file-fault", class_="fault", role="alert", data_fault="file", hidden=""),
        class_="control",
        data_control="file",
    )


def _results() -> Iterator[Tag]:
    yield tags.div(
        tags.p("Starting ...", id="words", role="status"),
        tags.progress(id="bar", max="1", value="0", **{"aria-label": "progress of the runs"}),
        tags.button("Cancel", id="cancel", type="button", class_="btn btn-outline-danger btn-sm", hidden=""),
        class_="state",
    )
    yield tags.div(id="cards", **{"aria-live": "off"})
    yield tags.div(
        tags.div(
            tags.button("Play", id="play", type="button", class_="btn btn-outline-primary btn-sm", **{"aria-label": "play through time"}),
            tags.label("time", {"for": "tick"}),
            tags.input(id="tick", type="range", min="0", max="0", value="0"),
            tags.output("", id="tick-now", **{"for": "tick"}),
            class_="time",
        ),
        tags.fieldset(
            tags.legend("show", class_="visually-hidden"),
            *[
                tags.label(tags.input(type="radio", name="view", value=v, **({"checked": ""} if v == "both" else {})), tags.span(label))
                for v, label in VIEWS.items()
            ],
            id="views", class_="views", hidden="",
        ),
        tags.div(tags.label("which ", {"for": "pair"}), tags.select(id="pair"), id="pairs", hidden=""),
        class_="look",
    )  # fmt: skip
    yield tags.div(
        *[
            tags.button(
                TAB_NAMES[tab], id=f"tab-{tab}", type="button", role="tab", data_tab=tab, tabindex="0" if tab == "layers" else "-1",
                **{"aria-controls": f"panel-{tab}", "aria-selected": "true" if tab == "layers" else "false"},
            )
            for tab in TABS
        ],
        role="tablist", **{"aria-label": "results"},
    )  # fmt: skip
    for tab in TABS:
        inside: list[Any] = [tags.div(id=f"panel-{tab}-body", class_="body")]
        if tab == "layers":
            inside += [_indicator(), tags.div(id="at-tick")]
        if tab == "configuration":
            inside.append(_downloads())
        if tab == "study":
            inside = []
        yield tags.section(
            *inside, id=f"panel-{tab}", role="tabpanel", tabindex="0", class_="panel",
            **{"aria-labelledby": f"tab-{tab}"}, **({} if tab == "layers" else {"hidden": ""}),
        )  # fmt: skip


def _indicator() -> Tag:
    groups: dict[str, list[Tag]] = {}
    for i in INDICATORS:
        chosen: dict[str, Any] = {"selected": ""} if i.column == "records_hhi" else {}
        groups.setdefault(i.layer, []).append(tags.option(i.column, value=i.column, **chosen))
    return tags.div(
        tags.label("Any indicator in the last chart", {"for": "indicator"}),
        tags.select(*[tags.optgroup(*options, label=layer) for layer, options in groups.items()], id="indicator"),
        class_="choices",
    )


def _downloads() -> Tag:
    return tags.div(
        tags.h3("Take it with you"),
        ui.download_link("toml", "Configuration (TOML)"),
        ui.download_link("study_file", "Study file (TOML)"),
        ui.download_link("csv", "All tables (CSV, zip)"),
        ui.download_link("pdf", "Overview figure (PDF)"),
        tags.p(
            "The zip has what mpbf run writes, the runs included: unpacked, mpbf run goes on there. mpbf run explored.toml makes the same runs; mpbf study run explored-study.toml makes a study of them, "
            "to which arms, outcomes and designs can be added. The address of this page holds all of it, too.",
            class_="help",
        ),
        class_="downloads",
    )  # fmt: skip


# --------------------------------------------------------------------------- files


def tables_zip(shown: Shown) -> bytes:
    """The tables of ``mpbf run`` in one file, which is the same for the same runs but for the software's own record."""
    out = io.BytesIO()
    with tempfile.TemporaryDirectory() as place, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        write_tables(shown.ensemble, Path(place))
        write_provenance(shown.ensemble, Path(place))
        seal(Path(place), "run", shown.ensemble.plan.question_hash)
        # The runs themselves, from which mpbf run goes on in the folder that the file becomes.
        keep_runs(shown.ensemble.plan, {name: history.noted for name, history in shown.histories.items()}, Path(place))
        for path in sorted(p for p in Path(place).rglob("*") if p.is_file() and not p.name.startswith(".")):
            name = path.relative_to(place).as_posix()
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return out.getvalue()


def overview_pdf(shown: Shown) -> bytes:
    """The overview figure of ``mpbf run``."""
    ensemble = shown.ensemble
    last = ensemble.first(shown.last_arm)
    frames = overview.prepare(ensemble.series, ensemble.families, ensemble.summary, last.nodes, last.edges)
    with tempfile.TemporaryDirectory() as place:
        overview.save(frames, Path(place))
        return (Path(place) / "overview.pdf").read_bytes()


# --------------------------------------------------------------------------- the app


def application(desk: Desk, studies: Studies, opening: str = "") -> App:
    """The page as an application.

    Parameters
    ----------
    desk : Desk
        Served by the same event loop.
    studies : Studies
    opening : str
        Address of the scenario that a page without one starts with.
    """
    # Matplotlib's settings are global: whoever draws, draws in this thread.
    artist = ThreadPoolExecutor(1, "artist")
    visits: set[Visit] = set()

    def server(input: Inputs, output: Outputs, session: Session) -> None:  # noqa: ARG001 (as the library calls it)
        async def tell(name: str, message: dict[str, Any]) -> None:
            await session.send_custom_message(name, message)

        if len(visits) >= MOST_VISITS:
            words = f"At most {MOST_VISITS} pages can be open at a time; close one, and reload."
            status = {"words": words, "progress": 0, "running": False, "stale": False}

            async def full() -> None:
                await tell("status", status)

            session.on_flushed(full)
            return
        visit = Visit(desk, studies, tell, artist, opening)
        visits.add(visit)

        def leave() -> None:
            visits.discard(visit)
            visit.leave()

        session.on_ended(leave)
        _listen(input, visit)
        _serve_files(visit, artist)

    return App(layout(), server, static_assets=STATIC)


def _listen(input: Inputs, visit: Visit) -> None:
    """Give each message of the page to the visit."""
    for name, handler in (
        ("form", visit.form), ("look", visit.looked), ("example", visit.example), ("file", visit.file), ("study", visit.choose),
    ):  # fmt: skip
        _on(input, name, handler)
    _on(input, "arrive", lambda given: visit.arrive(str(given.get("query", "")) if isinstance(given, dict) else ""))
    _on(input, "ask", lambda what: visit.ask(str(what)))
    _on(input, "cancel", lambda _: visit.cancel())


def _on(input: Inputs, name: str, handler: Callable[[Any], Any]) -> None:
    @reactive.effect
    @reactive.event(input[name])
    async def _() -> None:
        await handler(input[name]())


def _serve_files(visit: Visit, artist: ThreadPoolExecutor) -> None:
    """Downloads, of what is shown."""

    def of(make: Callable[[Shown], bytes]) -> bytes:
        if visit.shown is None:
            raise RuntimeError("there is nothing to download yet")
        return artist.submit(make, visit.shown).result()

    @render.download_link(filename="explored.toml")
    def toml() -> Iterator[bytes]:
        yield of(lambda shown: shown.scenario.to_toml().encode())

    @render.download_link(filename="explored-study.toml")
    def study_file() -> Iterator[bytes]:
        yield of(lambda shown: shown.scenario.to_study().encode())

    @render.download_link(filename="explored.zip")
    def csv() -> Iterator[bytes]:
        yield of(tables_zip)

    @render.download_link(filename="explored.pdf")
    def pdf() -> Iterator[bytes]:
        yield of(overview_pdf)
