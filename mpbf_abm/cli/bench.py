"""``mpbf bench``: what the model costs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from mpbf_abm.cli.console import bar
from mpbf_abm.errors import ConfigurationError, did_you_mean
from mpbf_abm.outputs import markdown_table, table


def bench(
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the results here, too.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="One measurement, as named in the results; may be repeated."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of real data, for campaigns on real pools.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller sizes, for a first impression.")] = False,
    doc: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Page whose tables and figure are renewed (docs/performance.md)."),
    ] = None,
) -> None:
    """Measure speed, memory and scaling on this machine, as ratios within one run."""
    from mpbf_abm import bench as benches

    faults = [
        f"--only {name}: no such measurement{did_you_mean(name, benches.BENCHES)} (measurements: {', '.join(benches.BENCHES)})"
        for name in only or []
        if name not in benches.BENCHES
    ]
    if data is not None:
        faults += benches.pools.missing(data)
    if doc is not None and not doc.is_file():
        faults.append(f"--doc {doc}: no such file")
    if faults:
        raise ConfigurationError(faults)
    if json_file is not None:
        benches.check_writable(json_file)
    with bar(len(benches.BENCHES), False) as advance:
        result = benches.run_all(quick=quick, only=only, data=data, progress=lambda: advance(1))
    print(table(*benches.as_table(result["rows"]), right=(1, 3)))
    if json_file is not None:
        benches.write(result, json_file)
    if doc is not None:
        _renew(doc, result, f"`mpbf bench{' --quick' if quick else ''}{' --data DATA' if data else ''}`")


def _renew(page: Path, result: dict[str, Any], command: str) -> None:
    """Put the results into the blocks of a page, a table for each measurement, and the figure beside it."""
    from mpbf_abm import bench as benches
    from mpbf_abm import reference
    from mpbf_abm.figures import bench

    machine = result["environment"]
    content = {
        "made": f"{command}, {machine['cores']} cores, one thread of BLAS, Python {machine['python']}, NumPy {machine['numpy']}; "
        f"load before the last measurement {machine['load'][0]:.1f}." if machine["load"] else f"{command}."
    }  # fmt: skip
    for name in dict.fromkeys(r["bench"] for r in result["rows"]):
        head, cells = benches.as_table([r for r in result["rows"] if r["bench"] == name])
        content[name] = markdown_table(head, cells)
    reference.renew(page, content, partial(bench.draw, result["rows"]), title="What mpbf_abm costs", alt=bench.ALT)
