"""All measurements of what the model and its studies cost, and their results as table and file.

Absolute times belong to a machine and an hour; ratios are taken between things that were
measured in turn, in one run. Each measurement is a function that returns rows.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info, threadpool_limits

from analysis.benchmarks import model, peers, pools, studies
from analysis.benchmarks.measuring import Row, peak_memory, row
from mpbf_abm.errors import OutputError
from mpbf_abm.provenance import environment, fingerprint, version


@dataclass(frozen=True)
class How:
    """How things are measured.

    Attributes
    ----------
    quick : bool
        Smaller sizes.
    data : Path, optional
        Folder of real data: campaigns on its pools are measured, too.
    docking : Path, optional
        Folder of the docking implementation, which a tick is compared with.
    """

    quick: bool = False
    data: Path | None = None
    docking: Path | None = None


USUAL = How()


def campaigns(how: How) -> list[Row]:
    """Measure campaigns against the plain process, on a synthetic pool and on real ones."""
    made = pools.synthetic(200, 50) if how.quick else pools.synthetic(2_000, 300)
    return made if how.data is None else made + pools.real(how.data, 4 if how.quick else 20)


def libraries(how: How) -> list[Row]:
    """Measure campaigns against general libraries, on a synthetic pool and on real ones."""
    made = peers.synthetic(150, 2) if how.quick else peers.synthetic()
    return made if how.data is None else made + peers.real(how.data, 2 if how.quick else 20)


def objects(how: How) -> list[Row]:
    """Measure a tick against an object for each agent, where the docking implementation is named."""
    return peers.objects(how.docking, *((1, 2) if how.quick else ()))


BENCHES: dict[str, Callable[[How], list[Row]]] = {
    "floor": lambda how: model.kernel_floor(rounds=3 if how.quick else 7),
    "null": lambda how: model.null_model(500 if how.quick else 2_000),
    "ensemble": lambda how: model.ensemble((10, 100), 200, 2) if how.quick else model.ensemble(),
    "ticks": lambda how: model.ticks_scaling((20, 40, 80), 1) if how.quick else model.ticks_scaling(),
    "objects": objects,
    "large": lambda how: model.large(4, 100_000, 4) if how.quick else model.large(),
    "leaks": lambda how: model.leaks(100 if how.quick else 1_000),
    "agents": lambda how: model.agents_scaling((1, 4, 16), 50_000, 8) if how.quick else model.agents_scaling(),
    "materials": lambda how: model.materials_scaling((10_000, 100_000), 12) if how.quick else model.materials_scaling(),
    "overhead": lambda how: studies.overhead(500, 2_000) if how.quick else studies.overhead(),
    "efficiency": lambda how: studies.efficiency(100) if how.quick else studies.efficiency(),
    "dask": lambda how: studies.cluster((1, 2), 80, 1) if how.quick else studies.cluster(),
    "chunks": lambda how: studies.chunks(600, rounds=1) if how.quick else studies.chunks(),
    "storage": lambda how: studies.storage(5_000) if how.quick else studies.storage(),
    "start": lambda how: studies.start(2 if how.quick else 5),
    "campaign": campaigns,
    "peers": libraries,
}


# --------------------------------------------------------------------------- all of them


def run_all(
    how: How = USUAL, *, only: Sequence[str] | None = None, progress: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Run the measurements with one BLAS thread.

    Parameters
    ----------
    how : How
    only : sequence of str, optional
        Names in :data:`BENCHES`.
    progress : callable, optional
        Called after each.

    Returns
    -------
    dict
        ``rows`` and the ``environment`` they were measured in.
    """
    rows: list[Row] = []
    with threadpool_limits(1):
        for name, measure in BENCHES.items():
            if only is None or name in only:
                rows += [{"bench": name, **r} for r in _measured(name, measure, how)]
            if progress is not None:
                progress()
        blas = sorted({f"{lib['internal_api']} {lib.get('version')}" for lib in threadpool_info()})
    rows.append({"bench": "all", **row("peak memory of the whole bench", peak_memory(), "MB")})
    load = list(os.getloadavg()) if hasattr(os, "getloadavg") else None
    return {
        "software": {"version": version(), "fingerprint": fingerprint()},
        "environment": environment()
        | {"processor": platform.processor(), "cores": os.cpu_count(), "threads": 1, "blas": blas, "load": load},
        "quick": how.quick,
        "rows": rows,
    }


def _measured(name: str, measure: Callable[[How], list[Row]], how: How) -> list[Row]:
    """Rows of one measurement; what fails costs its own rows only."""
    try:
        return measure(how)
    except Exception as error:  # noqa: BLE001 (an hour of other measurements is worth more)
        return [
            row(f"{name}: failed, {' '.join(str(error).split()) or type(error).__name__}", float("nan"), "", met=False)
        ]


def as_table(rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of results as text."""
    verdict = {True: "yes", False: "NO", None: ""}
    cells = [[r["name"], f"{r['value']:.4g}", r["unit"], r["target"], verdict[r["met"]]] for r in rows]
    return ["measurement", "value", "unit", "target", "met"], cells


def check_writable(path: Path) -> None:
    """Raise if a file cannot be put there, before anything is measured."""
    if path.is_dir():
        raise OutputError(f"{path}: is a folder, not a file")
    if path.exists() and not _is_result(path):
        raise OutputError(f"{path}: exists and was not written by analysis.benchmarks; choose another name")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from None


def _is_result(path: Path) -> bool:
    """Whether a file holds results of an earlier bench."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return bool({"software", "environment", "quick", "rows"} <= held.keys())
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def write(result: dict[str, Any], path: Path) -> None:
    """Write the results as JSON, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8", newline="\n")
    part.replace(path)
