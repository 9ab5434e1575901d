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

from mpbf_abm.bench import model, pools, studies
from mpbf_abm.bench.measuring import Row, peak_memory, row
from mpbf_abm.errors import OutputError
from mpbf_abm.provenance import environment, fingerprint, version

BENCHES: dict[str, Callable[[bool], list[Row]]] = {
    "floor": lambda quick: model.kernel_floor(rounds=3 if quick else 7),
    "null": lambda quick: model.null_model(500 if quick else 2_000),
    "leaks": lambda quick: model.leaks(100 if quick else 1_000),
    "agents": lambda quick: model.agents_scaling((1, 4, 16), 50_000, 8) if quick else model.agents_scaling(),
    "materials": lambda quick: model.materials_scaling((10_000, 100_000), 12) if quick else model.materials_scaling(),
    "overhead": lambda quick: studies.overhead(500, 2_000) if quick else studies.overhead(),
    "efficiency": lambda quick: studies.efficiency(100) if quick else studies.efficiency(),
    "storage": lambda quick: studies.storage(5_000) if quick else studies.storage(),
    "start": lambda quick: studies.start(2 if quick else 5),
    "campaign": lambda quick: pools.synthetic(200 if quick else 2_000, 50 if quick else 300),
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
                rows += [{"bench": name, **r} for r in measure(quick)]
                if name == "campaign" and data is not None:
                    rows += [{"bench": name, **r} for r in pools.real(data, 4 if quick else 20)]
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


def as_table(result: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the results as text."""
    verdict = {True: "yes", False: "NO", None: ""}
    cells = [[r["name"], f"{r['value']:.4g}", r["unit"], r["target"], verdict[r["met"]]] for r in result["rows"]]
    return ["measurement", "value", "unit", "target", "met"], cells


def check_writable(path: Path) -> None:
    """Raise if a file cannot be put there, before anything is measured."""
    if path.is_dir():
        raise OutputError(f"{path}: is a folder, not a file")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from None


def write(result: dict[str, Any], path: Path) -> None:
    """Write the results as JSON, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8", newline="\n")
    part.replace(path)
