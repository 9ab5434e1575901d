"""``mpbf explore``: the page."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mpbf_abm.cli.app import app
from mpbf_abm.cli.console import Assignments, ConfigFile, Preset, processes, settings_of, whole
from mpbf_abm.errors import ConfigurationError

LOCAL = "127.0.0.1"


@app.command()
def explore(
    config_file: ConfigFile = None,
    preset: Preset = None,
    assignments: Assignments = None,
    studies: Annotated[Path, typer.Option(metavar="DIR", help="Folder whose stored studies can be opened.")] = Path(
        "results"
    ),
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; anything but this machine alone needs a token.")
    ] = LOCAL,
    port: Annotated[str, typer.Option(metavar="INTEGER", help="0 is any that is free.")] = "8642",
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="A further name under which the page is reached; may be repeated."),
    ] = None,
    jobs: Annotated[
        str | None, typer.Option("--jobs", "-j", metavar="INTEGER", help="Processes. [default: one per core]")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Explore a community and a what-if in the browser; Ctrl-C ends it.

    The page is served to this machine alone, fetches nothing from elsewhere, and computes every number by the same runs as mpbf run.
    """
    faults: list[str] = []
    number, count = whole(port, "port", faults), processes(jobs, faults)
    if number is not None and not 0 <= number <= 65535:
        faults.append(f"--port = {number}: must be from 0 to 65535")
    missing = [m for m in ("shiny", "uvicorn") if importlib.util.find_spec(m) is None]
    if missing:
        faults.append(f"the page needs {' and '.join(missing)}: pip install 'mpbf_abm[ui]'")
    settings = settings_of(config_file, preset, assignments or [], faults)
    if faults:
        raise ConfigurationError(faults)
    from mpbf_abm.page.guard import is_loopback
    from mpbf_abm.page.scenario import from_settings
    from mpbf_abm.page.serve import serve

    opening = from_settings(settings, preset or "default").checked().address()

    def ready(address: str) -> None:
        print(f"mpbf explore: {address}  (Ctrl-C ends it)", flush=True)
        if browser:
            import webbrowser

            webbrowser.open(address)

    if not is_loopback(host):
        print(
            f"mpbf: warning: the page listens at {host}, where other machines can reach it, without encryption; whoever has the token can use this "
            "machine's processors. Put it behind a proxy with TLS, or reach it through ssh -L instead.",
            file=sys.stderr,
        )  # fmt: skip
    serve(
        host,
        number or 0,
        studies=studies,
        opening=opening,
        workers=count or max(2, os.cpu_count() or 1),
        names=tuple(name or ()),
        ready=ready,
    )
