"""``mpbf explore``: the page."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from mpbf_abm.cli.binding import option, whole
from mpbf_abm.cli.console import complain
from mpbf_abm.cli.options import CommunityOptions, Jobs, workers
from mpbf_abm.errors import refuse

LOCAL = "127.0.0.1"
OPEN = """warning: the page listens at {}, where other machines can reach it, without encryption; whoever has the token
can use this machine's processors. Put it behind a proxy with TLS, or use ssh -L instead."""


@dataclass(frozen=True)
class Page:
    """Where the page is served."""

    studies: Path = option("DIR", "Folder whose stored studies can be opened.", default=Path("results"))
    host: str = option("ADDRESS", "Address to listen at; any but this machine's own needs a token.", default=LOCAL)
    port: int = whole("", "Port; 0 is any that is free.", low=0, high=65535, default=8642)
    name: list[str] = option("HOST", "A further name under which the page is reached; may be repeated.", default=())

    def check(self) -> None:
        """Raise what is not installed."""
        missing = [m for m in ("shiny", "uvicorn") if importlib.util.find_spec(m) is None]
        refuse(missing, f"the page needs {' and '.join(missing)}: pip install 'mpbf_abm[ui]'")


def explore(
    community: CommunityOptions,
    page: Page,
    jobs: Jobs = None,
    browser: Annotated[bool, option("--browser/--no-browser", "Open the page in a browser.")] = True,
) -> None:
    """Explore a community and a what-if in the browser; Ctrl-C ends it.

    The page is served to this machine alone, fetches nothing from elsewhere, and gets every number from the same runs
    as mpbf run.
    """
    from mpbf_abm.page.guard import is_loopback
    from mpbf_abm.page.scenario import from_settings
    from mpbf_abm.page.serve import serve

    opening = from_settings(community.settings, community.preset or "default").checked().address()

    def ready(address: str) -> None:
        print(f"mpbf explore: {address}  (Ctrl-C ends it)", flush=True)
        if browser:
            import webbrowser

            webbrowser.open(address)

    if not is_loopback(page.host):
        complain([OPEN.format(page.host)])
    how: dict[str, Any] = {"studies": page.studies, "opening": opening, "names": tuple(page.name)}
    serve(page.host, page.port, ready=ready, workers=workers(jobs), **how)
