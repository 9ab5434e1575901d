"""``mpbf bench``, ``mpbf paper`` and ``mpbf figures all``: each names the script that took its place, for one release."""

from __future__ import annotations

from collections.abc import Callable

from mpbf_abm.cli.console import USAGE, complain


def _moved(words: str, script: str) -> Callable[[], int]:
    def command() -> int:
        complain([f"`{words}` is not part of the package any more; in a clone of the repository: {script}"])
        return USAGE

    command.__doc__ = f"Moved to `{script}`, in a clone of the repository."
    return command


bench = _moved("mpbf bench", "python -m analysis.benchmarks")
paper = _moved("mpbf paper", "python -m analysis.paper")
figures = _moved("mpbf figures all", "python -m analysis.paper")
