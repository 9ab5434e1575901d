"""``mpbf bench``: what the model costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mpbf_abm.cli.app import app
from mpbf_abm.cli.console import bar, table
from mpbf_abm.errors import ConfigurationError, did_you_mean


@app.command()
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
    if faults:
        raise ConfigurationError(faults)
    if json_file is not None:
        benches.check_writable(json_file)
    with bar(len(benches.BENCHES), False) as advance:
        result = benches.run_all(quick=quick, only=only, data=data, progress=lambda: advance(1))
    print(table(*benches.as_table(result), right=(1, 3)))
    if json_file is not None:
        benches.write(result, json_file)
