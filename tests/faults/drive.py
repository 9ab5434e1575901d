"""Drive a study of a toy model from the command line, as a user's script would.

python drive.py OUT MODEL [NAME=VALUE ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

from mpbf_abm.errors import MpbfError
from mpbf_abm.studies.definition import Engine, StudyDefinition
from mpbf_abm.studies.driver import check_shard, run_study

sys.path.insert(0, str(Path(__file__).parents[1]))
import toys

DEFAULTS = {
    "scenarios": "5",
    "replicates": "20",
    "workers": "2",
    "seconds": "30",
    "memory": "4000",
    "retries": "2",
    "shard": "",
    "engine": "local",
    "retry": "",
    "ticks": "20",
}


def study(model: str, options: dict[str, str]) -> StudyDefinition:
    """The study that some options ask for."""
    scenarios = int(options["scenarios"])
    return StudyDefinition(
        name="toy",
        model=getattr(toys, model),
        parameters={"x": {"values": [float(i) for i in range(scenarios)]}, "at": float(scenarios // 2)},
        policies=[{"label": "other", "parameters": {"shift": 1.0}}],
        design={"kind": "grid"},
        replicates={"n": int(options["replicates"])},
        ticks=int(options["ticks"]),
        series={"of": ("a", "b")},
        outcomes={"y": {"better": "more", "primary": True, "smallest": 0.5}},
        limits={
            "seconds": float(options["seconds"]),
            "memory_mb": float(options["memory"]),
            "retries": int(options["retries"]),
        },
    )


def main(arguments: list[str]) -> int:
    out, model, *pairs = arguments
    options = DEFAULTS | dict(pair.split("=", 1) for pair in pairs)
    shard = check_shard(options["shard"]) if options["shard"] else None
    try:
        tally = run_study(
            study(model, options),
            Path(out),
            workers=int(options["workers"]),
            engine=Engine(kind=options["engine"]),
            shard=shard,
            retry=bool(options["retry"]),
        )
    except MpbfError as error:
        print(f"mpbf: {error}", file=sys.stderr)
        return 2
    print(tally)
    return 130 if tally.interrupted else 3 if tally.failed or tally.failed_before else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
