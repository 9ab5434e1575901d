"""What the model costs on this machine, as ratios within one run: ``python -m analysis.benchmarks --quick``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.benchmarks import pools, suite
from mpbf_abm.cli.console import Bar
from mpbf_abm.errors import ConfigurationError, MpbfError, did_you_mean
from mpbf_abm.outputs import table


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure speed, memory and scaling; returns 0, or 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m analysis.benchmarks", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here, too")
    parser.add_argument("--only", action="append", metavar="NAME", help="one measurement; may be repeated")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of real data, for campaigns on real pools")
    parser.add_argument(
        "--docking", type=Path, metavar="DIR", help="folder of the docking implementation (tests/docking)"
    )
    parser.add_argument("--quick", action="store_true", help="smaller sizes, for a first impression")
    asked = parser.parse_args(arguments)
    try:
        _refuse(asked)
    except MpbfError as error:
        print("\n".join(f"benchmarks: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return 2
    with Bar(quiet=False, unit="bench") as bar:
        bar.begin(len(suite.BENCHES))
        how = suite.How(asked.quick, asked.data, asked.docking)
        result = suite.run_all(how, only=asked.only, progress=lambda: bar.advance(done=1))
    print(table(*suite.as_table(result["rows"]), right=(1, 3)))
    if asked.json is not None:
        suite.write(result, asked.json)
    return 0


def _refuse(asked: argparse.Namespace) -> None:
    """Raise for what cannot be measured, or written."""
    faults = [
        f"--only {name}: no such measurement{did_you_mean(name, suite.BENCHES)} "
        f"(measurements: {', '.join(suite.BENCHES)})"
        for name in asked.only or []
        if name not in suite.BENCHES
    ]
    if asked.data is not None:
        faults += pools.missing(asked.data)
    if asked.docking is not None and not (asked.docking / "naive.py").is_file():
        faults.append(f"--docking {asked.docking}: has no file naive.py")
    if faults:
        raise ConfigurationError(faults)
    if asked.json is not None:
        suite.check_writable(asked.json)


if __name__ == "__main__":
    sys.exit(main())
