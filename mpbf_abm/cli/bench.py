"""``mpbf bench``: what the model costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mpbf_abm.cli.app import app
from mpbf_abm.cli.console import bar, table


@app.command()
def bench(
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the results here, too.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller sizes, for a first impression.")] = False,
) -> None:
    """Measure speed, memory and scaling on this machine, as ratios within one run."""
    from mpbf_abm import bench as benches

    if json_file is not None:
        benches.check_writable(json_file)
    with bar(len(benches.BENCHES), False) as advance:
        result = benches.run_all(quick=quick, progress=lambda: advance(1))
    print(table(*benches.as_table(result), right=(1, 3)))
    if json_file is not None:
        benches.write(result, json_file)
