"""``mpbf run``, a plain run or a what-if on common seeds, and ``mpbf explore``, the page."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mpbf_abm.cli.binding import option, whole
from mpbf_abm.cli.console import Bar, complain, tell, tell_written, verdict
from mpbf_abm.cli.options import OUTPUT, CommunityOptions, DataFile, Jobs, Json, Out, Question, Quiet, workers
from mpbf_abm.errors import refuse

if TYPE_CHECKING:
    from mpbf_abm.studies.whatif import Ensemble, WhatIf


def run(
    question: Question,
    data: DataFile,
    jobs: Jobs = None,
    out: Out = None,
    force: Annotated[bool, option("--force", "Replace the results of another plan in DIR.", panel=OUTPUT)] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Run the model once, or ask a what-if: with --policy, baseline and what-if on the same seeds; shocks hit both.

    Writes tables, parameters, provenance and an overview figure into one folder, atomically. The default folder is
    results/ and the hash of the plan. Finished runs are kept in its folder `runs`: a command that was stopped resumes
    there, and with the same --out more replicates make the new ones only.
    """
    from mpbf_abm.outputs import OutputFolder
    from mpbf_abm.reports.runs import run_mapping
    from mpbf_abm.studies.whatif import run_plan

    plan = question.plan(data.space)
    run_hash = str(plan.record()["run_hash"])
    folder = out or Path("results") / run_hash[:12]
    output = OutputFolder(folder, "run", plan.question_hash, force=force)
    with output as work:
        _say_read(plan)
        with Bar(quiet) as watch:
            ensemble = run_plan(plan, jobs or min(workers(None), plan.replicates * len(plan.arms)), watch, folder)
        _write(ensemble, work)
    if as_json or not quiet:
        tell(as_json, run_mapping(ensemble, folder, run_hash), f"{ensemble}\n")
    tell_written(output, quiet=quiet or as_json)
    complain([f"{arm}: no experiment was made; {LOOK}" for arm in ensemble.idle])
    return verdict(not ensemble.idle)


LOOK = "is every material tested at founding, or was every planner out of work?"


def _say_read(plan: WhatIf) -> None:
    """Print how the data were understood, if that is not plain, and what was left out."""
    if plan.space is None:
        return
    origin = dict(plan.space.origin)
    complain([f"{origin['source']}: {note}" for note in origin.get("notes", [])])
    dropped = origin.get("dropped", {})
    if dropped.get("count"):
        complain([f"left out {dropped['count']} rows", *dropped["reasons"]])


def _write(ensemble: Ensemble, work: Path) -> None:
    from mpbf_abm.figures import overview, style
    from mpbf_abm.studies.whatif import write_provenance, write_tables

    write_tables(ensemble, work)
    with style.or_none("overview"):
        overview.save(overview.prepare_ensemble(ensemble), work)
    write_provenance(ensemble, work)


# --------------------------------------------------------------------------- the page

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
    from mpbf_abm.page.scenario import from_settings
    from mpbf_abm.page.serve import is_loopback, serve

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
