"""``mpbf bench``, ``mpbf paper`` and ``mpbf figures all``: each names the script that took its place, for one release."""

from __future__ import annotations

import typer

from mpbf_abm.cli.app import app, figures
from mpbf_abm.cli.console import USAGE, complain

ANY = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
SCRIPTS = {
    "bench": (app, "python -m analysis.benchmarks"), "paper": (app, "python -m analysis.paper"),
    "all": (figures, "python -m analysis.paper"),
}  # fmt: skip


def _moved(name: str, home: typer.Typer, script: str) -> None:
    """Add a command that says where it went."""

    def command() -> int:
        words = "mpbf figures all" if home is figures else f"mpbf {name}"
        complain([f"`{words}` is not part of the package any more; in a clone of the repository: {script}"])
        return USAGE

    command.__doc__ = f"Moved to `{script}`, in a clone of the repository."
    home.command(name, hidden=True, context_settings=ANY)(command)


for _name, (_home, _script) in SCRIPTS.items():
    _moved(_name, _home, _script)
