"""``mpbf config``: parameter files, and tables of what can be set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from mpbf_abm.cli.binding import argument
from mpbf_abm.cli.console import fresh_file, tell
from mpbf_abm.cli.options import CommunityOptions, Json, Preset
from mpbf_abm.errors import refuse_any
from mpbf_abm.outputs import table


def init(
    path: Annotated[Path, argument("[PATH]", "File to write.")] = Path("mpbf.toml"), preset: Preset = None
) -> None:
    """Write a parameter file in which every line but the preset is a comment; an existing file is left as it is."""
    from mpbf_abm.parameters import PATHS, Parameters

    name = preset or "default"
    names = tuple(f"{parameter} = " for _, parameter in PATHS.values())
    # What is not changed stays a comment, so that another preset on the command line is not overruled by it.
    lines = [f"# {line}" if line.startswith(names) else line for line in Parameters.preset(name).to_toml().splitlines()]
    fresh_file(path, "config", name, "\n".join([*lines, ""]))


def show(community: CommunityOptions) -> None:
    """Print all parameters as a run would use them."""
    print(community.settings.parameters.to_toml(), end="")


def check(config_file: Annotated[Path, argument("CONFIG.toml", "File to check.")]) -> None:
    """Check a configuration file; every error is one line."""
    from mpbf_abm.model.settings import read_settings
    from mpbf_abm.model.shocks import missing_nodes

    settings = read_settings(config_file)
    refuse_any([f"{config_file.name}: {fault}" for fault in missing_nodes(settings.shocks, settings.parameters)])
    changed, events = len(settings.parameters.changed()), len(settings.policies) + len(settings.shocks)
    print(f"{config_file.name}: ok; {changed} parameters differ from the defaults, {events} policies and shocks")


def schema(as_json: Json = False) -> None:
    """Print every parameter: default, what is allowed, unit, source and help."""
    from mpbf_abm.parameters import schema, toml_value

    rows = schema() if as_json else [row | {"default": toml_value(row["default"])} for row in schema()]
    _print_rows(rows, as_json, {k: k for k in ("path", "default", "allowed", "unit", "source", "help")})


def policies(as_json: Json = False) -> None:
    """Print the policies: what they do, the parameters they move, their usual strength."""
    from mpbf_abm.model.interventions import POLICIES
    from mpbf_abm.parameters import toml_value

    signs = {"set": "to", "floor": "at least", "cap": "at most"}
    rows: list[dict[str, Any]] = []
    for name, kind in POLICIES.items():
        levers = [{"path": v.path, "mode": v.mode, "target": v.target} for v in kind.levers]
        words = "; ".join(f"{v.path} {signs[v.mode]} {toml_value(v.target)}" for v in kind.levers)
        what = kind.help if as_json else f"{kind.help} [{words}]"
        rows.append({"name": name, "strength": kind.strength, "levers": levers, "help": what})
    _print_rows(
        rows, as_json, {"name": "policy", "strength": "usual strength", "help": "what it does [levers at strength 1]"}
    )


def shocks(as_json: Json = False) -> None:
    """Print the shocks: what they do and their usual strength."""
    from mpbf_abm.model.shocks import SHOCKS

    rows = [{"name": n, "strength": k.strength, "help": k.help} for n, k in SHOCKS.items()]
    _print_rows(rows, as_json, {"name": "shock", "strength": "usual strength", "help": "what it does"})


def phases(as_json: Json = False) -> None:
    """Print the phases of a tick, in order."""
    from mpbf_abm.model.community import phases
    from mpbf_abm.model.shocks import Agenda

    rows = [{"name": p.name, "layer": p.layer, "does": p.does} for p in phases(Agenda())]
    _print_rows(rows, as_json, {"name": "phase", "layer": "layer", "does": "what happens"})


def indicators(as_json: Json = False) -> None:
    """Print the indicators that a run reports at every tick."""
    from mpbf_abm.model.indicators import INDICATORS

    _print_rows([asdict(i) for i in INDICATORS], as_json, {k: k for k in ("column", "layer", "unit", "definition")})


def _print_rows(rows: Sequence[dict[str, Any]], as_json: bool, head: dict[str, str]) -> None:
    """Print rows as JSON, or as a table with the columns that have a head."""
    cells = [[f"{r[k]:g}" if isinstance(r[k], float) else str(r[k]) for k in head] for r in rows]
    tell(as_json, rows, table(list(head.values()), cells, right=[i for i, k in enumerate(head) if k == "strength"]))
