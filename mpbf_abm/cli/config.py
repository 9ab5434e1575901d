"""``mpbf config``: parameter files, and tables of what can be set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mpbf_abm.cli.app import config
from mpbf_abm.cli.console import Assignments, ConfigFile, Json, Preset, fresh_file, settings_of, table
from mpbf_abm.errors import ConfigurationError


@config.command()
def init(
    path: Annotated[Path, typer.Argument(metavar="[PATH]", help="File to write.")] = Path("mpbf.toml"),
    preset: Preset = None,
) -> None:
    """Write a parameter file in which every line is a comment but the preset; an existing file stays as it is."""
    from mpbf_abm.parameters import PATHS, Parameters

    name = preset or "default"
    names = tuple(f"{parameter} = " for _, parameter in PATHS.values())
    # What is not changed stays a comment, so that another preset on the command line is not overruled by it.
    lines = [f"# {line}" if line.startswith(names) else line for line in Parameters.preset(name).to_toml().splitlines()]
    text = (
        "# Parameters of mpbf_abm: take the # away from a line to change it (mpbf config schema explains them).\n"
        f'preset = "{name}"\n'
        "# [run]\n# seed = 1\n# ticks = 120\n# replicates = 8\n"
        '# [[policy]]    # any number of these make a what-if (mpbf config policies)\n# name = "exploration_floor"\n'
        "# start = 24\n# strength = 0.3\n"
        '# [[shock]]     # likewise (mpbf config shocks)\n# name = "repository_outage"\n# start = 48\n\n'
    ) + "\n".join([*lines, ""])
    fresh_file(path, text)
    print(f"written: {path}")


@config.command()
def show(config_file: ConfigFile = None, preset: Preset = None, assignments: Assignments = None) -> None:
    """Print all parameters as a run would use them."""
    faults: list[str] = []
    settings = settings_of(config_file, preset, assignments or [], faults)
    if faults:
        raise ConfigurationError(faults)
    print(settings.parameters.to_toml(), end="")


@config.command()
def check(config_file: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="File to check.")]) -> None:
    """Check a configuration file; every fault is one line."""
    from mpbf_abm.model.settings import read_settings
    from mpbf_abm.model.shocks import missing_nodes

    settings = read_settings(config_file)
    if faults := missing_nodes(settings.shocks, settings.parameters):
        raise ConfigurationError([f"{config_file.name}: {fault}" for fault in faults])
    events = len(settings.policies) + len(settings.shocks)
    print(
        f"{config_file.name}: ok; {len(settings.parameters.changed())} parameters differ from the defaults, {events} policies and shocks"
    )


@config.command()
def schema(as_json: Json = False) -> None:
    """Print every parameter: default, what is allowed, unit, source and help."""
    from mpbf_abm.parameters import schema, toml_value

    rows = schema()
    if as_json:
        print(json.dumps(rows, indent=2, default=list))
        return
    head = ["path", "default", "allowed", "unit", "source", "help"]
    print(table(head, [[r["path"], toml_value(r["default"]), *(str(r[k]) for k in head[2:])] for r in rows]))


@config.command()
def policies(as_json: Json = False) -> None:
    """Print the policies: what they do, the parameters they move, their usual strength."""
    from mpbf_abm.model.interventions import POLICIES
    from mpbf_abm.parameters import toml_value

    signs = {"set": "to", "floor": "at least", "cap": "at most"}
    rows = [
        {
            "name": name,
            "strength": kind.strength,
            "levers": [{"path": lever.path, "mode": lever.mode, "target": lever.target} for lever in kind.levers],
            "help": kind.help,
        }
        for name, kind in POLICIES.items()
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    lines = [
        [
            str(r["name"]),
            f"{r['strength']:g}",
            f"{r['help']} [{'; '.join(f'{v.path} {signs[v.mode]} {toml_value(v.target)}' for v in POLICIES[str(r['name'])].levers)}]",
        ]
        for r in rows
    ]
    print(table(["policy", "usual strength", "what it does [levers at strength 1]"], lines, right=(1,)))


@config.command()
def shocks(as_json: Json = False) -> None:
    """Print the shocks: what they do and their usual strength."""
    from mpbf_abm.model.shocks import SHOCKS

    rows = [{"name": n, "strength": k.strength, "help": k.help} for n, k in SHOCKS.items()]
    _print_rows(rows, as_json, {"name": "shock", "strength": "usual strength", "help": "what it does"})


@config.command()
def phases(as_json: Json = False) -> None:
    """Print the phases of a tick, in order."""
    from mpbf_abm.model.community import phases
    from mpbf_abm.model.events import Agenda

    rows = [{"name": p.name, "layer": p.layer, "does": p.does} for p in phases(Agenda())]
    _print_rows(rows, as_json, {"name": "phase", "layer": "layer", "does": "what happens"})


@config.command()
def indicators(as_json: Json = False) -> None:
    """Print the indicators that a run reports at every tick."""
    from dataclasses import asdict

    from mpbf_abm.model.indicators import INDICATORS

    _print_rows([asdict(i) for i in INDICATORS], as_json, {k: k for k in ("column", "layer", "unit", "definition")})


def _print_rows(rows: Sequence[dict[str, Any]], as_json: bool, head: dict[str, str]) -> None:
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        cells = [[f"{r[k]:g}" if isinstance(r[k], float) else str(r[k]) for k in head] for r in rows]
        print(table(list(head.values()), cells))
