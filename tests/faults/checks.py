"""The `mpbf` command with runs and measures that take a while, and with toy rows: what a test kills, or lets fail.

python checks.py COMMAND [OPTION ...]

Workers import this script, too, so that what it changes holds in them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

from mpbf_abm import cli
from mpbf_abm.evidence.facts import validation
from mpbf_abm.evidence.known.rows import Check, generator, parameter, row
from mpbf_abm.model import run
from mpbf_abm.studies import jobs

TOYS = [f"S{number}" for number in range(100, 180)]
HERE = set(TOYS[::20])
"""Those that have processes of their own, or could have."""


def begin(name: str) -> None:
    """Take a while, or fail, as the environment says."""
    time.sleep(float(os.environ.get("PAUSE", "0")))
    if name == os.environ.get("BROKEN"):
        raise ValueError("this one cannot be")


def slowed(name: str, measure: Callable[..., Any]) -> Callable[..., Any]:
    """A measure that takes a while."""

    @wraps(measure)
    def slow(*given: Any, **named: Any) -> Any:
        begin(name)
        return measure(*given, **named)

    return slow


def toy(id: str) -> Callable[..., Iterator[Check]]:
    """Rule of a row that looks at a few draws; some could have processes of their own."""

    def rule(seed: int, mean: float = parameter(0.1, "mean", -1, 1)) -> Iterator[Check]:
        begin(id)
        draws = generator(seed, id).normal(mean, size=50)
        yield Check("mean", mean, float(draws.mean()), 0.2)
        yield Check("none", 0, 0.0, float("inf"), note="nothing is known")

    def here(
        seed: int,
        mean: float = parameter(0.1, "mean", -1, 1),
        workers: int = parameter(2, "processes", 1, 8),  # noqa: ARG001
    ) -> Iterator[Check]:
        return rule(seed, mean)

    return here if id in HERE else rule


if __name__ != Path(__file__).stem:
    # Where it is run, and in its workers; not where a test imports it.
    run.begin = jobs.begin = slowed("run", run.begin)
    validation.MEASURES.update({name: slowed(name, measure) for name, measure in validation.MEASURES.items()})
    for id in TOYS:
        row(id, f"Toy {id}", "nowhere")(toy(id))

if __name__ == "__main__":
    cli.main(sys.argv[1:])
