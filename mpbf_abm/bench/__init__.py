"""What the model and its studies cost.

Absolute times belong to a machine and an hour; ratios are taken between things that were
measured in turn, in one run. Each measurement is a function that returns rows.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info, threadpool_limits

from mpbf_abm.bench import model, peers, pools, studies
from mpbf_abm.bench.measuring import Row, peak_memory, row
from mpbf_abm.errors import OutputError
from mpbf_abm.provenance import environment, fingerprint, version


def campaigns(quick: bool, data: Path | None) -> list[Row]:
    """Campaigns against the plain process, on a synthetic pool and on real ones."""
    made = pools.synthetic(200, 50) if quick else pools.synthetic(2_000, 300)
    return made if data is None else made + pools.real(data, 4 if quick else 20)


def libraries(quick: bool, data: Path | None) -> list[Row]:
    """Campaigns against general libraries, on a synthetic pool and on real ones."""
    made = peers.synthetic(150, 2) if quick else peers.synthetic()
    return made if data is None else made + peers.real(data, 2 if quick else 10)


Measure = Callable[[bool, Path | None], list[Row]]
# Each takes whether sizes are to be small, and the folder of real data, if one was given.
BENCHES: dict[str, Measure] = {
    "floor": lambda quick, _: model.kernel_floor(rounds=3 if quick else 7),
    "null": lambda quick, _: model.null_model(500 if quick else 2_000),
    "ensemble": lambda quick, _: model.ensemble((10, 100), 200, 2) if quick else model.ensemble(),
    "ticks": lambda quick, _: model.ticks_scaling((20, 40, 80), 1) if quick else model.ticks_scaling(),
    "objects": lambda quick, _: peers.objects(1, 2) if quick else peers.objects(),
    "large": lambda quick, _: model.large(4, 100_000, 4) if quick else model.large(),
    "leaks": lambda quick, _: model.leaks(100 if quick else 1_000),
    "agents": lambda quick, _: model.agents_scaling((1, 4, 16), 50_000, 8) if quick else model.agents_scaling(),
    "materials": lambda quick, _: (
        model.materials_scaling((10_000, 100_000), 12) if quick else model.materials_scaling()
    ),
    "overhead": lambda quick, _: studies.overhead(500, 2_000) if quick else studies.overhead(),
    "efficiency": lambda quick, _: studies.efficiency(100) if quick else studies.efficiency(),
    "dask": lambda quick, _: studies.cluster((1, 2), 80, 1) if quick else studies.cluster(),
    "chunks": lambda quick, _: studies.chunks(600, rounds=1) if quick else studies.chunks(),
    "storage": lambda quick, _: studies.storage(5_000) if quick else studies.storage(),
    "start": lambda quick, _: studies.start(2 if quick else 5),
    "campaign": campaigns,
    "peers": libraries,
}


# --------------------------------------------------------------------------- all of them


def run_all(
    *,
    quick: bool = False,
    only: Sequence[str] | None = None,
    data: Path | None = None,
    progress: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Run the measurements with one BLAS thread.

    Parameters
    ----------
    quick : bool
        Smaller sizes.
    only : sequence of str, optional
        Names in :data:`BENCHES`.
    data : Path, optional
        Folder of real data: campaigns on its pools are measured, too.
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
                rows += [{"bench": name, **r} for r in _measured(name, measure, quick, data)]
            if progress is not None:
                progress()
        blas = sorted({f"{lib['internal_api']} {lib.get('version')}" for lib in threadpool_info()})
    rows.append({"bench": "all", **row("peak memory of the whole bench", peak_memory(), "MB")})
    load = list(os.getloadavg()) if hasattr(os, "getloadavg") else None
    return {
        "software": {"version": version(), "fingerprint": fingerprint()},
        "environment": environment() | {"processor": platform.processor(), "cores": os.cpu_count(), "threads": 1, "blas": blas, "load": load},
        "quick": quick,
        "rows": rows,
    }  # fmt: skip


def _measured(name: str, measure: Measure, quick: bool, data: Path | None) -> list[Row]:
    """Rows of one measurement; what fails costs its own rows only."""
    try:
        return measure(quick, data)
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
        raise OutputError(f"{path}: exists and was not written by mpbf bench; choose another name")
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
